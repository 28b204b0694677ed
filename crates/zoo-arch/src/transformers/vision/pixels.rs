//! The image that a model takes.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::{DType, Dim};

use crate::config::Config;
use crate::image::ImageSize;
use crate::nn::batch_size;
use crate::transformers::{Model, Result};

/// The side of images where a configuration does not say it.
const USUAL: usize = 224;

/// Height and width that are asked for, or else those that the configuration was made for.
///
/// # Errors
/// If the configuration's is no size.
pub(in crate::transformers) fn fixed_size(m: &Model<'_>, config: &Config) -> Result<ImageSize> {
    let (height, width) = config.pair("image_size", USUAL)?;
    Ok(m.options.image_size.unwrap_or(ImageSize::Fixed(height, width)))
}

/// For networks that take any size: what is asked for; else the configuration's, where it says one; else any.
///
/// # Errors
/// If the configuration's is no size.
pub(in crate::transformers) fn free_size(m: &Model<'_>, config: &Config) -> Result<ImageSize> {
    if config.has("image_size") { fixed_size(m, config) } else { Ok(any_size(m)) }
}

/// For networks that take any size and whose configuration has none.
pub(in crate::transformers) fn any_size(m: &Model<'_>) -> ImageSize {
    m.options.image_size.unwrap_or(ImageSize::Any)
}

/// The input `pixel_values` `[batch_size, channels, height, width]`, with as many channels as the first convolution takes: the one
/// whose `weight` is in `first`.
///
/// # Errors
/// If there is no such weight, or it is no convolution's.
pub(in crate::transformers) fn pixels(g: &mut Builder, first: &Weights, size: ImageSize) -> Result<Val> {
    let channels = match first.shape("weight")? {
        &[_, channels, _, _] => channels,
        // What it is instead, the convolution will say.
        _ => 3,
    };
    let dims = [batch_size(), Dim::Fixed(channels)].into_iter().chain(size.dims());
    Ok(g.input("pixel_values", DType::F32, dims)?)
}
