//! Small graphs over a checkpoint that is a real file, and looks at what became of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use zoo_formats::tf::proto::{GraphDef, NodeDef};
use zoo_graph::weights::Weights;
use zoo_graph::{Builder, Graph, Val};
use zoo_tensor::{DType, Dim, SourceFile, Weight};

/// A folder with a checkpoint: some bytes at an odd place, then numbers, densely, at places that are no multiple of four.
pub(crate) struct Checkpoint {
    pub(crate) folder: TempDir,
    pub(crate) file: Arc<SourceFile>,
}

/// Where the first tensor begins.
pub(crate) const START: u64 = 9;

impl Checkpoint {
    /// One of this many numbers: element `i` is `i / 8`.
    pub(crate) fn of(numbers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut bytes = b"{header}!".to_vec();
        bytes.extend((0..numbers).flat_map(|i| (i as f32 / 8.0).to_le_bytes()));
        write(&path, &bytes);
        let file = SourceFile::new(&path).unwrap();
        Self { folder, file }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The tensors of these shapes, one behind the other.
    pub(crate) fn weights(&self, tensors: &[(&str, &[usize])]) -> Weights {
        let mut at = START;
        let placed = tensors.iter().map(|(name, shape)| {
            let weight = Weight::in_file(DType::F32, *shape, &self.file, at).unwrap();
            at += weight.byte_len();
            ((*name).to_owned(), weight)
        });
        Weights::new(placed.collect::<Vec<_>>()).unwrap()
    }
}

/// An embedding, a dense layer and a norm over `[batch, sequence]` of tokens.
pub(crate) fn words(checkpoint: &Checkpoint) -> Graph {
    let w = checkpoint.weights(&[
        ("words.weight", &[7, 4]),
        ("dense.weight", &[3, 4]),
        ("dense.bias", &[3]),
        ("norm.weight", &[3]),
    ]);
    let mut g = Builder::new("words", 18).unwrap();
    let ids = g.input("input_ids", DType::I64, [named("batch_size"), named("sequence_length")]).unwrap();
    let table = g.weight(&w, "words.weight").unwrap();
    let x = g.embedding(table, ids).unwrap();
    let (weight, bias) = (g.weight(&w, "dense.weight").unwrap(), g.weight(&w, "dense.bias").unwrap());
    let x = g.linear(x, weight, Some(bias)).unwrap();
    let scale = g.weight(&w, "norm.weight").unwrap();
    let x = g.layer_norm(x, scale, None, 1e-5).unwrap();
    g.output("logits", x).unwrap();
    g.finish().unwrap()
}

/// Two convolutions with a norm between them, then the average.
pub(crate) fn image(checkpoint: &Checkpoint) -> Graph {
    let w = checkpoint.weights(&[
        ("first.weight", &[4, 3, 3, 3]),
        ("norm.weight", &[4]),
        ("second.weight", &[5, 4, 2, 2]),
    ]);
    let mut g = Builder::new("image", 18).unwrap();
    let x = g.input("pixel_values", DType::F32, [named("batch_size"), 3.into(), 8.into(), 8.into()]).unwrap();
    let kernel = g.weight(&w, "first.weight").unwrap();
    let x = g.conv(x, kernel, None, zoo_graph::ops::Window::same(3)).unwrap();
    let scale = g.weight(&w, "norm.weight").unwrap();
    let norm = zoo_graph::ops::BatchNorm { scale, bias: scale, mean: scale, variance: scale, epsilon: 1e-5 };
    let x = g.batch_norm(x, norm).unwrap();
    let x = g.relu(x).unwrap();
    let kernel = g.weight(&w, "second.weight").unwrap();
    let x = g.conv(x, kernel, None, zoo_graph::ops::Window::of(2).stride(2)).unwrap();
    let x = g.reduce_mean(x, &[2, 3], false).unwrap();
    g.output("logits", x).unwrap();
    g.finish().unwrap()
}

/// A graph of one input `x` `[batch, 4, 6]` and what is made of it.
pub(crate) fn of_one(make: impl FnOnce(&mut Builder, Val) -> Val) -> Graph {
    let mut g = Builder::new("one", 18).unwrap();
    let x = g.input("x", DType::F32, [named("batch"), 4.into(), 6.into()]).unwrap();
    let y = make(&mut g, x);
    g.output("y", y).unwrap();
    g.finish().unwrap()
}

pub(crate) fn named(name: &str) -> Dim {
    Dim::Named(name.into())
}

/// How often each operator occurs, constants aside.
pub(crate) fn histogram(graph: &GraphDef) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for node in graph.node.iter().filter(|node| node.op != "Const") {
        *counts.entry(node.op.as_str()).or_default() += 1;
    }
    counts
}

pub(crate) fn node<'g>(graph: &'g GraphDef, name: &str) -> &'g NodeDef {
    graph.node.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}"))
}

/// Every input is the output of a node, and no name stands twice; nodes stand behind those that they use.
pub(crate) fn is_sound(graph: &GraphDef) {
    let mut known = std::collections::HashSet::new();
    for node in &graph.node {
        for input in &node.input {
            let name = input.trim_start_matches('^').split(':').next().unwrap();
            assert!(known.contains(name), "{} uses {input}", node.name);
        }
        assert!(known.insert(node.name.as_str()), "{} stands twice", node.name);
    }
}

#[expect(clippy::disallowed_methods, reason = "a temporary file")]
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a temporary file")]
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
