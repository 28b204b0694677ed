//! Mistral (Jiang et al., 2023): LLaMA with a window in all layers, if the configuration does not switch it off.

use super::heads::Decoder as _;
use super::llama::{Defaults, HEADS, Llama};
use crate::nn::RopeDefaults;
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "mistral",
    prefix: "model",
    classes: &[
        class!("MistralModel", FeatureExtraction, |g, m| mistral(m)?.hidden_state(g, m)),
        class!("MistralForCausalLM", TextGeneration, |g, m| mistral(m)?.logits(g, m)),
        class!("MistralForSequenceClassification", TextClassification, |g, m| mistral(m)?.label(g, m)),
        class!("MistralForTokenClassification", TokenClassification, |g, m| mistral(m)?.labels(g, m)),
        class!("MistralForQuestionAnswering", QuestionAnswering, |g, m| mistral(m)?.spans(g, m)),
    ],
    heads: HEADS,
    unused: |_| false,
}];

fn mistral(m: &Model<'_>) -> Result<Llama> {
    let rope = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 131_072, original: None };
    let defaults =
        Defaults { width: 4096, layers: 32, heads: 32, kv_heads: Some(8), head: None, epsilon: 1e-6, rope };
    let window = match m.config.size_if(&["sliding_window"])? {
        None if m.config.is_null("sliding_window") => None,
        said => said.or(Some(4096)),
    };
    Ok(Llama { window, ..Llama::of(m.config, defaults)? })
}
