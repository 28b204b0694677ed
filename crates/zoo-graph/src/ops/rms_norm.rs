//! Normalisation by the root of the mean square (Zhang and Sennrich, 2019).

use zoo_tensor::Dim;

use crate::builder::Builder;
use crate::{Result, Val};

impl Builder {
    /// `x / √(mean(x²) + epsilon) · scale` over the last axis: `RMSNormalization` from opset 23 on; before, the six nodes that
    /// runtimes recognise as one.
    ///
    /// # Errors
    /// If `scale` does not have one value for each feature.
    #[track_caller]
    pub fn rms_norm(&mut self, x: Val, scale: Val, epsilon: f32) -> Result<Val> {
        let width: &[Dim] = self.dims(x).last().map_or(&[], std::slice::from_ref);
        if width.is_empty() || self.dims(scale) != width || self.dtype(scale) != self.dtype(x) {
            let problem = format!("{} does not fit {}", self.describe(scale), self.describe(x));
            return self.fail("RMSNormalization", problem);
        }
        if self.opset() >= 23 {
            let made = (self.dtype(x), self.dims(x).to_vec());
            let attributes = vec![("axis", (-1_i64).into()), ("epsilon", epsilon.into())];
            return self.node1("RMSNormalization", &[x, scale], attributes, made);
        }
        let two = self.float("two", 2.0);
        let epsilon = self.float("rms_epsilon", epsilon);
        let squares = self.pow(x, two)?;
        let mean = self.reduce_mean(squares, &[-1], true)?;
        let mean = self.add(mean, epsilon)?;
        let root = self.sqrt(mean)?;
        let normal = self.div(x, root)?;
        self.mul(normal, scale)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph_at, ops, value};

    #[test]
    fn one_node_where_the_opset_has_it() {
        for (opset, expected) in [(18, "Pow ReduceMean Add Sqrt Div Mul"), (23, "RMSNormalization")] {
            let mut g = graph_at(opset);
            let (x, scale) = (value(&mut g, "x", "n,4,32"), value(&mut g, "s", "32"));
            let y = g.rms_norm(x, scale, 1e-6).unwrap();
            assert_eq!(dims(&g, y), "n,4,32");
            let narrow = value(&mut g, "o", "1");
            let error = g.rms_norm(x, narrow, 1e-6).unwrap_err().to_string();
            assert!(error.contains("o: f32[1] does not fit x: f32[n,4,32]"), "{error}");
            assert_eq!(ops(g, y), expected);
        }
    }
}
