//! BERT's encoder (Devlin et al., 2018), which RoBERTa, ELECTRA and others have with other words around it: a norm behind each
//! sublayer, and learned positions that are either added to words or (Shaw et al., 2018; Huang et al., 2020) looked up for the distance
//! between two tokens.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use crate::config::Config;
use crate::nn::{
    Rows, Scores, TextInputs, activate_by_name, attention, first_token, fold_rows, join_heads, layer_norm,
    linear, padding_bias, split_heads,
};
use crate::transformers::{Model, Result};

/// What the configuration says of an encoder.
pub(super) struct Encoder {
    layers: usize,
    heads: usize,
    pub(super) epsilon: f32,
    pub(super) activation: String,
    positions: Positions,
}

/// `position_embedding_type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Positions {
    /// Of tokens, added to words.
    Absolute,
    /// Of distances, multiplied with queries.
    Key,
    /// Of distances, multiplied with queries and with keys.
    KeyQuery,
}

impl Encoder {
    /// Reads it, with the defaults of `BertConfig`, which are those of `RobertaConfig` and, but for sizes, of `ElectraConfig`.
    pub(super) fn of(config: &Config, heads: usize) -> Result<Self> {
        no_decoder(config)?;
        whole_heads(config)?;
        Ok(Self {
            layers: config.size(&["num_hidden_layers"], 12)?,
            heads: config.size(&["num_attention_heads"], heads)?,
            epsilon: config.epsilon("layer_norm_eps", 1e-12)?,
            activation: config.word(&["hidden_act"], "gelu")?.to_owned(),
            positions: match config.word(&["position_embedding_type"], "absolute")? {
                "absolute" => Positions::Absolute,
                "relative_key" => Positions::Key,
                "relative_key_query" => Positions::KeyQuery,
                _ => return Ok(config.unsupported("position_embedding_type")?),
            },
        })
    }

    /// Words, their places (`i64`, `[sequence]` or `[batch, sequence]`) and the text that they belong to, through a norm:
    /// `[batch*sequence, width]`. `w` is the module `embeddings`.
    pub(super) fn embed(
        &self,
        g: &mut Builder,
        w: &Weights,
        inputs: &TextInputs,
        places: Val,
    ) -> Result<Val> {
        let words = g.weight(w, "word_embeddings.weight")?;
        let mut x = g.embedding(words, inputs.ids)?;
        // Without an input for it, everything belongs to the first text, whose row is added all the same.
        let types = match inputs.types {
            Some(types) => {
                let table = g.weight(w, "token_type_embeddings.weight")?;
                g.embedding(table, types)?
            }
            None => g.weight_rows(w, "token_type_embeddings.weight", 0, 1)?,
        };
        x = g.add(x, types)?;
        if self.positions == Positions::Absolute {
            let table = g.weight(w, "position_embeddings.weight")?;
            let places = g.embedding(table, places)?;
            x = g.add(x, places)?;
        } else {
            w.ignore(|name| name == "position_embeddings.weight");
        }
        let x = fold_rows(g, x)?;
        Ok(layer_norm(g, &w.at("LayerNorm"), x, self.epsilon)?)
    }

    /// All layers on rows `x`; `w` is the module `encoder`.
    pub(super) fn run(&self, g: &mut Builder, w: &Weights, mut x: Val, inputs: &TextInputs) -> Result<Val> {
        let bias = padding_bias(g, inputs.mask)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("layer.{layer}"));
            let y = self.attend(g, &w.at("attention.self"), x, &inputs.rows, bias)?;
            x = self.output(g, &w.at("attention.output"), y, x)?;
            let y = linear(g, &w.at("intermediate.dense"), x)?;
            let y = activate_by_name(g, &self.activation, y)?;
            x = self.output(g, &w.at("output"), y, x)?;
        }
        Ok(x)
    }

    fn attend(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows, bias: Val) -> Result<Val> {
        let mut parts = Vec::with_capacity(3);
        for part in ["query", "key", "value"] {
            let y = linear(g, &w.at(part), x)?;
            parts.push(split_heads(g, y, rows, self.heads)?);
        }
        let head = g.size(parts[0], 3)?;
        let mut scores = Scores::scaled(head, Some(bias));
        if self.positions != Positions::Absolute {
            let table = g.weight(w, "distance_embedding.weight")?;
            let scale = g.float("attention_scale", 1.0 / (head as f32).sqrt());
            parts[0] = g.mul(parts[0], scale)?;
            let mut bias = by_distance(g, parts[0], table, false)?;
            if self.positions == Positions::KeyQuery {
                let keys = g.mul(parts[1], scale)?;
                let keys = by_distance(g, keys, table, true)?;
                let keys = g.transpose(keys, &[0, 1, 3, 2])?;
                bias = g.add(bias, keys)?;
            }
            let padding = scores.bias.map_or(Ok(bias), |padding| g.add(bias, padding))?;
            scores = Scores { scale: None, bias: Some(padding), cap: None };
        }
        let y = attention(g, parts[0], parts[1], parts[2], scores)?;
        Ok(join_heads(g, y)?)
    }

    /// A dense layer, what was before it, and a norm.
    fn output(&self, g: &mut Builder, w: &Weights, y: Val, x: Val) -> Result<Val> {
        let y = linear(g, &w.at("dense"), y)?;
        let y = g.add(y, x)?;
        Ok(layer_norm(g, &w.at("LayerNorm"), y, self.epsilon)?)
    }
}

/// `x` `[batch, heads, sequence, head]` times the vector of the distance between its place and each other one: `[batch, heads, sequence,
/// others]`. The table `[2*longest - 1, head]` has the distance 0 in its middle; what stands behind the other is at a higher row, or at
/// a lower one if `others_lead`.
fn by_distance(g: &mut Builder, x: Val, table: Val, others_lead: bool) -> Result<Val> {
    let dims = g.dims(x).to_vec();
    let longest = g.size(table, 0)? / 2;
    let places = g.positions(&dims[2])?;
    let (own, others) = (g.unsqueeze(places, 1)?, g.unsqueeze(places, 0)?);
    let distance = if others_lead { g.sub(others, own)? } else { g.sub(own, others)? };
    let middle = g.int("distance_zero", longest as i64);
    let index = g.add(distance, middle)?;
    let index = g.cast(index, DType::I32)?;
    let index = g.expand_to(index, &[dims[0].clone(), dims[1].clone(), dims[2].clone(), dims[2].clone()])?;
    let table = g.transpose(table, &[1, 0])?;
    let all = g.matmul(x, table)?;
    Ok(g.gather_elements(all, index, 3)?)
}

/// Tokens behind the last layer, as rows.
pub(super) struct Encoded {
    /// `[batch*sequence, width]`.
    pub(super) hidden: Val,
    /// What its rows are.
    pub(super) rows: Rows,
}

impl Encoded {
    /// The first token of each text: `[batch, width]`.
    pub(super) fn first(&self, g: &mut Builder) -> Result<Val> {
        Ok(first_token(g, self.hidden, &self.rows)?)
    }

    /// The first token through the dense layer `pooler.dense` and tanh: `[batch, width]`.
    pub(super) fn pooled(&self, g: &mut Builder, m: &Model<'_>) -> Result<Val> {
        let first = self.first(g)?;
        let pooled = linear(g, &m.base.at("pooler.dense"), first)?;
        Ok(g.tanh(pooled)?)
    }
}

/// Refuses what a decoder has beyond an encoder.
pub(super) fn no_decoder(config: &Config) -> Result<()> {
    for name in ["is_decoder", "add_cross_attention"] {
        if config.flag(name, false)? {
            return Ok(config.unsupported(name)?);
        }
    }
    Ok(())
}

/// Refuses layers that have lost heads: how many each has left, no tensor says.
pub(super) fn whole_heads(config: &Config) -> Result<()> {
    let pruned = config.get("pruned_heads").and_then(|pruned| pruned.as_object());
    if pruned.is_some_and(|pruned| !pruned.is_empty()) {
        return Ok(config.unsupported("pruned_heads")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::refusal;

    #[test]
    fn what_is_no_plain_encoder_is_refused_by_name() {
        for (name, value) in [
            ("is_decoder", json!(true)),
            ("add_cross_attention", json!(true)),
            ("pruned_heads", json!({"0": [1]})),
            ("position_embedding_type", json!("rotary")),
        ] {
            let told = refusal(&json!({"model_type": "bert", name: value}), "BertModel");
            assert!(told.contains(&format!("`{name}`")), "{told}");
        }
        let told = refusal(&json!({"model_type": "bert", "pruned_heads": {}}), "BertModel");
        assert!(told.contains("embeddings.word_embeddings.weight"), "nothing was pruned: {told}");
    }
}
