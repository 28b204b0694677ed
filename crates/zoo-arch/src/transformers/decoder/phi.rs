//! Phi-1, 1.5 and 2 (Li et al., 2023): attention and feed-forward layer beside each other behind one norm, and rotary embeddings of a part of
//! each head.

use zoo_graph::{Builder, Val, Weights};

use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use super::turned::turned;
use crate::nn::{
    Rope, RopeDefaults, Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear,
    split_heads,
};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "phi",
    prefix: "model",
    classes: &[
        class!("PhiModel", FeatureExtraction, |g, m| phi(m)?.hidden_state(g, m)),
        class!("PhiForCausalLM", TextGeneration, |g, m| phi(m)?.logits(g, m)),
        class!("PhiForSequenceClassification", TextClassification, |g, m| phi(m)?.label(g, m)),
        class!("PhiForTokenClassification", TokenClassification, |g, m| phi(m)?.labels(g, m)),
    ],
    heads: &["lm_head", "score"],
    unused: |_| false,
}];

/// A model, by what its configuration says.
#[derive(Debug)]
struct Phi {
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    epsilon: f32,
    activation: String,
    rope: Rope,
}

fn phi(m: &Model<'_>) -> Result<Phi> {
    let config = m.config;
    if config.flag("qk_layernorm", false)? {
        return Ok(config.unsupported("qk_layernorm")?);
    }
    let heads = config.size(&["num_attention_heads"], 32)?.max(1);
    let head = config.size(&["hidden_size"], 2048)? / heads;
    let head = config.size(&["head_dim"], head)?;
    let defaults = RopeDefaults { theta: 10_000.0, partial: 0.5, max_positions: 2048, original: None };
    Ok(Phi {
        layers: config.size(&["num_hidden_layers"], 24)?,
        heads,
        kv_heads: config.size(&["num_key_value_heads"], heads)?,
        head,
        epsilon: config.epsilon("layer_norm_eps", 1e-5)?,
        activation: config.word(&["hidden_act"], "gelu_new")?.to_owned(),
        rope: Rope::of(config, head, defaults)?,
    })
}

impl Decoder for Phi {
    const LABELS: &'static str = "score";

    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let words = g.weight(w, "embed_tokens.weight")?;
        let x = g.embedding(words, texts.ids)?;
        let mut x = fold_rows(g, x)?;
        let positions = texts.positions(g)?;
        let turns = self.rope.tables(g, positions)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("layers.{layer}"));
            let normal = layer_norm(g, &w.at("input_layernorm"), x, self.epsilon)?;
            let seen = self.attention(g, &w.at("self_attn"), normal, &mut texts, (layer, turns))?;
            let y = linear(g, &w.at("mlp.fc1"), normal)?;
            let y = activate_by_name(g, &self.activation, y)?;
            let y = linear(g, &w.at("mlp.fc2"), y)?;
            let y = g.add(seen, y)?;
            x = g.add(y, x)?;
        }
        Ok((layer_norm(g, &w.at("final_layernorm"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "embed_tokens.weight", "lm_head.weight", false)?;
        let bias = g.weight(&m.top, "lm_head.bias")?;
        Ok(g.gemm(x, words, Some(bias))?)
    }
}

impl Phi {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        (layer, turns): (usize, (Val, Val)),
    ) -> Result<Val> {
        let (queries, keys) = (linear(g, &w.at("q_proj"), x)?, linear(g, &w.at("k_proj"), x)?);
        let (queries, keys) = turned(g, (queries, keys), &texts.rows, (self.heads, self.kv_heads), turns)?;
        let values = linear(g, &w.at("v_proj"), x)?;
        let values = split_heads(g, values, &texts.rows, self.kv_heads)?;
        let (keys, values) = texts.with_past(g, layer, keys, values)?;
        let bias = texts.bias(g, Hidden::within(None))?;
        let y = attention(g, queries, keys, values, Scores::scaled(self.head, Some(bias)))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("dense"), y)?)
    }
}
