//! Squeeze and excitation (Hu et al., 2018): channels weighted by what the whole image says about them.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::conv::{Activation, activate, conv};

/// torchvision's `SqueezeExcitation`: mean over the image, 1x1 convolution `fc1`, `activation`, 1x1 convolution `fc2`, `gate`,
/// times the input.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn squeeze_excitation(
    g: &mut Builder,
    w: &Weights,
    x: Val,
    activation: Activation,
    gate: Activation,
) -> Result<Val> {
    let y = g.global_average_pool(x)?;
    let y = conv(g, &w.at("fc1"), y, Window::of(1))?;
    let y = activate(g, activation, y)?;
    let y = conv(g, &w.at("fc2"), y, Window::of(1))?;
    let y = activate(g, gate, y)?;
    g.mul(y, x)
}
