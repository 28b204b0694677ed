//! The class of every pixel.

use super::classify::numbers;
use super::palette::colour;
use crate::{Error, Named, Result};

/// The most classes: those that a palette has colours for.
const MAX_CLASSES: usize = 256;

/// The class of every pixel of one picture, at the size of the model's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMap {
    width: usize,
    height: usize,
    classes: usize,
    map: Vec<u8>,
}

/// The most probable class of every pixel of every picture; of equal ones, the first.
///
/// Of several outputs, the scores are the one named `out`. They have the shape `[pictures, classes, height, width]`.
///
/// # Errors
/// [`Error::Outputs`] if there is no such output, for another shape or type, for more than 256 classes, or scores that are
/// not finite.
pub fn segment(outputs: &[Named]) -> Result<Vec<ClassMap>> {
    let named = match outputs {
        [only] => Some(only),
        several => several.iter().find(|(name, _)| name == "out"),
    };
    let (name, scores) =
        named.ok_or_else(|| unreadable(format!("of {} outputs none is named \"out\"", outputs.len())))?;
    // Sizes of a tensor without elements may be anything, and their product too much.
    let (classes, height, width) = match *scores.shape() {
        [_, classes, height, width] if !scores.is_empty() => (classes, height, width),
        ref shape => {
            let needed = "[pictures, classes, height, width] is needed";
            return Err(unreadable(format!("\"{name}\" has the shape {shape:?}, and {needed}")));
        }
    };
    if classes > MAX_CLASSES {
        return Err(unreadable(format!(
            "\"{name}\" has {classes} classes, and there are colours for {MAX_CLASSES}"
        )));
    }
    let values = numbers(name, scores).map_err(unreadable)?;
    Ok(values
        .chunks_exact(classes * height * width)
        .map(|scores| ClassMap { width, height, classes, map: best(scores, height * width) })
        .collect())
}

/// The class with the largest score at each pixel. Classes come one after the other, `pixels` scores each.
fn best(scores: &[f64], pixels: usize) -> Vec<u8> {
    let mut map = vec![0; pixels];
    let mut largest = vec![f64::NEG_INFINITY; pixels];
    for (class, scores) in scores.chunks_exact(pixels).enumerate() {
        for ((best, largest), &score) in map.iter_mut().zip(&mut largest).zip(scores) {
            if score > *largest {
                (*best, *largest) = (class as u8, score);
            }
        }
    }
    map
}

fn unreadable(problem: String) -> Error {
    Error::Outputs { task: "classes of pixels", problem }
}

impl ClassMap {
    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How many classes the model tells apart, whether they are in the picture or not.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The class of every pixel, row by row.
    pub fn map(&self) -> &[u8] {
        &self.map
    }

    /// The classes in the picture with their numbers of pixels, largest first; of equal ones, the first class first.
    pub fn present(&self) -> Vec<(u8, u64)> {
        let mut counts = [0_u64; MAX_CLASSES];
        for &class in &self.map {
            counts[usize::from(class)] += 1;
        }
        let mut present: Vec<(u8, u64)> = (0..=u8::MAX).zip(counts).filter(|(_, count)| *count > 0).collect();
        present.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        present
    }

    /// The map as a PNG file as Pascal VOC has them: the samples are the classes, and a palette gives each its colour. So
    /// it can be looked at, and read back as classes.
    ///
    /// # Errors
    /// [`Error::Outputs`] if the picture is larger than the format allows.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let side =
            |size: usize| u32::try_from(size).map_err(|_| unreadable(format!("a side of {size} pixels")));
        let (width, height) = (side(self.width)?, side(self.height)?);
        let failed = |error: png::EncodingError| unreadable(error.to_string());
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette((0..=u8::MAX).flat_map(colour).collect::<Vec<u8>>());
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.map).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Tensor;

    use super::*;

    fn output(name: &str, shape: &[usize], values: &[f32]) -> Named {
        (name.to_owned(), Tensor::from_slice(shape, values).unwrap())
    }

    /// Three classes on two by two pixels; the second picture has equal scores.
    fn sample() -> Named {
        let first = [9.0, 0.0, 0.0, 0.0, 1.0, 5.0, 0.5, 1.0, 0.0, 2.0, 3.0, 0.0];
        let second = [7.0; 12];
        output("out", &[2, 3, 2, 2], &[first, second].concat())
    }

    #[test]
    fn the_largest_score_wins_and_of_equal_ones_the_first() {
        let maps = segment(&[sample()]).unwrap();
        assert_eq!(maps[0].map(), [0, 1, 2, 1]);
        assert_eq!(maps[0].present(), [(1, 2), (0, 1), (2, 1)]);
        assert_eq!((maps[0].width(), maps[0].height(), maps[0].classes()), (2, 2, 3));
        assert_eq!((maps[1].map(), maps[1].present()), (&[0; 4][..], vec![(0, 4)]));
    }

    #[test]
    fn of_several_outputs_out_is_the_one() {
        let aux = output("aux", &[1, 1, 1, 1], &[1.0]);
        assert_eq!(segment(&[aux.clone(), sample()]).unwrap().len(), 2);
        let message = |outputs: &[Named]| segment(outputs).unwrap_err().to_string();
        assert!(message(&[aux.clone(), aux]).contains("of 2 outputs none is named \"out\""));
        assert!(message(&[]).contains("of 0 outputs"));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let message =
            |shape: &[usize], values: &[f32]| segment(&[output("y", shape, values)]).unwrap_err().to_string();
        assert!(message(&[1, 2], &[0.0; 2]).contains("the shape [1, 2]"));
        assert!(message(&[1, 2, 0, 3], &[]).contains("the shape [1, 2, 0, 3]"));
        assert!(message(&[1, 257, 1, 1], &[0.0; 257]).contains("257 classes"));
        assert!(message(&[1, 1, 1, 1], &[f32::INFINITY]).contains("holds inf"));
    }

    #[test]
    fn a_mask_has_the_classes_as_samples_and_their_colours() {
        let maps = segment(&[sample()]).unwrap();
        let file = maps[0].to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let palette = reader.info().palette.clone().unwrap();
        assert_eq!((reader.info().color_type, palette.len()), (png::ColorType::Indexed, 768));
        assert_eq!(palette[3..6], [128, 0, 0]);
        let mut samples = vec![0; 4];
        reader.next_frame(&mut samples).unwrap();
        assert_eq!(samples, maps[0].map());
        assert_eq!(super::super::decode("mask", &file).unwrap().samples()[..6], [0, 0, 0, 128, 0, 0]);
    }
}
