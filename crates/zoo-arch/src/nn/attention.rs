//! Multi-head attention (Vaswani et al., 2017) among a known number of tokens.
//!
//! Rows stand token by token, as they do inside PyTorch's own attention: all sequences' first tokens, then all second ones. Queries,
//! keys and values then have the same axes as long as heads are not in front, and bringing them there is a transposition of the
//! outermost axis, which ONNX Runtime takes into the matrix products instead of copying everything before.

use zoo_graph::{Builder, Result, Val};
use zoo_tensor::Dim;

/// What PyTorch's `normalize` divides by at least.
const LEAST_LENGTH: f32 = 1e-12;

/// How rows are divided among sequences, features among heads, and how a query finds its keys.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// The number of heads.
    pub heads: usize,
    /// How many tokens see each other.
    pub tokens: usize,
    /// How many sequences they make up: a batch, or the windows of a batch.
    pub sequences: &'a [Dim],
    /// What the scores of a query's keys are.
    pub similarity: Similarity,
    /// Added to the scores, if anything is: broadcasts with `[sequences…, heads, tokens, tokens]`.
    pub bias: Option<Val>,
}

/// How alike a query and a key are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Similarity {
    /// Their product, times this.
    Product(f32),
    /// The cosine between them, divided by a temperature for each head: `[heads, 1]`.
    Cosine(Val),
}

impl Similarity {
    /// The product over the root of a head's width.
    pub fn scaled(width: usize, heads: usize) -> Self {
        Self::Product(1.0 / ((width / heads.max(1)) as f32).sqrt())
    }
}

/// Attention on packed projections: `qkv` `[tokens*sequences, 3*width]`, queries first, as PyTorch's `in_proj` and Swin's `qkv`
/// pack them. Gives `[tokens*sequences, width]`.
///
/// # Errors
/// If the width is not a multiple of the heads, or there are other rows than those of the sequences' tokens.
#[track_caller]
pub fn attend(g: &mut Builder, qkv: Val, attention: Attention<'_>) -> Result<Val> {
    let Attention { heads, tokens, sequences, similarity, bias } = attention;
    let head = g.size(qkv, 1)? / (3 * heads.max(1));
    let apart = [Dim::Fixed(tokens)].into_iter().chain(sequences.iter().cloned());
    let x = g.reshape(qkv, apart.chain([Dim::Fixed(3 * heads), Dim::Fixed(head)]))?;
    let (queries, keys, values) = match similarity {
        Similarity::Product(scale) => {
            let parts = g.split(x, -2, &[heads; 3])?;
            let scale = g.float("attention_scale", scale);
            (g.mul(parts[0], scale)?, parts[1], parts[2])
        }
        Similarity::Cosine(temperature) => {
            let parts = g.split(x, -2, &[2 * heads, heads])?;
            let pair = unit_length(g, parts[0], temperature)?;
            let pair = g.split(pair, -2, &[heads; 2])?;
            (pair[0], pair[1], parts[1])
        }
    };
    mix(g, [queries, keys, values], sequences.len(), bias)
}

/// The same on projections that three products made, `[tokens*sequences, width]` each.
///
/// # Errors
/// As [`attend`].
#[track_caller]
pub fn attend_each(g: &mut Builder, parts: [Val; 3], attention: Attention<'_>) -> Result<Val> {
    let Attention { heads, tokens, sequences, similarity, bias } = attention;
    let head = g.size(parts[0], 1)? / heads.max(1);
    let apart = |g: &mut Builder, x: Val| {
        let dims = [Dim::Fixed(tokens)].into_iter().chain(sequences.iter().cloned());
        g.reshape(x, dims.chain([Dim::Fixed(heads), Dim::Fixed(head)]))
    };
    let mut queries = apart(g, parts[0])?;
    let mut keys = apart(g, parts[1])?;
    let values = apart(g, parts[2])?;
    match similarity {
        Similarity::Product(scale) => {
            let scale = g.float("attention_scale", scale);
            queries = g.mul(queries, scale)?;
        }
        Similarity::Cosine(temperature) => {
            let lengths = lengths(g, queries)?;
            let lengths = g.mul(lengths, temperature)?;
            queries = g.div(queries, lengths)?;
            let lengths = self::lengths(g, keys)?;
            keys = g.div(keys, lengths)?;
        }
    }
    mix(g, [queries, keys, values], sequences.len(), bias)
}

/// Values by the softmax of scores: queries, keys and values are `[tokens, sequences…, heads, head]`, with this many axes of
/// sequences; gives `[tokens*sequences, width]`.
#[track_caller]
fn mix(g: &mut Builder, parts: [Val; 3], sequences: usize, bias: Option<Val>) -> Result<Val> {
    let [queries, keys, values] = parts;
    // From [tokens, sequences…, heads, head] to [sequences…, heads, tokens, head]; the keys to [sequences…, heads, head, tokens].
    let last = sequences + 2;
    let order = |ends: [usize; 2]| (1..last).chain(ends).collect::<Vec<_>>();
    let queries = g.transpose(queries, &order([0, last]))?;
    let keys = g.transpose(keys, &order([last, 0]))?;
    let values = g.transpose(values, &order([0, last]))?;
    let mut scores = g.matmul(queries, keys)?;
    if let Some(bias) = bias {
        scores = g.add(scores, bias)?;
    }
    let scores = g.softmax(scores, -1)?;
    let mixed = g.matmul(scores, values)?;
    let back: Vec<usize> = [last - 1].into_iter().chain(0..last - 1).chain([last]).collect();
    let mixed = g.transpose(mixed, &back)?;
    g.flatten_at(mixed, last - 1)
}

/// How long queries or keys are, at least [`LEAST_LENGTH`].
#[track_caller]
fn lengths(g: &mut Builder, x: Val) -> Result<Val> {
    let lengths = g.reduce_l2(x, &[-1], true)?;
    g.clip(lengths, LEAST_LENGTH, f32::INFINITY)
}

/// Queries and keys, `[…, 2*heads, head]`, at length 1, the queries then divided by the temperature. It goes into the lengths,
/// because of them there are the fewest.
#[track_caller]
fn unit_length(g: &mut Builder, x: Val, temperature: Val) -> Result<Val> {
    let heads = g.size(temperature, 0)?;
    let ones = g.floats("ones", &[heads, 1], &vec![1.0; heads])?;
    let temperatures = g.concat(&[temperature, ones], 0)?;
    let lengths = lengths(g, x)?;
    let lengths = g.mul(lengths, temperatures)?;
    g.div(x, lengths)
}

#[cfg(test)]
mod tests {
    use zoo_graph::graph::Graph;
    use zoo_tensor::DType;

    use super::*;

    fn batch() -> Dim {
        Dim::Named("batch".to_owned())
    }

    /// Five tokens of each of `6*batch` sequences, width 8.
    fn qkv(g: &mut Builder) -> Val {
        let rows = Dim::Named("30*batch".to_owned());
        g.input("qkv", DType::F32, [rows, Dim::Fixed(24)]).unwrap()
    }

    fn ops(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|node| node.op.as_str()).collect()
    }

    #[test]
    fn tokens_come_behind_heads_and_return() {
        let mut g = Builder::new("main", 18).unwrap();
        let qkv = qkv(&mut g);
        let bias = g.input("bias", DType::F32, [6_usize, 1, 2, 5, 5]).unwrap();
        let attention = Attention {
            heads: 2,
            tokens: 5,
            sequences: &[Dim::Fixed(6), batch()],
            similarity: Similarity::scaled(8, 2),
            bias: Some(bias),
        };
        let y = attend(&mut g, qkv, attention).unwrap();
        assert_eq!(g.dims(y), [Dim::Named("30*batch".to_owned()), Dim::Fixed(8)]);
        g.output("y", y).unwrap();
        let graph = g.finish().unwrap();
        let expected =
            "Reshape Split Mul Transpose Transpose Transpose MatMul Add Softmax MatMul Transpose Flatten";
        assert_eq!(ops(&graph).join(" "), expected);
        let orders: Vec<_> = graph.nodes.iter().filter_map(|node| node.ints("perm")).collect();
        let (forward, keys, back) = (&[1, 2, 3, 0, 4][..], &[1, 2, 3, 4, 0][..], &[3, 0, 1, 2, 4][..]);
        assert_eq!(orders, [forward, keys, forward, back]);
        let scale = graph.value(graph.nodes[2].inputs[1].unwrap()).constant().unwrap();
        assert_eq!(scale.to_f32_vec().unwrap(), [0.5], "a head has four features");
    }

    #[test]
    fn projections_may_come_one_by_one() {
        let mut g = Builder::new("main", 18).unwrap();
        let rows = || [Dim::Named("30*batch".to_owned()), Dim::Fixed(8)];
        let parts = ["q", "k", "v"].map(|name| g.input(name, DType::F32, rows()).unwrap());
        let sequences = [Dim::Fixed(6), batch()];
        let similarity = Similarity::scaled(8, 2);
        let attention = Attention { heads: 2, tokens: 5, sequences: &sequences, similarity, bias: None };
        let y = attend_each(&mut g, parts, attention).unwrap();
        assert_eq!(g.dims(y), rows());
        let temperature = g.input("temperature", DType::F32, [2_usize, 1]).unwrap();
        let similarity = Similarity::Cosine(temperature);
        let y = attend_each(&mut g, parts, Attention { similarity, ..attention }).unwrap();
        assert_eq!(g.dims(y), rows());
        assert!(attend_each(&mut g, parts, Attention { heads: 3, ..attention }).is_err());
    }

    #[test]
    fn cosines_have_a_temperature_for_queries_alone() {
        let mut g = Builder::new("main", 18).unwrap();
        let qkv = qkv(&mut g);
        let temperature = g.input("temperature", DType::F32, [2_usize, 1]).unwrap();
        let attention = Attention {
            heads: 2,
            tokens: 30,
            sequences: &[batch()],
            similarity: Similarity::Cosine(temperature),
            bias: None,
        };
        let y = attend(&mut g, qkv, attention).unwrap();
        g.output("y", y).unwrap();
        let graph = g.finish().unwrap();
        let before: Vec<_> = ops(&graph).into_iter().take_while(|op| *op != "Transpose").collect();
        assert_eq!(before.join(" "), "Reshape Split Concat ReduceL2 Clip Mul Div Split");
        let constant = |node: usize, input: usize| {
            let value = graph.value(graph.nodes[node].inputs[input].unwrap());
            value.constant().unwrap().to_f32_vec().unwrap()
        };
        assert_eq!(graph.nodes[2].inputs[0], Some(temperature), "queries come first");
        assert_eq!(constant(2, 1), [1.0, 1.0]);
        assert_eq!((constant(4, 1), constant(4, 2)), (vec![1e-12], vec![f32::INFINITY]));
    }

    #[test]
    fn heads_have_to_divide_the_width() {
        let mut g = Builder::new("main", 18).unwrap();
        let qkv = qkv(&mut g);
        let sequences = [batch()];
        let mut attention = Attention {
            heads: 3,
            tokens: 30,
            sequences: &sequences,
            similarity: Similarity::Product(1.0),
            bias: None,
        };
        let error = attend(&mut g, qkv, attention).unwrap_err().to_string();
        assert!(error.contains("qkv: f32[30*batch,24]"), "{error}");
        (attention.heads, attention.tokens) = (2, 7);
        assert!(attend(&mut g, qkv, attention).is_err(), "30 is not a multiple of 7");
        attention.heads = 0;
        assert!(attend(&mut g, qkv, attention).is_err());
    }
}
