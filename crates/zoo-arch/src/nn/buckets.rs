//! Bias by bucketed distance (Raffel et al., 2019): short distances have a number each, longer ones share it with ever more others.

use zoo_graph::{Builder, Val};

use crate::transformers::{Error, Result};

/// How distances fall into buckets.
#[derive(Debug, Clone, Copy)]
pub struct Buckets {
    /// How many there are.
    pub count: usize,
    /// From which distance on all are in the last one.
    pub longest: usize,
    /// Whether keys behind a query have buckets of their own, the second half; otherwise they are all at distance 0.
    pub both_ways: bool,
}

/// A table of more distances is refused: it is made here.
const MOST_DISTANCES: usize = 1 << 16;

impl Buckets {
    /// The bucket of each distance, key minus query, from `-longest` to `longest`.
    ///
    /// Numbers are of single precision, in the order in which transformers computes them: which bucket a distance at the edge of two is
    /// in depends on how they are rounded.
    fn of_distances(self) -> Result<Vec<i64>> {
        let Self { count, longest, both_ways } = self;
        let half = if both_ways { count / 2 } else { count };
        let exact = half / 2;
        if exact == 0 || longest <= exact || longest > MOST_DISTANCES {
            return Error::unsupported(format!("{count} buckets for distances up to {longest}"));
        }
        let span = (longest as f64 / exact as f64).ln() as f32;
        let bucket = |away: usize| {
            if away < exact {
                return away;
            }
            let share = (away as f32 / exact as f32).ln() / span * (half - exact) as f32;
            (exact + share as usize).min(half - 1)
        };
        let before = (1..=longest).rev().map(bucket);
        let behind = (0..=longest).map(|away| if both_ways && away > 0 { half + bucket(away) } else { 0 });
        Ok(before.chain(behind).map(|bucket| bucket as i64).collect())
    }
}

/// The bias of queries and keys at these places (`i64` `[queries]`, `[keys]`): `[1, heads, queries, keys]` of `table` `[buckets, heads]`.
///
/// # Errors
/// If the table has too few rows, or the buckets make no sense.
#[track_caller]
pub fn bucket_bias(
    g: &mut Builder,
    table: Val,
    (queries, keys): (Val, Val),
    buckets: Buckets,
) -> Result<Val> {
    // One row for each distance, which runtimes make when they load the graph.
    let rows = g.take_along(table, 0, &buckets.of_distances()?)?;
    let (queries, keys) = (g.unsqueeze(queries, 1)?, g.unsqueeze(keys, 0)?);
    let distance = g.sub(keys, queries)?;
    let longest = g.int("longest_distance", buckets.longest as i64);
    let shifted = g.add(distance, longest)?;
    let (first, last) = (g.int("zero", 0), g.int("last_distance", 2 * buckets.longest as i64));
    let shifted = g.maximum(shifted, first)?;
    let shifted = g.minimum(shifted, last)?;
    let bias = g.embedding(rows, shifted)?;
    let bias = g.transpose(bias, &[2, 0, 1])?;
    Ok(g.unsqueeze(bias, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_fall_into_buckets() {
        let both = Buckets { count: 32, longest: 128, both_ways: true };
        let of = both.of_distances().unwrap();
        let at = |distance: i64| of[(distance + 128) as usize];
        assert_eq!([0, -1, -7, -8, -11, -12, -16, -128].map(at), [0, 1, 7, 8, 8, 9, 10, 15]);
        assert_eq!(
            [1, 7, 15, 16, 31, 32, 63, 64, 90, 91, 128].map(at),
            [17, 23, 25, 26, 27, 28, 29, 30, 30, 31, 31]
        );
        let one = Buckets { both_ways: false, ..both }.of_distances().unwrap();
        assert_eq!(
            [one[0], one[127], one[128 - 15], one[128 - 16], one[129], one[256]],
            [31, 1, 15, 16, 0, 0]
        );
    }

    #[test]
    fn buckets_without_meaning_are_refused() {
        for (count, longest) in [(2, 128), (32, 8), (32, usize::MAX)] {
            assert!(Buckets { count, longest, both_ways: true }.of_distances().is_err(), "{count} {longest}");
        }
    }
}
