//! DETR's masks (Carion et al., 2020, section 4.4): for each query, where it looked on the last feature map, made finer by convolutions
//! with what the backbone saw before.

use zoo_graph::ops::{Coordinates, Interpolation, Window};
use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::Dim;

use super::detr::Detected;
use crate::nn::{EPSILON, conv, linear};
use crate::transformers::{Model, Result};

/// How many groups of channels a norm has, or as many as there are channels.
const GROUPS: usize = 8;

/// `pred_masks` `[batch, queries, height, width]` of the size of the backbone's first map.
pub(super) fn masks(g: &mut Builder, m: &Model<'_>, x: &Detected) -> Result<Val> {
    let [first, second, third, _] = x.maps[..] else {
        return Ok(m.config.unsupported("backbone_config")?);
    };
    for map in [first, second, third] {
        g.show_lengths(map)?;
    }
    let w = m.top.at("mask_head");
    let looked = looked(g, m, x)?;
    let (batch, queries) = (g.dims(x.queries)[0].clone(), g.dims(x.queries)[1].clone());
    let seen = g.unsqueeze(x.seen, 1)?;
    let mut dims = g.dims(seen).to_vec();
    dims[1] = queries.clone();
    let seen = g.expand_to(seen, &dims)?;
    let seen = g.join_axes(seen, 0, 2)?;
    let mut y = g.concat(&[seen, looked], 1)?;
    y = layer(g, &w, 1, y)?;
    y = layer(g, &w, 2, y)?;
    for (index, map) in [third, second, first].into_iter().enumerate() {
        let finer = conv(g, &w.at(format_args!("adapter{}", index + 1)), map, Window::of(1))?;
        // As PyTorch's nearest neighbour.
        y = g.resize_like(y, finer, Interpolation::Nearest, Coordinates::HalfPixel)?;
        let finer = g.unsqueeze(finer, 1)?;
        let mut dims = g.dims(finer).to_vec();
        dims[1] = queries.clone();
        y = g.reshape(y, dims)?;
        y = g.add(finer, y)?;
        y = g.join_axes(y, 0, 2)?;
        y = layer(g, &w, index + 3, y)?;
    }
    let y = conv(g, &w.at("out_lay"), y, Window::same(3))?;
    let [height, width] = [2, 3].map(|axis| g.dims(y)[axis].clone());
    Ok(g.reshape(y, [batch, queries, height, width])?)
}

/// A convolution, a norm of groups and a ReLU, under a number.
fn layer(g: &mut Builder, w: &Weights, number: usize, x: Val) -> Result<Val> {
    let x = conv(g, &w.at(format_args!("lay{number}")), x, Window::same(3))?;
    let w = w.at(format_args!("gn{number}"));
    let (scale, bias) = (g.weight(&w, "weight")?, g.weight(&w, "bias")?);
    // The first has 8 whatever the channels are, which then are a multiple.
    let groups = g.size(x, 1)?.min(GROUPS);
    let x = g.group_norm(x, groups, scale, bias, EPSILON)?;
    Ok(g.relu(x)?)
}

/// How much of each query's look falls on each place, head by head: `[queries*batch, heads, height, width]`. Heads share what there is.
fn looked(g: &mut Builder, m: &Model<'_>, x: &Detected) -> Result<Val> {
    let w = m.top.at("bbox_attention");
    let heads = m.config.size(&["encoder_attention_heads"], 8)?;
    let queries = linear(g, &w.at("q_linear"), x.queries)?;
    let keys = linear(g, &w.at("k_linear"), x.memory)?;
    let head = g.size(queries, 2)? / heads.max(1);
    let scale = g.float("look_scale", 1.0 / (head as f32).sqrt());
    let queries = g.mul(queries, scale)?;
    let mut parts = Vec::with_capacity(2);
    for part in [queries, keys] {
        let dims = g.dims(part).to_vec();
        parts.push(g.reshape(part, [dims[0].clone(), dims[1].clone(), heads.into(), head.into()])?);
    }
    let queries = g.transpose(parts[0], &[0, 2, 1, 3])?;
    let keys = g.transpose(parts[1], &[0, 2, 3, 1])?;
    let scores = g.matmul(queries, keys)?;
    // [batch, queries, heads, places]
    let scores = g.transpose(scores, &[0, 2, 1, 3])?;
    let scores = g.join_axes(scores, 2, 4)?;
    let looks = g.softmax(scores, -1)?;
    let looks = g.join_axes(looks, 0, 2)?;
    let many = g.dims(looks)[0].clone();
    let [height, width] = [2, 3].map(|axis| g.dims(x.seen)[axis].clone());
    Ok(g.reshape(looks, [many, Dim::Fixed(heads), height, width])?)
}
