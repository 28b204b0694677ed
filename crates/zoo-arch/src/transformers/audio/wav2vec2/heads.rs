//! What is made of frames: letters, labels, voices.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use super::features::refold;
use super::{Heard, Model, Outputs};
use crate::nn::{Rows, linear, unfold_rows};
use crate::transformers::Result;

fn output(name: &str, val: Val) -> Outputs {
    vec![(name.to_owned(), val)]
}

/// `logits` `[batch, frames, letters]` (Graves et al., 2006).
pub(super) fn ctc(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let heard = Heard::of(g, m)?;
    let logits = linear(g, &m.top.at("lm_head"), heard.states)?;
    Ok(output("logits", unfold_rows(g, logits, &heard.rows)?))
}

/// `logits` `[batch, labels]` of the mean of projected frames.
pub(super) fn sequence(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    if m.config.flag("add_adapter", false)? {
        return Ok(m.config.unsupported("add_adapter")?);
    }
    let (x, rows) = Heard::of(g, m)?.chosen(g, m)?;
    let x = linear(g, &m.top.at("projector"), x)?;
    let x = unfold_rows(g, x, &rows)?;
    let x = g.reduce_mean(x, &[1], false)?;
    Ok(output("logits", linear(g, &m.top.at("classifier"), x)?))
}

/// `logits` `[batch, frames, labels]`.
pub(super) fn frames(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    if m.config.flag("add_adapter", false)? {
        return Ok(m.config.unsupported("add_adapter")?);
    }
    let (x, rows) = Heard::of(g, m)?.chosen(g, m)?;
    let logits = linear(g, &m.top.at("classifier"), x)?;
    Ok(output("logits", unfold_rows(g, logits, &rows)?))
}

/// `embeddings` `[batch, width]` of a voice, and `logits` of the same width, as x-vectors have them (Snyder et al., 2018): frames with
/// ever more neighbours, then their mean and spread.
pub(super) fn voice(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    if m.config.flag("use_weighted_layer_sum", false)? && m.config.flag("add_adapter", false)? {
        return Ok(m.config.unsupported("add_adapter")?);
    }
    let (x, mut rows) = Heard::of(g, m)?.chosen(g, m)?;
    let mut x = linear(g, &m.top.at("projector"), x)?;
    let kernels = m.config.sizes("tdnn_kernel", &[5, 3, 3, 1, 1])?;
    let dilations = m.config.sizes("tdnn_dilation", &[1, 2, 3, 1, 1])?;
    let widths = m.config.sizes("tdnn_dim", &[512, 512, 512, 512, 1500])?;
    if kernels.len() < widths.len() || dilations.len() < widths.len() {
        return Ok(m.config.unsupported("tdnn_dim")?);
    }
    for layer in 0..widths.len() {
        let w = m.top.at(format_args!("tdnn.{layer}.kernel"));
        (x, rows) = neighbours(g, &w, x, &rows, [widths[layer], kernels[layer], dilations[layer]])?;
    }
    let x = unfold_rows(g, x, &rows)?;
    let mean = g.reduce_mean(x, &[1], true)?;
    let apart = g.sub(x, mean)?;
    let squares = g.mul(apart, apart)?;
    let total = g.reduce_sum(squares, &[1], false)?;
    // Over one frame less, as statistics has it for samples.
    let count = g.length(&rows.sequence)?;
    let count = g.cast(count, DType::F32)?;
    let one = g.float("one", 1.0);
    let count = g.sub(count, one)?;
    let spread = g.div(total, count)?;
    let spread = g.sqrt(spread)?;
    let mean = g.squeeze(mean, 1)?;
    let both = g.concat(&[mean, spread], -1)?;
    let embeddings = linear(g, &m.top.at("feature_extractor"), both)?;
    let logits = linear(g, &m.top.at("classifier"), embeddings)?;
    Ok(vec![("logits".to_owned(), logits), ("embeddings".to_owned(), embeddings)])
}

/// A dense layer over some frames at a distance of each other, and a ReLU. Its weight `[out, kernel * in]` has frames in the outer place:
/// a convolution over an image of one channel, whose lines are frames, takes it as it lies.
fn neighbours(
    g: &mut Builder,
    w: &Weights,
    x: Val,
    rows: &Rows,
    [out, kernel, dilation]: [usize; 3],
) -> Result<(Val, Rows)> {
    let width = g.size(x, 1)?;
    let weight = g.weight_as(w, "weight", &[out, 1, kernel, width])?;
    let bias = g.weight_if(w, "bias")?;
    let x = unfold_rows(g, x, rows)?;
    let x = g.unsqueeze(x, 1)?;
    let x = g.conv(x, weight, bias, Window::of_axes([kernel, width]).dilation([dilation, 1]))?;
    let x = g.relu(x)?;
    let x = g.squeeze(x, 3)?;
    let x = g.transpose(x, &[0, 2, 1])?;
    refold(g, x)
}
