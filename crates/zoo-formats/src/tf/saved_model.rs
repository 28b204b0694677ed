//! `saved_model.pb` and frozen graphs, read within bounds.
//!
//! A SavedModel is a folder: `saved_model.pb` with one or more graphs and their signatures, and `variables/` with a
//! [`bundle`](super::bundle) unless every value is a constant of the graph. A frozen graph is one file: a `GraphDef` without variables.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;

use super::proto::{GraphDef, MetaGraphDef, SavedModel};
use super::{CONTAINER, scan};
use crate::{Error, Result, limits};

/// The name of the file with the graphs.
pub const GRAPHS: &str = "saved_model.pb";

/// The prefix of the bundle with the variables, below a SavedModel's folder.
pub fn variables(folder: &Path) -> PathBuf {
    folder.join("variables").join("variables")
}

/// Reads `saved_model.pb` of a SavedModel's folder. Constants stay where they are in the file's map.
///
/// # Errors
/// If there is none, it is damaged, or it asks for more than [`limits`] allow.
pub fn read(folder: &Path) -> Result<SavedModel> {
    let path = folder.join(GRAPHS);
    let bytes = map(&path)?;
    scan::saved_model(&path, &bytes)?;
    SavedModel::decode(bytes).map_err(|error| undecoded(&path, &error))
}

/// Reads a frozen graph.
///
/// # Errors
/// As [`read`].
pub fn read_graph(path: &Path) -> Result<GraphDef> {
    let bytes = map(path)?;
    scan::graph(path, &bytes)?;
    GraphDef::decode(bytes).map_err(|error| undecoded(path, &error))
}

/// The graph whose tags are exactly these.
pub fn tagged<'m>(model: &'m SavedModel, tags: &[&str]) -> Option<&'m MetaGraphDef> {
    model.meta_graphs.iter().find(|graph| {
        let own = graph.meta_info_def.as_ref().map_or(&[][..], |info| &info.tags);
        own.len() == tags.len() && tags.iter().all(|tag| own.iter().any(|own| own == tag))
    })
}

fn map(path: &Path) -> Result<Bytes> {
    let bytes = zoo_tensor::map::map_file(path)?;
    // Protobuf's own limit.
    if bytes.len() as u64 > limits::MAX_GRAPH_BYTES {
        return Err(Error::TooMuch {
            holder: path.display().to_string(),
            what: "bytes",
            found: bytes.len() as u64,
            limit: limits::MAX_GRAPH_BYTES,
        });
    }
    Ok(bytes)
}

fn undecoded(path: &Path, error: &prost::DecodeError) -> Error {
    Error::Damaged { path: path.to_owned(), container: CONTAINER, offset: 0, problem: error.to_string() }
}
