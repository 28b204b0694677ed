//! Which files are the weights: one form of them, whole or in shards that an index names.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zoo_core::path::EntryPath;

use super::{Framework, OnnxFiles, Refusal, Stop, View};
use crate::listing::Files;

/// More shards than any model has.
const MAX_SHARDS: usize = 10_000;

/// What stands behind `_` in the names of ONNX files that are not in full precision (transformers.js, optimum).
const SUFFIXES: [&str; 18] = [
    "fp16",
    "bf16",
    "int8",
    "uint8",
    "q8",
    "q4",
    "q4f16",
    "q2",
    "q2f16",
    "q1",
    "bnb4",
    "quantized",
    "O1",
    "O2",
    "O3",
    "O4",
    "qint8",
    "quint8",
];

/// Endings of files that may hold a model of another kind, told where there are no weights.
const MODELS: [&str; 16] = [
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".h5",
    ".keras",
    ".pb",
    ".tflite",
    ".msgpack",
    ".ot",
    ".onnx",
    ".gguf",
    ".mlmodel",
    ".nemo",
    ".pkl",
];

/// How weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Form {
    /// `model.safetensors`. Whose names the tensors have is in its header.
    SafeTensors,
    /// `pytorch_model.bin`: a checkpoint as `torch.save` writes it.
    Pickle,
    /// `tf_model.h5`: weights without a graph, as Keras writes them.
    Hdf5,
    /// `flax_model.msgpack`.
    MessagePack,
}

impl Form {
    /// The file's name without and with its ending.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::SafeTensors => ("model", "safetensors"),
            Self::Pickle => ("pytorch_model", "bin"),
            Self::Hdf5 => ("tf_model", "h5"),
            Self::MessagePack => ("flax_model", "msgpack"),
        }
    }

    /// Best first. What a file of another library holds is the same network under other names.
    fn order(framework: Option<Framework>) -> [Self; 4] {
        match framework {
            None | Some(Framework::Pt) => [Self::SafeTensors, Self::Pickle, Self::Hdf5, Self::MessagePack],
            // transformers looks for safetensors first here, too, but takes them only with TensorFlow's names, which
            // repositories that also have the old file do not use.
            Some(Framework::Tf) => [Self::Hdf5, Self::SafeTensors, Self::Pickle, Self::MessagePack],
            Some(Framework::Flax) => [Self::MessagePack, Self::SafeTensors, Self::Pickle, Self::Hdf5],
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let ending = name.trim_end_matches(".index.json").rsplit('.').next();
        [Self::SafeTensors, Self::Pickle, Self::Hdf5, Self::MessagePack]
            .into_iter()
            .find(|form| Some(form.name().1) == ending)
    }
}

/// The weights of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Weights {
    /// How they are kept.
    pub form: Form,
    /// The one file, or the shards in order.
    pub files: Vec<EntryPath>,
    /// What tells which tensor is in which shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<EntryPath>,
}

/// The weights in the folder `root` (with `/` behind, or empty).
pub(super) fn of(
    view: &View<'_>,
    root: &str,
    config: Option<&Value>,
    framework: Option<Framework>,
) -> Result<Option<Weights>, Stop> {
    // Rare, and before everything else: the configuration names the file.
    if let Some(name) = config.and_then(|c| c.get("transformers_weights")).and_then(Value::as_str) {
        let broken =
            |reason: &str| Refusal::Broken { path: format!("{root}config.json"), reason: reason.to_owned() };
        let form = Form::of_name(name)
            .ok_or_else(|| broken("`transformers_weights` names a file of no known form"))?;
        let path = plain(name).and_then(|name| view.files.path(&format!("{root}{name}")));
        let path = path
            .ok_or_else(|| broken("`transformers_weights` names a file that the repository does not have"))?;
        return whole_or_shards(view, root, form, path).map(Some);
    }
    for form in Form::order(framework) {
        let (stem, ending) = form.name();
        for name in [format!("{root}{stem}.{ending}"), format!("{root}{stem}.{ending}.index.json")] {
            if let Some(path) = view.files.path(&name) {
                return whole_or_shards(view, root, form, path).map(Some);
            }
        }
    }
    Ok(None)
}

fn whole_or_shards(view: &View<'_>, root: &str, form: Form, path: EntryPath) -> Result<Weights, Stop> {
    if !path.as_str().ends_with(".index.json") {
        return Ok(Weights { form, files: vec![path], index: None });
    }
    let index = path.to_string();
    let broken = |reason: String| Refusal::Broken { path: index.clone(), reason };
    let Some(bytes) = view.read(&index)? else { return Err(broken("it is not there".into()).into()) };
    let names = shards(bytes).map_err(broken)?;
    let mut files = Vec::new();
    for name in names {
        let shard = view.files.path(&format!("{root}{name}"));
        files.push(shard.ok_or_else(|| Refusal::ShardMissing { index: index.clone(), shard: name })?);
    }
    Ok(Weights { form, files, index: Some(path) })
}

/// The files that an index names, in order.
///
/// # Errors
/// It is no index, it names none or too many, or one of its names is more than a name.
pub(super) fn shards(index: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
        #[serde(default, rename = "metadata")]
        _metadata: IgnoredAny,
    }
    let index: Index = serde_json::from_slice(index).map_err(|e| e.to_string())?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    if names.is_empty() {
        return Err("it names no shards".into());
    }
    if names.len() > MAX_SHARDS {
        return Err(format!("it names {} shards", names.len()));
    }
    if let Some(bad) = names.iter().find(|name| plain(name).is_none()) {
        return Err(format!("`{}` is no plain file name", bad.escape_debug()));
    }
    Ok(names.into_iter().collect())
}

/// A name that stays in its folder.
fn plain(name: &str) -> Option<&str> {
    EntryPath::new(name).is_ok_and(|path| path.file_name() == name).then_some(name)
}

/// The ONNX files of the repository: everything that a suffix stands for, with external data.
pub(super) fn onnx(files: &Files, wanted: &OnnxFiles) -> Result<Vec<EntryPath>, Refusal> {
    let models: Vec<(&EntryPath, &str)> = files
        .paths()
        .filter(|path| matches!(path.as_str().rsplit_once('/'), None | Some(("onnx", _))))
        .filter_map(|path| path.file_name().strip_suffix(".onnx").map(|stem| (path, suffix(stem))))
        .collect();
    let suffix = wanted.suffix.as_deref().unwrap_or_default();
    let in_folder = models.iter().any(|(path, s)| path.as_str().starts_with("onnx/") && *s == suffix);
    // The same model may lie at the root, too; the folder is where the libraries look.
    let is_meant = |path: &EntryPath, s: &str| s == suffix && path.as_str().starts_with("onnx/") == in_folder;
    let chosen: Vec<&EntryPath> = models.iter().filter(|(p, s)| is_meant(p, s)).map(|(p, _)| *p).collect();
    if chosen.is_empty() {
        let available: BTreeSet<String> = models.iter().map(|(_, suffix)| (*suffix).to_owned()).collect();
        return Err(Refusal::NoOnnx {
            suffix: wanted.suffix.clone(),
            available: available.into_iter().collect(),
        });
    }
    let belongs = |path: &&EntryPath| {
        chosen.iter().any(|model| {
            let stem = model.as_str().trim_end_matches(".onnx");
            *path == *model
                || path.as_str().strip_prefix(stem).is_some_and(|rest| {
                    let rest = rest.strip_prefix(".onnx").unwrap_or(rest);
                    rest.starts_with("_data") || rest.starts_with(".data")
                })
        })
    };
    Ok(files.paths().filter(belongs).cloned().collect())
}

/// What a file's name says of its precision; empty for full precision.
fn suffix(stem: &str) -> &str {
    let Some((_, last)) = stem.split_once('_') else { return "" };
    // `decoder_model_merged_q4f16`, `model_qint8_avx512`: from the first part that is one.
    let mut rest = last;
    loop {
        let part = rest.split('_').next().unwrap_or_default();
        if SUFFIXES.contains(&part) {
            return rest;
        }
        match rest.split_once('_') {
            Some((_, after)) => rest = after,
            None => return "",
        }
    }
}

/// What there is in place of weights.
pub(super) fn none(view: &View<'_>, root: &str) -> Result<Refusal, Stop> {
    if let Some(adapter) = view.json(&format!("{root}adapter_config.json"))? {
        let text = |name: &str| adapter.get(name).and_then(Value::as_str).map(str::to_owned);
        // A path on its maker's disk is no repository.
        let base = text("base_model_name_or_path").filter(|base| crate::name::bad_id(base).is_none());
        let method = text("peft_type").unwrap_or_else(|| "unnamed".into());
        return Ok(Refusal::Adapter { method, base });
    }
    if view.has("model_index.json") {
        return Ok(Refusal::Diffusers);
    }
    let ending =
        |ending: &'static str| view.files.paths().filter(move |path| path.as_str().ends_with(ending));
    let gguf: Vec<String> = ending(".gguf").take(3).map(ToString::to_string).collect();
    if !gguf.is_empty() {
        return Ok(Refusal::GgufOnly { files: gguf });
    }
    if ending(".onnx").next().is_some() {
        return Ok(Refusal::OnnxOnly);
    }
    let is_model = |path: &&EntryPath| MODELS.iter().any(|ending| path.as_str().ends_with(ending));
    let found = view.files.paths().filter(is_model).take(3).map(ToString::to_string).collect();
    Ok(Refusal::NoWeights { found })
}
