//! What both engines have to know of a model before they load it.

use std::path::Path;

use zoo_graph::{Model, Port, PortType, external};

use crate::{Error, Result};

/// A model's ports.
pub(crate) struct Ports {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

/// Reads a model's ports, and refuses what no engine should be shown: external data outside of the model's folder
/// (engines differ in what they follow, and old ones follow anything), and ports that are no tensors.
pub(crate) fn open(path: &Path) -> Result<Ports> {
    let model = Model::open(path)?;
    if let Some(dir) = model.dir() {
        for file in model.external_files()? {
            external::resolve(dir, tensor_in(&model, &file.location), &file.location)?;
        }
    }
    let ports = Ports { inputs: model.inputs(), outputs: model.outputs() };
    for (direction, ports) in [("input", &ports.inputs), ("output", &ports.outputs)] {
        for port in ports {
            match &port.kind {
                PortType::Tensor { .. } => {}
                // A tensor of a type that the model leaves to be inferred.
                PortType::Other(kind) if kind.starts_with("undefined") => {}
                kind => {
                    let (name, kind) = (port.name.clone(), kind.to_string());
                    return Err(Error::NotATensor { direction, name, kind });
                }
            }
        }
    }
    Ok(ports)
}

/// The name of a tensor that lies in this file, for messages.
fn tensor_in<'a>(model: &'a Model, location: &str) -> &'a str {
    let tensors = model.proto().graph.iter().flat_map(|graph| &graph.initializer);
    let mut inside = tensors.filter(|tensor| {
        zoo_graph::tensor::is_external(tensor)
            && external::place(tensor).is_ok_and(|place| place.location == location)
    });
    inside.next().map_or("", |tensor| tensor.name())
}
