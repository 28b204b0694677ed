//! Reads, describes and checks ONNX models, without copying their weights and without trusting them.
//!
//! Start at [`Model::open`]: it maps the file, walks over it once to bound what it may cost ([`limits`]), and decodes
//! it into the [`proto`] messages, whose weights are slices of the map. From there:
//!
//! - [`Model`] answers questions: [`Port`]s, opsets, operators used, external files needed;
//! - [`check()`] lists everything structurally wrong with a model, all at once;
//! - [`external`] decides which external data locations may be followed, and follows them;
//! - [`tensor`] turns ONNX tensors, however stored, into [`zoo_tensor::Tensor`];
//! - [`text`] writes a model in ONNX's own text syntax.
//!
//! Making one goes the other way: [`Builder`] makes a [`Graph`], [`mod@pass`] rewrites it, [`emit`] writes it.
//!
//! Architecture invariant: this crate knows no network, no store and no source framework. Nothing in a model is
//! executed, and no input makes it panic, recurse without bound or allocate without bound.

pub mod builder;
pub mod check;
mod decode;
mod dim;
pub mod emit;
mod error;
pub mod external;
pub mod graph;
pub mod limits;
mod model;
pub mod ops;
pub mod pass;
pub mod proto;
mod scan;
mod sniff;
pub mod tensor;
#[cfg(test)]
mod testing;
pub mod text;
mod types;
mod walk;
pub mod weights;

pub use builder::Builder;
pub use check::check;
pub use error::{Error, Result};
pub use graph::{Graph, Val};
pub use model::{Initializers, Model, Opset};
pub use sniff::Looks;
pub use types::{Port, PortType};
pub use weights::Weights;
