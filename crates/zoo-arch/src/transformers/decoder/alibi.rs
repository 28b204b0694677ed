//! ALiBi (Press et al., 2022): instead of positions, scores get a bias that grows with the place of the key, with a slope for each head.

use zoo_graph::{Builder, Val};
use zoo_tensor::DType;

use super::texts::{Hidden, Texts};
use crate::nn::alibi_slopes;
use crate::transformers::Result;

/// What is added to scores: slopes times places, and what hides keys. `[batch, heads, sequence, past + sequence]`. Places are counted from the
/// first token that the mask shows; they are multiplied by `scale`, and, if `rounded`, everything before that is of the type bf16.
pub(super) fn place_bias(
    g: &mut Builder,
    texts: &mut Texts,
    heads: usize,
    (scale, rounded): (Option<f32>, bool),
) -> Result<Val> {
    let round = |g: &mut Builder, x: Val| {
        let x = g.cast(x, DType::BF16)?;
        g.cast(x, DType::F32)
    };
    let mut slopes = g.floats("alibi_slopes", &[heads, 1, 1], &alibi_slopes(heads)?)?;
    let places = texts.distances(g)?;
    let places = g.unsqueeze(places, 1)?;
    let mut places = g.unsqueeze(places, 1)?;
    if rounded {
        (slopes, places) = (round(g, slopes)?, round(g, places)?);
    }
    let mut bias = g.mul(places, slopes)?;
    if rounded {
        bias = round(g, bias)?;
    }
    if let Some(scale) = scale {
        let scale = g.float("alibi_scale", scale);
        bias = g.mul(bias, scale)?;
    }
    let hidden = texts.bias(g, Hidden::within(None))?;
    Ok(g.add(bias, hidden)?)
}
