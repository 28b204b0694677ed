//! Merges reshapes that follow on each other.
//!
//! Before: `a = Reshape(x, [-1, 768]); y = Reshape(a, [-1, 12, 64])`. After: `y = Reshape(x, [-1, 12, 64])`. `Flatten`, `Squeeze` and
//! `Unsqueeze` are reshapes too: none of them touches an element. What the first one made may have other uses; they keep it.
//!
//! The target is written anew, from the shape that `y` is known to have, since a 0 in the old one means an axis of `a`.

use super::rewrite::{add_ints, input, output};
use crate::graph::{Graph, Node, Val};
use crate::ops::reshape_target;

/// Returns how many reshapes read from further up than before.
pub(super) fn run(graph: &mut Graph) -> Result<usize, String> {
    let producers = graph.producers();
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let Some((x, made)) = reshaped(&graph.nodes[at]) else { continue };
        // Nodes before this one were merged already, so one step up is all there is.
        let before = producers.get(&x).and_then(|&node| graph.nodes.get(node)).and_then(reshaped);
        let Some((source, _)) = before else { continue };
        let Ok(target) = reshape_target(&graph.value(source).dims, &graph.value(made).dims) else { continue };
        let target = add_ints(graph, "shape", &target)?;
        let node = &mut graph.nodes[at];
        "Reshape".clone_into(&mut node.op);
        node.inputs = vec![Some(source), Some(target)];
        node.attributes.clear();
        changes += 1;
    }
    Ok(changes)
}

/// What the node reads and makes, if it only changes the shape.
fn reshaped(node: &Node) -> Option<(Val, Val)> {
    let reshapes = matches!(node.op.as_str(), "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze");
    // `allowzero` gives 0 another meaning; nothing of zoo's sets it.
    let plain = node.domain.is_empty() && node.int("allowzero").unwrap_or(0) == 0;
    if reshapes && plain { Some((input(node, 0)?, output(node)?)) } else { None }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{DType, Dim};

    use super::*;
    use crate::testing::{graph, value};

    fn pass(graph: &mut Graph) -> usize {
        let changes = run(graph).unwrap();
        super::super::dead_node::run(graph);
        changes
    }

    #[test]
    fn chains_become_one() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,12,64,1");
        let a = g.squeeze(x, -1).unwrap();
        let b = g.flatten(a).unwrap();
        let c = g.split_axis(b, 1, &[4]).unwrap();
        let d = g.unsqueeze(c, 0).unwrap();
        let mut graph = g.finish_with(d);
        assert_eq!((pass(&mut graph), graph.nodes.len()), (3, 1));
        let target = graph.value(graph.nodes[0].inputs[1].unwrap()).constant().unwrap();
        assert_eq!(target.to_i64_vec().unwrap(), [1, -1, 192, 4]);
        assert_eq!(graph.nodes[0].inputs[0], Some(x));
        assert_eq!(pass(&mut graph), 0);
    }

    #[test]
    fn what_is_used_elsewhere_stays() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,12,64");
        let a = g.flatten(x).unwrap();
        let b = g.split_axis(a, 1, &[2]).unwrap();
        let other = g.relu(a).unwrap();
        g.output("other", other).unwrap();
        let mut graph = g.finish_with(b);
        assert_eq!((pass(&mut graph), graph.nodes.len()), (1, 3));
        assert_eq!(graph.nodes[1].inputs[0], Some(x));
    }

    #[test]
    fn shapes_that_cannot_be_written_stay() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,m");
        let a = g.join_axes(x, 0, 2).unwrap();
        let shape = g.ints("shape", &[-1, 2]);
        let unknown = vec![Dim::Unknown, Dim::Unknown];
        let y = g.node1("Reshape", &[a, shape], vec![], (DType::F32, unknown)).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(pass(&mut graph), 0);
        let mut g = crate::testing::graph();
        let x = value(&mut g, "x", "2,3");
        let a = g.flatten(x).unwrap();
        let shape = g.ints("shape", &[3, 2]);
        let made = (DType::F32, vec![Dim::Fixed(3), Dim::Fixed(2)]);
        let y = g.node1("Reshape", &[a, shape], vec![("allowzero", 1_i64.into())], made).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(pass(&mut graph), 0);
    }
}
