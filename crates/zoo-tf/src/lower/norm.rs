//! Norms and softmax.
//!
//! TensorFlow has no operator for most norms: they are means, squares and roots, as its own libraries write them.

use zoo_graph::graph::Node;
use zoo_tensor::{DType, Dim};

use super::tools::{axis_of, operand};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::Out;

pub(super) const OPERATORS: &[(&str, Lower)] = &[
    ("BatchNormalization", batch_norm),
    ("GroupNormalization", group_norm),
    ("InstanceNormalization", instance_norm),
    ("LayerNormalization", layer_norm),
    ("LogSoftmax", softmax),
    ("RMSNormalization", rms_norm),
    ("Softmax", softmax),
];

/// `(x - mean)/√(variance + epsilon)` over axes that stay.
fn standardised(l: &mut Lowering<'_>, x: &Out, axes: &[i64], epsilon: f32) -> Result<Out, String> {
    let mean = l.reduced("Mean", x, axes, true);
    let centred = l.binary("Sub", x, &mean);
    let square = l.unary("Square", &centred);
    let variance = l.reduced("Mean", &square, axes, true);
    divided(l, &centred, &variance, epsilon)
}

/// `x/√(power + epsilon)`.
fn divided(l: &mut Lowering<'_>, x: &Out, power: &Out, epsilon: f32) -> Result<Out, String> {
    let power = l.with("AddV2", power, f64::from(epsilon))?;
    let inverse = l.unary("Rsqrt", &power);
    Ok(l.binary("Mul", x, &inverse))
}

fn scaled(l: &mut Lowering<'_>, x: &Out, scale: &Out, bias: Option<&Out>) -> Out {
    let y = l.binary("Mul", x, scale);
    match bias {
        Some(bias) => l.binary("AddV2", &y, bias),
        None => y,
    }
}

fn epsilon(node: &Node) -> f32 {
    node.float("epsilon").unwrap_or(1e-5)
}

/// The axes from one on.
fn trailing(node: &Node, rank: usize) -> Result<Vec<i64>, String> {
    Ok((axis_of(node.int("axis").unwrap_or(-1), rank)? as i64..rank as i64).collect())
}

/// Computed in single precision, as ONNX asks for.
fn layer_norm(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if node.outputs.len() > 1 {
        return Err("gives its mean".to_owned());
    }
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let axes = trailing(node, rank)?;
    let wide = l.cast(&x, DType::F32);
    let y = standardised(l, &wide, &axes, epsilon(node))?;
    let y = l.cast(&y, x.dtype);
    let (scale, bias) = (l.in_at(node, 1)?, l.in_if(node, 2)?);
    Ok(scaled(l, &y, &scale, bias.as_ref()).into())
}

fn rms_norm(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let axes = trailing(node, rank)?;
    let wide = l.cast(&x, DType::F32);
    let square = l.unary("Square", &wide);
    let power = l.reduced("Mean", &square, &axes, true);
    let y = divided(l, &wide, &power, epsilon(node))?;
    let y = l.cast(&y, x.dtype);
    let scale = l.in_at(node, 1)?;
    Ok(scaled(l, &y, &scale, None).into())
}

/// A vector of one number for each channel, so that it broadcasts where channels come first.
fn per_channel(l: &mut Lowering<'_>, vector: &Out, rank: usize) -> Out {
    let shape: Vec<i64> = std::iter::once(-1).chain(std::iter::repeat_n(1, rank.saturating_sub(2))).collect();
    l.reshape_to(vector, &shape)
}

/// With the statistics of training.
fn batch_norm(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if node.outputs.len() > 1 || node.int("training_mode") == Some(1) {
        return Err("is in training".to_owned());
    }
    let (val, rank) = (operand(node, 0)?, l.dims_at(node, 0)?.len());
    let last = l.is_channels_last(val);
    let x = if last { l.out_channels_last(val)? } else { l.out(val)? };
    let [scale, bias, mean, variance] =
        [l.in_at(node, 1)?, l.in_at(node, 2)?, l.in_at(node, 3)?, l.in_at(node, 4)?];
    let factor = divided(l, &scale, &variance, epsilon(node))?;
    let moved = l.binary("Mul", &mean, &factor);
    let shift = l.binary("Sub", &bias, &moved);
    if last {
        return Ok(Made::ChannelsLast(scaled(l, &x, &factor, Some(&shift))));
    }
    let (factor, shift) = (per_channel(l, &factor, rank), per_channel(l, &shift, rank));
    Ok(scaled(l, &x, &factor, Some(&shift)).into())
}

/// Over the spatial axes of each channel.
fn instance_norm(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let axes: Vec<i64> = (2..rank as i64).collect();
    let y = standardised(l, &x, &axes, epsilon(node))?;
    let (scale, bias) = (l.in_at(node, 1)?, l.in_at(node, 2)?);
    let (scale, bias) = (per_channel(l, &scale, rank), per_channel(l, &bias, rank));
    Ok(scaled(l, &y, &scale, Some(&bias)).into())
}

/// Over the channels of a group and the spatial axes. Scale and bias have a number for each channel since operator set 21, and for each
/// group before.
fn group_norm(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, dims) = (l.in_at(node, 0)?, l.dims_at(node, 0)?);
    let rank = dims.len();
    let groups = node.int("num_groups").filter(|&groups| groups > 0).ok_or("does not say its groups")?;
    let channels = dims.get(1).and_then(Dim::fixed).ok_or("has an unknown number of channels")? as i64;
    // [batch, groups, channels of a group * spatial…]
    let batch = l.sizes(&x, 0, 1);
    let inner = l.wide_ints(&[groups, -1]);
    let shape = l.joined(&[batch, inner], 0);
    let grouped = l.reshape(&x, &shape);
    let y = standardised(l, &grouped, &[2], epsilon(node))?;
    let own = l.sizes(&x, 0, rank);
    let y = l.reshape(&y, &own);
    let mut vectors = Vec::new();
    for index in [1, 2] {
        let vector = l.in_at(node, index)?;
        let count =
            l.dims_at(node, index)?.first().and_then(Dim::fixed).ok_or("has a scale of unknown size")? as i64;
        if count != channels {
            return Err("has a scale for each group".to_owned());
        }
        vectors.push(per_channel(l, &vector, rank));
    }
    let [scale, bias] = <[Out; 2]>::try_from(vectors).map_err(|_| "has a scale and a bias")?;
    Ok(scaled(l, &y, &scale, Some(&bias)).into())
}

/// Along the last axis; another one is brought there.
fn softmax(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let axis = axis_of(node.int("axis").unwrap_or(-1), rank)?;
    let name = if node.op == "LogSoftmax" { "LogSoftmax" } else { "Softmax" };
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis, rank - 1);
    let turned = l.transpose(&x, &order);
    let y = l.unary(name, &turned);
    Ok(l.transpose(&y, &order).into())
}
