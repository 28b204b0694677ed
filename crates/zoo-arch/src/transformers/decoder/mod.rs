//! Models that continue a text, with the names of the transformers library.
//!
//! `texts` is what all of them take and give, `heads` what follows on them, `llama` the block that most are made of.

mod alibi;
mod bloom;
mod falcon;
mod gemma;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod group_query;
mod heads;
mod llama;
mod mistral;
mod opt;
mod phi;
mod phi3;
mod qwen;
mod smollm3;
#[cfg(test)]
mod testing;
pub(super) mod texts;
mod turned;

use super::Architecture;

pub(super) const FAMILIES: &[&[Architecture]] = &[
    gpt2::ARCHITECTURES,
    llama::ARCHITECTURES,
    qwen::ARCHITECTURES,
    mistral::ARCHITECTURES,
    gemma::ARCHITECTURES,
    phi3::ARCHITECTURES,
    smollm3::ARCHITECTURES,
    gpt_neox::ARCHITECTURES,
    opt::ARCHITECTURES,
    phi::ARCHITECTURES,
    falcon::ARCHITECTURES,
    bloom::ARCHITECTURES,
    gpt_neo::ARCHITECTURES,
    gptj::ARCHITECTURES,
];
