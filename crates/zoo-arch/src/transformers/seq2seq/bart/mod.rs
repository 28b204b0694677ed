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
use crate::transformers::decoder::texts::{Reading, Texts};
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
            class!("BartForCausalLM", TextGeneration, continued),
        ],
    ),
    architecture(
        "mbart",
        &[
            bare("MBartModel"),
            generation("MBartForConditionalGeneration"),
            class!("MBartForSequenceClassification", TextClassification, sequence_classification),
            class!("MBartForQuestionAnswering", QuestionAnswering, question_answering),
            class!("MBartForCausalLM", TextGeneration, continued),
        ],
    ),
    architecture(
        "marian",
        &[
            bare("MarianModel"),
            generation("MarianMTModel"),
            class!("MarianForCausalLM", TextGeneration, continued),
        ],
    ),
    architecture(
        "pegasus",
        &[
            bare("PegasusModel"),
            generation("PegasusForConditionalGeneration"),
            class!("PegasusForCausalLM", TextGeneration, continued),
        ],
    ),
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

/// The decoder by itself, which continues a text.
fn continued(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let bart = Bart::of(m)?;
    let mut texts = Texts::read(g, m, Reading::Continuing { places: false })?;
    let x = bart.decoder_alone(g, m, &mut texts)?;
    let logits = bart.words_alone(g, m, x)?;
    let logits = unfold_rows(g, logits, &texts.rows)?;
    Ok(texts.outputs("logits", logits))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use zoo_graph::graph::{Graph, Source};

    use super::super::testing::{built, part};
    use crate::testing::{Checkpoint, count};

    /// Width 6, one layer on each side, no norm of words and no places.
    fn checkpoint(words: &str) -> Checkpoint {
        let mut c = Checkpoint::default();
        c.bare(words, &[11, 6]);
        for (side, attentions) in
            [("encoder", &["self_attn"][..]), ("decoder", &["self_attn", "encoder_attn"])]
        {
            let layer = format!("model.{side}.layers.0");
            for attention in attentions {
                for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    c.layer(format_args!("{layer}.{attention}.{name}"), &[6, 6]);
                }
                c.layer(format_args!("{layer}.{attention}_layer_norm"), &[6]);
            }
            c.layer(format_args!("{layer}.fc1"), &[10, 6]).layer(format_args!("{layer}.fc2"), &[6, 10]);
            c.layer(format_args!("{layer}.final_layer_norm"), &[6]);
        }
        c
    }

    fn config(model_type: &str) -> Value {
        json!({
            "model_type": model_type, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_attention_heads": 3, "max_position_embeddings": 7,
        })
    }

    /// The tensors that are not the checkpoint's, by name and shape.
    fn made(graph: &Graph) -> Vec<(&str, Vec<usize>)> {
        let made = |value: &zoo_graph::graph::Value| {
            matches!(&value.source, Source::Weight(_)) && !value.name.contains("layers")
        };
        let all = graph.values().map(|(_, value)| value).filter(|value| made(value));
        all.filter(|value| value.name.contains("positions"))
            .map(|v| (v.name.as_str(), v.sizes().unwrap()))
            .collect()
    }

    #[test]
    fn places_are_computed_where_the_checkpoint_lacks_them() {
        let c = checkpoint("model.shared");
        let model = built(&c, &config("marian"), "MarianMTModel", true).unwrap();
        let decoder = part(&model, "decoder_model");
        assert_eq!(made(decoder), [("embed_positions.weight", vec![7, 6])]);
        let mut with = c.clone();
        with.bare("model.encoder.embed_positions", &[7, 6]).bare("model.decoder.embed_positions", &[7, 6]);
        let model = built(&with, &config("marian"), "MarianMTModel", true).unwrap();
        let decoder = part(&model, "decoder_model");
        assert_eq!(made(decoder), [("model.decoder.embed_positions.weight", vec![7, 6])]);
        let mut config = config("marian");
        config["max_position_embeddings"] = json!(1 << 30);
        let error = built(&c, &config, "MarianMTModel", true).unwrap_err().to_string();
        assert!(error.contains("a table of 1073741824 places of 6 features"), "{error}");
    }

    #[test]
    fn words_have_one_table_under_any_name() {
        for name in ["model.shared", "model.decoder.embed_tokens", "model.encoder.embed_tokens"] {
            let model = built(&checkpoint(name), &config("marian"), "MarianMTModel", true).unwrap();
            assert_eq!(count(part(&model, "decoder_model"), "Gemm"), 11, "{name}");
        }
        let mut apart = config("marian");
        apart["share_encoder_decoder_embeddings"] = json!(false);
        let error =
            built(&checkpoint("model.decoder.embed_tokens"), &apart, "MarianMTModel", true).unwrap_err();
        assert!(error.to_string().contains("\"model.encoder.embed_tokens.weight\""), "{error}");
    }

    #[test]
    fn heads_share_the_width_evenly() {
        let mut config = config("marian");
        config["decoder_attention_heads"] = json!(4);
        let error =
            built(&checkpoint("model.shared"), &config, "MarianMTModel", true).unwrap_err().to_string();
        assert!(error.contains("4 heads of the width 6"), "{error}");
    }
}
