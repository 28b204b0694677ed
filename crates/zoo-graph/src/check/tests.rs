//! One model that is right, and one way each of being wrong.

use super::*;
use crate::proto::{
    AttributeProto, AttributeType, DataLocation, FunctionProto, GraphProto, ModelProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorType, TypeProto, TypeValue, ValueInfoProto,
};

fn value(name: &str) -> ValueInfoProto {
    let tensor = TensorType { elem_type: Some(1), shape: None };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { value: Some(TypeValue::Tensor(tensor)), denotation: None }),
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

fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) }
}

fn graph_attribute(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(Box::new(graph)),
        ..Default::default()
    }
}

/// x, w -> Add -> y, with an optional output and a subgraph that looks outside.
fn good() -> ModelProto {
    let branch = GraphProto {
        node: vec![node("Mul", &["x", "w"], &["inner"])],
        output: vec![value("inner")],
        ..Default::default()
    };
    let mut choose = node("If", &["c"], &["z", ""]);
    choose.attribute = vec![graph_attribute("then_branch", branch)];
    let weight = TensorProto {
        name: Some("w".into()),
        dims: vec![2],
        data_type: Some(1),
        float_data: vec![1.0, 2.0],
        ..Default::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![opset("ai.onnx", 17)],
        graph: Some(GraphProto {
            input: vec![value("x"), value("w"), value("c")],
            initializer: vec![weight],
            node: vec![choose, node("Add", &["z", "w", ""], &["y"])],
            output: vec![value("y")],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What the checker says after one change to the good model.
#[track_caller]
fn expect(change: impl FnOnce(&mut ModelProto), problems: &[&str]) {
    let mut proto = good();
    change(&mut proto);
    let report = check(&Model::new(proto, None));
    let found: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(found, problems);
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

#[test]
fn a_good_model_passes() {
    expect(|_| {}, &[]);
}

#[test]
fn versions_and_operator_sets() {
    expect(|m| m.ir_version = None, &["model: the IR version is missing"]);
    expect(|m| m.ir_version = Some(99), &["model: the IR version is 99; the newest one known is 14"]);
    expect(
        |m| m.opset_import = vec![opset("com.microsoft", 1)],
        &[
            "node 0 (If): its operator set \"ai.onnx\" is not imported",
            "node 0 (If), attribute \"then_branch\", node 0 (Mul): its operator set \"ai.onnx\" is not imported",
            "node 1 (Add): its operator set \"ai.onnx\" is not imported",
        ],
    );
    expect(
        |m| m.opset_import.push(opset("", 9)),
        &["model: operator set ai.onnx is imported twice, in versions 17 and 9"],
    );
    expect(|m| m.opset_import.push(opset("a", 0)), &["model: operator set a is imported in version 0"]);
}

#[test]
fn names() {
    expect(|m| graph(m).node.swap(0, 1), &["node 0 (Add): its input \"z\" is not defined before it"]);
    expect(
        |m| graph(m).node.push(node("Relu", &["x"], &["y"])),
        &["node 2 (Relu): its output \"y\" is already defined"],
    );
    expect(|m| graph(m).output.push(value("nothing")), &["output \"nothing\": nothing produces it"]);
    expect(|m| graph(m).input.push(value("x")), &["input \"x\": this name is defined twice"]);
    expect(|m| graph(m).input.push(value("")), &["input 3: it has no name"]);
    expect(
        |m| graph(m).input.push(ValueInfoProto { name: Some("q".into()), ..Default::default() }),
        &["input \"q\": its type is not declared"],
    );
    expect(
        |m| {
            let weight = graph(m).initializer[0].clone();
            graph(m).initializer.push(weight);
        },
        &["initializer \"w\": this name is defined twice"],
    );
    expect(
        // What a subgraph defines is not seen outside it.
        |m| graph(m).node.push(node("Relu", &["inner"], &["r"])),
        &["node 2 (Relu): its input \"inner\" is not defined before it"],
    );
    expect(
        |m| m.graph = Some(GraphProto::default()),
        &["model: the graph is empty: no nodes and no outputs"],
    );
    expect(|m| m.graph = None, &["model: there is no graph"]);
    expect(|m| graph(m).node.push(NodeProto::default()), &["node 2 (): it names no operator"]);
}

#[test]
fn tensors() {
    let weight = |m: &mut ModelProto, change: fn(&mut TensorProto)| change(&mut graph(m).initializer[0]);
    expect(
        |m| weight(m, |w| w.dims = vec![3]),
        &["initializer \"w\": f32 [3] needs 3 values, `float_data` has 2"],
    );
    expect(
        |m| weight(m, |w| w.data_type = Some(7)),
        &["initializer \"w\": i64 values are in `float_data`; they belong into `int64_data`"],
    );
    expect(
        |m| weight(m, |w| w.raw_data = Some(vec![0; 8].into())),
        &["initializer \"w\": both `raw_data` and `float_data` hold data"],
    );
    expect(
        |m| {
            weight(m, |w| {
                w.float_data.clear();
                w.raw_data = Some(vec![0; 7].into());
            });
        },
        &["initializer \"w\": f32 [2] needs 8 bytes, `raw_data` has 7"],
    );
    expect(|m| weight(m, |w| w.float_data.clear()), &["initializer \"w\": f32 [2] has no data"]);
    expect(|m| weight(m, |w| w.dims = vec![-2]), &["initializer \"w\": its shape [-2] has a negative size"]);
    expect(
        |m| weight(m, |w| w.data_type = Some(77)),
        &["initializer \"w\": its element type 77 is not one ONNX defines"],
    );
    expect(
        |m| {
            weight(m, |w| {
                w.float_data.clear();
                w.data_location = Some(DataLocation::External as i32);
                w.external_data =
                    vec![StringStringEntryProto { key: Some("location".into()), value: Some("../w".into()) }];
            });
        },
        &["initializer \"w\": tensor \"w\" keeps its data in \"../w\", which contains \"..\""],
    );
}

#[test]
fn external_files_are_looked_at_when_the_model_has_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut proto = good();
    let weight = &mut graph(&mut proto).initializer[0];
    weight.float_data.clear();
    weight.data_location = Some(DataLocation::External as i32);
    weight.external_data =
        vec![StringStringEntryProto { key: Some("location".into()), value: Some("w.bin".into()) }];
    let model = Model::new(proto, Some(&dir.path().join("m.onnx")));
    let report = check(&model);
    assert!(report.to_string().ends_with("w.bin, which does not exist"), "{report}");
    #[expect(clippy::disallowed_methods, reason = "a test file in a temporary folder")]
    std::fs::write(dir.path().join("w.bin"), [0; 7]).unwrap();
    let report = check(&model);
    assert!(report.to_string().ends_with("which has 7"), "{report}");
    #[expect(clippy::disallowed_methods, reason = "a test file in a temporary folder")]
    std::fs::write(dir.path().join("w.bin"), [0; 8]).unwrap();
    assert!(check(&model).is_ok());
}

#[test]
fn attributes() {
    let with =
        |attribute: AttributeProto| move |m: &mut ModelProto| graph(m).node[1].attribute.push(attribute);
    let base = |kind: AttributeType| AttributeProto {
        name: Some("a".into()),
        r#type: Some(kind as i32),
        ..Default::default()
    };
    expect(with(AttributeProto { i: Some(1), ..base(AttributeType::Int) }), &[]);
    expect(with(base(AttributeType::Ints)), &[]);
    expect(with(AttributeProto { i: Some(1), ..base(AttributeType::Undefined) }), &[]);
    expect(
        with(AttributeProto { i: Some(1), ..base(AttributeType::Float) }),
        &["node 1 (Add), attribute \"a\": its type is Float, but field `i` holds a value"],
    );
    expect(
        with(base(AttributeType::Tensor)),
        &["node 1 (Add), attribute \"a\": its type is Tensor, but it has no value"],
    );
    expect(
        with(AttributeProto { ref_attr_name: Some("alpha".into()), ..base(AttributeType::Float) }),
        &[
            "node 1 (Add), attribute \"a\": it refers to the attribute \"alpha\" of a function, but is in none",
        ],
    );
    expect(
        |m| {
            let attribute = AttributeProto { i: Some(1), ..base(AttributeType::Int) };
            graph(m).node[1].attribute = vec![attribute.clone(), attribute];
        },
        &["node 1 (Add), attribute \"a\": this name is defined twice"],
    );
}

fn function(name: &str, nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.into()),
        domain: Some("local".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        attribute: vec!["alpha".into()],
        node: nodes,
        opset_import: vec![opset("", 17), opset("local", 1)],
        ..Default::default()
    }
}

fn call(name: &str) -> NodeProto {
    NodeProto { domain: Some("local".into()), ..node(name, &["a"], &["b"]) }
}

#[test]
fn functions() {
    let mut leaky = node("LeakyRelu", &["a"], &["b"]);
    leaky.attribute = vec![AttributeProto {
        name: Some("alpha".into()),
        r#type: Some(AttributeType::Float as i32),
        ref_attr_name: Some("alpha".into()),
        ..Default::default()
    }];
    expect(|m| m.functions.push(function("F", vec![leaky.clone()])), &[]);
    let mut wrong = leaky.clone();
    wrong.attribute[0].ref_attr_name = Some("beta".into());
    expect(
        |m| m.functions.push(function("F", vec![wrong])),
        &[
            "function \"F\", node 0 (LeakyRelu), attribute \"alpha\": it refers to \"beta\", which is no attribute of the function",
        ],
    );
    expect(
        |m| m.functions.push(function("F", vec![])),
        &["function \"F\", output \"b\": nothing produces it"],
    );
    expect(
        |m| {
            m.functions = vec![
                function("F", vec![call("G")]),
                function("G", vec![call("F")]),
                function("H", vec![call("G")]),
            ];
        },
        &[
            "function \"F\": calling it never ends: functions call each other in a circle",
            "function \"G\": calling it never ends: functions call each other in a circle",
            "function \"H\": calling it never ends: functions call each other in a circle",
        ],
    );
}

#[test]
fn long_lists_are_cut() {
    let mut proto = good();
    graph(&mut proto).node.extend((0..80).map(|i| node("Relu", &["gone"], &[&format!("r{i}")])));
    let report = check(&Model::new(proto, None));
    assert_eq!((report.problems().len(), report.omitted()), (MAX_PROBLEMS, 80 - MAX_PROBLEMS));
    assert!(report.to_string().ends_with("and 30 more"));
}
