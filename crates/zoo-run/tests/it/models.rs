//! The zoo in small: every published data set comes out as published, and every model runs on what is made for it.

use std::collections::BTreeMap;

use zoo_run::compare::{Tolerance, compare_all};
use zoo_run::data::{self, Generate};
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_run::{Named, Runner};
use zoo_tensor::{Dim, Tensor};

use crate::support::{load, onnx_fixtures, search, unpack};

/// Runs every data set of an archive, and gives the largest difference relative to the spread.
fn worst(runner: &mut impl Runner, data_sets: &[std::path::PathBuf]) -> f64 {
    let mut worst = 0.0_f64;
    for folder in data_sets {
        let set = data::read_data_set(folder).unwrap();
        assert_eq!(set.outputs.len(), runner.outputs().len(), "{}", folder.display());
        let inputs = data::assign(set.inputs, runner.inputs()).unwrap();
        let outputs = runner.run(&inputs).unwrap();
        for comparison in compare_all(&set.outputs, &outputs, &Tolerance::default()) {
            assert!(comparison.equal, "{}: {comparison}", folder.display());
            assert!(comparison.elements > 0);
            worst = worst.max(comparison.relative);
        }
    }
    worst
}

#[test]
fn published_outputs_come_out() {
    let (mut models, mut sets, mut largest) = (0, 0, 0.0_f64);
    for archive in onnx_fixtures("gz") {
        let unpacked = unpack(&archive);
        let mut runner = load(&unpacked.model).unwrap_or_else(|error| panic!("{}: {error}", unpacked.name));
        assert!(runner.engine().starts_with("ONNX Runtime 1."), "{}", runner.engine());
        largest = largest.max(worst(&mut runner, &unpacked.data_sets));
        models += 1;
        sets += unpacked.data_sets.len();
    }
    assert_eq!((models, sets), (11, 14));
    // Two orders of magnitude below the tolerance: what it leaves room for is other machines, not other arithmetic.
    assert!(largest < 1e-5, "{largest:e}");
    println!("{models} models, {sets} data sets, largest difference {largest:.1e} of the spread");
}

#[test]
fn options_change_the_speed_and_not_the_outputs() {
    let archive =
        onnx_fixtures("gz").into_iter().find(|path| path.ends_with("resnet18-v1-7.tar.gz")).unwrap();
    let unpacked = unpack(&archive);
    assert!(unpacked.model.with_extension("onnx.data").exists(), "its weights are in another file");
    for (threads, prepack, optimize) in [(None, true, true), (Some(1), false, true), (Some(2), false, false)]
    {
        let options = OrtOptions { threads, prepack, optimize };
        let mut runner = OrtRunner::load(&search(), &unpacked.model, &options).unwrap();
        assert!(worst(&mut runner, &unpacked.data_sets) < 1e-5);
    }
}

#[test]
fn every_model_runs_on_what_is_made_for_it() {
    let mut models = 0;
    for model in onnx_fixtures("onnx") {
        let mut runner = load(&model).unwrap_or_else(|error| panic!("{}: {error}", model.display()));
        let named = runner.inputs().iter().filter_map(|port| port.shape()?.dims()).flatten();
        let dims: BTreeMap<String, usize> = named
            .filter_map(|dim| match dim {
                Dim::Named(name) => Some((name.clone(), 2)),
                _ => None,
            })
            .collect();
        let mut options = Generate::default();
        for dims in [BTreeMap::new(), dims] {
            options.dims = dims;
            let inputs = data::generate(runner.inputs(), &options).unwrap();
            assert_eq!(inputs, data::generate(runner.inputs(), &options).unwrap());
            let outputs = runner.run(&inputs).unwrap_or_else(|error| panic!("{}: {error}", model.display()));
            assert_eq!(outputs, runner.run(&inputs).unwrap(), "{}", model.display());
            for ((name, tensor), port) in outputs.iter().zip(runner.outputs()) {
                assert_eq!((name, Some(tensor.dtype())), (&port.name, port.dtype()), "{}", model.display());
                assert!(port.shape().unwrap().admits(tensor.shape()), "{}: {port}", model.display());
            }
        }
        models += 1;
    }
    assert_eq!(models, 14);
}

#[test]
fn inputs_with_a_default_are_no_inputs() {
    // Written at IR version 3, where every weight is an input of the graph too.
    let model =
        onnx_fixtures("onnx").into_iter().find(|path| path.ends_with("squeezenet1.0-9.onnx")).unwrap();
    let runner = load(&model).unwrap();
    let names: Vec<_> = runner.inputs().iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["data_0"]);
}

#[test]
fn a_wrong_input_is_refused_before_the_engine_sees_it() {
    let model = onnx_fixtures("onnx").into_iter().find(|path| path.ends_with("bertsquad-12.onnx")).unwrap();
    let mut runner = load(&model).unwrap();
    let ids = |name: &str, shape: [usize; 2]| -> Named {
        (name.to_owned(), Tensor::from_slice(shape, &vec![1_i64; shape[0] * shape[1]]).unwrap())
    };
    let float = ("input_mask:0".to_owned(), Tensor::from_slice([1, 32], &[1.0_f32; 32]).unwrap());
    let given = [
        ids("input_ids:0", [1, 31]),
        float,
        ids("segment_ids:0", [1, 32]),
        ids("segment_ids:0", [1, 32]),
        ids("x", [1, 1]),
    ];
    let error = runner.run(&given).unwrap_err();
    insta::assert_snapshot!(error.to_string().replace("; ", ";\n"), @r#"
    the tensors do not fit the model: "segment_ids:0" is given twice;
    "x" is no input of the model;
    nothing is given for "unique_ids_raw_output___9:0" (i64 [unk__492]);
    "input_mask:0" is i64, f32 is given;
    "input_ids:0" has the shape [unk__495, 32], [1, 31] is given
    "#);
}
