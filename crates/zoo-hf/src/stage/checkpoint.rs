//! The weights of a repository under the canonical names, those of PyTorch: which files, in which order, and whose names.
//!
//! The order is that of transformers 4.57: safetensors before what each framework had of its own, an index of shards where there is no
//! single file. Names of TensorFlow and Flax are translated ([`crate::names`]), so that one architecture serves all three.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zoo_formats::{Container, StateDict};
use zoo_graph::weights::NamedWeight;

use super::error::StageError;
use crate::select::Framework;
use super::sentence::json;

/// A framework's weight files, the preferred first, each with the name of an index of shards.
fn files(framework: Framework) -> &'static [(&'static str, &'static str)] {
    match framework {
        Framework::Pt => &[
            ("model.safetensors", "model.safetensors.index.json"),
            ("pytorch_model.bin", "pytorch_model.bin.index.json"),
        ],
        Framework::Tf => &[("tf_model.h5", "tf_model.h5.index.json")],
        Framework::Flax => &[("flax_model.msgpack", "flax_model.msgpack.index.json")],
    }
}

/// The weights of a repository.
pub(super) struct Found {
    /// Tensors under the paths that architectures ask for.
    pub(super) tensors: Vec<NamedWeight>,
    /// Whose names they had.
    pub(super) framework: Framework,
    /// The files they are in, within the folder.
    pub(super) sources: Vec<PathBuf>,
    /// What is odd about them.
    pub(super) warnings: Vec<String>,
}

/// Reads the headers of the weight files in `folder`: those of the framework `wanted`, else the first there are.
pub(super) fn read(folder: &Path, wanted: Option<Framework>, model_type: &str) -> Result<Found, StageError> {
    let order = match wanted {
        // Safetensors may be anybody's; its metadata tells.
        Some(framework) => vec![framework],
        None => Framework::ALL.to_vec(),
    };
    let of_all = files(Framework::Pt)[0];
    for framework in order {
        let own = files(framework).iter();
        let shared = (framework != Framework::Pt).then_some(&of_all);
        for (single, index) in own.chain(shared) {
            let paths = if folder.join(single).is_file() {
                vec![folder.join(single)]
            } else if folder.join(index).is_file() {
                shards(folder, index)?
            } else {
                continue;
            };
            let found = open(&paths, framework, model_type)?;
            if wanted.is_none_or(|wanted| wanted == found.framework) {
                return Ok(found);
            }
        }
    }
    let of = wanted.map_or_else(String::new, |framework| format!(" of the framework `{}`", framework.name()));
    Err(StageError::NoWeights { folder: folder.to_owned(), of, present: present(folder) })
}

/// The weight files that are there.
fn present(folder: &Path) -> Vec<String> {
    let names = Framework::ALL.iter().flat_map(|framework| files(*framework)).flat_map(|(a, b)| [*a, *b]);
    names.filter(|name| folder.join(name).is_file()).map(str::to_owned).collect()
}

/// The files that an index names, each once.
fn shards(folder: &Path, index: &str) -> Result<Vec<PathBuf>, StageError> {
    let path = folder.join(index);
    let bad = |problem: String| StageError::BadFile { path: path.clone(), problem };
    let listed = json(&path)?;
    let Some(map) = listed["weight_map"].as_object() else {
        return Err(bad("has no `weight_map`".to_owned()));
    };
    let mut files: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for (tensor, file) in map {
        let Some(name) = file.as_str() else { return Err(bad(format!("names no file for `{tensor}`"))) };
        if name.contains(['/', '\\']) || name.starts_with('.') || name.is_empty() {
            return Err(bad(format!("names the file {name:?}, which is not beside it")));
        }
        let file = folder.join(name);
        if !file.is_file() {
            return Err(bad(format!("names {name}, which is not there")));
        }
        files.insert(name, file);
    }
    Ok(files.into_values().collect())
}

/// Opens files that together are one checkpoint.
fn open(paths: &[PathBuf], usual: Framework, model_type: &str) -> Result<Found, StageError> {
    let (mut tensors, mut warnings) = (Vec::new(), Vec::new());
    let (mut framework, mut container) = (usual, Container::Safetensors);
    for path in paths {
        let opened = zoo_formats::open(path)?;
        container = opened.container();
        warnings.extend(opened.warnings().iter().map(ToString::to_string));
        let dict = opened.state_dict()?;
        framework = of_metadata(dict).unwrap_or(usual);
        for (name, weight) in dict.iter() {
            tensors.push((name.to_owned(), weight.clone()));
        }
    }
    let tensors = crate::names::canonical(tensors, framework, container, model_type)?;
    let sources = paths.to_vec();
    Ok(Found { tensors, framework, sources, warnings })
}

/// What safetensors says of itself.
fn of_metadata(dict: &StateDict) -> Option<Framework> {
    match dict.metadata().get("format").map(String::as_str)? {
        "pt" => Some(Framework::Pt),
        "tf" => Some(Framework::Tf),
        "flax" => Some(Framework::Flax),
        _ => None,
    }
}
