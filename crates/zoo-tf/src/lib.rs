//! A typed graph as TensorFlow's.
//!
//! zoo builds graphs of ONNX's operators ([`zoo_graph::Graph`]). Here they become TensorFlow's, in two forms:
//!
//! - [`saved_model::write`]: a SavedModel whose variables are *the checkpoint's own bytes*. Its table of contents says of each variable
//!   where it lies in the safetensors file; nothing of it is rewritten. Of any size, with the signatures that transformers' own models of
//!   TensorFlow have.
//! - [`frozen::write`]: one file with everything in it, for importers that know nothing else. It holds a copy of the weights and
//!   cannot be larger than two gigabytes, which is protobuf's limit.
//!
//! [`lower`] has the translation: one small function for each of ONNX's operators, in tables by topic. What has no counterpart is
//! an error that names all of it at once.
//!
//! ```no_run
//! # fn example(graph: &zoo_graph::Graph) -> zoo_tf::Result<()> {
//! use zoo_tf::saved_model::{self, SavedModelOptions};
//! let written = saved_model::write(graph, "bert/saved_model/1".as_ref(), &SavedModelOptions::default())?;
//! println!("{} bytes beside the weights", written.bytes_written);
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: this crate knows no network, no store and no source framework. It computes nothing but checksums.

mod content;
mod error;
mod files;
pub mod frozen;
pub mod lower;
mod nodes;
pub mod saved_model;
mod signature;

pub use error::{Error, Refusal, Result};
pub use signature::{Port, Written};
