//! Repositories that no hub knows: a folder that `save_pretrained` wrote, or a copy of one.
//!
//! Staged without a folder to go to, graphs are written beside the weights, which stay where they are; nothing is copied. The folder is
//! then a model of transformers and an ONNX model at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zoo_arch::transformers;
use zoo_core::folder::NewFolder;
use zoo_core::fs;
use zoo_core::handle::{Ecosystem, ModelName, Revision};
use zoo_core::manifest::Manifest;
use zoo_core::stage::{StageOptions, StagedModel, Target, WeightPolicy};
use zoo_core::store::place_file;
use zoo_graph::Model as OnnxFile;

use crate::error::{Error, Result};
use crate::facts::{self, Told};
use crate::hub::Hub;
use crate::model::ORIGINAL;
use crate::stage::{self, Outcome, write};
use crate::staged::{describe_at, note, staged};

/// The name that graphs made by zoo have for their producer.
const PRODUCER: &str = "zoo";

/// More files than a repository's own are no repository.
const MAX_FILES: usize = 10_000;

/// The longest small file that is read whole, in bytes.
const MAX_SMALL: u64 = 16 << 20;

/// How to stage a local repository.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalOptions {
    /// The options that all models have.
    pub stage: StageOptions,
    /// The folder to make self-contained; it must be empty or absent.
    pub out: Option<PathBuf>,
    /// Hard-link files into `out` instead of cloning or copying them.
    pub link: bool,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { stage: StageOptions::to(Target::Onnx), out: None, link: false }
    }
}

/// Whether a folder looks like a repository: it has a configuration of transformers or a list of sentence-transformers' modules.
pub fn is_repository(folder: &Path) -> bool {
    let says_type = || {
        let config = fs::read_bounded(&folder.join("config.json"), MAX_SMALL).ok()?;
        let config: serde_json::Value = serde_json::from_slice(&config).ok()?;
        Some(config.get("model_type").is_some() || config.get("architectures").is_some())
    };
    folder.join("modules.json").is_file() || says_type() == Some(true)
}

/// Stages the repository in `path`.
///
/// # Errors
/// If it holds nothing that is built; if something else stands where a graph would go; if a file cannot be read or written.
pub fn stage(path: &Path, options: &LocalOptions) -> Result<StagedModel> {
    let Some(out) = &options.out else {
        refuse_foreign(path, &options.stage)?;
        let outcome = stage::stage(path, path, &options.stage)?;
        let made = staged(&outcome, path, &options.stage)?;
        let mut manifest = manifest(path)?;
        describe_at(path, &made, &mut manifest.model)?;
        note(&outcome, &mut manifest.model);
        manifest.add_staged(made.clone());
        return Ok(StagedModel::new(path.to_owned(), made, manifest));
    };
    let folder = NewFolder::at(out)?;
    let originals = folder.path().join(ORIGINAL);
    copy_tree(path, &originals, options.link)?;
    let outcome = stage::stage(&originals, folder.path(), &options.stage)?;
    let made = staged(&outcome, folder.path(), &options.stage)?;
    if options.stage.policy() == WeightPolicy::Packed || outcome.tensorflow.is_some() {
        remove_weights(&outcome)?;
    }
    let mut manifest = manifest(path)?;
    describe_at(folder.path(), &made, &mut manifest.model)?;
    note(&outcome, &mut manifest.model);
    manifest.add_staged(made.clone());
    manifest.write(folder.path())?;
    folder.publish()?;
    Ok(StagedModel::new(out.clone(), made, manifest))
}

/// What was made has weights of its own.
fn remove_weights(outcome: &Outcome) -> Result<()> {
    for source in &outcome.sources {
        fs::remove_file(source)?;
    }
    Ok(())
}

/// A repository's files without what version control and caches keep in it.
fn copy_tree(from: &Path, to: &Path, link: bool) -> Result<()> {
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    let mut files = 0;
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to)?;
        for entry in fs::list_dir(&from)? {
            let (path, name) = (entry.path(), entry.file_name());
            files += 1;
            if files > MAX_FILES {
                return Err(Error::TooManyFiles { folder: path, limit: MAX_FILES });
            }
            // What a link leads to may be outside of the repository.
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if name.to_string_lossy().starts_with('.') || is_link {
                continue;
            }
            if path.is_dir() {
                folders.push((path, to.join(name)));
            } else {
                place_file(&path, &to.join(name), link)?;
            }
        }
    }
    Ok(())
}

/// A manifest for files that came from no hub: it has no originals to vouch for, only what was staged.
fn manifest(path: &Path) -> Result<Manifest> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace(['@', ':', '\\'], "_");
    let name = if name.trim().is_empty() { "model" } else { name.trim() };
    let mut manifest = Manifest::new(
        path.display().to_string(),
        Ecosystem::new(Hub::ECOSYSTEM)?,
        ModelName::new(name)?,
        Revision::new("local")?,
        Vec::new(),
    );
    let json = |name: &str| {
        let bytes = fs::read_bounded(&path.join(name), MAX_SMALL).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let told = Told {
        card: fs::read_bounded(&path.join("README.md"), MAX_SMALL).ok(),
        config: json("config.json"),
        processor: json("preprocessor_config.json").or_else(|| json("processor_config.json")),
    };
    facts::of_files(&told, &mut manifest.model);
    Ok(manifest)
}

/// What stands where a graph would go must be an earlier one of zoo's own, or nothing. Which graphs a model has is known only when it is
/// made, so the names of all parts count.
fn refuse_foreign(folder: &Path, options: &StageOptions) -> Result<()> {
    let is_own = |path: &Path| OnnxFile::open(path).is_ok_and(|model| model.producer_name() == PRODUCER);
    let parts: BTreeSet<&str> = transformers::architectures()
        .flat_map(|architecture| architecture.classes)
        .flat_map(transformers::Class::parts)
        .map(|part| part.name)
        .collect();
    for part in parts {
        let path = write::path(folder, part, options);
        // Nothing in TensorFlow's forms tells who made them.
        let may_go = !path.exists() || (options.target == Target::Onnx && is_own(&path));
        if !may_go {
            return Err(Error::Exists { path });
        }
    }
    Ok(())
}
