//! What the tests of families share: graphs of narrow checkpoints.

use serde_json::Value;
use zoo_graph::Val;
use zoo_graph::graph::Graph;

use crate::config::Config;
use crate::testing::Checkpoint;
use crate::transformers::{BuiltModel, ModelOptions, Result, find};

/// A class of the architecture that the configuration names, with a cache or without.
pub(crate) fn built(checkpoint: &Checkpoint, config: &Value, class: &str, cache: bool) -> Result<BuiltModel> {
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let architecture = find(config.model_type().unwrap()).unwrap();
    let class = architecture.class(class).unwrap();
    architecture.graphs(
        class,
        &config,
        &checkpoint.weights(),
        &ModelOptions { cache, ..ModelOptions::default() },
    )
}

/// The graph of this part.
pub(crate) fn part<'a>(built: &'a BuiltModel, name: &str) -> &'a Graph {
    let found = built.graphs.iter().find(|(own, _)| *own == name);
    &found.unwrap_or_else(|| panic!("no part is called {name}")).1
}

/// Values with their dimensions: `logits[batch_size,2]`.
pub(crate) fn faces(graph: &Graph, vals: &[Val]) -> Vec<String> {
    let face = |val: &Val| {
        let value = graph.value(*val);
        let dims: Vec<String> = value.dims.iter().map(ToString::to_string).collect();
        format!("{}[{}]", value.name, dims.join(","))
    };
    vals.iter().map(face).collect()
}
