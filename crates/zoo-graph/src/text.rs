//! A model in ONNX's own text syntax, for people and for snapshots.
//!
//! The syntax is that of `onnx.printer` and `onnx.parser`. Small tensors are written out; larger ones, and types the
//! syntax has no way to write, are elided as `["elided": "37632 bytes"]`, which has the place and form of external
//! data, so that the text still parses. The same model always gives the same text.

use std::fmt::Write as _;

use zoo_tensor::{DType, Tensor};

use crate::model::normal_domain;
use crate::proto::{
    AttributeProto, AttributeType, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, ValueInfoProto,
};
use crate::types::{dtype_text, type_text};
use crate::{Model, tensor};

/// The most elements of a tensor that are written out.
const MAX_ELEMENTS: usize = 16;

/// Writes a model as text.
pub fn to_text(model: &Model) -> String {
    let proto = model.proto();
    let mut out = String::new();
    let mut header = vec![format!("ir_version: {}", proto.ir_version()), opset_list(&proto.opset_import)];
    for (key, value) in [
        ("producer_name", &proto.producer_name),
        ("producer_version", &proto.producer_version),
        ("domain", &proto.domain),
    ] {
        header.extend(value.as_ref().map(|value| format!("{key}: {}", quoted(value))));
    }
    header.extend(proto.model_version.map(|version| format!("model_version: {version}")));
    header.extend(proto.doc_string.as_ref().map(|doc| format!("doc_string: {}", quoted(doc))));
    if !proto.metadata_props.is_empty() {
        header.push(format!("metadata_props: {}", entry_list(&proto.metadata_props)));
    }
    let _ = writeln!(out, "<\n   {}\n>", header.join(",\n   "));
    if let Some(graph) = &proto.graph {
        write_graph(&mut out, graph, 0);
        out.push('\n');
    }
    for function in &proto.functions {
        write_function(&mut out, function);
    }
    out
}

/// A name as the syntax wants it: bare where it can be, else quoted.
pub(crate) fn identifier(name: &str) -> String {
    let mut chars = name.chars();
    let bare = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_keyword(name);
    if bare { name.to_owned() } else { quoted(name) }
}

/// Words that would be read as a type or a number.
fn is_keyword(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "seq" | "map" | "optional" | "sparse_tensor" | "opaque" | "inf" | "infinity" | "nan"
    ) || DType::ALL.iter().any(|dtype| dtype.onnx_name() == name)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn identifiers(names: &[String]) -> String {
    names.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(", ")
}

fn opset_list(opsets: &[OperatorSetIdProto]) -> String {
    let entries: Vec<String> =
        opsets.iter().map(|opset| format!("{} : {}", quoted(opset.domain()), opset.version())).collect();
    format!("opset_import: [{}]", entries.join(", "))
}

fn entry_list(entries: &[StringStringEntryProto]) -> String {
    let entries: Vec<String> =
        entries.iter().map(|entry| format!("{}: {}", quoted(entry.key()), quoted(entry.value()))).collect();
    format!("[{}]", entries.join(", "))
}

fn value_list(values: &[ValueInfoProto]) -> String {
    values
        .iter()
        .map(|value| match &value.r#type {
            Some(kind) if kind.value.is_some() => {
                format!("{} {}", type_text(value.r#type.as_ref()), identifier(value.name()))
            }
            _ => identifier(value.name()),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Writes a graph; subgraphs recurse, as deep as the decoder lets them nest.
fn write_graph(out: &mut String, graph: &GraphProto, indent: usize) {
    let pad = " ".repeat(indent);
    let _ = write!(
        out,
        "{} ({}) => ({})",
        identifier(graph.name()),
        value_list(&graph.input),
        value_list(&graph.output)
    );
    let mut declared: Vec<String> = graph.initializer.iter().map(tensor_text).collect();
    declared.extend(graph.sparse_initializer.iter().map(sparse_text));
    declared.extend(graph.value_info.iter().map(|value| value_list(std::slice::from_ref(value))));
    if !declared.is_empty() {
        let _ = write!(out, "\n{pad}   <{}>", declared.join(&format!(",\n{pad}    ")));
    }
    let _ = writeln!(out, "\n{pad}{{");
    for node in &graph.node {
        write_node(out, node, indent + 3);
    }
    let _ = write!(out, "{pad}}}");
}

fn write_node(out: &mut String, node: &NodeProto, indent: usize) {
    out.push_str(&" ".repeat(indent));
    if !node.name().is_empty() {
        let _ = write!(out, "[{}] ", identifier(node.name()));
    }
    let _ = write!(out, "{} = ", identifiers(&node.output));
    if !normal_domain(node.domain()).is_empty() {
        let _ = write!(out, "{}.", node.domain());
    }
    out.push_str(node.op_type());
    if !node.overload().is_empty() {
        let _ = write!(out, ":{}", node.overload());
    }
    if !node.attribute.is_empty() {
        out.push_str(" <");
        for (i, attribute) in node.attribute.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            write_attribute(out, attribute, indent);
        }
        out.push('>');
    }
    let _ = writeln!(out, " ({})", identifiers(&node.input));
}

fn write_attribute(out: &mut String, attribute: &AttributeProto, indent: usize) {
    let kind = attribute.r#type.and_then(|code| AttributeType::try_from(code).ok());
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let text = |bytes: &bytes::Bytes| quoted(&String::from_utf8_lossy(bytes));
    let (name, value) = match kind.unwrap_or(AttributeType::Undefined) {
        AttributeType::Undefined => ("undefined", String::new()),
        AttributeType::Float => ("float", float(attribute.f())),
        AttributeType::Int => ("int", attribute.i().to_string()),
        AttributeType::String => ("string", attribute.s.as_ref().map_or_else(|| quoted(""), text)),
        AttributeType::Tensor => ("tensor", attribute.t.as_deref().map_or_else(String::new, tensor_text)),
        AttributeType::SparseTensor => {
            ("sparse_tensor", attribute.sparse_tensor.as_deref().map_or_else(String::new, sparse_text))
        }
        AttributeType::TypeProto => ("type_proto", type_text(attribute.tp.as_deref())),
        AttributeType::Floats => {
            ("floats", list(attribute.floats.iter().map(|&value| float(value)).collect()))
        }
        AttributeType::Ints => ("ints", list(attribute.ints.iter().map(ToString::to_string).collect())),
        AttributeType::Strings => ("strings", list(attribute.strings.iter().map(text).collect())),
        AttributeType::Tensors => ("tensors", list(attribute.tensors.iter().map(tensor_text).collect())),
        AttributeType::SparseTensors => {
            ("sparse_tensors", list(attribute.sparse_tensors.iter().map(sparse_text).collect()))
        }
        AttributeType::TypeProtos => {
            ("type_protos", list(attribute.type_protos.iter().map(|kind| type_text(Some(kind))).collect()))
        }
        AttributeType::Graph | AttributeType::Graphs => {
            let many = kind == Some(AttributeType::Graphs);
            let _ = write!(out, "{}: {} = ", attribute.name(), if many { "graphs" } else { "graph" });
            out.push_str(if many { "[" } else { "" });
            for (i, graph) in attribute.g.as_deref().into_iter().chain(&attribute.graphs).enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_graph(out, graph, indent + 3);
            }
            out.push_str(if many { "]" } else { "" });
            return;
        }
    };
    let _ = match attribute.ref_attr_name() {
        "" => write!(out, "{}: {name} = {value}", attribute.name()),
        reference => write!(out, "{}: {name} = @{reference}", attribute.name()),
    };
}

fn write_function(out: &mut String, function: &FunctionProto) {
    let mut header = vec![format!("domain: {}", quoted(function.domain()))];
    if !function.overload().is_empty() {
        header.push(format!("overload: {}", quoted(function.overload())));
    }
    header.push(opset_list(&function.opset_import));
    let _ = writeln!(out, "<\n  {}\n>", header.join(",\n  "));
    let _ = write!(out, "{} ", identifier(function.name()));
    if !function.attribute.is_empty() || !function.attribute_proto.is_empty() {
        out.push('<');
        out.push_str(&function.attribute.join(","));
        for (i, attribute) in function.attribute_proto.iter().enumerate() {
            out.push_str(if i > 0 || !function.attribute.is_empty() { "," } else { "" });
            write_attribute(out, attribute, 0);
        }
        out.push_str("> ");
    }
    let _ = writeln!(out, "({}) => ({})\n{{", identifiers(&function.input), identifiers(&function.output));
    for node in &function.node {
        write_node(out, node, 3);
    }
    out.push_str("}\n");
}

/// A tensor with its values, if they are few and the syntax can write them.
fn tensor_text(proto: &TensorProto) -> String {
    let mut text = dtype_text(proto.data_type());
    if !proto.dims.is_empty() {
        let dims: Vec<String> = proto.dims.iter().map(ToString::to_string).collect();
        let _ = write!(text, "[{}]", dims.join(","));
    }
    if !proto.name().is_empty() {
        let _ = write!(text, " {}", identifier(proto.name()));
    }
    text.push_str(" = ");
    if tensor::is_external(proto) {
        text.push_str(&entry_list(&proto.external_data));
        return text;
    }
    match tensor::to_tensor(proto, None).ok().as_ref().and_then(values_text) {
        Some(values) => text.push_str(&values),
        None => {
            let size = tensor::size(proto)
                .map_or_else(|_| "unknown size".to_owned(), |size| format!("{size} bytes"));
            let _ = write!(text, "[\"elided\": {}]", quoted(&size));
        }
    }
    text
}

/// `{1, 2, 3}`; 16- and 8-bit floats as their bit patterns, as ONNX's printer does.
fn values_text(tensor: &Tensor) -> Option<String> {
    if tensor.len() > MAX_ELEMENTS {
        return None;
    }
    let values: Vec<String> = match tensor.dtype() {
        DType::String => tensor.strings()?.iter().map(|text| quoted(text)).collect(),
        DType::F32 => tensor.to_vec::<f32>().ok()?.into_iter().map(float).collect(),
        DType::F64 => tensor.to_f64_vec().ok()?.into_iter().map(float).collect(),
        DType::U64 => tensor.to_vec::<u64>().ok()?.iter().map(ToString::to_string).collect(),
        DType::F16 | DType::BF16 => tensor
            .bytes()?
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]).to_string())
            .collect(),
        dtype if dtype.is_float() && dtype.size() == Some(1) => {
            tensor.bytes()?.iter().map(ToString::to_string).collect()
        }
        _ => tensor.to_i64_vec().ok()?.iter().map(ToString::to_string).collect(),
    };
    Some(format!("{{{}}}", values.join(", ")))
}

/// The syntax has no sparse tensors; shown as a declaration of the dense type, elided.
fn sparse_text(proto: &SparseTensorProto) -> String {
    let (name, code) = proto.values.as_ref().map_or(("", 0), |values| (values.name(), values.data_type()));
    let dims: Vec<String> = proto.dims.iter().map(ToString::to_string).collect();
    let count = proto.values.as_ref().and_then(|values| values.dims.first().copied()).unwrap_or(0);
    format!(
        "{}[{}] {} = [\"elided\": \"sparse, {count} values\"]",
        dtype_text(code),
        dims.join(","),
        identifier(name)
    )
}

/// The shortest text that reads back as the same number, always recognisable as no integer.
fn float(value: impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    if text == "NaN" { "nan".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ModelProto;

    fn tensor(name: &str, dims: &[i64], float_data: Vec<f32>) -> TensorProto {
        TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(1),
            float_data,
            ..Default::default()
        }
    }

    fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        NodeProto {
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: outputs.iter().map(|&name| name.into()).collect(),
            op_type: Some(op.into()),
            ..Default::default()
        }
    }

    #[test]
    fn a_whole_model() {
        let ints = |name: &str, ints: &[i64]| AttributeProto {
            name: Some(name.into()),
            r#type: Some(AttributeType::Ints as i32),
            ints: ints.to_vec(),
            ..Default::default()
        };
        let branch = GraphProto {
            name: Some("then".into()),
            node: vec![node("Identity", &["a"], &["t"])],
            output: vec![ValueInfoProto { name: Some("t".into()), ..Default::default() }],
            ..Default::default()
        };
        let branch = AttributeProto {
            name: Some("then_branch".into()),
            r#type: Some(AttributeType::Graph as i32),
            g: Some(Box::new(branch)),
            ..Default::default()
        };
        let graph = GraphProto {
            name: Some("torch-jit-export".into()),
            node: vec![
                NodeProto {
                    name: Some("/conv/Conv".into()),
                    attribute: vec![ints("pads", &[0, 1]), ints("strides", &[])],
                    ..node("Conv", &["x", "w", ""], &["a"])
                },
                NodeProto {
                    domain: Some("com.microsoft".into()),
                    attribute: vec![branch],
                    ..node("Choose", &["b"], &["float"])
                },
            ],
            initializer: vec![
                tensor("w", &[100], vec![0.0; 100]),
                tensor("b", &[3], vec![1.0, f32::INFINITY, 1e-9]),
            ],
            ..Default::default()
        };
        let model = ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
            producer_name: Some("a \"quoted\" tool".into()),
            graph: Some(graph),
            ..Default::default()
        };
        insta::assert_snapshot!(to_text(&Model::new(model, None)), @r#"
        <
           ir_version: 8,
           opset_import: ["" : 17],
           producer_name: "a \"quoted\" tool"
        >
        "torch-jit-export" () => ()
           <float[100] w = ["elided": "400 bytes"],
            float[3] b = {1.0, inf, 1e-9}>
        {
           ["/conv/Conv"] a = Conv <pads: ints = [0, 1], strides: ints = []> (x, w, "")
           "float" = com.microsoft.Choose <then_branch: graph = then () => (t)
              {
                 t = Identity (a)
              }> (b)
        }
        "#);
    }
}
