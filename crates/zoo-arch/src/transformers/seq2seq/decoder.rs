//! What decoders that look at an encoder have in common: inputs, the cache of keys and values, outputs.
//!
//! A decoder is run token by token. The keys and values of what it has seen, and those of the encoder's states, are computed once and
//! handed from run to run. optimum makes three graphs of it, and so does zoo: `decoder_model` begins (no past goes in, everything comes
//! out), `decoder_with_past_model` goes on (the past goes in, the decoder's own part of it comes out, one token longer), and
//! `decoder_model_merged` does either, as its input `use_cache_branch` says: only the encoder's keys and values differ between
//! the two, so they are all that is behind the `If`.
//!
//! Between layers, tokens are the rows of a matrix.

use zoo_graph::{Builder, Val};
use zoo_tensor::{DType, Dim};

use crate::nn::{Rows, batch_size, fold_rows, padding_bias};
use crate::transformers::{Error, Outputs, Result};

/// Which graph of a decoder is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// All of a text at once; nothing is kept.
    Whole,
    /// The beginning.
    First,
    /// What follows.
    Next,
    /// Either.
    Merged,
}

/// What the inputs of a decoder look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face {
    /// How many layers have a past. No more than the checkpoint has: an input is made for each.
    pub(crate) layers: usize,
    /// How many heads, in self- and cross-attention.
    pub(crate) heads: usize,
    /// The width of a head.
    pub(crate) head: usize,
    /// The width of the encoder's states.
    pub(crate) width: usize,
    /// Whether the encoder has padding: `encoder_attention_mask`.
    pub(crate) masked: bool,
}

/// The encoder's side, as a decoder sees it.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// States, as rows; none where their keys and values go in instead.
    pub(crate) hidden: Option<Val>,
    /// What the rows are.
    pub(crate) rows: Rows,
    /// What hides padding, `[batch, 1, 1, encoder sequence]`.
    pub(crate) bias: Option<Val>,
}

impl Encoded {
    /// The states, as rows.
    ///
    /// # Errors
    /// If their keys and values go in instead.
    pub(crate) fn states(&self) -> Result<Val> {
        match self.hidden {
            Some(hidden) => Ok(hidden),
            None => Error::unsupported("an encoder without states"),
        }
    }
}

/// A decoder that is being made.
#[derive(Debug)]
pub(crate) struct Decoder {
    run: Run,
    /// Tokens, `i64` `[batch, sequence]`.
    pub(crate) ids: Val,
    /// What the rows of its states are.
    pub(crate) rows: Rows,
    /// The encoder's side.
    pub(crate) encoded: Encoded,
    /// For each layer own keys and values, and those of the encoder's states: `[batch, heads, sequence, head]`.
    past: Vec<[Val; 4]>,
    /// Whether the past counts.
    switch: Option<Val>,
    presents: Outputs,
}

/// The axis of a decoder's tokens.
pub(crate) fn decoder_length() -> Dim {
    Dim::Named("decoder_sequence_length".to_owned())
}

/// The axis of an encoder's tokens.
pub(crate) fn encoder_length() -> Dim {
    Dim::Named("encoder_sequence_length".to_owned())
}

fn past_length() -> Dim {
    Dim::Named("past_decoder_sequence_length".to_owned())
}

/// What of the past counts, where that is not all of it.
fn used_length() -> Dim {
    Dim::Named("used_decoder_sequence_length".to_owned())
}

/// What optimum calls the axis of keys that come out.
const PRESENT_LENGTH: &str = "past_decoder_sequence_length + decoder_sequence_length";

/// The encoder's inputs with optimum's names and axes: `input_ids` and `attention_mask`, `[batch_size, encoder_sequence_length]`. Gives
/// both, and what the rows are.
pub(crate) fn encoder_inputs(g: &mut Builder) -> Result<(Val, Val, Rows)> {
    let rows = Rows { batch: batch_size(), sequence: encoder_length() };
    let dims = [rows.batch.clone(), rows.sequence.clone()];
    let ids = g.input("input_ids", DType::I64, dims.clone())?;
    let mask = g.input("attention_mask", DType::I64, dims)?;
    Ok((ids, mask, rows))
}

impl Decoder {
    /// The inputs of a graph of its own, with optimum's names and axes.
    pub(crate) fn apart(g: &mut Builder, run: Run, face: Face) -> Result<Self> {
        let rows = Rows { batch: batch_size(), sequence: decoder_length() };
        let encoder_rows = Rows { batch: batch_size(), sequence: encoder_length() };
        let dims = |rows: &Rows| [rows.batch.clone(), rows.sequence.clone()];
        let mask = if face.masked {
            Some(g.input("encoder_attention_mask", DType::I64, dims(&encoder_rows))?)
        } else {
            None
        };
        let ids = g.input("input_ids", DType::I64, dims(&rows))?;
        let hidden = match run {
            Run::Next => None,
            _ => {
                let dims = [batch_size(), encoder_length(), face.width.into()];
                Some(g.input("encoder_hidden_states", DType::F32, dims)?)
            }
        };
        let mut past = Vec::new();
        if matches!(run, Run::Next | Run::Merged) {
            for layer in 0..face.layers {
                past.push(past_inputs(g, layer, face)?);
            }
        }
        let switch = match run {
            Run::Merged => Some(g.input("use_cache_branch", DType::Bool, [1_usize])?),
            _ => None,
        };
        let hidden = hidden.map(|hidden| fold_rows(g, hidden)).transpose()?;
        let bias = mask.map(|mask| padding_bias(g, mask)).transpose()?;
        if let Some(switch) = switch {
            past = counted(g, switch, past)?;
        }
        let encoded = Encoded { hidden, rows: encoder_rows, bias };
        Ok(Self { run, ids, rows, encoded, past, switch, presents: Outputs::new() })
    }

    /// A decoder in one graph with its encoder, of tokens that are there.
    pub(crate) fn within(ids: Val, rows: Rows, encoded: Encoded) -> Self {
        let (past, presents) = (Vec::new(), Outputs::new());
        Self { run: Run::Whole, ids, rows, encoded, past, switch: None, presents }
    }

    /// The places of its tokens, counted from the first one of the past: `i64` `[sequence]`.
    pub(crate) fn places(&self, g: &mut Builder) -> Result<Val> {
        let places = g.positions(&self.rows.sequence)?;
        match self.past_length(g)? {
            Some(past) => Ok(g.add(places, past)?),
            None => Ok(places),
        }
    }

    /// How many tokens went before, `i64` `[1]`; none if there can be none.
    pub(crate) fn past_length(&self, g: &mut Builder) -> Result<Option<Val>> {
        let Some(&[keys, ..]) = self.past.first() else { return Ok(None) };
        let past = g.dims(keys)[2].clone();
        Ok(Some(g.length(&past)?))
    }

    /// How many keys its own attentions see.
    pub(crate) fn keys(&self, g: &Builder) -> Dim {
        match self.past.first() {
            Some(&[keys, ..]) => g.sum_of(&[g.dims(keys)[2].clone(), self.rows.sequence.clone()]),
            None => self.rows.sequence.clone(),
        }
    }

    /// What hides later tokens from earlier ones, `[queries, keys]`, for queries at these places.
    pub(crate) fn causal_bias(&self, g: &mut Builder, places: Val) -> Result<Val> {
        let keys = self.keys(g);
        let keys = g.positions(&keys)?;
        let queries = g.unsqueeze(places, -1)?;
        let later = g.greater(keys, queries)?;
        let (hidden, seen) = (g.float("least", f32::MIN), g.float("seen", 0.0));
        Ok(g.select(later, hidden, seen)?)
    }

    /// Own keys and values of a layer, with those of the past in front of them.
    pub(crate) fn own(
        &mut self,
        g: &mut Builder,
        layer: usize,
        [mut keys, mut values]: [Val; 2],
    ) -> Result<[Val; 2]> {
        if let Some(&[past_keys, past_values, ..]) = self.past.get(layer) {
            keys = g.concat(&[past_keys, keys], 2)?;
            values = g.concat(&[past_values, values], 2)?;
        }
        self.keep(layer, "decoder", [keys, values]);
        Ok([keys, values])
    }

    /// Keys and values of the encoder's states for a layer: made of the states, which `make` gets as rows, or of the past.
    pub(crate) fn cross(
        &mut self,
        g: &mut Builder,
        layer: usize,
        make: impl Fn(&mut Builder, Val, &Rows) -> Result<[Val; 2]>,
    ) -> Result<[Val; 2]> {
        let rows = &self.encoded.rows;
        let pair = match (self.encoded.hidden, self.past.get(layer), self.switch) {
            (Some(hidden), Some(&[.., keys, values]), Some(switch)) => {
                let fresh = |g: &mut Builder| Ok(make(g, hidden, rows)?.to_vec());
                let chosen = g.branch(switch, |_| Ok::<_, Error>(vec![keys, values]), fresh)?;
                [chosen[0], chosen[1]]
            }
            (None, Some(&[.., keys, values]), _) => return Ok([keys, values]),
            (Some(hidden), ..) => make(g, hidden, rows)?,
            (None, None, _) => return Error::unsupported("a layer without a past"),
        };
        self.keep(layer, "encoder", pair);
        Ok(pair)
    }

    fn keep(&mut self, layer: usize, side: &str, [keys, values]: [Val; 2]) {
        if self.run != Run::Whole {
            self.presents.push((format!("present.{layer}.{side}.key"), keys));
            self.presents.push((format!("present.{layer}.{side}.value"), values));
        }
    }

    /// The outputs: `x` `[batch, sequence, …]` under this name, then what is kept for the next run.
    pub(crate) fn outputs(self, g: &mut Builder, name: &str, x: Val) -> Result<Outputs> {
        let mut outputs = vec![(name.to_owned(), x)];
        for (name, val) in self.presents {
            if !self.past.is_empty() && name.contains(".decoder.") {
                g.name_axis(val, 2, PRESENT_LENGTH)?;
            }
            outputs.push((name, val));
        }
        Ok(outputs)
    }
}

fn past_inputs(g: &mut Builder, layer: usize, face: Face) -> Result<[Val; 4]> {
    let mut input = |side: &str, kind: &str, length: Dim| {
        let dims = [batch_size(), face.heads.into(), length, face.head.into()];
        g.input(&format!("past_key_values.{layer}.{side}.{kind}"), DType::F32, dims)
    };
    Ok([
        input("decoder", "key", past_length())?,
        input("decoder", "value", past_length())?,
        input("encoder", "key", encoder_length())?,
        input("encoder", "value", encoder_length())?,
    ])
}

/// A past of which nothing is left where `switch` is off: what has to be fed there is not looked at, whatever its length.
fn counted(g: &mut Builder, switch: Val, past: Vec<[Val; 4]>) -> Result<Vec<[Val; 4]>> {
    let switch = g.cast(switch, DType::I64)?;
    let all = g.length(&past_length())?;
    let end = g.mul(all, switch)?;
    let mut counted = Vec::with_capacity(past.len());
    for [keys, values, encoder_keys, encoder_values] in past {
        let keys = g.slice_to(keys, 2, end, &used_length())?;
        let values = g.slice_to(values, 2, end, &used_length())?;
        counted.push([keys, values, encoder_keys, encoder_values]);
    }
    Ok(counted)
}
