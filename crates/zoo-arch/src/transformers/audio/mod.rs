//! Models of sound, with the names of the transformers library.

mod wav2vec2;
mod whisper;

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[whisper::ARCHITECTURES, wav2vec2::ARCHITECTURES];
