//! LLaMA (Touvron et al., 2023), and all that is built like it: a decoder with norms before its sublayers, rotary embeddings, heads that share
//! keys and values, and gated feed-forward layers.
//!
//! What differs between families is a value of [`Llama`]; each family's file says which.

use zoo_graph::{Builder, Val, Weights};

use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use crate::config::Config;
use crate::nn::{
    Rope, RopeDefaults, Rows, Scores, activate_by_name, attention, fold_rows, join_heads, linear, rms_norm, rotate,
    split_heads,
};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "llama",
    prefix: "model",
    classes: &[
        class!("LlamaModel", FeatureExtraction, |g, m| llama(m)?.hidden_state(g, m)),
        class!("LlamaForCausalLM", TextGeneration, |g, m| llama(m)?.logits(g, m)),
        class!("LlamaForSequenceClassification", TextClassification, |g, m| llama(m)?.label(g, m)),
        class!("LlamaForTokenClassification", TokenClassification, |g, m| llama(m)?.labels(g, m)),
        class!("LlamaForQuestionAnswering", QuestionAnswering, |g, m| llama(m)?.spans(g, m)),
    ],
    heads: HEADS,
    unused: |_| false,
}];

/// The heads of all families that are built like this one.
pub(super) const HEADS: &[&str] = &["lm_head", "score", "qa_outputs"];

fn llama(m: &Model<'_>) -> Result<Llama> {
    let rope = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 2048, original: None };
    Llama::of(m.config, Defaults { width: 4096, layers: 32, heads: 32, kv_heads: None, head: None, epsilon: 1e-6, rope })
}

/// What holds where a configuration says nothing: the defaults of its class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    /// `hidden_size`.
    pub(super) width: usize,
    /// `num_hidden_layers`.
    pub(super) layers: usize,
    /// `num_attention_heads`.
    pub(super) heads: usize,
    /// `num_key_value_heads`; as many as heads if the class does not say.
    pub(super) kv_heads: Option<usize>,
    /// `head_dim`; the width over the heads if the class does not say.
    pub(super) head: Option<usize>,
    /// `rms_norm_eps`.
    pub(super) epsilon: f64,
    /// Of the rotary embedding.
    pub(super) rope: RopeDefaults,
}

/// A model, by what its configuration says.
#[derive(Debug)]
pub(super) struct Llama {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Features of a head.
    pub(super) head: usize,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    pub(super) epsilon: f32,
    pub(super) activation: String,
    pub(super) rope: Rope,
    /// The rotary embedding of layers with a window, where it is another one.
    pub(super) local_rope: Option<Rope>,
    /// Which layers have no rotary embedding.
    pub(super) unturned: fn(&Config, usize) -> Result<bool>,
    /// The window of the layers that have one, and which do.
    pub(super) window: Option<usize>,
    pub(super) windowed: Layers,
    /// Whether norms multiply by `1 + weight` (Gemma).
    pub(super) norms_from_one: bool,
    /// Whether queries and keys have norms over their heads (Qwen 3, Gemma 3).
    pub(super) head_norms: bool,
    /// Whether sublayers have norms behind them, too (Gemma 2 and 3).
    pub(super) sandwich: bool,
    /// Whether projections that have the same input are one tensor (Phi-3).
    pub(super) fused: bool,
    /// What embeddings are multiplied by.
    pub(super) embedding_scale: Option<f32>,
    /// Scores `s` become `cap tanh(s/cap)`.
    pub(super) score_cap: Option<f32>,
    /// The same for logits.
    pub(super) logit_cap: Option<f32>,
    /// Whether `position_ids` are an input.
    pub(super) places: bool,
    /// Whether the output layer is the table of words, if the configuration does not say.
    pub(super) tied: bool,
    /// The token for padding, if the configuration does not say.
    pub(super) pad: Option<i64>,
}

/// Some of the layers.
#[derive(Debug)]
pub(super) enum Layers {
    /// All of them.
    All,
    /// Those from this one on.
    From(usize),
    /// All but every so-many-th.
    AllButEvery(usize),
    /// Those of which it is said.
    Listed(Vec<bool>),
}

impl Layers {
    /// What `layer_types` says of a window, or else `otherwise`.
    pub(super) fn with_window(config: &Config, otherwise: Self) -> Result<Self> {
        let Some(types) = config.words("layer_types")? else { return Ok(otherwise) };
        let one = |kind: &&str| match *kind {
            "sliding_attention" => Some(true),
            "full_attention" => Some(false),
            _ => None,
        };
        match types.iter().map(one).collect() {
            Some(listed) => Ok(Self::Listed(listed)),
            None => Ok(config.unsupported("layer_types")?),
        }
    }

    fn has(&self, layer: usize) -> bool {
        match self {
            Self::All => true,
            Self::From(first) => layer >= *first,
            Self::AllButEvery(step) => !(layer + 1).is_multiple_of((*step).max(1)),
            Self::Listed(listed) => listed.get(layer).copied().unwrap_or_default(),
        }
    }
}

impl Llama {
    /// What the configuration says, in the words that all families share.
    pub(super) fn of(config: &Config, defaults: Defaults) -> Result<Self> {
        let heads = config.size(&["num_attention_heads"], defaults.heads)?;
        let kv_heads = config.size(&["num_key_value_heads"], defaults.kv_heads.unwrap_or(heads))?;
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Error::unsupported(format!("{heads} heads that share {kv_heads} keys and values"));
        }
        let head = match config.size_if(&["head_dim"])?.or(defaults.head) {
            Some(head) => head,
            None => config.size(&["hidden_size"], defaults.width)? / heads,
        };
        Ok(Self {
            layers: config.size(&["num_hidden_layers"], defaults.layers)?,
            heads,
            kv_heads,
            head,
            scale: (head as f64).powf(-0.5) as f32,
            epsilon: config.epsilon("rms_norm_eps", defaults.epsilon)?,
            activation: config.word(&["hidden_act"], "silu")?.to_owned(),
            rope: Rope::of(config, head, defaults.rope)?,
            local_rope: None,
            unturned: |_, _| Ok(false),
            window: None,
            windowed: Layers::All,
            norms_from_one: false,
            head_norms: false,
            sandwich: false,
            fused: false,
            embedding_scale: None,
            score_cap: None,
            logit_cap: None,
            places: true,
            tied: false,
            pad: None,
        })
    }

    fn layer(&self, g: &mut Builder, w: &Weights, x: Val, texts: &mut Texts, own: Layer) -> Result<Val> {
        let y = self.norm(g, &w.at("input_layernorm"), x)?;
        let mut y = self.attention(g, &w.at("self_attn"), y, texts, own)?;
        if self.sandwich {
            y = self.norm(g, &w.at("post_attention_layernorm"), y)?;
        }
        let x = g.add(x, y)?;
        let before = if self.sandwich { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let y = self.norm(g, &w.at(before), x)?;
        let mut y = self.feed_forward(g, &w.at("mlp"), y)?;
        if self.sandwich {
            y = self.norm(g, &w.at("post_feedforward_layernorm"), y)?;
        }
        Ok(g.add(x, y)?)
    }

    fn norm(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        if !self.norms_from_one {
            return Ok(rms_norm(g, w, x, self.epsilon)?);
        }
        let scale = g.weight(w, "weight")?;
        let one = g.float("one", 1.0);
        let scale = g.add(scale, one)?;
        Ok(g.rms_norm(x, scale, self.epsilon)?)
    }

    fn attention(&self, g: &mut Builder, w: &Weights, x: Val, texts: &mut Texts, own: Layer) -> Result<Val> {
        let rows = texts.rows.clone();
        let (mut both, values) = self.projections(g, w, x, &rows)?;
        if let Some((cos, sin)) = own.turns {
            both = rotate(g, both, cos, sin)?;
        }
        let parts = g.split(both, 1, &[self.heads, self.kv_heads])?;
        let values = split_heads(g, values, &rows, self.kv_heads)?;
        let (keys, values) = texts.with_past(g, own.layer, parts[1], values)?;
        let bias = texts.bias(g, Hidden::within(own.window))?;
        let scores = Scores { scale: Some(self.scale), bias: Some(bias), cap: self.score_cap };
        let y = attention(g, parts[0], keys, values, scores)?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("o_proj"), y)?)
    }

    /// Queries and keys together, since both are turned: `[batch, heads + kv_heads, sequence, head]`; and values, as rows.
    fn projections(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<(Val, Val)> {
        let [queries, keys] = [self.heads * self.head, self.kv_heads * self.head];
        if self.fused {
            let both = g.weight_rows(w, "qkv_proj.weight", 0, queries + keys)?;
            let both = g.gemm(x, both, None)?;
            let values = g.weight_rows(w, "qkv_proj.weight", queries + keys, keys)?;
            let values = g.gemm(x, values, None)?;
            return Ok((split_heads(g, both, rows, self.heads + self.kv_heads)?, values));
        }
        let [queries, keys, values] = ["q_proj", "k_proj", "v_proj"].map(|part| linear(g, &w.at(part), x));
        let (queries, keys, values) = (queries?, keys?, values?);
        if !self.head_norms {
            let both = g.concat(&[queries, keys], 1)?;
            return Ok((split_heads(g, both, rows, self.heads + self.kv_heads)?, values));
        }
        let mut both = Vec::with_capacity(2);
        for (part, heads, norm) in [(queries, self.heads, "q_norm"), (keys, self.kv_heads, "k_norm")] {
            let part = g.reshape(part, [rows.batch.clone(), rows.sequence.clone(), heads.into(), self.head.into()])?;
            both.push(self.norm(g, &w.at(norm), part)?);
        }
        let both = g.concat(&both, 2)?;
        Ok((g.transpose(both, &[0, 2, 1, 3])?, values))
    }

    fn feed_forward(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let (gate, up) = if self.fused {
            let half = w.shape("gate_up_proj.weight")?.first().copied().unwrap_or_default() / 2;
            let gate = g.weight_rows(w, "gate_up_proj.weight", 0, half)?;
            let up = g.weight_rows(w, "gate_up_proj.weight", half, half)?;
            (g.gemm(x, gate, None)?, g.gemm(x, up, None)?)
        } else {
            (linear(g, &w.at("gate_proj"), x)?, linear(g, &w.at("up_proj"), x)?)
        };
        let gate = activate_by_name(g, &self.activation, gate)?;
        let y = g.mul(gate, up)?;
        Ok(linear(g, &w.at("down_proj"), y)?)
    }
}

impl Decoder for Llama {
    const LABELS: &'static str = "score";

    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let table = g.weight(w, "embed_tokens.weight")?;
        let mut x = g.embedding(table, texts.ids)?;
        if let Some(scale) = self.embedding_scale {
            let scale = g.float("embedding_scale", scale);
            x = g.mul(x, scale)?;
        }
        let mut x = fold_rows(g, x)?;
        let positions = texts.positions(g)?;
        let turns = self.rope.tables(g, positions)?;
        let local = match &self.local_rope {
            Some(rope) => rope.tables(g, positions)?,
            None => turns,
        };
        for layer in 0..self.layers {
            let window = self.window.filter(|_| self.windowed.has(layer));
            let turns = match window {
                _ if (self.unturned)(m.config, layer)? => None,
                Some(_) => Some(local),
                None => Some(turns),
            };
            let w = w.at(format_args!("layers.{layer}"));
            x = self.layer(g, &w, x, &mut texts, Layer { layer, window, turns })?;
        }
        let x = self.norm(g, &w.at("norm"), x)?;
        Ok((x, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "embed_tokens.weight", "lm_head.weight", self.tied)?;
        let logits = g.gemm(x, words, None)?;
        let Some(cap) = self.logit_cap else { return Ok(logits) };
        let cap = g.float("logit_cap", cap);
        let logits = g.div(logits, cap)?;
        let logits = g.tanh(logits)?;
        Ok(g.mul(logits, cap)?)
    }

    fn places(&self) -> bool {
        self.places
    }

    fn pad(&self) -> Option<i64> {
        self.pad
    }
}

/// What differs between layers.
#[derive(Debug, Clone, Copy)]
struct Layer {
    layer: usize,
    /// How many keys a query sees at most.
    window: Option<usize>,
    /// Cosines and sines, if it has a rotary embedding.
    turns: Option<(Val, Val)>,
}
