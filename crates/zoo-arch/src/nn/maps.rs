//! Dense layers and layer norms over the channels of feature maps, where channels are the second axis.
//!
//! A dense layer is a 1x1 convolution of the same bytes there, so that only norms move channels to the end and back.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::dense::layer_norm;

/// `torch.nn.Linear` over the channels of `[batch, channels, height, width]`.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn linear_map(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let shape = [w.shape("weight")?, &[1, 1]].concat();
    let weight = g.weight_as(w, "weight", &shape)?;
    let bias = g.weight_if(w, "bias")?;
    g.conv(x, weight, bias, Window::of(1))
}

/// `torch.nn.LayerNorm` over the channels of `[batch, channels, height, width]`.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn norm_map(g: &mut Builder, w: &Weights, x: Val, epsilon: f32) -> Result<Val> {
    let x = g.transpose(x, &[0, 2, 3, 1])?;
    let x = layer_norm(g, w, x, epsilon)?;
    g.transpose(x, &[0, 3, 1, 2])
}
