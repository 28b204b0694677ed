//! Lets what is the same be there once.
//!
//! Before: `a = Cast(w); b = Cast(w); y = Add(a, b)`, with weights `w` and `v` at one place of the checkpoint. After: `a = Cast(w); y = Add(a,
//! a)`, and `v` is `w`.
//!
//! Initialisers are the same if they are one place of one file under one shape (tied weights), or equal constants. Nodes are
//! the same if operator, attributes and inputs are: one walk in order finds all of them, since equal inputs were made the same
//! before. It pays where parts of a network ask for the same thing again: the cast of a half-precision weight, the
//! shape of the input, the window of an attention.

use std::collections::HashMap;

use zoo_tensor::{DType, Place};

use super::rewrite::stand_in;
use crate::graph::{Attribute, Graph, Node, Source, Val, Value};

/// Operators that give something else each time.
const RANDOM: [&str; 6] =
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"];

/// Returns how many initialisers and nodes are no longer used.
#[expect(clippy::unnecessary_wraps, reason = "all passes have one type")]
pub(super) fn run(graph: &mut Graph) -> Result<usize, String> {
    Ok(initializers(graph) + nodes(graph))
}

/// What two initialisers have to have in common before their bytes are looked at.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    dtype: DType,
    shape: Vec<usize>,
    place: Option<Place>,
    bytes: u64,
}

impl Kind {
    fn of(value: &Value) -> Option<Self> {
        let (place, bytes) = match &value.source {
            Source::Weight(weight) => (weight.place().cloned(), weight.byte_len()),
            Source::Constant(tensor) => (None, tensor.bytes()?.len() as u64),
            _ => return None,
        };
        Some(Self { dtype: value.dtype, shape: value.sizes()?, place, bytes })
    }
}

fn initializers(graph: &mut Graph) -> usize {
    let uses = graph.uses();
    let mut kinds: HashMap<Kind, Vec<Val>> = HashMap::new();
    let mut same = Vec::new();
    for (val, value) in graph.values() {
        if uses.get(val.0 as usize).is_none_or(|&uses| uses == 0) {
            continue;
        }
        let Some(kind) = Kind::of(value) else { continue };
        let alike = kinds.entry(kind).or_default();
        match alike.iter().find(|first| graph.value(**first).source == value.source) {
            Some(&first) => same.push((val, first)),
            None => alike.push(val),
        }
    }
    same.into_iter().filter(|&(val, first)| stand_in(graph, val, first)).count()
}

/// What makes two nodes the same.
#[derive(PartialEq, Eq, Hash)]
struct Call {
    op: (String, String),
    inputs: Vec<Option<Val>>,
    outputs: usize,
    attributes: Vec<(String, Exact)>,
}

/// An attribute's value, with numbers by their bits: 0 and -0 differ, NaN is itself.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Exact {
    Ints(bool, Vec<i64>),
    Floats(bool, Vec<u32>),
    Text(String),
    /// Two graphs make different values, whatever they compute.
    Graph(Vec<Val>),
}

impl Exact {
    fn of(attribute: &Attribute) -> Self {
        match attribute {
            Attribute::Int(int) => Self::Ints(false, vec![*int]),
            Attribute::Ints(ints) => Self::Ints(true, ints.clone()),
            Attribute::Float(float) => Self::Floats(false, vec![float.to_bits()]),
            Attribute::Floats(floats) => {
                Self::Floats(true, floats.iter().map(|float| float.to_bits()).collect())
            }
            Attribute::Text(text) => Self::Text(text.clone()),
            Attribute::Graph(branch) => Self::Graph(branch.outputs.clone()),
        }
    }
}

impl Call {
    fn of(node: &Node) -> Self {
        let exact = |(name, value): &(String, Attribute)| (name.clone(), Exact::of(value));
        let mut attributes: Vec<_> = node.attributes.iter().map(exact).collect();
        attributes.sort_unstable();
        Self {
            op: (node.domain.clone(), node.op.clone()),
            inputs: node.inputs.clone(),
            outputs: node.outputs.len(),
            attributes,
        }
    }
}

fn nodes(graph: &mut Graph) -> usize {
    let mut known: HashMap<Call, Vec<Val>> = HashMap::new();
    let mut changes = 0;
    for at in 0..graph.nodes.len() {
        let node = &graph.nodes[at];
        // A dropout that is still there is in training.
        if RANDOM.contains(&node.op.as_str()) || node.op == "Dropout" {
            continue;
        }
        let made = node.outputs.clone();
        match known.entry(Call::of(node)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(made);
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let pairs = made.iter().zip(entry.get());
                // One output of several that has to keep its name only keeps the node.
                if pairs.filter(|&(&own, &first)| stand_in(graph, own, first)).count() == made.len() {
                    changes += 1;
                }
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{SourceFile, Tensor, Weight};

    use super::*;
    use crate::testing::{graph, value};
    use crate::weights::Weights;

    fn pass(graph: &mut Graph) -> usize {
        let changes = run(graph).unwrap();
        super::super::dead_node::run(graph);
        changes
    }

    #[test]
    fn tied_weights_are_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64).unwrap();
        let source = SourceFile::new(file.path()).unwrap();
        let at = |shape: [usize; 2], offset| Weight::in_file(DType::F32, shape, &source, offset).unwrap();
        let tensors =
            [("a", at([2, 4], 0)), ("b", at([2, 4], 0)), ("c", at([4, 2], 0)), ("d", at([2, 4], 4))];
        let weights = Weights::new(tensors.map(|(name, weight)| (name.to_owned(), weight))).unwrap();
        let mut g = graph();
        let x = value(&mut g, "x", "1");
        for name in ["a", "b", "c", "d"] {
            let w = g.weight(&weights, name).unwrap();
            let y = g.add(x, w).unwrap();
            g.output(&format!("y{name}"), y).unwrap();
        }
        let mut graph = g.finish().unwrap();
        assert_eq!(
            pass(&mut graph),
            1,
            "the weight is one; of two nodes that are outputs each keeps its name"
        );
        let used: Vec<&str> =
            graph.nodes.iter().map(|node| graph.value(node.inputs[1].unwrap()).name.as_str()).collect();
        assert_eq!(used, ["a", "a", "c", "d"]);
    }

    #[test]
    fn computed_weights_and_constants_are_compared_by_their_bytes() {
        let mut g = graph();
        let x = value(&mut g, "x", "2");
        let tensor = |values: &[f32]| Tensor::from_slice([values.len()], values).unwrap();
        let mut y = x;
        for values in [[1.0, 0.0], [1.0, -0.0], [1.0, 0.0]] {
            let w = g.derived("w", tensor(&values).into());
            y = g.add(y, w).unwrap();
        }
        let (a, b) = (g.float("a", 0.0), g.float("b", -0.0));
        y = g.add(y, a).unwrap();
        y = g.add(y, b).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(pass(&mut graph), 1);
        assert_eq!(graph.uses().iter().filter(|&&uses| uses > 0).count(), 1 + 2 + 2 + 5);
    }

    #[test]
    fn the_same_question_is_asked_once() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,2");
        let (a, b) = (g.relu(x).unwrap(), g.relu(x).unwrap());
        let (c, d) = (g.exp(a).unwrap(), g.exp(b).unwrap());
        let y = g.add(c, d).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!(pass(&mut graph), 2, "nodes are the same whose inputs came to be the same");
        assert_eq!(graph.nodes.len(), 3);
        assert_eq!(graph.nodes[2].inputs[0], graph.nodes[2].inputs[1]);
    }

    #[test]
    fn attributes_inputs_and_chance_tell_apart() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,2");
        let made = (DType::F32, g.dims(x).to_vec());
        let mut values = vec![x];
        for alpha in [0.0_f32, -0.0, 0.1] {
            values.push(g.node1("LeakyRelu", &[x], vec![("alpha", alpha.into())], made.clone()).unwrap());
        }
        for _ in 0..2 {
            values.push(g.node1("RandomNormalLike", &[x], vec![], made.clone()).unwrap());
        }
        values.push(g.softmax(x, 0).unwrap());
        values.push(g.softmax(x, 1).unwrap());
        let y = g.concat(&values, 1).unwrap();
        let mut graph = g.finish_with(y);
        assert_eq!((pass(&mut graph), graph.nodes.len()), (0, 8));
    }
}
