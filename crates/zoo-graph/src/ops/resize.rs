//! Resizing.

use zoo_tensor::Dim;

use crate::builder::Builder;
use crate::{Result, Val};

/// How values between elements are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest element (rounding down, as PyTorch does).
    Nearest,
    /// Linear along each axis.
    Linear,
}

/// Which place of the input an output element stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coordinates {
    /// Pixel centres: PyTorch's `align_corners=False`.
    HalfPixel,
    /// Corners meet: `align_corners=True`.
    AlignCorners,
}

impl Builder {
    /// `Resize` of the spatial axes of `x` `[N, C, …]` to those of `like`, whatever they are at run time.
    ///
    /// # Errors
    /// If the ranks differ.
    #[track_caller]
    pub fn resize_like(
        &mut self,
        x: Val,
        like: Val,
        interpolation: Interpolation,
        coordinates: Coordinates,
    ) -> Result<Val> {
        let (own, other) = (self.dims(x).to_vec(), self.dims(like).to_vec());
        if own.len() != other.len() || own.len() < 3 {
            let problem = format!("{} cannot take the size of {}", self.describe(x), self.describe(like));
            return self.fail("Resize", problem);
        }
        if own[2..] == other[2..] {
            return Ok(x);
        }
        let dims: Vec<Dim> = own[..2].iter().chain(&other[2..]).cloned().collect();
        let spatial = self.shape(like, 2, own.len())?;
        // Sizes are given for all axes: leaving some out (`axes`) came with opset 18 and is not everywhere yet.
        let leading = self.shape(x, 0, 2)?;
        let sizes = match dims.iter().map(|dim| dim.fixed().map(|n| n as i64)).collect::<Option<Vec<_>>>() {
            Some(all) => self.ints("sizes", &all),
            None => self.concat(&[leading, spatial], 0)?,
        };
        let (mode, rounding) = match interpolation {
            Interpolation::Nearest => ("nearest", "floor"),
            Interpolation::Linear => ("linear", "round_prefer_floor"),
        };
        let transformation = match (coordinates, interpolation) {
            // Nearest in PyTorch takes `floor(i scale)`, without half a pixel.
            (Coordinates::HalfPixel, Interpolation::Nearest) => "asymmetric",
            // `pytorch_half_pixel` takes the first element where one is left; PyTorch itself takes the middle.
            (Coordinates::HalfPixel, Interpolation::Linear) => "half_pixel",
            (Coordinates::AlignCorners, _) => "align_corners",
        };
        let attributes = vec![
            ("coordinate_transformation_mode", transformation.into()),
            ("mode", mode.into()),
            ("nearest_mode", rounding.into()),
        ];
        let made = (self.dtype(x), dims);
        Ok(self.node("Resize", &[Some(x), None, None, Some(sizes)], attributes, vec![made])?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, value};

    #[test]
    fn to_the_size_of_another() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,21,65,65");
        let image = value(&mut g, "image", "n,3,520,520");
        let y = g.resize_like(x, image, Interpolation::Linear, Coordinates::HalfPixel).unwrap();
        assert_eq!(dims(&g, y), "n,21,520,520");
        let graph = g.finish_with(y);
        let ops: Vec<_> = graph.nodes.iter().map(|node| node.op.as_str()).collect();
        assert_eq!(ops, ["Shape", "Concat", "Resize"], "only the batch is not known");
        let attribute = graph.nodes[2].attribute("coordinate_transformation_mode");
        assert_eq!(attribute, Some(&"half_pixel".into()));
    }

    #[test]
    fn nothing_where_the_sizes_are_equal() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,21,h,w");
        let like = value(&mut g, "l", "n,3,h,w");
        assert_eq!(g.resize_like(x, like, Interpolation::Linear, Coordinates::HalfPixel).unwrap(), x);
        let flat = value(&mut g, "f", "n,21");
        assert!(g.resize_like(flat, like, Interpolation::Nearest, Coordinates::HalfPixel).is_err());
    }
}
