//! Gemma (Gemma Team, 2024), Gemma 2 (2024) and the texts of Gemma 3 (2025): LLaMA with norms that multiply by `1 + weight`, and embeddings
//! times the root of their width.
//!
//! That root is a number of single precision here, as the library has it for a model of single precision; for one of half precision the
//! library rounds it to that. From the second on there are norms behind sublayers, too, windows in most layers, and scores and logits that
//! are bounded by a tanh; the third has norms over heads instead of bounds, and another rotary embedding in layers with a window.

use super::heads::Decoder as _;
use super::llama::{Defaults, HEADS, Layers, Llama};
use crate::config::Config;
use crate::nn::{Rope, RopeDefaults};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "gemma",
        prefix: "model",
        classes: &[
            class!("GemmaModel", FeatureExtraction, |g, m| gemma(m)?.hidden_state(g, m)),
            class!("GemmaForCausalLM", TextGeneration, |g, m| gemma(m)?.logits(g, m)),
            class!("GemmaForSequenceClassification", TextClassification, |g, m| gemma(m)?.label(g, m)),
            class!("GemmaForTokenClassification", TokenClassification, |g, m| gemma(m)?.labels(g, m)),
        ],
        heads: HEADS,
        unused: |_| false,
    },
    Architecture {
        model_type: "gemma2",
        prefix: "model",
        classes: &[
            class!("Gemma2Model", FeatureExtraction, |g, m| gemma2(m)?.hidden_state(g, m)),
            class!("Gemma2ForCausalLM", TextGeneration, |g, m| gemma2(m)?.logits(g, m)),
            class!("Gemma2ForSequenceClassification", TextClassification, |g, m| gemma2(m)?.label(g, m)),
            class!("Gemma2ForTokenClassification", TokenClassification, |g, m| gemma2(m)?.labels(g, m)),
        ],
        heads: HEADS,
        unused: |_| false,
    },
    Architecture {
        model_type: "gemma3_text",
        prefix: "model",
        classes: &[
            class!("Gemma3TextModel", FeatureExtraction, |g, m| gemma3(m)?.hidden_state(g, m)),
            class!("Gemma3ForCausalLM", TextGeneration, |g, m| gemma3(m)?.logits(g, m)),
            class!("Gemma3TextForSequenceClassification", TextClassification, |g, m| gemma3(m)?.label(g, m)),
        ],
        heads: HEADS,
        unused: |_| false,
    },
];

/// What the three have in common.
fn common(config: &Config, defaults: Defaults) -> Result<Llama> {
    let width = config.size(&["hidden_size"], defaults.width)?;
    Ok(Llama {
        activation: config.word(&["hidden_activation"], "gelu_pytorch_tanh")?.to_owned(),
        norms_from_one: true,
        embedding_scale: Some((width as f64).sqrt() as f32),
        places: false,
        tied: true,
        pad: Some(0),
        ..Llama::of(config, defaults)?
    })
}

fn gemma(m: &Model<'_>) -> Result<Llama> {
    let rope = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 8192, original: None };
    let defaults = Defaults {
        width: 3072,
        layers: 28,
        heads: 16,
        kv_heads: Some(16),
        head: Some(256),
        epsilon: 1e-6,
        rope,
    };
    // Of the two names of the activation, the class reads this one.
    let activation = m.config.word(&["hidden_act"], "gelu_pytorch_tanh")?.to_owned();
    Ok(Llama { activation, ..common(m.config, defaults)? })
}

fn gemma2(m: &Model<'_>) -> Result<Llama> {
    let config = m.config;
    let rope = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 8192, original: None };
    let defaults = Defaults {
        width: 2304,
        layers: 26,
        heads: 8,
        kv_heads: Some(4),
        head: Some(256),
        epsilon: 1e-6,
        rope,
    };
    Ok(Llama {
        scale: scale(config)?,
        window: Some(config.size(&["sliding_window"], 4096)?),
        windowed: Layers::with_window(config, Layers::AllButEvery(2))?,
        sandwich: true,
        score_cap: cap(config, "attn_logit_softcapping", Some(50.0))?,
        logit_cap: cap(config, "final_logit_softcapping", Some(30.0))?,
        ..common(config, defaults)?
    })
}

fn gemma3(m: &Model<'_>) -> Result<Llama> {
    let config = m.config;
    if config.flag("use_bidirectional_attention", false)? {
        return Ok(config.unsupported("use_bidirectional_attention")?);
    }
    let rope = RopeDefaults { theta: 1e6, partial: 1.0, max_positions: 131_072, original: None };
    let defaults = Defaults {
        width: 2304,
        layers: 26,
        heads: 8,
        kv_heads: Some(4),
        head: Some(256),
        epsilon: 1e-6,
        rope,
    };
    // Version 5 keeps the two rotary embeddings by the kinds of their layers.
    let kinds = config.at("rope_parameters");
    let head = config.size(&["head_dim"], 256)?;
    let turns = |kind: &str, theta: f64, scaling: &Config| {
        if kinds.has(kind) {
            let own = kinds.at(kind);
            let theta = own.number(&["rope_theta"], theta)?;
            return Rope::scaled(config, &own, theta, head, rope);
        }
        Rope::scaled(config, scaling, theta, head, rope)
    };
    let global = turns("full_attention", config.number(&["rope_theta"], 1e6)?, &config.at("rope_scaling"))?;
    let local = config.number(&["rope_local_base_freq"], 10_000.0)?;
    let local = turns("sliding_attention", local, &Config::from_object(serde_json::Map::new()))?;
    let pattern = config.size(&["sliding_window_pattern", "_sliding_window_pattern"], 6)?;
    if pattern == 0 {
        return Ok(config.unsupported("sliding_window_pattern")?);
    }
    Ok(Llama {
        scale: scale(config)?,
        rope: global,
        local_rope: Some(local),
        window: Some(config.size(&["sliding_window"], 4096)?),
        windowed: Layers::with_window(config, Layers::AllButEvery(pattern))?,
        head_norms: true,
        sandwich: true,
        score_cap: cap(config, "attn_logit_softcapping", None)?,
        logit_cap: cap(config, "final_logit_softcapping", None)?,
        ..common(config, defaults)?
    })
}

/// Scores are scaled by a number of the configuration's, not by the width of heads.
fn scale(config: &Config) -> Result<f32> {
    let scalar = config.number(&["query_pre_attn_scalar"], 256.0)?;
    if scalar <= 0.0 {
        Error::unsupported("`query_pre_attn_scalar` that is not positive")
    } else {
        Ok(scalar.powf(-0.5) as f32)
    }
}

/// A bound, if there is one.
fn cap(config: &Config, name: &str, default: Option<f64>) -> Result<Option<f32>> {
    let default = if config.is_null(name) { None } else { default };
    if !config.has(name) {
        return Ok(default.map(|cap| cap as f32));
    }
    let cap = config.number(&[name], 0.0)?;
    if cap <= 0.0 { Ok(config.unsupported(name)?) } else { Ok(Some(cap as f32)) }
}
