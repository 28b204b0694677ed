//! tract on the zoo in small: the published outputs, and the same outputs as ONNX Runtime's.

use std::path::Path;

use zoo_graph::proto::GraphProto;
use zoo_run::compare::{Tolerance, compare_all};
use zoo_run::data;
use zoo_run::tract::TractRunner;
use zoo_run::{Error, Runner as _};
use zoo_tensor::{DType, Tensor};

use crate::support::{graph, onnx_fixtures, port, unpack, write};

#[test]
fn published_outputs_come_out() {
    let mut sets = 0;
    for archive in onnx_fixtures("gz") {
        let unpacked = unpack(&archive);
        let mut runner =
            TractRunner::load(&unpacked.model).unwrap_or_else(|error| panic!("{}: {error}", unpacked.name));
        for folder in &unpacked.data_sets {
            let set = data::read_data_set(folder).unwrap();
            let inputs = data::assign(set.inputs, runner.inputs()).unwrap();
            let outputs = runner.run(&inputs).unwrap_or_else(|error| panic!("{}: {error}", unpacked.name));
            for comparison in compare_all(&set.outputs, &outputs, &Tolerance::default()) {
                assert!(comparison.equal, "{}: {comparison}", unpacked.name);
            }
            sets += 1;
        }
    }
    assert_eq!(sets, 14);
}

#[test]
#[cfg(feature = "ort")]
fn it_agrees_with_onnx_runtime() {
    for model in onnx_fixtures("onnx") {
        let mut ort = crate::support::load(&model).unwrap();
        let mut tract =
            TractRunner::load(&model).unwrap_or_else(|error| panic!("{}: {error}", model.display()));
        assert_eq!((ort.inputs(), ort.outputs()), (tract.inputs(), tract.outputs()));
        let inputs = data::generate(tract.inputs(), &data::Generate::default()).unwrap();
        let (expected, found) = (ort.run(&inputs).unwrap(), tract.run(&inputs).unwrap());
        assert_eq!(expected.len(), found.len());
        for comparison in compare_all(&expected, &found, &Tolerance::default()) {
            assert!(comparison.equal, "{}: {comparison}", model.display());
        }
    }
}

fn refused(graph: GraphProto) -> Error {
    TractRunner::load(&write(graph).path()).unwrap_err()
}

#[test]
fn what_it_cannot_do_is_an_error() {
    let x = || vec![port("x", DType::F32, &[2])];
    let y = || vec![port("y", DType::F32, &[2])];
    let error = refused(graph("NoSuchOperator", x(), y()));
    assert!(matches!(error, Error::Load { .. }), "{error}");
    assert!(error.to_string().contains("NoSuchOperator"), "{error}");
    let brain = || port("x", DType::BF16, &[2]);
    let error = refused(graph("Neg", vec![brain()], vec![port("y", DType::BF16, &[2])]));
    assert!(matches!(error, Error::Load { .. }), "{error}");
    let text = || port("x", DType::String, &[2]);
    let error = refused(graph("Identity", vec![text()], vec![port("y", DType::String, &[2])]));
    assert!(error.to_string().contains("string"), "{error}");
    assert!(TractRunner::load(Path::new("absent.onnx")).is_err());
}

#[test]
fn it_plans_again_for_other_shapes() {
    let written = write(graph("Neg", vec![port("x", DType::I64, &[0])], vec![port("y", DType::I64, &[0])]));
    let mut runner = TractRunner::load(&written.path()).unwrap();
    for values in [&[1_i64, 2][..], &[3], &[4, 5, 6], &[]] {
        let input = Tensor::from_slice([values.len()], values).unwrap();
        let outputs = runner.run(&[("x".to_owned(), input)]).unwrap();
        let expected: Vec<i64> = values.iter().map(|value| -value).collect();
        assert_eq!(outputs, [("y".to_owned(), Tensor::from_slice([values.len()], &expected).unwrap())]);
    }
    let wrong = Tensor::from_slice([1], &[1.0_f32]).unwrap();
    assert!(matches!(runner.run(&[("x".to_owned(), wrong)]), Err(Error::Unfit { .. })));
}

/// The library does not tell its version; what is said has to be what is built.
#[test]
fn the_version_is_the_one_in_the_lock_file() {
    let mut lock = String::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    std::io::Read::read_to_string(&mut std::fs::File::open(path).unwrap(), &mut lock).unwrap();
    let (_, rest) = lock.split_once("name = \"tract-onnx\"\nversion = \"").unwrap();
    let version = rest.split('"').next().unwrap();
    let written = write(graph("Neg", vec![port("x", DType::I64, &[0])], vec![port("y", DType::I64, &[0])]));
    assert_eq!(TractRunner::load(&written.path()).unwrap().engine(), format!("tract {version}"));
}
