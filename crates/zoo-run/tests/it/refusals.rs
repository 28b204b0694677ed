//! Models that nobody should run, and what is said about them.

use zoo_graph::proto::{DataLocation, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto};
use zoo_run::{Error, Runner as _};
use zoo_tensor::{DType, Tensor};

use crate::support::{graph, load, port, write, write_at, write_model};

/// What loading a model says, without the paths of this run.
fn refused(written: &crate::support::Written) -> String {
    let error = load(&written.path()).unwrap_err();
    let text = error.to_string().replace(&written.path().display().to_string(), "MODEL");
    match text.strip_prefix("ONNX Runtime ").and_then(|rest| rest.split_once(' ')) {
        Some((_version, rest)) => format!("ONNX Runtime {rest}"),
        None => text,
    }
}

fn relu() -> zoo_graph::proto::GraphProto {
    graph("Relu", vec![port("x", DType::F32, &[2])], vec![port("y", DType::F32, &[2])])
}

#[test]
fn the_engine_says_it_in_one_sentence() {
    let mut unknown = relu();
    unknown.node[0].op_type = Some("Foo".into());
    unknown.node[0].name = Some("layer1".into());
    assert_eq!(
        refused(&write(unknown)),
        "ONNX Runtime cannot load MODEL: node \"layer1\" (Foo): No Op registered for Foo with domain_version of 17"
    );
    let mut future = ModelProto { ir_version: Some(99), graph: Some(relu()), ..Default::default() };
    future.opset_import = vec![OperatorSetIdProto { domain: None, version: Some(17) }];
    let said = refused(&write_model(&future));
    assert!(said.starts_with("ONNX Runtime cannot load MODEL: Unsupported model IR version: 99"), "{said}");
    let said = refused(&write_at(999, relu()));
    assert!(
        said.starts_with("ONNX Runtime cannot load MODEL: ONNX Runtime only *guarantees* support"),
        "{said}"
    );
    let mut cut = relu();
    cut.node[0].input = vec!["nowhere".into()];
    assert_eq!(
        refused(&write(cut)),
        "ONNX Runtime cannot load MODEL: Node input 'nowhere' is not a graph input, initializer, or output of a \
         previous node."
    );
}

#[test]
fn what_fails_while_running_names_the_node() {
    let mut product = graph(
        "MatMul",
        vec![port("x", DType::F32, &[2, 0]), port("w", DType::F32, &[4, 5])],
        vec![port("y", DType::F32, &[2, 5])],
    );
    product.node[0].name = Some("fc".into());
    let written = write(product);
    let mut runner = load(&written.path()).unwrap();
    let zeros = |name: &str, shape: [usize; 2]| {
        (name.to_owned(), Tensor::from_slice(shape, &vec![0.0_f32; shape[0] * shape[1]]).unwrap())
    };
    let error = runner.run(&[zeros("x", [2, 3]), zeros("w", [4, 5])]).unwrap_err();
    assert!(matches!(error, Error::Run { .. }), "{error}");
    assert!(
        error.to_string().ends_with("model.onnx: node \"fc\" (MatMul): MatMul dimension mismatch"),
        "{error}"
    );
    // A failed run leaves the runner usable.
    assert_eq!(runner.run(&[zeros("x", [2, 4]), zeros("w", [4, 5])]).unwrap()[0].1.shape(), [2, 5]);
}

#[test]
fn weights_outside_of_the_models_folder_are_not_followed() {
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    let model = |location: &str| {
        let mut add = graph("Add", vec![port("x", DType::F32, &[2])], vec![port("y", DType::F32, &[2])]);
        add.node[0].input.push("w".into());
        add.initializer.push(TensorProto {
            name: Some("w".into()),
            dims: vec![2],
            data_type: Some(DType::F32.onnx_code()),
            data_location: Some(DataLocation::External as i32),
            external_data: vec![entry("location", location), entry("length", "8")],
            ..Default::default()
        });
        write(add)
    };
    for (location, problem) in [
        ("/etc/hostname", "tensor \"w\" keeps its data in \"/etc/hostname\", which is an absolute path"),
        ("../w", "tensor \"w\" keeps its data in \"../w\", which contains \"..\""),
    ] {
        assert_eq!(refused(&model(location)), problem);
    }
    assert!(refused(&model("absent")).ends_with("which does not exist"));
}

#[test]
fn what_is_no_model_is_said_before_a_library_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let search = zoo_run::ort::LibrarySearch::default();
    let load = |name: &str| {
        let path = dir.path().join(name);
        zoo_run::ort::OrtRunner::load(&search, &path, &zoo_run::ort::OrtOptions::default()).unwrap_err()
    };
    assert!(load("absent.onnx").to_string().contains("absent.onnx"));
    std::fs::File::create(dir.path().join("empty.onnx")).unwrap();
    assert!(load("empty.onnx").to_string().ends_with("it looks like an empty file"));
}
