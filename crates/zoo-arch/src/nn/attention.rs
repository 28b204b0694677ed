//! Multi-head attention (Vaswani et al., 2017) on queries, keys and values that one product made.

use zoo_graph::{Builder, Result, Val};

/// How tokens are divided among heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Their number.
    pub count: usize,
    /// Tokens that see each other.
    pub tokens: usize,
}

/// Attention on packed projections: `qkv` `[sequences*tokens, 3*width]`, queries first, as PyTorch's `in_proj` and timm's `qkv`
/// pack them. Scores are divided by the root of the head's width; `bias`, where there is one, is added to them and broadcasts
/// with `[sequences, heads, tokens, tokens]`. Gives `[sequences*tokens, width]`.
///
/// # Errors
/// If the width is not a multiple of the heads.
#[track_caller]
pub fn attend(g: &mut Builder, qkv: Val, heads: Heads, bias: Option<Val>) -> Result<Val> {
    let width = g.size(qkv, 1)? / 3;
    let head = width / heads.count.max(1);
    // [sequences, tokens, 3, heads, head]
    let x = g.split_axis(qkv, 1, &[heads.count, head])?;
    let x = g.split_axis(x, 0, &[heads.tokens])?;
    // [3, sequences, heads, tokens, head]
    let x = g.transpose(x, &[2, 0, 3, 1, 4])?;
    let (queries, keys, values) = (g.pick(x, 0, 0)?, g.pick(x, 0, 1)?, g.pick(x, 0, 2)?);
    let keys = g.transpose(keys, &[0, 1, 3, 2])?;
    let scale = g.float("attention_scale", 1.0 / (head as f32).sqrt());
    let queries = g.mul(queries, scale)?;
    let mut scores = g.matmul(queries, keys)?;
    if let Some(bias) = bias {
        scores = g.add(scores, bias)?;
    }
    let scores = g.softmax(scores, -1)?;
    let mixed = g.matmul(scores, values)?;
    // [sequences, tokens, heads, head]
    let mixed = g.transpose(mixed, &[0, 2, 1, 3])?;
    let mixed = g.join_axes(mixed, 2, 4)?;
    g.join_axes(mixed, 0, 2)
}
