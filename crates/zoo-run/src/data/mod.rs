//! Tensors from files, from published test data sets, or made from what a model declares; and which goes where.

mod assign;
mod descr;
mod generate;
mod npy;
mod npz;
mod read;
mod set;
mod write;

pub use assign::assign;
#[cfg(any(feature = "ort", feature = "tract"))]
pub(crate) use assign::check;
pub use generate::{Generate, generate};
pub use read::read;
pub use set::{DataSet, read_data_set};
pub use write::{write_npy, write_npz};
