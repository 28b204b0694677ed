//! From ONNX's operators to TensorFlow's.
//!
//! [`OPERATORS`](operators) has, by topic, one small function for each operator: it takes the node, adds nodes to the TensorFlow graph and
//! gives the tensors that come out. What it cannot express it refuses with a reason; everything refused is told at once.
//!
//! Weights stay as they lie. `Gemm` takes PyTorch's `[out, in]` by `transpose_b`; kernels of convolutions, which TensorFlow wants as
//! `[height, width, in, out]`, are transposed in the graph.
//!
//! **Channels last.** TensorFlow's convolutions and pools on a CPU want channels behind the spatial axes, ONNX has them before. A value
//! can therefore have two tensors, one for each layout; what only one of them exists of is transposed when the other is asked for.
//! Elementwise operators work in the layout that is there, so that a chain of convolutions is transposed at its two ends only.

mod branch;
mod conv;
mod gather;
mod logic;
mod matmul;
mod norm;
mod pointwise;
mod pool;
mod reduce;
mod resize;
mod shape;
mod slice;
mod tools;

use std::collections::HashMap;

use zoo_formats::tf::DataType;
use zoo_formats::tf::proto::{Attr, NodeDef};
use zoo_graph::graph::{Graph, Node, Source, Val, Value};
use zoo_tensor::{DType, Dim, Tensor};

use crate::content::Content;
use crate::nodes::{Names, Op, Out, code, shape_of, tensor_proto};
use crate::{Error, Refusal, Result};

/// What comes out of a node, or why it cannot be translated.
type Lowered = Result<Made, String>;

/// Translates one operator.
type Lower = fn(&mut Lowering<'_>, &Node) -> Lowered;

/// Operators by topic.
const TOPICS: &[&[(&str, Lower)]] = &[
    branch::OPERATORS,
    conv::OPERATORS,
    gather::OPERATORS,
    logic::OPERATORS,
    matmul::OPERATORS,
    norm::OPERATORS,
    pointwise::OPERATORS,
    pool::OPERATORS,
    reduce::OPERATORS,
    resize::OPERATORS,
    shape::OPERATORS,
    slice::OPERATORS,
];

/// Whole numbers up to this size stand in the graph even if they are weights: shapes and indices are read from there.
const INLINE_BYTES: u64 = 64 << 10;

/// The names of all operators that are translated.
pub fn operators() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().copied().flatten().map(|(name, _)| *name)
}

/// The tensors that a node makes.
enum Made {
    /// In ONNX's layout, one for each output.
    Plain(Vec<Out>),
    /// With channels behind the spatial axes; of a node with one output.
    ChannelsLast(Out),
}

impl From<Out> for Made {
    fn from(out: Out) -> Self {
        Self::Plain(vec![out])
    }
}

/// Where weights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// They are variables.
    Variables,
    /// They are constants of the graph.
    Constants,
}

/// A part of the graph, in the order in which it is written.
#[derive(Debug)]
pub(crate) enum Piece<'g> {
    /// A node.
    Node(NodeDef),
    /// A constant whose bytes are a weight's: streamed.
    Constant { name: String, content: Content<'g> },
}

/// A weight that is a variable.
#[derive(Debug)]
pub(crate) struct Variable<'g> {
    /// Its name in the checkpoint.
    pub(crate) key: String,
    /// The node that is the variable.
    pub(crate) handle: String,
    /// The node that reads it.
    pub(crate) read: String,
    pub(crate) content: Content<'g>,
}

/// An input or output of the translated graph.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// Its name in the graph.
    pub(crate) name: String,
    /// The tensor's.
    pub(crate) out: Out,
    pub(crate) dims: Vec<Dim>,
    /// Of an input of `i64`: the tensor before it that takes `i32`.
    pub(crate) narrow: Option<Out>,
}

/// A graph that was translated.
#[derive(Debug)]
pub(crate) struct Translated<'g> {
    pub(crate) pieces: Vec<Piece<'g>>,
    pub(crate) variables: Vec<Variable<'g>>,
    pub(crate) inputs: Vec<End>,
    pub(crate) outputs: Vec<End>,
    pub(crate) names: Names,
}

/// How inputs of `i64` are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integers {
    /// As they are.
    Wide,
    /// As `i32`, which is widened.
    Narrow,
    /// Either: the wide ones have the widened narrow ones as their default.
    Both,
}

/// A graph on its way.
pub(crate) struct Lowering<'g> {
    graph: &'g Graph,
    storage: Storage,
    pieces: Vec<Piece<'g>>,
    variables: Vec<Variable<'g>>,
    names: Names,
    /// The node that is being translated: names begin with it.
    scope: String,
    plain: HashMap<Val, Out>,
    channels_last: HashMap<Val, Out>,
    constants: HashMap<(DType, Vec<usize>, Vec<u8>), Out>,
}

/// Translates a graph.
///
/// # Errors
/// [`Error::Unsupported`] with everything that has no counterpart.
pub(crate) fn translate(graph: &Graph, storage: Storage, integers: Integers) -> Result<Translated<'_>> {
    let mut l = Lowering {
        graph,
        storage,
        pieces: Vec::new(),
        variables: Vec::new(),
        names: Names::default(),
        scope: String::new(),
        plain: HashMap::new(),
        channels_last: HashMap::new(),
        constants: HashMap::new(),
    };
    let mut refusals = Refusals::default();
    l.refuse_types(&mut refusals);
    refusals.end()?;
    // Outputs have their own names, whatever else would like to be called so.
    let output_names: Vec<String> =
        graph.outputs.iter().map(|&val| l.names.unique(&graph.value(val).name)).collect();
    let inputs = graph.inputs.iter().map(|&val| l.input(val, integers)).collect();
    for node in &graph.nodes {
        let known = if node.domain.is_empty() { find(&node.op) } else { None };
        let Some(lower) = known else {
            refusals.add(node, "has no counterpart".to_owned());
            continue;
        };
        l.scope.clone_from(&node.name);
        // After a refusal its outputs are missing. What needs them is not asked.
        if node.inputs.iter().flatten().any(|val| !l.exists(*val)) {
            continue;
        }
        match lower(&mut l, node) {
            Ok(made) => l.keep(node, made),
            Err(problem) => refusals.add(node, problem),
        }
    }
    refusals.end()?;
    let mut outputs = Vec::new();
    for (&val, name) in graph.outputs.iter().zip(output_names) {
        let value = graph.value(val);
        let out = l.out(val).map_err(|problem| unsupported("output", &value.name, problem))?;
        l.pieces.push(Piece::Node(Op::typed("Identity", &[&out]).named(name.clone())));
        let out = Out { name, dtype: value.dtype };
        outputs.push(End { name: value.name.clone(), out, dims: value.dims.clone(), narrow: None });
    }
    let Lowering { pieces, variables, names, .. } = l;
    Ok(Translated { pieces, variables, inputs, outputs, names })
}

fn find(op: &str) -> Option<Lower> {
    TOPICS.iter().copied().flatten().find(|(name, _)| *name == op).map(|(_, lower)| *lower)
}

fn unsupported(op: &str, node: &str, problem: String) -> Error {
    let refusal = Refusal { op: op.to_owned(), node: node.to_owned(), count: 1, problem };
    Error::Unsupported { refusals: vec![refusal] }
}

#[derive(Default)]
struct Refusals(Vec<Refusal>);

impl Refusals {
    fn add(&mut self, node: &Node, problem: String) {
        self.push(&node.op, &node.name, problem);
    }

    fn push(&mut self, op: &str, node: &str, problem: String) {
        match self.0.iter_mut().find(|refusal| refusal.op == op && refusal.problem == problem) {
            Some(refusal) => refusal.count += 1,
            None => self.0.push(Refusal { op: op.to_owned(), node: node.to_owned(), count: 1, problem }),
        }
    }

    fn end(&mut self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::Unsupported { refusals: std::mem::take(&mut self.0) })
        }
    }
}

impl<'g> Lowering<'g> {
    fn refuse_types(&self, refusals: &mut Refusals) {
        for (_, value) in self.graph.values() {
            if value.dtype == DType::String || DataType::of(value.dtype).is_none() {
                refusals.push("the type", &value.name, format!("{} is none that is written", value.dtype));
            }
        }
    }

    /// Adds the placeholders of an input.
    fn input(&mut self, val: Val, integers: Integers) -> End {
        let Value { name, dtype, dims, .. } = self.graph.value(val);
        let placeholder = |l: &mut Self, dtype: DType, name: &str| {
            let name = l.names.unique(name);
            let op = Op::new("Placeholder", &[]).of("dtype", dtype).shape("shape", dims);
            l.pieces.push(Piece::Node(op.named(name.clone())));
            Out { name, dtype }
        };
        let end = |out: Out, narrow| End { name: name.clone(), out, dims: dims.clone(), narrow };
        if *dtype != DType::I64 || integers == Integers::Wide {
            let out = placeholder(self, *dtype, name);
            self.plain.insert(val, out.clone());
            return end(out, None);
        }
        let narrow = placeholder(self, DType::I32, name);
        self.scope.clone_from(name);
        let mut out = self.cast(&narrow, DType::I64);
        if integers == Integers::Both {
            let op = Op::new("PlaceholderWithDefault", &[&out]).of("dtype", DType::I64).shape("shape", dims);
            out = self.add(op, DType::I64);
        }
        self.plain.insert(val, out.clone());
        end(out, Some(narrow))
    }

    fn exists(&self, val: Val) -> bool {
        let made = matches!(self.graph.value(val).source, Source::Node | Source::Input);
        !made || self.plain.contains_key(&val) || self.channels_last.contains_key(&val)
    }

    fn keep(&mut self, node: &Node, made: Made) {
        match made {
            Made::Plain(outs) => self.plain.extend(node.outputs.iter().copied().zip(outs)),
            Made::ChannelsLast(out) => {
                self.channels_last.extend(node.outputs.first().map(|&val| (val, out)));
            }
        }
    }

    /// Adds a node with one output.
    pub(crate) fn add(&mut self, op: Op, dtype: DType) -> Out {
        let name = self.names.unique(&format!("{}/{}", self.scope, op.kind));
        self.pieces.push(Piece::Node(op.named(name.clone())));
        Out { name, dtype }
    }

    /// Adds a node with several outputs.
    pub(crate) fn add_several(&mut self, op: Op, dtypes: &[DType]) -> Vec<Out> {
        let first = self.add(op, dtypes.first().copied().unwrap_or(DType::F32));
        let out = |(index, &dtype): (usize, &DType)| {
            let name = if index == 0 { first.name.clone() } else { format!("{}:{index}", first.name) };
            Out { name, dtype }
        };
        dtypes.iter().enumerate().map(out).collect()
    }

    /// The tensor of a value, in ONNX's layout.
    pub(crate) fn out(&mut self, val: Val) -> Result<Out, String> {
        if let Some(out) = self.plain.get(&val) {
            return Ok(out.clone());
        }
        let value = self.graph.value(val);
        let out = match &value.source {
            Source::Weight(_) | Source::Scaled { .. } => self.weight(value)?,
            Source::Constant(tensor) => self.constant_named(&value.name, tensor),
            _ => {
                let last = self.channels_last.get(&val).cloned().ok_or("has an input that nothing makes")?;
                self.with_channels_first(&last, value.dims.len())
            }
        };
        self.plain.insert(val, out.clone());
        Ok(out)
    }

    /// The tensor of a value with channels behind the spatial axes.
    pub(crate) fn out_channels_last(&mut self, val: Val) -> Result<Out, String> {
        if let Some(out) = self.channels_last.get(&val) {
            return Ok(out.clone());
        }
        let plain = self.out(val)?;
        let out = self.with_channels_last(&plain, self.graph.value(val).dims.len());
        self.channels_last.insert(val, out.clone());
        Ok(out)
    }

    /// Whether a value exists with channels last only.
    pub(crate) fn is_channels_last(&self, val: Val) -> bool {
        self.channels_last.contains_key(&val) && !self.plain.contains_key(&val)
    }

    fn weight(&mut self, value: &'g Value) -> Result<Out, String> {
        let content = Content::of(value).ok_or("has an input that nothing makes")?;
        if !value.dtype.is_float() && content.byte_len() <= INLINE_BYTES {
            let tensor =
                content.tensor().map_err(|error| format!("has a weight that cannot be read: {error}"))?;
            return Ok(self.constant_named(&value.name, &tensor));
        }
        Ok(match self.storage {
            Storage::Constants => self.streamed(&value.name, content),
            Storage::Variables => {
                let handle = self.names.unique(&value.name);
                let read = self.names.unique(&format!("{handle}/Read/ReadVariableOp"));
                let resource = Op::new("VarHandleOp", &[])
                    .of("dtype", value.dtype)
                    .shape("shape", &value.dims)
                    .text("shared_name", &handle)
                    .text("container", "");
                self.pieces.push(Piece::Node(resource.named(handle.clone())));
                let mut reading = Op::new("ReadVariableOp", &[]).of("dtype", value.dtype);
                reading.inputs.push(handle.clone());
                self.pieces.push(Piece::Node(reading.named(read.clone())));
                let out = Out { name: read.clone(), dtype: value.dtype };
                self.variables.push(Variable { key: value.name.clone(), handle, read, content });
                out
            }
        })
    }

    fn streamed(&mut self, name: &str, content: Content<'g>) -> Out {
        let name = self.names.unique(name);
        let dtype = content.dtype;
        self.pieces.push(Piece::Constant { name: name.clone(), content });
        Out { name, dtype }
    }

    /// A weight with its axes in another order: of a constant, the bytes are; a variable is transposed in the graph.
    pub(crate) fn weight_permuted(&mut self, val: Val, order: &[usize]) -> Result<Out, String> {
        let value = self.graph.value(val);
        let permuted = Content::of(value).and_then(|content| content.permuted(order));
        if let (Storage::Constants, Some(content)) = (self.storage, permuted) {
            return Ok(self.streamed(&format!("{}/permuted", value.name), content));
        }
        let out = self.out(val)?;
        Ok(self.transpose(&out, order))
    }

    /// A constant of the graph; an equal one is used again.
    fn constant_named(&mut self, name: &str, tensor: &Tensor) -> Out {
        let bytes = tensor.bytes().map(|bytes| bytes.to_vec()).unwrap_or_default();
        let key = (tensor.dtype(), tensor.shape().to_vec(), bytes);
        if let Some(known) = self.constants.get(&key) {
            return known.clone();
        }
        let name = self.names.unique(name);
        let out = Out { name: name.clone(), dtype: tensor.dtype() };
        self.pieces.push(Piece::Node(constant_node(name, tensor)));
        self.constants.insert(key, out.clone());
        out
    }

    /// A constant that a translation needs.
    pub(crate) fn constant(&mut self, tensor: &Tensor) -> Out {
        let name = format!("{}/Const", self.scope);
        self.constant_named(&name, tensor)
    }
}

/// A constant as a node.
pub(crate) fn constant_node(name: String, tensor: &Tensor) -> NodeDef {
    let value = Attr::Tensor(Box::new(tensor_proto(tensor)));
    Op::new("Const", &[]).of("dtype", tensor.dtype()).attribute("value", value).named(name)
}

/// The attribute `dtype` and the shape of a streamed constant.
pub(crate) fn constant_head(content: &Content<'_>) -> (i32, zoo_formats::tf::proto::TensorShapeProto) {
    let dims: Vec<Dim> = content.shape.iter().copied().map(Dim::Fixed).collect();
    (code(content.dtype), shape_of(&dims))
}
