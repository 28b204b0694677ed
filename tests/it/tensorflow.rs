//! TensorFlow itself runs what was staged for it, and computes what transformers computed.

use std::path::Path;

use serde_json::{Map, Value, json};
use zoo_arch::Config;
use zoo_arch::transformers::{self, ModelOptions};
use zoo_graph::pass::{self, PassOptions};
use zoo_graph::weights::Weights;
use zoo_tensor::{DType, Tensor};
use zoo_tests::models::{self, Model};
use zoo_tf::frozen::{self, FrozenOptions};
use zoo_tf::saved_model::{self, SavedModelOptions};

use crate::clients::python_of;

/// Parts of the spread of an output by which it may differ, and what it may differ by where numbers are of order 1.
const PART: f64 = 1e-3;
const APART: f64 = 1e-4;

/// The bare model of each family, every head of the first one, and models of several graphs.
fn chosen(name: &str) -> bool {
    !name.contains('.') || name.starts_with("bert.") || name.ends_with(".generation")
}

/// Writes a model's graphs, each into a folder `model@graph` with its cases.
fn stage(name: &str, model: &Model, sources: &Path, staged: &Path) {
    let source = sources.join(name);
    zoo_core::fs::create_dir_all(&source).unwrap();
    model.write(&source).unwrap();
    let checkpoint = zoo_formats::open(&source.join("model.safetensors")).unwrap();
    let tensors = checkpoint.state_dict().unwrap();
    let weights =
        Weights::new(tensors.iter().map(|(name, weight)| (name.to_owned(), weight.clone()))).unwrap();
    let config = Config::parse(model.config.to_string().as_bytes()).unwrap();
    let architecture = transformers::find(config.model_type().unwrap_or_default()).expect("a known type");
    let class = architecture.class(&model.class).expect("a known class");
    let built = architecture.graphs(class, &config, &weights, &ModelOptions::default()).unwrap();
    for (part, mut graph) in built.graphs {
        let cases = cases(model, part);
        if cases.is_empty() {
            continue;
        }
        pass::run(&mut graph, &PassOptions::default()).unwrap();
        let folder = staged.join(format!("{name}@{part}"));
        zoo_core::fs::create_dir_all(&folder).unwrap();
        saved_model::write(&graph, &folder.join("saved_model"), &SavedModelOptions::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = frozen::write(&graph, &folder.join("frozen.pb"), &FrozenOptions::default()).unwrap();
        let outputs: Vec<&str> = written.outputs.iter().map(|port| port.name.as_str()).collect();
        let told = json!({"outputs": outputs, "cases": cases}).to_string();
        zoo_core::fs::write_atomic(&folder.join("cases.json"), told.as_bytes(), false).unwrap();
    }
}

/// What is fed to one graph, by the number of the case.
fn cases(model: &Model, part: &str) -> Map<String, Value> {
    let mut cases = Map::new();
    for (number, case) in model.cases.iter().enumerate() {
        let of_part = case.inputs.iter().filter_map(|(key, tensor)| Some((of(key, part)?, tensor)));
        let inputs: Map<String, Value> =
            of_part.map(|(name, tensor)| (name.to_owned(), told(tensor))).collect();
        if !inputs.is_empty() {
            cases.insert(number.to_string(), inputs.into());
        }
    }
    cases
}

/// The name of an input or output, if it is one of this graph.
fn of<'k>(key: &'k str, part: &str) -> Option<&'k str> {
    let (own, name) = key.split_once('/').unwrap_or(("model", key));
    (own == part).then_some(name)
}

/// A tensor for Python.
fn told(tensor: &Tensor) -> Value {
    let dtype = if tensor.dtype() == DType::F32 { "float32" } else { tensor.dtype().onnx_name() };
    let values = match tensor.dtype() {
        DType::F32 => json!(tensor.to_vec::<f32>().unwrap()),
        DType::Bool => json!(tensor.to_vec::<bool>().unwrap()),
        _ => json!(tensor.to_i64_vec().unwrap()),
    };
    json!({"dtype": dtype, "shape": tensor.shape(), "values": values})
}

#[test]
#[ignore = "needs tensorflow: name a Python that has it in ZOO_TF_PYTHON"]
fn tensorflow_computes_what_transformers_computed() {
    let folder = tempfile::tempdir().unwrap();
    let (sources, staged) = (folder.path().join("sources"), folder.path().join("staged"));
    let mut known = Vec::new();
    for name in models::all().unwrap().into_iter().filter(|name| chosen(name)) {
        let model = models::load(&name).unwrap();
        if !model.options.is_empty() {
            continue;
        }
        stage(&name, &model, &sources, &staged);
        known.push((name, model));
    }
    let path = staged.to_str().expect("a path that is text");
    let report = python_of("ZOO_TF_PYTHON", "tensorflow_models.py", folder.path(), &[path], &[]);

    let (mut compared, mut problems) = (0, Vec::new());
    for (folder, cases) in report.as_object().unwrap() {
        let (name, part) = folder.split_once('@').unwrap();
        let (_, model) = known.iter().find(|(own, _)| own == name).unwrap();
        for (number, ways) in cases.as_object().unwrap() {
            let case = &model.cases[number.parse::<usize>().unwrap()];
            let wide = case.inputs.values().any(|tensor| tensor.dtype() == DType::I64);
            assert_eq!(ways.as_object().unwrap().len(), if wide { 4 } else { 3 }, "{folder}: {ways}");
            for (way, outputs) in ways.as_object().unwrap() {
                for (key, expected) in &case.outputs {
                    let Some(output) = of(key, part) else { continue };
                    let difference =
                        computed(&outputs[output]).and_then(|found| expected.difference(&found).ok());
                    compared += 1;
                    match difference {
                        Some((apart, spread)) if within(apart, spread) => {}
                        other => problems.push(format!("{folder} {} {way} {output}: {other:?}", case.name)),
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(compared > 100, "only {compared} outputs were compared");
}

fn within(apart: f64, spread: f64) -> bool {
    apart <= PART * spread && (!(0.3..3.0).contains(&spread) || apart <= APART)
}

fn computed(output: &Value) -> Option<Tensor> {
    let shape: Vec<usize> = serde_json::from_value(output["shape"].clone()).ok()?;
    let values = output["values"].as_array()?;
    let values: Vec<f32> = values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN) as f32).collect();
    Tensor::from_slice(shape, &values).ok()
}
