//! The messages of a graph.

use bytes::Bytes;
use zoo_tensor::Dim;

use crate::builder::CONTRIB_DOMAIN;
use crate::graph::{Attribute, Branch, Graph, Node, Source, Val, Value};
use crate::proto::{
    AttributeProto, AttributeType, DataLocation, Dimension, DimensionValue, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorType,
    TypeProto, TypeValue, ValueInfoProto,
};

/// What a message says about the bytes of a weight.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// They are in the message.
    Inline(Bytes),
    /// They are in a file, relative to the model's folder.
    External { location: String, offset: u64, length: u64 },
    /// Where they are is not said.
    Unplaced,
}

/// The file that [`Data::Unplaced`] weights seem to be in.
const UNPLACED: &str = "weights";

/// The version of the file format that came with an operator set: the oldest readers that know the operators can then read the file.
const fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24.. => 12,
    }
}

/// ONNX's own operators, and those of ONNX Runtime if the graph has any.
fn opset_imports(graph: &Graph) -> Vec<OperatorSetIdProto> {
    let import = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let mut imports = vec![import("", graph.opset)];
    if graph.nodes.iter().any(|node| node.domain == CONTRIB_DOMAIN) {
        imports.push(import(CONTRIB_DOMAIN, 1));
    }
    imports
}

/// The message; `data` is asked for each weight that the graph uses. Values that nothing uses are left out.
pub(super) fn message(graph: &Graph, data: impl Fn(Val) -> Data) -> ModelProto {
    let uses = graph.uses();
    let used = |val: Val| uses.get(val.0 as usize).is_some_and(|&uses| uses > 0);
    let initializers = graph.values().filter(|(val, _)| used(*val)).filter_map(|(val, value)| {
        let data = match &value.source {
            Source::Weight(_) | Source::Scaled { .. } => data(val),
            Source::Constant(tensor) => Data::Inline(tensor.bytes().cloned().unwrap_or_default()),
            Source::Input | Source::Node => return None,
        };
        Some(initializer(value, data))
    });
    let made = graph.nodes.iter().flat_map(|node| &node.outputs);
    let inner = made.filter(|val| used(**val) && !graph.outputs.contains(val));
    let info = |val: &Val| value_info(graph.value(*val));
    let inner_info = |val: &Val| value_info(&with_free_dimensions_open(graph.value(*val)));
    ModelProto {
        ir_version: Some(ir_version(graph.opset)),
        opset_import: opset_imports(graph),
        producer_name: Some("zoo".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(GraphProto {
            name: Some(graph.name.clone()),
            node: graph.nodes.iter().map(|node| node_message(graph, node)).collect(),
            initializer: initializers.collect(),
            input: graph.inputs.iter().map(info).collect(),
            output: graph.outputs.iter().map(info).collect(),
            value_info: inner.map(inner_info).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn initializer(value: &Value, data: Data) -> TensorProto {
    let entry =
        |key: &str, value: String| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) };
    let sizes = value.dims.iter().filter_map(Dim::fixed);
    let mut tensor = TensorProto {
        name: Some(value.name.clone()),
        dims: sizes.map(|size| size as i64).collect(),
        data_type: Some(value.dtype.onnx_code()),
        ..Default::default()
    };
    match data {
        Data::Inline(bytes) => tensor.raw_data = Some(bytes),
        Data::External { location, offset, length } => {
            tensor.external_data = vec![
                entry("location", location),
                entry("offset", offset.to_string()),
                entry("length", length.to_string()),
            ];
        }
        Data::Unplaced => tensor.external_data = vec![entry("location", UNPLACED.to_owned())],
    }
    if !tensor.external_data.is_empty() {
        tensor.data_location = Some(DataLocation::External as i32);
    }
    tensor
}

/// What is declared of values inside the graph: fixed sizes only. An engine that is told a batch of 3 (tract) would find that the
/// declared name `batch` is not 3, where inputs and outputs alone tell it that the one stands for the other.
fn with_free_dimensions_open(value: &Value) -> Value {
    let open = |dim: &Dim| dim.fixed().map_or(Dim::Unknown, Dim::Fixed);
    Value { dims: value.dims.iter().map(open).collect(), ..value.clone() }
}

fn value_info(value: &Value) -> ValueInfoProto {
    let dimension = |dim: &Dim| Dimension {
        value: match dim {
            Dim::Fixed(size) => Some(DimensionValue::DimValue(*size as i64)),
            Dim::Named(name) => Some(DimensionValue::DimParam(name.clone())),
            Dim::Unknown => None,
        },
        denotation: None,
    };
    let tensor = TensorType {
        elem_type: Some(value.dtype.onnx_code()),
        shape: Some(TensorShapeProto { dim: value.dims.iter().map(dimension).collect() }),
    };
    ValueInfoProto {
        name: Some(value.name.clone()),
        r#type: Some(TypeProto { value: Some(TypeValue::Tensor(tensor)), denotation: None }),
        ..Default::default()
    }
}

fn node_message(graph: &Graph, node: &Node) -> NodeProto {
    let name = |val: &Val| graph.value(*val).name.clone();
    let mut input: Vec<String> =
        node.operands().iter().map(|val| val.as_ref().map(name).unwrap_or_default()).collect();
    // An absent input at the end is not written at all.
    while input.last().is_some_and(String::is_empty) {
        input.pop();
    }
    NodeProto {
        input,
        output: node.outputs.iter().map(name).collect(),
        name: Some(node.name.clone()),
        op_type: Some(node.op.clone()),
        domain: (!node.domain.is_empty()).then(|| node.domain.clone()),
        attribute: node.attributes.iter().map(|(name, value)| attribute(graph, node, name, value)).collect(),
        ..Default::default()
    }
}

/// A graph inside a node. What it uses from outside has the name of what the node's inputs hold by now.
fn branch_message(graph: &Graph, node: &Node, branch: &Branch) -> GraphProto {
    let now = |val: &mut Val| {
        let at = branch.captures.iter().position(|captured| captured == val);
        if let Some(&Some(val_now)) = at.and_then(|at| node.inputs.get(branch.first + at)) {
            *val = val_now;
        }
    };
    let inner = |node: &Node| {
        let mut node = node.clone();
        node.inputs.iter_mut().flatten().for_each(now);
        node_message(graph, &node)
    };
    let info = |val: &Val| value_info(&with_free_dimensions_open(graph.value(*val)));
    GraphProto {
        name: Some(branch.name.clone()),
        node: branch.nodes.iter().map(inner).collect(),
        output: branch.outputs.iter().map(info).collect(),
        ..Default::default()
    }
}

fn attribute(graph: &Graph, node: &Node, name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..Default::default() };
    let kind = match value {
        Attribute::Int(int) => {
            proto.i = Some(*int);
            AttributeType::Int
        }
        Attribute::Float(float) => {
            proto.f = Some(*float);
            AttributeType::Float
        }
        Attribute::Text(text) => {
            proto.s = Some(Bytes::copy_from_slice(text.as_bytes()));
            AttributeType::String
        }
        Attribute::Ints(ints) => {
            proto.ints.clone_from(ints);
            AttributeType::Ints
        }
        Attribute::Floats(floats) => {
            proto.floats.clone_from(floats);
            AttributeType::Floats
        }
        Attribute::Graph(branch) => {
            proto.g = Some(Box::new(branch_message(graph, node, branch)));
            AttributeType::Graph
        }
    };
    proto.r#type = Some(kind as i32);
    proto
}
