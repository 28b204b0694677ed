//! UPerNet's head (Xiao et al., 2018), which joins feature maps of four sizes, and the pyramid that a plain transformer makes of maps of one
//! size for it.

use zoo_graph::ops::{Coordinates, Interpolation, Window};
use zoo_graph::{Builder, Val, Weights};

use crate::nn::{EPSILON, batch_norm, conv, conv_bn};
use crate::transformers::{Error, Result};

/// The largest side of a square that maps are pooled to: published ones are up to 6.
const MOST_POOLED: usize = 64;

/// Four maps of one size at four, two, one and half times it, by `fpn1` and `fpn2` of `w`.
pub(super) fn pyramid(g: &mut Builder, w: &Weights, maps: [Val; 4]) -> Result<[Val; 4]> {
    let first = w.at("fpn1");
    let x = enlarged(g, &first.at(0), maps[0])?;
    let x = batch_norm(g, &first.at(1), x, EPSILON)?;
    let x = g.gelu(x)?;
    let x = enlarged(g, &first.at(3), x)?;
    let y = enlarged(g, &w.at("fpn2.0"), maps[1])?;
    let z = g.max_pool(maps[3], Window::of(2).stride(2))?;
    Ok([x, y, maps[2], z])
}

/// A transposed convolution that makes a square of each place.
fn enlarged(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let weight = g.weight(w, "weight")?;
    let bias = g.weight_if(w, "bias")?;
    Ok(g.conv_transpose(x, weight, bias)?)
}

/// `[batch, labels, height, width]` of the first map's size. The last map is pooled to squares of each of `scales`.
///
/// # Errors
/// If a square has no side, or a larger one than [`MOST_POOLED`].
pub(super) fn head(g: &mut Builder, w: &Weights, maps: [Val; 4], scales: &[usize]) -> Result<Val> {
    let mut lateral = Vec::with_capacity(4);
    for (index, &map) in maps[..3].iter().enumerate() {
        lateral.push(block(g, &w.at(format_args!("lateral_convs.{index}")), map, Window::of(1))?);
    }
    lateral.push(pooled(g, w, maps[3], scales)?);
    for index in (0..3).rev() {
        let above = sized(g, lateral[index + 1], lateral[index])?;
        lateral[index] = g.add(lateral[index], above)?;
    }
    for index in 0..3 {
        let x = block(g, &w.at(format_args!("fpn_convs.{index}")), lateral[index], Window::same(3))?;
        lateral[index] = if index > 0 { sized(g, x, lateral[0])? } else { x };
    }
    lateral[3] = sized(g, lateral[3], lateral[0])?;
    let x = g.concat(&lateral, 1)?;
    let x = block(g, &w.at("fpn_bottleneck"), x, Window::same(3))?;
    Ok(conv(g, &w.at("classifier"), x, Window::of(1))?)
}

/// Pyramid pooling (Zhao et al., 2016): the map, and what squares of several sizes say about all of it.
fn pooled(g: &mut Builder, w: &Weights, map: Val, scales: &[usize]) -> Result<Val> {
    let mut parts = vec![map];
    for (index, &scale) in scales.iter().enumerate() {
        if !(1..=MOST_POOLED).contains(&scale) {
            return Error::unsupported(format!("pooling to {scale}x{scale}"));
        }
        let x = g.adaptive_average_pool(map, (scale, scale))?;
        let x = block(g, &w.at(format_args!("psp_modules.{index}.1")), x, Window::of(1))?;
        parts.push(sized(g, x, map)?);
    }
    let x = g.concat(&parts, 1)?;
    block(g, &w.at("bottleneck"), x, Window::same(3))
}

/// A convolution, a batch norm and a ReLU.
fn block(g: &mut Builder, w: &Weights, x: Val, window: Window) -> Result<Val> {
    let x = conv_bn(g, w, ("conv", "bn"), x, window)?;
    Ok(g.relu(x)?)
}

fn sized(g: &mut Builder, x: Val, like: Val) -> Result<Val> {
    Ok(g.resize_like(x, like, Interpolation::Linear, Coordinates::HalfPixel)?)
}
