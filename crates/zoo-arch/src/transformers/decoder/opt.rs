//! OPT (Zhang et al., 2022): learned positions that are counted from the first token of a text, not of a row, in a table whose first two rows
//! are not used.
//!
//! The model with 350 million parameters has its norms behind sublayers, and words in fewer features than tokens have between layers.

use zoo_graph::{Builder, Val, Weights};

use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use crate::nn::{
    Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear, split_heads,
};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "opt",
    prefix: "model",
    classes: &[
        class!("OPTModel", FeatureExtraction, |g, m| opt(m)?.hidden_state(g, m)),
        class!("OPTForCausalLM", TextGeneration, |g, m| opt(m)?.logits(g, m)),
        class!("OPTForSequenceClassification", TextClassification, |g, m| opt(m)?.label(g, m)),
        class!("OPTForQuestionAnswering", QuestionAnswering, |g, m| opt(m)?.spans(g, m)),
    ],
    heads: &["lm_head", "score", "qa_outputs"],
    unused: |_| false,
}];

/// What `torch.nn.LayerNorm` adds to variances.
const EPSILON: f32 = 1e-5;

/// Rows of the table of positions before the first.
const OFFSET: i64 = 2;

/// A model, by what its configuration says.
#[derive(Debug)]
struct Opt {
    layers: usize,
    heads: usize,
    activation: String,
    /// Whether norms are before sublayers.
    norms_before: bool,
    /// Whether there is a norm behind the last layer.
    last_norm: bool,
}

fn opt(m: &Model<'_>) -> Result<Opt> {
    let config = m.config;
    if !config.flag("layer_norm_elementwise_affine", true)? {
        return Ok(config.unsupported("layer_norm_elementwise_affine")?);
    }
    let norms_before = config.flag("do_layer_norm_before", true)?;
    Ok(Opt {
        layers: config.size(&["num_hidden_layers"], 12)?,
        heads: config.size(&["num_attention_heads"], 12)?,
        activation: config.word(&["activation_function"], "relu")?.to_owned(),
        norms_before,
        last_norm: norms_before && !config.flag("_remove_final_layer_norm", false)?,
    })
}

impl Decoder for Opt {
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let w = w.at("decoder");
        let mut texts = Texts::read(g, m, reading)?;
        let words = g.weight(&w, "embed_tokens.weight")?;
        let mut x = g.embedding(words, texts.ids)?;
        if w.has("project_in.weight") {
            x = linear(g, &w.at("project_in"), x)?;
        }
        let places = g.weight(&w, "embed_positions.weight")?;
        let positions = texts.positions_by_mask(g)?;
        let offset = g.int("position_offset", OFFSET);
        let positions = g.add(positions, offset)?;
        let places = g.embedding(places, positions)?;
        let x = g.add(x, places)?;
        let mut x = fold_rows(g, x)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("layers.{layer}"));
            let own = w.at("self_attn");
            x = self.sublayer(g, &w.at("self_attn_layer_norm"), x, |g, x| {
                self.attention(g, &own, x, &mut texts, layer)
            })?;
            x = self.sublayer(g, &w.at("final_layer_norm"), x, |g, x| {
                let y = linear(g, &w.at("fc1"), x)?;
                let y = activate_by_name(g, &self.activation, y)?;
                Ok(linear(g, &w.at("fc2"), y)?)
            })?;
        }
        if self.last_norm {
            x = layer_norm(g, &w.at("final_layer_norm"), x, EPSILON)?;
        }
        if w.has("project_out.weight") {
            x = linear(g, &w.at("project_out"), x)?;
        }
        Ok((x, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "decoder.embed_tokens.weight", "lm_head.weight", true)?;
        Ok(g.gemm(x, words, None)?)
    }

    fn pad(&self) -> Option<i64> {
        Some(1)
    }
}

impl Opt {
    /// What `inner` makes is added to what it is made of, with a norm before or behind.
    fn sublayer(
        &self,
        g: &mut Builder,
        norm: &Weights,
        x: Val,
        inner: impl FnOnce(&mut Builder, Val) -> Result<Val>,
    ) -> Result<Val> {
        let start = if self.norms_before { layer_norm(g, norm, x, EPSILON)? } else { x };
        let y = inner(g, start)?;
        let x = g.add(x, y)?;
        if self.norms_before { Ok(x) } else { Ok(layer_norm(g, norm, x, EPSILON)?) }
    }

    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        layer: usize,
    ) -> Result<Val> {
        let mut parts = Vec::with_capacity(3);
        for part in ["q_proj", "k_proj", "v_proj"] {
            let y = linear(g, &w.at(part), x)?;
            parts.push(split_heads(g, y, &texts.rows, self.heads)?);
        }
        let head = g.size(parts[0], 3)?;
        let (keys, values) = texts.with_past(g, layer, parts[1], parts[2])?;
        let bias = texts.bias(g, Hidden::within(None))?;
        let y = attention(g, parts[0], keys, values, Scores::scaled(head, Some(bias)))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("out_proj"), y)?)
    }
}
