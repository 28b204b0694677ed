//! Models of sound, with the names of the transformers library.

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[];
