//! Phi-3, 3.5 and 4 (Abdin et al., 2024): LLaMA with projections that are one tensor each, and LongRoPE for long texts.

use super::heads::Decoder as _;
use super::llama::{Defaults, HEADS, Llama};
use crate::nn::RopeDefaults;
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "phi3",
    prefix: "model",
    classes: &[
        class!("Phi3Model", FeatureExtraction, |g, m| phi3(m)?.hidden_state(g, m)),
        class!("Phi3ForCausalLM", TextGeneration, |g, m| phi3(m)?.logits(g, m)),
        class!("Phi3ForSequenceClassification", TextClassification, |g, m| phi3(m)?.label(g, m)),
        class!("Phi3ForTokenClassification", TokenClassification, |g, m| phi3(m)?.labels(g, m)),
    ],
    heads: HEADS,
    unused: |_| false,
}];

fn phi3(m: &Model<'_>) -> Result<Llama> {
    let rope = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 4096, original: Some(4096) };
    let defaults =
        Defaults { width: 3072, layers: 32, heads: 32, kv_heads: None, head: None, epsilon: 1e-5, rope };
    Ok(Llama {
        window: m.config.size_if(&["sliding_window"])?,
        fused: true,
        pad: Some(32_000),
        ..Llama::of(m.config, defaults)?
    })
}
