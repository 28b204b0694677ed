//! Making a graph, node by node, with types.
//!
//! Every value knows its element type and its shape, inferred when the node that makes it is added. A mistake therefore fails
//! at the line that made it: errors carry the file and line of the call, and describe the operands by name, type and shape.
//! The operators themselves are methods in [`crate::ops`], by topic.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;

use zoo_tensor::{DType, Dim, Tensor, Weight};

use crate::graph::{Attribute, Graph, Node, Source, Val, Value};
use crate::weights::{NamedWeight, Weights};
use crate::{Error, Result};

/// The operator set that graphs are written against unless another is asked for: 18 runs in every version of ONNX Runtime since
/// 1.14 and in every other engine that zoo knows.
pub const DEFAULT_OPSET: i64 = 18;

/// The operator sets that graphs can be written against: 17 is the first with `LayerNormalization`, 24 the newest that was run.
pub const OPSETS: std::ops::RangeInclusive<i64> = 17..=24;

/// The domain of ONNX Runtime's own operators.
pub const CONTRIB_DOMAIN: &str = "com.microsoft";

/// Makes a [`Graph`].
#[derive(Debug)]
pub struct Builder {
    pub(crate) graph: Graph,
    names: HashSet<String>,
    numbers: HashMap<String, usize>,
    /// Weights that are in the graph, by name and shape.
    weights: HashMap<(String, Vec<usize>), Val>,
    /// Constants that are in the graph: a few dozen at most, so that comparing them is cheap.
    constants: Vec<Val>,
    /// Weights of other floating-point types are cast to this one, exactly where they are narrower.
    compute: DType,
    /// Sizes of free dimensions that were computed already, and targets of reshapes made of them.
    pub(crate) known_lengths: HashMap<Dim, Val>,
    pub(crate) known_targets: HashMap<Vec<Dim>, Val>,
    /// Matrices that lie in the checkpoint the other way round: the transposition's result, and what is transposed.
    pub(crate) transposed: HashMap<Val, Val>,
}

/// What a builder remembers of nodes that were made.
#[derive(Debug)]
pub(crate) struct Remembered {
    weights: HashMap<(String, Vec<usize>), Val>,
    lengths: HashMap<Dim, Val>,
    targets: HashMap<Vec<Dim>, Val>,
    transposed: HashMap<Val, Val>,
}

/// A tensor to be made by a node: its type and shape.
pub(crate) type Made = (DType, Vec<Dim>);

impl Builder {
    /// An empty graph, which computes in `f32`.
    ///
    /// # Errors
    /// If `opset` is none of [`OPSETS`].
    pub fn new(name: &str, opset: i64) -> Result<Self> {
        if !OPSETS.contains(&opset) {
            return Err(Error::Opset { opset, first: *OPSETS.start(), last: *OPSETS.end() });
        }
        let graph = Graph {
            name: name.to_owned(),
            opset,
            values: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Ok(Self {
            graph,
            names: HashSet::new(),
            numbers: HashMap::new(),
            weights: HashMap::new(),
            constants: Vec::new(),
            compute: DType::F32,
            known_lengths: HashMap::new(),
            known_targets: HashMap::new(),
            transposed: HashMap::new(),
        })
    }

    /// The operator set's version.
    pub fn opset(&self) -> i64 {
        self.graph.opset
    }

    /// Adds an input.
    ///
    /// # Errors
    /// If the name is taken.
    #[track_caller]
    pub fn input(
        &mut self,
        name: &str,
        dtype: DType,
        dims: impl IntoIterator<Item = impl Into<Dim>>,
    ) -> Result<Val> {
        if !self.names.insert(name.to_owned()) {
            return self.fail("input", format!("there is a value named \"{name}\" already"));
        }
        let dims = dims.into_iter().map(Into::into).collect();
        let val = self.graph.add_value(Value { name: name.to_owned(), dtype, dims, source: Source::Input });
        self.graph.inputs.push(val);
        Ok(val)
    }

    /// The input of this name.
    pub fn find_input(&self, name: &str) -> Option<Val> {
        self.graph.inputs.iter().copied().find(|&input| self.graph.value(input).name == name)
    }

    /// Makes a value an output, under this name.
    ///
    /// # Errors
    /// If the name is taken by another value.
    #[track_caller]
    pub fn output(&mut self, name: &str, val: Val) -> Result<()> {
        let is_node = matches!(self.graph.value(val).source, Source::Node);
        if !is_node || self.graph.outputs.contains(&val) {
            // An input or weight that is an output, or a value that is two outputs, needs a node to carry the name.
            let made = (self.dtype(val), self.dims(val).to_vec());
            let copy = self.node("Identity", &[Some(val)], vec![], vec![made])?[0];
            return self.output(name, copy);
        }
        if self.graph.value(val).name != name {
            if !self.names.insert(name.to_owned()) {
                return self.fail("output", format!("there is a value named \"{name}\" already"));
            }
            let old = std::mem::replace(&mut self.graph.value_mut(val).name, name.to_owned());
            self.names.remove(&old);
        }
        self.graph.outputs.push(val);
        Ok(())
    }

    /// Ends the making.
    ///
    /// # Errors
    /// If there is no output.
    #[track_caller]
    pub fn finish(self) -> Result<Graph> {
        if self.graph.outputs.is_empty() {
            return self.fail("finish", "the graph has no output".to_owned());
        }
        Ok(self.graph)
    }

    /// A value's element type.
    pub fn dtype(&self, val: Val) -> DType {
        self.graph.value(val).dtype
    }

    /// A value's dimensions.
    pub fn dims(&self, val: Val) -> &[Dim] {
        &self.graph.value(val).dims
    }

    /// One dimension as a number.
    ///
    /// # Errors
    /// If there is no such dimension, or it is not fixed.
    #[track_caller]
    pub fn size(&self, val: Val, axis: usize) -> Result<usize> {
        match self.dims(val).get(axis).and_then(Dim::fixed) {
            Some(size) => Ok(size),
            None => self
                .fail("size", format!("dimension {axis} of {} has to be a number here", self.describe(val))),
        }
    }

    /// A value in words, for messages.
    pub fn describe(&self, val: Val) -> String {
        self.graph.value(val).describe()
    }

    /// A weight, by its name below `w`.
    ///
    /// # Errors
    /// If the checkpoint does not have it.
    pub fn weight(&mut self, w: &Weights, name: impl fmt::Display) -> Result<Val> {
        let taken = w.take(name)?;
        self.add_weight(taken)
    }

    /// A weight that must have exactly this shape.
    ///
    /// # Errors
    /// If the checkpoint does not have it, or has it in another shape.
    pub fn weight_of(&mut self, w: &Weights, name: impl fmt::Display, shape: &[usize]) -> Result<Val> {
        let taken = w.take(name)?;
        if taken.weight.shape() != shape {
            let found = taken.weight.shape().to_vec();
            return Err(Error::WeightShape { name: taken.name, found, expected: shape.to_vec() });
        }
        self.add_weight(taken)
    }

    /// A weight, if the checkpoint has it.
    ///
    /// # Errors
    /// Only if its type cannot be computed with.
    pub fn weight_if(&mut self, w: &Weights, name: impl fmt::Display) -> Result<Option<Val>> {
        if w.has(&name) { self.weight(w, name).map(Some) } else { Ok(None) }
    }

    /// The same bytes under another shape: a 1x1 convolution as a matrix, for instance.
    ///
    /// # Errors
    /// If the checkpoint does not have it, or the number of elements differs.
    pub fn weight_as(&mut self, w: &Weights, name: impl fmt::Display, shape: &[usize]) -> Result<Val> {
        let NamedWeight { path, name, weight } = w.take(name)?;
        match weight.reshaped(shape) {
            Ok(weight) => self.add_weight(NamedWeight { path, name, weight }),
            // One that lies in another order of axes is turned first, and then has its elements in the order that counts.
            Err(_) if weight.unpermuted().is_some() && weight.len() == shape.iter().product::<usize>() => {
                let turned = self.add_weight(NamedWeight { path, name, weight })?;
                self.reshape(turned, shape.iter().copied())
            }
            Err(_) => {
                let found = weight.shape().to_vec();
                Err(Error::WeightShape { name, found, expected: shape.to_vec() })
            }
        }
    }

    /// Rows `start..start + count` of a weight, as a tensor of its own in the same place.
    ///
    /// # Errors
    /// If the checkpoint does not have it, or not that many rows of it.
    pub fn weight_rows(
        &mut self,
        w: &Weights,
        name: impl fmt::Display,
        start: usize,
        count: usize,
    ) -> Result<Val> {
        let NamedWeight { path, name, weight } = w.take(name)?;
        let weight = weight.rows(start, count)?;
        let name = format!("{name}[{start}:{}]", start + count);
        self.add_weight(NamedWeight { path, name, weight })
    }

    fn add_weight(&mut self, NamedWeight { name, weight, .. }: NamedWeight) -> Result<Val> {
        let key = (name.clone(), weight.shape().to_vec());
        if let Some(&val) = self.weights.get(&key) {
            return Ok(val);
        }
        // Other frameworks keep matrices and kernels the other way round. They stay as they lie, and are turned in the graph.
        if let Some((dense, order)) = weight.unpermuted() {
            let dense = self.add_weight(NamedWeight { path: String::new(), name, weight: dense })?;
            let val = self.transpose(dense, &order)?;
            if order == [1, 0] {
                self.transposed.insert(val, dense);
            }
            self.weights.insert(key, val);
            return Ok(val);
        }
        let dtype = weight.dtype();
        let dims = weight.shape().iter().copied().map(Dim::Fixed).collect();
        let val = self.add_source(&name, dtype, dims, Source::Weight(weight));
        // A narrower checkpoint stays as it is on disk and is widened, exactly, when the model is loaded.
        let val = match dtype {
            _ if dtype == self.compute || !dtype.is_float() => val,
            DType::F16 | DType::BF16 | DType::F64 => self.cast(val, self.compute)?,
            _ => return Err(Error::WeightType { name, dtype }),
        };
        self.weights.insert(key, val);
        Ok(val)
    }

    /// A weight that was computed from the checkpoint's, under a name of its own. It is written like a weight: beside the graph
    /// when it is large.
    pub fn derived(&mut self, name: &str, weight: Weight) -> Val {
        let dims = weight.shape().iter().copied().map(Dim::Fixed).collect();
        self.add_source(name, weight.dtype(), dims, Source::Weight(weight))
    }

    /// A small tensor that is written into the graph itself; an equal one is used again.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> Val {
        let same = |val: &&Val| self.graph.value(**val).constant() == Some(&tensor);
        if let Some(&val) = self.constants.iter().find(same) {
            return val;
        }
        let dims = tensor.shape().iter().copied().map(Dim::Fixed).collect();
        let val = self.add_source(name, tensor.dtype(), dims, Source::Constant(tensor));
        self.constants.push(val);
        val
    }

    /// Whole numbers as a constant: a shape, axes.
    pub fn ints(&mut self, name: &str, ints: &[i64]) -> Val {
        self.constant(name, numbers(&[ints.len()], ints))
    }

    /// One whole number, without dimensions.
    pub fn int(&mut self, name: &str, int: i64) -> Val {
        self.constant(name, numbers(&[], &[int]))
    }

    /// One number, without dimensions.
    pub fn float(&mut self, name: &str, float: f32) -> Val {
        self.constant(name, numbers(&[], &[float]))
    }

    /// Numbers as a constant of this shape.
    ///
    /// # Errors
    /// If the shape asks for another number of them.
    pub fn floats(&mut self, name: &str, shape: &[usize], floats: &[f32]) -> Result<Val> {
        Ok(self.constant(name, Tensor::from_slice(shape, floats)?))
    }

    /// What is remembered of nodes that were made, so that they are not made again.
    pub(crate) fn remembered(&self) -> Remembered {
        Remembered {
            weights: self.weights.clone(),
            lengths: self.known_lengths.clone(),
            targets: self.known_targets.clone(),
            transposed: self.transposed.clone(),
        }
    }

    /// Remembers what was remembered then, and no more.
    pub(crate) fn remember(&mut self, then: Remembered) {
        self.weights = then.weights;
        self.known_lengths = then.lengths;
        self.known_targets = then.targets;
        self.transposed = then.transposed;
    }

    fn add_source(&mut self, name: &str, dtype: DType, dims: Vec<Dim>, source: Source) -> Val {
        let name = self.unique(name);
        self.graph.add_value(Value { name, dtype, dims, source })
    }

    /// Adds a node whose outputs are of these types and shapes. What it computes is the caller's to know: the methods of
    /// [`crate::ops`] infer `made`.
    ///
    /// # Errors
    /// If the graph would become too large to have an index.
    #[track_caller]
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &[Option<Val>],
        attributes: Vec<(&str, Attribute)>,
        made: Vec<Made>,
    ) -> Result<Vec<Val>> {
        if self.graph.values.len() >= u32::MAX as usize - made.len() {
            return self.fail(op, "the graph has too many values".to_owned());
        }
        let module = inputs.iter().flatten().find_map(|&val| self.module(val));
        // A node that uses weights is named after the module that has them, any other after its operator.
        let (name, value) = match &module {
            Some(module) => (format!("{module}/{op}"), module.clone()),
            None => {
                let base = op.to_ascii_lowercase();
                let number = self.numbers.entry(base.clone()).or_default();
                let text = format!("{base}_{number}");
                *number += 1;
                (text.clone(), text)
            }
        };
        let name = if module.is_some() { self.unique(&name) } else { name };
        let mut outputs = Vec::with_capacity(made.len());
        for (dtype, dims) in made {
            outputs.push(self.add_source(&value, dtype, dims, Source::Node));
        }
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.graph.nodes.push(Node {
            name,
            op: op.to_owned(),
            domain: String::new(),
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            attributes,
        });
        Ok(outputs)
    }

    /// A node of ONNX Runtime's own operators (`com.microsoft`, version 1), which other engines do not have. What comes out is the
    /// caller's to say: (type, dimensions) of each output.
    ///
    /// # Errors
    /// If the graph would become too large to have an index.
    #[track_caller]
    pub fn contrib(
        &mut self,
        op: &str,
        inputs: &[Option<Val>],
        attributes: Vec<(&str, Attribute)>,
        made: Vec<(DType, Vec<Dim>)>,
    ) -> Result<Vec<Val>> {
        let outputs = self.node(op, inputs, attributes, made)?;
        if let Some(node) = self.graph.nodes.last_mut() {
            CONTRIB_DOMAIN.clone_into(&mut node.domain);
        }
        Ok(outputs)
    }

    /// A node with one output and no absent inputs: the usual case.
    #[track_caller]
    pub(crate) fn node1(
        &mut self,
        op: &str,
        inputs: &[Val],
        attributes: Vec<(&str, Attribute)>,
        made: Made,
    ) -> Result<Val> {
        let inputs: Vec<Option<Val>> = inputs.iter().copied().map(Some).collect();
        Ok(self.node(op, &inputs, attributes, vec![made])?[0])
    }

    /// The path of the module that a weight belongs to: its name without the last part.
    fn module(&self, val: Val) -> Option<String> {
        let value = self.graph.value(val);
        match &value.source {
            Source::Weight(_) => value.name.rsplit_once('.').map(|(module, _)| module.to_owned()),
            _ => None,
        }
    }

    fn unique(&mut self, name: &str) -> String {
        if self.names.insert(name.to_owned()) {
            return name.to_owned();
        }
        loop {
            let number = self.numbers.entry(name.to_owned()).or_insert(1);
            let candidate = format!("{name}_{number}");
            *number += 1;
            if self.names.insert(candidate.clone()) {
                return candidate;
            }
        }
    }

    /// An error at the line of the caller.
    #[track_caller]
    #[expect(clippy::unused_self, reason = "reads like the other ways in which an operator ends")]
    pub(crate) fn fail<T>(&self, op: &str, problem: String) -> Result<T> {
        Err(Error::Op { op: op.to_owned(), problem, at: Location::caller() })
    }

    /// Passes on what inference found, or makes its words an error at the line of the caller.
    #[track_caller]
    pub(crate) fn inferred<T>(&self, op: &str, result: Result<T, String>) -> Result<T> {
        match result {
            Ok(found) => Ok(found),
            Err(problem) => self.fail(op, problem),
        }
    }
}

/// A tensor whose shape is known to fit.
fn numbers<T: zoo_tensor::Element>(shape: &[usize], values: &[T]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap_or_else(|_| unreachable!("the shape is that of the numbers"))
}
