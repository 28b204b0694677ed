//! Layers of both sides with the names of BART's (Lewis et al., 2020), which Whisper's are, too.

use zoo_graph::{Builder, Val, Weights};

use super::decoder::Decoder;
use crate::nn::{Rows, Scores, activate_by_name, attention, join_heads, layer_norm, linear, split_heads};
use crate::transformers::decoder::texts::{Hidden, Texts};
use crate::transformers::{Error, Result};

/// `torch.nn.LayerNorm`'s own, which configurations do not say.
pub(crate) const EPSILON: f32 = 1e-5;

/// The layers of a side.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// How many.
    pub(crate) layers: usize,
    /// How many heads each of their attentions has.
    pub(crate) heads: usize,
    /// The width of states.
    pub(crate) width: usize,
    /// What is between the two dense layers.
    pub(crate) activation: String,
    /// Whether norms stand in front of sublayers; there is one more at the end then.
    pub(crate) norm_first: bool,
}

impl Stack {
    /// An encoder's layers over rows, with a bias on scores. Gives the states in front of each layer, and at the end.
    pub(crate) fn encode(
        &self,
        g: &mut Builder,
        w: &Weights,
        mut x: Val,
        rows: &Rows,
        bias: Option<Val>,
    ) -> Result<(Vec<Val>, Val)> {
        let mut before = Vec::new();
        for layer in 0..self.layers {
            before.push(x);
            let w = w.at(format_args!("layers.{layer}"));
            x = self.sublayer(g, &w.at("self_attn_layer_norm"), x, |g, x| {
                let own = w.at("self_attn");
                let queries = self.projected(g, &own.at("q_proj"), x, rows)?;
                let pair = self.pair(g, &own, x, rows)?;
                attended(g, &own, queries, pair, bias)
            })?;
            x = self.feed_forward(g, &w, x)?;
        }
        Ok((before, self.ended(g, w, x)?))
    }

    /// A decoder's layers over rows.
    pub(crate) fn decode(
        &self,
        g: &mut Builder,
        w: &Weights,
        mut x: Val,
        places: Val,
        d: &mut Decoder,
    ) -> Result<Val> {
        let bias = d.causal_bias(g, places)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("layers.{layer}"));
            x = self.sublayer(g, &w.at("self_attn_layer_norm"), x, |g, x| {
                let own = w.at("self_attn");
                let queries = self.projected(g, &own.at("q_proj"), x, &d.rows)?;
                let pair = self.pair(g, &own, x, &d.rows)?;
                let pair = d.own(g, layer, pair)?;
                attended(g, &own, queries, pair, Some(bias))
            })?;
            x = self.sublayer(g, &w.at("encoder_attn_layer_norm"), x, |g, x| {
                let other = w.at("encoder_attn");
                let queries = self.projected(g, &other.at("q_proj"), x, &d.rows)?;
                let pair = d.cross(g, layer, |g, states, rows| self.pair(g, &other, states, rows))?;
                attended(g, &other, queries, pair, d.encoded.bias)
            })?;
            x = self.feed_forward(g, &w, x)?;
        }
        self.ended(g, w, x)
    }

    /// A decoder's layers over rows, of a decoder that looks at no encoder: what its layers have for that is not used.
    pub(in crate::transformers) fn continue_alone(
        &self,
        g: &mut Builder,
        w: &Weights,
        mut x: Val,
        texts: &mut Texts,
    ) -> Result<Val> {
        let bias = texts.bias(g, Hidden::within(None))?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("layers.{layer}"));
            x = self.sublayer(g, &w.at("self_attn_layer_norm"), x, |g, x| {
                let own = w.at("self_attn");
                let queries = self.projected(g, &own.at("q_proj"), x, &texts.rows)?;
                let [keys, values] = self.pair(g, &own, x, &texts.rows)?;
                let (keys, values) = texts.with_past(g, layer, keys, values)?;
                attended(g, &own, queries, [keys, values], Some(bias))
            })?;
            x = self.feed_forward(g, &w, x)?;
            w.ignore(|name| name.starts_with("encoder_attn"));
        }
        self.ended(g, w, x)
    }

    /// The width of a head.
    ///
    /// # Errors
    /// If heads do not share the width evenly.
    pub(crate) fn head(&self) -> Result<usize> {
        match self.width.checked_div(self.heads) {
            Some(head) if head * self.heads == self.width => Ok(head),
            _ => Error::unsupported(format!("{} heads of the width {}", self.heads, self.width)),
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
        Ok(if self.norm_first { layer_norm(g, &w.at("layer_norm"), x, EPSILON)? } else { x })
    }

    /// Keys and values.
    fn pair(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<[Val; 2]> {
        let keys = self.projected(g, &w.at("k_proj"), x, rows)?;
        Ok([keys, self.projected(g, &w.at("v_proj"), x, rows)?])
    }

    /// Queries, keys or values: `[batch, heads, sequence, head]`.
    fn projected(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<Val> {
        self.head()?;
        let x = linear(g, w, x)?;
        Ok(split_heads(g, x, rows, self.heads)?)
    }
}

fn attended(
    g: &mut Builder,
    w: &Weights,
    queries: Val,
    [keys, values]: [Val; 2],
    bias: Option<Val>,
) -> Result<Val> {
    let head = g.size(queries, 3)?;
    let y = attention(g, queries, keys, values, Scores::scaled(head, bias))?;
    let y = join_heads(g, y)?;
    Ok(linear(g, &w.at("out_proj"), y)?)
}
