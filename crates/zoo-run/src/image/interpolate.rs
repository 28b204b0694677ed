//! Resizing as PyTorch's `interpolate` does it (`align_corners=False`, `antialias=False`), for pictures that were tensors
//! before they were resized: frames of videos.
//!
//! A result is mixed from its two (bilinear) or four (bicubic, a = -3/4) nearest sources along each side, whatever the
//! factor: a picture that shrinks is sampled, not averaged. torchvision computes in 32-bit floats and rounds back to 8
//! bits, halves to the even one. The last bit of its floats depends on the processor, so that a sample in ten thousand,
//! nearly halfway between two levels, may come out as the other one.

use super::picture::{Picture, bounded};
use super::recipe::Filter;
use crate::{Error, Result};

/// Resizes.
///
/// # Errors
/// [`Error::TooMuch`] if the result is larger than a picture may be; [`Error::Recipe`] for the Lanczos filter, which
/// PyTorch does not have.
pub(super) fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Result<Picture> {
    bounded(width, height)?;
    let taps = match filter {
        Filter::Nearest => nearest,
        Filter::Bilinear => bilinear,
        Filter::Bicubic => bicubic,
        Filter::Lanczos => return Err(Error::recipe("PyTorch resizes no tensor with the Lanczos filter")),
    };
    if (width, height) == (picture.width(), picture.height()) {
        return Ok(picture.clone());
    }
    let along = |from: usize, to: usize| {
        let scale = from as f32 / to as f32;
        (0..to).map(move |place| taps(place as f32, scale, from))
    };
    let columns: Vec<Taps> = along(picture.width(), width).collect();
    let rows: Vec<&[u8]> = picture.rows().collect();
    let channels = picture.channels();
    let mut samples = Vec::with_capacity(width * height * channels);
    for row in along(picture.height(), height) {
        let row = row.map(|(source, weight)| (rows.get(source).copied().unwrap_or_default(), weight));
        for column in &columns {
            for channel in 0..channels {
                let mixed: f32 = row
                    .iter()
                    .map(|(samples, weight)| {
                        let sample = |place: usize| samples.get(place * channels + channel).copied();
                        let part =
                            |&(place, weight): &(usize, f32)| sample(place).map_or(0.0, f32::from) * weight;
                        column.iter().map(part).sum::<f32>() * weight
                    })
                    .sum();
                samples.push(mixed.round_ties_even().clamp(0.0, 255.0) as u8);
            }
        }
    }
    Picture::new(width, height, channels, samples)
}

/// Up to four sources along one side, with their weights; those that are not needed have none.
type Taps = [(usize, f32); 4];

const NONE: (usize, f32) = (0, 0.0);

/// PyTorch's older rule, which begins at the edge of a pixel and not in its middle.
fn nearest(place: f32, scale: f32, from: usize) -> Taps {
    [(((place * scale) as usize).min(from - 1), 1.0), NONE, NONE, NONE]
}

fn bilinear(place: f32, scale: f32, from: usize) -> Taps {
    let at = (scale * (place + 0.5) - 0.5).max(0.0);
    let first = (at as usize).min(from - 1);
    let right = (at - first as f32).clamp(0.0, 1.0);
    [(first, 1.0 - right), ((first + 1).min(from - 1), right), NONE, NONE]
}

fn bicubic(place: f32, scale: f32, from: usize) -> Taps {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let at = scale * (place + 0.5) - 0.5;
    let first = at.floor().min((from - 1) as f32);
    let right = (at - first).clamp(0.0, 1.0);
    let left = 1.0 - right;
    let source = |offset: f32| (first + offset).clamp(0.0, (from - 1) as f32) as usize;
    [
        (source(-1.0), far(right + 1.0)),
        (source(0.0), near(right)),
        (source(1.0), near(left)),
        (source(2.0), far(left + 1.0)),
    ]
}
