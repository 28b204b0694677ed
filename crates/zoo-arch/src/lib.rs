//! Networks whose checkpoints hold weights only, as ONNX graphs with types: one file per family, reading like the paper.
//!
//! - [`networks`]: every network by the name that its checkpoints are published under; [`find`] one, [`recognise`] one from the
//!   tensors of a checkpoint.
//! - [`Network::graph`]: from weights to a graph. Channel counts, kernel sizes and groups come from the weights; a family states only
//!   what a checkpoint cannot say (strides, activations, epsilons, numbers of heads).
//! - [`nn`]: the blocks that families share.
//!
//! A wrong network is impossible: every tensor is checked against the operator that uses it, and a tensor that no operator
//! asked for is an error. Names of tensors are those of torchvision; other sources are renamed before they come here.
//!
//! Architecture invariant: this crate knows no file, no hub and no source framework; where weights came from is not its business.
//!
//! To add a family: one file, its slice of [`Network`]s in [`networks`], and a fixture (`tests/fixtures/torch/networks`).

pub mod config;
mod image;
mod network;
pub mod nn;
mod recognise;
pub mod segmentation;
mod task;
#[cfg(test)]
mod testing;
pub mod transformers;
pub mod video;
pub mod vision;

pub use config::{Config, ConfigError};
pub use image::ImageSize;
pub use network::{Built, GraphOptions, Input, Network, find, networks};
pub use recognise::{Recognised, recognise};
pub use task::{NoTask, Task};
