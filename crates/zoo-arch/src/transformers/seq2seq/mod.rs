//! Models with an encoder and a decoder, with the names of the transformers library.

mod bart;
pub(crate) mod decoder;
pub(crate) mod heads;
pub(crate) mod layers;
mod t5;

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[t5::ARCHITECTURES, bart::ARCHITECTURES];
