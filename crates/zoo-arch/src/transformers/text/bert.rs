//! BERT (Devlin et al., 2018): a transformer's encoder with learned positions, norms behind each sublayer.

use zoo_graph::{Builder, Val};

use super::encoder::{Encoded, Encoder};
use super::heads;
use crate::nn::{activate_by_name, layer_norm, linear, text_inputs, unfold_rows};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "bert",
    prefix: "bert",
    classes: &[
        class!("BertModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("BertForMaskedLM", FillMask, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = vocabulary(g, m, x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("BertForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let pooled = x.pooled(g, m)?;
            Ok(heads::output("logits", linear(g, &m.top.at("classifier"), pooled)?))
        }),
        class!("BertForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("BertForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("BertForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let pooled = x.pooled(g, m)?;
            let scores = linear(g, &m.top.at("classifier"), pooled)?;
            heads::choices(g, scores)
        }),
        class!("BertForNextSentencePrediction", NextSentencePrediction, |g, m| {
            let x = encoded(g, m, false)?;
            let pooled = x.pooled(g, m)?;
            Ok(heads::output("logits", linear(g, &m.top.at("cls.seq_relationship"), pooled)?))
        }),
        class!("BertForPreTraining", PreTraining, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = vocabulary(g, m, x.hidden)?;
            let mut outputs = heads::output("prediction_logits", unfold_rows(g, logits, &x.rows)?);
            let pooled = x.pooled(g, m)?;
            let next = linear(g, &m.top.at("cls.seq_relationship"), pooled)?;
            outputs.push(("seq_relationship_logits".to_owned(), next));
            Ok(outputs)
        }),
    ],
    heads: &["cls", "classifier", "qa_outputs"],
    unused: |path| path.starts_with("pooler."),
}];

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    let encoder = Encoder::of(m.config, 12)?;
    let inputs = text_inputs(g, true, choices)?;
    let places = g.positions(&inputs.rows.sequence)?;
    let x = encoder.embed(g, &m.base.at("embeddings"), &inputs, places)?;
    let hidden = encoder.run(g, &m.base.at("encoder"), x, &inputs)?;
    Ok(Encoded { hidden, rows: inputs.rows })
}

/// The words behind tokens, as rows `[batch*sequence, vocabulary]`.
fn vocabulary(g: &mut Builder, m: &Model<'_>, hidden: Val) -> Result<Val> {
    let w = m.top.at("cls.predictions");
    let x = linear(g, &w.at("transform.dense"), hidden)?;
    let x = activate_by_name(g, m.config.word(&["hidden_act"], "gelu")?, x)?;
    let x = layer_norm(g, &w.at("transform.LayerNorm"), x, m.config.epsilon("layer_norm_eps", 1e-12)?)?;
    heads::words(g, m, &w, x, "embeddings.word_embeddings.weight")
}
