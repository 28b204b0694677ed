//! Models of several kinds of input at once, with the names of the transformers library.

mod clip;
mod siglip;
mod towers;

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[clip::ARCHITECTURES, siglip::ARCHITECTURES];
