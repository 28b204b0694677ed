//! MPNet (Song et al., 2020): BERT's encoder with places counted as RoBERTa does, and T5's bias for the distance between two tokens, one
//! for all layers.

use zoo_graph::{Builder, Val, Weights};

use super::encoder::{Encoded, whole_heads};
use super::{heads, roberta};
use crate::nn::{
    Buckets, Rows, Scores, activate_by_name, attention, bucket_bias, join_heads, layer_norm, linear,
    padding_bias, places_behind_padding, split_heads, text_inputs,
};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "mpnet",
    prefix: "mpnet",
    classes: &[
        class!("MPNetModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("MPNetForMaskedLM", FillMask, masked_lm),
        class!("MPNetForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let first = x.first(g)?;
            heads::dense_and_out(g, &m.top.at("classifier"), first, "tanh")
        }),
        class!("MPNetForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("MPNetForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("MPNetForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let pooled = x.pooled(g, m)?;
            let scores = linear(g, &m.top.at("classifier"), pooled)?;
            heads::choices(g, scores)
        }),
    ],
    heads: &["lm_head", "classifier", "qa_outputs"],
    unused: |path| path.starts_with("pooler."),
}];

/// The number of the padding token, which the class does not take from the configuration.
const PADDING: usize = 1;

/// Distances as the class counts them, whatever `relative_attention_num_buckets` says.
const BUCKETS: Buckets = Buckets { count: 32, longest: 128, both_ways: true };

struct MpNet {
    heads: usize,
    epsilon: f32,
    activation: String,
}

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    whole_heads(m.config)?;
    let mpnet = MpNet {
        heads: m.config.size(&["num_attention_heads"], 12)?,
        epsilon: m.config.epsilon("layer_norm_eps", 1e-12)?,
        activation: m.config.word(&["hidden_act"], "gelu")?.to_owned(),
    };
    let inputs = text_inputs(g, false, choices)?;
    let w = m.base.at("embeddings");
    let words = g.weight(&w, "word_embeddings.weight")?;
    let words = g.embedding(words, inputs.ids)?;
    let table = g.weight(&w, "position_embeddings.weight")?;
    let places = places_behind_padding(g, inputs.ids, PADDING)?;
    let places = g.embedding(table, places)?;
    let x = g.add(words, places)?;
    let x = crate::nn::fold_rows(g, x)?;
    let mut x = layer_norm(g, &w.at("LayerNorm"), x, mpnet.epsilon)?;

    let w = m.base.at("encoder");
    let table = g.weight(&w, "relative_attention_bias.weight")?;
    let places = g.positions(&inputs.rows.sequence)?;
    let distances = bucket_bias(g, table, (places, places), BUCKETS)?;
    let bias = padding_bias(g, inputs.mask)?;
    let bias = g.add(distances, bias)?;
    for layer in 0..m.config.size(&["num_hidden_layers"], 12)? {
        x = mpnet.layer(g, &w.at(format_args!("layer.{layer}")), x, &inputs.rows, bias)?;
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

impl MpNet {
    fn layer(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows, bias: Val) -> Result<Val> {
        let own = w.at("attention.attn");
        let mut parts = Vec::with_capacity(3);
        for part in ["q", "k", "v"] {
            let y = linear(g, &own.at(part), x)?;
            parts.push(split_heads(g, y, rows, self.heads)?);
        }
        let head = g.size(parts[0], 3)?;
        let y = attention(g, parts[0], parts[1], parts[2], Scores::scaled(head, Some(bias)))?;
        let y = join_heads(g, y)?;
        let y = linear(g, &own.at("o"), y)?;
        let y = g.add(y, x)?;
        let x = layer_norm(g, &w.at("attention.LayerNorm"), y, self.epsilon)?;
        let y = linear(g, &w.at("intermediate.dense"), x)?;
        let y = activate_by_name(g, &self.activation, y)?;
        let y = linear(g, &w.at("output.dense"), y)?;
        let y = g.add(y, x)?;
        Ok(layer_norm(g, &w.at("output.LayerNorm"), y, self.epsilon)?)
    }
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let logits = roberta::vocabulary(g, m, x.hidden)?;
    heads::token_logits(g, logits, &x.rows)
}
