//! Qwen 2 and Qwen 3 (Yang et al., 2024 and 2025): LLaMA with biases on queries, keys and values, or with norms over their heads; and with a
//! window in the upper layers, if the configuration asks for one.

use super::heads::Decoder as _;
use super::llama::{Defaults, HEADS, Layers, Llama};
use crate::nn::RopeDefaults;
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "qwen2",
        prefix: "model",
        classes: &[
            class!("Qwen2Model", FeatureExtraction, |g, m| qwen2(m)?.hidden_state(g, m)),
            class!("Qwen2ForCausalLM", TextGeneration, |g, m| qwen2(m)?.logits(g, m)),
            class!("Qwen2ForSequenceClassification", TextClassification, |g, m| qwen2(m)?.label(g, m)),
            class!("Qwen2ForTokenClassification", TokenClassification, |g, m| qwen2(m)?.labels(g, m)),
            class!("Qwen2ForQuestionAnswering", QuestionAnswering, |g, m| qwen2(m)?.spans(g, m)),
        ],
        heads: HEADS,
        unused: |_| false,
    },
    Architecture {
        model_type: "qwen3",
        prefix: "model",
        classes: &[
            class!("Qwen3Model", FeatureExtraction, |g, m| qwen3(m)?.hidden_state(g, m)),
            class!("Qwen3ForCausalLM", TextGeneration, |g, m| qwen3(m)?.logits(g, m)),
            class!("Qwen3ForSequenceClassification", TextClassification, |g, m| qwen3(m)?.label(g, m)),
            class!("Qwen3ForTokenClassification", TokenClassification, |g, m| qwen3(m)?.labels(g, m)),
            class!("Qwen3ForQuestionAnswering", QuestionAnswering, |g, m| qwen3(m)?.spans(g, m)),
        ],
        heads: HEADS,
        unused: |_| false,
    },
];

const ROPE: RopeDefaults =
    RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 32_768, original: None };

fn qwen2(m: &Model<'_>) -> Result<Llama> {
    with_window(
        m,
        Defaults {
            width: 4096,
            layers: 32,
            heads: 32,
            kv_heads: Some(32),
            head: None,
            epsilon: 1e-6,
            rope: ROPE,
        },
    )
}

fn qwen3(m: &Model<'_>) -> Result<Llama> {
    let defaults = Defaults {
        width: 4096,
        layers: 32,
        heads: 32,
        kv_heads: Some(32),
        head: Some(128),
        epsilon: 1e-6,
        rope: ROPE,
    };
    Ok(Llama { head_norms: true, ..with_window(m, defaults)? })
}

fn with_window(m: &Model<'_>, defaults: Defaults) -> Result<Llama> {
    let config = m.config;
    let used = config.flag("use_sliding_window", false)? && !config.is_null("sliding_window");
    let window = if used { Some(config.size(&["sliding_window"], 4096)?) } else { None };
    let windowed = Layers::with_window(config, Layers::From(config.size(&["max_window_layers"], 28)?))?;
    Ok(Llama { window, windowed, ..Llama::of(config, defaults)? })
}
