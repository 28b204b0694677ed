//! Pictures from files, as Pillow's `Image.open(path).convert("RGB")` gives them.
//!
//! What that means where formats leave a choice:
//!
//! - **Orientation** noted in EXIF data is not applied, as Pillow applies none when it opens a file. TIFF is the exception
//!   there, and so it is here: its orientation is a tag of the format itself.
//! - **Transparency** is dropped, nothing is laid over a background: a transparent pixel has the colour that the file gives it.
//! - **Sixteen bits** per sample lose the lower eight. Sixteen bits of grey are cut off at 255, which leaves of most such
//!   pictures only white; Pillow does that, so a warning is all that can be done about it.
//! - **Animations** give their first picture. Colour profiles are not applied.
//!
//! PNG, GIF, WebP, BMP (but for 16 bits per pixel: within a level) and TIFF without JPEG or CMYK in it come out as in Pillow to the
//! last bit. JPEG leaves the decoder's arithmetic open: the samples of a photograph are off by 0.4 levels of 255 on
//! average and 6 at most, where colours are stored at half the size.
//!
//! Files are outside input: sizes are read and bounded before memory is reserved for pixels.

use std::io::Cursor;
use std::path::Path;

use ::image::metadata::Orientation;
use ::image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::gif;
use super::picture::{Picture, bounded};
use crate::limits::{MAX_PICTURE_BYTES, MAX_PICTURE_SIDE};
use crate::{Error, Result};

/// Reads a picture from a file: JPEG, PNG, GIF, BMP, WebP or TIFF, by its content, whatever its name is.
///
/// # Errors
/// If the file cannot be read; [`Error::Picture`] if it holds no picture of these formats, or a broken one, or samples of a kind
/// that none of the formats' usual readers make 8 bits of; [`Error::TooMuch`] for sizes beyond [`crate::limits`].
pub fn read(path: &Path) -> Result<Picture> {
    let file = zoo_tensor::map::map_file(path)?;
    decode(&path.display().to_string(), &file)
}

/// As [`read`], of a file's content; `name` is for messages.
///
/// # Errors
/// As [`read`].
pub fn decode(name: &str, file: &[u8]) -> Result<Picture> {
    let refuse = |problem: String| Error::Picture { picture: name.to_owned(), problem };
    let Ok(format) = ::image::guess_format(file) else {
        let looks = zoo_graph::Looks::of(file);
        let what = match looks {
            zoo_graph::Looks::Unknown => "it is none of JPEG, PNG, GIF, BMP, WebP and TIFF".to_owned(),
            looks => format!("it is no picture but looks like {looks}"),
        };
        return Err(refuse(what));
    };
    if format == ImageFormat::Gif {
        return gif::decode(file).map_err(|error| named(name, error));
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_PICTURE_SIDE as u32);
    limits.max_image_height = Some(MAX_PICTURE_SIDE as u32);
    limits.max_alloc = Some(MAX_PICTURE_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| refuse(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    bounded(width as usize, height as usize).map_err(|error| named(name, error))?;
    let orientation = match format {
        ImageFormat::Tiff => decoder.orientation().map_err(|error| refuse(error.to_string()))?,
        _ => Orientation::NoTransforms,
    };
    let kind = decoder.color_type();
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes).map_err(|error| refuse(error.to_string()))?;
    let samples = samples(kind, bytes, name).ok_or_else(|| refuse(format!("its pixels are {kind:?}")))?;
    oriented(width, height, samples, orientation).map_err(|error| named(name, error))
}

/// Red, green and blue of every pixel, as Pillow converts them; none for a kind of pixel that it does not have.
fn samples(kind: ColorType, bytes: Vec<u8>, name: &str) -> Option<Vec<u8>> {
    Some(match kind {
        ColorType::Rgb8 => bytes,
        ColorType::L8 => colours(bytes.as_chunks().0, |&[grey]| [grey; 3]),
        ColorType::La8 => colours(bytes.as_chunks().0, |&[grey, _]| [grey; 3]),
        ColorType::Rgba8 => colours(bytes.as_chunks().0, |&[r, g, b, _]| [r, g, b]),
        ColorType::L16 => {
            tracing::warn!(
                "{name} has 16 bits of grey, of which Pillow makes white wherever the value is above 255; save it with 8 bits"
            );
            colours(bytes.as_chunks().0, |&grey| [u16::from_ne_bytes(grey).min(255) as u8; 3])
        }
        ColorType::La16 => colours(bytes.as_chunks().0, |&[a, b, _, _]| [high([a, b]); 3]),
        ColorType::Rgb16 => {
            colours(bytes.as_chunks().0, |&[a, b, c, d, e, f]| [[a, b], [c, d], [e, f]].map(high))
        }
        ColorType::Rgba16 => {
            colours(bytes.as_chunks().0, |&[a, b, c, d, e, f, _, _]| [[a, b], [c, d], [e, f]].map(high))
        }
        _ => return None,
    })
}

fn colours<const SIZE: usize>(pixels: &[[u8; SIZE]], colour: impl Fn(&[u8; SIZE]) -> [u8; 3]) -> Vec<u8> {
    pixels.iter().flat_map(colour).collect()
}

/// The upper half of a 16-bit sample, which decoders give in the machine's order.
fn high(sample: [u8; 2]) -> u8 {
    (u16::from_ne_bytes(sample) >> 8) as u8
}

fn oriented(width: u32, height: u32, samples: Vec<u8>, orientation: Orientation) -> Result<Picture> {
    if orientation == Orientation::NoTransforms {
        return Picture::rgb(width as usize, height as usize, samples);
    }
    // The size of the buffer is not checked twice: a wrong one would be found by `Picture`.
    let image = RgbImage::from_raw(width, height, samples).unwrap_or_default();
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    Picture::rgb(image.width() as usize, image.height() as usize, image.into_bytes())
}

/// An error that says which file it is about.
fn named(name: &str, error: Error) -> Error {
    match error {
        Error::TooMuch { what, limit, unit } => {
            Error::TooMuch { what: format!("{name}: {what}"), limit, unit }
        }
        Error::Pictures { problem } => Error::Picture { picture: name.to_owned(), problem },
        other => other,
    }
}
