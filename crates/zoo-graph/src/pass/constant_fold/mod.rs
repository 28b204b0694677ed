//! Computes what is known already.
//!
//! Before: `s = Shape(x: f32[1,3,224,224]); h = Gather(s, 2); y = Mul(h, 2)`. After: the constant `y = 448`.
//!
//! Folded are nodes whose inputs are constants, and `Shape` where the dimensions are numbers, as long as the result is small
//! ([`MAX_FOLDED_BYTES`]); weights are never read. These operators:
//!
//! - `Shape`, `Size`;
//! - those that move elements: `Identity`, `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Transpose`, `Concat`, `Gather`, `Slice`, `Expand`;
//! - `Cast` between whole numbers, `f32`, `f64` and `bool`, where every element fits;
//! - `Add`, `Sub`, `Mul`, `Div`, `Neg`, `Sqrt`, `Min`, `Max` of whole numbers and of `f32` and `f64`.
//!
//! This is plain code, without candle: shapes are whole numbers of 64 bits, of which candle computes little, and the arithmetic that
//! IEEE 754 rounds in one way only is one line in Rust as well. What every library of mathematics rounds its own way (`Exp`, `Pow`,
//! `Tanh` …) is left to the runtime, so that a folded model gives the same bits as an unfolded one. So is what a
//! runtime would fail on: a division by zero, an index out of range.

mod arithmetic;
mod moving;

use zoo_tensor::{Dim, Tensor};

use super::rewrite::{input, output};
use crate::graph::{Graph, Node, Source, Val};
use crate::limits::MAX_FOLDED_BYTES;

/// Returns how many nodes became constants.
pub(super) fn run(graph: &mut Graph) -> Result<usize, String> {
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        // Outputs are what nodes make.
        let Some(made) = output(node).filter(|made| !graph.outputs.contains(made)) else { continue };
        let Some(tensor) = folded(graph, node, made) else { continue };
        let value = graph.value_mut(made);
        let admitted = value.dims.len() == tensor.shape().len()
            && value.dims.iter().zip(tensor.shape()).all(|(dim, &size)| dim.admits(size));
        if tensor.dtype() != value.dtype || !admitted {
            let found = (tensor.dtype(), tensor.shape().to_vec());
            return Err(format!("{} was found to be {} {:?}", value.describe(), found.0, found.1));
        }
        value.dims = tensor.shape().iter().copied().map(Dim::Fixed).collect();
        value.source = Source::Constant(tensor);
        graph.nodes[at].outputs.clear();
        changes += 1;
    }
    // Nothing is made by them any more.
    graph.nodes.retain(|node| !node.outputs.is_empty());
    Ok(changes)
}

/// What the node makes, if that is known and small.
fn folded(graph: &Graph, node: &Node, made: Val) -> Option<Tensor> {
    if !node.domain.is_empty() {
        return None;
    }
    // What is larger than this is not even computed. A size that is not known is that of few elements: a shape's.
    let sizes: Vec<usize> = graph.value(made).dims.iter().map(|dim| dim.fixed().unwrap_or(1)).collect();
    let bytes = zoo_tensor::element_count(&sizes).and_then(|count| graph.value(made).dtype.byte_len(count));
    if bytes.is_none_or(|bytes| bytes as u64 > MAX_FOLDED_BYTES) {
        return None;
    }
    if let Some(shape) = shape(graph, node) {
        return Some(shape);
    }
    let constants: Option<Vec<Option<&Tensor>>> = node
        .inputs
        .iter()
        .map(|val| match val {
            Some(val) => graph.value(*val).constant().map(Some),
            None => Some(None),
        })
        .collect();
    let constants = constants?;
    let tensor = moving::evaluate(node, &constants).or_else(|| arithmetic::evaluate(node, &constants))?;
    (tensor.bytes()?.len() as u64 <= MAX_FOLDED_BYTES).then_some(tensor)
}

/// The result of a `Shape` or `Size` of known dimensions.
fn shape(graph: &Graph, node: &Node) -> Option<Tensor> {
    if !matches!(node.op.as_str(), "Shape" | "Size") {
        return None;
    }
    let dims = &graph.value(input(node, 0)?).dims;
    let rank = dims.len() as i64;
    let end = |value: i64| (if value < 0 { value + rank } else { value }).clamp(0, rank) as usize;
    let (from, to) = (end(node.int("start").unwrap_or(0)), end(node.int("end").unwrap_or(rank)));
    let part = if node.op == "Size" { dims } else { dims.get(from..to.max(from))? };
    let sizes: Vec<i64> = part.iter().map(|dim| dim.fixed().map(|n| n as i64)).collect::<Option<_>>()?;
    if node.op == "Size" {
        let count = sizes.iter().try_fold(1_i64, |count, &size| count.checked_mul(size))?;
        return Tensor::from_slice([], &[count]).ok();
    }
    Tensor::from_slice([sizes.len()], &sizes).ok()
}

#[cfg(test)]
mod tests;
