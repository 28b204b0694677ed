//! Runs ONNX models, reads and makes what goes into them, and compares what comes out.
//!
//! - [`Runner`]: an engine with a model loaded. There are two, each a module and a cargo feature: `ort` (on by default) is
//!   ONNX Runtime, whose library is opened when a model is loaded; `tract` is written in Rust, needs nothing beside the
//!   program, and takes minutes to build.
//! - [`data`]: tensors from files (`.npy`, `.npz`, ONNX `.pb`), from published test data sets, or made from the model's
//!   declared shapes; and which tensor goes into which port.
//! - `image` (a feature): pictures in, by a model's recipe, and labels and masks out.
//! - `text` (a feature): texts in, labels, spans, embeddings and answers out; `generate` (with `ort`): texts written on, token by
//!   token.
//! - `audio` (a feature): sounds in, what is said in them and what they are out.
//! - [`compare`]: whether an output is the expected one, by a rule that small outputs cannot slip through.
//! - [`limits`]: how much a file or a shape may ask for.
//!
#![cfg_attr(feature = "ort", doc = "```no_run")]
#![cfg_attr(not(feature = "ort"), doc = "```ignore")]
//! use std::path::Path;
//!
//! use zoo_run::compare::{Tolerance, compare_all};
//! use zoo_run::ort::{LibrarySearch, OrtOptions, OrtRunner};
//! use zoo_run::{Runner as _, data};
//!
//! # fn main() -> zoo_run::Result<()> {
//! let mut search = LibrarySearch::default();
//! search.folders.push("runtime".into()); // runtime/onnxruntime-1.32.0/libonnxruntime.so.1.32.0
//! let model = Path::new("mnist-12/mnist-12.onnx");
//! let mut runner = OrtRunner::load(&search, model, &OrtOptions::default())?;
//!
//! let set = data::read_data_set(Path::new("mnist-12/test_data_set_0"))?;
//! let inputs = data::assign(set.inputs, runner.inputs())?;
//! let outputs = runner.run(&inputs)?;
//! for comparison in compare_all(&set.outputs, &outputs, &Tolerance::default()) {
//!     assert!(comparison.equal, "{comparison}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: this crate knows tensors and graphs, and neither hubs nor the store. It reads no environment
//! variable and prints nothing; what an engine logs goes to `tracing`.

#[cfg(feature = "audio")]
pub mod audio;
pub mod compare;
#[cfg(feature = "text")]
mod config;
pub mod data;
mod error;
#[cfg(feature = "text")]
mod files;
#[cfg(all(feature = "text", feature = "ort"))]
pub mod generate;
#[cfg(any(feature = "ort", feature = "tract", feature = "text"))]
mod guard;
#[cfg(feature = "image")]
pub mod image;
pub mod limits;
#[cfg(any(feature = "ort", feature = "tract"))]
mod model;
#[cfg(feature = "text")]
mod numbers;
#[cfg(feature = "ort")]
pub mod ort;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "tract")]
pub mod tract;

#[cfg(feature = "text")]
pub use config::{ModelConfig, Problem};
pub use error::{Error, Result};

/// A tensor and its name; the name is empty where the source has none.
pub type Named = (String, zoo_tensor::Tensor);

/// An engine with a model loaded.
pub trait Runner: Send {
    /// The engine and its version: `ONNX Runtime 1.32.0`, `tract 0.23.9`.
    fn engine(&self) -> &str;

    /// What has to be fed, in the model's order; inputs that an initializer gives a value to are left out.
    fn inputs(&self) -> &[zoo_graph::Port];

    /// What comes out, in the model's order.
    fn outputs(&self) -> &[zoo_graph::Port];

    /// Runs the model once. Inputs are given by name, in any order, each exactly once; outputs come in declared order.
    ///
    /// # Errors
    /// [`Error::Unfit`] with every input that is missing, unknown or of another type or shape; [`Error::Run`] with what
    /// the engine said.
    fn run(&mut self, inputs: &[Named]) -> Result<Vec<Named>>;
}
