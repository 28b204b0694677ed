//! Checkpoints that no hub knows: one's own training results, or files that somebody passed on.
//!
//! Staged without a folder, the graph is written beside the checkpoint and its weights stay where they are; nothing is copied.
//! A file that has the name and the digest of one of torchvision's is that one, and what is known of it (labels,
//! preprocessing) holds. Of any other, only what it holds itself is known.

use std::path::{Path, PathBuf};

use zoo_core::Error as CoreError;
use zoo_core::folder::NewFolder;
use zoo_core::fs;
use zoo_core::handle::{Ecosystem, ModelName, Revision};
use zoo_core::manifest::{Manifest, Staged};
use zoo_core::path::EntryPath;
use zoo_core::stage::{StageOptions, StagedModel, Target, WeightPolicy};
use zoo_core::store::{hash_file, place_file};

use crate::catalog::{Catalog, Entry};
use crate::error::{Error, Result};
use crate::facts;
use crate::hub::Hub;
use crate::model::staged;
use crate::onnx::{self, Order, Prepared};

/// The name that graphs made by zoo have for their producer.
const PRODUCER: &str = "zoo";

/// How to stage a local checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalOptions {
    /// The options that all models have.
    pub stage: StageOptions,
    /// The folder to make self-contained; it must be empty or absent.
    pub out: Option<PathBuf>,
    /// Hard-link the checkpoint into `out` instead of cloning or copying it.
    pub link: bool,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { stage: StageOptions::to(Target::Onnx), out: None, link: false }
    }
}

/// Stages the checkpoint `path`. Without an architecture among the options, the file has to tell it: by being one of
/// torchvision's, or by what it holds.
pub fn stage(path: &Path, options: &LocalOptions) -> Result<StagedModel> {
    stage_by(path, options, onnx::make)
}

fn stage_by(
    path: &Path,
    options: &LocalOptions,
    make: impl FnOnce(&Order) -> Result<Prepared>,
) -> Result<StagedModel> {
    let mut wanted = options.stage.clone();
    if wanted.target != Target::Onnx {
        return Err(Error::Target { target: wanted.target });
    }
    let known =
        published(path)?.filter(|entry| wanted.arch.as_deref().is_none_or(|a| a == entry.model_name()));
    if let Some(entry) = &known {
        wanted.arch = Some(entry.model_name().to_owned());
    }
    let mut job = Job { path, wanted, known, recorded: &options.stage };
    match &options.out {
        None => job.beside(make),
        Some(out) => job.in_folder(out, options.link, make),
    }
}

/// The weights of the catalogue that a file is, by its name and proved by its digest. Only a file with such a name is hashed.
pub fn published(path: &Path) -> Result<Option<Entry>> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(entry) = name.and_then(|name| Catalog::embedded().by_file(name)) else { return Ok(None) };
    let Some(digest) = entry.digest() else { return Ok(None) };
    let found = hash_file(path, &[])?;
    match found.check(&[digest]) {
        Ok(()) => Ok(Some(entry)),
        Err(mismatch) => {
            tracing::warn!(
                file = %path.display(), found = %mismatch.found,
                "it has the name of one of torchvision's files, but not its content"
            );
            Ok(None)
        }
    }
}

/// One checkpoint and what is wanted of it.
struct Job<'a> {
    path: &'a Path,
    /// With the architecture, where it is known.
    wanted: StageOptions,
    known: Option<Entry>,
    /// As they were given, for the manifest.
    recorded: &'a StageOptions,
}

impl Job<'_> {
    /// Writes the graph beside the checkpoint.
    fn beside(&mut self, make: impl FnOnce(&Order) -> Result<Prepared>) -> Result<StagedModel> {
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file_name = self.recorded.file_name(&stem(self.path));
        refuse_foreign(&folder.join(&file_name))?;
        let order = self.order(self.path.to_owned(), folder.to_owned(), file_name);
        let made = staged(make(&order)?, self.recorded);
        let manifest = self.manifest(folder, &made)?;
        Ok(StagedModel::new(folder.to_owned(), made, manifest))
    }

    /// Makes a folder that stands alone.
    fn in_folder(
        &mut self,
        out: &Path,
        link: bool,
        make: impl FnOnce(&Order) -> Result<Prepared>,
    ) -> Result<StagedModel> {
        let folder = NewFolder::at(out)?;
        let checkpoint = if self.wanted.policy() == WeightPolicy::InPlace {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            let copy =
                EntryPath::new(format!("original/{name}")).map_err(CoreError::from)?.under(folder.path());
            fs::create_parent(&copy)?;
            place_file(self.path, &copy, link)?;
            copy
        } else {
            self.path.to_owned()
        };
        let order = self.order(checkpoint, folder.path().to_owned(), "model.onnx".to_owned());
        let made = staged(make(&order)?, self.recorded);
        let manifest = self.manifest(folder.path(), &made)?;
        manifest.write(folder.path())?;
        folder.publish()?;
        Ok(StagedModel::new(out.to_owned(), made, manifest))
    }

    fn order(&self, checkpoint: PathBuf, folder: PathBuf, file_name: String) -> Order {
        let size = self.known.as_ref().and_then(|entry| entry.transform().size());
        Order { checkpoint, folder, file_name, options: self.wanted.clone(), size }
    }

    /// A manifest for files that came from no hub: it has no originals to vouch for, only what was staged.
    fn manifest(&self, folder: &Path, made: &Staged) -> Result<Manifest> {
        let name = stem(self.path).replace(['@', ':', '\\'], "_");
        let name = if name.trim().is_empty() { "model" } else { name.trim() };
        let mut manifest = Manifest::new(
            self.path.display().to_string(),
            Ecosystem::new(Hub::ECOSYSTEM)?,
            ModelName::new(name)?,
            Revision::new("local")?,
            Vec::new(),
        );
        if let Some(entry) = &self.known {
            facts::of_entry(entry, &mut manifest.model);
            manifest.asked_for.push(entry.handle());
        }
        facts::of_graph(&made.path.under(folder), &mut manifest.model)?;
        manifest.add_staged(made.clone());
        Ok(manifest)
    }
}

/// What stands where the graph would go must be an earlier one of zoo's own.
fn refuse_foreign(path: &Path) -> Result<()> {
    let is_own =
        |path: &Path| zoo_graph::Model::open(path).is_ok_and(|model| model.producer_name() == PRODUCER);
    if path.exists() && !is_own(path) {
        return Err(Error::Exists { path: path.to_owned() });
    }
    Ok(())
}

/// The file's name without the endings of checkpoints.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let without_tar = name.strip_suffix(".tar").unwrap_or(&name);
    without_tar
        .rsplit_once('.')
        .map(|(stem, _)| stem)
        .filter(|s| !s.is_empty())
        .unwrap_or(without_tar)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use zoo_core::stage::WeightPolicy;

    use super::*;
    use crate::testing;

    fn options(change: impl Fn(&mut StageOptions)) -> LocalOptions {
        let mut options = LocalOptions::default();
        change(&mut options.stage);
        options
    }

    fn checkpoint(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write_atomic(&path, b"weights", false).unwrap();
        path
    }

    #[test]
    fn the_graph_is_written_beside_and_nothing_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let path = checkpoint(dir.path(), "best.pth.tar");
        let asked = options(|o| o.arch = Some("resnet50".into()));
        let staged = stage_by(&path, &asked, testing::make).unwrap();
        assert_eq!(staged.path(), dir.path().join("best.onnx"));
        assert_eq!(staged.staged().with[0].as_str(), "best.pth.tar");
        assert_eq!(staged.staged().options["arch"], "resnet50");
        assert_eq!(fs::list_dir(dir.path()).unwrap().len(), 2);
        let manifest = staged.manifest();
        assert_eq!((manifest.name.as_str(), manifest.revision.as_str()), ("best", "local"));
        assert_eq!(manifest.model.inputs[0].name, "input");
        // Nobody said how its pictures are prepared, or what its classes are.
        assert_eq!((&manifest.model.preprocessing, &manifest.model.labels), (&None, &None));

        // Zoo's own file is replaced, anybody else's is not.
        stage_by(&path, &asked, testing::make).unwrap();
        fs::write_atomic(&staged.path(), &testing::onnx("pytorch"), false).unwrap();
        let refused = stage_by(&path, &asked, testing::never).unwrap_err();
        assert!(refused.to_string().contains("best.onnx` exists"), "{refused}");
        let packed = options(|o| o.weights = WeightPolicy::Packed);
        let staged = stage_by(&path, &packed, testing::make).unwrap();
        assert_eq!(staged.path(), dir.path().join("best-packed.onnx"));
    }

    #[test]
    fn a_folder_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = checkpoint(dir.path(), "mine.pt");
        let mut asked = options(|o| o.arch = Some("vit_b_16".into()));
        asked.out = Some(dir.path().join("out"));
        let staged = stage_by(&path, &asked, testing::make).unwrap();
        assert_eq!(staged.path(), dir.path().join("out/model.onnx"));
        assert!(dir.path().join("out/original/mine.pt").is_file());
        assert_eq!(Manifest::read(&dir.path().join("out")).unwrap().as_ref(), Some(staged.manifest()));

        let mut packed = options(|o| o.fold = true);
        packed.out = Some(dir.path().join("packed"));
        let staged = stage_by(&path, &packed, testing::make).unwrap();
        assert_eq!(staged.staged().with[0].as_str(), "model.onnx.data");
        assert!(!dir.path().join("packed/original").exists());
    }

    #[test]
    fn a_name_of_torchvisions_counts_only_with_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = checkpoint(dir.path(), "resnet18-f37072fd.pth");
        assert!(published(&path).unwrap().is_none());
        let staged = stage_by(&path, &LocalOptions::default(), testing::make).unwrap();
        assert_eq!(staged.staged().other["arch_used"], serde_json::Value::Null);
        assert!(staged.manifest().model.labels.is_none());
        assert!(published(&checkpoint(dir.path(), "mine.pth")).unwrap().is_none());
        assert!(published(Path::new("no/such/resnet18-f37072fd.pth")).is_err());
    }

    #[test]
    fn only_onnx_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = checkpoint(dir.path(), "mine.pt");
        let asked = options(|o| o.target = Target::SavedModel);
        assert!(stage_by(&path, &asked, testing::never).unwrap_err().to_string().contains("saved-model"));
    }

    #[test]
    fn endings_of_checkpoints_are_taken_off() {
        for (name, expected) in [
            ("a.pth", "a"),
            ("a.b.pt", "a.b"),
            ("best.pth.tar", "best"),
            ("x", "x"),
            (".pth", ".pth"),
            ("a.tar", "a"),
        ] {
            assert_eq!(stem(Path::new(name)), expected, "{name}");
        }
    }
}
