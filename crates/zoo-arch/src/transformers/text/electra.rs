//! ELECTRA (Clark et al., 2020): BERT's encoder without a pooler, on words that may be narrower than its layers. Checkpoints are of the
//! discriminator, which says of each token whether it was replaced, or of the generator, which had filled it in.

use zoo_graph::{Builder, Val};

use super::encoder::{Encoded, Encoder};
use super::heads;
use crate::nn::{activate_by_name, layer_norm, linear, text_inputs};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "electra",
    prefix: "electra",
    classes: &[
        class!("ElectraModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("ElectraForMaskedLM", FillMask, masked_lm),
        class!("ElectraForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let first = x.first(g)?;
            heads::dense_and_out(g, &m.top.at("classifier"), first, "gelu")
        }),
        class!("ElectraForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("ElectraForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("ElectraForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let summary = summary(g, m, &x)?;
            let scores = linear(g, &m.top.at("classifier"), summary)?;
            heads::choices(g, scores)
        }),
        class!("ElectraForPreTraining", PreTraining, |g, m| {
            let x = encoded(g, m, false)?;
            let w = m.top.at("discriminator_predictions");
            let y = linear(g, &w.at("dense"), x.hidden)?;
            let y = activate_by_name(g, m.config.word(&["hidden_act"], "gelu")?, y)?;
            let y = linear(g, &w.at("dense_prediction"), y)?;
            Ok(heads::output("logits", g.reshape(y, [x.rows.batch, x.rows.sequence])?))
        }),
    ],
    heads: &[
        "generator_predictions",
        "generator_lm_head",
        "discriminator_predictions",
        "classifier",
        "qa_outputs",
        "sequence_summary",
    ],
    unused: |_| false,
}];

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    let encoder = Encoder::of(m.config, 4)?;
    let inputs = text_inputs(g, true, choices)?;
    let places = g.positions(&inputs.rows.sequence)?;
    let mut x = encoder.embed(g, &m.base.at("embeddings"), &inputs, places)?;
    if m.config.size(&["embedding_size"], 128)? != m.config.size(&["hidden_size"], 256)? {
        x = linear(g, &m.base.at("embeddings_project"), x)?;
    }
    let hidden = encoder.run(g, &m.base.at("encoder"), x, &inputs)?;
    Ok(Encoded { hidden, rows: inputs.rows })
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let w = m.top.at("generator_predictions");
    let y = linear(g, &w.at("dense"), x.hidden)?;
    let y = g.gelu(y)?;
    let y = layer_norm(g, &w.at("LayerNorm"), y, m.config.epsilon("layer_norm_eps", 1e-12)?)?;
    let w = m.top.at("generator_lm_head");
    let matrix = heads::words_matrix(g, m, &w, "embeddings.word_embeddings.weight")?;
    let bias = g.weight(&w, "bias")?;
    let logits = g.gemm(y, matrix, Some(bias))?;
    heads::token_logits(g, logits, &x.rows)
}

/// One vector for a text, as `ElectraSequenceSummary` takes it: `[batch, width]`.
fn summary(g: &mut Builder, m: &Model<'_>, x: &Encoded) -> Result<Val> {
    if m.config.word(&["summary_type"], "first")? != "first" {
        return Ok(m.config.unsupported("summary_type")?);
    }
    let mut y = x.first(g)?;
    if m.config.flag("summary_use_proj", true)? {
        y = linear(g, &m.top.at("sequence_summary.summary"), y)?;
    }
    // Null stands for no nonlinearity, where no value stands for one.
    match m.config.word(&["summary_activation"], "gelu")? {
        _ if m.config.is_null("summary_activation") => Ok(y),
        "" => Ok(y),
        name => activate_by_name(g, name, y),
    }
}
