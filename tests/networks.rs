//! Networks of torchvision and timm in small: their tensors under their published names, inputs, and what torch gave for them.
//!
//! `tests/fixtures/torch/networks/` has one file for each builder, made by the frameworks' own classes with few channels. It
//! holds names, shapes and the *range* of each tensor's values; the values follow from name and range ([`formula`]), so that
//! nothing large is committed. [`Network::write_pth`] writes the checkpoint that `torch.save` would have.

mod checkpoint;
pub mod formula;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use zoo_tensor::{DType, Tensor, element_count};

/// The largest fixture has some hundred kilobytes; the bound is for a mistake.
const MOST: u64 = 4 << 20;

/// The names of all networks, sorted: a builder's name (`resnet18`), with a variant where a builder has several
/// (`densenet121.published`: key names as in the published file), and `timm.` in front of timm's.
///
/// # Errors
/// If the fixtures cannot be listed.
pub fn all() -> Result<Vec<String>> {
    let folder = folder();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if let (Some(stem), Some("json")) = (path.file_stem(), path.extension().and_then(|e| e.to_str())) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The network of that name, with its tensors.
///
/// # Errors
/// If there is none, or its fixture is damaged.
pub fn load(name: &str) -> Result<Network> {
    let path = folder().join(format!("{name}.json"));
    let bytes = zoo_core::fs::read_bounded(&path, MOST)?;
    let fixture: Fixture = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    fixture.network().with_context(|| path.display().to_string())
}

fn folder() -> std::path::PathBuf {
    crate::fixtures().join("torch").join("networks")
}

/// A narrow network: what its checkpoint holds, and what torch computes with it.
#[derive(Debug)]
pub struct Network {
    builder: String,
    source: String,
    tensors: Vec<(String, Tensor)>,
    versions: BTreeMap<String, u8>,
    cases: Vec<Case>,
}

impl Network {
    /// The builder's name in its library: `resnet18`, or `vit_base_patch16_224` of timm.
    pub fn builder(&self) -> &str {
        &self.builder
    }

    /// The library: `torchvision` or `timm`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every tensor of the checkpoint under its name, in the checkpoint's order.
    pub fn tensors(&self) -> &[(String, Tensor)] {
        &self.tensors
    }

    /// Puts another tensor in the place of the one with this name. What torch recorded no longer holds then.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn replace(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        let place = self.tensors.iter_mut().find(|(own, _)| own == name);
        place.with_context(|| format!("{} has no {name}", self.builder))?.1 = tensor;
        self.cases.clear();
        Ok(())
    }

    /// Inputs, and the outputs that torch gave for them.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Writes the checkpoint as `torch.save(model.state_dict(), path)` does: the zip-based format, a storage for each tensor.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_pth(&self, path: &Path) -> Result<()> {
        checkpoint::write(path, &self.tensors, &self.versions)
    }
}

/// One input and its outputs.
#[derive(Debug)]
pub struct Case {
    /// `one` and `three` (images in the batch), or another size: `size96x72`, height by width.
    pub name: String,
    /// Batch, channels, (frames,) height, width.
    pub shape: Vec<usize>,
    /// `logits` of a classifier; `out` and, where the network has the head, `aux` of a segmentation.
    pub outputs: BTreeMap<String, Expected>,
}

impl Case {
    /// The input: single precision, between -2.5 and 2.5, as after a classifier's preprocessing.
    ///
    /// # Errors
    /// If its shape is no input's.
    pub fn input(&self) -> Result<Tensor> {
        formula::picture(&format!("input:{}", self.name), &self.shape)
    }
}

/// A recorded output: every `step`-th of its elements, because those of a segmentation are many.
#[derive(Debug)]
pub struct Expected {
    /// The shape of the whole output.
    pub shape: Vec<usize>,
    /// The distance, in row-major order, between recorded elements; 1 if all are.
    pub step: usize,
    /// The recorded elements, one-dimensional: torch's own, computed in double precision from the same weights.
    pub values: Tensor,
}

impl Expected {
    /// The elements of `actual` that were recorded, in the same order as [`Self::values`].
    ///
    /// # Errors
    /// If `actual` has another shape or is not of single precision.
    pub fn picked(&self, actual: &Tensor) -> Result<Tensor> {
        ensure!(actual.shape() == self.shape, "shape {:?}, not {:?}", actual.shape(), self.shape);
        let picked: Vec<f32> = actual.to_vec::<f32>()?.into_iter().step_by(self.step).collect();
        Ok(Tensor::from_slice([picked.len()], &picked)?)
    }

    /// The largest difference between `actual` and what was recorded, and the standard deviation of what was recorded.
    /// A value that is no number counts as infinitely far.
    ///
    /// # Errors
    /// As [`Self::picked`].
    pub fn difference(&self, actual: &Tensor) -> Result<(f64, f64)> {
        let (actual, expected) = (self.picked(actual)?.to_f64_vec()?, self.values.to_f64_vec()?);
        let count = expected.len() as f64;
        let mean = expected.iter().sum::<f64>() / count;
        let spread = (expected.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let apart = |(a, b): (&f64, &f64)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() };
        Ok((actual.iter().zip(&expected).map(apart).fold(0.0, f64::max), spread))
    }
}

/// A fixture as it is written.
#[derive(Deserialize)]
struct Fixture {
    builder: String,
    source: String,
    /// Modules other than batch norms whose state has a version other than 1.
    versions: BTreeMap<String, u8>,
    ranges: Vec<(f64, f64)>,
    data: BTreeMap<String, Data>,
    tensors: Vec<(String, Vec<usize>, Values)>,
    cases: Vec<WrittenCase>,
}

/// What a tensor holds: numbers of a range, by its index, or what a name says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Range(usize),
    Named(String),
}

/// A tensor that no formula gives: its bytes.
#[derive(Deserialize)]
struct Data {
    dtype: String,
    base64: String,
}

#[derive(Deserialize)]
struct WrittenCase {
    name: String,
    input: Vec<usize>,
    outputs: BTreeMap<String, WrittenOutput>,
}

#[derive(Deserialize)]
struct WrittenOutput {
    shape: Vec<usize>,
    step: usize,
    values: Vec<f32>,
}

impl Fixture {
    fn network(self) -> Result<Network> {
        let mut data = BTreeMap::new();
        for (key, written) in &self.data {
            data.insert(&**key, written.decoded().with_context(|| key.clone())?);
        }
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for (name, shape, values) in &self.tensors {
            let tensor = values.tensor(name, shape, &self.ranges, &data).with_context(|| name.clone())?;
            tensors.push((name.clone(), tensor));
        }
        let cases = self.cases.into_iter().map(WrittenCase::case).collect::<Result<_>>()?;
        Ok(Network { builder: self.builder, source: self.source, tensors, versions: self.versions, cases })
    }
}

impl Data {
    fn decoded(&self) -> Result<(DType, Bytes)> {
        let dtype = match self.dtype.as_str() {
            "i64" => DType::I64,
            "f32" => DType::F32,
            other => bail!("the script writes no {other}"),
        };
        Ok((dtype, STANDARD.decode(&self.base64)?.into()))
    }
}

impl Values {
    fn tensor(
        &self,
        name: &str,
        shape: &[usize],
        ranges: &[(f64, f64)],
        data: &BTreeMap<&str, (DType, Bytes)>,
    ) -> Result<Tensor> {
        match self {
            Self::Range(range) => {
                let (low, high) = *ranges.get(*range).with_context(|| format!("no range {range}"))?;
                formula::values(name, shape, low, high)
            }
            Self::Named(zero) if zero == "zero" => {
                let count = element_count(shape).context("too large")?;
                Ok(Tensor::from_slice(shape, &vec![0_i64; count])?)
            }
            Self::Named(key) => {
                let (dtype, bytes) = data.get(&**key).with_context(|| format!("no data {key}"))?;
                Ok(Tensor::from_bytes(*dtype, shape, bytes.clone())?)
            }
        }
    }
}

impl WrittenCase {
    fn case(self) -> Result<Case> {
        let mut outputs = BTreeMap::new();
        for (key, output) in self.outputs {
            let count = element_count(&output.shape).context("too large")?;
            ensure!(
                output.step > 0 && output.values.len() == count.div_ceil(output.step),
                "{key} of {}: {} values of {count}, every {}",
                self.name,
                output.values.len(),
                output.step
            );
            let values = Tensor::from_slice([output.values.len()], &output.values)?;
            outputs.insert(key, Expected { shape: output.shape, step: output.step, values });
        }
        Ok(Case { name: self.name, shape: self.input, outputs })
    }
}
