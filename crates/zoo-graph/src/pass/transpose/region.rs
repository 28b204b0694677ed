//! The part of a graph that a transposition's order reaches.

use std::collections::BTreeMap;

use zoo_tensor::{Dim, Tensor, Weight};

use super::blocks::moved;
use super::{then, untransposed};
use crate::graph::{Graph, Node, Source, Val, Value};
use crate::limits::MAX_FOLDED_BYTES;
use crate::ops::reshape_target;
use crate::pass::rewrite::{add_constant, add_ints, input, is, order, output, permuted};

/// Operators that compute each element from those at its place, with ONNX's broadcasting, and have no attribute that is about
/// axes.
#[rustfmt::skip]
const ELEMENTWISE: [&str; 49] = [
    "Abs", "Add", "And", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu",
    "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsNaN",
    "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "Pow",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Tanh", "Where",
];

/// What is rewritten when one transposition is moved away.
pub(super) struct Region {
    /// What the transposition reads, and what it makes.
    source: Val,
    made: Val,
    /// What it makes and all that is computed from it, each with the order that makes it out of the untransposed value.
    orders: BTreeMap<Val, Vec<usize>>,
    /// Elementwise nodes.
    nodes: Vec<usize>,
    /// Reshapes, with what the untransposed value is reshaped to.
    reshapes: Vec<(usize, Vec<Dim>)>,
    /// Transpositions at its end.
    ends: Vec<usize>,
    /// Operands from outside, by node and input, as they are in the untransposed order.
    operands: Vec<(usize, usize, Operand)>,
}

/// An operand in the untransposed order.
enum Operand {
    /// A value that there is: one number, in any order the same, or what another transposition by the same order reads.
    There(Val),
    /// A weight's elements under another shape.
    Weight(String, Weight),
    /// A constant's elements in another order.
    Constant(String, Tensor),
}

impl Region {
    /// The region of the node's transposition; none if the node is none, or if what is computed from it ends otherwise than in
    /// transpositions.
    pub(super) fn from(graph: &Graph, start: usize) -> Option<Self> {
        let node = graph.nodes.get(start)?;
        let (source, made) = (input(node, 0)?, output(node)?);
        let by = order(node, graph.value(source).dims.len())?;
        let mut region = Self {
            source,
            made,
            orders: BTreeMap::from([(made, by)]),
            nodes: Vec::new(),
            reshapes: Vec::new(),
            ends: Vec::new(),
            operands: Vec::new(),
        };
        if graph.outputs.contains(&made) {
            return None;
        }
        // Nodes stand in order: when one is looked at, it is known of all its inputs whether they are in the region.
        for (at, node) in graph.nodes.iter().enumerate().skip(start + 1) {
            if node.inputs.iter().flatten().any(|val| region.orders.contains_key(val)) {
                region.add(graph, at, node)?;
            }
        }
        // A transposition that reads the first one itself was merged with it.
        let moves = !region.nodes.is_empty() || !region.reshapes.is_empty();
        (moves && !region.ends.is_empty()).then_some(region)
    }

    fn add(&mut self, graph: &Graph, at: usize, node: &Node) -> Option<()> {
        if is(node, "Transpose") {
            self.ends.push(at);
            return Some(());
        }
        let made = output(node).filter(|made| !graph.outputs.contains(made))?;
        let by = if is(node, "Reshape") {
            self.add_reshape(graph, at, node, made)?
        } else {
            self.add_elementwise(graph, at, node)?
        };
        self.orders.insert(made, by);
        Some(())
    }

    fn add_reshape(&mut self, graph: &Graph, at: usize, node: &Node, made: Val) -> Option<Vec<usize>> {
        let x = input(node, 0)?;
        let by = self.orders.get(&x)?;
        // A shape that was itself computed in the region is no number here.
        let shape_is_inside = input(node, 1).is_some_and(|shape| self.orders.contains_key(&shape));
        if shape_is_inside || node.int("allowzero").unwrap_or(0) != 0 {
            return None;
        }
        let dims = &graph.value(x).dims;
        let moved = moved(dims, &graph.value(made).dims, by)?;
        reshape_target(&untransposed(dims, by), &moved.dims).ok()?;
        self.reshapes.push((at, moved.dims));
        Some(moved.order)
    }

    fn add_elementwise(&mut self, graph: &Graph, at: usize, node: &Node) -> Option<Vec<usize>> {
        if !node.domain.is_empty() || !ELEMENTWISE.contains(&node.op.as_str()) {
            return None;
        }
        let by = node.inputs.iter().flatten().find_map(|val| self.orders.get(val))?.clone();
        // No operand is let in that has more axes, so the result has as many.
        for (slot, val) in node.inputs.iter().enumerate() {
            let Some(val) = *val else { continue };
            match self.orders.get(&val) {
                Some(other) if *other == by => {}
                Some(_) => return None,
                None => self.operands.push((at, slot, operand(graph, val, &by)?)),
            }
        }
        self.nodes.push(at);
        Some(by)
    }

    /// Lets the region compute in the order that its source has.
    pub(super) fn untranspose(self, graph: &mut Graph) -> Result<(), String> {
        for (at, dims) in &self.reshapes {
            let x = input(&graph.nodes[*at], 0).ok_or("a reshape reads nothing")?;
            let by = self.orders.get(&x).ok_or("a reshape reads nothing of its region")?;
            let target = reshape_target(&untransposed(&graph.value(x).dims, by), dims)?;
            let target = add_ints(graph, "shape", &target)?;
            graph.nodes[*at].inputs.truncate(1);
            graph.nodes[*at].inputs.push(Some(target));
        }
        for (at, slot, operand) in self.operands {
            let val = operand.add_to(graph);
            graph.nodes[at].inputs[slot] = Some(val);
        }
        for &at in &self.ends {
            let node = &graph.nodes[at];
            let first =
                input(node, 0).and_then(|x| self.orders.get(&x)).ok_or("a transposition reads nothing")?;
            let second = order(node, first.len()).ok_or("a transposition has no order")?;
            let perm: Vec<i64> = then(first, &second).into_iter().map(|axis| axis as i64).collect();
            graph.nodes[at].attributes = vec![("perm".to_owned(), perm.into())];
        }
        for (val, by) in self.orders.iter().filter(|(val, _)| **val != self.made) {
            let value = graph.value_mut(*val);
            value.dims = untransposed(&value.dims, by);
        }
        // All that reads what the transposition makes is in the region.
        graph.replace_uses(self.made, self.source);
        Ok(())
    }
}

/// What stands for an operand from outside in the untransposed order, if anything can.
fn operand(graph: &Graph, val: Val, by: &[usize]) -> Option<Operand> {
    let value = graph.value(val);
    if value.dims.iter().all(|dim| *dim == Dim::Fixed(1)) && value.dims.len() <= by.len() {
        return Some(Operand::There(val));
    }
    if value.source == Source::Node {
        let node = graph.nodes.iter().find(|node| node.outputs.contains(&val))?;
        let source = input(node, 0)?;
        let other = order(node, graph.value(source).dims.len())?;
        return (other == by).then_some(Operand::There(source));
    }
    // As broadcasting sees it: with axes of size 1 in front.
    let sizes = value.sizes()?;
    let ones = by.len().checked_sub(sizes.len())?;
    let sizes: Vec<usize> = std::iter::repeat_n(1, ones).chain(sizes).collect();
    let turned = untransposed(&sizes, by);
    // If the axes of more than one element are in the same order either way, so are the elements.
    let still = by.iter().zip(&sizes).filter(|&(_, &size)| size != 1).map(|(axis, _)| axis).is_sorted();
    let name = value.name.clone();
    Some(match &value.source {
        Source::Weight(weight) if still => Operand::Weight(name, weight.reshaped(turned).ok()?),
        Source::Constant(tensor) if still => Operand::Constant(name, tensor.clone().reshaped(turned).ok()?),
        Source::Constant(tensor) if tensor.bytes()?.len() as u64 <= MAX_FOLDED_BYTES => {
            let places = untransposed(&(0..by.len()).collect::<Vec<_>>(), by);
            Operand::Constant(name, permuted(&tensor.clone().reshaped(sizes).ok()?, &places)?)
        }
        _ => return None,
    })
}

impl Operand {
    fn add_to(self, graph: &mut Graph) -> Val {
        match self {
            Self::There(val) => val,
            Self::Constant(name, tensor) => add_constant(graph, &name, tensor),
            Self::Weight(name, weight) => {
                let name = graph.unique_name(&name);
                let dims = weight.shape().iter().copied().map(Dim::Fixed).collect();
                graph.add_value(Value { name, dtype: weight.dtype(), dims, source: Source::Weight(weight) })
            }
        }
    }
}
