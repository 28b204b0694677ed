//! Images as sequences: a token for each patch, behind those of the whole image, with their positions (Dosovitskiy et al., 2020).
//!
//! A table of positions was learned for one grid of patches. Another size of image has another grid, for which the table is stretched
//! when the graph is made, as the library's `interpolate_pos_encoding` does it.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Error, Val, Weights};
use zoo_tensor::{Dim, Tensor, Weight};

use crate::nn::{Filter, conv, resample};
use crate::transformers::Result;

/// An image in more patches is refused: attention between them would fill any memory.
const MOST_PATCHES: usize = 1 << 14;

/// Tokens of images.
#[derive(Debug, Clone)]
pub(in crate::transformers) struct Patches {
    /// `[tokens*batch, width]`: all images' first tokens, then all second ones.
    pub(in crate::transformers) rows: Val,
    /// How many an image has.
    pub(in crate::transformers) tokens: usize,
    /// How many of these, in front, are of no patch.
    pub(in crate::transformers) before: usize,
    /// How many patches stand below and beside each other.
    pub(in crate::transformers) grid: [usize; 2],
    /// The number of images.
    pub(in crate::transformers) batch: Dim,
}

impl Patches {
    /// Cuts images into patches of this size by the convolution in `w`, with room for `before` tokens in front of them, which are zero.
    pub(in crate::transformers) fn cut(
        g: &mut Builder,
        w: &Weights,
        image: Val,
        patch: (usize, usize),
        before: usize,
    ) -> Result<Self> {
        let side = [patch.0, patch.1];
        let x = conv(g, w, image, Window::of_axes(side).stride(side))?;
        let batch = g.dims(x)[0].clone();
        let &[_, _, Dim::Fixed(height), Dim::Fixed(width)] = g.dims(x) else {
            let why = "its positions are laid out for a fixed height and width".to_owned();
            return Err(Error::ImageSize { why }.into());
        };
        if height.checked_mul(width).is_none_or(|count| count > MOST_PATCHES) {
            let why = format!("{height}x{width} patches are more than {MOST_PATCHES}");
            return Err(Error::ImageSize { why }.into());
        }
        let x = g.join_axes(x, 2, 4)?;
        let x = g.transpose(x, &[2, 0, 1])?;
        let x = g.pad(x, &[before, 0, 0], &[0, 0, 0])?;
        let tokens = g.size(x, 0)?;
        Ok(Self { rows: g.join_axes(x, 0, 2)?, tokens, before, grid: [height, width], batch })
    }

    /// Adds `[tokens, 1, width]` to the tokens of each image.
    pub(in crate::transformers) fn plus(self, g: &mut Builder, added: Val) -> Result<Self> {
        let x = self.apart(g)?;
        let x = g.add(x, added)?;
        Ok(Self { rows: g.join_axes(x, 0, 2)?, ..self })
    }

    /// `[tokens, batch, width]`.
    pub(in crate::transformers) fn apart(&self, g: &mut Builder) -> Result<Val> {
        let width = g.dims(self.rows)[1].clone();
        Ok(g.reshape(self.rows, [Dim::Fixed(self.tokens), self.batch.clone(), width])?)
    }

    /// What the library calls a hidden state: `[batch, tokens, width]`.
    pub(in crate::transformers) fn sequence(&self, g: &mut Builder) -> Result<Val> {
        let x = self.apart(g)?;
        Ok(g.transpose(x, &[1, 0, 2])?)
    }

    /// One token of each image: `[batch, width]`.
    pub(in crate::transformers) fn token(&self, g: &mut Builder, index: usize) -> Result<Val> {
        let x = self.apart(g)?;
        Ok(g.pick(x, 0, index as i64)?)
    }

    /// The first tokens alone.
    pub(in crate::transformers) fn first(&self, g: &mut Builder, count: usize) -> Result<Self> {
        let x = self.apart(g)?;
        let x = g.slice(x, 0, 0, Some(count as i64))?;
        let rows = g.join_axes(x, 0, 2)?;
        Ok(Self { rows, tokens: count, ..self.clone() })
    }

    /// The mean over all patches, without the tokens in front of them: `[batch, width]`.
    pub(in crate::transformers) fn mean(&self, g: &mut Builder) -> Result<Val> {
        let x = self.apart(g)?;
        let x = if self.before > 0 { g.slice(x, 0, self.before as i64, None)? } else { x };
        Ok(g.reduce_mean(x, &[0], false)?)
    }

    /// The patches as a feature map, `[batch, width, height, width]`: those tokens from `from` on, as many as there are patches.
    pub(in crate::transformers) fn map(&self, g: &mut Builder, from: usize) -> Result<Val> {
        let [height, width] = self.grid;
        let x = self.apart(g)?;
        let x = g.slice(x, 0, from as i64, Some((from + height * width) as i64))?;
        let x = g.transpose(x, &[1, 2, 0])?;
        let channels = g.dims(x)[1].clone();
        Ok(g.reshape(x, [self.batch.clone(), channels, Dim::Fixed(height), Dim::Fixed(width)])?)
    }
}

/// A learned table of positions.
#[derive(Debug, Clone, Copy)]
pub(in crate::transformers) struct Positions {
    /// How many of its rows, in front, are of no patch.
    pub(in crate::transformers) before: usize,
    /// The grid of patches that the others are for.
    pub(in crate::transformers) grid: [usize; 2],
    /// How it is stretched.
    pub(in crate::transformers) filter: Filter,
}

impl Positions {
    /// The grid of patches of this size that an image of this size is cut into; none if there is not one.
    pub(in crate::transformers) fn grid(image: (usize, usize), patch: (usize, usize)) -> [usize; 2] {
        [image.0.checked_div(patch.0).unwrap_or_default(), image.1.checked_div(patch.1).unwrap_or_default()]
    }

    /// The table `name` for a grid of patches that were cut: `[before + patches, 1, width]`. It lies in the checkpoint with or without an axis of size 1 in front.
    pub(in crate::transformers) fn table(
        self,
        g: &mut Builder,
        w: &Weights,
        name: &str,
        grid: [usize; 2],
    ) -> Result<Val> {
        let width = w.shape(name)?.last().copied().unwrap_or_default();
        let patches = self.grid[0].checked_mul(self.grid[1]).and_then(|count| count.checked_add(self.before));
        let rows = patches.unwrap_or(usize::MAX);
        if grid == self.grid {
            return Ok(g.weight_as(w, name, &[rows, 1, width])?);
        }
        if self.grid[0] != self.grid[1] {
            let why =
                "its positions are not those of a square, which is all that can be stretched".to_owned();
            return Err(Error::ImageSize { why }.into());
        }
        let taken = w.take(name)?;
        let Ok(table) = taken.weight.reshaped([rows, 1, width]) else {
            let found = taken.weight.shape().to_vec();
            return Err(Error::WeightShape { name: taken.name, found, expected: vec![rows, 1, width] }.into());
        };
        let values = table.to_tensor()?.to_f32_vec()?;
        let (front, patches) = values.split_at(self.before * width);
        let mut stretched = front.to_vec();
        stretched.extend(resample(patches, width, self.grid, grid, self.filter));
        let tensor = Tensor::from_slice([stretched.len() / width.max(1), 1, width], &stretched)?;
        Ok(g.derived(&format!("{}[{}x{}]", taken.name, grid[0], grid[1]), Weight::from(tensor)))
    }
}
