//! NomicBERT (Nussbaum et al., 2024): BERT's encoder with rotary positions and gated layers, published with a class of its own
//! (`modeling_hf_nomic_bert`), whose configuration is GPT-2's with more names. The mixture of experts of version 2 is not built.

use serde_json::json;
use zoo_graph::{Builder, Val, Weights};

use super::encoder::Encoded;
use super::heads;
use super::rotated::{self, Rotation};
use crate::config::Config;
use crate::nn::{Rope, RopeDefaults, TextInputs, fold_rows, layer_norm, linear, padding_bias, text_inputs};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "nomic_bert",
    prefix: "bert",
    classes: &[
        class!("NomicBertModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        // What `AutoModelForMaskedLM` stands for here.
        class!("NomicBertForPreTraining", FillMask, masked_lm),
        class!("NomicBertForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m)?;
            let pooled = x.pooled(g, m)?;
            Ok(heads::output("logits", linear(g, &m.top.at("classifier"), pooled)?))
        }),
    ],
    heads: &["cls", "classifier"],
    unused: |path| path.starts_with("pooler."),
}];

/// What the configuration says.
struct Nomic {
    heads: usize,
    epsilon: f32,
    activation: Activation,
}

/// What stands between the dense layers of a feed-forward network.
#[derive(Clone, Copy)]
enum Activation {
    Gelu,
    /// The product of one layer and the nonlinearity of another (Shazeer, 2020).
    Gated(Gate),
}

#[derive(Clone, Copy)]
enum Gate {
    Sigmoid,
    Silu,
    Gelu,
}

impl Nomic {
    fn of(config: &Config) -> Result<Self> {
        // Each would be another network.
        let flags =
            ["prenorm", "parallel_block", "use_rms_norm", "causal", "rotary_head_dim", "add_cross_attention"];
        for name in flags {
            if config.flag(name, false)? {
                return Ok(config.unsupported(name)?);
            }
        }
        for name in ["num_experts", "moe_every_n_layers"] {
            if config.size(&[name], 0)? > 0 {
                return Ok(config.unsupported(name)?);
            }
        }
        for name in ["rotary_emb_scale_base", "num_heads_kv"] {
            if config.has(name) {
                return Ok(config.unsupported(name)?);
            }
        }
        let epsilon = if config.has("layer_norm_epsilon") { "layer_norm_epsilon" } else { "layer_norm_eps" };
        Ok(Self {
            heads: config.size(&["n_head", "num_attention_heads"], 12)?,
            epsilon: config.epsilon(epsilon, 1e-5)?,
            activation: match config.word(&["activation_function"], "gelu_new")? {
                "swiglu" => Activation::Gated(Gate::Silu),
                "geglu" => Activation::Gated(Gate::Gelu),
                "glu" => Activation::Gated(Gate::Sigmoid),
                "gelu" => Activation::Gelu,
                // The class has the names of the approximations, and computes the exact one or the approximation, by version.
                _ => return Ok(config.unsupported("activation_function")?),
            },
        })
    }
}

fn encoded(g: &mut Builder, m: &Model<'_>) -> Result<Encoded> {
    let nomic = Nomic::of(m.config)?;
    let types = m.config.int("type_vocab_size", 2)? > 0;
    let inputs = text_inputs(g, types, false)?;
    // Configurations of later versions leave the share out: all of each head is turned.
    let share = if m.config.has("rope_parameters") { 1.0 } else { 0.0 };
    let share = m.config.number(&["rotary_emb_fraction"], share)?;
    let x = embed(g, m, &inputs, share <= 0.0)?;
    let mut x = layer_norm(g, &m.base.at("emb_ln"), x, nomic.epsilon)?;
    let rotation = if share > 0.0 {
        let head = g.size(x, 1)? / nomic.heads.max(1);
        let places = g.positions(&inputs.rows.sequence)?;
        let places = g.unsqueeze(places, 0)?;
        let (cos, sin) = rope(m.config, share, head)?.tables(g, places)?;
        Some(Rotation { cos, sin, interleaved: m.config.flag("rotary_emb_interleaved", false)? })
    } else {
        None
    };
    let bias = padding_bias(g, inputs.mask)?;
    for layer in 0..m.config.size(&["n_layer", "num_hidden_layers"], 12)? {
        let w = m.base.at(format_args!("encoder.layers.{layer}"));
        let parts = rotated::thirds(g, &w.at("attn.Wqkv"), x)?;
        let y = rotated::attend(g, parts, (&inputs.rows, nomic.heads), rotation, bias)?;
        let y = linear(g, &w.at("attn.out_proj"), y)?;
        let y = g.add(y, x)?;
        x = layer_norm(g, &w.at("norm1"), y, nomic.epsilon)?;
        let y = feed_forward(g, &w.at("mlp"), x, nomic.activation)?;
        let y = g.add(y, x)?;
        x = layer_norm(g, &w.at("norm2"), y, nomic.epsilon)?;
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

/// Words, the text that they belong to and, if nothing else says them, their places, as rows.
fn embed(g: &mut Builder, m: &Model<'_>, inputs: &TextInputs, absolute: bool) -> Result<Val> {
    let w = m.base.at("embeddings");
    let words = g.weight(&w, "word_embeddings.weight")?;
    let mut x = g.embedding(words, inputs.ids)?;
    if let Some(types) = inputs.types {
        let table = g.weight(&w, "token_type_embeddings.weight")?;
        let types = g.embedding(table, types)?;
        x = g.add(x, types)?;
    }
    if absolute {
        let table = g.weight(&w, "position_embeddings.weight")?;
        let places = g.positions(&inputs.rows.sequence)?;
        let places = g.embedding(table, places)?;
        x = g.add(x, places)?;
    }
    Ok(fold_rows(g, x)?)
}

/// How places turn queries and keys. With `rotary_scaling_factor`, the base grows with texts longer than those of training.
fn rope(config: &Config, share: f64, head: usize) -> Result<Rope> {
    let theta = config.at("rope_parameters").number(&["rope_theta"], 10_000.0)?;
    let theta = config.number(&["rotary_emb_base"], theta)?;
    let max_positions = config.size(&["max_trained_positions"], 2048)?;
    let defaults = RopeDefaults { theta, partial: share, max_positions, original: None };
    let factor = config.number(&["rotary_scaling_factor"], 0.0)?;
    let own = if factor == 0.0 { json!({}) } else { json!({"rope_type": "dynamic", "factor": factor}) };
    let own = Config::from_object(own.as_object().cloned().unwrap_or_default());
    // Other values of the configuration have the same names and other meanings there.
    let none = Config::from_object(serde_json::Map::new());
    Rope::scaled(&none, &own, theta, head, defaults)
}

fn feed_forward(g: &mut Builder, w: &Weights, x: Val, activation: Activation) -> Result<Val> {
    let y = match activation {
        Activation::Gelu => {
            let y = linear(g, &w.at("fc1"), x)?;
            g.gelu(y)?
        }
        Activation::Gated(gate) => {
            let y = linear(g, &w.at("fc11"), x)?;
            let z = linear(g, &w.at("fc12"), x)?;
            let z = match gate {
                Gate::Sigmoid => g.sigmoid(z)?,
                Gate::Silu => g.silu(z)?,
                Gate::Gelu => g.gelu(z)?,
            };
            g.mul(y, z)?
        }
    };
    Ok(linear(g, &w.at("fc2"), y)?)
}

/// The output layer is the table of words, whatever the configuration says: the class ties them.
fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let nomic = Nomic::of(m.config)?;
    let x = encoded(g, m)?;
    let w = m.top.at("cls.predictions");
    let y = linear(g, &w.at("transform.dense"), x.hidden)?;
    let y = match nomic.activation {
        Activation::Gated(Gate::Silu) => g.silu(y)?,
        _ => g.gelu(y)?,
    };
    let y = layer_norm(g, &w.at("transform.layer_norm"), y, nomic.epsilon)?;
    let table = g.weight(&m.base, "embeddings.word_embeddings.weight")?;
    let bias = g.weight_if(&w, "decoder.bias")?;
    w.ignore(|name| name == "decoder.weight");
    let logits = g.gemm(y, table, bias)?;
    heads::token_logits(g, logits, &x.rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::refusal;

    #[test]
    fn other_networks_under_this_name_are_refused() {
        for (name, value) in [
            ("prenorm", json!(true)),
            ("num_experts", json!(8)),
            ("rotary_emb_scale_base", json!(512.0)),
            ("activation_function", json!("gelu_new")),
        ] {
            let mut config = json!({"model_type": "nomic_bert", "activation_function": "swiglu"});
            config[name] = value;
            let told = refusal(&config, "NomicBertModel");
            assert!(told.contains(&format!("`{name}`")), "{told}");
        }
    }
}
