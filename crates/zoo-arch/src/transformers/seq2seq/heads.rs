//! Heads that models with an encoder and a decoder have in common.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::{DType, Dim};

use crate::config::Config;
use crate::nn::{Rows, linear, unfold_rows};
use crate::transformers::{Outputs, Result};

/// The output of one name, `[batch, sequence, …]` of rows.
pub(crate) fn unfolded(g: &mut Builder, name: &str, x: Val, rows: &Rows) -> Result<Outputs> {
    Ok(vec![(name.to_owned(), unfold_rows(g, x, rows)?)])
}

/// `start_logits` and `end_logits` `[batch, sequence]`: the two columns of a dense layer.
pub(crate) fn spans(g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<Outputs> {
    let logits = linear(g, w, x)?;
    let parts = g.split(logits, 1, &[1, 1])?;
    let mut outputs = Outputs::new();
    for (name, part) in ["start_logits", "end_logits"].into_iter().zip(parts) {
        outputs.push((name.to_owned(), g.reshape(part, [rows.batch.clone(), rows.sequence.clone()])?));
    }
    Ok(outputs)
}

/// A dense layer, tanh, and a layer for labels: `classification_head`.
pub(crate) fn classified(g: &mut Builder, w: &Weights, x: Val) -> Result<Outputs> {
    let x = linear(g, &w.at("dense"), x)?;
    let x = g.tanh(x)?;
    Ok(vec![("logits".to_owned(), linear(g, &w.at("out_proj"), x)?)])
}

/// What decoders get where only a text is given: the text one place later, behind `start`. `ids` `[batch, sequence]`.
pub(crate) fn shifted(g: &mut Builder, ids: Val, start: i64) -> Result<Val> {
    let batch = g.dims(ids)[0].clone();
    let start = g.ints("decoder_start", &[start]);
    let start = g.expand_to(start, &[batch, Dim::Fixed(1)])?;
    let before = g.slice(ids, 1, 0, Some(-1))?;
    Ok(g.concat(&[start, before], 1)?)
}

/// The same behind what the text ends with, whose padding is this token.
pub(crate) fn shifted_around(g: &mut Builder, ids: Val, padding: i64) -> Result<Val> {
    let padding = g.int("padding", padding);
    let is_padding = g.equal(ids, padding)?;
    let seen = g.not(is_padding)?;
    let seen = g.cast(seen, DType::I64)?;
    let count = g.reduce_sum(seen, &[1], true)?;
    let one = g.int("one_place", 1);
    let last = g.sub(count, one)?;
    let start = g.gather_elements(ids, last, 1)?;
    let before = g.slice(ids, 1, 0, Some(-1))?;
    Ok(g.concat(&[start, before], 1)?)
}

/// The state at the last end of sentence of each text: `[batch, width]` of rows.
pub(crate) fn last_end(g: &mut Builder, ids: Val, end: i64, x: Val, rows: &Rows) -> Result<Val> {
    let end = g.int("end_of_sentence", end);
    let is_end = g.equal(ids, end)?;
    let is_end = g.cast(is_end, DType::I64)?;
    let places = g.positions(&rows.sequence)?;
    let one = g.int("one_place", 1);
    let places = g.add(places, one)?;
    let places = g.mul(is_end, places)?;
    let last = g.arg_max(places, 1, false)?;
    let x = unfold_rows(g, x, rows)?;
    Ok(g.pick_each(x, last)?)
}

/// The token of this name, which the configuration has to say unless there is a default.
pub(crate) fn token(config: &Config, name: &str, default: Option<i64>) -> Result<i64> {
    match config.token(name)?.or(default) {
        Some(token) => Ok(token),
        None => Ok(config.missing(name)?),
    }
}
