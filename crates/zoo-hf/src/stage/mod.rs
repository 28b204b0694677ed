//! From the files of a repository to ONNX: which architecture, which head, which weights, and the graphs.
//!
//! Nothing here reads weights: the headers of weight files say where they are, and graphs refer to them there. What is written are
//! the graphs alone, unless options change numbers. Every choice that was made on the way is told ([`Outcome`]), because a staged
//! model is believed for its evidence.

mod checkpoint;
mod choose;
mod error;
mod sentence;

use std::path::{Path, PathBuf};

use zoo_arch::transformers::ModelOptions;
use zoo_arch::{Config, ImageSize, Task};
use zoo_core::stage::{FloatType, StageOptions, WeightPolicy};
use zoo_graph::builder::DEFAULT_OPSET;
use zoo_graph::emit::{self, EmitOptions, Placement, Written};
use zoo_graph::graph::Source;
use zoo_graph::pass::{self, PassOptions};
use zoo_graph::weights::{Tally, Weights};
use zoo_tensor::DType;

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
    /// The graphs, the one that a framework opens first in front.
    pub graphs: Vec<StagedGraph>,
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

/// Stages the repository whose files are in `repository` as ONNX files in `out`. The repository has to be `out` itself or to lie below,
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

    let mut graphs: Vec<StagedGraph> = Vec::with_capacity(built.graphs.len());
    let mut parameters = std::collections::BTreeMap::new();
    for (name, mut graph) in built.graphs {
        let mut passes = PassOptions::default();
        passes.fold_batch_norms = options.fold;
        pass::run(&mut graph, &passes)?;
        count_parameters(&graph, &mut parameters);
        let path = out.join(options.file_name(name));
        match emit::write(&graph, &path, &emit_options(options)) {
            Ok(written) => graphs.push(StagedGraph { path, written }),
            Err(error) => {
                discard(&graphs, out);
                return Err(error.into());
            }
        }
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

fn emit_options(options: &StageOptions) -> EmitOptions {
    let mut emitting = EmitOptions::default();
    emitting.placement = match options.policy() {
        WeightPolicy::InPlace => Placement::InPlace,
        WeightPolicy::Packed => Placement::Packed,
    };
    emitting.dtype = options.dtype.map(|dtype| match dtype {
        FloatType::F16 => DType::F16,
        FloatType::Bf16 => DType::BF16,
        FloatType::F32 => DType::F32,
    });
    emitting
}

/// Takes back the graphs of a model whose later ones failed.
fn discard(graphs: &[StagedGraph], out: &Path) {
    for graph in graphs {
        let data = graph.written.data.iter().map(|data| out.join(data));
        for path in std::iter::once(graph.path.clone()).chain(data) {
            if let Err(error) = zoo_core::fs::remove_file(&path) {
                tracing::warn!(%error, "a part of a model stays behind");
            }
        }
    }
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
