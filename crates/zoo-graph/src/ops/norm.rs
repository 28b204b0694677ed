//! Normalisation and softmax.

use zoo_tensor::Dim;

use super::axis_of;
use crate::builder::Builder;
use crate::{Result, Val};

/// A batch norm's four vectors, each with one value per channel.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm {
    /// γ.
    pub scale: Val,
    /// β.
    pub bias: Val,
    /// The mean that training saw.
    pub mean: Val,
    /// The variance that training saw.
    pub variance: Val,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Builder {
    /// `BatchNormalization` (Ioffe and Szegedy, 2015) with the statistics of training, over axis 1.
    ///
    /// # Errors
    /// If a vector does not have one value per channel.
    #[track_caller]
    pub fn batch_norm(&mut self, x: Val, norm: BatchNorm) -> Result<Val> {
        let channels = match self.dims(x) {
            [_, channels, ..] => channels.clone(),
            _ => return self.fail("BatchNormalization", format!("{} has no channels", self.describe(x))),
        };
        let vectors = [norm.scale, norm.bias, norm.mean, norm.variance];
        for vector in vectors {
            if self.dims(vector) != std::slice::from_ref(&channels) || self.dtype(vector) != self.dtype(x) {
                let problem = format!("{} does not fit {}", self.describe(vector), self.describe(x));
                return self.fail("BatchNormalization", problem);
            }
        }
        let made = (self.dtype(x), self.dims(x).to_vec());
        let [scale, bias, mean, variance] = vectors;
        let attributes = vec![("epsilon", norm.epsilon.into())];
        self.node1("BatchNormalization", &[x, scale, bias, mean, variance], attributes, made)
    }

    /// `LayerNormalization` (Ba et al., 2016) over the last axes, as many as `scale` has.
    ///
    /// # Errors
    /// If scale or bias do not have the shape of those axes.
    #[track_caller]
    pub fn layer_norm(&mut self, x: Val, scale: Val, bias: Option<Val>, epsilon: f32) -> Result<Val> {
        let (dims, own) = (self.dims(x).to_vec(), self.dims(scale).to_vec());
        let fits = |dims: &[Dim]| !own.is_empty() && dims.ends_with(&own);
        if !fits(&dims) || bias.is_some_and(|bias| self.dims(bias) != own.as_slice()) {
            let problem = format!("{} does not fit {}", self.describe(scale), self.describe(x));
            return self.fail("LayerNormalization", problem);
        }
        let axis = -(own.len() as i64);
        let mut inputs = vec![Some(x), Some(scale)];
        inputs.extend(bias.map(Some));
        let attributes = vec![("axis", axis.into()), ("epsilon", epsilon.into())];
        Ok(self.node("LayerNormalization", &inputs, attributes, vec![(self.dtype(x), dims)])?[0])
    }

    /// `Softmax` along an axis.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn softmax(&mut self, x: Val, axis: i64) -> Result<Val> {
        let rank = self.dims(x).len();
        self.inferred("Softmax", axis_of(axis, rank))?;
        let made = (self.dtype(x), self.dims(x).to_vec());
        self.node1("Softmax", &[x], vec![("axis", axis.into())], made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, value};

    #[test]
    fn batch_norms_fit_their_channels() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,64,7,7");
        let v = value(&mut g, "v", "64");
        let norm = BatchNorm { scale: v, bias: v, mean: v, variance: v, epsilon: 1e-5 };
        let y = g.batch_norm(x, norm).unwrap();
        assert_eq!(dims(&g, y), "n,64,7,7");
        let other = value(&mut g, "o", "32");
        let error = g.batch_norm(x, BatchNorm { mean: other, ..norm }).unwrap_err().to_string();
        assert!(error.contains("o: f32[32] does not fit x: f32[n,64,7,7]"), "{error}");
    }

    #[test]
    fn layer_norms_cover_the_last_axes() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,197,768");
        let s = value(&mut g, "s", "768");
        let y = g.layer_norm(x, s, None, 1e-6).unwrap();
        assert_eq!(g.finish_with(y).nodes[0].int("axis"), Some(-1));
        let mut g = graph();
        let x = value(&mut g, "x", "n,197,768");
        let s = value(&mut g, "s", "197");
        assert!(g.layer_norm(x, s, None, 1e-6).is_err());
        assert!(g.softmax(x, 3).is_err() && g.softmax(x, -1).is_ok());
    }
}
