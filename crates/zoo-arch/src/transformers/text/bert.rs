//! BERT (Devlin et al., 2018): a transformer's encoder with learned positions, norms behind each sublayer.

use zoo_graph::{Builder, Val};

use super::encoder::{Encoded, Encoder};
use super::{heads, jina_bert};
use crate::nn::{activate_by_name, layer_norm, linear, text_inputs, unfold_rows};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "bert",
    prefix: "bert",
    classes: &[
        class!("BertModel", FeatureExtraction, hidden_state),
        class!("BertForMaskedLM", FillMask, masked_lm),
        class!("BertForSequenceClassification", TextClassification, sequence),
        class!("BertForTokenClassification", TokenClassification, tokens),
        class!("BertForQuestionAnswering", QuestionAnswering, question),
        class!("BertForMultipleChoice", MultipleChoice, choice),
        class!("BertForNextSentencePrediction", NextSentencePrediction, next_sentence),
        class!("BertForPreTraining", PreTraining, pretraining),
        // Classes of another network, which calls itself `bert` and has BERT's heads.
        class!("JinaBertModel", FeatureExtraction, hidden_state),
        class!("JinaBertForMaskedLM", FillMask, masked_lm),
        class!("JinaBertForSequenceClassification", TextClassification, sequence),
        class!("JinaBertForTokenClassification", TokenClassification, tokens),
        class!("JinaBertForQuestionAnswering", QuestionAnswering, question),
        class!("JinaBertForMultipleChoice", MultipleChoice, choice),
        class!("JinaBertForNextSentencePrediction", NextSentencePrediction, next_sentence),
        class!("JinaBertForPreTraining", PreTraining, pretraining),
    ],
    heads: &["cls", "classifier", "qa_outputs"],
    unused: |path| path.starts_with("pooler."),
}];

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    if jina_bert::is_meant(m) {
        return jina_bert::encoded(g, m, choices);
    }
    let encoder = Encoder::of(m.config, 12)?;
    let inputs = text_inputs(g, true, choices)?;
    let places = g.positions(&inputs.rows.sequence)?;
    let x = encoder.embed(g, &m.base.at("embeddings"), &inputs, places)?;
    let hidden = encoder.run(g, &m.base.at("encoder"), x, &inputs)?;
    Ok(Encoded { hidden, rows: inputs.rows })
}

fn hidden_state(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    heads::hidden_state(g, x.hidden, &x.rows)
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let logits = vocabulary(g, m, x.hidden)?;
    heads::token_logits(g, logits, &x.rows)
}

fn sequence(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let pooled = x.pooled(g, m)?;
    Ok(heads::output("logits", linear(g, &m.top.at("classifier"), pooled)?))
}

fn tokens(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
    heads::token_logits(g, logits, &x.rows)
}

fn question(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
}

fn choice(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, true)?;
    let pooled = x.pooled(g, m)?;
    let scores = linear(g, &m.top.at("classifier"), pooled)?;
    heads::choices(g, scores)
}

fn next_sentence(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let pooled = x.pooled(g, m)?;
    Ok(heads::output("logits", linear(g, &m.top.at("cls.seq_relationship"), pooled)?))
}

fn pretraining(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let logits = vocabulary(g, m, x.hidden)?;
    let mut outputs = heads::output("prediction_logits", unfold_rows(g, logits, &x.rows)?);
    let pooled = x.pooled(g, m)?;
    let next = linear(g, &m.top.at("cls.seq_relationship"), pooled)?;
    outputs.push(("seq_relationship_logits".to_owned(), next));
    Ok(outputs)
}

/// The words behind tokens, as rows `[batch*sequence, vocabulary]`.
fn vocabulary(g: &mut Builder, m: &Model<'_>, hidden: Val) -> Result<Val> {
    let w = m.top.at("cls.predictions");
    let x = linear(g, &w.at("transform.dense"), hidden)?;
    let x = activate_by_name(g, m.config.word(&["hidden_act"], "gelu")?, x)?;
    let x = layer_norm(g, &w.at("transform.LayerNorm"), x, m.config.epsilon("layer_norm_eps", 1e-12)?)?;
    heads::words(g, m, &w, x, "embeddings.word_embeddings.weight")
}
