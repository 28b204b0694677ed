//! Inverted residuals (Sandler et al., 2018): wide inside, narrow outside.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::conv::{Activation, conv_bn_act, same_window};
use super::excitation::squeeze_excitation;

/// The inverted residual of MobileNetV3 and EfficientNet: what its tensors cannot say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InvertedResidual {
    /// The step of the depthwise convolution.
    pub stride: usize,
    /// The distance between the elements of its window. Where it is not 1, the step is left out: the window is widened
    /// instead of the image being made smaller.
    pub dilation: usize,
    /// What batch norms add to variances.
    pub epsilon: f32,
    /// What follows expansion and depthwise convolution.
    pub activation: Activation,
    /// Activation and gate of the squeeze and excitation, where there is one.
    pub excitation: Option<(Activation, Activation)>,
}

/// torchvision's `block`: in order, an expansion (absent where a block does not expand), a depthwise convolution, squeeze and
/// excitation, and a projection that nothing follows. The input is added where the step is 1 and the width stays.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn inverted_residual(g: &mut Builder, w: &Weights, x: Val, block: InvertedResidual) -> Result<Val> {
    let InvertedResidual { stride, dilation, epsilon, activation, excitation } = block;
    let excited = usize::from(excitation.is_some());
    let parts = w.at("block");
    // Only their number shows whether the first of them expands.
    let expanded = usize::from(parts.find(2 + excited).is_some());
    let mut y = x;
    if expanded == 1 {
        y = conv_bn_act(g, &parts.at(0), y, Window::of(1), epsilon, activation)?;
    }
    let depthwise = parts.at(expanded);
    let window = same_window(&depthwise.at(0), if dilation > 1 { 1 } else { stride }, dilation)?;
    y = conv_bn_act(g, &depthwise, y, window, epsilon, activation)?;
    if let Some((activation, gate)) = excitation {
        y = squeeze_excitation(g, &parts.at(expanded + 1), y, activation, gate)?;
    }
    let projection = parts.at(expanded + 1 + excited);
    y = conv_bn_act(g, &projection, y, Window::of(1), epsilon, Activation::None)?;
    if stride == 1 && g.size(x, 1)? == g.size(y, 1)? { g.add(y, x) } else { Ok(y) }
}
