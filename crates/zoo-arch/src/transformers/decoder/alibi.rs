//! ALiBi (Press et al., 2022): instead of positions, scores get a bias that grows with the place of the key, with a slope for each head.

use zoo_graph::{Builder, Val};
use zoo_tensor::DType;

use super::texts::{Hidden, Texts};
use crate::transformers::{Error, Result};

/// The slopes of heads: powers of one base; where their number is no power of 2, those of the next smaller one, and then every other one of
/// the next larger.
fn slopes(heads: usize) -> Vec<f32> {
    let whole = 1_usize << heads.max(1).ilog2();
    let base = |count: usize| 2.0_f64.powf(-8.0 / count as f64) as f32;
    let first = (1..=whole).map(|power| base(whole).powf(power as f32));
    let rest = (0..heads - whole).map(|index| base(2 * whole).powf((2 * index + 1) as f32));
    first.chain(rest).collect()
}

/// What is added to scores: slopes times places, and what hides keys. `[batch, heads, sequence, past + sequence]`. Places are counted from the
/// first token that the mask shows; they are multiplied by `scale`, and, if `rounded`, everything before that is of the type bf16.
pub(super) fn alibi_bias(
    g: &mut Builder,
    texts: &mut Texts,
    heads: usize,
    width: usize,
    (scale, rounded): (Option<f32>, bool),
) -> Result<Val> {
    if heads == 0 || heads > width {
        return Error::unsupported(format!("{heads} heads over {width} features"));
    }
    let round = |g: &mut Builder, x: Val| {
        let x = g.cast(x, DType::BF16)?;
        g.cast(x, DType::F32)
    };
    let mut slopes = g.floats("slopes", &[heads, 1, 1], &slopes(heads))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_powers_of_two_and_of_others() {
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015_625, 0.007_812_5, 0.003_906_25]);
        let six = slopes(6);
        assert_eq!(six[..4], [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        assert_eq!(six[4..], [0.5, 0.125]);
    }
}
