//! What the tests of families share: graphs of narrow checkpoints.

use serde_json::Value;
use zoo_graph::graph::Graph;

use crate::config::Config;
use crate::testing::Checkpoint;
use crate::transformers::{ModelOptions, Result, find};

/// The graph of a class for this configuration, which names the architecture.
pub(super) fn graph(checkpoint: &Checkpoint, config: &Value, class: &str) -> Result<Graph> {
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let architecture = find(config.model_type().unwrap()).unwrap();
    let class = architecture.class(class).unwrap();
    let mut built = architecture.graphs(class, &config, &checkpoint.weights(), &ModelOptions::default())?;
    Ok(built.graphs.remove(0).1)
}

/// What is said against a configuration, before any tensor is looked for.
pub(super) fn refusal(config: &Value, class: &str) -> String {
    graph(&Checkpoint::default(), config, class).unwrap_err().to_string()
}

/// BERT's layer `module`, of this width.
pub(super) fn layer(checkpoint: &mut Checkpoint, module: &str, width: usize) {
    for part in
        ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    {
        checkpoint.layer(format_args!("{module}.{part}"), &[width, width]);
    }
    checkpoint.layer(format_args!("{module}.attention.output.LayerNorm"), &[width]);
    checkpoint.layer(format_args!("{module}.intermediate.dense"), &[2 * width, width]);
    checkpoint.layer(format_args!("{module}.output.dense"), &[width, 2 * width]);
    checkpoint.layer(format_args!("{module}.output.LayerNorm"), &[width]);
}
