//! From a [`Graph`] to files: one `.onnx`, and its weights where they are, or packed behind it.
//!
//! - [`write()`] is the writer. Its two choices are where weights go ([`Placement`]) and as what ([`EmitOptions::dtype`]).
//! - [`model`], [`to_proto`] and [`text`] give the message alone, with weights that are named and not placed: what tests and
//!   checks look at.
//!
//! **In place**, the default, an initialiser is ONNX external data that points into the checkpoint itself, at its exact offset
//! and length. No byte of it is read. That needs the checkpoint to lie in the model's folder or below, as a regular file: what
//! every runtime accepts (ONNX Runtime from 1.24 on, `onnx` and tract refuse `..`, absolute paths and links that lead out).
//! Offsets need no alignment: eleven versions of ONNX Runtime, tract and `onnx` read odd ones. What cannot be pointed at,
//! because its bytes stand in another order or were computed, is rewritten.
//!
//! **Packed**, everything is rewritten into one `.onnx.data` beside the model, aligned so that a mapped tensor can be used
//! where it lies.
//!
//! In either case, what is rewritten stands in the `.onnx` itself if all of it together is small
//! ([`crate::limits::MAX_EMBEDDED_BYTES`]). It is rewritten one piece after the other: memory does not grow with the model.
//!
//! Files appear whole or not at all: temporary files in the model's folder, the checker's word, then renames. The same graph gives
//! the same bytes.

mod cast;
mod files;
mod plan;
mod proto;
mod stream;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use prost::Message as _;
use zoo_tensor::DType;

pub use stream::Content;

use crate::limits::MAX_FILE_BYTES;
use crate::proto::ModelProto;
use crate::{Error, Graph, Model, Result, check};

/// Where weights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Placement {
    /// They stay in the checkpoint, and the model points there. The checkpoint has to lie in the model's folder or below.
    #[default]
    InPlace,
    /// They are copied into one file beside the model, or into the model if they are small: the two can be moved anywhere.
    Packed,
}

/// How a graph is written. The default is in place, with every weight as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EmitOptions {
    /// Where weights go. Those that change their type cannot stay in place, whatever stands here.
    pub placement: Placement,
    /// Write floating-point weights as this type: `f16`, `bf16` or `f32`. The graph casts them back, so that it computes as
    /// before. Rounding is to the nearest, ties to even; a finite number that would become infinite is an error. Needs the feature
    /// `compute`, unless all weights are of that type already.
    pub dtype: Option<DType>,
    /// Flush what is written to the disk before it gets its name. Not done by default: everything staged can be made again.
    pub durable: bool,
}

impl EmitOptions {
    /// Weights stay where they are.
    pub fn in_place() -> Self {
        Self::default()
    }

    /// Weights are copied beside the model.
    pub fn packed() -> Self {
        Self { placement: Placement::Packed, ..Self::default() }
    }

    /// The same, with floating-point weights written as `dtype`.
    #[must_use]
    pub fn typed(self, dtype: DType) -> Self {
        Self { dtype: Some(dtype), ..self }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Written {
    /// The files that the model takes its weights from, relative to its folder, sorted: originals, and [`Written::data`].
    pub files: Vec<PathBuf>,
    /// Of these, the one that was written, relative to the model's folder.
    pub data: Option<PathBuf>,
    /// Of these, originals with more than one name (hard links): `onnx` from 1.21 on refuses to load them, ONNX Runtime does
    /// not mind.
    pub hard_linked: Vec<PathBuf>,
    /// The bytes written: the model and its data file.
    pub bytes_written: u64,
    /// The bytes of weights that stayed where they are; a range that several initialisers share counts once.
    pub in_place_bytes: u64,
}

/// The message of a graph whose weights are named and not placed: each is external data in a file called `weights`, which does
/// not exist.
pub fn to_proto(graph: &Graph) -> ModelProto {
    proto::message(graph, |_| proto::Data::Unplaced)
}

/// The model of a graph whose weights are named and not placed, checked.
///
/// # Errors
/// [`Error::Unsound`] if it is not a valid model.
pub fn model(graph: &Graph) -> Result<Model> {
    sound(Model::new(to_proto(graph), None))
}

/// A graph in ONNX's text syntax, for snapshots: without the version of zoo, so that they outlive it.
///
/// # Errors
/// As [`model`].
pub fn text(graph: &Graph) -> Result<String> {
    let mut proto = to_proto(graph);
    proto.producer_version = None;
    Ok(crate::text::to_text(&sound(Model::new(proto, None))?))
}

/// Writes a graph to `path`, and its weights as `options` say. Files of those names are replaced.
///
/// # Errors
/// If a weight cannot be read or has no place that a model may point to, a number does not fit the type asked for, the message
/// would be larger than protobuf allows, or a file cannot be written. Nothing is left behind then.
pub fn write(graph: &Graph, path: &Path, options: &EmitOptions) -> Result<Written> {
    let target = files::Target::new(path)?;
    let typed;
    let graph = match options.dtype {
        None => graph,
        Some(dtype) => {
            typed = cast::weights_as(graph, dtype)?;
            &typed
        }
    };
    let plan = plan::Plan::new(graph, &target, options.placement)?;
    let data = plan.write_data(graph, &target)?;
    let model = sound(Model::new(proto::message(graph, |val| plan.data(val)), None))?;
    let size = model.proto().encoded_len() as u64;
    if size > MAX_FILE_BYTES {
        return Err(Error::TooMuch {
            file: path.display().to_string(),
            what: "bytes",
            limit: MAX_FILE_BYTES,
        });
    }
    let mut onnx = target.temporary(path)?;
    let bytes = model.proto().encode_to_vec();
    onnx.file().write_all(&bytes).map_err(files::failed("write", path))?;
    let mut written = plan.into_written();
    written.bytes_written += size;
    target.put_in_place(onnx, data, options.durable)?;
    Ok(written)
}

/// Lets the checker have the last word: what it finds is zoo's own mistake.
fn sound(model: Model) -> Result<Model> {
    let report = check(&model);
    if report.is_ok() { Ok(model) } else { Err(Error::Unsound { report }) }
}

#[cfg(test)]
mod tests;
