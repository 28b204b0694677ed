//! What passes share.

use zoo_tensor::{Dim, Tensor};

use crate::graph::{Graph, Node, Source, Val, Value};

/// Lets every use of `old` use `new`, which is the same tensor. An output keeps its name: `new` gets it. Tells whether it could: an
/// output is what a node makes, and has one name.
pub(super) fn stand_in(graph: &mut Graph, old: Val, new: Val) -> bool {
    if graph.outputs.contains(&old) {
        if !matches!(graph.value(new).source, Source::Node) || graph.outputs.contains(&new) {
            return false;
        }
        let name = std::mem::take(&mut graph.value_mut(old).name);
        let other = std::mem::replace(&mut graph.value_mut(new).name, name);
        graph.value_mut(old).name = other;
    }
    graph.replace_uses(old, new);
    true
}

/// Whether the node is this operator of ONNX's own.
pub(super) fn is(node: &Node, op: &str) -> bool {
    node.op == op && node.domain.is_empty()
}

/// The input at this place, if it is there.
pub(super) fn input(node: &Node, at: usize) -> Option<Val> {
    node.inputs.get(at).copied().flatten()
}

/// The only output.
pub(super) fn output(node: &Node) -> Option<Val> {
    match node.outputs.as_slice() {
        &[only] => Some(only),
        _ => None,
    }
}

/// The whole numbers of a constant input.
pub(super) fn constant_ints(graph: &Graph, node: &Node, at: usize) -> Option<Vec<i64>> {
    graph.value(input(node, at)?).constant()?.to_i64_vec().ok()
}

/// Whether two shapes are surely the same: every dimension is known, and equal.
pub(super) fn same_shape(a: &[Dim], b: &[Dim]) -> bool {
    a == b && !a.contains(&Dim::Unknown)
}

/// A new constant.
pub(super) fn add_constant(graph: &mut Graph, name: &str, tensor: Tensor) -> Val {
    let name = graph.unique_name(name);
    let dims = tensor.shape().iter().copied().map(Dim::Fixed).collect();
    graph.add_value(Value { name, dtype: tensor.dtype(), dims, source: Source::Constant(tensor) })
}

/// A new constant: a list of whole numbers.
pub(super) fn add_ints(graph: &mut Graph, name: &str, ints: &[i64]) -> Result<Val, String> {
    let tensor = Tensor::from_slice([ints.len()], ints).map_err(|error| error.to_string())?;
    Ok(add_constant(graph, name, tensor))
}

/// Makes a tensor of another shape out of the elements of `tensor`: `from` tells, for each place in the new one, which element (in
/// row-major order) stands there.
pub(super) fn arranged(
    tensor: &Tensor,
    shape: &[usize],
    mut from: impl FnMut(&[usize]) -> usize,
) -> Option<Tensor> {
    let (bytes, size) = (tensor.bytes()?, tensor.dtype().size()?);
    let count = zoo_tensor::element_count(shape)?;
    let mut out = Vec::with_capacity(count.checked_mul(size)?);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = from(&index).checked_mul(size)?;
        out.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        for (place, &end) in index.iter_mut().zip(shape).rev() {
            *place += 1;
            if *place < end {
                break;
            }
            *place = 0;
        }
    }
    Tensor::from_bytes(tensor.dtype(), shape, out.into()).ok()
}

/// The distance between neighbours along each axis of a dense tensor, in elements.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Axis `i` of the result is axis `order[i]` of the tensor; `order` names each axis once.
pub(super) fn permuted(tensor: &Tensor, order: &[usize]) -> Option<Tensor> {
    let own = strides(tensor.shape());
    let shape: Option<Vec<usize>> = order.iter().map(|&axis| tensor.shape().get(axis).copied()).collect();
    let steps: Option<Vec<usize>> = order.iter().map(|&axis| own.get(axis).copied()).collect();
    let steps = steps?;
    arranged(tensor, &shape?, |index| index.iter().zip(&steps).map(|(i, step)| i * step).sum())
}

/// The order of axes of a `Transpose`, if it is one of a tensor of that rank.
pub(super) fn order(node: &Node, rank: usize) -> Option<Vec<usize>> {
    if !is(node, "Transpose") {
        return None;
    }
    let order: Vec<usize> = match node.attribute("perm") {
        None => (0..rank).rev().collect(),
        Some(_) => {
            node.ints("perm")?.iter().map(|&axis| usize::try_from(axis).ok()).collect::<Option<_>>()?
        }
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.iter().copied().eq(0..rank).then_some(order)
}
