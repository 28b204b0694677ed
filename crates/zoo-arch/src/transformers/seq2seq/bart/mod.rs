//! BART (Lewis et al., 2020) and what follows on it: mBART, Marian, PEGASUS, M2M-100 and NLLB, which share one checkpoint's layout.
//!
//! They differ in where norms stand (behind a sublayer and its residual, or in front of it, with one more at the end), in how places
//! become vectors ([`positions`]), in whether words are normalised and scaled, and in the heads that they have.

mod model;
mod positions;

use zoo_graph::{Builder, Val};
use zoo_tensor::DType;

use self::model::Bart;
use super::decoder::{Decoder, Face, Run, decoder_length, encoder_inputs};
use super::heads::{classified, last_end, shifted, shifted_around, spans, token, unfolded};
use crate::nn::{Rows, text_inputs, unfold_rows};
use crate::task::Task;
use crate::transformers::{Architecture, Class, Model, Outputs, Part, Result, class};

const MODEL: &[Part] = &[Part::new("model", both)];

const GENERATION: &[Part] = &[
    Part::new("encoder_model", encoder_part),
    Part::new("decoder_model", |g, m| {
        decoder_part(g, m, if m.options.cache { Run::First } else { Run::Whole })
    }),
    Part::cached("decoder_with_past_model", |g, m| decoder_part(g, m, Run::Next)),
    Part::cached("decoder_model_merged", |g, m| decoder_part(g, m, Run::Merged)),
];

const fn bare(name: &'static str) -> Class {
    Class { name, task: Task::FeatureExtraction, parts: MODEL }
}

const fn generation(name: &'static str) -> Class {
    Class { name, task: Task::Text2TextGeneration, parts: GENERATION }
}

pub(super) const ARCHITECTURES: &[Architecture] = &[
    architecture(
        "bart",
        &[
            bare("BartModel"),
            generation("BartForConditionalGeneration"),
            class!("BartForSequenceClassification", TextClassification, sequence_classification),
            class!("BartForQuestionAnswering", QuestionAnswering, question_answering),
        ],
    ),
    architecture(
        "mbart",
        &[
            bare("MBartModel"),
            generation("MBartForConditionalGeneration"),
            class!("MBartForSequenceClassification", TextClassification, sequence_classification),
            class!("MBartForQuestionAnswering", QuestionAnswering, question_answering),
        ],
    ),
    architecture("marian", &[bare("MarianModel"), generation("MarianMTModel")]),
    architecture("pegasus", &[bare("PegasusModel"), generation("PegasusForConditionalGeneration")]),
    architecture("m2m_100", &[bare("M2M100Model"), generation("M2M100ForConditionalGeneration")]),
];

const fn architecture(model_type: &'static str, classes: &'static [Class]) -> Architecture {
    let heads = &["lm_head", "final_logits_bias", "classification_head", "qa_outputs"];
    Architecture { model_type, prefix: "model", classes, heads, unused }
}

/// The table of words under its other names, tables of places that are computed, and the version of the software that trained.
fn unused(path: &str) -> bool {
    path == "shared.weight"
        || path.ends_with("embed_tokens.weight")
        || path.ends_with("embed_positions.weights")
        || path.ends_with("coder.version")
}

/// Encoder and decoder in one graph, of two texts.
fn both(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let bart = Bart::of(m)?;
    let (ids, mask, rows) = encoder_inputs(g)?;
    let decoder_rows = Rows { batch: rows.batch.clone(), sequence: decoder_length() };
    let dims = [decoder_rows.batch.clone(), decoder_rows.sequence.clone()];
    let decoder_ids = g.input("decoder_input_ids", DType::I64, dims)?;
    let encoded = bart.encoder(g, m, ids, mask, &rows)?;
    let mut d = Decoder::within(decoder_ids, decoder_rows, encoded);
    let x = bart.decoder(g, m, &mut d)?;
    unfolded(g, "last_hidden_state", x, &d.rows)
}

fn encoder_part(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let bart = Bart::of(m)?;
    let (ids, mask, rows) = encoder_inputs(g)?;
    let encoded = bart.encoder(g, m, ids, mask, &rows)?;
    unfolded(g, "last_hidden_state", encoded.states()?, &rows)
}

fn decoder_part(g: &mut Builder, m: &Model<'_>, run: Run) -> Result<Outputs> {
    let bart = Bart::of(m)?;
    let face = Face {
        layers: bart.decoder.layers.min(m.base.count("decoder.layers")),
        heads: bart.decoder.heads,
        head: bart.decoder.head()?,
        width: bart.width,
        masked: true,
    };
    let mut d = Decoder::apart(g, run, face)?;
    let x = bart.decoder(g, m, &mut d)?;
    let logits = bart.words(g, m, x)?;
    let logits = unfold_rows(g, logits, &d.rows)?;
    d.outputs(g, "logits", logits)
}

/// A text through both sides; the decoder gets it one place later. Gives its tokens, the decoder's states and what their rows are.
fn through_both(g: &mut Builder, m: &Model<'_>) -> Result<(Val, Val, Rows)> {
    let bart = Bart::of(m)?;
    let inputs = text_inputs(g, false, false)?;
    let encoded = bart.encoder(g, m, inputs.ids, inputs.mask, &inputs.rows)?;
    let ids = match m.config.model_type() {
        // Texts begin with the token of their language, which stands at their end.
        Some("mbart") => shifted_around(g, inputs.ids, token(m.config, "pad_token_id", Some(1))?)?,
        _ => shifted(g, inputs.ids, token(m.config, "decoder_start_token_id", Some(2))?)?,
    };
    let mut d = Decoder::within(ids, inputs.rows.clone(), encoded);
    let x = bart.decoder(g, m, &mut d)?;
    Ok((inputs.ids, x, inputs.rows))
}

fn sequence_classification(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (ids, x, rows) = through_both(g, m)?;
    let last = last_end(g, ids, token(m.config, "eos_token_id", Some(2))?, x, &rows)?;
    classified(g, &m.top.at("classification_head"), last)
}

fn question_answering(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (_, x, rows) = through_both(g, m)?;
    spans(g, &m.top.at("qa_outputs"), x, &rows)
}
