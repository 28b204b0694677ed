//! Pooling over windows.
//!
//! What is padded is padded before: for a maximum with the smallest number, for an average with zeros that may count or not.

use zoo_graph::graph::Node;
use zoo_tensor::{DType, Dim};

use super::conv::{Window, with_ends};
use super::tools::operand;
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[("AveragePool", average_pool), ("MaxPool", max_pool)];

/// The window, with the padding behind by which a last one that is not full becomes full; and that padding alone.
fn window_of(l: &Lowering<'_>, node: &Node) -> Result<(Window, Vec<i64>), String> {
    let kernel = node.ints("kernel_shape").ok_or("has no kernel")?.to_vec();
    let mut window = Window::of(node, kernel)?;
    if window.dilations.iter().any(|&dilation| dilation != 1) {
        return Err("is dilated".to_owned());
    }
    let mut beyond = vec![0; window.kernel.len()];
    if node.int("ceil_mode") == Some(1) {
        let (from, to) = (l.dims_at(node, 0)?, l.made_dims(node, 0));
        for axis in 0..window.kernel.len() {
            let size = |dims: &[Dim]| dims.get(axis + 2).and_then(Dim::fixed).map(|size| size as i64);
            let (Some(size), Some(count)) = (size(&from), size(&to)) else {
                return Err("rounds up a size that is not known".to_owned());
            };
            let number = |list: &[i64]| list.get(axis).copied().unwrap_or_default();
            let reach = (count - 1) * number(&window.strides) + number(&window.kernel);
            let missing = reach - size - number(&window.before) - number(&window.after);
            if let (Some(beyond), Some(after)) = (beyond.get_mut(axis), window.after.get_mut(axis)) {
                *beyond = missing.max(0);
                *after += *beyond;
            }
        }
    }
    Ok((window, beyond))
}

fn pooled(l: &mut Lowering<'_>, name: &'static str, x: &Out, window: &Window) -> Out {
    let mut op = Op::typed(name, &[x])
        .ints("ksize", &with_ends(&window.kernel))
        .ints("strides", &with_ends(&window.strides))
        .text("padding", "VALID")
        .text("data_format", if name.ends_with("3D") { "NDHWC" } else { "NHWC" });
    if name == "MaxPool" {
        op = op.ints("explicit_paddings", &[]);
    }
    l.add(op, x.dtype)
}

fn name_of(window: &Window, two: &'static str, three: &'static str) -> Result<&'static str, String> {
    match window.kernel.len() {
        2 => Ok(two),
        3 => Ok(three),
        other => Err(format!("has {other} spatial axes")),
    }
}

fn max_pool(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if node.outputs.len() > 1 {
        return Err("gives the places of its maxima".to_owned());
    }
    let (window, _) = window_of(l, node)?;
    let name = name_of(&window, "MaxPool", "MaxPool3D")?;
    let val = operand(node, 0)?;
    let mut x = l.out_channels_last(val)?;
    if x.dtype != DType::F32 {
        return Err(format!("is of {}", x.dtype));
    }
    if window.is_padded() {
        let (paddings, lowest) = (l.paddings(&window.paddings()), l.scalar(f64::NEG_INFINITY, x.dtype)?);
        x = l.add(Op::typed("PadV2", &[&x, &paddings, &lowest]).of("Tpaddings", DType::I32), x.dtype);
    }
    Ok(Made::ChannelsLast(pooled(l, name, &x, &window)))
}

/// The average over what counts is the average over all, divided by that of a mask.
fn average_pool(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (window, beyond) = window_of(l, node)?;
    let name = name_of(&window, "AvgPool", "AvgPool3D")?;
    let val = operand(node, 0)?;
    let x = l.out_channels_last(val)?;
    let padded = l.zero_padded(&x, &window);
    let sum = pooled(l, name, &padded, &window);
    let padding_counts = node.int("count_include_pad") == Some(1);
    let all_count = if padding_counts { beyond.iter().all(|&n| n == 0) } else { !window.is_padded() };
    if all_count {
        return Ok(Made::ChannelsLast(sum));
    }
    let one = l.scalar(1.0, x.dtype)?;
    let rank = window.kernel.len() + 2;
    let shape = l.sizes(&x, 0, rank);
    let mut mask =
        l.add(Op::new("Fill", &[&shape, &one]).of("T", x.dtype).of("index_type", shape.dtype), x.dtype);
    if padding_counts {
        let after: Vec<i64> =
            window.after.iter().zip(&beyond).map(|(after, beyond)| after - beyond).collect();
        let paddings = l.paddings(&Window { after, ..window.clone() }.paddings());
        mask = l.add(Op::typed("PadV2", &[&mask, &paddings, &one]).of("Tpaddings", DType::I32), x.dtype);
        let rest = Window { before: vec![0; beyond.len()], after: beyond, ..window.clone() };
        mask = l.zero_padded(&mask, &rest);
    } else {
        mask = l.zero_padded(&mask, &window);
    }
    let share = pooled(l, name, &mask, &window);
    Ok(Made::ChannelsLast(l.binary("RealDiv", &sum, &share)))
}
