//! Takes away nodes whose results nobody uses.
//!
//! Before: `y = Relu(x); z = Exp(x)`, output `y`. After: `y = Relu(x)`. No operator of ONNX does anything but make its outputs, so
//! nothing else is lost. Inputs of the graph stay, used or not: they are its face.

use crate::graph::Graph;

/// Returns how many nodes went.
pub(super) fn run(graph: &mut Graph) -> usize {
    let mut needed = vec![false; graph.values.len()];
    let mut need = |vals: &mut dyn Iterator<Item = usize>| vals.for_each(|at| needed[at] = true);
    need(&mut graph.outputs.iter().map(|val| val.0 as usize));
    let before = graph.nodes.len();
    // From the end, so that what uses a value was seen before what makes it.
    let mut kept: Vec<_> = std::mem::take(&mut graph.nodes)
        .into_iter()
        .rev()
        .filter(|node| {
            let used = node.outputs.iter().any(|val| needed[val.0 as usize]);
            if used {
                node.inputs.iter().flatten().for_each(|val| needed[val.0 as usize] = true);
            }
            used
        })
        .collect();
    kept.reverse();
    graph.nodes = kept;
    before - graph.nodes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{graph, value};

    #[test]
    fn chains_that_lead_nowhere_go() {
        let mut g = graph();
        let x = value(&mut g, "x", "2");
        let a = g.exp(x).unwrap();
        let dead = g.log(a).unwrap();
        g.neg(dead).unwrap();
        let y = g.relu(a).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(run(&mut graph), 2);
        assert_eq!(graph.nodes.iter().map(|node| node.op.as_str()).collect::<Vec<_>>(), ["Exp", "Relu"]);
        assert_eq!(run(&mut graph), 0);
    }

    #[test]
    fn a_node_stays_for_one_of_its_results() {
        let mut g = graph();
        let x = value(&mut g, "x", "6");
        let parts = g.split(x, 0, &[2, 4]).unwrap();
        let mut graph = g.finish_with(parts[1]);
        assert_eq!((run(&mut graph), graph.inputs.len()), (0, 1));
    }
}
