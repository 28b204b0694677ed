//! Convolutions with what follows them.

use zoo_graph::ops::{BatchNorm, Window};
use zoo_graph::{Builder, Result, Val, Weights};

/// What `torch.nn.BatchNorm2d` adds to variances unless told otherwise.
pub const EPSILON: f32 = 1e-5;

/// A pointwise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x sigmoid(x)`.
    Silu,
    /// `x clip(x/6 + 1/2, 0, 1)`.
    HardSwish,
    /// The exact GELU.
    Gelu,
    /// `1/(1 + exp(-x))`.
    Sigmoid,
    /// `clip(x/6 + 1/2, 0, 1)`.
    HardSigmoid,
}

/// Applies a nonlinearity.
///
/// # Errors
/// None of its own.
#[track_caller]
pub fn activate(g: &mut Builder, activation: Activation, x: Val) -> Result<Val> {
    match activation {
        Activation::None => Ok(x),
        Activation::Relu => g.relu(x),
        Activation::Relu6 => g.clip(x, 0.0, 6.0),
        Activation::Silu => g.silu(x),
        Activation::HardSwish => g.hard_swish(x),
        Activation::Gelu => g.gelu(x),
        Activation::Sigmoid => g.sigmoid(x),
        Activation::HardSigmoid => g.hard_sigmoid(x),
    }
}

/// `torch.nn.Conv*d`: `weight`, and `bias` if the checkpoint has one.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn conv(g: &mut Builder, w: &Weights, x: Val, window: Window) -> Result<Val> {
    let weight = g.weight(w, "weight")?;
    let bias = g.weight_if(w, "bias")?;
    g.conv(x, weight, bias, window)
}

/// The window of a convolution over images, as wide as its weight (`w` has it) and padded such that it keeps the size but for its
/// `stride`, with this distance between its elements.
///
/// # Errors
/// If there is no weight. What is not square and odd is refused by the convolution itself, whose window this is not.
pub fn same_window(w: &Weights, stride: usize, dilation: usize) -> Result<Window> {
    let kernel = w.shape("weight")?.get(2).copied().unwrap_or_default() | 1;
    let pad = (kernel / 2).saturating_mul(dilation);
    Ok(Window::of(kernel).stride(stride).pad(pad).dilation(dilation))
}

/// A convolution and a nonlinearity, without a norm between them.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn conv_act(g: &mut Builder, w: &Weights, x: Val, window: Window, activation: Activation) -> Result<Val> {
    let x = conv(g, w, x, window)?;
    activate(g, activation, x)
}

/// `torch.nn.BatchNorm*d` as in evaluation.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn batch_norm(g: &mut Builder, w: &Weights, x: Val, epsilon: f32) -> Result<Val> {
    let norm = BatchNorm {
        scale: g.weight(w, "weight")?,
        bias: g.weight(w, "bias")?,
        mean: g.weight(w, "running_mean")?,
        variance: g.weight(w, "running_var")?,
        epsilon,
    };
    g.batch_norm(x, norm)
}

/// A convolution and the batch norm after it, under two names.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn conv_bn(
    g: &mut Builder,
    w: &Weights,
    (conv_name, norm_name): (&str, &str),
    x: Val,
    window: Window,
) -> Result<Val> {
    let x = conv(g, &w.at(conv_name), x, window)?;
    batch_norm(g, &w.at(norm_name), x, EPSILON)
}

/// torchvision's `Conv2dNormActivation`: a convolution `0`, a batch norm `1`, a nonlinearity.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn conv_bn_act(
    g: &mut Builder,
    w: &Weights,
    x: Val,
    window: Window,
    epsilon: f32,
    activation: Activation,
) -> Result<Val> {
    let x = conv(g, &w.at(0), x, window)?;
    let x = batch_norm(g, &w.at(1), x, epsilon)?;
    activate(g, activation, x)
}
