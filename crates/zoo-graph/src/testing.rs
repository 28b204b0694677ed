//! What the tests of operators and passes share.

use zoo_tensor::{DType, Dim};

use crate::builder::{Builder, DEFAULT_OPSET};
use crate::graph::{Graph, Val};

pub(crate) fn graph() -> Builder {
    graph_at(DEFAULT_OPSET)
}

pub(crate) fn graph_at(opset: i64) -> Builder {
    Builder::new("main", opset).unwrap()
}

/// An input of this shape, written as `batch,3,224,224`.
pub(crate) fn value(g: &mut Builder, name: &str, dims: &str) -> Val {
    let dim = |text: &str| text.parse().map_or_else(|_| Dim::Named(text.to_owned()), Dim::Fixed);
    g.input(name, DType::F32, dims.split(',').map(dim)).unwrap()
}

pub(crate) fn dims(g: &Builder, val: Val) -> String {
    g.dims(val).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The operators up to `val`, in order.
pub(crate) fn ops(g: Builder, val: Val) -> String {
    g.finish_with(val).nodes.iter().map(|node| node.op.as_str()).collect::<Vec<_>>().join(" ")
}

impl Builder {
    /// The graph with one output.
    pub(crate) fn finish_with(mut self, val: Val) -> Graph {
        self.output("y", val).unwrap();
        self.finish().unwrap()
    }
}
