//! The first picture of a GIF file, as Pillow composes it.
//!
//! A GIF is a screen on which frames are laid. Where the first frame covers it, as in nearly all files, there is nothing to
//! choose. Where it does not, Pillow fills the rest with the transparent colour if there is one, and else with the first;
//! and where the frame is larger than the screen, the screen grows.

use std::io::Cursor;
use std::num::NonZeroU64;

use ::gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::picture::{Picture, bounded};
use super::problem;
use crate::Result;
use crate::limits::MAX_PICTURE_BYTES;

/// The colours of a palette.
type Palette = [[u8; 3]];

pub(super) fn decode(file: &[u8]) -> Result<Picture> {
    let refuse = |error: DecodingError| problem(error.to_string());
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::MIN.saturating_add(MAX_PICTURE_BYTES)));
    let mut decoder = options.read_info(Cursor::new(file)).map_err(refuse)?;
    let screen = (usize::from(decoder.width()), usize::from(decoder.height()));
    let shared = decoder.global_palette().map(<[u8]>::to_vec);
    let Some(frame) = decoder.next_frame_info().map_err(refuse)? else {
        return Err(problem("it has no picture"));
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let (width, height) = (screen.0.max(left + frame_width), screen.1.max(top + frame_height));
    let fill = frame.transparent.unwrap_or(0);
    let palette = frame.palette.clone().or(shared);
    let Some(palette) = palette.filter(|palette| !palette.is_empty()) else {
        return Err(problem("it has no palette"));
    };
    let (palette, _) = palette.as_chunks::<3>();
    let pixels = bounded(width, height)?;
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(refuse)?;

    let mut samples = colour(palette, fill).repeat(pixels);
    let rows = samples.chunks_exact_mut(width * 3).skip(top);
    // A frame without columns has no rows of any length; one pixel keeps the iterator's step from being zero.
    for (row, indices) in rows.zip(indices.chunks_exact(frame_width.max(1))) {
        for (pixel, &index) in row.chunks_exact_mut(3).skip(left).zip(indices) {
            pixel.copy_from_slice(&colour(palette, index));
        }
    }
    Picture::rgb(width, height, samples)
}

/// Indices beyond the palette are black, as in Pillow.
fn colour(palette: &Palette, index: u8) -> [u8; 3] {
    palette.get(usize::from(index)).copied().unwrap_or_default()
}
