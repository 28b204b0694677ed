//! `JinaBERT` (Günther et al., 2023), version 2: BERT with gated layers, and without positions: scores fall with the distance between
//! tokens. Its configurations say `bert`, and that the class is another one, of which there are two: that of the English models, and a
//! later one with norms of queries and keys.

use zoo_graph::{Builder, Val, Weights};

use super::encoder::{Encoded, no_decoder, whole_heads};
use crate::config::Config;
use crate::nn::{
    Rows, TextInputs, activate_by_name, alibi_bias, fold_rows, layer_norm, linear, linear_rows, padding_bias,
    text_inputs,
};
use crate::transformers::{Model, Result};

use super::rotated;

/// Whether the configuration or the class that is wanted is `JinaBERT`'s.
pub(super) fn is_meant(m: &Model<'_>) -> bool {
    let classes = m.config.get("auto_map").and_then(|map| map.as_object());
    let mut names = classes.into_iter().flat_map(|map| map.values()).filter_map(|name| name.as_str());
    m.class.starts_with("Jina") || names.any(|name| name.contains("JinaBert"))
}

/// What the configuration says.
struct Jina {
    heads: usize,
    epsilon: f32,
    /// The nonlinearity of gates.
    gate: &'static str,
}

impl Jina {
    fn of(config: &Config) -> Result<Self> {
        no_decoder(config)?;
        whole_heads(config)?;
        if config.word(&["position_embedding_type"], "absolute")? != "alibi" {
            return Ok(config.unsupported("position_embedding_type")?);
        }
        Ok(Self {
            heads: config.size(&["num_attention_heads"], 12)?,
            epsilon: config.epsilon("layer_norm_eps", 1e-12)?,
            gate: match config.word(&["feed_forward_type"], "original")? {
                "geglu" => "gelu",
                "reglu" => "relu",
                _ => return Ok(config.unsupported("feed_forward_type")?),
            },
        })
    }
}

/// Tokens behind the last layer.
pub(super) fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    let jina = Jina::of(m.config)?;
    let inputs = text_inputs(g, true, choices)?;
    let mut x = jina.embed(g, &m.base.at("embeddings"), &inputs)?;
    let places = g.positions(&inputs.rows.sequence)?;
    let distances = alibi_bias(g, places, jina.heads)?;
    let padding = padding_bias(g, inputs.mask)?;
    let bias = g.add(padding, distances)?;
    for layer in 0..m.config.size(&["num_hidden_layers"], 12)? {
        let w = m.base.at(format_args!("encoder.layer.{layer}"));
        let later = w.has("mlp.up_gated_layer.weight");
        let y = jina.attend(g, &w.at("attention"), x, &inputs.rows, bias, later)?;
        x = if later { jina.later(g, &w, x, y)? } else { jina.first(g, &w.at("mlp"), y)? };
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

impl Jina {
    /// Words and the text that they belong to, through a norm, as rows.
    fn embed(&self, g: &mut Builder, w: &Weights, inputs: &TextInputs) -> Result<Val> {
        let words = g.weight(w, "word_embeddings.weight")?;
        let mut x = g.embedding(words, inputs.ids)?;
        if let Some(types) = inputs.types {
            let table = g.weight(w, "token_type_embeddings.weight")?;
            let types = g.embedding(table, types)?;
            x = g.add(x, types)?;
        }
        let x = fold_rows(g, x)?;
        Ok(layer_norm(g, &w.at("LayerNorm"), x, self.epsilon)?)
    }

    /// Attention with what is around it: a dense layer, what was before, a norm.
    fn attend(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        rows: &Rows,
        bias: Val,
        later: bool,
    ) -> Result<Val> {
        let own = w.at("self");
        let part = |g: &mut Builder, name: &str, norm: Option<&str>| -> Result<Val> {
            let y = linear(g, &own.at(name), x)?;
            // Over all heads together.
            Ok(match norm.filter(|_| later) {
                Some(norm) => layer_norm(g, &own.at(norm), y, self.epsilon)?,
                None => y,
            })
        };
        let parts = [
            part(g, "query", Some("layer_norm_q"))?,
            part(g, "key", Some("layer_norm_k"))?,
            part(g, "value", None)?,
        ];
        let y = rotated::attend(g, parts, (rows, self.heads), None, bias)?;
        let y = linear(g, &w.at("output.dense"), y)?;
        let y = g.add(y, x)?;
        Ok(layer_norm(g, &w.at("output.LayerNorm"), y, self.epsilon)?)
    }

    /// The gated layer of the first class: its first half is the gate.
    fn first(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let width = w.shape("gated_layers.weight")?.first().copied().unwrap_or_default() / 2;
        let gate = linear_rows(g, &w.at("gated_layers"), x, 0, width)?;
        let gate = activate_by_name(g, self.gate, gate)?;
        let up = linear_rows(g, &w.at("gated_layers"), x, width, width)?;
        let y = g.mul(gate, up)?;
        let y = linear(g, &w.at("wo"), y)?;
        let y = g.add(y, x)?;
        Ok(layer_norm(g, &w.at("layernorm"), y, self.epsilon)?)
    }

    /// What follows on attention `y` of `x` in the later class, where `x` is added once more; the second half of the layer is the gate.
    fn later(&self, g: &mut Builder, w: &Weights, x: Val, y: Val) -> Result<Val> {
        let x = g.add(x, y)?;
        let x = layer_norm(g, &w.at("layer_norm_1"), x, self.epsilon)?;
        let mlp = w.at("mlp");
        let width = mlp.shape("up_gated_layer.weight")?.first().copied().unwrap_or_default() / 2;
        let up = linear_rows(g, &mlp.at("up_gated_layer"), x, 0, width)?;
        let gate = linear_rows(g, &mlp.at("up_gated_layer"), x, width, width)?;
        let gate = activate_by_name(g, self.gate, gate)?;
        let y = g.mul(up, gate)?;
        let y = linear(g, &mlp.at("down_layer"), y)?;
        let y = g.add(x, y)?;
        Ok(layer_norm(g, &w.at("layer_norm_2"), y, self.epsilon)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::refusal;

    #[test]
    fn a_bert_that_is_none_is_told_by_its_class() {
        let auto_map = json!({"AutoModel": "some/repository--modeling_bert.JinaBertModel"});
        let config = json!({"model_type": "bert", "auto_map": auto_map, "position_embedding_type": "alibi"});
        let told = refusal(&config, "BertModel");
        assert!(told.contains("`feed_forward_type` = its default"), "{told}");
        let told = refusal(&json!({"model_type": "bert", "feed_forward_type": "geglu"}), "JinaBertModel");
        assert!(told.contains("`position_embedding_type` = its default"), "{told}");
    }
}
