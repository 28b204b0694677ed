//! Files through the whole crate: PyTorch's own, and ones that PyTorch would never write.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod assemble;
mod finding;
mod fixtures;
mod hdf5;
mod hostile;
mod msgpack;
mod sniffing;
mod support;
