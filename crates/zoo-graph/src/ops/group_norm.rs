//! Norms over groups of channels.

use zoo_tensor::Dim;

use crate::builder::Builder;
use crate::{Result, Val, dim};

impl Builder {
    /// PyTorch's `GroupNorm` (Wu and He, 2018) of `x` `[N, C, spatial…]`: each group of neighbouring channels is normalised over itself and
    /// all places, then `scale` and `bias` `[C]` follow for each channel.
    ///
    /// It is written as `InstanceNormalization` of the groups, because `GroupNormalization` came late, and with scales for each group
    /// first.
    ///
    /// # Errors
    /// If the channels are no multiple of the groups, scale or bias do not fit, or the size of a free axis is not known (see
    /// [`Builder::show_lengths`]).
    #[track_caller]
    pub fn group_norm(&mut self, x: Val, groups: usize, scale: Val, bias: Val, epsilon: f32) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        let channels = match dims.get(1) {
            Some(&Dim::Fixed(channels)) if groups > 0 && channels.is_multiple_of(groups) => channels,
            _ => {
                return self
                    .fail("GroupNorm", format!("{} has no {groups} groups of channels", self.describe(x)));
            }
        };
        for vector in [scale, bias] {
            if self.dims(vector) != [Dim::Fixed(channels)] {
                let problem = format!("{} does not fit {}", self.describe(vector), self.describe(x));
                return self.fail("GroupNorm", problem);
            }
        }
        let rest = dim::product(&dims[1..]);
        let Some(inner) = dim::quotient(&rest, &Dim::Fixed(groups)) else {
            return self
                .fail("GroupNorm", format!("{} has no {groups} groups of channels", self.describe(x)));
        };
        let apart = self.reshape(x, [dims[0].clone(), Dim::Fixed(groups), inner])?;
        let ones = self.floats("ones", &[groups], &vec![1.0; groups])?;
        let zeros = self.floats("zeros", &[groups], &vec![0.0; groups])?;
        let normed = self.instance_norm(apart, ones, zeros, epsilon)?;
        let normed = self.reshape(normed, dims.clone())?;
        let for_channels: Vec<usize> = [channels].into_iter().chain(vec![1; dims.len() - 2]).collect();
        let scale = self.reshape(scale, for_channels.clone())?;
        let bias = self.reshape(bias, for_channels)?;
        let y = self.mul(normed, scale)?;
        self.add(y, bias)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph, value};

    #[test]
    fn groups_divide_the_channels() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,12,h,w");
        let v = value(&mut g, "v", "12");
        let y = g.group_norm(x, 4, v, v, 1e-5).unwrap();
        assert_eq!(dims(&g, y), "n,12,h,w");
        let error = g.group_norm(x, 5, v, v, 1e-5).unwrap_err().to_string();
        assert!(error.contains("x: f32[n,12,h,w] has no 5 groups"), "{error}");
        let other = value(&mut g, "o", "4");
        assert!(g.group_norm(x, 4, other, v, 1e-5).is_err());
        let graph = g.finish_with(y);
        let norm = graph.nodes.iter().find(|node| node.op == "InstanceNormalization").unwrap();
        let shape: Vec<String> = graph.value(norm.outputs[0]).dims.iter().map(ToString::to_string).collect();
        assert_eq!(shape, ["n", "4", "3*h*w"]);
    }
}
