//! Attention with linear biases (ALiBi; Press et al., 2021): scores fall with the distance between two tokens, in each head at a slope of
//! its own.

use zoo_graph::{Builder, Error, Result, Val};

/// More heads are refused: they are numbered here.
const MOST_HEADS: usize = 1 << 12;

/// The slopes of heads: a geometric sequence for a power of two; for other numbers, that of the next smaller one, and behind it every
/// second slope of the next larger one.
///
/// # Errors
/// If there are more than 4,096 heads, or none.
pub fn alibi_slopes(heads: usize) -> Result<Vec<f32>> {
    if heads == 0 || heads > MOST_HEADS {
        let problem = format!("{heads} heads have no slopes");
        return Err(Error::Op { op: "Alibi".to_owned(), problem, at: std::panic::Location::caller() });
    }
    let of_power = |count: usize| {
        let first = 2_f64.powf(-8.0 / count as f64);
        (0..count).map(move |place| first * first.powi(place as i32))
    };
    let power = 1 << heads.ilog2();
    Ok(of_power(power).chain(of_power(2 * power).step_by(2)).take(heads).map(|slope| slope as f32).collect())
}

/// What is added to scores of tokens that see each other both ways: minus the distance, times the slope. `places` are `i64`
/// `[sequence]`; gives `[1, heads, sequence, sequence]`.
///
/// # Errors
/// As [`alibi_slopes`].
#[track_caller]
pub fn alibi_bias(g: &mut Builder, places: Val, heads: usize) -> Result<Val> {
    let slopes: Vec<f32> = alibi_slopes(heads)?.into_iter().map(|slope| -slope).collect();
    let (queries, keys) = (g.unsqueeze(places, 1)?, g.unsqueeze(places, 0)?);
    let distance = g.sub(queries, keys)?;
    let distance = g.abs(distance)?;
    let distance = g.cast(distance, zoo_tensor::DType::F32)?;
    let slopes = g.floats("alibi_slopes", &[1, heads, 1, 1], &slopes)?;
    g.mul(distance, slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_powers_of_two_and_others() {
        assert_eq!(
            alibi_slopes(8).unwrap(),
            [0.5, 0.25, 0.125, 0.0625, 0.031_25, 0.015_625, 0.007_812_5, 0.003_906_25]
        );
        let twelve = alibi_slopes(12).unwrap();
        assert_eq!(twelve[..8], alibi_slopes(8).unwrap());
        assert_eq!(
            twelve[8..],
            [0.5_f32.sqrt(), 0.125_f32.sqrt(), 0.031_25_f32.sqrt(), 0.007_812_5_f32.sqrt()]
        );
        assert!(alibi_slopes(0).is_err() && alibi_slopes(usize::MAX).is_err());
    }
}
