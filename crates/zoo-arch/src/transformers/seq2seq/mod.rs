//! Models with an encoder and a decoder, with the names of the transformers library.

mod bart;
pub(crate) mod decoder;
pub(crate) mod heads;
pub(crate) mod layers;
mod t5;
#[cfg(test)]
pub(crate) mod testing;

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[t5::ARCHITECTURES, bart::ARCHITECTURES];
