//! What the tests of families share: graphs of narrow checkpoints.

use serde_json::{Value, json};
use zoo_graph::graph::Graph;

use crate::config::Config;
use crate::testing::Checkpoint;
use crate::transformers::{ModelOptions, Result, find};

/// The graph of a class for this configuration, which names the architecture.
pub(super) fn graph(
    checkpoint: &Checkpoint,
    config: &Value,
    class: &str,
    options: &ModelOptions,
) -> Result<Graph> {
    let config = Config::parse(config.to_string().as_bytes()).unwrap();
    let architecture = find(config.model_type().unwrap()).unwrap();
    let class = architecture.class(class).unwrap();
    let mut built = architecture.graphs(class, &config, &checkpoint.weights(), options)?;
    Ok(built.graphs.remove(0).1)
}

/// What is said against a configuration, before any tensor is looked for.
pub(super) fn refusal(config: &Value, class: &str) -> String {
    graph(&Checkpoint::default(), config, class, &ModelOptions::default()).unwrap_err().to_string()
}

/// LLaMA with two layers, 4 heads of 16 features that share 2 keys and values, and this head.
pub(super) fn llama(head: &str, rows: usize) -> Checkpoint {
    let mut c = Checkpoint::default();
    c.bare("model.embed_tokens", &[11, 8]).bare("model.norm", &[8]).bare(head, &[rows, 8]);
    for layer in 0..2 {
        let layer = format!("model.layers.{layer}");
        for (part, shape) in [
            ("self_attn.q_proj", [64, 8]),
            ("self_attn.k_proj", [32, 8]),
            ("self_attn.v_proj", [32, 8]),
            ("self_attn.o_proj", [8, 64]),
            ("mlp.gate_proj", [12, 8]),
            ("mlp.up_proj", [12, 8]),
            ("mlp.down_proj", [8, 12]),
        ] {
            c.bare(format_args!("{layer}.{part}"), &shape);
        }
        c.bare(format_args!("{layer}.input_layernorm"), &[8]);
        c.bare(format_args!("{layer}.post_attention_layernorm"), &[8]);
    }
    c
}

/// The configuration of [`llama`] with these values on top.
pub(super) fn llama_config(more: &Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "hidden_size": 8
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    config
}
