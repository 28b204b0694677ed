//! Norms of each channel over its places.

use zoo_tensor::Dim;

use crate::builder::Builder;
use crate::{Result, Val};

impl Builder {
    /// `InstanceNormalization` (Ulyanov et al., 2016) of `x` `[N, C, spatial…]`, with `scale` and `bias` `[C]`: PyTorch's `GroupNorm` with as
    /// many groups as channels.
    ///
    /// # Errors
    /// If there are no places, or scale or bias do not fit.
    #[track_caller]
    pub fn instance_norm(&mut self, x: Val, scale: Val, bias: Val, epsilon: f32) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        let channels: &[Dim] = if dims.len() < 3 { &[] } else { &dims[1..2] };
        for vector in [scale, bias] {
            if channels.is_empty() || self.dims(vector) != channels || self.dtype(vector) != self.dtype(x) {
                let problem = format!("{} does not fit {}", self.describe(vector), self.describe(x));
                return self.fail("InstanceNormalization", problem);
            }
        }
        let made = (self.dtype(x), dims);
        self.node1("InstanceNormalization", &[x, scale, bias], vec![("epsilon", epsilon.into())], made)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph, ops, value};

    #[test]
    fn each_channel_has_a_scale() {
        let mut g = graph();
        let (x, s, other) = (value(&mut g, "x", "n,12,t"), value(&mut g, "s", "12"), value(&mut g, "o", "4"));
        let y = g.instance_norm(x, s, s, 1e-5).unwrap();
        assert_eq!(dims(&g, y), "n,12,t");
        let error = g.instance_norm(x, s, other, 1e-5).unwrap_err().to_string();
        assert!(error.contains("o: f32[4] does not fit x: f32[n,12,t]"), "{error}");
        assert!(g.instance_norm(other, other, other, 1e-5).is_err());
        assert_eq!(ops(g, y), "InstanceNormalization");
    }
}
