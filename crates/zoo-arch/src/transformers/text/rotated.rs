//! Attention whose queries and keys are turned by their places (Su et al., 2021), with one matrix for queries, keys and values.

use zoo_graph::{Builder, Val, Weights};

use crate::nn::{Rows, Scores, attention, join_heads, linear_rows, rotate, rotate_interleaved, split_heads};
use crate::transformers::Result;

/// How queries and keys are turned: cosines and sines of their places.
#[derive(Clone, Copy)]
pub(super) struct Rotation {
    pub(super) cos: Val,
    pub(super) sin: Val,
    /// Whether neighbouring features are a pair, or the two halves of a head.
    pub(super) interleaved: bool,
}

impl Rotation {
    fn apply(self, g: &mut Builder, x: Val) -> Result<Val> {
        let Self { cos, sin, interleaved } = self;
        Ok(if interleaved { rotate_interleaved(g, x, cos, sin)? } else { rotate(g, x, cos, sin)? })
    }
}

/// Queries, keys and values, as rows: thirds of the dense layer `w`, used where they lie.
pub(super) fn thirds(g: &mut Builder, w: &Weights, x: Val) -> Result<[Val; 3]> {
    let width = w.shape("weight")?.first().copied().unwrap_or_default() / 3;
    Ok([
        linear_rows(g, w, x, 0, width)?,
        linear_rows(g, w, x, width, width)?,
        linear_rows(g, w, x, 2 * width, width)?,
    ])
}

/// Attention of rows, as rows; `bias` is added to scores.
pub(super) fn attend(
    g: &mut Builder,
    parts: [Val; 3],
    (rows, heads): (&Rows, usize),
    rotation: Option<Rotation>,
    bias: Val,
) -> Result<Val> {
    let [mut queries, mut keys, values] = parts;
    queries = split_heads(g, queries, rows, heads)?;
    keys = split_heads(g, keys, rows, heads)?;
    let values = split_heads(g, values, rows, heads)?;
    if let Some(rotation) = rotation {
        queries = rotation.apply(g, queries)?;
        keys = rotation.apply(g, keys)?;
    }
    let head = g.size(queries, 3)?;
    let y = attention(g, queries, keys, values, Scores::scaled(head, Some(bias)))?;
    Ok(join_heads(g, y)?)
}
