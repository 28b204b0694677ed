//! The weights of a repository under the canonical names, those of PyTorch: which files, in which order, and whose names.
//!
//! The order is that of transformers 4.57: safetensors before what each framework had of its own, an index of shards where there is no
//! single file. Names of TensorFlow and Flax are translated ([`crate::names`]), so that one architecture serves all three.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use zoo_formats::{Container, StateDict};
use zoo_graph::weights::NamedWeight;
use zoo_tensor::{Tensor, Weight};

use super::error::StageError;
use super::sentence::json;
use crate::select::Framework;

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
            let found = if folder.join(single).is_file() {
                open(&[folder.join(single)], None, framework, model_type)?
            } else if folder.join(index).is_file() {
                let index = index_of(folder, index)?;
                let paths: Vec<PathBuf> = index.files.keys().cloned().collect();
                open(&paths, Some(&index), framework, model_type)?
            } else {
                continue;
            };
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

/// An index of shards: which file has which tensor.
struct Index {
    path: PathBuf,
    /// Tensors by the path of their file.
    files: BTreeMap<PathBuf, BTreeSet<String>>,
}

/// Reads an index. Every file that it names is beside it.
fn index_of(folder: &Path, name: &str) -> Result<Index, StageError> {
    let path = folder.join(name);
    let bad = |problem: String| StageError::BadFile { path: path.clone(), problem };
    let listed = json(&path)?;
    let Some(map) = listed["weight_map"].as_object() else {
        return Err(bad("has no `weight_map`".to_owned()));
    };
    let mut files: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in map {
        let Some(name) = file.as_str() else { return Err(bad(format!("names no file for `{tensor}`"))) };
        if name.contains(['/', '\\']) || name.starts_with('.') || name.is_empty() {
            return Err(bad(format!("names the file {name:?}, which is not beside it")));
        }
        let file = folder.join(name);
        if !file.is_file() {
            return Err(bad(format!("names {name}, which is not there")));
        }
        files.entry(file).or_default().insert(tensor.clone());
    }
    if files.is_empty() {
        return Err(bad("names no file".to_owned()));
    }
    Ok(Index { path, files })
}

impl Index {
    /// Index and shard have to agree: a shard of another checkpoint has the same names of files.
    fn check(&self, shard: &Path, dict: &StateDict) -> Result<(), StageError> {
        let Some(listed) = self.files.get(shard) else { return Ok(()) };
        let there: BTreeSet<&str> = dict.names().collect();
        let missing = listed.iter().find(|name| !there.contains(name.as_str()));
        let unlisted = there.iter().find(|name| !listed.contains(**name));
        let file = shard.file_name().unwrap_or_default().display();
        let problem = match (missing, unlisted) {
            (Some(name), _) => format!("says that {file} has a tensor `{name}`, which it has not"),
            (None, Some(name)) => format!("does not know the tensor `{name}`, which {file} has"),
            (None, None) => return Ok(()),
        };
        Err(StageError::BadFile { path: self.path.clone(), problem })
    }
}

/// Opens files that together are one checkpoint.
fn open(
    paths: &[PathBuf],
    index: Option<&Index>,
    usual: Framework,
    model_type: &str,
) -> Result<Found, StageError> {
    let (mut tensors, mut warnings) = (Vec::new(), Vec::new());
    let (mut framework, mut container) = (usual, Container::Safetensors);
    for path in paths {
        let opened = zoo_formats::open(path)?;
        container = opened.container();
        warnings.extend(opened.warnings().iter().map(ToString::to_string));
        let dict = opened.state_dict()?;
        // Indices of HDF5 and msgpack write names in another way than their files.
        if let Some(index) = index.filter(|_| !matches!(container, Container::Hdf5 | Container::Msgpack)) {
            index.check(path, dict)?;
        }
        framework = of_metadata(dict).unwrap_or(usual);
        for (name, weight) in dict.iter() {
            tensors.push((name.to_owned(), weight.clone()));
        }
    }
    let mut tensors = crate::names::canonical(tensors, framework, container, model_type)?;
    if container == Container::Hdf5 {
        tensors = once_each(tensors)?;
    }
    let sources = paths.to_vec();
    Ok(Found { tensors, framework, sources, warnings })
}

/// Rows that are compared at a time, in bytes.
const COMPARED_BYTES: usize = 4 << 20;

/// Keras saves a variable with every layer that uses it. The copies are equal, and one is taken; if they are not, nothing tells which
/// one is meant, and they stay for the error that says so.
fn once_each(tensors: Vec<NamedWeight>) -> Result<Vec<NamedWeight>, StageError> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<NamedWeight> = Vec::new();
    for tensor in tensors {
        if let Some(before) = first.get(&tensor.path).and_then(|&at| kept.get(at)) {
            if equal(&before.weight, &tensor.weight)? {
                continue;
            }
        } else {
            first.insert(tensor.path.clone(), kept.len());
        }
        kept.push(tensor);
    }
    Ok(kept)
}

/// Whether two tensors hold the same, read in pieces.
fn equal(a: &Weight, b: &Weight) -> Result<bool, StageError> {
    if a.shape() != b.shape() || a.dtype() != b.dtype() {
        return Ok(false);
    }
    let Some(&rows) = a.shape().first() else { return Ok(whole(a)? == whole(b)?) };
    let row = (a.byte_len() as usize / rows.max(1)).max(1);
    let step = (COMPARED_BYTES / row).max(1);
    for start in (0..rows).step_by(step) {
        let count = step.min(rows - start);
        let piece = |weight: &Weight| whole(&weight.rows(start, count).map_err(zoo_formats::Error::from)?);
        if piece(a)? != piece(b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn whole(weight: &Weight) -> Result<Tensor, StageError> {
    Ok(weight.to_tensor().map_err(zoo_formats::Error::from)?)
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
