//! What models of texts take, with optimum's names and axes.

use zoo_graph::{Builder, Result, Val};
use zoo_tensor::{DType, Dim};

use super::heads::Rows;

/// The inputs of an encoder of texts: `i64` `[batch_size, sequence_length]`, or for choices between texts
/// `[batch_size, num_choices, sequence_length]`, which are joined to one batch.
#[derive(Debug, Clone)]
pub struct TextInputs {
    /// Numbers of tokens, `input_ids`.
    pub ids: Val,
    /// 1 where there is a token, 0 where there is padding, `attention_mask`.
    pub mask: Val,
    /// To which of two texts a token belongs, `token_type_ids`, if it was asked for.
    pub types: Option<Val>,
    /// The dimensions of a batch.
    pub rows: Rows,
}

/// The dimension of a batch.
pub fn batch_size() -> Dim {
    Dim::Named("batch_size".to_owned())
}

/// The dimension of a text.
pub fn sequence_length() -> Dim {
    Dim::Named("sequence_length".to_owned())
}

/// Adds the inputs `input_ids`, `attention_mask` and, if wanted, `token_type_ids`; with an axis of choices if `choices`.
///
/// # Errors
/// If the graph has inputs of these names.
#[track_caller]
pub fn text_inputs(g: &mut Builder, types: bool, choices: bool) -> Result<TextInputs> {
    let mut dims = vec![batch_size(), sequence_length()];
    if choices {
        dims.insert(1, Dim::Named("num_choices".to_owned()));
    }
    let names = ["input_ids", "attention_mask", "token_type_ids"];
    let mut inputs = Vec::new();
    for name in &names[..if types { 3 } else { 2 }] {
        inputs.push(g.input(name, DType::I64, dims.clone())?);
    }
    if choices {
        for input in &mut inputs {
            *input = g.join_axes(*input, 0, 2)?;
        }
    }
    let rows = Rows { batch: g.dims(inputs[0])[0].clone(), sequence: sequence_length() };
    Ok(TextInputs { ids: inputs[0], mask: inputs[1], types: inputs.get(2).copied(), rows })
}

/// The places of tokens, counted from `padding + 1` over those that are not the padding token, which itself is at `padding`: `i64`, as
/// `ids` `[batch, sequence]`.
///
/// # Errors
/// If `ids` are no whole numbers.
#[track_caller]
pub fn places_behind_padding(g: &mut Builder, ids: Val, padding: usize) -> Result<Val> {
    let padding = g.int("padding", padding as i64);
    let is_padding = g.equal(ids, padding)?;
    let seen = g.not(is_padding)?;
    let seen = g.cast(seen, DType::I64)?;
    let counted = g.cumulative_sum(seen, 1)?;
    let counted = g.mul(counted, seen)?;
    g.add(counted, padding)
}

/// From rows `[batch*sequence, width]` to `[batch, sequence, width]`.
///
/// # Errors
/// If `x` has other rows.
#[track_caller]
pub fn unfold_rows(g: &mut Builder, x: Val, rows: &Rows) -> Result<Val> {
    let width = g.dims(x)[1].clone();
    g.reshape(x, [rows.batch.clone(), rows.sequence.clone(), width])
}

/// From `[batch, sequence, width]` to rows `[batch*sequence, width]`.
///
/// # Errors
/// If `x` is of another rank.
#[track_caller]
pub fn fold_rows(g: &mut Builder, x: Val) -> Result<Val> {
    g.join_axes(x, 0, 2)
}

/// The first token of each sequence: `[batch, width]` of rows `[batch*sequence, width]`.
///
/// # Errors
/// If `x` has other rows.
#[track_caller]
pub fn first_token(g: &mut Builder, x: Val, rows: &Rows) -> Result<Val> {
    let x = unfold_rows(g, x, rows)?;
    g.pick(x, 1, 0)
}
