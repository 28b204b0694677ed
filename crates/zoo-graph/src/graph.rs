//! A graph being made: ONNX with types. What passes rewrite and the writer turns into a file.
//!
//! Every value knows its element type and shape; nodes stand in an order in which every value is made before it is used.
//! Weights are places in a checkpoint until they are written, so a graph of gigabytes is a few kilobytes here.

use std::collections::HashMap;
use std::sync::Arc;

use zoo_tensor::{DType, Dim, Shape, Tensor, Weight};

/// A value of a graph: an input, a weight, a constant, or what a node makes. An index; valid in the graph it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Val(pub(crate) u32);

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The shape; its rank is always known.
    pub dims: Vec<Dim>,
    /// Where it comes from.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// It is fed.
    Input,
    /// It is a tensor of the checkpoint.
    Weight(Weight),
    /// It is a tensor of the checkpoint, of which each row (along the first dimension) is multiplied by a number of its own: computed,
    /// in double precision, only when it is written.
    Scaled {
        /// The tensor; its type may be narrower than the value's.
        weight: Weight,
        /// One finite factor for each row.
        factors: Arc<[f64]>,
    },
    /// It was computed while the graph was made: small, and written into the file itself.
    Constant(Tensor),
    /// A node makes it.
    Node,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name in the file.
    pub name: String,
    /// The operator, of ONNX's own domain unless `domain` says otherwise.
    pub op: String,
    /// The operator's domain; empty for ONNX's own.
    pub domain: String,
    /// Inputs; none where an optional one is absent. What the [`Branch`]es of a node use from outside stands behind them, though it is
    /// not written as an input: whoever asks what a node needs, or replaces it, need not know of branches.
    pub inputs: Vec<Option<Val>>,
    /// Outputs.
    pub outputs: Vec<Val>,
    /// Attributes by name, in the order they are written.
    pub attributes: Vec<(String, Attribute)>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f32),
    /// A text.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// A graph that the node runs: one of the ways of an `If`.
    Graph(Box<Branch>),
}

/// A graph inside a node, over the values of the graph around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Its name in the file.
    pub name: String,
    /// Its nodes, each after those whose values it uses.
    pub nodes: Vec<Node>,
    /// What comes out: values that its own nodes make.
    pub outputs: Vec<Val>,
    /// What its nodes use from outside, as they call it.
    pub(crate) captures: Vec<Val>,
    /// The place among the inputs of the node around it from which on these values stand.
    pub(crate) first: usize,
}

/// A graph with types. Made by [`crate::Builder`].
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Its name in the file.
    pub name: String,
    /// The version of ONNX's own operator set that it is written against.
    pub opset: i64,
    pub(crate) values: Vec<Value>,
    /// Nodes, each after those whose values it uses.
    pub nodes: Vec<Node>,
    /// What is fed, in order.
    pub inputs: Vec<Val>,
    /// What comes out, in order.
    pub outputs: Vec<Val>,
}

impl Graph {
    /// A value.
    pub fn value(&self, val: Val) -> &Value {
        &self.values[val.0 as usize]
    }

    /// A value, to change.
    pub fn value_mut(&mut self, val: Val) -> &mut Value {
        &mut self.values[val.0 as usize]
    }

    /// All values; some may no longer be used by any node.
    pub fn values(&self) -> impl Iterator<Item = (Val, &Value)> {
        self.values.iter().enumerate().map(|(index, value)| (Val(index as u32), value))
    }

    /// Adds a value.
    pub(crate) fn add_value(&mut self, value: Value) -> Val {
        let val = Val(self.values.len() as u32);
        self.values.push(value);
        val
    }

    /// How often each value is used: by nodes, and once for being an output.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.values.len()];
        let used = self.nodes.iter().flat_map(|node| node.inputs.iter().flatten()).chain(&self.outputs);
        for val in used {
            uses[val.0 as usize] += 1;
        }
        uses
    }

    /// The index of the node that makes each value.
    pub fn producers(&self) -> HashMap<Val, usize> {
        let made = |(index, node): (usize, &Node)| {
            node.outputs.iter().map(move |&val| (val, index)).collect::<Vec<_>>()
        };
        self.nodes.iter().enumerate().flat_map(made).collect()
    }

    /// Lets every use of `old` (as a graph output, too) use `new`.
    pub fn replace_uses(&mut self, old: Val, new: Val) {
        let inputs = self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().flatten());
        for val in inputs.chain(&mut self.outputs).filter(|val| **val == old) {
            *val = new;
        }
    }

    /// A name that no value has: this one, or it with a number.
    pub(crate) fn unique_name(&self, name: &str) -> String {
        let taken = |name: &str| self.values.iter().any(|value| value.name == name);
        let numbered = (1_usize..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    /// How often each operator occurs.
    pub fn op_histogram(&self) -> std::collections::BTreeMap<String, usize> {
        let mut histogram = std::collections::BTreeMap::new();
        for node in &self.nodes {
            *histogram.entry(node.op.clone()).or_default() += 1;
        }
        histogram
    }
}

impl Value {
    /// The shape as others declare it.
    pub fn shape(&self) -> Shape {
        Shape::new(self.dims.iter().cloned())
    }

    /// The sizes, if all are fixed.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        self.dims.iter().map(Dim::fixed).collect()
    }

    /// The constant tensor, if it is one.
    pub fn constant(&self) -> Option<&Tensor> {
        match &self.source {
            Source::Constant(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// `layer1.0.bn1: f32[batch,64,56,56]`, for messages.
    pub fn describe(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(ToString::to_string).collect();
        format!("{}: {}[{}]", self.name, self.dtype, dims.join(","))
    }
}

impl Branch {
    /// What its nodes use from outside: as they call it, and what the node around it has in its place.
    pub fn captured<'b>(&'b self, node: &'b Node) -> impl Iterator<Item = (Val, Option<Val>)> + 'b {
        let outside = node.inputs.iter().skip(self.first).copied();
        self.captures.iter().copied().zip(outside)
    }
}

impl Node {
    /// The graphs inside it.
    pub fn branches(&self) -> impl Iterator<Item = &Branch> {
        self.attributes.iter().filter_map(|(_, value)| match value {
            Attribute::Graph(branch) => Some(&**branch),
            _ => None,
        })
    }

    /// Its inputs without what its branches use from outside.
    pub fn operands(&self) -> &[Option<Val>] {
        let captured = self.branches().map(|branch| branch.captures.len()).sum();
        self.inputs.get(..self.inputs.len().saturating_sub(captured)).unwrap_or_default()
    }

    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// A list of whole numbers; none if the attribute is absent or of another type.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attribute(name) {
            Some(Attribute::Ints(ints)) => Some(ints),
            _ => None,
        }
    }

    /// A whole number; none if the attribute is absent or of another type.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name) {
            Some(Attribute::Int(int)) => Some(*int),
            _ => None,
        }
    }

    /// A number; none if the attribute is absent or of another type.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attribute(name) {
            Some(Attribute::Float(float)) => Some(*float),
            _ => None,
        }
    }
}

impl From<i64> for Attribute {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<f32> for Attribute {
    fn from(float: f32) -> Self {
        Self::Float(float)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(ints: Vec<i64>) -> Self {
        Self::Ints(ints)
    }
}
