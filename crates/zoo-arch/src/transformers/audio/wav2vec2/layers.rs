//! The encoder's layers: attention over all frames, a feed-forward layer, norms behind or in front.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};

use super::features::refold;
use super::gate::Gate;
use crate::config::Config;
use crate::nn::{
    Rows, Scores, activate_by_name, attention, conv, join_heads, layer_norm, linear, split_heads, unfold_rows,
};
use crate::transformers::{Error, Result};

/// What the configuration says of layers.
#[derive(Debug)]
pub(super) struct Layers {
    count: usize,
    heads: usize,
    pub(super) epsilon: f32,
    activation: String,
    /// Whether norms stand in front of sublayers.
    norm_first: bool,
    /// Whether each layer ends with a small one for a language (Bapna and Firat, 2019).
    adapted: bool,
}

impl Layers {
    pub(super) fn of(config: &Config) -> Result<Self> {
        let norm_first = config.flag("do_stable_layer_norm", false)?;
        Ok(Self {
            count: config.size(&["num_hidden_layers"], 12)?,
            heads: config.size(&["num_attention_heads"], 12)?,
            epsilon: config.epsilon("layer_norm_eps", 1e-5)?,
            activation: config.word(&["hidden_act"], "gelu")?.to_owned(),
            norm_first,
            // Layers with norms behind have no place for it.
            adapted: norm_first && config.model_type() != Some("wavlm") && config.has("adapter_attn_dim"),
        })
    }

    /// Frames with their places through all layers. Gives the states in front of each layer, and at the end.
    pub(super) fn run(
        &self,
        g: &mut Builder,
        w: &Weights,
        mut x: Val,
        rows: &Rows,
        gate: Option<&Gate>,
    ) -> Result<(Vec<Val>, Val)> {
        if !self.norm_first {
            x = layer_norm(g, &w.at("layer_norm"), x, self.epsilon)?;
        }
        let mut before = Vec::new();
        for layer in 0..self.count {
            before.push(x);
            let w = w.at(format_args!("layers.{layer}"));
            x = self.sublayer(g, &w.at("layer_norm"), x, |g, x| {
                self.attended(g, &w.at("attention"), x, rows, gate)
            })?;
            x = self.sublayer(g, &w.at("final_layer_norm"), x, |g, x| {
                let w = w.at("feed_forward");
                let y = linear(g, &w.at("intermediate_dense"), x)?;
                let y = activate_by_name(g, &self.activation, y)?;
                Ok(linear(g, &w.at("output_dense"), y)?)
            })?;
            if self.adapted {
                let y = adapted(g, &w.at("adapter_layer"), x)?;
                x = g.add(x, y)?;
            }
        }
        if self.norm_first {
            x = layer_norm(g, &w.at("layer_norm"), x, self.epsilon)?;
        }
        Ok((before, x))
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
            let y = layer_norm(g, norm, x, self.epsilon)?;
            let y = apply(g, y)?;
            return Ok(g.add(x, y)?);
        }
        let y = apply(g, x)?;
        let y = g.add(x, y)?;
        Ok(layer_norm(g, norm, y, self.epsilon)?)
    }

    fn attended(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        rows: &Rows,
        gate: Option<&Gate>,
    ) -> Result<Val> {
        let width = g.size(x, 1)?;
        if self.heads == 0 || !width.is_multiple_of(self.heads) {
            return Error::unsupported(format!("{} heads of the width {width}", self.heads));
        }
        let mut parts = Vec::with_capacity(3);
        for part in ["q_proj", "k_proj", "v_proj"] {
            let y = linear(g, &w.at(part), x)?;
            parts.push(split_heads(g, y, rows, self.heads)?);
        }
        let bias = match gate {
            Some(gate) => Some(gate.bias(g, w, x, rows, self.heads)?),
            None => None,
        };
        let y = attention(g, parts[0], parts[1], parts[2], Scores::scaled(width / self.heads, bias))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("out_proj"), y)?)
    }
}

/// The small layer for a language.
fn adapted(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = layer_norm(g, &w.at("norm"), x, 1e-5)?;
    let x = linear(g, &w.at("linear_1"), x)?;
    let x = g.relu(x)?;
    Ok(linear(g, &w.at("linear_2"), x)?)
}

/// Convolutions behind the encoder that join neighbouring frames, each with a gate (Dauphin et al., 2017). Gives rows again.
pub(super) fn adapter(
    g: &mut Builder,
    config: &Config,
    w: &Weights,
    x: Val,
    rows: &Rows,
) -> Result<(Val, Rows)> {
    let mut x = x;
    let width = g.size(x, 1)?;
    if config.size(&["output_hidden_size"], width)? != width {
        x = linear(g, &w.at("proj"), x)?;
        x = layer_norm(g, &w.at("proj_layer_norm"), x, 1e-5)?;
    }
    let kernel = config.size(&["adapter_kernel_size"], 3)?;
    let stride = config.size(&["adapter_stride"], 2)?;
    let x = unfold_rows(g, x, rows)?;
    let mut x = g.transpose(x, &[0, 2, 1])?;
    for layer in 0..config.size(&["num_adapter_layers"], 3)? {
        let half = g.size(x, 1)?;
        let y =
            conv(g, &w.at(format_args!("layers.{layer}.conv")), x, Window::of(kernel).stride(stride).pad(1))?;
        let parts = g.split(y, 1, &[half, half])?;
        let gate = g.sigmoid(parts[1])?;
        x = g.mul(parts[0], gate)?;
    }
    let x = g.transpose(x, &[0, 2, 1])?;
    refold(g, x)
}
