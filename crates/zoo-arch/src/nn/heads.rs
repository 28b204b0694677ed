//! Multi-head attention over texts of any length (Vaswani et al., 2017), with heads that share keys (Ainslie et al., 2023).
//!
//! Between attentions, the tokens of a batch are the rows of one matrix, `[batch*sequence, width]`: dense layers are then a single
//! `Gemm` each. Here they come apart, and heads stand in front: `[batch, heads, sequence, head]`.

use zoo_graph::{Builder, Result, Val};
use zoo_tensor::{DType, Dim};

/// Texts of a batch: which dimensions the rows of a matrix are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// How many sequences.
    pub batch: Dim,
    /// How many tokens each has.
    pub sequence: Dim,
}

/// What attention does beyond products and softmax.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scores {
    /// What products of queries and keys are multiplied by; none for 1.
    pub scale: Option<f32>,
    /// Added to the scores: broadcasts with `[batch, heads, queries, keys]`.
    pub bias: Option<Val>,
    /// Scores `s` become `cap tanh(s/cap)` before the bias (Gemma 2).
    pub cap: Option<f32>,
}

impl Scores {
    /// Scaled by the root of a head's width, and with this bias.
    pub fn scaled(head: usize, bias: Option<Val>) -> Self {
        Self { scale: Some(1.0 / (head as f32).sqrt()), bias, cap: None }
    }
}

/// From rows `[batch*sequence, heads*head]` to `[batch, heads, sequence, head]`.
///
/// # Errors
/// If the width is not a multiple of the heads.
#[track_caller]
pub fn split_heads(g: &mut Builder, x: Val, rows: &Rows, heads: usize) -> Result<Val> {
    let head = g.size(x, 1)? / heads.max(1);
    let x = g.reshape(x, [rows.batch.clone(), rows.sequence.clone(), heads.into(), head.into()])?;
    g.transpose(x, &[0, 2, 1, 3])
}

/// From `[batch, heads, sequence, head]` to rows `[batch*sequence, heads*head]`.
///
/// # Errors
/// If `x` is of another rank.
#[track_caller]
pub fn join_heads(g: &mut Builder, x: Val) -> Result<Val> {
    let x = g.transpose(x, &[0, 2, 1, 3])?;
    let x = g.join_axes(x, 2, 4)?;
    g.join_axes(x, 0, 2)
}

/// Attention: `queries` `[batch, heads, S, head]`, `keys` `[batch, kv_heads, T, head]`, `values` `[batch, kv_heads, T, head']`; gives
/// `[batch, heads, S, head']`. Where there are fewer heads of keys than of queries, neighbouring queries share one.
///
/// # Errors
/// If sizes do not go together.
#[track_caller]
pub fn attention(g: &mut Builder, queries: Val, keys: Val, values: Val, with: Scores) -> Result<Val> {
    let dims = g.dims(queries).to_vec();
    let (heads, kv_heads) = (g.size(queries, 1)?, g.size(keys, 1)?);
    let shared = heads / kv_heads.max(1);
    let total = g.dims(keys)[2].clone();
    let queries = match with.scale {
        Some(scale) => {
            let scale = g.float("attention_scale", scale);
            g.mul(queries, scale)?
        }
        None => queries,
    };
    // Queries that share keys stand below each other, so that nothing is copied for each of them.
    let together = |g: &mut Builder, x: Val, last: Dim| {
        if shared == 1 {
            return Ok(x);
        }
        let x = g.reshape(x, [dims[0].clone(), kv_heads.into(), shared.into(), dims[2].clone(), last])?;
        g.join_axes(x, 2, 4)
    };
    let apart = |g: &mut Builder, x: Val, last: Dim| {
        g.reshape(x, [dims[0].clone(), heads.into(), dims[2].clone(), last])
    };
    let queries = together(g, queries, dims[3].clone())?;
    let keys = g.transpose(keys, &[0, 1, 3, 2])?;
    let scores = g.matmul(queries, keys)?;
    let mut scores = apart(g, scores, total.clone())?;
    if let Some(cap) = with.cap {
        let cap = g.float("attention_cap", cap);
        scores = g.div(scores, cap)?;
        scores = g.tanh(scores)?;
        scores = g.mul(scores, cap)?;
    }
    if let Some(bias) = with.bias {
        scores = g.add(scores, bias)?;
    }
    let scores = g.softmax(scores, -1)?;
    let scores = together(g, scores, total)?;
    let mixed = g.matmul(scores, values)?;
    let last = g.dims(values)[3].clone();
    apart(g, mixed, last)
}

/// What is added to scores so that padding is not seen: 0 where `mask` `[batch, keys]` is 1, the smallest `f32` where it is 0 (not
/// −∞, of which a row that is all padding would make NaN). Gives `[batch, 1, 1, keys]`.
///
/// # Errors
/// If `mask` is no matrix.
#[track_caller]
pub fn padding_bias(g: &mut Builder, mask: Val) -> Result<Val> {
    let mask = g.cast(mask, DType::F32)?;
    let mask = g.unsqueeze(mask, 1)?;
    let mask = g.unsqueeze(mask, 1)?;
    let one = g.float("one", 1.0);
    let hidden = g.sub(one, mask)?;
    let least = g.float("least", f32::MIN);
    g.mul(hidden, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Dim {
        Dim::Named(name.to_owned())
    }

    #[test]
    fn heads_that_share_keys_are_not_copied() {
        let mut g = Builder::new("g", 18).unwrap();
        let dims = |heads: usize, s: &str| [named("b"), heads.into(), named(s), 4.into()];
        let q = g.input("q", DType::F32, dims(6, "s")).unwrap();
        let k = g.input("k", DType::F32, dims(2, "t")).unwrap();
        let y = attention(&mut g, q, k, k, Scores::scaled(4, None)).unwrap();
        assert_eq!(g.dims(y), dims(6, "s"));
        g.output("y", y).unwrap();
        let mut graph = g.finish().unwrap();
        zoo_graph::pass::run(&mut graph, &zoo_graph::pass::PassOptions::default()).unwrap();
        let ops = graph.op_histogram();
        assert!(!ops.contains_key("Expand") && !ops.contains_key("Concat"), "{ops:?}");
    }

    #[test]
    fn rows_come_apart_and_together() {
        let mut g = Builder::new("g", 18).unwrap();
        let ids = g.input("ids", DType::I64, [named("b"), named("s")]).unwrap();
        let bias = padding_bias(&mut g, ids).unwrap();
        assert_eq!(g.dims(bias), [named("b"), 1.into(), 1.into(), named("s")]);
        let x = g.input("x", DType::F32, [named("b*s"), 12.into()]).unwrap();
        let rows = Rows { batch: named("b"), sequence: named("s") };
        let y = split_heads(&mut g, x, &rows, 3).unwrap();
        assert_eq!(g.dims(y), [named("b"), 3.into(), named("s"), 4.into()]);
        let z = join_heads(&mut g, y).unwrap();
        assert_eq!(g.dims(z), g.dims(x));
    }
}
