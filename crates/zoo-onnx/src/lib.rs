//! The ONNX Model Zoo: <https://github.com/onnx/models>, whose files live in the Hugging Face organisation `onnxmodelzoo`.
//!
//! - [`catalog`]: what there is. The hub's own manifest is catalogue and checksum source; a copy is compiled in, so that
//!   names resolve and digests are known without a network.
//! - [`Hub`]: from a handle to verified files, an own cache of the ecosystem's tools included.
//! - [`Model`]: what was pulled, and its staging. The zoo's files are ONNX already, so staging checks the graph, reads what
//!   it wants into the manifest, and copies nothing: the staged model is the original, under its own name.
//! - [`local`]: the same for a file or folder that no hub knows.
//!
//! ```no_run
//! # async fn example() -> Result<(), zoo_onnx::Error> {
//! let zoo = zoo_core::Zoo::open(zoo_core::ZooConfig::new("models-of-mine"));
//! let model = zoo_onnx::Hub::new(&zoo).pull(&"onnx:mnist-12".parse()?).await?;
//! println!("{} wants {:?}", model.path().display(), model.manifest().model.inputs);
//! # Ok(()) }
//! ```

mod archive;
pub mod catalog;
mod describe;
mod error;
mod export;
mod hub;
pub mod local;
mod model;
mod sources;

pub use error::{Error, Result};
pub use hub::{Hub, Listing, OnnxConfig, Resolution};
pub use model::Model;
