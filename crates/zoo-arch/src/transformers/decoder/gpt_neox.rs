//! GPT-NeoX (Black et al., 2022) and Pythia (Biderman et al., 2023): rotary embeddings of a part of each head, and attention and feed-forward
//! layer beside each other.

use zoo_graph::{Builder, Val, Weights};

use super::heads::Decoder;
use super::texts::{Hidden, Reading, Texts};
use super::turned::by_head;
use crate::nn::{
    Rope, RopeDefaults, Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear,
    rotate,
};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "gpt_neox",
    prefix: "gpt_neox",
    classes: &[
        class!("GPTNeoXModel", FeatureExtraction, |g, m| gpt_neox(m)?.hidden_state(g, m)),
        class!("GPTNeoXForCausalLM", TextGeneration, |g, m| gpt_neox(m)?.logits(g, m)),
        class!("GPTNeoXForSequenceClassification", TextClassification, |g, m| gpt_neox(m)?.label(g, m)),
        class!("GPTNeoXForTokenClassification", TokenClassification, |g, m| gpt_neox(m)?.labels(g, m)),
        class!("GPTNeoXForQuestionAnswering", QuestionAnswering, |g, m| gpt_neox(m)?.spans(g, m)),
    ],
    heads: &["embed_out", "lm_head", "score", "classifier", "qa_outputs"],
    unused: |path| path.ends_with(".attention.bias") || path.ends_with(".attention.masked_bias"),
}];

/// A model, by what its configuration says.
#[derive(Debug)]
struct GptNeoX {
    layers: usize,
    heads: usize,
    head: usize,
    epsilon: f32,
    activation: String,
    /// Whether both sublayers start from the same tokens.
    parallel: bool,
    rope: Rope,
}

fn gpt_neox(m: &Model<'_>) -> Result<GptNeoX> {
    let config = m.config;
    let heads = config.size(&["num_attention_heads"], 64)?.max(1);
    let head = config.size(&["hidden_size"], 6144)? / heads;
    let defaults = RopeDefaults {
        theta: config.number(&["rotary_emb_base"], 10_000.0)?,
        partial: config.number(&["rotary_pct"], 0.25)?,
        max_positions: 2048,
        original: None,
    };
    Ok(GptNeoX {
        layers: config.size(&["num_hidden_layers"], 44)?,
        heads,
        head,
        epsilon: config.epsilon("layer_norm_eps", 1e-5)?,
        activation: config.word(&["hidden_act"], "gelu")?.to_owned(),
        parallel: config.flag("use_parallel_residual", true)?,
        rope: Rope::of(config, head, defaults)?,
    })
}

impl Decoder for GptNeoX {
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let words = g.weight(w, "embed_in.weight")?;
        let x = g.embedding(words, texts.ids)?;
        let mut x = fold_rows(g, x)?;
        let positions = texts.positions(g)?;
        let turns = self.rope.tables(g, positions)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("layers.{layer}"));
            let y = layer_norm(g, &w.at("input_layernorm"), x, self.epsilon)?;
            let seen = self.attention(g, &w.at("attention"), y, &mut texts, (layer, turns))?;
            let attended = g.add(x, seen)?;
            let start = if self.parallel { x } else { attended };
            let y = layer_norm(g, &w.at("post_attention_layernorm"), start, self.epsilon)?;
            let y = linear(g, &w.at("mlp.dense_h_to_4h"), y)?;
            let y = activate_by_name(g, &self.activation, y)?;
            let y = linear(g, &w.at("mlp.dense_4h_to_h"), y)?;
            x = g.add(attended, y)?;
        }
        Ok((layer_norm(g, &w.at("final_layer_norm"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        // Version 5 calls it by the name that other families have.
        let own = if m.top.has("lm_head.weight") { "lm_head.weight" } else { "embed_out.weight" };
        let words = super::heads::words(g, m, "embed_in.weight", own, false)?;
        Ok(g.gemm(x, words, None)?)
    }
}

impl GptNeoX {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        (layer, (cos, sin)): (usize, (Val, Val)),
    ) -> Result<Val> {
        let all = linear(g, &w.at("query_key_value"), x)?;
        let (both, values) = by_head(g, all, &texts.rows, self.heads)?;
        let both = rotate(g, both, cos, sin)?;
        let parts = g.split(both, 1, &[self.heads; 2])?;
        let (keys, values) = texts.with_past(g, layer, parts[1], values)?;
        let bias = texts.bias(g, Hidden::within(None))?;
        let y = attention(g, parts[0], keys, values, Scores::scaled(self.head, Some(bias)))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("dense"), y)?)
    }
}
