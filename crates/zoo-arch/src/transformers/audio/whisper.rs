//! Whisper (Radford et al., 2022): spectrograms of half a minute through two convolutions and an encoder, text by a decoder.
//!
//! Layers are those of BART with norms in front. There is no padding: a recording is filled up with silence before it comes here, so
//! that the number of frames is fixed, and every frame has a place of its own in a stored table.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::{DType, Dim};

use crate::config::Config;
use crate::nn::{Rows, batch_size, conv, fold_rows, linear, unfold_rows};
use crate::task::Task;
use crate::transformers::seq2seq::decoder::{Decoder, Encoded, Face, Run, decoder_length};
use crate::transformers::seq2seq::heads::unfolded;
use crate::transformers::seq2seq::layers::Stack;
use crate::transformers::{Architecture, Class, Model, Outputs, Part, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "whisper",
    prefix: "model",
    classes: &[
        class!("WhisperModel", FeatureExtraction, both),
        Class {
            name: "WhisperForConditionalGeneration",
            task: Task::AutomaticSpeechRecognition,
            parts: &[
                Part::new("encoder_model", encoder_part),
                Part::new("decoder_model", |g, m| {
                    decoder_part(g, m, if m.options.cache { Run::First } else { Run::Whole })
                }),
                Part::cached("decoder_with_past_model", |g, m| decoder_part(g, m, Run::Next)),
                Part::cached("decoder_model_merged", |g, m| decoder_part(g, m, Run::Merged)),
            ],
        },
        class!("WhisperForAudioClassification", AudioClassification, audio_classification),
    ],
    heads: &["proj_out", "projector", "classifier", "layer_weights"],
    unused: |_| false,
}];

/// The layers of a side, as the configuration says.
fn stack(config: &Config, side: &str, width: usize) -> Result<Stack> {
    Ok(Stack {
        layers: config.size(&[&format!("{side}_layers")], 4)?,
        heads: config.size(&[&format!("{side}_attention_heads")], 6)?,
        width,
        activation: config.word(&["activation_function"], "gelu")?.to_owned(),
        norm_first: true,
    })
}

/// What comes of a spectrogram.
struct Heard {
    /// States in front of each layer, as rows.
    before: Vec<Val>,
    /// States at the end, as rows.
    states: Val,
    rows: Rows,
}

impl Heard {
    fn encoded(&self) -> Encoded {
        Encoded { hidden: Some(self.states), rows: self.rows.clone(), bias: None }
    }
}

/// The input `input_features` `[batch_size, mel bins, frames]` through the encoder.
fn heard(g: &mut Builder, m: &Model<'_>) -> Result<Heard> {
    let w = m.base.at("encoder");
    let places = m.config.size(&["max_source_positions"], 1500)?;
    let bins = m.config.size(&["num_mel_bins"], 80)?;
    let width = w.shape("conv2.weight")?.first().copied().unwrap_or_default();
    let table = g.weight_of(&w, "embed_positions.weight", &[places, width])?;
    // The second convolution leaves every other frame.
    let dims = [batch_size(), bins.into(), places.saturating_mul(2).into()];
    let x = g.input("input_features", DType::F32, dims)?;
    let x = conv(g, &w.at("conv1"), x, Window::of(3).pad(1))?;
    let x = g.gelu(x)?;
    let x = conv(g, &w.at("conv2"), x, Window::of(3).stride(2).pad(1))?;
    let x = g.gelu(x)?;
    let x = g.transpose(x, &[0, 2, 1])?;
    let x = g.add(x, table)?;
    let x = fold_rows(g, x)?;
    let rows = Rows { batch: batch_size(), sequence: Dim::Fixed(places) };
    let (before, states) = stack(m.config, "encoder", width)?.encode(g, &w, x, &rows, None)?;
    Ok(Heard { before, states, rows })
}

/// The decoder's states, as rows.
fn spoken(g: &mut Builder, m: &Model<'_>, stack: &Stack, d: &mut Decoder) -> Result<Val> {
    let w = m.base.at("decoder");
    let table = g.weight(&w, "embed_tokens.weight")?;
    let x = g.embedding(table, d.ids)?;
    let places = d.places(g)?;
    let table = g.weight(&w, "embed_positions.weight")?;
    let positions = g.embedding(table, places)?;
    let x = g.add(x, positions)?;
    let x = fold_rows(g, x)?;
    stack.decode(g, &w, x, places, d)
}

/// The decoder's layers.
fn decoder_stack(m: &Model<'_>) -> Result<Stack> {
    let width = m.base.shape("decoder.embed_tokens.weight")?.last().copied().unwrap_or_default();
    stack(m.config, "decoder", width)
}

/// Encoder and decoder in one graph.
fn both(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let heard = heard(g, m)?;
    let rows = Rows { batch: batch_size(), sequence: decoder_length() };
    let ids = g.input("decoder_input_ids", DType::I64, [rows.batch.clone(), rows.sequence.clone()])?;
    let mut d = Decoder::within(ids, rows, heard.encoded());
    let x = spoken(g, m, &decoder_stack(m)?, &mut d)?;
    let mut outputs = unfolded(g, "last_hidden_state", x, &d.rows)?;
    outputs.extend(unfolded(g, "encoder_last_hidden_state", heard.states, &heard.rows)?);
    Ok(outputs)
}

fn encoder_part(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let heard = heard(g, m)?;
    unfolded(g, "last_hidden_state", heard.states, &heard.rows)
}

fn decoder_part(g: &mut Builder, m: &Model<'_>, run: Run) -> Result<Outputs> {
    let stack = decoder_stack(m)?;
    let face = Face {
        layers: stack.layers.min(m.base.count("decoder.layers")),
        heads: stack.heads,
        head: stack.head()?,
        width: stack.width,
        masked: false,
    };
    let mut d = Decoder::apart(g, run, face)?;
    let x = spoken(g, m, &stack, &mut d)?;
    let table = if m.config.flag("tie_word_embeddings", true)? {
        m.top.at("proj_out").ignore(|_| true);
        g.weight(&m.base, "decoder.embed_tokens.weight")?
    } else {
        g.weight(&m.top, "proj_out.weight")?
    };
    let logits = g.gemm(x, table, None)?;
    let logits = unfold_rows(g, logits, &d.rows)?;
    d.outputs(g, "logits", logits)
}

fn audio_classification(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let mut heard = heard(g, m)?;
    let mut x = heard.states;
    if m.config.flag("use_weighted_layer_sum", false)? {
        heard.before.push(x);
        x = weighted_layers(g, &m.top, &heard.before)?;
    }
    let x = linear(g, &m.top.at("projector"), x)?;
    let x = unfold_rows(g, x, &heard.rows)?;
    let x = g.reduce_mean(x, &[1], false)?;
    Ok(vec![("logits".to_owned(), linear(g, &m.top.at("classifier"), x)?)])
}

/// The mean of states of all layers, with weights that were learned: the softmax of `layer_weights`.
pub(super) fn weighted_layers(g: &mut Builder, w: &Weights, states: &[Val]) -> Result<Val> {
    let weights = g.weight_of(w, "layer_weights", &[states.len()])?;
    let weights = g.softmax(weights, -1)?;
    let mut sum = None;
    for (layer, &x) in states.iter().enumerate() {
        let weight = g.pick(weights, 0, layer as i64)?;
        let x = g.mul(x, weight)?;
        sum = Some(match sum {
            Some(sum) => g.add(sum, x)?,
            None => x,
        });
    }
    match sum {
        Some(sum) => Ok(sum),
        None => crate::transformers::Error::unsupported("a mean of no layers"),
    }
}
