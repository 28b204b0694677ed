//! Reductions over axes.

use zoo_graph::graph::Node;

use super::tools::{axis_of, operand};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::Out;

pub(super) const OPERATORS: &[(&str, Lower)] = &[
    ("GlobalAveragePool", global_pool),
    ("GlobalMaxPool", global_pool),
    ("ReduceL1", reduce),
    ("ReduceL2", reduce),
    ("ReduceLogSumExp", reduce),
    ("ReduceMax", reduce),
    ("ReduceMean", reduce),
    ("ReduceMin", reduce),
    ("ReduceProd", reduce),
    ("ReduceSum", reduce),
    ("ReduceSumSquare", reduce),
];

fn reduce(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let rank = l.dims_at(node, 0)?.len();
    let keep = node.int("keepdims") != Some(0);
    let axes: Vec<usize> = match l.ints_of(node, 1, "axes")? {
        Some(axes) if !axes.is_empty() => {
            axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?
        }
        _ if node.int("noop_with_empty_axes") == Some(1) => return l.elementwise(node, |_, x| Ok(x.clone())),
        _ => (0..rank).collect(),
    };
    let val = operand(node, 0)?;
    // With channels last the spatial axes are elsewhere; what is left of the others has one order in both layouts, if all of them go.
    let spatial = rank > 2 && (2..rank).all(|axis| axes.contains(&axis)) && axes.len() == rank - 2;
    if spatial && l.is_channels_last(val) {
        let x = l.out_channels_last(val)?;
        let axes: Vec<i64> = (1..rank as i64 - 1).collect();
        let y = over(l, &node.op, &x, &axes, keep)?;
        return Ok(if keep { Made::ChannelsLast(y) } else { y.into() });
    }
    let x = l.out(val)?;
    let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
    Ok(over(l, &node.op, &x, &axes, keep)?.into())
}

fn over(l: &mut Lowering<'_>, op: &str, x: &Out, axes: &[i64], keep: bool) -> Result<Out, String> {
    Ok(match op {
        "ReduceMean" => l.reduced("Mean", x, axes, keep),
        "ReduceSum" => l.reduced("Sum", x, axes, keep),
        "ReduceMax" => l.reduced("Max", x, axes, keep),
        "ReduceMin" => l.reduced("Min", x, axes, keep),
        "ReduceProd" => l.reduced("Prod", x, axes, keep),
        "ReduceL1" => {
            let x = l.unary("Abs", x);
            l.reduced("Sum", &x, axes, keep)
        }
        "ReduceSumSquare" => {
            let x = l.unary("Square", x);
            l.reduced("Sum", &x, axes, keep)
        }
        "ReduceL2" => {
            let x = l.unary("Square", x);
            let sum = l.reduced("Sum", &x, axes, keep);
            l.unary("Sqrt", &sum)
        }
        "ReduceLogSumExp" => {
            // Moved by the largest, so that no exponential is infinite.
            let largest = l.reduced("Max", x, axes, true);
            let moved = l.binary("Sub", x, &largest);
            let powers = l.unary("Exp", &moved);
            let sum = l.reduced("Sum", &powers, axes, keep);
            let log = l.unary("Log", &sum);
            let largest = if keep {
                largest
            } else {
                l.add(crate::nodes::Op::typed("Squeeze", &[&largest]).ints("squeeze_dims", axes), x.dtype)
            };
            l.binary("AddV2", &log, &largest)
        }
        other => return Err(format!("{other} has no counterpart")),
    })
}

/// Over all spatial axes, which stay with size 1.
fn global_pool(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (val, rank) = (operand(node, 0)?, l.dims_at(node, 0)?.len() as i64);
    let name = if node.op == "GlobalMaxPool" { "Max" } else { "Mean" };
    if l.is_channels_last(val) {
        let x = l.out_channels_last(val)?;
        let axes: Vec<i64> = (1..rank - 1).collect();
        return Ok(Made::ChannelsLast(l.reduced(name, &x, &axes, true)));
    }
    let x = l.out(val)?;
    let axes: Vec<i64> = (2..rank).collect();
    Ok(l.reduced(name, &x, &axes, true).into())
}
