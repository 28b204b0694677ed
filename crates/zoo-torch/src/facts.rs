//! What is known of a model, in the manifest's words: from torchvision's catalogue when it is pulled, from the graph itself when
//! it is staged.

use std::path::Path;

use serde_json::{Value, json};
use zoo_core::manifest::{Dim, ModelFacts, Port};
use zoo_graph::Model;

use crate::catalog::{Entry, Task};
use crate::error::Result;

/// The licence where torchvision names none for the weights.
const UNKNOWN: &str = "unknown";

/// Puts in what the catalogue says. What a staged graph said stays.
pub(crate) fn of_entry(entry: &Entry, facts: &mut ModelFacts) {
    facts.parameters = Some(entry.parameters());
    facts.tags = entry.tags();
    // The library's own BSD licence is of its code; of the weights it says nothing, and neither does zoo.
    facts.licence = Some(entry.licence().unwrap_or(UNKNOWN).to_owned());
    facts.preprocessing = entry.transform().recipe().map(|recipe| json!(recipe));
    facts.labels = entry.labels().map(|(set, names)| json!({ "set": set, "names": names }));
    facts.documentation = Some(entry.documentation());
    let mut note = |name: &str, value: Value| {
        facts.other.insert(name.to_owned(), value);
    };
    note("task", json!(entry.task()));
    note("metrics", json!(entry.metrics()));
    note("training", json!(entry.recipe_url()));
    note("min_size", json!(entry.min_size()));
    if let Some(frames) = entry.min_frames() {
        note("min_frames", json!(frames));
    }
    if let Some(engine) = entry.quantized_for() {
        note("quantized_for", json!(engine));
    }
    if let Some((set, names)) = entry.keypoints() {
        note("keypoints", json!({ "set": set, "names": names }));
    }
    if let Some((input, output)) = meaning(entry) {
        note("meaning", json!({ "input": input, "output": output }));
    }
}

/// What goes in and what comes out, where the graph has one of each.
fn meaning(entry: &Entry) -> Option<(&'static str, &'static str)> {
    let picture = "a picture, prepared as `preprocessing` says";
    Some(match (entry.task(), entry.labels()) {
        (Task::Classification, Some(_)) => {
            (picture, "a score per label, not yet a probability: that is the softmax over the last dimension")
        }
        (Task::Classification, None) => {
            (picture, "what the last layer computes; no labels are published for it")
        }
        (Task::Segmentation, _) => {
            (picture, "a score per label and pixel: the largest along dimension 1 tells the pixel's label")
        }
        (Task::Video, _) => (
            "a clip, every frame prepared as `preprocessing` says",
            "a score per label, not yet a probability: that is the softmax over the last dimension",
        ),
        (Task::Detection | Task::OpticalFlow, _) => return None,
    })
}

/// Puts in what a staged graph says about itself. What the catalogue said stays.
pub(crate) fn of_graph(path: &Path, facts: &mut ModelFacts) -> Result<()> {
    let model = Model::open(path)?;
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
    // torchvision counts what was trained, and says so; the graph also holds running means and variances.
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

fn dim(dim: &zoo_tensor::Dim) -> Dim {
    match dim {
        zoo_tensor::Dim::Fixed(n) => Dim::Size(*n as u64),
        other => Dim::Free(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn facts(name: &str, revision: Option<&str>) -> ModelFacts {
        let mut facts = ModelFacts::default();
        of_entry(&Catalog::embedded().find(name, revision).unwrap(), &mut facts);
        facts
    }

    #[test]
    fn the_manifest_says_what_torchvision_says() {
        let known = facts("resnet50", Some("IMAGENET1K_V1"));
        assert_eq!(known.parameters, Some(25_557_032));
        assert_eq!(known.licence.as_deref(), Some("unknown"));
        assert_eq!(known.tags, ["classification", "imagenet1k"]);
        assert_eq!(known.other["task"], "classification");
        assert_eq!(known.other["metrics"]["ImageNet-1K"]["acc@5"], 92.862);
        let labels = known.labels.unwrap();
        assert_eq!((&labels["set"], &labels["names"][0]), (&json!("imagenet1k"), &json!("tench")));
        assert!(known.other["meaning"]["output"].as_str().unwrap().contains("softmax"));
        let swag = facts("regnet_y_16gf", Some("IMAGENET1K_SWAG_E2E_V1"));
        assert!(swag.licence.unwrap().starts_with("https://github.com/facebookresearch/SWAG/"));
    }

    #[test]
    fn what_a_task_does_not_have_is_absent() {
        let flow = facts("raft_small", None);
        assert_eq!((flow.preprocessing, flow.labels, flow.other.get("meaning")), (None, None, None));
        let features = facts("vgg16", Some("IMAGENET1K_FEATURES"));
        assert_eq!((features.labels, &features.other["metrics"]), (None, &json!({})));
        assert!(features.other["meaning"]["output"].as_str().unwrap().contains("no labels"));
        let points = facts("keypointrcnn_resnet50_fpn", None);
        assert_eq!(points.other["keypoints"]["names"].as_array().unwrap().len(), 17);
        assert_eq!(facts("quantized_resnet18", None).other["quantized_for"], "fbgemm");
        assert_eq!(facts("s3d", None).other["min_frames"], 14);
    }
}
