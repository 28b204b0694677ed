//! Resizing as Pillow does it, to the last bit.
//!
//! Models are trained on pictures that Pillow has resized, so its rounding is part of their input. It convolves in two
//! passes, along the rows and along the columns, with weights in fixed point of 22 bits, and rounds and clips to 8 bits after
//! each. Where a picture shrinks, the filter is widened by the factor: every pixel has its say, which is called
//! antialiasing. Libraries that choose another order, precision or filter are a level away with the bilinear filter and, because
//! overshoots are clipped elsewhere, tens of levels with the bicubic and Lanczos ones.
//!
//! Rows come first, except (since Pillow 13) where columns are shortened by more than twice what rows are. Older versions
//! differ there, by a level with the bilinear filter.
//!
//! `NEAREST` is no filter but a walk over the picture with a fixed step, whose accumulated rounding is repeated here.

use super::picture::{Picture, bounded};
use super::recipe::Filter;
use crate::Result;

/// Bits of a weight behind the point. A sum has eight more, and two for the sign and for overshoots.
const BITS: u32 = 32 - 8 - 2;

/// Half of the last place that is kept, so that cutting off rounds to the nearest.
const HALF: i32 = 1 << (BITS - 1);

/// Resizes.
///
/// # Errors
/// [`crate::Error::TooMuch`] if the result is larger than a picture may be.
pub(super) fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Result<Picture> {
    bounded(width, height)?;
    let kernel = match filter {
        Filter::Nearest => return nearest(picture, width, height),
        Filter::Bilinear => TRIANGLE,
        Filter::Bicubic => CUBIC,
        Filter::Lanczos => LANCZOS,
    };
    let along_rows = |picture: &Picture| horizontal(picture, &Weights::new(&kernel, picture.width(), width));
    let along_columns =
        |picture: &Picture| vertical(picture, &Weights::new(&kernel, picture.height(), height));
    match (width == picture.width(), height == picture.height()) {
        (true, true) => Ok(picture.clone()),
        (false, true) => along_rows(picture),
        (true, false) => along_columns(picture),
        // In either order, what is between the passes is no larger than what is given or what comes out.
        (false, false) if columns_first(picture, width, height) => along_rows(&along_columns(picture)?),
        (false, false) => along_columns(&along_rows(picture)?),
    }
}

/// Whether Pillow shortens columns before rows.
fn columns_first(picture: &Picture, width: usize, height: usize) -> bool {
    let saved = |from: usize, to: usize| from as i64 - to as i64;
    let (rows, columns) = (saved(picture.width(), width), saved(picture.height(), height));
    columns > 0 && columns > 2 * rows
}

/// What a neighbour at a distance counts.
struct Kernel {
    /// How far it reaches to either side, in pixels of a picture that is not shrunk.
    support: f64,
    weight: fn(f64) -> f64,
}

const TRIANGLE: Kernel = Kernel { support: 1.0, weight: |x| (1.0 - x.abs()).max(0.0) };
const CUBIC: Kernel = Kernel { support: 2.0, weight: cubic };
const LANCZOS: Kernel = Kernel { support: 3.0, weight: lanczos };

/// Keys' cubic with a = -1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// A sinc under a wider sinc, three zeros to either side.
fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// The weights of every result along one side.
struct Weights {
    /// Where the weights of each begin among the sources, and how many are its own.
    spans: Vec<(usize, usize)>,
    /// The weights of the first, of the second and so on; each one's sum is 1 in fixed point, up to rounding.
    fixed: Vec<i32>,
}

impl Weights {
    fn new(kernel: &Kernel, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = kernel.support * stretch;
        let (mut spans, mut all) = (Vec::with_capacity(to), Vec::new());
        let mut exact = Vec::new();
        for place in 0..to {
            let centre = (place as f64 + 0.5) * scale;
            // Cut off towards zero; a negative bound becomes zero.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((first..end).map(|source| {
                let distance = source as f64 - centre + 0.5;
                (kernel.weight)(distance * (1.0 / stretch))
            }));
            let sum: f64 = exact.iter().sum();
            let share = |weight: f64| if sum == 0.0 { weight } else { weight / sum };
            all.extend(exact.iter().map(|&weight| fixed(share(weight))));
            spans.push((first, exact.len()));
        }
        Self { spans, fixed: all }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let mut rest = self.fixed.as_slice();
        self.spans.iter().map(move |&(first, count)| {
            let (own, after) = rest.split_at(count);
            rest = after;
            (first, own)
        })
    }
}

/// To the nearest; a half goes away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << BITS);
    if weight < 0.0 { (scaled - 0.5) as i32 } else { (scaled + 0.5) as i32 }
}

/// A sum as a sample.
fn clip(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

fn horizontal(picture: &Picture, weights: &Weights) -> Result<Picture> {
    match picture.channels() {
        1 => each_row::<1>(picture, weights),
        _ => each_row::<3>(picture, weights),
    }
}

fn each_row<const CHANNELS: usize>(picture: &Picture, weights: &Weights) -> Result<Picture> {
    let width = weights.spans.len();
    let mut samples = Vec::with_capacity(width * picture.height() * CHANNELS);
    for row in picture.rows() {
        let (pixels, _) = row.as_chunks::<CHANNELS>();
        for (first, own) in weights.iter() {
            let mut sums = [HALF; CHANNELS];
            for (pixel, weight) in pixels.iter().skip(first).zip(own) {
                for (sum, &sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(sample) * weight;
                }
            }
            samples.extend(sums.map(clip));
        }
    }
    Picture::new(width, picture.height(), CHANNELS, samples)
}

fn vertical(picture: &Picture, weights: &Weights) -> Result<Picture> {
    let (height, length) = (weights.spans.len(), picture.width() * picture.channels());
    let mut samples = Vec::with_capacity(height * length);
    let mut sums = vec![HALF; length];
    for (first, own) in weights.iter() {
        sums.fill(HALF);
        for (row, weight) in picture.rows().skip(first).zip(own) {
            for (sum, &sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(sample) * weight;
            }
        }
        samples.extend(sums.iter().map(|&sum| clip(sum)));
    }
    Picture::new(picture.width(), height, picture.channels(), samples)
}

fn nearest(picture: &Picture, width: usize, height: usize) -> Result<Picture> {
    let (columns, rows) = (steps(picture.width(), width), steps(picture.height(), height));
    let channels = picture.channels();
    let mut samples = Vec::with_capacity(width * height * channels);
    let sources: Vec<&[u8]> = picture.rows().collect();
    for row in rows.iter().filter_map(|&row| sources.get(row)) {
        for column in &columns {
            samples.extend(row.iter().skip(column * channels).take(channels));
        }
    }
    Picture::new(width, height, channels, samples)
}

/// The source of every result along one side: from the middle of the first, step by step.
fn steps(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut at = step * 0.5;
    let mut next = || {
        let here = at as usize;
        at += step;
        here.min(from - 1)
    };
    (0..to).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILTERS: [Filter; 4] = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    /// Whatever the sides are, the weights' sizes together stay within the two spare bits.
    #[test]
    fn sums_fit() {
        let sizes = || (1..40).chain([97, 1000]);
        let pairs =
            sizes().flat_map(|from| sizes().map(move |to| (from, to))).chain([(65_535, 1), (65_535, 224)]);
        for (from, to) in pairs {
            for kernel in [TRIANGLE, CUBIC, LANCZOS] {
                for (_, own) in Weights::new(&kernel, from, to).iter() {
                    let most: i64 = own.iter().map(|&weight| i64::from(weight).abs() * 255).sum();
                    assert!(most + i64::from(HALF) <= i64::from(i32::MAX), "{from} to {to}");
                }
            }
        }
    }

    proptest! {
        /// A picture of one colour stays one, and a picture of the same size stays itself.
        #[test]
        fn colours_are_kept(
            (width, height) in (1_usize..40, 1_usize..40),
            (to_width, to_height) in (1_usize..40, 1_usize..40),
            colour: [u8; 3],
            noise in proptest::collection::vec(any::<u8>(), 40 * 40 * 3),
        ) {
            let plain = Picture::rgb(width, height, colour.repeat(width * height)).unwrap();
            let noise = Picture::rgb(width, height, noise[..width * height * 3].to_vec()).unwrap();
            for filter in FILTERS {
                let resized = resize(&plain, to_width, to_height, filter).unwrap();
                prop_assert_eq!(resized.samples(), colour.repeat(to_width * to_height));
                prop_assert_eq!(&resize(&noise, width, height, filter).unwrap(), &noise);
            }
        }
    }

    #[test]
    fn columns_come_first_where_they_are_shortened_most() {
        let first = |width, height, to_width, to_height| {
            columns_first(
                &Picture::rgb(width, height, vec![0; width * height * 3]).unwrap(),
                to_width,
                to_height,
            )
        };
        assert!(first(10, 30, 9, 27));
        assert!(!first(10, 30, 9, 28), "twice is not more than twice");
        assert!(first(10, 30, 40, 29));
        assert!(!first(10, 30, 40, 31), "columns that grow come last");
    }
}
