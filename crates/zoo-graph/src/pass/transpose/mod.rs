//! Merges transpositions, and moves them to where they cancel.
//!
//! Merged. Before: `a = Transpose(x, p); y = Transpose(a, q)`. After: `y = Transpose(x, p then q)`; where the two cancel, what is left
//! leaves the axes in order, and `identity` takes it away.
//!
//! Moved. Before: `a = Transpose(x, [0, 2, 3, 1]); b = Relu(a); y = Transpose(b, [0, 3, 1, 2])`. After: `y = Relu(x)`. Elementwise operators do
//! not mind the order of axes, and neither do reshapes that join or split axes which lie together either way ([`blocks`]). So from each
//! transposition the *region* is followed that its order reaches: all that is computed from it elementwise. Where all of that
//! ends in transpositions, the region computes on the untransposed values instead, and the transpositions at its end take up
//! the order. One transposition is gone then, and usually those at the end are, too.
//!
//! Nothing is moved that does not end so: a graph that a runtime knows how to fuse is not rearranged for nothing.

mod blocks;
mod region;

use super::rewrite::{input, order};
use crate::graph::Graph;

/// Returns how many transpositions were merged or moved.
pub(super) fn run(graph: &mut Graph) -> Result<usize, String> {
    let mut changes = merge(graph);
    let mut at = 0;
    while at < graph.nodes.len() {
        if let Some(region) = region::Region::from(graph, at) {
            region.untranspose(graph)?;
            changes += 1;
        }
        at += 1;
    }
    Ok(changes)
}

/// Lets transpositions of transpositions read what those read.
fn merge(graph: &mut Graph) -> usize {
    let producers = graph.producers();
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        let Some(x) = input(node, 0) else { continue };
        let rank = graph.value(x).dims.len();
        let Some(before) = producers.get(&x).and_then(|&before| graph.nodes.get(before)) else { continue };
        if let (Some(second), Some(first), Some(source)) =
            (order(node, rank), order(before, rank), input(before, 0))
        {
            let merged: Vec<i64> = then(&first, &second).into_iter().map(|axis| axis as i64).collect();
            let node = &mut graph.nodes[at];
            node.inputs = vec![Some(source)];
            node.attributes = vec![("perm".to_owned(), merged.into())];
            changes += 1;
        }
    }
    changes
}

/// The order that does what `first` and then `second` do. Both are orders of the same axes.
fn then(first: &[usize], second: &[usize]) -> Vec<usize> {
    second.iter().map(|&axis| first[axis]).collect()
}

/// `dims` in the order before they were transposed.
fn untransposed<T: Clone>(dims: &[T], order: &[usize]) -> Vec<T> {
    let mut places: Vec<usize> = (0..order.len()).collect();
    places.sort_by_key(|&place| order[place]);
    places.into_iter().map(|place| dims[place].clone()).collect()
}

#[cfg(test)]
mod tests;
