//! What was pulled, staged: graphs in the model's folder whose weights lie in the originals below it, or TensorFlow's forms beside them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zoo_core::folder::NewFolder;
use zoo_core::manifest::{Dim, ModelFacts, Port, Staged};
use zoo_core::path::EntryPath;
use zoo_core::stage::{Made, StageOptions, StagedModel, Target, WeightPolicy, find_made, keep};
use zoo_core::store::{StoredModel, place_file};
use zoo_core::{Error as CoreError, fs};
use zoo_graph::Model as OnnxFile;

use crate::error::{Error, Result};
use crate::model::{Model, ORIGINAL};
use crate::stage::{Outcome, StagedGraph, StagedTensorFlow, stage};

impl Model {
    /// The staged form. What was made before with the same options is found again; otherwise it is made now, under the model's
    /// lock, and noted in the manifest. Of a model in parts, the path is that of the first one, and the others are beside it.
    pub async fn stage(&self, options: &StageOptions) -> Result<StagedModel> {
        match options.target {
            Target::Original => self.originals_as_staged(),
            Target::Onnx | Target::SavedModel | Target::FrozenGraph => {
                let (folder, originals) = (self.folder().to_owned(), self.originals());
                let mut facts = self.manifest().model.clone();
                let asked = options.clone();
                let make = move || {
                    let outcome = stage(&originals, &folder, &asked)?;
                    let staged = staged(&outcome, &folder, &asked)?;
                    describe_at(&folder, &staged, &mut facts)?;
                    note(&outcome, &mut facts);
                    Ok(Made { staged, facts })
                };
                keep(self.zoo(), self.stored(), options, described, make).await
            }
            target => Err(Error::Target { target }),
        }
    }

    /// What there is without making anything: the graph with default options if it was staged, else the originals.
    pub fn as_it_is(&self) -> Result<StagedModel> {
        match find_made(self.stored(), &StageOptions::to(Target::Onnx), described)? {
            Some(staged) => Ok(staged),
            None => self.originals_as_staged(),
        }
    }

    /// Writes the model to the folder `out`, which must be empty or absent: the graphs, `zoo.json`, and the originals; of weights only those
    /// that stay where they are. Originals are cloned or copied, or hard-linked if `link` is set and the file system allows it.
    pub fn export(&self, options: &StageOptions, out: &Path, link: bool) -> Result<StagedModel> {
        if !matches!(options.target, Target::Onnx | Target::SavedModel | Target::FrozenGraph) {
            return Err(Error::Target { target: options.target });
        }
        let folder = NewFolder::at(out)?;
        let mut manifest = self.manifest().clone();
        for file in &mut manifest.files {
            let copy = file.path.under(folder.path());
            fs::create_parent(&copy)?;
            place_file(&file.path.under(self.folder()), &copy, link)?;
            file.mtime_ns = None;
        }
        let outcome = stage(&folder.path().join(ORIGINAL), folder.path(), options)?;
        let staged = staged(&outcome, folder.path(), options)?;
        describe_at(folder.path(), &staged, &mut manifest.model)?;
        note(&outcome, &mut manifest.model);
        if options.policy() == WeightPolicy::Packed || outcome.tensorflow.is_some() {
            // What was made has weights of its own, or under names of its own.
            for source in &outcome.sources {
                fs::remove_file(source)?;
                let gone = |path: &EntryPath| path.under(folder.path()) == *source;
                manifest.files.retain(|file| !gone(&file.path));
            }
        }
        manifest.staged = vec![staged.clone()];
        manifest.write(folder.path())?;
        folder.publish()?;
        Ok(StagedModel::new(out.to_owned(), staged, manifest))
    }

    fn originals_as_staged(&self) -> Result<StagedModel> {
        let path = EntryPath::new(ORIGINAL).map_err(CoreError::from)?;
        let staged = Staged::new(Target::Original.name(), path, Vec::new());
        Ok(StagedModel::new(self.folder().to_owned(), staged, self.manifest().clone()))
    }
}

/// What was made, in the manifest's words.
pub(crate) fn staged(outcome: &Outcome, folder: &Path, options: &StageOptions) -> Result<Staged> {
    let entry = |path: &Path| {
        let within = path.strip_prefix(folder).unwrap_or(path);
        let text = within.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        EntryPath::new(text).map_err(CoreError::from)
    };
    let mut graphs = outcome.graphs.iter();
    let mut with: Vec<EntryPath> = Vec::new();
    let path = match (graphs.next(), &outcome.tensorflow) {
        (Some(StagedGraph { path, .. }), _) => path,
        (None, Some(StagedTensorFlow { path, written })) => {
            // A frozen graph is its only file.
            for file in written.files.iter().filter(|_| path.is_dir()) {
                with.push(entry(&path.join(file))?);
            }
            path
        }
        (None, None) => return Err(Error::Target { target: options.target }),
    };
    for graph in graphs {
        with.push(entry(&graph.path)?);
    }
    let beside = outcome.graphs.iter().flat_map(|graph| &graph.written.files);
    let mut files: Vec<&PathBuf> = beside.collect();
    files.sort();
    files.dedup();
    for file in files {
        with.push(entry(&folder.join(file))?);
    }
    for graph in &outcome.graphs {
        for file in &graph.written.hard_linked {
            tracing::warn!(file = %file.display(), "it has several hard links, which Python's onnx refuses to load");
        }
    }
    for warning in &outcome.warnings {
        tracing::warn!("{warning}");
    }
    let mut staged = Staged::new(options.target.name(), entry(path)?, with);
    staged.options = options.recorded();
    let mut note = |name: &str, value: Value| staged.other.insert(name.to_owned(), value);
    note("class", json!(outcome.class));
    note("task", json!(outcome.task.name()));
    note("evidence", json!(outcome.evidence));
    note("names", json!(outcome.framework.name()));
    note("tensors_used", json!(outcome.tally.used));
    note("tensors_ignored", json!(outcome.tally.ignored));
    if !outcome.left_out.is_empty() {
        note("left_out", json!(outcome.left_out));
    }
    if let Some(StagedTensorFlow { written, .. }) = &outcome.tensorflow {
        let ports = |ports: &[zoo_tf::Port]| json!(ports.iter().map(tensorflow_port).collect::<Vec<_>>());
        note(INPUTS, ports(&written.inputs));
        note(OUTPUTS, ports(&written.outputs));
    }
    Ok(staged)
}

/// What the making showed of the model.
pub(crate) fn note(outcome: &Outcome, facts: &mut ModelFacts) {
    facts.parameters = Some(outcome.parameters);
    facts.other.insert("task".to_owned(), json!(outcome.task.name()));
}

fn described(stored: &StoredModel, staged: &Staged, facts: &mut ModelFacts) -> Result<()> {
    describe_at(&stored.folder, staged, facts)
}

/// Where an entry keeps the inputs and outputs of a form that is no ONNX.
const INPUTS: &str = "inputs";
const OUTPUTS: &str = "outputs";

/// Puts in what the first graph says about itself; what the hub said stays.
pub(crate) fn describe_at(folder: &Path, staged: &Staged, facts: &mut ModelFacts) -> Result<()> {
    if staged.target != Target::Onnx.name() {
        let ports = |name: &str| {
            let noted = staged.other.get(name).cloned().unwrap_or_default();
            serde_json::from_value(noted).unwrap_or_default()
        };
        (facts.inputs, facts.outputs) = (ports(INPUTS), ports(OUTPUTS));
        return Ok(());
    }
    let model = OnnxFile::open(&staged.path.under(folder))?;
    facts.inputs = model.inputs().iter().map(port).collect();
    facts.outputs = model.outputs().iter().map(port).collect();
    facts.opsets.clear();
    for opset in model.opsets() {
        let domain = if opset.domain.is_empty() { "ai.onnx".to_owned() } else { opset.domain.clone() };
        facts.opsets.insert(domain, opset.version);
    }
    facts.ir_version = Some(model.ir_version());
    let producer = format!("{} {}", model.producer_name(), model.producer_version());
    facts.producer = Some(producer.trim().to_owned()).filter(|p| !p.is_empty());
    facts.nodes = Some(model.node_count() as u64);
    if facts.parameters.is_none() {
        facts.parameters = Some(model.initializers().elements);
    }
    Ok(())
}

fn port(port: &zoo_graph::Port) -> Port {
    let dims = |shape: &zoo_tensor::Shape| shape.dims().map(|dims| dims.iter().map(dim).collect());
    match (port.dtype(), port.shape()) {
        (Some(dtype), Some(shape)) => Port::new(&port.name, dtype.to_string(), dims(shape)),
        _ => Port::new(&port.name, port.kind.to_string(), None),
    }
}

fn tensorflow_port(port: &zoo_tf::Port) -> Port {
    let dims = port.shape.dims().map(|dims| dims.iter().map(dim).collect());
    Port::new(&port.name, port.dtype.to_string(), dims)
}

fn dim(dim: &zoo_tensor::Dim) -> Dim {
    match dim {
        zoo_tensor::Dim::Fixed(n) => Dim::Size(*n as u64),
        other => Dim::Free(other.to_string()),
    }
}
