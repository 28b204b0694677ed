//! Resampling of tables of positions, as `torch.nn.functional.interpolate` does it with `align_corners=False`.
//!
//! Networks whose positions are learned for one size of image take another with a table that is stretched between the places.
//! That is a computation on weights alone, of the size of one small tensor, and is done when the graph is made.

/// How values between places are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Linear along each axis: `mode="bilinear"`.
    Linear,
    /// Cubic convolution (Keys, 1981) with a = -3/4: `mode="bicubic"`.
    Cubic,
    /// Cubic with a = -1/2 and, where places become fewer, over as many as one stands for: `mode="bicubic", antialias=True`.
    CubicAntialiased,
}

/// Which places an output is made of, with their weights.
type Taps = Vec<(usize, f64)>;

/// From `values` `[height, width, channels]` of the size `from` to the size `to`. Sums are in double precision.
///
/// `values` has to hold as many numbers as `from` and `channels` say; where it does not, what is missing counts as nothing.
pub fn resample(
    values: &[f32],
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Vec<f32> {
    if channels == 0 || from.contains(&0) {
        return Vec::new();
    }
    let [rows, columns] = [0, 1].map(|axis| taps(from[axis], to[axis], filter));
    let across = from[1].saturating_mul(channels);
    let mut wide = Vec::with_capacity(from[0] * to[1] * channels);
    for line in values.chunks_exact(across).take(from[0]) {
        let places: Vec<&[f32]> = line.chunks_exact(channels).collect();
        for taps in &columns {
            wide.extend((0..channels).map(|channel| {
                taps.iter().map(|&(place, weight)| f64::from(places[place][channel]) * weight).sum::<f64>()
            }));
        }
    }
    let across = to[1] * channels;
    let mut resampled = Vec::with_capacity(to[0] * across);
    for taps in &rows {
        resampled.extend((0..across).map(|at| {
            let line = |row: usize| wide.get(row * across + at).copied().unwrap_or_default();
            taps.iter().map(|&(row, weight)| line(row) * weight).sum::<f64>() as f32
        }));
    }
    resampled
}

/// For each of `to` places, which of `from` it is made of.
fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to.max(1) as f64;
    let last = from.saturating_sub(1);
    (0..to)
        .map(|place| match filter {
            Filter::Linear => {
                let at = ((place as f64 + 0.5) * scale - 0.5).max(0.0);
                let before = (at as usize).min(last);
                let part = at - before as f64;
                vec![(before, 1.0 - part), ((before + 1).min(last), part)]
            }
            Filter::Cubic => {
                let at = (place as f64 + 0.5) * scale - 0.5;
                let before = at.floor();
                let beside = |step: i32| {
                    let near = (before + f64::from(step)).clamp(0.0, last as f64) as usize;
                    (near, cubic(at - before - f64::from(step), -0.75))
                };
                (-1..=2).map(beside).collect()
            }
            Filter::CubicAntialiased => antialiased(place, from, scale),
        })
        .collect()
}

/// Places within two of the wider of both grids; their weights add up to one, also at the edge.
fn antialiased(place: usize, from: usize, scale: f64) -> Taps {
    let wide = scale.max(1.0);
    let centre = (place as f64 + 0.5) * scale;
    let first = (centre - 2.0 * wide + 0.5).max(0.0) as usize;
    let end = ((centre + 2.0 * wide + 0.5) as usize).min(from);
    let weight = |near: usize| (near, cubic((near as f64 - centre + 0.5) / wide, -0.5));
    let mut taps: Taps = (first..end).map(weight).collect();
    let total: f64 = taps.iter().map(|tap| tap.1).sum();
    for tap in &mut taps {
        tap.1 /= total;
    }
    taps
}

/// The cubic kernel at a distance.
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What torch 2.15 gives for `[[1, 5, 2], [4, 3, 9]]`, made with `interpolate`.
    #[test]
    fn as_torch_does_it() {
        let values = [1.0, 5.0, 2.0, 4.0, 3.0, 9.0];
        let close = |found: Vec<f32>, expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 2e-6, "{found:?}");
            }
        };
        close(resample(&values, 1, [2, 3], [3, 2], Filter::Linear), LINEAR);
        close(resample(&values, 1, [2, 3], [3, 5], Filter::Cubic), CUBIC);
        close(resample(&values, 1, [2, 3], [1, 2], Filter::CubicAntialiased), FEWER);
        close(resample(&values, 1, [2, 3], [3, 4], Filter::CubicAntialiased), MORE);
    }

    #[test]
    fn channels_stay_apart_and_the_same_size_changes_nothing() {
        let values: Vec<f32> = (0..24).map(|n| (n * n % 17) as f32).collect();
        for filter in [Filter::Linear, Filter::Cubic, Filter::CubicAntialiased] {
            assert_eq!(resample(&values, 2, [3, 4], [3, 4], filter), values);
            let both = resample(&values, 2, [3, 4], [2, 3], filter);
            let second: Vec<f32> = values.iter().skip(1).step_by(2).copied().collect();
            let alone = resample(&second, 1, [3, 4], [2, 3], filter);
            assert_eq!(both.into_iter().skip(1).step_by(2).collect::<Vec<_>>(), alone);
        }
    }

    const LINEAR: &[f32] = &[2.0, 2.75, 2.875, 5.125, 3.75, 7.5];
    const CUBIC: &[f32] = &[
        0.313_917, 2.732_236, 5.173_611, 3.178_736, 1.029_361, 2.356, 2.974, 4.0, 5.026, 5.644, 4.398_083,
        3.215_764, 2.826_389, 6.873_264, 10.258_639,
    ];
    const FEWER: &[f32] = &[2.964_687, 5.035_313];
    const MORE: &[f32] = &[
        0.576_493, 3.767_835, 4.094_555, 1.351_826, 2.421_642, 3.334_892, 4.665_108, 5.578_358, 4.266_791,
        2.901_95, 5.235_66, 9.804_89,
    ];
}
