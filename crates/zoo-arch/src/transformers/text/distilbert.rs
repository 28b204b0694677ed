//! DistilBERT (Sanh et al., 2019): BERT's encoder with half the layers, and without token types and pooler.

use zoo_graph::{Builder, Val, Weights};

use super::encoder::{Encoded, whole_heads};
use super::heads;
use crate::nn::{
    Rows, Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear, padding_bias,
    split_heads, text_inputs,
};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "distilbert",
    prefix: "distilbert",
    classes: &[
        class!("DistilBertModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("DistilBertForMaskedLM", FillMask, masked_lm),
        class!("DistilBertForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            Ok(heads::output("logits", classified(g, m, &x)?))
        }),
        class!("DistilBertForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("DistilBertForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("DistilBertForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let scores = classified(g, m, &x)?;
            heads::choices(g, scores)
        }),
    ],
    heads: &[
        "vocab_transform",
        "vocab_layer_norm",
        "vocab_projector",
        "pre_classifier",
        "classifier",
        "qa_outputs",
    ],
    unused: |_| false,
}];

/// What the class adds to variances, whatever the configuration says.
const EPSILON: f32 = 1e-12;

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    whole_heads(m.config)?;
    let heads = m.config.size(&["n_heads", "num_attention_heads"], 12)?;
    let activation = m.config.word(&["activation"], "gelu")?;
    let inputs = text_inputs(g, false, choices)?;
    let w = m.base.at("embeddings");
    let words = g.weight(&w, "word_embeddings.weight")?;
    let words = g.embedding(words, inputs.ids)?;
    let table = g.weight(&w, "position_embeddings.weight")?;
    let places = g.positions(&inputs.rows.sequence)?;
    let places = g.embedding(table, places)?;
    let x = g.add(words, places)?;
    let x = fold_rows(g, x)?;
    let mut x = layer_norm(g, &w.at("LayerNorm"), x, EPSILON)?;

    let bias = padding_bias(g, inputs.mask)?;
    for layer in 0..m.config.size(&["n_layers", "num_hidden_layers"], 6)? {
        let w = m.base.at(format_args!("transformer.layer.{layer}"));
        let y = attend(g, &w.at("attention"), x, (&inputs.rows, heads), bias)?;
        let y = g.add(y, x)?;
        x = layer_norm(g, &w.at("sa_layer_norm"), y, EPSILON)?;
        let y = linear(g, &w.at("ffn.lin1"), x)?;
        let y = activate_by_name(g, activation, y)?;
        let y = linear(g, &w.at("ffn.lin2"), y)?;
        let y = g.add(y, x)?;
        x = layer_norm(g, &w.at("output_layer_norm"), y, EPSILON)?;
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

fn attend(g: &mut Builder, w: &Weights, x: Val, (rows, heads): (&Rows, usize), bias: Val) -> Result<Val> {
    let mut parts = Vec::with_capacity(3);
    for part in ["q_lin", "k_lin", "v_lin"] {
        let y = linear(g, &w.at(part), x)?;
        parts.push(split_heads(g, y, rows, heads)?);
    }
    let head = g.size(parts[0], 3)?;
    let y = attention(g, parts[0], parts[1], parts[2], Scores::scaled(head, Some(bias)))?;
    let y = join_heads(g, y)?;
    Ok(linear(g, &w.at("out_lin"), y)?)
}

/// The first token through `pre_classifier`, ReLU and `classifier`: `[batch, labels]`.
fn classified(g: &mut Builder, m: &Model<'_>, x: &Encoded) -> Result<Val> {
    let first = x.first(g)?;
    let y = linear(g, &m.top.at("pre_classifier"), first)?;
    let y = g.relu(y)?;
    Ok(linear(g, &m.top.at("classifier"), y)?)
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let y = linear(g, &m.top.at("vocab_transform"), x.hidden)?;
    let y = activate_by_name(g, m.config.word(&["activation"], "gelu")?, y)?;
    let y = layer_norm(g, &m.top.at("vocab_layer_norm"), y, EPSILON)?;
    let w = m.top.at("vocab_projector");
    let matrix = heads::words_matrix(g, m, &w, "embeddings.word_embeddings.weight")?;
    let bias = g.weight(&w, "bias")?;
    let logits = g.gemm(y, matrix, Some(bias))?;
    heads::token_logits(g, logits, &x.rows)
}
