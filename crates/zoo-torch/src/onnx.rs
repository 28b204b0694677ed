//! The seam between what is known of a checkpoint and the making of its graph.

use std::path::PathBuf;

use serde_json::{Map, Value};
use zoo_arch::ImageSize;
use zoo_core::path::EntryPath;
use zoo_core::stage::StageOptions;

use crate::catalog::{Catalog, Task};
use crate::error::Result;
use crate::stage::{Outcome, StageError, network_name, stage};

/// What is to be made, and of what.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The file with the weights. If they stay in it, it lies in `folder` or below.
    pub(crate) checkpoint: PathBuf,
    /// The folder of the graph.
    pub(crate) folder: PathBuf,
    /// The graph's name in it. Data beside it is called after it.
    pub(crate) file_name: String,
    /// How; `arch` is filled in where a catalogue says what network it is.
    pub(crate) options: StageOptions,
    /// Rows and columns to which the published preprocessing brings pictures.
    pub(crate) size: Option<[u32; 2]>,
}

/// What was made.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The graph, within the folder.
    pub(crate) path: EntryPath,
    /// The files that it needs beside it.
    pub(crate) with: Vec<EntryPath>,
    /// Further facts for the manifest's entry: by which evidence the network was recognised, say.
    pub(crate) notes: Map<String, Value>,
}

/// Makes the graph.
pub(crate) fn make(order: &Order) -> Result<Prepared> {
    if let Some(model) = order.options.arch.as_deref()
        && let Some(lacks) = not_built(model)
    {
        return Err(StageError::NotBuilt { model: model.to_owned(), lacks }.into());
    }
    let path = EntryPath::new(order.file_name.as_str()).map_err(zoo_core::Error::from)?;
    let usual = order.size.map(|[height, width]| ImageSize::Fixed(height as usize, width as usize));
    let outcome = stage(&order.checkpoint, &path.under(&order.folder), &order.options, usual)?;
    for warning in &outcome.warnings {
        tracing::warn!(file = %order.checkpoint.display(), "{warning}");
    }
    for file in &outcome.written.hard_linked {
        tracing::warn!(file = %file.display(), "it has several hard links, which Python's onnx refuses to load");
    }
    let entry = |file: &PathBuf| {
        let text = file.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        EntryPath::new(text).map_err(zoo_core::Error::from)
    };
    let with = outcome.written.files.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Prepared { path, with, notes: notes(&outcome) })
}

/// What is worth knowing of a choice that was made, in the manifest.
fn notes(outcome: &Outcome) -> Map<String, Value> {
    let mut notes = Map::new();
    notes.insert("network".into(), Value::from(outcome.network.name));
    notes.insert("evidence".into(), Value::from(outcome.evidence.clone()));
    notes.insert("names".into(), Value::from(outcome.names));
    if let Some(origin) = &outcome.origin {
        notes.insert("dictionary".into(), Value::from(origin.clone()));
    }
    notes.insert("tensors_used".into(), Value::from(outcome.tally.used));
    notes.insert("tensors_ignored".into(), Value::from(outcome.tally.ignored));
    notes
}

/// What is missing for a builder that the catalogue has and no network of zoo is.
fn not_built(builder: &str) -> Option<&'static str> {
    if network_name(builder).is_some() {
        return None;
    }
    let entry = Catalog::embedded().find(builder, None).ok()?;
    Some(match entry.task() {
        _ if builder.starts_with("quantized_") => "quantised networks",
        Task::Detection => "detection networks, whose boxes are computed in the graph",
        Task::OpticalFlow => "optical flow",
        Task::Video => "video transformers",
        Task::Classification | Task::Segmentation => "this network",
    })
}
