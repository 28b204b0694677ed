//! Which network a checkpoint belongs to.
//!
//! There is no guessing by names of files or by a few telling tensors: every network is tried, and what fits, fits completely,
//! with every tensor used and every shape right. Trying costs a fraction of a millisecond, because a wrong network fails at its
//! first tensor. Several names can fit where networks differ in their widths only (the graph is then the same); where networks
//! that fit would *compute* something different, nothing is chosen.

use zoo_graph::Error;
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
    None {
        /// The network that used the most tensors before something did not fit, and what that was.
        nearest: Option<(&'static Network, Error)>,
    },
}

/// Finds the network, among those that are `allowed`, that takes every tensor of a checkpoint.
pub fn recognise(weights: &Weights, allowed: impl Fn(&Network) -> bool) -> Recognised {
    let mut fitting: Vec<(&'static Network, Graph)> = Vec::new();
    let mut uncertain = Vec::new();
    let mut nearest: Option<(usize, &'static Network, Error)> = None;
    for network in networks().filter(|network| allowed(network)) {
        let weights = weights.anew();
        match network.graph(&weights, &GraphOptions::default()) {
            Ok(built) if (network.certain)(&weights) => fitting.push((network, built.graph)),
            Ok(_) => uncertain.push(network.name),
            Err(error) => {
                let used = weights.tally().used;
                if used > nearest.as_ref().map_or(0, |(most, ..)| *most) {
                    nearest = Some((used, network, error));
                }
            }
        }
    }
    let Some((first, rest)) = fitting.split_first() else {
        return if uncertain.is_empty() {
            Recognised::None { nearest: nearest.map(|(_, network, error)| (network, error)) }
        } else {
            Recognised::Uncertain(uncertain)
        };
    };
    if rest.iter().all(|(_, graph)| computes_the_same(&first.1, graph)) {
        let also = rest.iter().map(|(network, _)| network.name).collect();
        return Recognised::One { network: first.0, also };
    }
    Recognised::Several(fitting.iter().map(|(network, _)| network.name).collect())
}

/// Whether two graphs of the same weights have the same nodes. Their images may differ in size, and so may constants that are shapes.
fn computes_the_same(a: &Graph, b: &Graph) -> bool {
    let same = |(a, b): (&zoo_graph::graph::Node, &zoo_graph::graph::Node)| {
        (&a.op, &a.inputs, &a.attributes) == (&b.op, &b.inputs, &b.attributes)
    };
    a.nodes.len() == b.nodes.len() && a.nodes.iter().zip(&b.nodes).all(same)
}
