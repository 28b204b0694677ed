//! Which network a checkpoint belongs to.
//!
//! There is no guessing by names of files or by a few telling tensors: every network is tried, and what fits, fits completely,
//! with every tensor used and every shape right. Trying costs a fraction of a millisecond, because a wrong network fails at its
//! first tensor. Several names can fit where networks differ in their widths only (the graph is then the same); where networks
//! that fit would *compute* something different, nothing is chosen.

use zoo_graph::graph::Graph;
use zoo_graph::weights::Weights;

use crate::network::{GraphOptions, Network, networks};

/// A checkpoint's network, or why there is not exactly one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Recognised {
    /// This network; the others named have the same graph, differing from it in widths only.
    One {
        /// The network.
        network: &'static Network,
        /// Networks that give the same graph with these weights.
        also: Vec<&'static str>,
    },
    /// These fit, and compute different things.
    Several(Vec<&'static str>),
    /// Networks fit, but what no tensor shows (such as a number of heads) is certain for published widths only.
    Uncertain(Vec<&'static str>),
    /// None fits.
    None,
}

/// Finds the network that takes every tensor of a checkpoint. `fresh` makes a view of the checkpoint whose record of used tensors is
/// empty; it is called once for each network.
pub fn recognise(fresh: impl Fn() -> zoo_graph::Result<Weights>) -> zoo_graph::Result<Recognised> {
    let mut fitting: Vec<(&'static Network, Graph)> = Vec::new();
    let mut uncertain = Vec::new();
    for network in networks() {
        let weights = fresh()?;
        let Ok(built) = network.graph(&weights, &GraphOptions::default()) else { continue };
        if (network.certain)(&weights) {
            fitting.push((network, built.graph));
        } else {
            uncertain.push(network.name);
        }
    }
    let Some((first, rest)) = fitting.split_first() else {
        return Ok(if uncertain.is_empty() { Recognised::None } else { Recognised::Uncertain(uncertain) });
    };
    // Networks that are trained on another size of image compute the same.
    let same = |graph: &Graph| {
        let ops = |graph: &Graph| {
            graph
                .nodes
                .iter()
                .map(|n| (n.op.clone(), n.inputs.clone(), n.attributes.clone()))
                .collect::<Vec<_>>()
        };
        ops(graph) == ops(&first.1)
    };
    if rest.iter().all(|(_, graph)| same(graph)) {
        return Ok(Recognised::One {
            network: first.0,
            also: rest.iter().map(|(network, _)| network.name).collect(),
        });
    }
    Ok(Recognised::Several(fitting.iter().map(|(network, _)| network.name).collect()))
}
