//! Which transpositions move, merge and cancel, before and after.

use zoo_tensor::{DType, Tensor};

use super::*;
use crate::Builder;
use crate::graph::{Source, Val};
use crate::testing::{graph, value};

/// Runs the pass and what tidies up behind it.
fn pass(graph: &mut Graph) -> usize {
    let changes = run(graph).unwrap();
    crate::pass::identity::run(graph).unwrap();
    crate::pass::dead_node::run(graph);
    crate::emit::model(graph).unwrap();
    changes
}

/// `Relu[n,3,4] Transpose(0,2,1)[n,4,3]`: the nodes with the shapes that they make.
fn nodes(graph: &Graph) -> String {
    let node = |node: &crate::graph::Node| {
        let dims: Vec<String> = graph.value(node.outputs[0]).dims.iter().map(ToString::to_string).collect();
        let perm = node
            .ints("perm")
            .map(|perm| format!("({})", perm.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
        format!("{}{}[{}]", node.op, perm.unwrap_or_default(), dims.join(","))
    };
    graph.nodes.iter().map(node).collect::<Vec<_>>().join(" ")
}

fn to_last(g: &mut Builder, x: Val) -> Val {
    g.transpose(x, &[0, 2, 3, 1]).unwrap()
}

fn to_first(g: &mut Builder, x: Val) -> Val {
    g.transpose(x, &[0, 3, 1, 2]).unwrap()
}

#[test]
fn transpositions_of_transpositions() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,4,5");
    let a = to_last(&mut g, x);
    let b = g.transpose(a, &[1, 0, 2, 3]).unwrap();
    let c = to_first(&mut g, a);
    let c = g.relu(c).unwrap();
    g.output("c", c).unwrap();
    let mut graph = g.finish_with(b);
    assert_eq!(pass(&mut graph), 2);
    assert_eq!(nodes(&graph), "Transpose(2,0,3,1)[4,n,5,3] Relu[n,3,4,5]");
    assert_eq!(pass(&mut graph), 0);
}

#[test]
fn elementwise_operators_do_not_mind() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,4,5");
    let y = to_last(&mut g, x);
    // `x sigmoid(x)` uses its input twice; the limits of `Clip` are single numbers.
    let y = g.silu(y).unwrap();
    let y = g.clip(y, 0.0, 6.0).unwrap();
    let y = to_first(&mut g, y);
    let mut graph = g.finish_with(y);
    assert_eq!(pass(&mut graph), 1);
    assert_eq!(nodes(&graph), "Sigmoid[n,3,4,5] Mul[n,3,4,5] Clip[n,3,4,5]");
    assert_eq!(graph.value(graph.outputs[0]).name, "y");
}

#[test]
fn initialisers_are_brought_into_the_other_order() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,4,5");
    let y = to_last(&mut g, x);
    let scale = g.derived("scale", Tensor::from_slice([3], &[1.0_f32, 2.0, 3.0]).unwrap().into());
    let y = g.mul(y, scale).unwrap();
    let bias: Vec<f32> = (0..15).map(|i| i as f32).collect();
    let bias = g.floats("bias", &[5, 3], &bias).unwrap();
    let y = g.add(y, bias).unwrap();
    let y = to_first(&mut g, y);
    let mut graph = g.finish_with(y);
    assert_eq!(pass(&mut graph), 1);
    assert_eq!(nodes(&graph), "Mul[n,3,4,5] Add[n,3,4,5]");
    let operand = |at: usize| graph.value(graph.nodes[at].inputs[1].unwrap());
    let Source::Weight(scale) = &operand(0).source else { panic!("the scale is no weight any more") };
    assert_eq!(scale.shape(), [1, 3, 1, 1]);
    let bias = operand(1).constant().unwrap();
    assert_eq!(bias.shape(), [1, 3, 1, 5]);
    assert_eq!(bias.to_f32_vec().unwrap()[..6], [0.0, 3.0, 6.0, 9.0, 12.0, 1.0]);
}

#[test]
fn two_that_are_transposed_alike_meet() {
    let mut g = graph();
    let (a, b) = (value(&mut g, "a", "n,3,4,5"), value(&mut g, "b", "n,3,4,5"));
    let (p, q) = (to_last(&mut g, a), to_last(&mut g, b));
    let y = g.add(p, q).unwrap();
    let y = to_first(&mut g, y);
    let kept = g.softmax(q, -1).unwrap();
    g.output("kept", kept).unwrap();
    let mut graph = g.finish_with(y);
    assert_eq!(pass(&mut graph), 1);
    assert_eq!(nodes(&graph), "Transpose(0,2,3,1)[n,4,5,3] Add[n,3,4,5] Softmax[n,4,5,3]");
}

#[test]
fn reshapes_that_keep_groups_do_not_mind() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,14,14");
    let y = to_last(&mut g, x);
    let y = g.join_axes(y, 1, 3).unwrap();
    let y = g.exp(y).unwrap();
    let y = g.transpose(y, &[0, 2, 1]).unwrap();
    let mut graph = g.finish_with(y);
    assert_eq!(pass(&mut graph), 1);
    assert_eq!(nodes(&graph), "Reshape[n,3,196] Exp[n,3,196]");
    let target = graph.value(graph.nodes[0].inputs[1].unwrap()).constant().unwrap();
    assert_eq!(target.to_i64_vec().unwrap(), [0, 3, 196]);
}

#[test]
fn an_end_in_another_order_takes_both() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,4,5");
    let y = to_last(&mut g, x);
    let y = g.relu(y).unwrap();
    let a = to_first(&mut g, y);
    let b = g.transpose(y, &[1, 2, 3, 0]).unwrap();
    g.output("a", a).unwrap();
    g.output("b", b).unwrap();
    let mut graph = g.finish().unwrap();
    pass(&mut graph);
    assert_eq!(nodes(&graph), "Relu[n,3,4,5] Transpose(2,3,1,0)[4,5,3,n]");
}

/// Graphs in which nothing may be moved, by what stands between the two transpositions.
#[test]
fn what_minds_the_order_stops_it() {
    let cases: [fn(&mut Builder, Val) -> Val; 6] = [
        |g, y| g.softmax(y, -1).unwrap(),
        |g, y| g.reduce_mean(y, &[3], true).unwrap(),
        // An operand that is computed otherwise.
        |g, y| {
            let other = value(g, "other", "n,4,5,3");
            let other = g.relu(other).unwrap();
            g.add(y, other).unwrap()
        },
        // A weight whose elements would have to change places.
        |g, y| {
            let weight = Tensor::from_slice([5, 3], &[1.0_f32; 15]).unwrap();
            let weight = g.derived("weight", weight.into());
            g.mul(y, weight).unwrap()
        },
        // A value that is needed as it is.
        |g, y| {
            let y = g.relu(y).unwrap();
            g.output("as_it_is", y).unwrap();
            y
        },
        // More axes than were transposed.
        |g, y| {
            let more = g.floats("more", &[2, 1, 1, 1, 3], &[1.0; 6]).unwrap();
            let y = g.mul(y, more).unwrap();
            g.pick(y, 0, 0).unwrap()
        },
    ];
    for (at, between) in cases.into_iter().enumerate() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3,4,5");
        let y = to_last(&mut g, x);
        let y = between(&mut g, y);
        let y = if g.dims(y).len() == 4 { to_first(&mut g, y) } else { y };
        let mut graph = g.finish_with(y);
        let before = graph.clone();
        assert_eq!((pass(&mut graph), nodes(&graph)), (0, nodes(&before)), "case {at}");
    }
}

#[test]
fn another_order_stops_it() {
    // Of another transposition.
    let mut g = graph();
    let (a, b) = (value(&mut g, "a", "2,3,3,3"), value(&mut g, "b", "2,3,3,3"));
    let a = to_last(&mut g, a);
    let b = g.transpose(b, &[0, 3, 2, 1]).unwrap();
    let y = g.add(a, b).unwrap();
    let y = to_first(&mut g, y);
    assert_eq!(pass(&mut g.finish_with(y)), 0);
    // Of the same one, since two reshapes differ in which axis the new one belongs to.
    let mut g = graph();
    let x = value(&mut g, "x", "4,4");
    let y = g.transpose(x, &[1, 0]).unwrap();
    let a = g.reshape(y, [4_usize, 4, 1]).unwrap();
    let b = g.reshape(y, [1_usize, 4, 4]).unwrap();
    let y = g.add(a, b).unwrap();
    let y = g.transpose(y, &[2, 0, 1]).unwrap();
    assert_eq!(pass(&mut g.finish_with(y)), 0);
}

#[test]
fn joined_axes_that_lie_apart_stop_it() {
    let mut g = graph();
    let x = value(&mut g, "x", "4,6");
    let y = g.transpose(x, &[1, 0]).unwrap();
    let y = g.reshape(y, [2_usize, 12]).unwrap();
    let y = g.transpose(y, &[1, 0]).unwrap();
    let mut graph = g.finish_with(y);
    assert_eq!(pass(&mut graph), 0);
}

#[test]
fn the_default_order_is_the_reverse() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,4");
    let dims = |g: &Builder, x: Val| g.dims(x).iter().rev().cloned().collect::<Vec<_>>();
    let made = (DType::F32, dims(&g, x));
    let y = g.node1("Transpose", &[x], vec![], made).unwrap();
    let y = g.relu(y).unwrap();
    let made = (DType::F32, dims(&g, y));
    let y = g.node1("Transpose", &[y], vec![], made).unwrap();
    let mut graph = g.finish_with(y);
    pass(&mut graph);
    assert_eq!(nodes(&graph), "Relu[n,3,4]");
}
