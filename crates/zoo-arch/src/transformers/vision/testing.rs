//! What the tests of families share: graphs of narrow checkpoints for some size of image.

use serde_json::Value;
use zoo_graph::graph::Graph;

use crate::config::Config;
use crate::image::ImageSize;
use crate::testing::Checkpoint;
use crate::transformers::{BuiltModel, ModelOptions, Result, find};

/// What is built of a class for this configuration, which names the architecture, and this size, or else the configuration's.
pub(in crate::transformers) fn built(
    checkpoint: &Checkpoint,
    config: &Value,
    class: &str,
    image_size: Option<ImageSize>,
) -> Result<BuiltModel> {
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let architecture = find(config.model_type().unwrap()).unwrap();
    let class = architecture.class(class).unwrap();
    let options = ModelOptions { image_size, ..ModelOptions::default() };
    architecture.graphs(class, &config, &checkpoint.weights(), &options)
}

/// The graph for the configuration's size.
pub(in crate::transformers) fn graph(checkpoint: &Checkpoint, config: &Value, class: &str) -> Result<Graph> {
    Ok(built(checkpoint, config, class, None)?.graphs.remove(0).1)
}

/// What is said against a configuration and this size.
pub(in crate::transformers) fn refusal(
    checkpoint: &Checkpoint,
    config: &Value,
    class: &str,
    image_size: Option<ImageSize>,
) -> String {
    built(checkpoint, config, class, image_size).unwrap_err().to_string()
}

/// A layer of ViT, of this width.
pub(in crate::transformers) fn layer(checkpoint: &mut Checkpoint, module: &str, width: usize) {
    for part in ["query", "key", "value"] {
        checkpoint.layer(format_args!("{module}.attention.attention.{part}"), &[width, width]);
    }
    checkpoint.layer(format_args!("{module}.attention.output.dense"), &[width, width]);
    checkpoint.layer(format_args!("{module}.layernorm_before"), &[width]);
    checkpoint.layer(format_args!("{module}.layernorm_after"), &[width]);
    checkpoint.layer(format_args!("{module}.intermediate.dense"), &[2 * width, width]);
    checkpoint.layer(format_args!("{module}.output.dense"), &[width, 2 * width]);
}
