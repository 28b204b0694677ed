//! The models of the transformers library, by `model_type`: from `config.json` and weights to graphs with optimum's names.
//!
//! - [`architectures`]: every type of model that is built; [`find`] one by its name.
//! - [`Architecture::classes`]: its classes, each a head for a [`Task`].
//! - [`Architecture::graphs`]: from configuration and weights to a graph, or several where a model is run in parts.
//!
//! A family is one file. It reads what it needs from the configuration, with the defaults of its class, and has one function for each head.
//! Names of tensors are those of PyTorch checkpoints of transformers 4.x; what other frameworks and versions call them is translated
//! before it comes here. Every tensor below the family's prefix has to be used, or to be declared unused; heads that the checkpoint has
//! beyond the one that is wanted are left out, and a head that it lacks is an error.
//!
//! To add a family: one file, its line in `FAMILIES`, and its fixtures (`tests/fixtures/huggingface`).

pub mod audio;
pub mod decoder;
mod error;
pub mod multimodal;
mod sentence;
pub mod seq2seq;
pub mod text;
pub mod vision;

use std::collections::BTreeSet;

use zoo_graph::builder::DEFAULT_OPSET;
use zoo_graph::graph::Graph;
use zoo_graph::weights::{Tally, Weights};
use zoo_graph::{Builder, Val};

use crate::config::Config;
use crate::image::ImageSize;
use crate::task::Task;

pub use error::{Error, Result};
pub use sentence::{Pooling, Sentence, SentenceModule};

/// The outputs of a graph, by name.
pub(crate) type Outputs = Vec<(String, Val)>;

/// Makes one graph of a model: its inputs, its nodes; gives its outputs.
pub(crate) type Build = fn(&mut Builder, &Model<'_>) -> Result<Outputs>;

/// Every family.
const FAMILIES: &[&[&[Architecture]]] = &[
    text::FAMILIES,
    vision::FAMILIES,
    multimodal::FAMILIES,
    decoder::FAMILIES,
    seq2seq::FAMILIES,
    audio::FAMILIES,
];

/// A type of model.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// `model_type` of its configuration.
    pub model_type: &'static str,
    /// Under which path a checkpoint with a head has the model itself; a checkpoint of the bare model lacks it. Empty if there is none.
    pub(crate) prefix: &'static str,
    /// Its heads, the bare model first.
    pub classes: &'static [Class],
    /// Modules at the top of a checkpoint that are heads: left out where another head, or none, is wanted.
    pub(crate) heads: &'static [&'static str],
    /// Whether a tensor (by its path below the prefix) is one that inference never uses.
    pub(crate) unused: fn(&str) -> bool,
}

/// A model with a head.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// The class of the library: `BertForMaskedLM`.
    pub name: &'static str,
    /// What it is for.
    pub task: Task,
    /// Its graphs, each by the name of its file without `.onnx`.
    pub(crate) parts: &'static [Part],
}

/// One graph of a model.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The name of its file without `.onnx`, which is optimum's: `model`, `encoder_model`, `decoder_with_past_model`.
    pub name: &'static str,
    pub(crate) build: Build,
    /// Whether it is made only where decoders keep what they have seen ([`ModelOptions::cache`]).
    pub cached: bool,
}

impl Class {
    /// Its graphs.
    pub fn parts(&self) -> &'static [Part] {
        self.parts
    }
}

impl Part {
    pub(crate) const fn new(name: &'static str, build: Build) -> Self {
        Self { name, build, cached: false }
    }

    /// A part that there is only with a cache.
    pub(crate) const fn cached(name: &'static str, build: Build) -> Self {
        Self { name, build, cached: true }
    }
}

/// Shorthand for a class that is one graph: `class!("BertModel", FeatureExtraction, build)`.
macro_rules! class {
    ($name:literal, $task:ident, $build:expr) => {
        $crate::transformers::Class {
            name: $name,
            task: $crate::task::Task::$task,
            parts: &[$crate::transformers::Part::new("model", $build)],
        }
    };
}
pub(crate) use class;

/// How to make the graphs of a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelOptions {
    /// The operator set to write against.
    pub opset: i64,
    /// Decoders keep keys and values of what they have seen: optimum's `-with-past`.
    pub cache: bool,
    /// ONNX Runtime's own operators are used where they are faster.
    pub contrib: bool,
    /// The size of images; without it, the one that the configuration says.
    pub image_size: Option<ImageSize>,
    /// What sentence-transformers does with the vectors of tokens.
    pub sentence: Option<Sentence>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self { opset: DEFAULT_OPSET, cache: true, contrib: false, image_size: None, sentence: None }
    }
}

/// What a family's functions build from.
#[derive(Debug, Clone)]
pub(crate) struct Model<'a> {
    /// The configuration.
    pub(crate) config: &'a Config,
    /// The whole checkpoint: heads are here.
    pub(crate) top: Weights,
    /// The model itself, below the family's prefix.
    pub(crate) base: Weights,
    /// What is asked for.
    pub(crate) options: &'a ModelOptions,
    /// The class that is built.
    pub(crate) class: &'static str,
}

/// The graphs of a model, and what became of the checkpoint's tensors.
#[derive(Debug)]
#[non_exhaustive]
pub struct BuiltModel {
    /// Graphs by the names of their files, without `.onnx`.
    pub graphs: Vec<(&'static str, Graph)>,
    /// How many tensors were used.
    pub tally: Tally,
    /// Modules that the checkpoint has and this class does not: heads, by the first part of their names.
    pub left_out: Vec<String>,
}

impl Architecture {
    /// The class of this name.
    pub fn class(&self, name: &str) -> Option<&'static Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// The classes for a task, the usual one first. What compares images with texts is also what makes features of both.
    pub fn classes_for(&self, task: Task) -> impl Iterator<Item = &'static Class> {
        let compares = |class: &Class| class.task == Task::ZeroShotImageClassification;
        let fits =
            move |class: &Class| class.task == task || task == Task::FeatureExtraction && compares(class);
        self.classes.iter().filter(move |class| fits(class))
    }

    /// Whether a tensor's path is that of a head.
    pub fn is_head(&self, path: &str) -> bool {
        let below = |head: &&str| {
            path.strip_prefix(*head).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.heads.iter().any(below)
    }

    /// Makes the graphs of one of this architecture's classes.
    ///
    /// # Errors
    /// If the configuration asks for what is not built; if a tensor is missing, has another shape, or has no place in the model.
    pub fn graphs(
        &self,
        class: &'static Class,
        config: &Config,
        weights: &Weights,
        options: &ModelOptions,
    ) -> Result<BuiltModel> {
        let top = weights.clone();
        let inner = (!self.prefix.is_empty()).then(|| weights.find(self.prefix)).flatten();
        let base = inner.clone().unwrap_or_else(|| weights.clone());
        let model = Model { config, top, base: base.clone(), options, class: class.name };
        let mut graphs = Vec::new();
        for part in class.parts.iter().filter(|part| options.cache || !part.cached) {
            let mut g = Builder::new(part.name, options.opset)?;
            let mut outputs = (part.build)(&mut g, &model)?;
            if let (Some(sentence), Task::FeatureExtraction) = (&options.sentence, class.task) {
                sentence.add_to(&mut g, &mut outputs)?;
            }
            for (name, val) in outputs {
                g.output(&name, val)?;
            }
            graphs.push((part.name, g.finish()?));
        }
        base.ignore(self.unused);
        base.ignore(never_used);
        let is_head = |path: &str| self.is_head(path);
        let left_out: BTreeSet<String> = weights
            .left_paths()
            .iter()
            .filter(|path| is_head(path))
            .map(|path| path.split('.').next().unwrap_or_default().to_owned())
            .collect();
        weights.ignore(is_head);
        weights.ignore(never_used);
        let tally = weights.finish()?;
        Ok(BuiltModel { graphs, tally, left_out: left_out.into_iter().collect() })
    }
}

/// Buffers that old versions saved, and that are computed.
fn never_used(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    matches!(last, "position_ids" | "token_type_ids" | "num_batches_tracked" | "relative_position_index")
        || path.ends_with("rotary_emb.inv_freq")
}

/// Every type of model that is built, in the order of the families.
pub fn architectures() -> impl Iterator<Item = &'static Architecture> {
    FAMILIES.iter().copied().flatten().copied().flatten()
}

/// The architecture of this `model_type`.
pub fn find(model_type: &str) -> Option<&'static Architecture> {
    architectures().find(|architecture| architecture.model_type == model_type)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_type_and_no_class_stands_twice() {
        let mut types = HashSet::new();
        for architecture in architectures() {
            assert!(types.insert(architecture.model_type), "{}", architecture.model_type);
            let mut classes = HashSet::new();
            for class in architecture.classes {
                assert!(classes.insert(class.name), "{}", class.name);
            }
        }
        assert!(find("bert").is_some() && find("brt").is_none());
    }
}
