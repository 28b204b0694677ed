//! Where tokens stand, in models that follow on BART.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::{DType, Tensor, Weight};

use crate::config::Config;
use crate::transformers::{Error, Result};

/// Larger tables are refused where they are made here: models have some 1024 places of 1024 features.
const MAX_ELEMENTS: usize = 1 << 24;

/// How places become vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Positions {
    /// A table that was learned, of which the first rows stand for nothing.
    Learned {
        /// How many.
        offset: i64,
    },
    /// Sines, then cosines (Vaswani et al., 2017); the checkpoint may have the table or not.
    Sinusoidal,
    /// Sines, then cosines, of places that count only what is no padding. The table is in no checkpoint.
    WithoutPadding {
        /// The token of padding; the first place is the one behind it.
        padding: i64,
    },
}

impl Positions {
    /// The vectors of `ids` `[batch, sequence]`, which stand at `places` `[sequence]` of their texts: something that can be added to
    /// `[batch, sequence, width]`. `w` is what the checkpoint has of them.
    pub(super) fn of(self, g: &mut Builder, w: &Weights, config: &Config, at: &At) -> Result<Val> {
        let count = config.size(&["max_position_embeddings"], 1024)?;
        match self {
            Self::Learned { offset } => {
                let table = g.weight(w, "weight")?;
                let offset = g.int("first_place", offset);
                let places = g.add(at.places, offset)?;
                Ok(g.embedding(table, places)?)
            }
            Self::Sinusoidal => {
                let table = match g.weight_if(w, "weight")? {
                    Some(table) => table,
                    None => {
                        bounded(count, at.width)?;
                        made(g, count, at.width, |place, feature| halved(place, feature, at.width))?
                    }
                };
                Ok(g.embedding(table, at.places)?)
            }
            Self::WithoutPadding { padding } => {
                let rows = count.saturating_add(2);
                bounded(rows, at.width)?;
                let frequencies = frequencies(at.width);
                let element = |place, feature| whole(&frequencies, padding, place, feature, at.width);
                let table = made(g, rows, at.width, element)?;
                let padding = g.int("padding", padding);
                let is_padding = g.equal(at.ids, padding)?;
                let seen = g.not(is_padding)?;
                let seen = g.cast(seen, DType::I64)?;
                let count = g.cumulative_sum(seen, 1)?;
                let count = match at.past {
                    Some(past) => g.add(count, past)?,
                    None => count,
                };
                let count = g.mul(count, seen)?;
                let count = g.add(count, padding)?;
                Ok(g.embedding(table, count)?)
            }
        }
    }
}

/// Refuses a table that is too large to be made. Neither its places nor its width, of a tensor without elements, need be true.
fn bounded(rows: usize, width: usize) -> Result<()> {
    match rows.checked_mul(width) {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(()),
        _ => Error::unsupported(format!("a table of {rows} places of {width} features")),
    }
}

fn made(g: &mut Builder, rows: usize, width: usize, element: impl Fn(usize, usize) -> f32) -> Result<Val> {
    let element = &element;
    let values: Vec<f32> =
        (0..rows).flat_map(|place| (0..width).map(move |feature| element(place, feature))).collect();
    Ok(g.derived("embed_positions.weight", Weight::from(Tensor::from_slice([rows, width], &values)?)))
}

/// Tokens and where they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// `[batch, sequence]`.
    pub(super) ids: Val,
    /// `[sequence]`.
    pub(super) places: Val,
    /// How many tokens went before, `[1]`; none if there can be none.
    pub(super) past: Option<Val>,
    /// The width of vectors.
    pub(super) width: usize,
}

/// As Marian and PEGASUS have it: computed in double precision; the even exponents' sines come first, then the odd ones' cosines.
fn halved(place: usize, feature: usize, width: usize) -> f32 {
    let sines = width.div_ceil(2);
    let angle = |pair: usize| place as f64 / 10000_f64.powf((2 * pair) as f64 / width as f64);
    let value = if feature < sines { angle(feature).sin() } else { angle(feature - sines).cos() };
    value as f32
}

/// The frequencies of M2M-100, computed in single precision.
fn frequencies(width: usize) -> Vec<f32> {
    let half = width / 2;
    let step = (10000_f64.ln() / (half as f64 - 1.0)) as f32;
    (0..half).map(|pair| (pair as f32 * -step).exp()).collect()
}

/// As M2M-100 has it: sines, then cosines; the padding's own place is all zeros.
fn whole(frequencies: &[f32], padding: i64, place: usize, feature: usize, width: usize) -> f32 {
    let half = width / 2;
    let angle = |pair: usize| frequencies.get(pair).map(|frequency| place as f32 * frequency);
    match feature {
        _ if place as i64 == padding => 0.0,
        feature if feature < half => angle(feature).map_or(0.0, f32::sin),
        feature => angle(feature - half).map_or(0.0, f32::cos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
        values.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn sines_come_before_cosines() {
        assert_eq!(bits((0..5).map(|feature| halved(0, feature, 5))), bits([0.0, 0.0, 0.0, 1.0, 1.0]));
        let angle = 3.0_f64 / 100.0;
        assert_eq!(bits([halved(3, 1, 4), halved(3, 3, 4)]), bits([angle.sin() as f32, angle.cos() as f32]));
    }

    #[test]
    fn the_place_of_padding_is_nothing() {
        let frequencies = frequencies(6);
        assert!((frequencies[1] - 0.01).abs() < 1e-8 && (frequencies[2] - 1e-4).abs() < 1e-10);
        let row = |place| bits([0, 2, 3, 5].map(|feature| whole(&frequencies, 1, place, feature, 6)));
        assert_eq!((row(0), row(1)), (bits([0.0, 0.0, 1.0, 1.0]), bits([0.0; 4])));
        assert_eq!(row(2)[0], 2_f32.sin().to_bits());
    }

    #[test]
    fn tables_are_bounded_before_they_are_made() {
        assert!(
            bounded(1026, 4096).is_ok() && bounded(1 << 31, 1024).is_err() && bounded(2, usize::MAX).is_err()
        );
    }
}
