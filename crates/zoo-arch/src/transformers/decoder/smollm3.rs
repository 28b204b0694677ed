//! SmolLM3 (Hugging Face, 2025): LLaMA in which every fourth layer has no rotary embedding (Yang et al., 2025).

use super::heads::Decoder as _;
use super::llama::{Defaults, HEADS, Layers, Llama};
use crate::config::Config;
use crate::nn::RopeDefaults;
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "smollm3",
    prefix: "model",
    classes: &[
        class!("SmolLM3Model", FeatureExtraction, |g, m| smollm3(m)?.hidden_state(g, m)),
        class!("SmolLM3ForCausalLM", TextGeneration, |g, m| smollm3(m)?.logits(g, m)),
        class!("SmolLM3ForSequenceClassification", TextClassification, |g, m| smollm3(m)?.label(g, m)),
        class!("SmolLM3ForTokenClassification", TokenClassification, |g, m| smollm3(m)?.labels(g, m)),
        class!("SmolLM3ForQuestionAnswering", QuestionAnswering, |g, m| smollm3(m)?.spans(g, m)),
    ],
    heads: HEADS,
    unused: |_| false,
}];

fn smollm3(m: &Model<'_>) -> Result<Llama> {
    let config = m.config;
    let rope = RopeDefaults { theta: 2e6, partial: 1.0, max_positions: 32_768, original: None };
    let defaults =
        Defaults { width: 2048, layers: 36, heads: 16, kv_heads: Some(4), head: None, epsilon: 1e-6, rope };
    let used = config.flag("use_sliding_window", false)?;
    let window = if used { config.size_if(&["sliding_window"])? } else { None };
    if window.is_some() && !config.has("layer_types") {
        return Ok(config.unsupported("use_sliding_window")?);
    }
    Ok(Llama {
        unturned,
        window,
        windowed: Layers::with_window(config, Layers::All)?,
        tied: true,
        pad: Some(128_004),
        ..Llama::of(config, defaults)?
    })
}

/// Whether a layer has no rotary embedding: where `no_rope_layers` says 0, or every so-many-th.
fn unturned(config: &Config, layer: usize) -> Result<bool> {
    if config.has("no_rope_layers") {
        return Ok(config.sizes("no_rope_layers", &[])?.get(layer) == Some(&0));
    }
    let interval = config.size(&["no_rope_layer_interval"], 4)?;
    Ok(interval > 0 && (layer + 1).is_multiple_of(interval))
}
