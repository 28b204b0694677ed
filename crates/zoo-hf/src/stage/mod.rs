//! From the files of a repository to what a framework imports: which architecture, which head, which weights, and the graphs, as ONNX or
//! as TensorFlow's.
//!
//! Nothing here reads weights: the headers of weight files say where they are, and graphs refer to them there. What is written are
//! the graphs alone, unless options change numbers. Every choice that was made on the way is told ([`Outcome`]), because a staged
//! model is believed for its evidence.

mod checkpoint;
mod choose;
mod error;
mod sentence;
pub(crate) mod write;

use std::path::{Path, PathBuf};

use zoo_arch::transformers::ModelOptions;
use zoo_arch::{Config, ImageSize, Task};
use zoo_core::stage::{StageOptions, Target};
use zoo_graph::builder::DEFAULT_OPSET;
use zoo_graph::emit::Written;
use zoo_graph::graph::Source;
use zoo_graph::pass::{self, PassOptions};
use zoo_graph::weights::{Tally, Weights};

pub use error::StageError;

use crate::select::Framework;

/// What was staged, and on what evidence.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// `model_type` of the configuration.
    pub model_type: &'static str,
    /// The class whose head the graphs have.
    pub class: &'static str,
    /// What it is for.
    pub task: Task,
    /// Why it is this class, in words.
    pub evidence: String,
    /// Whose names the tensors have.
    pub framework: Framework,
    /// The weight files, within the repository.
    pub sources: Vec<PathBuf>,
    /// What became of the tensors.
    pub tally: Tally,
    /// Heads that the checkpoint has and that were not wanted.
    pub left_out: Vec<String>,
    /// Values in all tensors that the graphs use, those that several share counted once.
    pub parameters: u64,
    /// What is odd about the files, and did not matter.
    pub warnings: Vec<String>,
    /// The graphs as ONNX, the one that a framework opens first in front; none where another target was asked for.
    pub graphs: Vec<StagedGraph>,
    /// The graph as TensorFlow's, if that is the target.
    pub tensorflow: Option<StagedTensorFlow>,
}

/// A SavedModel's folder or a frozen graph's file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StagedTensorFlow {
    /// Where it is.
    pub path: PathBuf,
    /// What was written, with inputs and outputs.
    pub written: zoo_tf::Written,
}

/// A graph that was written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StagedGraph {
    /// Its file.
    pub path: PathBuf,
    /// Which files it needs beside itself, and what was written.
    pub written: Written,
}

/// The longest small file of a repository that is read whole, in bytes.
const MAX_SMALL: u64 = 16 << 20;

/// Stages the repository whose files are in `repository` in the folder `out`, as ONNX files or as what else the options say. The repository has to be `out` itself or to lie below,
/// unless options have the weights rewritten.
///
/// # Errors
/// If the repository holds nothing that is built, if the head that is wanted is missing, or if a graph cannot be written. Nothing is
/// left behind then.
pub fn stage(repository: &Path, out: &Path, options: &StageOptions) -> Result<Outcome, StageError> {
    let modules = sentence::modules(repository)?;
    let root = modules.as_ref().map_or_else(|| repository.to_owned(), |modules| modules.transformer.clone());
    let config = read_config(&root)?;
    let choice = choose::class(&config, options, modules.is_some())?;
    let mut model_options = ModelOptions::default();
    model_options.opset = options.opset.unwrap_or(DEFAULT_OPSET);
    model_options.cache = !options.no_cache;
    model_options.contrib = options.contrib;
    model_options.image_size = options.image_size.map(image_size);
    if let (Some(modules), Task::FeatureExtraction) = (&modules, choice.class.task) {
        model_options.sentence = Some(modules.sentence()?);
    }
    let wanted = options.framework.as_deref().map(str::parse).transpose()?;
    let found = checkpoint::read(&root, wanted, choice.architecture.model_type)?;
    let weights = Weights::named(found.tensors).map_err(zoo_arch::transformers::Error::from)?;
    let built = choice
        .architecture
        .graphs(choice.class, &config, &weights, &model_options)
        .map_err(|error| error::not_built(error, &choice, &config))?;

    let mut parameters = std::collections::BTreeMap::new();
    let mut made = Vec::with_capacity(built.graphs.len());
    for (name, mut graph) in built.graphs {
        let mut passes = PassOptions::default();
        passes.fold_batch_norms = options.fold;
        pass::run(&mut graph, &passes)?;
        count_parameters(&graph, &mut parameters);
        made.push((name, graph));
    }
    let (mut graphs, mut tensorflow) = (Vec::new(), None);
    match options.target {
        Target::Onnx => graphs = write::onnx(&made, out, options)?,
        target => tensorflow = Some(write::tensorflow(&made, out, target, options)?),
    }
    Ok(Outcome {
        model_type: choice.architecture.model_type,
        class: choice.class.name,
        task: choice.class.task,
        evidence: choice.evidence,
        framework: found.framework,
        sources: found.sources,
        tally: built.tally,
        left_out: built.left_out,
        parameters: parameters.values().sum(),
        warnings: found.warnings,
        graphs,
        tensorflow,
    })
}

/// Whether models of this `model_type` are built.
pub fn builds(model_type: &str) -> bool {
    zoo_arch::transformers::find(model_type).is_some()
}

fn read_config(root: &Path) -> Result<Config, StageError> {
    let path = root.join("config.json");
    if !path.is_file() {
        return Err(StageError::NoConfig { folder: root.to_owned() });
    }
    let bytes = zoo_core::fs::read_bounded(&path, MAX_SMALL)?;
    Ok(Config::parse(&bytes)?)
}

fn image_size(size: zoo_core::stage::ImageSize) -> ImageSize {
    match size {
        zoo_core::stage::ImageSize::Fixed { height, width } => {
            ImageSize::Fixed(height as usize, width as usize)
        }
        zoo_core::stage::ImageSize::Any => ImageSize::Any,
    }
}

/// Values of the weights that a graph uses, by name: parts of a model share some.
fn count_parameters(graph: &zoo_graph::Graph, counted: &mut std::collections::BTreeMap<String, u64>) {
    let is_weight = |source: &Source| matches!(source, Source::Weight(_) | Source::Scaled { .. });
    let uses = graph.uses();
    for ((_, value), uses) in graph.values().zip(uses) {
        if uses > 0 && is_weight(&value.source) {
            let count = value.sizes().map_or(0, |sizes| sizes.iter().product::<usize>() as u64);
            counted.insert(value.name.clone(), count);
        }
    }
}
