//! GPT-Neo (Black et al., 2021): GPT-2 with dense layers that are `[out, in]`, scores that are not scaled, and a window in every other layer.

use zoo_graph::{Builder, Val, Weights};

use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use crate::config::Config;
use crate::nn::{
    Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear, split_heads,
};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "gpt_neo",
    prefix: "transformer",
    classes: &[
        class!("GPTNeoModel", FeatureExtraction, |g, m| gpt_neo(m)?.hidden_state(g, m)),
        class!("GPTNeoForCausalLM", TextGeneration, |g, m| gpt_neo(m)?.logits(g, m)),
        class!("GPTNeoForSequenceClassification", TextClassification, |g, m| gpt_neo(m)?.label(g, m)),
        class!("GPTNeoForTokenClassification", TokenClassification, |g, m| gpt_neo(m)?.labels(g, m)),
        class!("GPTNeoForQuestionAnswering", QuestionAnswering, |g, m| gpt_neo(m)?.spans(g, m)),
    ],
    heads: &["lm_head", "score", "classifier", "qa_outputs"],
    unused: |path| path.ends_with(".attention.bias") || path.ends_with(".attention.masked_bias"),
}];

/// A model, by what its configuration says.
#[derive(Debug)]
struct GptNeo {
    layers: usize,
    heads: usize,
    window: usize,
    epsilon: f32,
    activation: String,
}

fn gpt_neo(m: &Model<'_>) -> Result<GptNeo> {
    let config = m.config;
    Ok(GptNeo {
        layers: config.size(&["num_layers", "num_hidden_layers"], 24)?,
        heads: config.size(&["num_heads", "num_attention_heads"], 16)?,
        window: config.size(&["window_size"], 256)?,
        epsilon: config.epsilon("layer_norm_epsilon", 1e-5)?,
        activation: config.word(&["activation_function"], "gelu_new")?.to_owned(),
    })
}

impl Decoder for GptNeo {
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let (words, places) = (g.weight(w, "wte.weight")?, g.weight(w, "wpe.weight")?);
        let x = g.embedding(words, texts.ids)?;
        let positions = texts.positions(g)?;
        let places = g.embedding(places, positions)?;
        let x = g.add(x, places)?;
        let mut x = fold_rows(g, x)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("h.{layer}"));
            let window = is_local(m.config, layer)?.then_some(self.window);
            let y = layer_norm(g, &w.at("ln_1"), x, self.epsilon)?;
            let y = self.attention(g, &w.at("attn.attention"), y, &mut texts, (layer, window))?;
            x = g.add(x, y)?;
            let y = layer_norm(g, &w.at("ln_2"), x, self.epsilon)?;
            let y = linear(g, &w.at("mlp.c_fc"), y)?;
            let y = activate_by_name(g, &self.activation, y)?;
            let y = linear(g, &w.at("mlp.c_proj"), y)?;
            x = g.add(x, y)?;
        }
        Ok((layer_norm(g, &w.at("ln_f"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "wte.weight", "lm_head.weight", true)?;
        Ok(g.gemm(x, words, None)?)
    }
}

impl GptNeo {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        (layer, window): (usize, Option<usize>),
    ) -> Result<Val> {
        let mut parts = Vec::with_capacity(3);
        for part in ["q_proj", "k_proj", "v_proj"] {
            let y = linear(g, &w.at(part), x)?;
            parts.push(split_heads(g, y, &texts.rows, self.heads)?);
        }
        let (keys, values) = texts.with_past(g, layer, parts[1], parts[2])?;
        let bias = texts.bias(g, Hidden { window, twice: true })?;
        let scores = Scores { scale: None, bias: Some(bias), cap: None };
        let y = attention(g, parts[0], keys, values, scores)?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("out_proj"), y)?)
    }
}

/// Whether a layer has a window. `attention_types` lists kinds, and how often they are repeated: `[[["global", "local"], 12]]`.
fn is_local(config: &Config, mut layer: usize) -> Result<bool> {
    let Some(types) = config.get("attention_types") else { return Ok(!layer.is_multiple_of(2)) };
    for item in types.as_array().into_iter().flatten() {
        let kinds = item.get(0).and_then(|kinds| kinds.as_array());
        let times = item.get(1).and_then(|times| usize::try_from(times.as_u64()?).ok());
        let (Some(kinds), Some(times)) = (kinds, times) else { break };
        let count = kinds.len().saturating_mul(times);
        if layer >= count {
            layer -= count;
            continue;
        }
        return match kinds.get(layer % kinds.len()).and_then(|kind| kind.as_str()) {
            Some("local") => Ok(true),
            Some("global") => Ok(false),
            _ => Ok(config.unsupported("attention_types")?),
        };
    }
    Ok(config.unsupported("attention_types")?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_of_layers_are_repeated() {
        let types =
            json!({"attention_types": [[["global", "local"], 2], [["local"], 1_u64 << 40], [["linear"], 1]]});
        let config = Config::parse(types.to_string().as_bytes()).unwrap();
        let local: Vec<bool> = (0..6).map(|layer| is_local(&config, layer).unwrap()).collect();
        assert_eq!(local, [false, true, false, true, true, true]);
        assert!(is_local(&config, usize::MAX).unwrap_err().to_string().contains("`attention_types`"));
        let usual = Config::parse(b"{}").unwrap();
        assert!(!is_local(&usual, 4).unwrap() && is_local(&usual, 5).unwrap());
    }
}
