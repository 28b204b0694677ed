//! Reductions over axes.

use zoo_tensor::Dim;

use super::axis_of;
use crate::builder::Builder;
use crate::{Result, Val};

impl Builder {
    /// `ReduceMean` over axes.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn reduce_mean(&mut self, x: Val, axes: &[i64], keep: bool) -> Result<Val> {
        self.reduce("ReduceMean", 18, x, axes, keep)
    }

    /// `ReduceL2`: the Euclidean norm over axes.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn reduce_l2(&mut self, x: Val, axes: &[i64], keep: bool) -> Result<Val> {
        self.reduce("ReduceL2", 18, x, axes, keep)
    }

    /// `ReduceSum` over axes.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn reduce_sum(&mut self, x: Val, axes: &[i64], keep: bool) -> Result<Val> {
        self.reduce("ReduceSum", 13, x, axes, keep)
    }

    /// `ReduceMax` over axes.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn reduce_max(&mut self, x: Val, axes: &[i64], keep: bool) -> Result<Val> {
        self.reduce("ReduceMax", 18, x, axes, keep)
    }

    /// `ReduceMin` over axes.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn reduce_min(&mut self, x: Val, axes: &[i64], keep: bool) -> Result<Val> {
        self.reduce("ReduceMin", 18, x, axes, keep)
    }

    /// The axes became an input in `since`; before, they are an attribute.
    #[track_caller]
    fn reduce(&mut self, op: &str, since: i64, x: Val, axes: &[i64], keep: bool) -> Result<Val> {
        let mut dims: Vec<Option<Dim>> = self.dims(x).iter().cloned().map(Some).collect();
        for &axis in axes {
            let at = self.inferred(op, axis_of(axis, dims.len()))?;
            dims[at] = keep.then_some(Dim::Fixed(1));
        }
        let made = (self.dtype(x), dims.into_iter().flatten().collect());
        let keep = ("keepdims", i64::from(keep).into());
        if self.opset() >= since {
            let axes = self.ints("axes", axes);
            return self.node1(op, &[x, axes], vec![keep], made);
        }
        self.node1(op, &[x], vec![("axes", axes.to_vec().into()), keep], made)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph, graph_at, value};

    #[test]
    fn reduced_axes_go_or_become_one() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,7,7,768");
        let mean = g.reduce_mean(x, &[1, -2], false).unwrap();
        assert_eq!(dims(&g, mean), "n,768");
        let norm = g.reduce_l2(x, &[-1], true).unwrap();
        assert_eq!(dims(&g, norm), "n,7,7,1");
        assert!(g.reduce_sum(x, &[4], true).unwrap_err().to_string().contains("no axis 4 among 4"));
    }

    #[test]
    fn axes_are_an_attribute_in_opset_17() {
        let mut g = graph_at(17);
        let x = value(&mut g, "x", "n,7");
        let y = g.reduce_mean(x, &[1], false).unwrap();
        assert_eq!(g.finish_with(y).nodes[0].ints("axes"), Some(&[1][..]));
    }
}
