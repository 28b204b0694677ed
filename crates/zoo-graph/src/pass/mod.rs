//! Rewrites of a graph that compute the same with less. One file each, with before and after in its header.
//!
//! Their order within a round, each after those whose results it needs:
//!
//! 1. `identity` first: what does nothing stands between nodes that belong together for everybody after it.
//! 2. `constant_fold`: what can be known is known from here on; it turns computed shapes into constants, which `reshape` and
//!    `transpose` need to see.
//! 3. `batch_norm`, if asked for, while a convolution and its norm are still neighbours.
//! 4. `transpose` before `reshape`: a transposition that was moved through a reshape leaves another reshape behind.
//! 5. `reshape`: merges what now follows on each other.
//! 6. `duplicate` last: the passes before it make new constants, and nodes that were different may now be equal.
//!
//! `dead_node` runs behind each of them, so that uses that nobody needs do not count as uses. A pass may find work that a later one
//! made (a transposition merged with its inverse is an identity), so rounds are repeated until one changes nothing.

mod batch_norm;
mod constant_fold;
mod dead_node;
mod duplicate;
#[cfg(test)]
mod evaluate;
mod identity;
mod reshape;
mod rewrite;
#[cfg(test)]
mod tests;
mod transpose;

use crate::graph::Graph;
use crate::{Error, Result};

/// Rounds after which the graph is taken as it is. Each pass leaves fewer nodes or fewer values than it found, so the rounds end by
/// themselves, in practice after two or three; the bound is for a mistake.
const MAX_ROUNDS: usize = 16;

/// What passes may do beyond what they always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PassOptions {
    /// Multiply batch norms into the convolutions before them. Weights that change cannot stay where they are.
    pub fold_batch_norms: bool,
}

impl PassOptions {
    /// The same, with batch norms folded or not.
    #[must_use]
    pub fn fold_batch_norms(self, fold: bool) -> Self {
        Self { fold_batch_norms: fold }
    }
}

/// What passes did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Rounds, with the last one, which changed nothing.
    pub rounds: usize,
    /// Passes that changed something, in the order of their first change, with the number of changes.
    pub changes: Vec<(&'static str, usize)>,
}

impl Report {
    fn add(&mut self, pass: &'static str, changes: usize) {
        match self.changes.iter_mut().find(|(name, _)| *name == pass) {
            Some((_, before)) => *before += changes,
            None if changes > 0 => self.changes.push((pass, changes)),
            None => {}
        }
    }
}

/// A pass: what it is called, and how it rewrites; it tells the number of changes, or what contradicts itself in the graph.
type Pass = (&'static str, fn(&mut Graph) -> Result<usize, String>);

/// Rewrites a graph until nothing is left to rewrite. Inputs and outputs keep their names, types and order.
///
/// # Errors
/// If a pass fails, which is named: the graph is not to be used then.
pub fn run(graph: &mut Graph, options: &PassOptions) -> Result<Report> {
    let mut passes: Vec<Pass> = vec![("identity", identity::run), ("constant_fold", constant_fold::run)];
    if options.fold_batch_norms {
        passes.push(("batch_norm", batch_norm::run));
    }
    passes.extend([
        ("transpose", transpose::run as fn(&mut Graph) -> Result<usize, String>),
        ("reshape", reshape::run),
        ("duplicate", duplicate::run),
    ]);
    let mut report = Report::default();
    report.add("dead_node", dead_node::run(graph));
    while report.rounds < MAX_ROUNDS {
        report.rounds += 1;
        let mut changed = false;
        for &(name, pass) in &passes {
            let changes = pass(graph).map_err(|problem| Error::Pass { pass: name, problem })?;
            if changes > 0 {
                changed = true;
                report.add(name, changes);
                report.add("dead_node", dead_node::run(graph));
            }
        }
        if !changed {
            break;
        }
    }
    Ok(report)
}
