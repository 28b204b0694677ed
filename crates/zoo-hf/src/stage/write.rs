//! The graphs of a model as files: ONNX beside the weights, a SavedModel around them, or a frozen graph with a copy of them.

use std::io;
use std::path::{Path, PathBuf};

use zoo_core::stage::{FloatType, StageOptions, Target, WeightPolicy};
use zoo_core::store::place_file;
use zoo_graph::Graph;
use zoo_graph::emit::{self, EmitOptions, Placement};
use zoo_tensor::DType;
use zoo_tf::frozen::{self, FrozenOptions};
use zoo_tf::saved_model::{self, Placing, SavedModelOptions};

use super::{StageError, StagedGraph, StagedTensorFlow};

/// Where a graph goes: a file, or the folder of a SavedModel.
pub(crate) fn path(out: &Path, name: &str, options: &StageOptions) -> PathBuf {
    match options.target {
        Target::SavedModel => out.join(folder_name(options)).join(VERSION),
        Target::FrozenGraph => out.join(options.file_name(name)).with_extension("pb"),
        _ => out.join(options.file_name(name)),
    }
}

/// Writes every graph as ONNX; all of them, or none.
pub(super) fn onnx(
    graphs: &[(&str, Graph)],
    out: &Path,
    options: &StageOptions,
) -> Result<Vec<StagedGraph>, StageError> {
    let mut done: Vec<StagedGraph> = Vec::with_capacity(graphs.len());
    for (name, graph) in graphs {
        let path = path(out, name, options);
        match emit::write(graph, &path, &emit_options(options)) {
            Ok(written) => done.push(StagedGraph { path, written }),
            Err(error) => {
                discard(&done, out);
                return Err(error.into());
            }
        }
    }
    Ok(done)
}

/// Writes the one graph of a model as TensorFlow's.
pub(super) fn tensorflow(
    graphs: &[(&str, Graph)],
    out: &Path,
    target: Target,
    options: &StageOptions,
) -> Result<StagedTensorFlow, StageError> {
    let [(name, graph)] = graphs else {
        let parts = graphs.iter().map(|(name, _)| (*name).to_owned()).collect();
        return Err(StageError::SeveralGraphs { target, parts });
    };
    if options.dtype.is_some() {
        return Err(StageError::Option { target, option: "dtype" });
    }
    let path = path(out, name, options);
    let written = match target {
        Target::SavedModel => {
            let place = |from: &Path, to: &Path| place_file(from, to, false).map_err(io::Error::other);
            let placing = SavedModelOptions::default().placing(Placing::By(&place));
            zoo_core::fs::create_parent(&path)?;
            saved_model::write(graph, &path, &placing)?
        }
        Target::FrozenGraph => frozen::write(graph, &path, &FrozenOptions::default())?,
        target => return Err(StageError::Target { target }),
    };
    Ok(StagedTensorFlow { path, written })
}

/// TensorFlow Serving looks for a folder for each version of a model.
const VERSION: &str = "1";

/// The name of a SavedModel's folder: one for each set of options.
fn folder_name(options: &StageOptions) -> PathBuf {
    PathBuf::from(options.file_name("saved_model")).with_extension("")
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
