//! Which files of a commit are fetched: those that the target needs, the weights once, in the best form that there is.
//!
//! [`select`] is a pure function of the listing and of the few small files that decide (the configuration, the list of modules, the
//! index of sharded weights): it asks for those that it has not seen yet, and what cannot be used is refused before anything
//! large is fetched. The order of forms is transformers' (`modeling_utils`, `modeling_tf_utils`, `modeling_flax_utils` of 4.57).

mod companions;
mod modules;
mod refusal;
mod weights;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zoo_core::handle::nearest;
use zoo_core::path::EntryPath;

pub use refusal::Refusal;
pub use weights::{Form, Weights};

use crate::listing::Files;

/// The library whose weights are preferred, where a repository has several forms of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framework {
    /// PyTorch: `AutoModel…`.
    Pt,
    /// TensorFlow: `TFAutoModel…`.
    Tf,
    /// JAX with Flax: `FlaxAutoModel…`.
    Flax,
}

impl Framework {
    /// Every library.
    pub const ALL: [Self; 3] = [Self::Pt, Self::Tf, Self::Flax];

    /// The name on command lines and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pt => "pt",
            Self::Tf => "tf",
            Self::Flax => "flax",
        }
    }
}

/// A text that names no framework.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no framework; there are `pt`, `tf` and `flax`")]
pub struct UnknownFramework(String);

impl std::str::FromStr for Framework {
    type Err = UnknownFramework;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| UnknownFramework(text.to_owned()))
    }
}

/// What is wanted of a repository. The default is what staging needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// Whose weights are preferred; PyTorch's without one.
    pub framework: Option<Framework>,
    /// Every file, and no question whether anything can be made of them.
    pub all: bool,
    /// The repository's own ONNX files in place of the weights.
    pub onnx: Option<OnnxFiles>,
    /// Further files, by path.
    pub extra: Vec<EntryPath>,
    /// What would be refused is fetched whole instead: nothing is to be made of it.
    pub as_it_is: bool,
}

/// Which of a repository's own ONNX files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnnxFiles {
    /// `fp16`, `int8`, `q4`, …: what stands behind `_` in their names. Without one, those in full precision.
    pub suffix: Option<String>,
}

impl OnnxFiles {
    /// Those with this suffix.
    pub fn new(suffix: Option<String>) -> Self {
        Self { suffix }
    }
}

impl Wanted {
    /// A name for this wish: equal for wishes that select the same of a commit. The extra files are not in it.
    pub fn key(&self) -> String {
        if self.all {
            return "all".into();
        }
        if self.as_it_is {
            // Nobody looked whether anything can be made of it.
            return format!("{} as it is", Self { as_it_is: false, ..self.clone() }.key());
        }
        match (&self.onnx, self.framework) {
            (Some(OnnxFiles { suffix: None }), _) => "onnx".into(),
            (Some(OnnxFiles { suffix: Some(suffix) }), _) => format!("onnx={suffix}"),
            // The order of forms is the same for both.
            (None, None | Some(Framework::Pt)) => Framework::Pt.name().into(),
            (None, Some(framework)) => framework.name().into(),
        }
    }
}

/// What was selected of a commit. A manifest keeps it, so that staging knows which files are the weights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Selection {
    /// The folder of `config.json` and the weights, with `/` behind; empty for the repository's root. Old repositories of
    /// sentence-transformers have them in `0_Transformer/`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// The weights of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// The repository's own ONNX files, external data included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub onnx: Vec<EntryPath>,
    /// Everything that is to be fetched, those above included, by path.
    pub files: Vec<EntryPath>,
}

/// What [`select`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These small files have to be read first; they are all in the listing.
    Read(Vec<EntryPath>),
    /// Done.
    Done(Selection),
}

/// The contents of small files, by path.
pub type Small = BTreeMap<EntryPath, Vec<u8>>;

/// Tells whether a `model_type` is one that can be staged.
pub type Knows<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Selects files. Without `knows`, every model is taken for one that can be staged, unless it brings code of its own.
///
/// # Errors
/// Why nothing can be made of the repository. Nothing large was needed to find out.
pub fn select(
    files: &Files,
    small: &Small,
    wanted: &Wanted,
    knows: Option<Knows<'_>>,
) -> Result<Step, Refusal> {
    match selected(files, small, wanted, knows) {
        Ok(selection) => Ok(Step::Done(selection)),
        Err(Stop::Read(paths)) => Ok(Step::Read(paths)),
        Err(Stop::Refused(_)) if wanted.as_it_is => everything(files, wanted),
        Err(Stop::Refused(refusal)) => Err(*refusal),
    }
}

/// Why selecting stopped.
enum Stop {
    Read(Vec<EntryPath>),
    Refused(Box<Refusal>),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

fn everything(files: &Files, wanted: &Wanted) -> Result<Step, Refusal> {
    if let Some(path) = files.refused().first() {
        return Err(Refusal::UnsafePath { path: path.escape_debug().to_string() });
    }
    if let Some(missing) = wanted.extra.iter().find(|path| files.get(path).is_none()) {
        return Err(no_file(files, missing));
    }
    Ok(Step::Done(Selection { files: files.paths().cloned().collect(), ..Selection::default() }))
}

fn no_file(files: &Files, path: &EntryPath) -> Refusal {
    let names = nearest(path.as_str(), files.paths().map(EntryPath::as_str), 3);
    Refusal::NoFile { path: path.to_string(), nearest: names }
}

/// What the parts of selecting look at.
struct View<'a> {
    files: &'a Files,
    small: &'a Small,
}

impl View<'_> {
    /// The content of a small file; `None` if there is no such file.
    fn read(&self, path: &str) -> Result<Option<&[u8]>, Stop> {
        let Some(path) = self.files.path(path) else { return Ok(None) };
        match self.small.get(&path) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(Stop::Read(vec![path])),
        }
    }

    /// A small file as JSON.
    fn json(&self, path: &str) -> Result<Option<Value>, Stop> {
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        let broken = |e: serde_json::Error| Refusal::Broken { path: path.to_owned(), reason: e.to_string() };
        Ok(Some(serde_json::from_slice(bytes).map_err(broken)?))
    }

    fn has(&self, path: &str) -> bool {
        self.files.path(path).is_some()
    }
}

fn selected(
    files: &Files,
    small: &Small,
    wanted: &Wanted,
    knows: Option<Knows<'_>>,
) -> Result<Selection, Stop> {
    if wanted.all {
        return match everything(files, wanted)? {
            Step::Done(selection) => Ok(selection),
            Step::Read(paths) => Err(Stop::Read(paths)),
        };
    }
    let view = View { files, small };
    // All at once: what would be asked for one after the other costs a round trip each.
    let deciding = ["config.json", "modules.json"].map(|name| files.path(name));
    let unread: Vec<EntryPath> = deciding.into_iter().flatten().filter(|p| !small.contains_key(p)).collect();
    if !unread.is_empty() {
        return Err(Stop::Read(unread));
    }
    let modules = modules::read(&view)?;
    let root = modules.root.clone();
    let mut selection = Selection { root: root.clone(), ..Selection::default() };
    let mut paths: BTreeSet<EntryPath> = companions::of(files, &root);
    let config = view.json(&format!("{root}config.json"))?;
    if let Some(onnx) = &wanted.onnx {
        selection.onnx = weights::onnx(files, onnx)?;
        paths.extend(selection.onnx.iter().cloned());
    } else {
        let found = weights::of(&view, &root, config.as_ref(), wanted.framework)?;
        let Some(found) = found else { return Err(weights::none(&view, &root)?.into()) };
        refuse(&view, config.as_ref(), knows)?;
        paths.extend(found.files.iter().chain(&found.index).cloned());
        paths.extend(modules.files(&view, wanted.framework)?);
        selection.weights = Some(found);
    }
    for path in &wanted.extra {
        if files.get(path).is_none() {
            return Err(no_file(files, path).into());
        }
        paths.insert(path.clone());
    }
    selection.files = paths.into_iter().collect();
    Ok(selection)
}

/// What the configuration says against it.
fn refuse(view: &View<'_>, config: Option<&Value>, knows: Option<Knows<'_>>) -> Result<(), Refusal> {
    if view.has("model_index.json") {
        return Err(Refusal::Diffusers);
    }
    let Some(config) = config else { return Ok(()) };
    if config.get("_diffusers_version").is_some() {
        return Err(Refusal::Diffusers);
    }
    let quantization = config.get("quantization_config").or_else(|| config.get("compression_config"));
    if let Some(quantization) = quantization.filter(|q| !q.is_null()) {
        let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
        return Err(Refusal::Quantised { method: method.to_owned() });
    }
    let model_type = config.get("model_type").and_then(Value::as_str);
    let known = model_type.zip(knows).map(|(model_type, knows)| knows(model_type));
    if let Some(map) = config.get("auto_map").and_then(Value::as_object).filter(|map| !map.is_empty())
        && known != Some(true)
    {
        let classes = map.values().filter_map(Value::as_str).map(str::to_owned).collect();
        return Err(Refusal::CustomCode { model_type: model_type.map(str::to_owned), classes });
    }
    match (model_type, known) {
        (Some(model_type), Some(false)) => Err(Refusal::UnknownType { model_type: model_type.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
