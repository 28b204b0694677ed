//! GPT-2 (Radford et al., 2019): a decoder with learned positions and norms before its sublayers.
//!
//! Its dense layers are `Conv1D`, whose weights are `[in, out]`; queries, keys and values are one of them.

use zoo_graph::{Builder, Val, Weights};

use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use crate::nn::{Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, split_heads};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "gpt2",
    prefix: "transformer",
    classes: &[
        class!("GPT2Model", FeatureExtraction, |g, m| gpt2(m)?.hidden_state(g, m)),
        class!("GPT2LMHeadModel", TextGeneration, |g, m| gpt2(m)?.logits(g, m)),
        class!("GPT2ForSequenceClassification", TextClassification, |g, m| gpt2(m)?.label(g, m)),
        class!("GPT2ForTokenClassification", TokenClassification, |g, m| gpt2(m)?.labels(g, m)),
        class!("GPT2ForQuestionAnswering", QuestionAnswering, |g, m| gpt2(m)?.spans(g, m)),
    ],
    heads: &["lm_head", "score", "classifier", "qa_outputs", "multiple_choice_head"],
    // Triangles of ones, and what hid scores.
    unused: |path| path.ends_with(".attn.bias") || path.ends_with(".attn.masked_bias"),
}];

/// A model, by what its configuration says.
#[derive(Debug)]
struct Gpt2 {
    layers: usize,
    heads: usize,
    epsilon: f32,
    activation: String,
    /// Whether scores are divided by the root of a head's width.
    scaled: bool,
    /// Whether scores are divided by the number of their layer, counted from 1.
    scaled_by_layer: bool,
}

fn gpt2(m: &Model<'_>) -> Result<Gpt2> {
    let config = m.config;
    if config.flag("add_cross_attention", false)? {
        return Ok(config.unsupported("add_cross_attention")?);
    }
    Ok(Gpt2 {
        layers: config.size(&["n_layer", "num_hidden_layers"], 12)?,
        heads: config.size(&["n_head", "num_attention_heads"], 12)?,
        epsilon: config.epsilon("layer_norm_epsilon", 1e-5)?,
        activation: config.word(&["activation_function"], "gelu_new")?.to_owned(),
        scaled: config.flag("scale_attn_weights", true)?,
        scaled_by_layer: config.flag("scale_attn_by_inverse_layer_idx", false)?,
    })
}

impl Decoder for Gpt2 {
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
            let y = layer_norm(g, &w.at("ln_1"), x, self.epsilon)?;
            let y = self.attention(g, &w.at("attn"), y, &mut texts, layer)?;
            x = g.add(x, y)?;
            let y = layer_norm(g, &w.at("ln_2"), x, self.epsilon)?;
            let y = conv1d(g, &w.at("mlp.c_fc"), y)?;
            let y = activate_by_name(g, &self.activation, y)?;
            let y = conv1d(g, &w.at("mlp.c_proj"), y)?;
            x = g.add(x, y)?;
        }
        Ok((layer_norm(g, &w.at("ln_f"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "wte.weight", "lm_head.weight", true)?;
        Ok(g.gemm(x, words, None)?)
    }
}

impl Gpt2 {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        layer: usize,
    ) -> Result<Val> {
        let all = conv1d(g, &w.at("c_attn"), x)?;
        let all = split_heads(g, all, &texts.rows, 3 * self.heads)?;
        let parts = g.split(all, 1, &[self.heads; 3])?;
        let head = g.size(all, 3)?;
        let (keys, values) = texts.with_past(g, layer, parts[1], parts[2])?;
        let root = if self.scaled { (head as f64).sqrt() } else { 1.0 };
        let depth = if self.scaled_by_layer { layer as f64 + 1.0 } else { 1.0 };
        let bias = texts.bias(g, Hidden { window: None, twice: true })?;
        let scores = Scores { scale: Some((1.0 / (root * depth)) as f32), bias: Some(bias), cap: None };
        let y = attention(g, parts[0], keys, values, scores)?;
        let y = join_heads(g, y)?;
        conv1d(g, &w.at("c_proj"), y)
    }
}

/// A dense layer whose weight is `[in, out]`.
fn conv1d(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    if w.shape("weight")?.len() != 2 {
        return Error::unsupported(format!("a `Conv1D` {} that is no matrix", w.path()));
    }
    let weight = g.weight(w, "weight")?;
    let bias = g.weight_if(w, "bias")?;
    Ok(g.linear_in_out(x, weight, bias)?)
}
