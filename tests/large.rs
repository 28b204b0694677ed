//! Models of megabytes, made when they are needed: three linear layers whose weights lie in a file beside the model.
//!
//! Its expected output is computed here in double precision, so that it proves the arithmetic of whatever runs it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use zoo_graph::proto::{
    AttributeProto, AttributeType, DataLocation, Dimension, DimensionValue, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorType,
    TypeProto, TypeValue, ValueInfoProto,
};
use zoo_mirror::{Content, OnnxEntry};

/// The name, in handles, of a model with 48 MiB of weights: large enough for several ranges at once.
pub const LARGE: &str = "zoo-large-17";

const LAYERS: usize = 3;
const OPSET: i64 = 17;

/// The model [`LARGE`].
pub fn large_model() -> OnnxEntry {
    linear_model(LARGE, 2048)
}

/// A model of three layers with `width` features in and out, its data and its test data, as an entry of the ONNX Model Zoo.
pub fn linear_model(name: &str, width: usize) -> OnnxEntry {
    let data_name = format!("{name}.onnx.data");
    let scale = (width as f32).sqrt().recip() * 1.5;
    let layers: Vec<Vec<f32>> =
        (1..=LAYERS).map(|layer| numbers(layer as u64, width * width, scale)).collect();
    let input = numbers(99, width, 1.0);
    let output = layers.iter().fold(input.clone(), |x, weights| forward(&x, weights));
    let data: Vec<u8> = layers.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    OnnxEntry {
        model: name.to_owned(),
        opset: OPSET,
        path: format!("validated/zoo-tests/{name}/model/{name}.onnx"),
        content: Content::from(model(&data_name, width).encode_to_vec()),
        beside: vec![(data_name, Content::from(data))],
        archive: archive(&input, &output).map(Content::from),
    }
}

/// Reproducible numbers in `-scale..scale` (a linear congruential generator; its high bits are good enough for weights).
fn numbers(seed: u64, count: usize, scale: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / 8_388_608.0 - 1.0) * scale
    };
    (0..count).map(|_| next()).collect()
}

/// `tanh(x · Wᵀ)`.
fn forward(x: &[f32], weights: &[f32]) -> Vec<f32> {
    let row = |row: &[f32]| {
        row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>().tanh() as f32
    };
    weights.chunks(x.len()).map(row).collect()
}

fn model(data_name: &str, width: usize) -> ModelProto {
    let mut graph = GraphProto { name: Some("large".to_owned()), ..GraphProto::default() };
    let mut value = "x".to_owned();
    graph.input.push(port(&value, width));
    for layer in 0..LAYERS {
        let (weight, sum, next) = (format!("w{layer}"), format!("sum{layer}"), format!("y{layer}"));
        graph.initializer.push(external(&weight, data_name, layer, width));
        let transposed = AttributeProto {
            name: Some("transB".to_owned()),
            r#type: Some(AttributeType::Int as i32),
            i: Some(1),
            ..AttributeProto::default()
        };
        graph.node.push(node("Gemm", &[&value, &weight], &sum, vec![transposed]));
        graph.node.push(node("Tanh", &[&sum], &next, Vec::new()));
        value = next;
    }
    graph.output.push(port(&value, width));
    ModelProto {
        ir_version: Some(8),
        producer_name: Some("zoo-tests".to_owned()),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

fn external(name: &str, data_name: &str, layer: usize, width: usize) -> TensorProto {
    let length = width * width * size_of::<f32>();
    let entry =
        |key: &str, value: String| StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) };
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![width as i64, width as i64],
        data_type: Some(zoo_tensor::DType::F32.onnx_code()),
        data_location: Some(DataLocation::External as i32),
        external_data: vec![
            entry("location", data_name.to_owned()),
            entry("offset", (layer * length).to_string()),
            entry("length", length.to_string()),
        ],
        ..TensorProto::default()
    }
}

fn port(name: &str, width: usize) -> ValueInfoProto {
    let dim = |size: usize| Dimension {
        value: Some(DimensionValue::DimValue(size as i64)),
        ..Dimension::default()
    };
    let shape = TensorShapeProto { dim: vec![dim(1), dim(width)] };
    let tensor = TensorType { elem_type: Some(zoo_tensor::DType::F32.onnx_code()), shape: Some(shape) };
    let r#type = TypeProto { value: Some(TypeValue::Tensor(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(r#type), ..ValueInfoProto::default() }
}

/// One data set, without the model: the real archives hold both, and repeating tens of megabytes proves nothing more.
fn archive(input: &[f32], output: &[f32]) -> Option<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (file, name, values) in [("input_0", "x", input), ("output_0", &*format!("y{}", LAYERS - 1), output)]
    {
        let tensor = TensorProto {
            name: Some(name.to_owned()),
            dims: vec![1, values.len() as i64],
            data_type: Some(zoo_tensor::DType::F32.onnx_code()),
            raw_data: Some(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()),
            ..TensorProto::default()
        };
        let bytes = tensor.encode_to_vec();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("model/test_data_set_0/{file}.pb"), bytes.as_slice()).ok()?;
    }
    let mut gzip = tar.into_inner().ok()?;
    gzip.flush().ok()?;
    gzip.finish().ok()
}
