//! Models of transformers at full size: transformers makes a repository and computes with it; zoo stages the folder, and ONNX Runtime has to
//! compute the same.
//!
//! Needs a Python with torch and transformers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use zoo_core::stage::{StageOptions, Target};
use zoo_hf::stage::stage;
use zoo_run::Runner as _;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tensor::{DType, Dim, Tensor};

use crate::Setting;
use crate::references::{Script, difference, tensor};
use crate::report::{Report, Row};

/// The script that makes the references.
const SCRIPT: &str = "tests/python/hf_reference.py";

/// What the script says of a family.
#[derive(Debug, Deserialize)]
struct Made {
    name: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    class: String,
    #[serde(default)]
    folder: PathBuf,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    cases: Vec<Case>,
}

/// Inputs and outputs by their names, with the graph's in front where a model has several.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    inputs: BTreeMap<String, PathBuf>,
    outputs: BTreeMap<String, PathBuf>,
}

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let python = setting.torch_python.as_ref().context(
        "--full needs a Python with torch and transformers: `ZOO_TORCH_PYTHON` names it to `cargo xtask e2e`",
    )?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let mut script = Script::start(python, SCRIPT, scratch.path(), &setting.networks)?;
    while let Some(made) = script.next::<Made>()? {
        println!("{} {}", made.name, made.class);
        let mut row = Row {
            handle: format!("{} {}", made.name, made.class),
            way: "from transformers itself",
            files: 1,
            bytes: made.bytes,
            ..Row::default()
        };
        if let Err(error) = one(&made, setting, &mut row) {
            row.misses.push(format!("{error:#}"));
        }
        report.add(row);
        if made.folder.is_dir() {
            zoo_core::fs::remove_dir_all(&made.folder)?;
        }
        script.go_on()?;
    }
    script.end()
}

fn one(made: &Made, setting: &Setting, row: &mut Row) -> Result<()> {
    if let Some(error) = &made.error {
        bail!("transformers: {error}");
    }
    ensure!(!made.cases.is_empty(), "there is nothing to compare");
    let mut options = StageOptions::to(Target::Onnx);
    options.class = Some(made.class.clone());
    let start = Instant::now();
    let outcome = stage(&made.folder, &made.folder, &options).context("stage")?;
    row.pull += start.elapsed();
    let ending = options.file_name("");
    for graph in &outcome.graphs {
        let name = graph.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.strip_suffix(&ending).unwrap_or(&name);
        let cases: Vec<&Case> =
            made.cases.iter().filter(|case| case.inputs.keys().any(|key| of(key).0 == name)).collect();
        if cases.is_empty() {
            continue;
        }
        let mut runner =
            OrtRunner::load(&setting.library, &graph.path, &OrtOptions::default()).context("load")?;
        for case in cases {
            let inputs = inputs(&graph.path, name, case)?;
            let start = Instant::now();
            let outputs = runner.run(&inputs).with_context(|| format!("{name} {}", case.name))?;
            row.run += start.elapsed();
            row.data_sets += 1;
            for (key, file) in case.outputs.iter().filter(|(key, _)| of(key).0 == name) {
                let found = outputs.iter().find(|(own, _)| own == of(key).1).map(|(_, tensor)| tensor);
                let found = found.with_context(|| format!("there is no output {key}"))?;
                let expected = tensor(file)?;
                let (difference, spread) = difference(&expected, &seen_only(&expected, found)?)?;
                row.judge(&format!("{} {key}", case.name), difference, spread);
            }
        }
    }
    Ok(())
}

/// `encoder_model/input_ids` as its two parts; what names no graph is of `model`.
fn of(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("model", key))
}

/// The script writes zeros where an output means nothing: behind the end of a text.
fn seen_only(expected: &Tensor, found: &Tensor) -> Result<Tensor> {
    let zip = expected.to_f64_vec()?.into_iter().zip(found.to_vec::<f32>()?);
    let kept: Vec<f32> = zip.map(|(expected, found)| if expected == 0.0 { 0.0 } else { found }).collect();
    ensure!(kept.len() == found.len(), "shape {:?}, not {:?}", found.shape(), expected.shape());
    Ok(Tensor::from_slice(found.shape(), &kept)?)
}

/// What the case has for a graph, and nothing cached for a decoder that asks for it.
fn inputs(path: &Path, graph: &str, case: &Case) -> Result<Vec<(String, Tensor)>> {
    let mut inputs = Vec::new();
    for (key, file) in case.inputs.iter().filter(|(key, _)| of(key).0 == graph) {
        inputs.push((of(key).1.to_owned(), tensor(file)?));
    }
    let batch =
        inputs.first().and_then(|(_, tensor)| tensor.shape().first().copied()).context("no inputs")?;
    for port in zoo_graph::Model::open(path)?.inputs() {
        if !port.name.starts_with("past_key_values.") {
            continue;
        }
        let dims = port.shape().and_then(|shape| shape.dims()).context("a cache of any rank")?;
        let size = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(size) => *size,
            _ if axis == 0 => batch,
            _ => 0,
        };
        let shape: Vec<usize> = dims.iter().enumerate().map(size).collect();
        ensure!(port.dtype() == Some(DType::F32), "{} is of another type", port.name);
        inputs.push((port.name.clone(), Tensor::from_slice(shape, &[0.0_f32; 0])?));
    }
    Ok(inputs)
}
