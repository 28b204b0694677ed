//! Takes away nodes that give back what they get.
//!
//! Before: `a = Relu(x); b = Identity(a); y = Exp(b)`. After: `a = Relu(x); y = Exp(a)`. The same for a `Cast` to the type that is
//! there, a `Reshape`, `Flatten` or `Expand` to the shape that is there, a `Transpose` that leaves the axes in order, a `Concat` of one tensor,
//! and a `Dropout`, which does nothing outside of training.
//!
//! An `Identity` stays where it carries an output's name that no other node can carry.

use super::rewrite::{constant_ints, input, is, order, same_shape, stand_in};
use crate::graph::{Graph, Node, Val};

/// Returns how many nodes are no longer used.
#[expect(clippy::unnecessary_wraps, reason = "all passes have one type")]
pub(super) fn run(graph: &mut Graph) -> Result<usize, String> {
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        if let Some((made, same)) = does_nothing(graph, &graph.nodes[at])
            && stand_in(graph, made, same)
        {
            changes += 1;
        }
    }
    Ok(changes)
}

/// The value that the node makes, and the one that is the same.
fn does_nothing(graph: &Graph, node: &Node) -> Option<(Val, Val)> {
    let (made, x) = (*node.outputs.first()?, input(node, 0)?);
    let (from, to) = (graph.value(x), graph.value(made));
    let same = match node.op.as_str() {
        _ if !node.domain.is_empty() => false,
        "Identity" => true,
        "Cast" => from.dtype == to.dtype,
        // With 0 in the target meaning a size of 0, a shape may be the same; but nobody asks for that on purpose.
        "Reshape" | "Flatten" | "Expand" => same_shape(&from.dims, &to.dims),
        "Transpose" => order(node, from.dims.len()).is_some_and(|order| order.is_sorted()),
        "Concat" => node.inputs.len() == 1,
        "Dropout" => is_off(graph, node),
        _ => false,
    };
    same.then_some((made, x))
}

/// Whether a `Dropout` is not in training, and nobody asks which elements it dropped.
fn is_off(graph: &Graph, node: &Node) -> bool {
    let training = input(node, 2).map(|_| constant_ints(graph, node, 2));
    let off = training.is_none_or(|constant| constant.is_some_and(|flag| flag == [0]));
    let mask = node.outputs.get(1);
    let uses = |mask: &Val| {
        graph.outputs.contains(mask) || graph.nodes.iter().any(|node| node.inputs.contains(&Some(*mask)))
    };
    off && is(node, "Dropout") && !mask.is_some_and(uses)
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{DType, Dim};

    use super::*;
    use crate::graph::{Graph, Source, Value};
    use crate::testing::{graph, value};

    fn ops(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| node.op.as_str()).collect()
    }

    fn pass(graph: &mut Graph) -> usize {
        let changes = run(graph).unwrap();
        super::super::dead_node::run(graph);
        changes
    }

    /// A node with one input that leaves type and shape as they are.
    fn same(g: &mut crate::Builder, op: &str, x: Val) -> Val {
        let made = (g.dtype(x), g.dims(x).to_vec());
        g.node1(op, &[x], vec![], made).unwrap()
    }

    #[test]
    fn what_does_nothing_goes() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3,4");
        let mut y = g.relu(x).unwrap();
        for op in ["Identity", "Dropout", "Concat"] {
            y = same(&mut g, op, y);
        }
        let made = (DType::F32, g.dims(y).to_vec());
        y = g.node1("Cast", &[y], vec![("to", 1_i64.into())], made.clone()).unwrap();
        y = g.node1("Transpose", &[y], vec![("perm", vec![0, 1, 2].into())], made.clone()).unwrap();
        let shape = g.ints("shape", &[0, 3, -1]);
        y = g.node1("Reshape", &[y, shape], vec![], made).unwrap();
        let y = g.exp(y).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(pass(&mut graph), 6);
        assert_eq!(ops(&graph), ["Relu", "Exp"]);
    }

    #[test]
    fn what_does_something_stays() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3,3");
        let y = g.cast(x, DType::F64).unwrap();
        let y = g.transpose(y, &[0, 2, 1]).unwrap();
        let y = g.flatten(y).unwrap();
        let zero = g.float("ratio", 0.5);
        let train = g.constant("train", zoo_tensor::Tensor::from_slice([], &[true]).unwrap());
        let made = (DType::F64, g.dims(y).to_vec());
        let y = g.node1("Dropout", &[y, zero, train], vec![], made).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!((pass(&mut graph), graph.nodes.len()), (0, 4));
        // Sizes that are not known may differ.
        let mut g = graph_of_unknown();
        assert_eq!(pass(&mut g), 0);
    }

    fn graph_of_unknown() -> Graph {
        let mut g = graph();
        let x = g.input("x", DType::F32, [Dim::Unknown, Dim::Unknown]).unwrap();
        let shape = g.ints("shape", &[-1, 2]);
        let y = g.node1("Reshape", &[x, shape], vec![], (DType::F32, vec![Dim::Unknown; 2])).unwrap();
        let y = g.relu(y).unwrap();
        g.finish_with(y)
    }

    #[test]
    fn outputs_keep_their_names() {
        let mut g = graph();
        let x = value(&mut g, "x", "2");
        let a = g.relu(x).unwrap();
        let b = same(&mut g, "Identity", a);
        let c = same(&mut g, "Identity", a);
        let d = g.exp(a).unwrap();
        for (name, val) in [("first", b), ("second", c), ("third", d), ("itself", x)] {
            g.output(name, val).unwrap();
        }
        let mut graph = g.finish().unwrap();
        assert_eq!(pass(&mut graph), 1, "one node cannot have two names, and an input is no output");
        let names: Vec<&str> = graph.outputs.iter().map(|&val| graph.value(val).name.as_str()).collect();
        assert_eq!(names, ["first", "second", "third", "itself"]);
        assert_eq!(ops(&graph), ["Relu", "Identity", "Exp", "Identity"]);
        assert_eq!(graph.value(graph.nodes[0].outputs[0]).name, "first");
        crate::emit::model(&graph).unwrap();
    }

    #[test]
    fn a_mask_that_is_used_keeps_its_node() {
        let mut g = graph();
        let x = value(&mut g, "x", "2");
        let made = (DType::F32, vec![Dim::Fixed(2)]);
        let outputs =
            g.node("Dropout", &[Some(x)], vec![], vec![made, (DType::Bool, vec![Dim::Fixed(2)])]).unwrap();
        let y = g.relu(outputs[0]).unwrap();
        g.output("mask", outputs[1]).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(pass(&mut graph), 0);
        let value = Value { name: "w".into(), dtype: DType::F32, dims: vec![], source: Source::Input };
        graph.add_value(value);
        assert_eq!(pass(&mut graph), 0);
    }
}
