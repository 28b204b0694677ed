//! Operators that move elements of constants, whatever their type.

use zoo_tensor::Tensor;

use crate::graph::Node;
use crate::ops::axis_of;
use crate::pass::rewrite::{arranged, order, permuted, strides};

/// What the node makes of these inputs; none if it is none of these operators, or its inputs do not go together.
pub(super) fn evaluate(node: &Node, inputs: &[Option<&Tensor>]) -> Option<Tensor> {
    let x = inputs.first().copied().flatten()?;
    let ints = |at: usize| inputs.get(at).copied().flatten().map(|tensor| tensor.to_i64_vec().ok());
    let shape = x.shape();
    match node.op.as_str() {
        "Identity" => Some(x.clone()),
        "Reshape" if node.int("allowzero").unwrap_or(0) == 0 => {
            x.clone().reshaped(target(shape, &ints(1)??)?).ok()
        }
        "Flatten" => {
            let axis = node.int("axis").unwrap_or(1);
            let at =
                if axis == shape.len() as i64 { shape.len() } else { axis_of(axis, shape.len()).ok()? };
            let (front, back) = shape.split_at_checked(at)?;
            x.clone().reshaped([front.iter().product(), back.iter().product()]).ok()
        }
        "Squeeze" => {
            let axes = match ints(1) {
                Some(axes) => Some(places(&axes?, shape.len())?),
                None => None,
            };
            let goes = |(axis, size): &(usize, &usize)| match &axes {
                Some(axes) => axes.contains(axis),
                None => **size == 1,
            };
            let kept = shape.iter().enumerate().filter(|place| !goes(place)).map(|(_, &size)| size);
            x.clone().reshaped(kept.collect::<Vec<_>>()).ok()
        }
        "Unsqueeze" => {
            let axes = ints(1)??;
            let axes = places(&axes, shape.len() + axes.len())?;
            let mut own = shape.iter().copied();
            let size = |axis: usize| if axes.contains(&axis) { Some(1) } else { own.next() };
            let sizes: Vec<usize> = (0..shape.len() + axes.len()).map(size).collect::<Option<_>>()?;
            x.clone().reshaped(sizes).ok()
        }
        "Transpose" => permuted(x, &order(node, shape.len())?),
        "Concat" => concat(&inputs.iter().copied().collect::<Option<Vec<_>>>()?, node.int("axis")?),
        "Gather" => {
            let indices = inputs.get(1).copied().flatten()?;
            gather(x, indices.shape(), &indices.to_i64_vec().ok()?, node.int("axis").unwrap_or(0))
        }
        "Slice" => {
            let (starts, ends) = (ints(1)??, ints(2)??);
            let axes = ints(3).unwrap_or_else(|| Some((0..starts.len() as i64).collect()))?;
            let steps = ints(4).unwrap_or_else(|| Some(vec![1; starts.len()]))?;
            slice(x, &starts, &ends, &axes, &steps)
        }
        "Expand" => {
            let target = ints(1)??;
            let target: Vec<usize> =
                target.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<_>>()?;
            expanded(x, &broadcast(shape, &target)?)
        }
        _ => None,
    }
}

/// The shape that a `Reshape` gives.
fn target(shape: &[usize], target: &[i64]) -> Option<Vec<usize>> {
    let mut sizes = Vec::with_capacity(target.len());
    let mut open = None;
    for (axis, &size) in target.iter().enumerate() {
        sizes.push(match size {
            0 => *shape.get(axis)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            size => usize::try_from(size).ok()?,
        });
    }
    if let Some(axis) = open {
        let (all, rest) = (zoo_tensor::element_count(shape)?, zoo_tensor::element_count(&sizes)?);
        sizes[axis] = all.checked_div(rest)?;
    }
    Some(sizes)
}

/// Axes, each once, counted from the front.
fn places(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let places: Vec<usize> = axes.iter().map(|&axis| axis_of(axis, rank).ok()).collect::<Option<_>>()?;
    let mut sorted = places.clone();
    sorted.sort_unstable();
    sorted.dedup();
    (sorted.len() == places.len()).then_some(places)
}

fn concat(parts: &[&Tensor], axis: i64) -> Option<Tensor> {
    let first = parts.first()?;
    let at = axis_of(axis, first.shape().len()).ok()?;
    let agree = |part: &&Tensor| {
        part.dtype() == first.dtype()
            && part.shape().len() == first.shape().len()
            && part.shape().iter().zip(first.shape()).enumerate().all(|(i, (a, b))| i == at || a == b)
    };
    let size = first.dtype().size().filter(|_| parts.iter().all(agree))?;
    let mut shape = first.shape().to_vec();
    shape[at] = parts.iter().map(|part| part.shape()[at]).sum();
    let outer: usize = shape[..at].iter().product();
    let inner: usize = shape[at + 1..].iter().product::<usize>() * size;
    let mut bytes = Vec::new();
    for row in 0..outer {
        for part in parts {
            let length = part.shape()[at] * inner;
            bytes.extend_from_slice(part.bytes()?.get(row * length..(row + 1) * length)?);
        }
    }
    Tensor::from_bytes(first.dtype(), shape, bytes.into()).ok()
}

fn gather(x: &Tensor, index_shape: &[usize], indices: &[i64], axis: i64) -> Option<Tensor> {
    let shape = x.shape();
    let at = axis_of(axis, shape.len()).ok()?;
    let indices: Vec<usize> =
        indices.iter().map(|&index| axis_of(index, shape[at]).ok()).collect::<Option<_>>()?;
    let made: Vec<usize> = [&shape[..at], index_shape, &shape[at + 1..]].concat();
    let (own, index_steps) = (strides(shape), strides(index_shape));
    arranged(x, &made, |place| {
        let (front, rest) = place.split_at(at);
        let (middle, back) = rest.split_at(index_shape.len());
        let which: usize = middle.iter().zip(&index_steps).map(|(i, step)| i * step).sum();
        let outer: usize = front.iter().zip(&own).map(|(i, step)| i * step).sum();
        let inner: usize = back.iter().zip(&own[at + 1..]).map(|(i, step)| i * step).sum();
        outer + indices[which] * own[at] + inner
    })
}

fn slice(x: &Tensor, starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> Option<Tensor> {
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return None;
    }
    let mut shape = x.shape().to_vec();
    let mut from = vec![0_usize; shape.len()];
    let mut by = vec![1_usize; shape.len()];
    for (place, axis) in places(axes, shape.len())?.into_iter().enumerate() {
        let (size, step) = (shape[axis] as i64, usize::try_from(steps[place]).ok().filter(|&step| step > 0)?);
        let end = |value: i64| (if value < 0 { value.saturating_add(size) } else { value }).clamp(0, size);
        let (start, stop) = (end(starts[place]), end(ends[place]));
        from[axis] = start as usize;
        by[axis] = step;
        shape[axis] = ((stop - start).max(0) as usize).div_ceil(step);
    }
    let own = strides(x.shape());
    arranged(x, &shape, |place| {
        (0..place.len()).map(|axis| (from[axis] + place[axis] * by[axis]) * own[axis]).sum()
    })
}

/// The shape that two shapes broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size =
        |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    let joined = |axis| match (size(a, axis), size(b, axis)) {
        (x, y) if x == y => Some(x),
        (1, other) | (other, 1) => Some(other),
        _ => None,
    };
    (0..rank).map(joined).collect()
}

/// A tensor repeated along its axes of size 1, and along new ones in front.
pub(super) fn expanded(x: &Tensor, shape: &[usize]) -> Option<Tensor> {
    let skipped = shape.len().checked_sub(x.shape().len())?;
    let own = strides(x.shape());
    let steps: Vec<usize> =
        x.shape().iter().zip(own).map(|(&size, step)| if size == 1 { 0 } else { step }).collect();
    arranged(x, shape, |place| place[skipped..].iter().zip(&steps).map(|(i, step)| i * step).sum())
}
