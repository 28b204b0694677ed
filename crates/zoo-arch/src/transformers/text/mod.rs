//! Models of texts, with the names of the transformers library.

mod albert;
mod bert;
mod deberta_v2;
mod disentangled;
mod distilbert;
mod electra;
mod encoder;
mod heads;
mod jina_bert;
mod modernbert;
mod mpnet;
mod new;
mod nomic_bert;
mod roberta;
mod rotated;
#[cfg(test)]
mod testing;

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[
    bert::ARCHITECTURES,
    roberta::ARCHITECTURES,
    distilbert::ARCHITECTURES,
    mpnet::ARCHITECTURES,
    electra::ARCHITECTURES,
    albert::ARCHITECTURES,
    deberta_v2::ARCHITECTURES,
    modernbert::ARCHITECTURES,
    nomic_bert::ARCHITECTURES,
    new::ARCHITECTURES,
];
