//! Every element type that can go in and out goes in and comes out, bit for bit.

use bytes::Bytes;
use half::{bf16, f16};
use zoo_graph::proto::{
    AttributeProto, AttributeType, MapType, OptionalType, SequenceType, TypeProto, TypeValue,
};
use zoo_run::{Error, Named, Runner as _};
use zoo_tensor::{DType, Tensor};

use crate::support::{graph, load, node, port, value, write, write_at};

/// Sends tensors through `Identity`.
fn through(dtype: DType, tensors: &[Tensor]) -> Vec<Tensor> {
    let written = write(graph("Identity", vec![port("x", dtype, &[0])], vec![port("y", dtype, &[0])]));
    let mut runner = load(&written.path()).unwrap_or_else(|error| panic!("{dtype}: {error}"));
    let mut run = |tensor: &Tensor| {
        let mut outputs =
            runner.run(&[("x".to_owned(), tensor.clone())]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outputs[0].0, "y");
        outputs.remove(0).1
    };
    tensors.iter().map(&mut run).collect()
}

#[test]
fn numbers() {
    let tensors = [
        Tensor::from_slice([3], &[1.5_f32, f32::NAN, -0.0]),
        Tensor::from_slice([2], &[f64::MAX, f64::NEG_INFINITY]),
        Tensor::from_slice([2], &[f16::from_f32(0.1), f16::MAX]),
        Tensor::from_slice([2], &[bf16::from_f32(0.1), bf16::MIN]),
        Tensor::from_slice([2], &[i8::MIN, 7]),
        Tensor::from_slice([2], &[i16::MIN, 7]),
        Tensor::from_slice([2], &[i32::MIN, 7]),
        Tensor::from_slice([2], &[i64::MIN, 7]),
        Tensor::from_slice([2], &[u8::MAX, 7]),
        Tensor::from_slice([2], &[u16::MAX, 7]),
        Tensor::from_slice([2], &[u32::MAX, 7]),
        Tensor::from_slice([2], &[u64::MAX, 7]),
        Tensor::from_slice([3], &[true, false, true]),
    ];
    for tensor in tensors {
        let tensor = tensor.unwrap();
        let dtype = tensor.dtype();
        // The same bytes where no type is aligned: they are copied then, and must not change.
        let bytes = tensor.bytes().unwrap();
        let mut shifted = vec![0; bytes.len() + 1];
        shifted[1..].copy_from_slice(bytes);
        let shifted = Tensor::from_bytes(dtype, tensor.shape(), Bytes::from(shifted).slice(1..)).unwrap();
        let empty = Tensor::from_bytes(dtype, [0], Bytes::new()).unwrap();
        let found = through(dtype, &[tensor.clone(), shifted, empty.clone()]);
        for (found, expected) in found.iter().zip([&tensor, &tensor, &empty]) {
            assert_eq!(
                (found.dtype(), found.shape(), found.bytes()),
                (dtype, expected.shape(), expected.bytes())
            );
        }
    }
}

#[test]
fn booleans_of_other_programs() {
    // ONNX says 0 or 1; a byte of 2 must be true, and must never be looked at as a Rust `bool`.
    let odd = Tensor::from_bytes(DType::Bool, [3], Bytes::from_static(&[2, 0, 255])).unwrap();
    assert_eq!(through(DType::Bool, &[odd])[0].bytes().unwrap()[..], [1, 0, 1]);
}

#[test]
fn texts() {
    let texts = Tensor::from_strings([3], vec!["zoo".into(), String::new(), "größer 🦓".into()]).unwrap();
    let empty = Tensor::from_strings([0], Vec::new()).unwrap();
    assert_eq!(through(DType::String, &[texts.clone(), empty.clone()]), [texts, empty]);

    let written =
        write(graph("Identity", vec![port("x", DType::String, &[0])], vec![port("y", DType::String, &[0])]));
    let nul = Tensor::from_strings([1], vec!["a\0b".into()]).unwrap();
    let error = load(&written.path()).unwrap().run(&[("x".into(), nul)]).unwrap_err();
    assert!(error.to_string().contains("text 0 of \"x\" contains a NUL byte"), "{error}");
}

#[test]
fn scalars_and_ranks() {
    for shape in [&[][..], &[1, 1, 1, 1, 1, 1, 1]] {
        let dims: Vec<i64> = shape.to_vec();
        let written =
            write(graph("Neg", vec![port("x", DType::F32, &dims)], vec![port("y", DType::F32, &dims)]));
        let shape: Vec<usize> = vec![1; shape.len()];
        let tensor = Tensor::from_slice(shape.clone(), &[2.5_f32]).unwrap();
        let outputs = load(&written.path()).unwrap().run(&[("x".to_owned(), tensor)]).unwrap();
        assert_eq!(outputs, [("y".to_owned(), Tensor::from_slice(shape, &[-2.5_f32]).unwrap())]);
    }
}

/// An output that is an input: the engine may hand out the very memory it was given.
#[test]
fn an_output_outlives_the_input_it_is() {
    let mut direct = graph("Neg", vec![port("x", DType::I64, &[0])], vec![port("y", DType::I64, &[0])]);
    direct.output.push(port("x", DType::I64, &[0]));
    let written = write(direct);
    let mut runner = load(&written.path()).unwrap();
    let input: Vec<Named> = vec![("x".to_owned(), Tensor::from_slice([3], &[1_i64, 2, 3]).unwrap())];
    let outputs = runner.run(&input).unwrap();
    drop(input);
    drop(runner);
    assert_eq!(outputs[0].1.to_i64_vec().unwrap(), [-1, -2, -3]);
    assert_eq!(outputs[1].1.to_i64_vec().unwrap(), [1, 2, 3]);
}

#[test]
fn inputs_are_found_by_name_and_outputs_are_in_order() {
    let port = |name| port(name, DType::I64, &[]);
    let mut subtract = graph("Sub", vec![port("a"), port("b")], vec![port("d")]);
    subtract.node.push(node("Add", &["a", "b"], &["s"]));
    subtract.output.insert(0, port("s"));
    let written = write(subtract);
    let scalar = |name: &str, value: i64| (name.to_owned(), Tensor::from_slice([], &[value]).unwrap());
    let outputs = load(&written.path()).unwrap().run(&[scalar("b", 3), scalar("a", 10)]).unwrap();
    assert_eq!(outputs, [scalar("s", 13), scalar("d", 7)]);
}

fn cast(to: DType) -> AttributeProto {
    AttributeProto {
        name: Some("to".into()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(to.onnx_code().into()),
        ..Default::default()
    }
}

#[test]
fn types_that_cannot_be_exchanged_are_named() {
    // Inside a graph they are fine.
    let mut inside = graph("Cast", vec![port("x", DType::F32, &[0])], vec![port("h", DType::F8E4M3FN, &[0])]);
    inside.node[0].attribute = vec![cast(DType::F8E4M3FN)];
    let mut back = node("Cast", &["h"], &["y"]);
    back.attribute = vec![cast(DType::F32)];
    let mut through = inside.clone();
    through.node.push(back);
    through.output = vec![port("y", DType::F32, &[0])];
    let x = || vec![("x".to_owned(), Tensor::from_slice([2], &[1.0_f32, -2.0]).unwrap())];
    let outputs = load(&write_at(19, through).path()).unwrap().run(&x()).unwrap();
    assert_eq!(outputs[0].1.to_f64_vec().unwrap(), [1.0, -2.0]);

    let written = write_at(19, inside);
    let error = load(&written.path()).unwrap().run(&x()).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { name, .. } if name == "h"), "{error}");
}

/// What skl2onnx makes of a classifier: a label, and a list of dictionaries of probabilities.
#[test]
fn outputs_that_are_no_tensors_are_named() {
    let float = |dims: &[i64]| port("", DType::F32, dims).r#type.unwrap();
    let map = TypeProto {
        value: Some(TypeValue::Map(Box::new(MapType {
            key_type: Some(DType::I64.onnx_code()),
            value_type: Some(Box::new(float(&[]))),
        }))),
        denotation: None,
    };
    let sequence = |of| TypeValue::Sequence(Box::new(SequenceType { elem_type: Some(Box::new(of)) }));
    let optional = TypeValue::Optional(Box::new(OptionalType { elem_type: Some(Box::new(float(&[2]))) }));
    for (kind, text) in [
        (sequence(map), "seq(map(int64, float))"),
        (sequence(float(&[2])), "seq(float[2])"),
        (optional, "optional(float[2])"),
    ] {
        let outputs = vec![port("label", DType::I64, &[0]), value("probabilities", kind)];
        let written = write(graph("Identity", vec![port("x", DType::F32, &[0, 4])], outputs));
        let error = load(&written.path()).unwrap_err();
        let expected = format!("output \"probabilities\" is a {text}, and only tensors can go in and out");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint().is_some(), text.contains("map"));
    }
}

/// The model does not say what comes out; the engine does.
#[test]
fn outputs_whose_type_is_left_open() {
    let bare = || zoo_graph::proto::ValueInfoProto { name: Some("y".into()), ..Default::default() };
    let x = || vec![port("x", DType::F32, &[2])];
    let mut runner = load(&write(graph("Neg", x(), vec![bare()])).path()).unwrap();
    let input = [("x".to_owned(), Tensor::from_slice([2], &[1.0_f32, 2.0]).unwrap())];
    assert_eq!(runner.run(&input).unwrap()[0].1.to_f64_vec().unwrap(), [-1.0, -2.0]);

    let error = load(&write(graph("SequenceConstruct", x(), vec![bare()])).path()).unwrap_err();
    assert_eq!(error.to_string(), "output \"y\" is a sequence, and only tensors can go in and out");
}
