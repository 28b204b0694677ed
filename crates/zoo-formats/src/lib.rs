//! Readers of weight containers: what a checkpoint holds, as places in the file.
//!
//! [`open`] recognises a file by its bytes and reads its table of contents; [`Checkpoint::state_dict`] gives named
//! [`zoo_tensor::Weight`]s. The weights themselves are never read, so opening a checkpoint of any size takes milliseconds
//! and as much memory as its table of contents.
//!
//! ```no_run
//! let checkpoint = zoo_formats::open("resnet18-f37072fd.pth".as_ref())?;
//! for (name, weight) in checkpoint.state_dict()?.iter() {
//!     let place = weight.in_place(); // The byte of the file at which it lies, if it lies there as ONNX wants it.
//! }
//! # Ok::<(), zoo_formats::Error>(())
//! ```
//!
//! - `safetensors` (feature): read by the crate of that name.
//! - `torch` (feature): both containers of `torch.save`, zip and legacy. A checkpoint is a program for Python's pickle
//!   machine; [`pickle`] runs it on a machine that can build data and call nothing.
//! - `hdf5`: files of Keras and of TensorFlow models; [`hdf5`] is also a reader of any such file.
//! - `msgpack`: files of Flax models.
//! - `tensorflow`, which is no default: graphs, SavedModels and the bundles of their variables, read and written ([`tf`]). What they hold
//!   is asked for there; [`open`] does not know them.
//!
//! [`sniff`] names everything else that is mistaken for a checkpoint. [`limits`] says how much a file may ask for.
//!
//! Architecture invariant: nothing in a file is executed, and no name in it is looked up. This crate knows neither the
//! network nor the store nor ONNX.

#[cfg(not(any(feature = "hdf5", feature = "msgpack", feature = "safetensors", feature = "torch")))]
compile_error!("zoo-formats reads nothing without one of its features: hdf5, msgpack, safetensors, torch");

mod checkpoint;
mod error;
mod file;
#[cfg(feature = "hdf5")]
pub mod hdf5;
pub mod limits;
#[cfg(feature = "msgpack")]
mod msgpack;
mod origin;
#[cfg(feature = "torch")]
pub mod pickle;
mod quantizer;
mod sniff;
mod state_dict;
#[cfg(feature = "safetensors")]
mod tensors;
#[cfg(feature = "tensorflow")]
pub mod tf;
#[cfg(feature = "torch")]
mod torch;
mod warning;
#[cfg(feature = "torch")]
mod zip;

pub use checkpoint::{Checkpoint, Container, ForeignGlobal, open};
pub use error::{Error, Refusals, Result};
pub use origin::{Dictionary, Origin, Skipped};
pub use quantizer::Quantizer;
pub use sniff::{Looks, Sniffed, sniff};
pub use state_dict::StateDict;
pub use warning::Warning;
