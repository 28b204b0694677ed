//! From a checkpoint's own names to the paths that `zoo-arch` builds from, which are torchvision's current ones.
//!
//! Some published files spell names as their library did when they were saved, and timm names the same networks differently
//! altogether. A [`Scheme`] is one such way to name, told apart by names that only it has; its rules are a table in one file. A name
//! that no rule covers stays as it is, and is an error later, under that name: the graph asks for all it needs and for nothing
//! else.

mod timm;
mod torchvision;

use std::collections::BTreeSet;

use regex_lite::Regex;
use zoo_formats::StateDict;
use zoo_graph::weights::NamedWeight;
use zoo_tensor::Weight;

/// One way to name the tensors of a network.
pub(crate) struct Scheme {
    /// What it is called in messages and manifests.
    pub(crate) name: &'static str,
    /// Patterns each of which some name has to match for the scheme to be this one.
    telltales: &'static [&'static str],
    /// What has to be counted before the rules apply; `None` leaves a name as it is.
    count: fn(&str, &Names<'_>) -> Option<String>,
    /// Patterns, what they become, and what becomes of the shape; the first that matches counts.
    rules: &'static [Rule],
    /// Why a checkpoint with these names cannot be recognised and its network has to be named: other networks have the same
    /// names and shapes, and compute something else.
    pub(crate) shared: Option<&'static str>,
    /// The networks of `zoo-arch` that compute what this source does; all, if none is named.
    pub(crate) only: &'static [&'static str],
}

type Rule = (&'static str, &'static str, As);

/// How a tensor's bytes are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// As they are.
    Same,
    /// A vector as `[C, 1, 1]`.
    Column,
    /// Everything behind the first axis as one axis: a convolution over all there is, as a matrix.
    Matrix,
}

/// All names of a dictionary.
struct Names<'a> {
    all: BTreeSet<&'a str>,
    /// Every (stage, block) of `blocks.S.B.…`, in order.
    blocks: Vec<(usize, usize)>,
}

/// What a dictionary's tensors are called for `zoo-arch`.
pub(crate) struct Renamed {
    /// The scheme that their own names follow.
    pub(crate) scheme: &'static Scheme,
    /// The tensors, under both names.
    pub(crate) tensors: Vec<NamedWeight>,
}

/// Schemes, the most telling first; the last one fits everything.
const SCHEMES: &[&[Scheme]] = &[timm::SCHEMES, torchvision::SCHEMES];

/// Finds the scheme of a dictionary and renames its tensors.
pub(crate) fn canonical(dict: &StateDict) -> Renamed {
    let names = Names::of(dict);
    let has = |pattern: &str| {
        let pattern = compile(pattern);
        names.all.iter().any(|name| pattern.is_match(name))
    };
    let fits = |scheme: &&Scheme| scheme.telltales.iter().all(|pattern| has(pattern));
    let scheme = SCHEMES.iter().copied().flatten().find(fits).unwrap_or(&torchvision::CURRENT);
    let rules: Vec<(Regex, &str, As)> =
        scheme.rules.iter().map(|&(p, to, view)| (compile(p), to, view)).collect();
    let rename = |(name, weight): (&str, &Weight)| {
        let counted = (scheme.count)(name, &names).unwrap_or_else(|| name.to_owned());
        let rule = rules.iter().find(|(pattern, ..)| pattern.is_match(&counted));
        let (path, weight) = match rule {
            Some((pattern, to, view)) => (pattern.replace(&counted, *to).into_owned(), viewed(weight, *view)),
            None => (counted, weight.clone()),
        };
        NamedWeight { path, name: name.to_owned(), weight }
    };
    Renamed { scheme, tensors: dict.iter().map(rename).collect() }
}

/// Patterns are constants of this module; a test compiles each.
fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|_| unreachable!("a constant pattern"))
}

/// A view that the weight does not allow stays undone: the graph then says which shape it needs.
fn viewed(weight: &Weight, view: As) -> Weight {
    let shape = match view {
        As::Same => return weight.clone(),
        As::Column => vec![weight.len(), 1, 1],
        As::Matrix => match weight.shape() {
            [first, rest @ ..] => vec![*first, rest.iter().product()],
            [] => return weight.clone(),
        },
    };
    weight.reshaped(shape).unwrap_or_else(|_| weight.clone())
}

impl<'a> Names<'a> {
    fn of(dict: &'a StateDict) -> Self {
        let all: BTreeSet<&str> = dict.iter().map(|(name, _)| name).collect();
        let blocks: BTreeSet<(usize, usize)> =
            all.iter().filter_map(|name| block(name).map(|(stage, unit, _)| (stage, unit))).collect();
        Self { all, blocks: blocks.into_iter().collect() }
    }

    /// The number of a block through all stages, from 0.
    fn number(&self, stage: usize, unit: usize) -> Option<usize> {
        self.blocks.binary_search(&(stage, unit)).ok()
    }
}

/// `blocks.S.B.rest` in its parts.
fn block(name: &str) -> Option<(usize, usize, &str)> {
    two_numbers(name.strip_prefix("blocks.")?, ".")
}

/// `1<between>2.rest` in its parts.
fn two_numbers<'a>(text: &'a str, between: &str) -> Option<(usize, usize, &'a str)> {
    let (first, text) = text.split_once(between)?;
    let (second, rest) = text.split_once('.')?;
    Some((first.parse().ok()?, second.parse().ok()?, rest))
}

/// The network that a name stands for: that of `zoo-arch` itself, or timm's name of the same network.
pub(crate) fn network_named(name: &str) -> Option<&'static zoo_arch::Network> {
    zoo_arch::find(name).or_else(|| zoo_arch::find(timm::network(name)?))
}

/// Whether only checkpoints with timm's names are of this network.
pub(crate) fn is_others_own(network: &str) -> bool {
    timm::OWN.contains(&network)
}

/// Every name that [`network_named`] knows.
pub(crate) fn network_names() -> impl Iterator<Item = &'static str> {
    zoo_arch::networks().map(|network| network.name).chain(timm::NETWORKS.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Tensor;

    use super::*;

    pub(super) fn renamed(names: &[(&str, &[usize])]) -> (&'static str, Vec<(String, Vec<usize>)>) {
        let mut dict = StateDict::new();
        for (name, shape) in names {
            let values = vec![0.0_f32; shape.iter().product()];
            dict.insert((*name).to_owned(), Weight::from(Tensor::from_slice(*shape, &values).unwrap()));
        }
        let renamed = canonical(&dict);
        let tensors = renamed.tensors.into_iter().map(|t| (t.path, t.weight.shape().to_vec())).collect();
        (renamed.scheme.name, tensors)
    }

    pub(super) fn paths(names: &[&str]) -> (&'static str, Vec<String>) {
        let with_shapes: Vec<(&str, &[usize])> = names.iter().map(|name| (*name, &[1][..])).collect();
        let (scheme, tensors) = renamed(&with_shapes);
        (scheme, tensors.into_iter().map(|(path, _)| path).collect())
    }

    #[test]
    fn every_pattern_compiles_and_every_name_stands_for_a_network() {
        for scheme in SCHEMES.iter().copied().flatten() {
            for pattern in scheme.telltales.iter().chain(scheme.rules.iter().map(|(pattern, ..)| pattern)) {
                assert!(Regex::new(pattern).is_ok(), "{pattern}");
            }
        }
        for name in network_names() {
            assert!(network_named(name).is_some(), "{name}");
        }
        assert!(network_named("resnet51").is_none());
    }

    #[test]
    fn what_no_rule_covers_stays() {
        let (scheme, names) = paths(&["conv1.weight", "layer1.0.bn1.weight", "something.else"]);
        assert_eq!(scheme, "torchvision");
        assert_eq!(names, ["conv1.weight", "layer1.0.bn1.weight", "something.else"]);
    }
}
