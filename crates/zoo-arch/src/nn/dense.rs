//! Dense layers and layer norms.

use zoo_graph::{Builder, Result, Val, Weights};

/// `torch.nn.Linear` over the last axis: `weight` `[out, in]`, and `bias` if the checkpoint has one.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn linear(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let weight = g.weight(w, "weight")?;
    let bias = g.weight_if(w, "bias")?;
    g.linear(x, weight, bias)
}

/// A dense layer that is some rows of a larger one: outputs `start..start + count` of `w`, in the same place of the checkpoint.
///
/// # Errors
/// If a tensor is missing, has fewer rows, or does not fit.
#[track_caller]
pub fn linear_rows(g: &mut Builder, w: &Weights, x: Val, start: usize, count: usize) -> Result<Val> {
    let weight = g.weight_rows(w, "weight", start, count)?;
    let bias = if w.has("bias") { Some(g.weight_rows(w, "bias", start, count)?) } else { None };
    g.linear(x, weight, bias)
}

/// A multilayer perceptron: the dense layers with these numbers, and a ReLU between every two.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn perceptron(g: &mut Builder, w: &Weights, mut x: Val, layers: &[usize]) -> Result<Val> {
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            x = g.relu(x)?;
        }
        x = linear(g, &w.at(layer), x)?;
    }
    Ok(x)
}

/// `torch.nn.LayerNorm` over the last axis.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn layer_norm(g: &mut Builder, w: &Weights, x: Val, epsilon: f32) -> Result<Val> {
    let scale = g.weight(w, "weight")?;
    let bias = g.weight_if(w, "bias")?;
    g.layer_norm(x, scale, bias, epsilon)
}

/// The norm by the root of the mean square over the last axis, as LLaMA and T5 have it: only `weight`.
///
/// # Errors
/// If a tensor is missing or does not fit.
#[track_caller]
pub fn rms_norm(g: &mut Builder, w: &Weights, x: Val, epsilon: f32) -> Result<Val> {
    let scale = g.weight(w, "weight")?;
    g.rms_norm(x, scale, epsilon)
}
