//! The first half of a recipe: bringing a picture to its size, on 8-bit samples, by torchvision's arithmetic.

use std::borrow::Cow;

use super::picture::Picture;
use super::recipe::{Channels, Extent, Recipe, Step};
use super::{interpolate, pillow};
use crate::limits::MAX_PICTURE_SIDE;
use crate::{Error, Result};

impl Recipe {
    /// Resizes and crops a picture, which becomes grey before if the recipe says so.
    ///
    /// # Errors
    /// [`Error::TooMuch`] or [`Error::Pictures`] if a resized side has no pixel, or more than a picture may have.
    pub fn place(&self, picture: &Picture) -> Result<Picture> {
        let mut placed = match (self.channels(), picture.channels()) {
            (Channels::Grey, 3) => Cow::Owned(picture.to_grey()),
            (Channels::Rgb | Channels::Bgr, 1) => Cow::Owned(picture.to_rgb()),
            _ => Cow::Borrowed(picture),
        };
        for step in self.steps() {
            placed = match *step {
                Step::Resize { to, filter, antialias } => {
                    let (width, height) = extent(to, &placed)?;
                    let resize = if antialias { pillow::resize } else { interpolate::resize };
                    Cow::Owned(resize(&placed, width, height, filter)?)
                }
                Step::CenterCrop { height, width } => {
                    Cow::Owned(centre(&placed, width as usize, height as usize)?)
                }
                Step::Rescale { .. } | Step::Normalize { .. } => placed,
            };
        }
        Ok(placed.into_owned())
    }
}

/// Width and height after a resize: `_compute_resized_output_size` in torchvision, which divides in 64-bit floats and
/// cuts off.
fn extent(to: Extent, picture: &Picture) -> Result<(usize, usize)> {
    let (size, max) = match to {
        Extent::Exact { height, width } => return Ok((width as usize, height as usize)),
        Extent::ShorterSide { size, max } => (size as usize, max.map(|max| max as usize)),
    };
    let (short, long) = (picture.width().min(picture.height()), picture.width().max(picture.height()));
    let scaled = |size: usize, by: usize, over: usize| (size as f64 * by as f64 / over as f64) as usize;
    let (mut new_short, mut new_long) = (size, scaled(size, long, short));
    if let Some(max) = max.filter(|&max| new_long > max) {
        (new_short, new_long) = (scaled(max, new_short, new_long), max);
    }
    if new_long > MAX_PICTURE_SIDE {
        return Err(Error::TooMuch {
            what: format!("a picture of {} by {} pixels, resized,", picture.width(), picture.height()),
            limit: MAX_PICTURE_SIDE as u64,
            unit: "pixels in a row or column",
        });
    }
    Ok(if picture.width() <= picture.height() { (new_short, new_long) } else { (new_long, new_short) })
}

/// The middle, with black around it where the picture is too small.
fn centre(picture: &Picture, width: usize, height: usize) -> Result<Picture> {
    let (columns, rows) = (Cut::of(picture.width(), width), Cut::of(picture.height(), height));
    let channels = picture.channels();
    let mut samples = vec![0; columns.size * rows.size * channels];
    let targets = samples.chunks_exact_mut(columns.size * channels).skip(rows.before);
    for (target, source) in targets.zip(picture.rows().skip(rows.skipped).take(rows.kept)) {
        let target = target.iter_mut().skip(columns.before * channels);
        let source = source.iter().skip(columns.skipped * channels);
        for (target, sample) in target.zip(source.take(columns.kept * channels)) {
            *target = *sample;
        }
    }
    Picture::new(width, height, channels, samples)
}

/// What is cut out along one side.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    /// Pixels of the result.
    size: usize,
    /// Pixels of the picture that are left out before the first one that is kept.
    skipped: usize,
    /// Pixels of the picture that are kept.
    kept: usize,
    /// Black pixels before the first one that is kept.
    before: usize,
}

impl Cut {
    /// torchvision adds the odd black pixel behind; and it cuts at half of the rest rounded by Python, halves to the even.
    fn of(from: usize, size: usize) -> Self {
        match from.checked_sub(size) {
            None => Self { size, skipped: 0, kept: from, before: (size - from) / 2 },
            Some(rest) => {
                let half = rest / 2;
                let skipped = if rest % 2 == 1 { half + half % 2 } else { half };
                Self { size, skipped, kept: size, before: 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(width: usize, height: usize) -> Picture {
        Picture::rgb(width, height, vec![0; width * height * 3]).unwrap()
    }

    /// Every expected size is what torchvision 0.29 returns.
    #[test]
    fn sizes_are_torchvisions() {
        let shorter = |size, max| Extent::ShorterSide { size, max };
        let cases = [
            ((500, 375), shorter(256, None), (341, 256)),
            ((375, 500), shorter(256, None), (256, 341)),
            ((333, 333), shorter(232, None), (232, 232)),
            ((641, 427), shorter(520, None), (780, 520)),
            ((7, 3), shorter(5, None), (11, 5)),
            ((1000, 10), shorter(256, Some(300)), (300, 3)),
            ((10, 1000), shorter(256, Some(300)), (3, 300)),
            ((500, 375), shorter(256, Some(300)), (300, 225)),
            ((320, 240), Extent::Exact { height: 112, width: 171 }, (171, 112)),
        ];
        for ((width, height), to, expected) in cases {
            assert_eq!(extent(to, &plain(width, height)).unwrap(), expected, "{width} by {height}");
        }
    }

    #[test]
    fn a_side_that_grows_too_long_or_vanishes_is_refused() {
        let strip = plain(10_000, 1);
        let long = extent(Extent::ShorterSide { size: 256, max: None }, &strip).unwrap_err();
        assert!(long.to_string().contains("10000 by 1 pixels, resized, goes beyond"), "{long}");
        let vanished = extent(Extent::ShorterSide { size: 2, max: Some(20) }, &strip).unwrap();
        assert_eq!(vanished, (20, 0));
        assert!(pillow::resize(&strip, 20, 0, super::super::Filter::Bilinear).is_err());
    }

    #[test]
    fn halves_go_to_the_even_side() {
        // int(round(rest / 2.0)) in Python: 0, 0 (0.5), 1, 2 (1.5), 2, 2 (2.5), 3, 4 (3.5).
        let skipped: Vec<usize> = (4..12).map(|from| Cut::of(from, 4).skipped).collect();
        assert_eq!(skipped, [0, 0, 1, 2, 2, 2, 3, 4]);
        assert_eq!(Cut::of(4, 7), Cut { size: 7, skipped: 0, kept: 4, before: 1 });
    }

    #[test]
    fn a_crop_keeps_the_middle_and_adds_black() {
        let samples: Vec<u8> = (1..=15).flat_map(|value| [value; 3]).collect();
        let picture = Picture::rgb(5, 3, samples).unwrap();
        let reds = |picture: &Picture| picture.samples().iter().step_by(3).copied().collect::<Vec<_>>();
        assert_eq!(reds(&centre(&picture, 2, 1).unwrap()), [8, 9]);
        let wide = centre(&picture, 2, 4).unwrap();
        assert_eq!(reds(&wide), [3, 4, 8, 9, 13, 14, 0, 0]);
        assert_eq!(reds(&centre(&picture, 6, 1).unwrap()), [6, 7, 8, 9, 10, 0]);
    }
}
