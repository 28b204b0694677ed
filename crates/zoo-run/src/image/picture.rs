//! A picture in memory.

use super::problem;
use crate::limits::{MAX_PICTURE_PIXELS, MAX_PICTURE_SIDE};
use crate::{Error, Result};

/// A picture of 8-bit samples: row by row from the top, the channels of a pixel side by side.
///
/// It has at least one pixel and one or three channels, and its samples fill it exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    samples: Vec<u8>,
}

impl Picture {
    /// A picture in red, green and blue.
    ///
    /// # Errors
    /// [`Error::TooMuch`] for sizes beyond [`crate::limits`], [`Error::Pictures`] if it has no pixels or the samples do not
    /// fill it.
    pub fn rgb(width: usize, height: usize, samples: Vec<u8>) -> Result<Self> {
        Self::new(width, height, 3, samples)
    }

    /// A picture of any kind.
    pub(super) fn new(width: usize, height: usize, channels: usize, samples: Vec<u8>) -> Result<Self> {
        let pixels = bounded(width, height)?;
        if !matches!(channels, 1 | 3) || samples.len() != pixels * channels {
            return Err(problem(format!(
                "{} samples do not fill a picture of {width} by {height} pixels in {channels} channels",
                samples.len()
            )));
        }
        Ok(Self { width, height, channels, samples })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 3: red, green and blue; 1: grey.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples: row by row, channels side by side.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// Each row's samples, from the top.
    pub(super) fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.samples.chunks_exact(self.width * self.channels)
    }

    /// A coloured picture in shades of grey, by the weights of ITU-R 601 in 16 bits, which Pillow's `convert("L")` uses.
    pub(super) fn to_grey(&self) -> Self {
        let grey = |pixel: &[u8; 3]| {
            let [r, g, b] = pixel.map(u32::from);
            ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
        };
        let samples = self.samples.as_chunks::<3>().0.iter().map(grey).collect();
        Self { channels: 1, samples, ..*self }
    }

    /// A grey picture in three equal channels.
    pub(super) fn to_rgb(&self) -> Self {
        let samples = self.samples.iter().flat_map(|&grey| [grey; 3]).collect();
        Self { channels: 3, samples, ..*self }
    }
}

/// The number of pixels of a picture of this size, if that is a size that a picture may have.
pub(super) fn bounded(width: usize, height: usize) -> Result<usize> {
    let too_much = |limit, unit| {
        Err(Error::TooMuch { what: format!("a picture of {width} by {height} pixels"), limit, unit })
    };
    if width == 0 || height == 0 {
        return Err(problem(format!("a picture of {width} by {height} pixels has no pixels")));
    }
    if width.max(height) > MAX_PICTURE_SIDE {
        return too_much(MAX_PICTURE_SIDE as u64, "pixels in a row or column");
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= MAX_PICTURE_PIXELS => Ok(pixels),
        _ => too_much(MAX_PICTURE_PIXELS as u64, "pixels"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_must_fill_the_picture() {
        assert!(Picture::rgb(2, 1, vec![0; 6]).is_ok());
        let message = |width, height, samples| Picture::rgb(width, height, samples).unwrap_err().to_string();
        assert!(message(2, 1, vec![0; 5]).contains("5 samples do not fill a picture of 2 by 1 pixels"));
        assert!(message(0, 1, vec![]).contains("has no pixels"));
        assert!(message(65_536, 1, vec![]).contains("beyond the limit of 65535 pixels in a row or column"));
        assert!(message(65_535, 65_535, vec![]).contains("beyond the limit of 89478485 pixels"));
        assert!(message(usize::MAX, usize::MAX, vec![]).contains("beyond the limit"));
    }

    #[test]
    fn grey_is_pillows() {
        // Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)) in Pillow 13.
        let cases = [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([255, 255, 255], 255),
            ([12, 200, 97], 132),
        ];
        for (colour, grey) in cases {
            let picture = Picture::rgb(1, 1, colour.to_vec()).unwrap().to_grey();
            assert_eq!((picture.channels(), picture.samples()), (1, &[grey][..]), "{colour:?}");
            assert_eq!(picture.to_rgb().samples(), [grey; 3]);
        }
    }
}
