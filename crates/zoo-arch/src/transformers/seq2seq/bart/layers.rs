//! The layers of both sides.

use zoo_graph::{Builder, Val, Weights};

use super::positions::{At, Positions};
use crate::config::Config;
use crate::nn::{
    Rows, Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear, padding_bias, split_heads,
};
use crate::transformers::seq2seq::decoder::{Decoder, Encoded};
use crate::transformers::{Error, Model, Result};

/// `torch.nn.LayerNorm`'s own, which configurations do not say.
const EPSILON: f32 = 1e-5;

/// One of the two sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) layers: usize,
    pub(super) heads: usize,
}

/// What the configuration says.
#[derive(Debug)]
pub(super) struct Bart {
    pub(super) encoder: Side,
    pub(super) decoder: Side,
    /// The width of states, as the table of words shows it.
    pub(super) width: usize,
    activation: String,
    /// Whether words are multiplied by the root of their width.
    scaled: bool,
    /// Whether norms stand in front of sublayers; there is one more at the end then.
    norm_first: bool,
    /// Whether words with their places are normalised.
    embedding_norm: bool,
    positions: Positions,
    /// Whether the table of words is the output layer, too.
    tied: bool,
    /// Whether both sides have one table of words.
    shared: bool,
}

impl Bart {
    pub(super) fn of(m: &Model<'_>) -> Result<Self> {
        let config = m.config;
        if config.flag("tie_encoder_decoder", false)? {
            return Ok(config.unsupported("tie_encoder_decoder")?);
        }
        let learned = Positions::Learned { offset: 2 };
        let (positions, norm_first, embedding_norm) = match config.model_type() {
            Some("bart") => (learned, false, true),
            Some("mbart") => (learned, true, true),
            Some("marian") => (Positions::Sinusoidal, false, false),
            Some("pegasus") => (Positions::Sinusoidal, true, false),
            Some("m2m_100") => {
                let padding = config.token("pad_token_id")?.unwrap_or(1);
                (Positions::WithoutPadding { padding }, true, false)
            }
            _ => return Ok(config.unsupported("model_type")?),
        };
        let many = config.model_type() == Some("m2m_100");
        let shared = config.flag("share_encoder_decoder_embeddings", true)?;
        let table = table_name(m, "decoder", shared);
        let side = |layers: &str, heads: &str| -> Result<Side> {
            Ok(Side { layers: config.size(&[layers], 12)?, heads: config.size(&[heads], 16)? })
        };
        Ok(Self {
            encoder: side("encoder_layers", "encoder_attention_heads")?,
            decoder: side("decoder_layers", "decoder_attention_heads")?,
            width: m.base.shape(table)?.last().copied().unwrap_or_default(),
            activation: config.word(&["activation_function"], if many { "relu" } else { "gelu" })?.to_owned(),
            scaled: config.flag("scale_embedding", many)?,
            norm_first,
            embedding_norm,
            positions,
            tied: config.flag("tie_word_embeddings", true)?,
            shared,
        })
    }

    /// The encoder's states, as rows, for `ids` and the mask of their padding.
    pub(super) fn encoder(&self, g: &mut Builder, m: &Model<'_>, ids: Val, mask: Val, rows: &Rows) -> Result<Encoded> {
        let w = m.base.at("encoder");
        let bias = padding_bias(g, mask)?;
        let places = g.positions(&rows.sequence)?;
        let mut x = self.embed(g, m, "encoder", &At { ids, places, past: None, width: self.width })?;
        for layer in 0..self.encoder.layers {
            let w = w.at(format_args!("layers.{layer}"));
            x = self.sublayer(g, &w.at("self_attn_layer_norm"), x, |g, x| {
                let own = w.at("self_attn");
                let queries = self.projected(g, &own.at("q_proj"), x, rows, self.encoder.heads)?;
                let pair = self.pair(g, &own, x, rows, self.encoder.heads)?;
                attended(g, &own, queries, pair, Some(bias))
            })?;
            x = self.feed_forward(g, &w, x)?;
        }
        Ok(Encoded { hidden: Some(self.ended(g, &w, x)?), rows: rows.clone(), bias: Some(bias) })
    }

    /// The decoder's states, as rows.
    pub(super) fn decoder(&self, g: &mut Builder, m: &Model<'_>, d: &mut Decoder) -> Result<Val> {
        let w = m.base.at("decoder");
        let places = d.places(g)?;
        let past = d.past_length(g)?;
        let bias = d.causal_bias(g, places)?;
        let heads = self.decoder.heads;
        let mut x = self.embed(g, m, "decoder", &At { ids: d.ids, places, past, width: self.width })?;
        for layer in 0..self.decoder.layers {
            let w = w.at(format_args!("layers.{layer}"));
            x = self.sublayer(g, &w.at("self_attn_layer_norm"), x, |g, x| {
                let own = w.at("self_attn");
                let queries = self.projected(g, &own.at("q_proj"), x, &d.rows, heads)?;
                let pair = self.pair(g, &own, x, &d.rows, heads)?;
                let pair = d.own(g, layer, pair)?;
                attended(g, &own, queries, pair, Some(bias))
            })?;
            x = self.sublayer(g, &w.at("encoder_attn_layer_norm"), x, |g, x| {
                let other = w.at("encoder_attn");
                let queries = self.projected(g, &other.at("q_proj"), x, &d.rows, heads)?;
                let pair = d.cross(g, layer, |g, states, rows| self.pair(g, &other, states, rows, heads))?;
                attended(g, &other, queries, pair, d.encoded.bias)
            })?;
            x = self.feed_forward(g, &w, x)?;
        }
        self.ended(g, &w, x)
    }

    /// The words behind tokens, as rows.
    pub(super) fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let table = match self.tied {
            true => g.weight(&m.base, table_name(m, "decoder", self.shared))?,
            false => g.weight(&m.top, "lm_head.weight")?,
        };
        let count = g.size(table, 0)?;
        let bias = match m.top.has("final_logits_bias") {
            true => Some(g.weight_as(&m.top, "final_logits_bias", &[count])?),
            false => None,
        };
        Ok(g.gemm(x, table, bias)?)
    }

    /// Words and their places, as rows.
    fn embed(&self, g: &mut Builder, m: &Model<'_>, side: &str, at: &At) -> Result<Val> {
        let w = m.base.at(side);
        let table = g.weight(&m.base, table_name(m, side, self.shared))?;
        let mut x = g.embedding(table, at.ids)?;
        if self.scaled {
            let scale = g.float("words_scale", (self.width as f64).sqrt() as f32);
            x = g.mul(x, scale)?;
        }
        let places = self.positions.of(g, &w.at("embed_positions"), m.config, at)?;
        let x = g.add(x, places)?;
        let x = fold_rows(g, x)?;
        match self.embedding_norm {
            true => Ok(layer_norm(g, &w.at("layernorm_embedding"), x, EPSILON)?),
            false => Ok(x),
        }
    }

    /// A sublayer, what was before it, and a norm: in front of the one or behind the other.
    fn sublayer(
        &self,
        g: &mut Builder,
        norm: &Weights,
        x: Val,
        apply: impl FnOnce(&mut Builder, Val) -> Result<Val>,
    ) -> Result<Val> {
        if self.norm_first {
            let y = layer_norm(g, norm, x, EPSILON)?;
            let y = apply(g, y)?;
            return Ok(g.add(x, y)?);
        }
        let y = apply(g, x)?;
        let y = g.add(x, y)?;
        Ok(layer_norm(g, norm, y, EPSILON)?)
    }

    fn feed_forward(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        self.sublayer(g, &w.at("final_layer_norm"), x, |g, x| {
            let y = linear(g, &w.at("fc1"), x)?;
            let y = activate_by_name(g, &self.activation, y)?;
            Ok(linear(g, &w.at("fc2"), y)?)
        })
    }

    /// The norm at the end of a side, where there is one.
    fn ended(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        match self.norm_first {
            true => Ok(layer_norm(g, &w.at("layer_norm"), x, EPSILON)?),
            false => Ok(x),
        }
    }

    /// Keys and values.
    fn pair(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows, heads: usize) -> Result<[Val; 2]> {
        let keys = self.projected(g, &w.at("k_proj"), x, rows, heads)?;
        Ok([keys, self.projected(g, &w.at("v_proj"), x, rows, heads)?])
    }

    /// Queries, keys or values: `[batch, heads, sequence, head]`.
    fn projected(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows, heads: usize) -> Result<Val> {
        if !self.width.is_multiple_of(heads.max(1)) {
            return Error::unsupported(format!("{heads} heads of the width {}", self.width));
        }
        let x = linear(g, w, x)?;
        Ok(split_heads(g, x, rows, heads)?)
    }
}

fn attended(g: &mut Builder, w: &Weights, queries: Val, [keys, values]: [Val; 2], bias: Option<Val>) -> Result<Val> {
    let head = g.size(queries, 3)?;
    let y = attention(g, queries, keys, values, Scores::scaled(head, bias))?;
    let y = join_heads(g, y)?;
    Ok(linear(g, &w.at("out_proj"), y)?)
}

/// The table of words of a side, under whichever name the checkpoint kept it.
fn table_name(m: &Model<'_>, side: &str, shared: bool) -> String {
    let other = if side == "encoder" { "decoder" } else { "encoder" };
    let own = format!("{side}.embed_tokens.weight");
    let names = [own.clone(), format!("{other}.embed_tokens.weight")];
    if !shared {
        return own;
    }
    let kept = names.into_iter().find(|name| !m.base.has("shared.weight") && m.base.has(name));
    kept.unwrap_or_else(|| "shared.weight".to_owned())
}
