//! Opens an ONNX file, checks it, and puts what it says about itself into the manifest's words.

use std::path::Path;

use zoo_core::manifest::{Dim, ModelFacts, Port};
use zoo_core::path::EntryPath;
use zoo_graph::Model;

use crate::error::{Error, Result};

/// A checked model's facts.
pub(crate) struct Described {
    pub(crate) facts: ModelFacts,
    /// External data files, relative to the model's folder.
    pub(crate) with: Vec<EntryPath>,
}

/// External data files of a model, relative to its folder, whether they exist or not.
pub(crate) fn external_files(model: &Model) -> Result<Vec<EntryPath>> {
    let mut files = Vec::new();
    for file in model.external_files()? {
        let path = EntryPath::new(file.location.trim_start_matches("./")).map_err(zoo_core::Error::from)?;
        if !files.contains(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Opens and checks the model at `path`; all problems are reported at once. Reads the header, not the weights.
pub(crate) fn describe(path: &Path) -> Result<Described> {
    let model = Model::open(path)?;
    let report = zoo_graph::check(&model);
    if !report.is_ok() {
        let problems = report.problems().iter().map(ToString::to_string).collect();
        return Err(Error::Invalid { path: path.to_owned(), problems });
    }
    let mut facts = ModelFacts::default();
    facts.inputs = model.inputs().iter().map(port).collect();
    facts.outputs = model.outputs().iter().map(port).collect();
    for opset in model.opsets() {
        let domain = if opset.domain.is_empty() { "ai.onnx".to_owned() } else { opset.domain.clone() };
        facts.opsets.insert(domain, opset.version);
    }
    facts.ir_version = Some(model.ir_version());
    let producer = format!("{} {}", model.producer_name(), model.producer_version());
    facts.producer = Some(producer.trim().to_owned()).filter(|p| !p.is_empty());
    facts.nodes = Some(model.node_count() as u64);
    facts.parameters = Some(model.initializers().elements);
    Ok(Described { facts, with: external_files(&model)? })
}

fn port(port: &zoo_graph::Port) -> Port {
    let dims = |shape: &zoo_tensor::Shape| shape.dims().map(|dims| dims.iter().map(dim).collect());
    match (port.dtype(), port.shape()) {
        (Some(dtype), Some(shape)) => Port::new(&port.name, dtype.to_string(), dims(shape)),
        _ => Port::new(&port.name, port.kind.to_string(), None),
    }
}

fn dim(dim: &zoo_tensor::Dim) -> Dim {
    match dim {
        zoo_tensor::Dim::Fixed(n) => Dim::Size(*n as u64),
        other => Dim::Free(other.to_string()),
    }
}
