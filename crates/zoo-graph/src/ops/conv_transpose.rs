//! Transposed convolution.

use zoo_tensor::Dim;

use crate::builder::{Builder, Made};
use crate::{Result, Val};

impl Builder {
    /// `ConvTranspose` whose windows neither overlap nor leave gaps: `x` `[N, C, height, width]`, `weight` `[C, O, side, side]`, `bias` `[O]`;
    /// each place becomes a square: `[N, O, side*height, side*width]`.
    ///
    /// # Errors
    /// If channels or ranks do not agree, the weight is not square, or the size of `x` is free.
    #[track_caller]
    pub fn conv_transpose(&mut self, x: Val, weight: Val, bias: Option<Val>) -> Result<Val> {
        let inferred = infer(self, x, weight, bias);
        let (side, made) = self.inferred("ConvTranspose", inferred)?;
        let attributes = vec![("kernel_shape", vec![side; 2].into()), ("strides", vec![side; 2].into())];
        let mut inputs = vec![Some(x), Some(weight)];
        inputs.extend(bias.map(Some));
        Ok(self.node("ConvTranspose", &inputs, attributes, vec![made])?[0])
    }
}

fn infer(g: &Builder, x: Val, weight: Val, bias: Option<Val>) -> Result<(i64, Made), String> {
    let say = |problem: &str| format!("{} with {}: {problem}", g.describe(x), g.describe(weight));
    let (
        [batch, channels, Dim::Fixed(height), Dim::Fixed(width)],
        [own, out, Dim::Fixed(side), Dim::Fixed(other)],
    ) = (g.dims(x), g.dims(weight))
    else {
        return Err(say("both need four axes, and known sizes"));
    };
    if side != other || *side == 0 || channels != own || g.dtype(x) != g.dtype(weight) {
        return Err(say("the weight does not fit, or is not square"));
    }
    if bias.is_some_and(|bias| g.dims(bias) != std::slice::from_ref(out)) {
        return Err(say("the bias has to have one value per output"));
    }
    let spatial = [height, width].map(|size| Dim::Fixed(size.saturating_mul(*side)));
    let dims = [batch.clone(), out.clone()].into_iter().chain(spatial).collect();
    Ok((*side as i64, (g.dtype(x), dims)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph, value};

    #[test]
    fn places_become_squares() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,8,7,5");
        let w = value(&mut g, "w", "8,6,2,2");
        let y = g.conv_transpose(x, w, None).unwrap();
        assert_eq!(dims(&g, y), "n,6,14,10");
        let other = value(&mut g, "o", "7,6,2,2");
        let error = g.conv_transpose(x, other, None).unwrap_err().to_string();
        assert!(error.contains("x: f32[n,8,7,5] with o: f32[7,6,2,2]"), "{error}");
        let bias = value(&mut g, "b", "8");
        assert!(g.conv_transpose(x, w, Some(bias)).is_err());
        assert_eq!(g.finish_with(y).nodes[0].ints("strides"), Some(&[2, 2][..]));
    }
}
