//! ALBERT (Lan et al., 2019): BERT's encoder whose layers share their parameters, on words narrower than its layers.
//!
//! Layers that are the same use the same tensors of the graph: a file of 47 MB stays one of 47 MB.

use zoo_graph::{Builder, Val, Weights};

use super::encoder::{Encoded, Encoder};
use super::heads;
use crate::nn::{
    Rows, Scores, activate_by_name, attention, join_heads, layer_norm, linear, padding_bias, split_heads,
    text_inputs, unfold_rows,
};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "albert",
    prefix: "albert",
    classes: &[
        class!("AlbertModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("AlbertForMaskedLM", FillMask, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = vocabulary(g, m, x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("AlbertForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let pooled = pooled(g, m, &x)?;
            Ok(heads::output("logits", linear(g, &m.top.at("classifier"), pooled)?))
        }),
        class!("AlbertForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("AlbertForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("AlbertForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let pooled = pooled(g, m, &x)?;
            let scores = linear(g, &m.top.at("classifier"), pooled)?;
            heads::choices(g, scores)
        }),
        class!("AlbertForPreTraining", PreTraining, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = vocabulary(g, m, x.hidden)?;
            let mut outputs = heads::output("prediction_logits", unfold_rows(g, logits, &x.rows)?);
            let pooled = pooled(g, m, &x)?;
            let order = linear(g, &m.top.at("sop_classifier.classifier"), pooled)?;
            outputs.push(("sop_logits".to_owned(), order));
            Ok(outputs)
        }),
    ],
    heads: &["predictions", "sop_classifier", "classifier", "qa_outputs"],
    unused: |path| path.starts_with("pooler."),
}];

struct Albert {
    heads: usize,
    epsilon: f32,
    activation: String,
}

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    // What distances add is scaled otherwise than in BERT; no published checkpoint has them.
    if m.config.word(&["position_embedding_type"], "absolute")? != "absolute" {
        return Ok(m.config.unsupported("position_embedding_type")?);
    }
    let layers = m.config.size(&["num_hidden_layers"], 12)?;
    let groups = m.config.size(&["num_hidden_groups"], 1)?;
    let inner = m.config.size(&["inner_group_num"], 1)?;
    if layers > MOST_LAYERS {
        return Error::unsupported(format!("{layers} layers that share their parameters"));
    }
    let albert = Albert {
        heads: m.config.size(&["num_attention_heads"], 64)?,
        epsilon: m.config.epsilon("layer_norm_eps", 1e-12)?,
        activation: m.config.word(&["hidden_act"], "gelu_new")?.to_owned(),
    };
    let inputs = text_inputs(g, true, choices)?;
    let places = g.positions(&inputs.rows.sequence)?;
    let x = Encoder::of(m.config, 64)?.embed(g, &m.base.at("embeddings"), &inputs, places)?;
    let w = m.base.at("encoder");
    let mut x = linear(g, &w.at("embedding_hidden_mapping_in"), x)?;
    let bias = padding_bias(g, inputs.mask)?;

    for layer in 0..layers {
        // In floating point, as there: where groups do not divide layers, rounding decides.
        let group = (layer as f64 / (layers as f64 / groups as f64)) as usize;
        for layer in 0..inner {
            let w = w.at(format_args!("albert_layer_groups.{group}.albert_layers.{layer}"));
            x = albert.layer(g, &w, x, &inputs.rows, bias)?;
        }
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

/// Here no tensor is missing when a configuration asks for a million layers.
const MOST_LAYERS: usize = 256;

impl Albert {
    fn layer(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows, bias: Val) -> Result<Val> {
        let own = w.at("attention");
        let mut parts = Vec::with_capacity(3);
        for part in ["query", "key", "value"] {
            let y = linear(g, &own.at(part), x)?;
            parts.push(split_heads(g, y, rows, self.heads)?);
        }
        let head = g.size(parts[0], 3)?;
        let y = attention(g, parts[0], parts[1], parts[2], Scores::scaled(head, Some(bias)))?;
        let y = join_heads(g, y)?;
        let y = linear(g, &own.at("dense"), y)?;
        let y = g.add(y, x)?;
        let x = layer_norm(g, &own.at("LayerNorm"), y, self.epsilon)?;
        let y = linear(g, &w.at("ffn"), x)?;
        let y = activate_by_name(g, &self.activation, y)?;
        let y = linear(g, &w.at("ffn_output"), y)?;
        let y = g.add(y, x)?;
        Ok(layer_norm(g, &w.at("full_layer_layer_norm"), y, self.epsilon)?)
    }
}

/// The first token through `pooler` and tanh: `[batch, width]`.
fn pooled(g: &mut Builder, m: &Model<'_>, x: &Encoded) -> Result<Val> {
    let first = x.first(g)?;
    let pooled = linear(g, &m.base.at("pooler"), first)?;
    Ok(g.tanh(pooled)?)
}

/// The words behind tokens, as rows `[batch*sequence, vocabulary]`.
fn vocabulary(g: &mut Builder, m: &Model<'_>, hidden: Val) -> Result<Val> {
    let w = m.top.at("predictions");
    let x = linear(g, &w.at("dense"), hidden)?;
    let x = activate_by_name(g, m.config.word(&["hidden_act"], "gelu_new")?, x)?;
    let x = layer_norm(g, &w.at("LayerNorm"), x, m.config.epsilon("layer_norm_eps", 1e-12)?)?;
    heads::words(g, m, &w, x, "embeddings.word_embeddings.weight")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, refusal};
    use crate::testing::{Checkpoint, count};

    #[test]
    fn layers_share_their_tensors() {
        let mut c = Checkpoint::default();
        for (table, rows) in [("word", 11), ("position", 9), ("token_type", 2)] {
            c.bare(format_args!("embeddings.{table}_embeddings"), &[rows, 4]);
        }
        c.layer("embeddings.LayerNorm", &[4]).layer("encoder.embedding_hidden_mapping_in", &[6, 4]);
        let layer = "encoder.albert_layer_groups.0.albert_layers.0";
        for part in ["query", "key", "value", "dense"] {
            c.layer(format_args!("{layer}.attention.{part}"), &[6, 6]);
        }
        c.layer(format_args!("{layer}.attention.LayerNorm"), &[6])
            .layer(format_args!("{layer}.ffn"), &[8, 6]);
        c.layer(format_args!("{layer}.ffn_output"), &[6, 8]);
        c.layer(format_args!("{layer}.full_layer_layer_norm"), &[6]);
        let config = json!({"model_type": "albert", "num_hidden_layers": 5, "num_attention_heads": 2});
        let g = graph(&c, &config, "AlbertModel").unwrap();
        assert_eq!((count(&g, "Gemm"), count(&g, "Softmax")), (1 + 5 * 6, 5));
        let weights = g
            .values()
            .filter(|(_, value)| value.name.contains("albert_layers"))
            .filter(|(_, value)| matches!(value.source, zoo_graph::graph::Source::Weight(_)));
        assert_eq!(weights.count(), 16);
    }

    #[test]
    fn a_million_layers_without_tensors_of_their_own_are_refused() {
        let told = refusal(&json!({"model_type": "albert", "num_hidden_layers": 1_000_000}), "AlbertModel");
        assert!(told.contains("1000000 layers"), "{told}");
    }
}
