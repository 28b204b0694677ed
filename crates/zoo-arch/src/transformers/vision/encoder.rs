//! The layers of transformers with norms before their sublayers: ViT's, and those of its descendants, which differ in names.
//!
//! A layer comes in two halves, because what is between them depends on what a sequence is: an image, with a known number of tokens,
//! or a text.

use zoo_graph::{Builder, Val, Weights};

use super::patches::Patches;
use crate::config::Config;
use crate::nn::{Attention, Similarity, activate_by_name, attend_each, layer_norm, linear};
use crate::transformers::Result;

/// What the modules of a layer are called.
#[derive(Debug)]
pub(in crate::transformers) struct Names {
    /// The norms before attention and before the dense layers.
    pub(in crate::transformers) norms: [&'static str; 2],
    /// Projections to queries, keys and values.
    pub(in crate::transformers) parts: [&'static str; 3],
    /// The projection behind attention.
    pub(in crate::transformers) out: &'static str,
    /// The two dense layers.
    pub(in crate::transformers) dense: [&'static str; 2],
    /// Factors for what the sublayers add, where there are any.
    pub(in crate::transformers) scales: [&'static str; 2],
}

/// What layers have in common.
#[derive(Debug)]
pub(in crate::transformers) struct Layers {
    pub(in crate::transformers) count: usize,
    pub(in crate::transformers) heads: usize,
    pub(in crate::transformers) epsilon: f32,
    pub(in crate::transformers) activation: String,
    /// Whether what sublayers add is multiplied by learned factors.
    pub(in crate::transformers) scaled: bool,
    /// Whether the first dense layer makes a gate and what passes it (Shazeer, 2020).
    pub(in crate::transformers) gated: bool,
    pub(in crate::transformers) names: &'static Names,
}

impl Layers {
    /// As most configurations say it: `num_hidden_layers`, `num_attention_heads`, `layer_norm_eps`, `hidden_act`. The defaults
    /// are (number of layers, number of heads, epsilon, activation).
    pub(in crate::transformers) fn of(
        config: &Config,
        names: &'static Names,
        defaults: (usize, usize, f64, &str),
    ) -> Result<Self> {
        Ok(Self {
            count: config.size(&["num_hidden_layers"], defaults.0)?,
            heads: config.size(&["num_attention_heads"], defaults.1)?,
            epsilon: config.epsilon("layer_norm_eps", defaults.2)?,
            activation: config.word(&["hidden_act"], defaults.3)?.to_owned(),
            scaled: false,
            gated: false,
            names,
        })
    }

    /// The first half: a norm, and queries, keys and values as rows.
    pub(in crate::transformers) fn parts(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<[Val; 3]> {
        let y = layer_norm(g, &w.at(self.names.norms[0]), x, self.epsilon)?;
        let [queries, keys, values] = self.names.parts;
        Ok([linear(g, &w.at(queries), y)?, linear(g, &w.at(keys), y)?, linear(g, &w.at(values), y)?])
    }

    /// The second half: what attention mixed is added to `x`, then what dense layers make of that.
    pub(in crate::transformers) fn finish(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        mixed: Val,
    ) -> Result<Val> {
        let y = linear(g, &w.at(self.names.out), mixed)?;
        let y = self.scale(g, w, self.names.scales[0], y)?;
        let x = g.add(y, x)?;
        let y = layer_norm(g, &w.at(self.names.norms[1]), x, self.epsilon)?;
        let y = linear(g, &w.at(self.names.dense[0]), y)?;
        let y = if self.gated {
            let half = g.size(y, 1)? / 2;
            let parts = g.split(y, 1, &[half; 2])?;
            let gate = g.silu(parts[0])?;
            g.mul(gate, parts[1])?
        } else {
            activate_by_name(g, &self.activation, y)?
        };
        let y = linear(g, &w.at(self.names.dense[1]), y)?;
        let y = self.scale(g, w, self.names.scales[1], y)?;
        Ok(g.add(y, x)?)
    }

    fn scale(&self, g: &mut Builder, w: &Weights, name: &str, y: Val) -> Result<Val> {
        if !self.scaled {
            return Ok(y);
        }
        let scale = g.weight(w, name)?;
        Ok(g.mul(y, scale)?)
    }

    /// A layer among the tokens of images. `bias` is added to scores. Where only the first tokens are needed behind it, the second half
    /// is computed for no others.
    pub(in crate::transformers) fn layer(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: &Patches,
        bias: Option<Val>,
        needed: Option<usize>,
    ) -> Result<Patches> {
        let parts = self.parts(g, w, x.rows)?;
        let attention = Attention {
            heads: self.heads,
            tokens: x.tokens,
            sequences: std::slice::from_ref(&x.batch),
            similarity: Similarity::scaled(g.size(parts[0], 1)?, self.heads),
            bias,
        };
        let mixed = attend_each(g, parts, attention)?;
        let (x, mixed) = match needed {
            Some(count) => {
                let mixed = Patches { rows: mixed, ..x.clone() }.first(g, count)?;
                (x.first(g, count)?, mixed.rows)
            }
            None => (x.clone(), mixed),
        };
        Ok(Patches { rows: self.finish(g, w, x.rows, mixed)?, ..x })
    }

    /// All layers, numbered below `w`. `needed` is how many tokens are needed in the end, if not all.
    pub(in crate::transformers) fn run(
        &self,
        g: &mut Builder,
        w: &Weights,
        mut x: Patches,
        needed: Option<usize>,
    ) -> Result<Patches> {
        for layer in 0..self.count {
            let last = layer + 1 == self.count;
            x = self.layer(g, &w.at(layer), &x, None, needed.filter(|_| last))?;
        }
        match needed.filter(|&count| count != x.tokens) {
            Some(count) => x.first(g, count),
            None => Ok(x),
        }
    }

    /// A norm of all tokens.
    pub(in crate::transformers) fn norm(&self, g: &mut Builder, w: &Weights, x: Patches) -> Result<Patches> {
        Ok(Patches { rows: layer_norm(g, w, x.rows, self.epsilon)?, ..x })
    }
}
