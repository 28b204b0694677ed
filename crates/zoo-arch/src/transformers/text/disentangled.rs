//! DeBERTa's attention (He et al., 2020): beside words, it sees how far they are from each other.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use crate::config::Config;
use crate::nn::{Rows, Scores, attention, join_heads, linear, split_heads};
use crate::transformers::{Error, Result};

/// What the configuration says of it.
pub(super) struct Disentangled {
    pub(super) heads: usize,
    /// Words look at distances.
    content_to_position: bool,
    /// Distances look at words.
    position_to_content: bool,
    /// Distances go through the projections of words, and have none of their own.
    shared: bool,
    /// Vectors of distances, if there are any.
    pub(super) relative: Option<Relative>,
}

/// How distances are numbered.
pub(super) struct Relative {
    /// Distances of more than so many tokens are one.
    longest: usize,
    /// The number of their vectors in each direction where it is smaller.
    buckets: Option<usize>,
}

/// Vectors of distances, and which of them is between two tokens.
#[derive(Clone, Copy)]
pub(super) struct Distances {
    /// `[2*span, width]`.
    vectors: Val,
    /// Row of `vectors` for a query (third axis) and a key (last axis): `i32` `[batch, heads, sequence, sequence]`.
    of_queries: Val,
    /// The same for a key (third axis) and a query (last axis).
    of_keys: Val,
}

/// A table of more distances is refused: it is made here.
const MOST_DISTANCES: usize = 1 << 16;

impl Disentangled {
    pub(super) fn of(config: &Config) -> Result<Self> {
        let kinds = match config.get("pos_att_type").and_then(|kinds| kinds.as_str()) {
            Some(kinds) => kinds.split('|').map(|kind| kind.trim().to_lowercase()).collect(),
            None => config
                .words("pos_att_type")?
                .unwrap_or_default()
                .iter()
                .map(|&kind| kind.to_owned())
                .collect::<Vec<_>>(),
        };
        let relative = if config.flag("relative_attention", false)? {
            let longest = match config.int("max_relative_positions", -1)? {
                longest @ 1.. => longest as usize,
                _ => config.size(&["max_position_embeddings"], 512)?,
            };
            let buckets = config.int("position_buckets", -1)?;
            Some(Relative { longest, buckets: (buckets > 0).then_some(buckets as usize) })
        } else {
            None
        };
        Ok(Self {
            heads: config.size(&["num_attention_heads"], 24)?,
            content_to_position: kinds.iter().any(|kind| kind == "c2p"),
            position_to_content: kinds.iter().any(|kind| kind == "p2c"),
            shared: config.flag("share_att_key", false)?,
            relative,
        })
    }

    /// Attention with the projections in `w`, the module `attention.self`, on rows `x`; `hidden` is added to scores.
    pub(super) fn attend(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        rows: &Rows,
        (hidden, distances): (Val, Option<Distances>),
    ) -> Result<Val> {
        let part = |g: &mut Builder, name: &str| -> Result<Val> {
            let y = linear(g, &w.at(name), x)?;
            Ok(split_heads(g, y, rows, self.heads)?)
        };
        let queries = part(g, "query_proj")?;
        let (keys, values) = (part(g, "key_proj")?, part(g, "value_proj")?);
        let products = 1 + usize::from(self.content_to_position) + usize::from(self.position_to_content);
        let scale = 1.0 / ((g.size(queries, 3)? * products) as f32).sqrt();
        let scale = g.float("attention_scale", scale);
        let queries = g.mul(queries, scale)?;
        let mut bias = hidden;
        if let Some(distances) = distances {
            if self.content_to_position {
                let name = if self.shared { "key_proj" } else { "pos_key_proj" };
                let own = self.vectors(g, &w.at(name), distances.vectors)?;
                let all = g.matmul(queries, own)?;
                let found = g.gather_elements(all, distances.of_queries, 3)?;
                bias = g.add(bias, found)?;
            }
            if self.position_to_content {
                let name = if self.shared { "query_proj" } else { "pos_query_proj" };
                let own = self.vectors(g, &w.at(name), distances.vectors)?;
                let own = g.mul(own, scale)?;
                let all = g.matmul(keys, own)?;
                let found = g.gather_elements(all, distances.of_keys, 3)?;
                let found = g.transpose(found, &[0, 1, 3, 2])?;
                bias = g.add(bias, found)?;
            }
        }
        let scores = Scores { scale: None, bias: Some(bias), cap: None };
        let y = attention(g, queries, keys, values, scores)?;
        Ok(join_heads(g, y)?)
    }

    /// The vectors of distances through a projection, by heads: `[heads, head, 2*span]`. Runtimes compute it when they load the graph.
    fn vectors(&self, g: &mut Builder, w: &Weights, vectors: Val) -> Result<Val> {
        let projected = linear(g, w, vectors)?;
        let (count, width) = (g.size(projected, 0)?, g.size(projected, 1)?);
        let projected = g.reshape(projected, [count, self.heads, width / self.heads.max(1)])?;
        Ok(g.transpose(projected, &[1, 2, 0])?)
    }
}

impl Relative {
    /// How many vectors of distances there are in each direction.
    pub(super) fn span(&self) -> usize {
        self.buckets.unwrap_or(self.longest)
    }

    /// Finds the vectors between all tokens, for so many heads.
    pub(super) fn distances(
        &self,
        g: &mut Builder,
        vectors: Val,
        (rows, heads): (&Rows, usize),
    ) -> Result<Distances> {
        let numbers = self.numbers()?;
        let longest = numbers.len() / 2;
        let table = g.ints("distance_buckets", &numbers);
        let places = g.positions(&rows.sequence)?;
        let (first, second) = (g.unsqueeze(places, 1)?, g.unsqueeze(places, 0)?);
        let distance = g.sub(first, second)?;
        let (low, high) = (g.int("zero", 0), g.int("last_distance", 2 * longest as i64));
        let middle = g.int("distance_zero", longest as i64);
        let shape = [rows.batch.clone(), heads.into(), rows.sequence.clone(), rows.sequence.clone()];
        let index = |g: &mut Builder, from_key: bool| -> Result<Val> {
            // A distance is that of the query from the key, wherever the two stand.
            let at = if from_key { g.sub(middle, distance)? } else { g.add(distance, middle)? };
            let at = g.maximum(at, low)?;
            let at = g.minimum(at, high)?;
            let number = g.embedding(table, at)?;
            let number = g.cast(number, DType::I32)?;
            Ok(g.expand_to(number, &shape)?)
        };
        Ok(Distances { vectors, of_queries: index(g, false)?, of_keys: index(g, true)? })
    }

    /// The vector of each distance, from the longest negative one that is told apart to the longest positive one.
    fn numbers(&self) -> Result<Vec<i64>> {
        let span = self.span() as i64;
        let mut numbers = Vec::new();
        for away in 0..=MOST_DISTANCES {
            let bucket = self.bucket(away)?;
            numbers.push(bucket);
            if bucket >= span {
                let low = numbers.iter().skip(1).rev().map(|&bucket| (span - bucket).max(0));
                let high = numbers.iter().map(|&bucket| (span + bucket).min(2 * span - 1));
                return Ok(low.chain(high).collect());
            }
        }
        Error::unsupported(format!("{span} vectors for distances up to {}", self.longest))
    }

    /// The number of a distance: itself while it is short, then ever more with the same. In single precision, and in the order in which
    /// transformers computes it.
    fn bucket(&self, away: usize) -> Result<i64> {
        let Some(buckets) = self.buckets else { return Ok(away as i64) };
        let near = buckets / 2;
        if near == 0 || self.longest <= near + 1 {
            return Error::unsupported(format!("{buckets} vectors for distances up to {}", self.longest));
        }
        if away <= near {
            return Ok(away as i64);
        }
        let span = ((self.longest - 1) as f64 / near as f64) as f32;
        let share = (away as f32 / near as f32).ln() / span.ln() * (near - 1) as f32;
        Ok(share.ceil() as i64 + near as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_numbers() {
        // As published: 256 vectors each way for distances up to 512.
        let of = Relative { longest: 512, buckets: Some(256) }.numbers().unwrap();
        let middle = of.len() / 2;
        let at = |distance: i64| of[(middle as i64 + distance) as usize] - 256;
        assert_eq!(
            [0, 5, 128, 129, 131, 300, 510, 511, 512].map(at),
            [0, 5, 128, 129, 131, 207, 255, 255, 255]
        );
        assert_eq!([-5, -128, -129, -300, -511, -512].map(at), [-5, -128, -129, -207, -255, -256]);
        let plain = Relative { longest: 3, buckets: None }.numbers().unwrap();
        assert_eq!(plain, [0, 1, 2, 3, 4, 5, 5]);
    }

    #[test]
    fn numbers_are_bounded() {
        for (longest, buckets) in
            [(1 << 31, None), (1 << 31, Some(1 << 30)), (512, Some(1)), (100, Some(256))]
        {
            assert!(Relative { longest, buckets }.numbers().is_err(), "{longest} {buckets:?}");
        }
    }
}
