//! Rotary position embedding (Su et al., 2021): queries and keys are turned, pair by pair of their features, by angles that grow with
//! their places, so that products depend on distances only.
//!
//! Angles are made in the graph of the positions that are there, not of a table that ends. Frequencies are numbers of single precision
//! as the transformers library computes them; pairs are either the two halves of a head (GPT-NeoX, LLaMA, most models), or neighbours
//! (GPT-J, GLM).

use zoo_graph::{Builder, Result, Val};
use zoo_tensor::DType;

/// The frequencies `theta^(-2i/dim)` of `dim / 2` pairs, in radians per place.
pub fn inverse_frequencies(theta: f64, dim: usize) -> Vec<f32> {
    let exponent = |pair: usize| (2 * pair) as f32 / dim as f32;
    (0..dim / 2).map(|pair| 1.0 / (theta as f32).powf(exponent(pair))).collect()
}

/// Cosines and sines of the angles at `positions` (`i64` `[batch, sequence]`, or `[1, sequence]` if they are the same for all), both
/// times `scale`: `[batch or 1, 1, sequence, pairs]`.
///
/// # Errors
/// If `positions` is no matrix.
#[track_caller]
pub fn rotary_tables(g: &mut Builder, positions: Val, frequencies: &[f32], scale: f32) -> Result<(Val, Val)> {
    let frequencies = g.floats("inverse_frequencies", &[frequencies.len()], frequencies)?;
    rotary_tables_of(g, positions, frequencies, scale)
}

/// The same with frequencies `[pairs]` that are a value of the graph.
///
/// # Errors
/// If `positions` is no matrix.
#[track_caller]
pub fn rotary_tables_of(g: &mut Builder, positions: Val, frequencies: Val, scale: f32) -> Result<(Val, Val)> {
    let places = g.cast(positions, DType::F32)?;
    let places = g.unsqueeze(places, 1)?;
    let places = g.unsqueeze(places, -1)?;
    let angles = g.mul(places, frequencies)?;
    let (mut cos, mut sin) = (g.cos(angles)?, g.sin(angles)?);
    if scale.to_bits() != 1.0_f32.to_bits() {
        let scale = g.float("rotary_scale", scale);
        (cos, sin) = (g.mul(cos, scale)?, g.mul(sin, scale)?);
    }
    Ok((cos, sin))
}

/// Turns `x` `[batch, heads, sequence, head]` by the angles of [`rotary_tables`]: feature `i` and feature `i + pairs` are a pair. What a
/// head has beyond `2 * pairs` features stays as it is.
///
/// # Errors
/// If a head has fewer features, or the shapes do not go together.
#[track_caller]
pub fn rotate(g: &mut Builder, x: Val, cos: Val, sin: Val) -> Result<Val> {
    let pairs = g.size(cos, 3)?;
    let rest = g.size(x, 3)?.saturating_sub(2 * pairs);
    let sizes = [pairs, pairs, rest];
    let parts = g.split(x, -1, if rest == 0 { &sizes[..2] } else { &sizes })?;
    let (first, second) = turned(g, (parts[0], parts[1]), cos, sin)?;
    let turned: Vec<Val> = [first, second].into_iter().chain(parts.get(2).copied()).collect();
    g.concat(&turned, -1)
}

/// The same where features `2i` and `2i + 1` are a pair.
///
/// # Errors
/// As [`rotate`].
#[track_caller]
pub fn rotate_interleaved(g: &mut Builder, x: Val, cos: Val, sin: Val) -> Result<Val> {
    let width = 2 * g.size(cos, 3)?;
    let rest = g.size(x, 3)?.saturating_sub(width);
    let parts = if rest == 0 { vec![x] } else { g.split(x, -1, &[width, rest])? };
    let pairs = g.split_axis(parts[0], 3, &[2])?;
    let pairs = g.split(pairs, -1, &[1, 1])?;
    // Tables get an axis of size 1 at their end rather than pairs losing theirs: they are the same for all layers.
    let (cos, sin) = (g.unsqueeze(cos, -1)?, g.unsqueeze(sin, -1)?);
    let (first, second) = turned(g, (pairs[0], pairs[1]), cos, sin)?;
    let turned = g.concat(&[first, second], -1)?;
    let turned = g.join_axes(turned, 3, 5)?;
    let all: Vec<Val> = std::iter::once(turned).chain(parts.get(1).copied()).collect();
    g.concat(&all, -1)
}

/// `(a cos - b sin, b cos + a sin)`.
#[track_caller]
fn turned(g: &mut Builder, (a, b): (Val, Val), cos: Val, sin: Val) -> Result<(Val, Val)> {
    let (a_cos, b_sin) = (g.mul(a, cos)?, g.mul(b, sin)?);
    let (b_cos, a_sin) = (g.mul(b, cos)?, g.mul(a, sin)?);
    Ok((g.sub(a_cos, b_sin)?, g.add(b_cos, a_sin)?))
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Dim;

    use super::*;

    fn named(name: &str) -> Dim {
        Dim::Named(name.to_owned())
    }

    #[test]
    fn frequencies_fall_from_one() {
        assert_eq!(inverse_frequencies(10_000.0, 8), [1.0, 0.1, 0.01, 0.001]);
        assert_eq!(inverse_frequencies(10_000.0, 0), [0.0_f32; 0]);
    }

    #[test]
    fn what_is_beyond_the_pairs_passes() {
        let mut g = Builder::new("g", 18).unwrap();
        let positions = g.input("p", DType::I64, [1.into(), named("s")]).unwrap();
        let (cos, sin) = rotary_tables(&mut g, positions, &inverse_frequencies(100.0, 6), 1.0).unwrap();
        assert_eq!(g.dims(cos), [1.into(), 1.into(), named("s"), 3.into()]);
        for width in [6, 10] {
            let dims = [named("b"), 2.into(), named("s"), width.into()];
            let x = g.input(&format!("x{width}"), DType::F32, dims.clone()).unwrap();
            let (y, z) =
                (rotate(&mut g, x, cos, sin).unwrap(), rotate_interleaved(&mut g, x, cos, sin).unwrap());
            assert_eq!((g.dims(y), g.dims(z)), (&dims[..], &dims[..]));
        }
        let narrow = g.input("narrow", DType::F32, [named("b"), 2.into(), named("s"), 4.into()]).unwrap();
        assert!(
            rotate(&mut g, narrow, cos, sin).is_err()
                && rotate_interleaved(&mut g, narrow, cos, sin).is_err()
        );
    }
}
