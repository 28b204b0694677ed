//! The same weights as TensorFlow and Flax save them: graphs of their files compute what the graph of PyTorch's file does.
//!
//! The fixtures (`tests/fixtures/huggingface/names`) were written by the three frameworks' own classes. Their numbers count upwards, so
//! that a transposed or swapped tensor shows; what PyTorch's graph computes is compared with transformers elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use zoo_core::fs;
use zoo_core::stage::{StageOptions, Target};
use zoo_core::store::place_file;
use zoo_hf::stage::{Outcome, stage};
use zoo_run::Runner as _;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tensor::{DType, Dim, Tensor};
use zoo_tests::networks::formula;

use crate::Setting;
use crate::report::{Report, Row};

/// What others saved: the file, the name that it has in a repository, the framework, and how the table calls it.
const SAVED: [(&str, &str, &str, &str); 4] = [
    ("tf_model.h5", "tf_model.h5", "tf", "tf: HDF5"),
    ("tf.safetensors", "model.safetensors", "tf", "tf: safetensors"),
    ("flax_model.msgpack", "flax_model.msgpack", "flax", "flax: msgpack"),
    ("flax.safetensors", "model.safetensors", "flax", "flax: safetensors"),
];

fn folder() -> PathBuf {
    zoo_tests::fixtures().join("huggingface").join("names")
}

/// Networks whose type zoo builds.
pub(crate) fn all() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::list_dir(&folder())? {
        let config: Value =
            serde_json::from_slice(&fs::read_bounded(&entry.path().join("config.json"), 1 << 20)?)?;
        if config["model_type"].as_str().is_some_and(zoo_hf::stage::builds) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    ensure!(!names.is_empty(), "there is nothing to compare");
    Ok(names)
}

/// A row for each file that the network has.
pub(crate) fn rows(name: &str, setting: &Setting, report: &mut Report) -> Result<()> {
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let of_torch = repository(name, "model.safetensors", "model.safetensors", &scratch.path().join("pt"))?;
    let expected = staged(&of_torch, "pt")?;
    for (file, as_name, framework, way) in SAVED {
        if !folder().join(name).join(file).is_file() {
            continue;
        }
        let mut row = Row {
            handle: format!("{} {} ({name})", expected.model_type, expected.class),
            way,
            ..Row::default()
        };
        let other = repository(name, file, as_name, &scratch.path().join(way.replace([':', ' '], "_")))?;
        if let Err(error) = compare(&expected, &other, framework, setting, &mut row) {
            row.misses.push(format!("{error:#}"));
        }
        report.add(row);
    }
    Ok(())
}

/// A repository of the configuration and one file of weights.
fn repository(name: &str, file: &str, as_name: &str, out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out)?;
    for (from, to) in [("config.json", "config.json"), (file, as_name)] {
        place_file(&folder().join(name).join(from), &out.join(to), false)
            .with_context(|| format!("{name}/{from}"))?;
    }
    Ok(out.to_owned())
}

fn staged(repository: &Path, framework: &str) -> Result<Outcome> {
    let mut options = StageOptions::to(Target::Onnx);
    options.framework = Some(framework.to_owned());
    stage(repository, repository, &options).with_context(|| format!("stage of {framework}"))
}

fn compare(
    expected: &Outcome,
    other: &Path,
    framework: &str,
    setting: &Setting,
    row: &mut Row,
) -> Result<()> {
    let found = staged(other, framework)?;
    row.files = 1;
    for (theirs, ours) in expected.graphs.iter().zip(&found.graphs) {
        let load = |path: &Path| OrtRunner::load(&setting.library, path, &OrtOptions::default());
        let (mut a, mut b) = (load(&theirs.path)?, load(&ours.path)?);
        let inputs = inputs(&theirs.path)?;
        let (a, b) = (a.run(&inputs).context("run")?, b.run(&inputs).context("run")?);
        for ((name, a), (_, b)) in a.iter().zip(&b) {
            let (a, b) = (a.to_f64_vec()?, b.to_f64_vec()?);
            ensure!(a.len() == b.len(), "{name} has another shape");
            let mean = a.iter().sum::<f64>() / a.len() as f64;
            let spread = (a.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / a.len() as f64).sqrt();
            let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            // Numbers that count upwards make some outputs alike; then there is only their size to compare with.
            let scale = spread.max(mean.abs() * 1e-3);
            ensure!(scale > 0.0 && scale.is_finite(), "{name} says nothing: it spreads by {spread}");
            row.judge(name, apart, scale);
        }
    }
    row.data_sets = 1;
    Ok(())
}

/// Something for every input of a graph: its free dimensions are 3 (a picture's 16, a recording's 64), what is cached is not empty.
fn inputs(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let model = zoo_graph::Model::open(path)?;
    let mut inputs = Vec::new();
    for port in model.inputs() {
        let dims = port.shape().and_then(|shape| shape.dims()).context("an input of any rank")?;
        let free = |name: &str| match name {
            "height" | "width" => 16,
            "num_channels" => 3,
            // Every dimension of a decoder's text: what is there, and what was there before.
            name if name.contains('+') => 6,
            "sequence_length" if port.name == "input_values" => 64,
            _ => 3,
        };
        let shape: Vec<usize> = dims
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(size) => *size,
                other => free(&other.to_string()),
            })
            .collect();
        let count: usize = shape.iter().product();
        let tensor = match port.dtype() {
            Some(DType::I64) if port.name.ends_with("mask") => {
                Tensor::from_slice(shape, &vec![1_i64; count])?
            }
            Some(DType::I64) => {
                let different = if port.name == "token_type_ids" { 2 } else { 5 };
                Tensor::from_slice(shape, &(0..count as i64).map(|at| at % different).collect::<Vec<_>>())?
            }
            Some(DType::Bool) => Tensor::from_slice(shape, &vec![true; count])?,
            _ => formula::values(&format!("input:{}", port.name), &shape, -1.0, 1.0)?,
        };
        inputs.push((port.name.clone(), tensor));
    }
    Ok(inputs)
}
