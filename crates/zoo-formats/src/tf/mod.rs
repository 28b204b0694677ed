//! TensorFlow's files: graphs, SavedModels, and the bundles that hold their variables.
//!
//! - [`proto`]: the protobuf messages, and [`DataType`]'s relation to zoo's element types;
//! - [`table`]: the sorted table that a bundle's index is (LevelDB's format), read and written;
//! - [`bundle`]: a checkpoint of version 2, *TensorBundle*: named tensors as places in shards, read and written;
//! - [`saved_model`]: `saved_model.pb` and frozen graphs, read within bounds.
//!
//! What is written and read is told in `docs/formats/tensorflow.md`.

pub mod bundle;
mod crc;
pub mod proto;
pub mod saved_model;
mod scan;
pub mod table;

pub use crc::Crc;
pub use proto::DataType;

/// The container's name in messages.
const CONTAINER: &str = "TensorFlow";
