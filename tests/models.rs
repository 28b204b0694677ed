//! Small models of transformers: configuration, tensors by formula, inputs, and what transformers gave for them.
//!
//! `tests/fixtures/huggingface/models/` has one file for each model and head, made by the library's own classes. As for the networks of
//! torchvision, it holds names, shapes and ranges instead of values. [`Model::write`] writes the repository that
//! `save_pretrained` would have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use zoo_core::stage::{StageOptions, Target};
use zoo_tensor::{Tensor, element_count};

use crate::networks::{Expected, formula};

/// The largest fixture has some hundred kilobytes; the bound is for a mistake.
const MOST: u64 = 4 << 20;

/// The names of all models, sorted: `bert.masked_lm`.
///
/// # Errors
/// If the fixtures cannot be listed.
pub fn all() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in zoo_core::fs::list_dir(&folder())? {
        let path = entry.path();
        if let (Some(stem), Some("json")) = (path.file_stem(), path.extension().and_then(|e| e.to_str())) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The model of that name.
///
/// # Errors
/// If there is none, or its fixture is damaged.
pub fn load(name: &str) -> Result<Model> {
    let path = folder().join(format!("{name}.json"));
    let bytes = zoo_core::fs::read_bounded(&path, MOST)?;
    let written: Written = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    written.model().with_context(|| path.display().to_string())
}

fn folder() -> PathBuf {
    crate::fixtures().join("huggingface").join("models")
}

/// A small model.
#[derive(Debug)]
pub struct Model {
    /// The class whose outputs were recorded: `BertForMaskedLM`.
    pub class: String,
    /// Its `config.json`.
    pub config: Value,
    /// Other files of the repository, by name.
    pub files: BTreeMap<String, Value>,
    /// Options of staging that differ from the defaults.
    pub options: BTreeMap<String, Value>,
    /// Every tensor under its name.
    pub tensors: Vec<(String, Tensor)>,
    /// Inputs and outputs.
    pub cases: Vec<Case>,
}

/// Inputs, and what transformers gave for them, by the names of the graph.
#[derive(Debug)]
pub struct Case {
    /// `one`, `padded`.
    pub name: String,
    /// Inputs. Where a model has several graphs, `part/input`.
    pub inputs: BTreeMap<String, Tensor>,
    /// Outputs, computed in double precision.
    pub outputs: BTreeMap<String, Expected>,
}

impl Case {
    /// The inputs of each graph that the case has any for, by the graph's name: `model`, `encoder_model`.
    pub fn inputs_by_graph(&self) -> BTreeMap<&str, Vec<(String, Tensor)>> {
        let mut graphs: BTreeMap<&str, Vec<(String, Tensor)>> = BTreeMap::new();
        for (key, tensor) in &self.inputs {
            let (graph, input) = of_graph(key);
            graphs.entry(graph).or_default().push((input.to_owned(), tensor.clone()));
        }
        graphs
    }

    /// The outputs expected of a graph, by their names in it.
    pub fn outputs_of<'a>(&'a self, graph: &str) -> impl Iterator<Item = (&'a str, &'a Expected)> {
        let all = self.outputs.iter().map(|(key, expected)| (of_graph(key), expected));
        all.filter(move |((of, _), _)| *of == graph).map(|((_, output), expected)| (output, expected))
    }
}

/// `encoder_model/input_ids` as its two parts; what names no graph is of `model`.
fn of_graph(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("model", key))
}

impl Model {
    /// The options that the fixture was made for.
    ///
    /// # Errors
    /// If it names an option that there is not.
    pub fn stage_options(&self) -> Result<StageOptions> {
        let mut options = StageOptions::to(Target::Onnx);
        options.class = Some(self.class.clone());
        for (name, value) in &self.options {
            match name.as_str() {
                "contrib" => options.contrib = true,
                "no_cache" => options.no_cache = true,
                "opset" => options.opset = value.as_i64(),
                "image_size" => options.image_size = Some(value.as_str().unwrap_or_default().parse()?),
                other => bail!("no option {other}"),
            }
        }
        Ok(options)
    }

    /// Writes `config.json`, `model.safetensors` and the other files into a folder. A tensor `2_Dense/linear.weight` is `linear.weight` of
    /// `2_Dense/model.safetensors`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut files: BTreeMap<&str, Vec<(&str, View<'_>)>> = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            let (below, name) = name.rsplit_once('/').unwrap_or(("", name));
            files.entry(below).or_default().push((name, View(tensor)));
        }
        for (below, views) in files {
            let metadata = [("format".to_owned(), "pt".to_owned())].into();
            let path = folder.join(below).join("model.safetensors");
            zoo_core::fs::create_parent(&path)?;
            zoo_core::fs::write_atomic(&path, &safetensors::serialize(views, Some(metadata))?, false)?;
        }
        zoo_core::fs::write_atomic(&folder.join("config.json"), self.config.to_string().as_bytes(), false)?;
        for (name, content) in &self.files {
            let path = folder.join(name);
            zoo_core::fs::create_parent(&path)?;
            zoo_core::fs::write_atomic(&path, content.to_string().as_bytes(), false)?;
        }
        Ok(())
    }
}

struct View<'a>(&'a Tensor);

impl safetensors::View for View<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.0.dtype() {
            zoo_tensor::DType::I64 => safetensors::Dtype::I64,
            _ => safetensors::Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.0.bytes().map(AsRef::as_ref).unwrap_or_default().into()
    }

    fn data_len(&self) -> usize {
        self.0.bytes().map_or(0, bytes::Bytes::len)
    }
}

#[derive(Deserialize)]
struct Written {
    class: String,
    config: Value,
    files: BTreeMap<String, Value>,
    options: BTreeMap<String, Value>,
    ranges: Vec<(f64, f64)>,
    tensors: Vec<(String, Vec<usize>, Values)>,
    cases: Vec<WrittenCase>,
}

/// What a tensor holds: numbers of a range, by its index, or its elements.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Range(usize),
    Whole { i64: Vec<i64> },
    Given { f32: Vec<f32> },
}

#[derive(Deserialize)]
struct WrittenCase {
    name: String,
    inputs: BTreeMap<String, WrittenInput>,
    outputs: BTreeMap<String, WrittenOutput>,
}

#[derive(Deserialize)]
struct WrittenInput {
    dtype: String,
    shape: Vec<usize>,
    #[serde(default)]
    values: Vec<f64>,
    formula: Option<String>,
}

#[derive(Deserialize)]
struct WrittenOutput {
    shape: Vec<usize>,
    step: usize,
    values: Vec<f32>,
}

impl Written {
    fn model(self) -> Result<Model> {
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for (name, shape, values) in &self.tensors {
            let tensor = match values {
                Values::Range(range) => {
                    let (low, high) = *self.ranges.get(*range).context("no such range")?;
                    formula::values(name, shape, low, high)?
                }
                Values::Whole { i64 } => Tensor::from_slice(shape.clone(), i64)?,
                Values::Given { f32 } => Tensor::from_slice(shape.clone(), f32)?,
            };
            tensors.push((name.clone(), tensor));
        }
        let cases = self.cases.into_iter().map(WrittenCase::case).collect::<Result<_>>()?;
        let Self { class, config, files, options, .. } = self;
        Ok(Model { class, config, files, options, tensors, cases })
    }
}

impl WrittenCase {
    fn case(self) -> Result<Case> {
        let mut outputs = BTreeMap::new();
        for (key, WrittenOutput { shape, step, values }) in self.outputs {
            let count = element_count(&shape).context("too large")?;
            ensure!(step > 0 && values.len() == count.div_ceil(step), "{key} of {} is damaged", self.name);
            let values = Tensor::from_slice([values.len()], &values)?;
            outputs.insert(key, Expected { shape, step, values });
        }
        let input = |(name, input): (String, WrittenInput)| Ok((name, input.tensor()?));
        let inputs = self.inputs.into_iter().map(input).collect::<Result<_>>()?;
        Ok(Case { name: self.name, inputs, outputs })
    }
}

impl WrittenInput {
    fn tensor(self) -> Result<Tensor> {
        let Self { dtype, shape, values, formula } = self;
        if let Some(name) = formula {
            return formula::picture(&name, &shape);
        }
        Ok(match dtype.as_str() {
            "int64" => Tensor::from_slice(shape, &values.iter().map(|v| *v as i64).collect::<Vec<_>>())?,
            "int32" => Tensor::from_slice(shape, &values.iter().map(|v| *v as i32).collect::<Vec<_>>())?,
            "float32" => Tensor::from_slice(shape, &values.iter().map(|v| *v as f32).collect::<Vec<_>>())?,
            "bool" => Tensor::from_slice(shape, &values.iter().map(|v| *v != 0.0).collect::<Vec<_>>())?,
            other => bail!("the script writes no {other}"),
        })
    }
}
