//! HDF5: the files of Keras, of TensorFlow models on Hugging Face, and whatever else h5py wrote.
//!
//! A reader of the format in safe Rust, checked against files of h5py; the format is defined by the *HDF5 File Format Specification* (The
//! HDF Group). It knows where things are: a dataset whose elements lie one after the other is a place in the file, and only chunks are read into memory.
//!
//! - [`File`], [`Group`], [`Dataset`], [`Attribute`]: any file, by its paths.
//! - [`layers`]: what Keras's weight files say about the order of layers and weights.
//!
//! Read are superblocks 0 to 3, both kinds of object headers, groups and attributes in every form, and all layouts of
//! chunks. Refused by name are links that lead out of the group tree (they can name files of the machine that reads), elements
//! that lie in other files, filters other than deflate, shuffle and fletcher32, and types that no tensor holds.
//!
//! Every file is hostile until read: offsets are checked against the file's length before anything is reserved, structures
//! that lead into themselves end in an error, and what is computed is bounded by [`crate::limits`].

mod arrays;
mod attribute;
mod btree1;
mod btree2;
mod checksum;
mod chunks;
mod cursor;
mod dataset;
mod dataspace;
mod datatype;
mod file;
mod filter;
mod fractal;
mod group;
mod heap;
mod keras;
mod layout;
mod object;
mod superblock;
mod weights;

pub use attribute::{Attribute, Value};
pub use dataset::Dataset;
pub use file::File;
pub use group::{Child, Group, Link};
pub use keras::{Layer, layers};
pub(crate) use weights::Weights;
