//! The torchvision zoo, and PyTorch checkpoints of one's own.
//!
//! - [`catalog`]: what there is. The server has no listing, so torchvision's own registry is compiled in; a newer one can be given.
//! - [`Hub`]: from a handle to verified weights, torch's own cache included.
//! - [`Model`]: what was pulled, and its staging as ONNX: a small graph whose weights stay in the original.
//! - [`local`]: the same for a checkpoint that no hub knows; [`inspect`] tells what is in one.
//! - [`mod@stage`]: from a checkpoint's bytes to the graph: names, network, evidence.
//! - [`recipe`]: how a picture becomes an input, as torchvision's presets do it.
//!
//! ```no_run
//! # async fn example() -> Result<(), zoo_torch::Error> {
//! use zoo_core::stage::{StageOptions, Target};
//!
//! let zoo = zoo_core::Zoo::open(zoo_core::ZooConfig::new("models-of-mine"));
//! let model = zoo_torch::Hub::new(&zoo).pull(&"torchvision:resnet50".parse()?).await?;
//! let onnx = model.stage(&StageOptions::to(Target::Onnx)).await?;
//! println!("{} wants {:?}", onnx.path().display(), onnx.manifest().model.inputs);
//! # Ok(()) }
//! ```

pub mod catalog;
mod error;
mod facts;
mod hub;
pub mod inspect;
pub mod local;
mod model;
mod onnx;
pub mod recipe;
mod rename;
pub mod stage;
#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use hub::{Hub, Listing, Resolution, TorchConfig};
pub use model::Model;
