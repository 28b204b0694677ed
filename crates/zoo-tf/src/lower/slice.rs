//! `Slice`: both sides take ends beyond the end to be the end, and negative ones to count from there.

use zoo_graph::graph::Node;
use zoo_tensor::DType;

use super::tools::{Masks, axis_of};
use super::{Lower, Lowered, Lowering};
use crate::nodes::Out;

pub(super) const OPERATORS: &[(&str, Lower)] = &[("Slice", slice)];

/// Beyond this an end is the end: exporters write various large numbers.
const FAR: i64 = i32::MAX as i64;

fn slice(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let present = |index: usize| node.inputs.get(index).copied().flatten().is_some();
    let known = |l: &Lowering<'_>, index: usize, what: &str| {
        l.known_ints(node, index).ok_or_else(|| format!("has computed {what}"))
    };
    let starts = l.known_ints(node, 1);
    let count = match (&starts, present(3)) {
        (Some(starts), _) => starts.len(),
        (None, true) => known(l, 3, "axes")?.len(),
        (None, false) => rank,
    };
    let axes = if present(3) { known(l, 3, "axes")? } else { (0..count as i64).collect() };
    let steps = if present(4) { known(l, 4, "steps")? } else { vec![1; count] };
    let axes: Vec<usize> = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?;
    if axes.len() != count || steps.len() != count || steps.contains(&0) {
        return Err("has numbers that do not belong together".to_owned());
    }
    if let (Some(starts), Some(ends)) = (&starts, l.known_ints(node, 2)) {
        if ends.len() != count {
            return Err("has numbers that do not belong together".to_owned());
        }
        return Ok(known_places(l, &x, &axes, starts, &ends, &steps).into());
    }
    computed_places(l, node, x, &axes, &steps)
}

fn known_places(
    l: &mut Lowering<'_>,
    x: &Out,
    axes: &[usize],
    starts: &[i64],
    ends: &[i64],
    steps: &[i64],
) -> Out {
    let reach = axes.iter().max().map_or(0, |axis| axis + 1);
    let (mut from, mut to, mut by) = (vec![0; reach], vec![0; reach], vec![1; reach]);
    let all = (1_i64 << reach) - 1;
    let mut masks = Masks { begin: all, end: all, shrink: 0 };
    for (((&axis, &start), &end), &step) in axes.iter().zip(starts).zip(ends).zip(steps) {
        let bit = 1_i64 << axis;
        if let Some(place) = by.get_mut(axis) {
            *place = step;
        }
        if start.abs() < FAR
            && let Some(place) = from.get_mut(axis)
        {
            *place = start;
            masks.begin &= !bit;
        }
        if end.abs() < FAR
            && let Some(place) = to.get_mut(axis)
        {
            *place = end;
            masks.end &= !bit;
        }
    }
    let (from, to, by) = (l.ints(&from), l.ints(&to), l.ints(&by));
    l.strided(x, [&from, &to, &by], masks)
}

/// One axis after the other.
fn computed_places(l: &mut Lowering<'_>, node: &Node, mut x: Out, axes: &[usize], steps: &[i64]) -> Lowered {
    for (index, (&axis, &step)) in axes.iter().zip(steps).enumerate() {
        let mut ends = Vec::new();
        for input in [1, 2] {
            let known = l.known_ints(node, input).and_then(|known| known.get(index).copied());
            let end = match known {
                Some(known) => l.wide_ints(&[known]),
                None => {
                    let all = l.in_at(node, input)?;
                    let all = l.cast(&all, DType::I64);
                    if axes.len() == 1 {
                        all
                    } else {
                        let at = index as i64;
                        let (from, to, by) = (l.ints(&[at]), l.ints(&[at + 1]), l.ints(&[1]));
                        l.strided(&all, [&from, &to, &by], Masks::default())
                    }
                }
            };
            let end = if axis == 0 {
                end
            } else {
                let before = l.wide_ints(&vec![0; axis]);
                l.joined(&[before, end], 0)
            };
            ends.push(end);
        }
        let mut by = vec![1; axis];
        by.push(step);
        let by = l.wide_ints(&by);
        let whole = (1_i64 << axis) - 1;
        let [from, to] = <[Out; 2]>::try_from(ends).map_err(|_| "has two ends")?;
        x = l.strided(&x, [&from, &to, &by], Masks { begin: whole, end: whole, shrink: 0 });
    }
    Ok(x.into())
}
