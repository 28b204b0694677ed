//! From a checkpoint to ONNX: which dictionary, which names, which network, and the graph.
//!
//! Nothing here reads weights: the checkpoint's header says where they are, and the graph refers to them there. What is written is the
//! graph alone, unless options change numbers. Every choice that was made on the way is told ([`Outcome`]), because a staged model
//! is believed for its evidence.

mod choose;
mod error;

use std::path::Path;

use zoo_arch::{GraphOptions, ImageSize, Network};
use zoo_core::stage::{FloatType, StageOptions, WeightPolicy};
use zoo_formats::{Checkpoint, StateDict};
use zoo_graph::builder::DEFAULT_OPSET;
use zoo_graph::emit::{self, EmitOptions, Placement, Written};
use zoo_graph::graph::Source;
use zoo_graph::pass::{self, PassOptions};
use zoo_graph::weights::{Tally, Weights};
use zoo_tensor::DType;

use crate::rename;

pub use error::StageError;

/// What was staged, and on what evidence.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The network.
    pub network: &'static Network,
    /// Why it is this one, in words.
    pub evidence: String,
    /// Where in the checkpoint the weights were, in words; none where they are all there is.
    pub origin: Option<String>,
    /// Whose names the tensors have.
    pub names: &'static str,
    /// What became of the tensors.
    pub tally: Tally,
    /// Values in all tensors that the graph uses.
    pub parameters: u64,
    /// What is odd about the file, and did not matter.
    pub warnings: Vec<String>,
    /// Which files the graph needs beside itself, and what was written.
    pub written: Written,
}

/// Stages a checkpoint as the ONNX file `out`. The checkpoint has to lie in the folder of `out` or below, unless options have the
/// weights rewritten.
///
/// `usual_size` is the size of image that a catalogue gives the weights; options that name one win.
///
/// # Errors
/// If the file is no checkpoint, no network fits it, or the graph cannot be written. Nothing is left behind then.
pub fn stage(
    checkpoint: &Path,
    out: &Path,
    options: &StageOptions,
    usual_size: Option<ImageSize>,
) -> Result<Outcome, StageError> {
    let opened = zoo_formats::open(checkpoint)?;
    let (dict, origin) = dictionary(&opened, options.dictionary.as_deref())?;
    refuse_quantized(&dict)?;
    let renamed = rename::canonical(&dict);
    let scheme = renamed.scheme;
    let weights = Weights::named(renamed.tensors)?;
    let (network, evidence) = choose::network(&weights, scheme, options.arch.as_deref())?;

    let mut graph_options = GraphOptions::default();
    graph_options.opset = options.opset.unwrap_or(DEFAULT_OPSET);
    graph_options.image_size = options.image_size.map(image_size);
    graph_options.usual_size = usual_size;
    let weights = weights.anew();
    let built = network
        .graph(&weights, &graph_options)
        .map_err(|error| does_not_fit(error, network, &weights, scheme))?;
    let mut graph = built.graph;
    let mut passes = PassOptions::default();
    passes.fold_batch_norms = options.fold;
    pass::run(&mut graph, &passes)?;

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
    let written = emit::write(&graph, out, &emitting)?;
    Ok(Outcome {
        network,
        evidence,
        origin,
        names: scheme.name,
        tally: built.tally,
        parameters: parameters(&graph),
        warnings: opened.warnings().iter().map(ToString::to_string).collect(),
        written,
    })
}

/// An error of building the network, told apart: the checkpoint may be of another one.
fn does_not_fit(
    problem: zoo_graph::Error,
    network: &'static Network,
    weights: &Weights,
    scheme: &'static rename::Scheme,
) -> StageError {
    // The size of the image and the operator set are wishes, and no fault of the checkpoint.
    if matches!(
        problem,
        zoo_graph::Error::ImageSize { .. }
            | zoo_graph::Error::NeedsOpset { .. }
            | zoo_graph::Error::Opset { .. }
    ) {
        return problem.into();
    }
    match choose::recognised(weights, scheme) {
        // It is this one at its usual size, so that something else is wrong.
        Some(fits) if fits == network.name => problem.into(),
        fits => StageError::DoesNotFit { network: network.name, fits, problem },
    }
}

/// zoo's name of the network that a builder of torchvision or timm makes, if zoo builds it.
pub fn network_name(builder: &str) -> Option<&'static str> {
    rename::network_named(builder).map(|network| network.name)
}

/// The dictionary that is meant, and in words where it was.
fn dictionary(
    checkpoint: &Checkpoint,
    named: Option<&str>,
) -> Result<(StateDict, Option<String>), StageError> {
    match named {
        Some(path) => Ok((checkpoint.state_dict_at(path)?, Some(path.to_owned()))),
        None => {
            let dict = checkpoint.state_dict()?.clone();
            // Where the file is the dictionary and nothing else, there is nothing to tell.
            let taken = checkpoint
                .origin()
                .taken
                .as_ref()
                .filter(|taken| !taken.path.is_empty() || taken.module.is_some());
            Ok((dict, taken.map(ToString::to_string)))
        }
    }
}

/// Integers that stand for other numbers would be taken for themselves.
fn refuse_quantized(dict: &StateDict) -> Result<(), StageError> {
    let is_quantized = |name: &&str| dict.quantizer(name).is_some();
    let names: Vec<String> = dict.names().filter(is_quantized).map(str::to_owned).collect();
    if names.is_empty() { Ok(()) } else { Err(StageError::Quantized { names }) }
}

fn image_size(size: zoo_core::stage::ImageSize) -> ImageSize {
    match size {
        zoo_core::stage::ImageSize::Fixed { height, width } => {
            ImageSize::Fixed(height as usize, width as usize)
        }
        zoo_core::stage::ImageSize::Any => ImageSize::Any,
    }
}

/// Values in the weights that the graph uses, those that folding computes included.
fn parameters(graph: &zoo_graph::Graph) -> u64 {
    let is_weight = |source: &Source| matches!(source, Source::Weight(_) | Source::Scaled { .. });
    let uses = graph.uses();
    graph
        .values()
        .zip(uses)
        .filter(|((_, value), uses)| *uses > 0 && is_weight(&value.source))
        .map(|((_, value), _)| value.sizes().map_or(0, |sizes| sizes.iter().product::<usize>() as u64))
        .sum()
}
