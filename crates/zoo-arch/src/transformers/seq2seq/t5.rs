//! T5 (Raffel et al., 2020), mT5 (Xue et al., 2021) and UMT5 (Chung et al., 2023): norms in front of each sublayer, without means and
//! biases; positions only as a bias on scores, in buckets that all layers share (in UMT5, that each has for itself); scores are not scaled.
//!
//! Differences between releases are the configuration's: gated feed-forward layers (T5 1.1, FLAN, mT5), an output layer of its own
//! instead of the table of words, whose states are then scaled by the root of their width.

use zoo_graph::{Builder, Error as GraphError, Val, Weights};
use zoo_tensor::DType;

use super::decoder::{Decoder, Encoded, Face, Run, decoder_length, encoder_inputs};
use super::heads::{classified, last_end, shifted, spans, token, unfolded};
use crate::config::Config;
use crate::nn::{
    Buckets, Rows, Scores, activate_by_name, attention, bucket_bias, fold_rows, join_heads, linear,
    padding_bias, rms_norm, split_heads, text_inputs, unfold_rows,
};
use crate::task::Task;
use crate::transformers::{Architecture, Class, Model, Outputs, Part, Result};

/// The classes of a release, whose names begin so.
macro_rules! classes {
    ($name:literal) => {
        &[
            Class {
                name: concat!($name, "Model"),
                task: Task::FeatureExtraction,
                parts: &[Part::new("model", both)],
            },
            Class {
                name: concat!($name, "EncoderModel"),
                task: Task::FeatureExtraction,
                parts: &[Part::new("model", encoder_alone)],
            },
            Class {
                name: concat!($name, "ForConditionalGeneration"),
                task: Task::Text2TextGeneration,
                parts: &[
                    Part::new("encoder_model", encoder_part),
                    Part::new("decoder_model", |g, m| decoder_part(g, m, first(m))),
                    Part::cached("decoder_with_past_model", |g, m| decoder_part(g, m, Run::Next)),
                    Part::cached("decoder_model_merged", |g, m| decoder_part(g, m, Run::Merged)),
                ],
            },
            Class {
                name: concat!($name, "ForSequenceClassification"),
                task: Task::TextClassification,
                parts: &[Part::new("model", sequence_classification)],
            },
            Class {
                name: concat!($name, "ForTokenClassification"),
                task: Task::TokenClassification,
                parts: &[Part::new("model", token_classification)],
            },
            Class {
                name: concat!($name, "ForQuestionAnswering"),
                task: Task::QuestionAnswering,
                parts: &[Part::new("model", question_answering)],
            },
        ]
    };
}

const HEADS: &[&str] = &["lm_head", "classification_head", "classifier", "qa_outputs"];

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture { model_type: "t5", prefix: "transformer", classes: classes!("T5"), heads: HEADS, unused },
    Architecture { model_type: "mt5", prefix: "transformer", classes: classes!("MT5"), heads: HEADS, unused },
    Architecture {
        model_type: "umt5",
        prefix: "transformer",
        classes: classes!("UMT5"),
        heads: HEADS,
        unused,
    },
];

/// The table of words under its other names; a table that cross-attention had in the first releases, and never used.
fn unused(path: &str) -> bool {
    path.ends_with("embed_tokens.weight")
        || path == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
}

fn first(m: &Model<'_>) -> Run {
    if m.options.cache { Run::First } else { Run::Whole }
}

/// What the configuration says.
struct T5 {
    layers: usize,
    decoder_layers: usize,
    heads: usize,
    head: usize,
    epsilon: f32,
    activation: String,
    gated: bool,
    buckets: usize,
    farthest: usize,
    /// Whether each layer has a bias of its own.
    each: bool,
    /// Whether the table of words is the output layer, too.
    tied: bool,
}

/// Tokens that see each other, and the bias between them.
struct Sight {
    queries: Val,
    keys: Val,
    /// What hides some of them.
    hidden: Val,
    /// Whether what is behind a query has buckets of its own.
    both_ways: bool,
    /// The bias of the layer before.
    bias: Option<Val>,
}

impl T5 {
    fn of(config: &Config) -> Result<Self> {
        let each = config.model_type() == Some("umt5");
        let multilingual = each || config.model_type() == Some("mt5");
        if config.flag("tie_encoder_decoder", false)? {
            return Ok(config.unsupported("tie_encoder_decoder")?);
        }
        let projection =
            config.word(&["feed_forward_proj"], if multilingual { "gated-gelu" } else { "relu" })?;
        let (gated, activation) = match projection.strip_prefix("gated-") {
            // Said so before there was a choice of GELUs.
            Some("gelu") => (true, "gelu_new"),
            Some(activation) => (true, activation),
            None => (false, projection),
        };
        let layers = config.size(&["num_layers", "num_hidden_layers"], if multilingual { 8 } else { 6 })?;
        Ok(Self {
            layers,
            decoder_layers: config.size(&["num_decoder_layers"], layers)?,
            heads: config.size(&["num_heads", "num_attention_heads"], if multilingual { 6 } else { 8 })?,
            head: config.size(&["d_kv", "head_dim"], 64)?,
            epsilon: config.epsilon("layer_norm_epsilon", 1e-6)?,
            activation: config.word(&["dense_act_fn"], activation)?.to_owned(),
            gated: config.flag("is_gated_act", gated)?,
            buckets: config.size(&["relative_attention_num_buckets"], 32)?,
            farthest: config.size(&["relative_attention_max_distance"], 128)?,
            each,
            tied: config.flag("tie_word_embeddings", each || !multilingual)?,
        })
    }

    /// The bias of a layer's own attention `w`: that of the layer before, where the first has it for all.
    fn bias(&self, g: &mut Builder, w: &Weights, sight: &mut Sight) -> Result<Val> {
        if let (Some(bias), false) = (sight.bias, self.each) {
            return Ok(bias);
        }
        let table = g.weight_of(w, "relative_attention_bias.weight", &[self.buckets, self.heads])?;
        let buckets = Buckets { count: self.buckets, longest: self.farthest, both_ways: sight.both_ways };
        let bias = bucket_bias(g, table, (sight.queries, sight.keys), buckets)?;
        let bias = g.add(bias, sight.hidden)?;
        sight.bias = Some(bias);
        Ok(bias)
    }

    /// The encoder's states, as rows, for `ids` and the mask of their padding.
    fn encoder(&self, g: &mut Builder, m: &Model<'_>, ids: Val, mask: Val, rows: &Rows) -> Result<Encoded> {
        let w = m.base.at("encoder");
        let padding = padding_bias(g, mask)?;
        let places = g.positions(&rows.sequence)?;
        let mut sight = Sight { queries: places, keys: places, hidden: padding, both_ways: true, bias: None };
        let mut x = embed(g, m, "encoder", ids)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("block.{layer}"));
            let own = w.at("layer.0.SelfAttention");
            let y = rms_norm(g, &w.at("layer.0.layer_norm"), x, self.epsilon)?;
            let queries = self.projected(g, &own, "q", y, rows)?;
            let keys = self.projected(g, &own, "k", y, rows)?;
            let values = self.projected(g, &own, "v", y, rows)?;
            let bias = self.bias(g, &own, &mut sight)?;
            x = attended(g, &own, [queries, keys, values], Some(bias), x)?;
            x = self.feed_forward(g, &w.at("layer.1"), x)?;
        }
        let hidden = rms_norm(g, &w.at("final_layer_norm"), x, self.epsilon)?;
        Ok(Encoded { hidden: Some(hidden), rows: rows.clone(), bias: Some(padding) })
    }

    /// The decoder's states, as rows.
    fn decoder(&self, g: &mut Builder, m: &Model<'_>, d: &mut Decoder) -> Result<Val> {
        let w = m.base.at("decoder");
        let places = d.places(g)?;
        let keys = d.keys(g);
        let keys = g.positions(&keys)?;
        let hidden = d.causal_bias(g, places)?;
        let mut sight = Sight { queries: places, keys, hidden, both_ways: false, bias: None };
        let mut x = embed(g, m, "decoder", d.ids)?;
        for layer in 0..self.decoder_layers {
            let w = w.at(format_args!("block.{layer}"));
            let own = w.at("layer.0.SelfAttention");
            let y = rms_norm(g, &w.at("layer.0.layer_norm"), x, self.epsilon)?;
            let queries = self.projected(g, &own, "q", y, &d.rows)?;
            let keys = self.projected(g, &own, "k", y, &d.rows)?;
            let values = self.projected(g, &own, "v", y, &d.rows)?;
            let [keys, values] = d.own(g, layer, [keys, values])?;
            let bias = self.bias(g, &own, &mut sight)?;
            x = attended(g, &own, [queries, keys, values], Some(bias), x)?;

            let other = w.at("layer.1.EncDecAttention");
            let y = rms_norm(g, &w.at("layer.1.layer_norm"), x, self.epsilon)?;
            let queries = self.projected(g, &other, "q", y, &d.rows)?;
            let [keys, values] = d.cross(g, layer, |g, states, rows| {
                let keys = self.projected(g, &other, "k", states, rows)?;
                Ok([keys, self.projected(g, &other, "v", states, rows)?])
            })?;
            x = attended(g, &other, [queries, keys, values], d.encoded.bias, x)?;
            x = self.feed_forward(g, &w.at("layer.2"), x)?;
        }
        Ok(rms_norm(g, &w.at("final_layer_norm"), x, self.epsilon)?)
    }

    /// Queries, keys or values: `[batch, heads, sequence, head]`.
    fn projected(&self, g: &mut Builder, w: &Weights, name: &str, x: Val, rows: &Rows) -> Result<Val> {
        let w = w.at(name);
        let expected = vec![self.heads.saturating_mul(self.head), g.size(x, 1)?];
        let found = w.shape("weight")?;
        if found != expected {
            let (name, found) = (format!("{}.weight", w.path()), found.to_vec());
            return Err(GraphError::WeightShape { name, found, expected }.into());
        }
        let x = linear(g, &w, x)?;
        Ok(split_heads(g, x, rows, self.heads)?)
    }

    fn feed_forward(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let dense = w.at("DenseReluDense");
        let y = rms_norm(g, &w.at("layer_norm"), x, self.epsilon)?;
        let y = if self.gated {
            let gate = linear(g, &dense.at("wi_0"), y)?;
            let gate = activate_by_name(g, &self.activation, gate)?;
            let y = linear(g, &dense.at("wi_1"), y)?;
            g.mul(gate, y)?
        } else {
            let y = linear(g, &dense.at("wi"), y)?;
            activate_by_name(g, &self.activation, y)?
        };
        let y = linear(g, &dense.at("wo"), y)?;
        Ok(g.add(x, y)?)
    }

    /// The words behind tokens, as rows.
    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        if !self.tied {
            return Ok(linear(g, &m.top.at("lm_head"), x)?);
        }
        m.top.at("lm_head").ignore(|_| true);
        let width = g.size(x, 1)?;
        let scale = g.float("words_scale", (width as f64).powf(-0.5) as f32);
        let x = g.mul(x, scale)?;
        let table = table(g, m, "decoder")?;
        Ok(g.gemm(x, table, None)?)
    }
}

/// Attention, added to what was before it.
fn attended(g: &mut Builder, w: &Weights, [q, k, v]: [Val; 3], bias: Option<Val>, x: Val) -> Result<Val> {
    let y = attention(g, q, k, v, Scores { bias, ..Scores::default() })?;
    let y = join_heads(g, y)?;
    let y = linear(g, &w.at("o"), y)?;
    Ok(g.add(x, y)?)
}

/// The table of words: one for both sides, under whichever name the checkpoint kept it.
fn table(g: &mut Builder, m: &Model<'_>, side: &str) -> Result<Val> {
    let own = format!("{side}.embed_tokens.weight");
    let name = if !m.base.has("shared.weight") && m.base.has(&own) { own.as_str() } else { "shared.weight" };
    Ok(g.weight(&m.base, name)?)
}

/// Words as rows.
fn embed(g: &mut Builder, m: &Model<'_>, side: &str, ids: Val) -> Result<Val> {
    let table = table(g, m, side)?;
    let x = g.embedding(table, ids)?;
    Ok(fold_rows(g, x)?)
}

/// Encoder and decoder in one graph, of two texts.
fn both(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let t5 = T5::of(m.config)?;
    let (ids, mask, rows) = encoder_inputs(g)?;
    let decoder_rows = Rows { batch: rows.batch.clone(), sequence: decoder_length() };
    let dims = [decoder_rows.batch.clone(), decoder_rows.sequence.clone()];
    let decoder_ids = g.input("decoder_input_ids", DType::I64, dims)?;
    let encoded = t5.encoder(g, m, ids, mask, &rows)?;
    let mut d = Decoder::within(decoder_ids, decoder_rows, encoded);
    let x = t5.decoder(g, m, &mut d)?;
    unfolded(g, "last_hidden_state", x, &d.rows)
}

/// The encoder of a text, for which the decoder is of no use.
fn encoded_alone(g: &mut Builder, m: &Model<'_>) -> Result<(Val, Rows)> {
    let t5 = T5::of(m.config)?;
    let inputs = text_inputs(g, false, false)?;
    let encoded = t5.encoder(g, m, inputs.ids, inputs.mask, &inputs.rows)?;
    m.base.ignore(|path| path.starts_with("decoder."));
    Ok((encoded.states()?, inputs.rows))
}

fn encoder_alone(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (x, rows) = encoded_alone(g, m)?;
    unfolded(g, "last_hidden_state", x, &rows)
}

fn token_classification(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (x, rows) = encoded_alone(g, m)?;
    let logits = linear(g, &m.top.at("classifier"), x)?;
    unfolded(g, "logits", logits, &rows)
}

/// A text through both sides; the decoder gets it one place later. Gives its tokens, the decoder's states and what their rows are.
fn through_both(g: &mut Builder, m: &Model<'_>) -> Result<(Val, Val, Rows)> {
    let t5 = T5::of(m.config)?;
    let inputs = text_inputs(g, false, false)?;
    let encoded = t5.encoder(g, m, inputs.ids, inputs.mask, &inputs.rows)?;
    let start = token(m.config, "decoder_start_token_id", None)?;
    let ids = shifted(g, inputs.ids, start)?;
    let mut d = Decoder::within(ids, inputs.rows.clone(), encoded);
    let x = t5.decoder(g, m, &mut d)?;
    Ok((inputs.ids, x, inputs.rows))
}

fn sequence_classification(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (ids, x, rows) = through_both(g, m)?;
    let last = last_end(g, ids, token(m.config, "eos_token_id", Some(1))?, x, &rows)?;
    classified(g, &m.top.at("classification_head"), last)
}

fn question_answering(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (_, x, rows) = through_both(g, m)?;
    spans(g, &m.top.at("qa_outputs"), x, &rows)
}

fn encoder_part(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let t5 = T5::of(m.config)?;
    let (ids, mask, rows) = encoder_inputs(g)?;
    let encoded = t5.encoder(g, m, ids, mask, &rows)?;
    unfolded(g, "last_hidden_state", encoded.states()?, &rows)
}

fn decoder_part(g: &mut Builder, m: &Model<'_>, run: Run) -> Result<Outputs> {
    let t5 = T5::of(m.config)?;
    let width = m.base.shape("decoder.final_layer_norm.weight")?.iter().product();
    let face = Face {
        layers: t5.decoder_layers.min(m.base.count("decoder.block")),
        heads: t5.heads,
        head: t5.head,
        width,
        masked: true,
    };
    let mut d = Decoder::apart(g, run, face)?;
    let x = t5.decoder(g, m, &mut d)?;
    let logits = t5.words(g, m, x)?;
    let logits = unfold_rows(g, logits, &d.rows)?;
    d.outputs(g, "logits", logits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{built, faces, part};
    use crate::testing::{Checkpoint, count};

    /// Width 6, two heads of 4, one layer on each side.
    fn checkpoint() -> Checkpoint {
        let mut c = Checkpoint::default();
        c.bare("shared", &[11, 6]);
        for (side, attentions) in
            [("encoder", &["SelfAttention"][..]), ("decoder", &["SelfAttention", "EncDecAttention"])]
        {
            let block = format!("{side}.block.0.layer");
            for (at, attention) in attentions.iter().enumerate() {
                for name in ["q", "k", "v"] {
                    c.bare(format_args!("{block}.{at}.{attention}.{name}"), &[8, 6]);
                }
                c.bare(format_args!("{block}.{at}.{attention}.o"), &[6, 8]);
                c.bare(format_args!("{block}.{at}.layer_norm"), &[6]);
            }
            let last = attentions.len();
            c.bare(format_args!("{block}.{last}.DenseReluDense.wi"), &[10, 6]);
            c.bare(format_args!("{block}.{last}.DenseReluDense.wo"), &[6, 10]);
            c.bare(format_args!("{block}.{last}.layer_norm"), &[6]);
            c.bare(format_args!("{block}.0.SelfAttention.relative_attention_bias"), &[32, 2]);
            c.bare(format_args!("{side}.final_layer_norm"), &[6]);
        }
        c
    }

    fn config(more: &Value) -> Value {
        let mut config =
            json!({"model_type": "t5", "num_layers": 1, "num_heads": 2, "d_kv": 4, "d_model": 6});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    const GENERATION: &str = "T5ForConditionalGeneration";

    #[test]
    fn parts_have_the_faces_that_clients_know() {
        let model = built(&checkpoint(), &config(&json!({})), GENERATION, true).unwrap();
        let next = part(&model, "decoder_with_past_model");
        let inputs = [
            "encoder_attention_mask[batch_size,encoder_sequence_length]",
            "input_ids[batch_size,decoder_sequence_length]",
            "past_key_values.0.decoder.key[batch_size,2,past_decoder_sequence_length,4]",
            "past_key_values.0.decoder.value[batch_size,2,past_decoder_sequence_length,4]",
            "past_key_values.0.encoder.key[batch_size,2,encoder_sequence_length,4]",
            "past_key_values.0.encoder.value[batch_size,2,encoder_sequence_length,4]",
        ];
        assert_eq!(faces(next, &next.inputs), inputs);
        let outputs = [
            "logits[batch_size,decoder_sequence_length,11]",
            "present.0.decoder.key[batch_size,2,past_decoder_sequence_length + decoder_sequence_length,4]",
            "present.0.decoder.value[batch_size,2,past_decoder_sequence_length + decoder_sequence_length,4]",
        ];
        assert_eq!(faces(next, &next.outputs), outputs);
        let merged = part(&model, "decoder_model_merged");
        let mut all = inputs.to_vec();
        all.insert(2, "encoder_hidden_states[batch_size,encoder_sequence_length,6]");
        all.push("use_cache_branch[1]");
        assert_eq!(faces(merged, &merged.inputs), all);
        assert_eq!(faces(merged, &merged.outputs[..3]), outputs);
        let names: Vec<_> = merged.outputs[3..].iter().map(|&val| merged.value(val).name.as_str()).collect();
        assert_eq!(names, ["present.0.encoder.key", "present.0.encoder.value"]);
        assert_eq!(count(merged, "If"), 1, "one for each layer");
    }

    #[test]
    fn without_a_cache_there_is_nothing_to_keep() {
        let model = built(&checkpoint(), &config(&json!({})), GENERATION, false).unwrap();
        assert_eq!(
            model.graphs.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["encoder_model", "decoder_model"]
        );
        let decoder = part(&model, "decoder_model");
        assert_eq!(faces(decoder, &decoder.outputs), ["logits[batch_size,decoder_sequence_length,11]"]);
    }

    #[test]
    fn heads_and_widths_are_looked_for() {
        let said = |more: &Value, class: &str| {
            built(&checkpoint(), &config(more), class, true).unwrap_err().to_string()
        };
        let error = said(&json!({"tie_word_embeddings": false}), GENERATION);
        assert!(error.contains("\"lm_head.weight\""), "{error}");
        let error = said(&json!({}), "T5ForTokenClassification");
        assert!(error.contains("\"classifier.weight\""), "{error}");
        let error = said(&json!({"d_kv": 3}), GENERATION);
        assert!(error.contains("SelfAttention.q.weight") && error.contains("[6, 6]"), "{error}");
        let error = said(&json!({"num_layers": 4_000_000}), GENERATION);
        assert!(error.contains("encoder.block.1.layer.0"), "{error}");
        let error = said(&json!({"tie_encoder_decoder": true}), GENERATION);
        assert!(error.contains("`tie_encoder_decoder`"), "{error}");
        // The encoder alone leaves the decoder out.
        let alone = built(&checkpoint(), &config(&json!({})), "T5EncoderModel", true).unwrap();
        assert!(alone.tally.ignored > 0 && alone.left_out.is_empty());
    }
}
