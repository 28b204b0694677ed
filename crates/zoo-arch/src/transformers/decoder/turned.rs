//! Queries and keys that are turned by their places, together.

use zoo_graph::{Builder, Val};

use crate::nn::{Rows, rotate, split_heads};
use crate::transformers::Result;

/// Queries and keys, rows `[batch*sequence, heads*head]` each, as `[batch, heads, sequence, head]`, turned by cosines and sines.
pub(super) fn turned(
    g: &mut Builder,
    (queries, keys): (Val, Val),
    rows: &Rows,
    (heads, kv_heads): (usize, usize),
    (cos, sin): (Val, Val),
) -> Result<(Val, Val)> {
    let both = g.concat(&[queries, keys], 1)?;
    let both = split_heads(g, both, rows, heads + kv_heads)?;
    let both = rotate(g, both, cos, sin)?;
    let parts = g.split(both, 1, &[heads, kv_heads])?;
    Ok((parts[0], parts[1]))
}

/// Queries, keys and values of one projection whose rows are `[heads, 3, head]`: queries and keys together,
/// `[batch, 2*heads, sequence, head]`, and values, `[batch, heads, sequence, head]`.
pub(super) fn by_head(g: &mut Builder, all: Val, rows: &Rows, heads: usize) -> Result<(Val, Val)> {
    let head = g.size(all, 1)? / 3 / heads.max(1);
    let all =
        g.reshape(all, [rows.batch.clone(), rows.sequence.clone(), heads.into(), 3.into(), head.into()])?;
    let all = g.transpose(all, &[0, 3, 2, 1, 4])?;
    let all = g.join_axes(all, 1, 3)?;
    let parts = g.split(all, 1, &[2 * heads, heads])?;
    Ok((parts[0], parts[1]))
}
