//! Taking parts of a tensor at places that are known only at run time.

use zoo_tensor::{DType, Dim};

use super::axis_of;
use crate::builder::Builder;
use crate::{Result, Val, dim};

impl Builder {
    /// `Gather` along one axis by indices that are a tensor: the axis gives way to those of `indices`.
    ///
    /// # Errors
    /// If the indices are no whole numbers, or there is no such axis.
    #[track_caller]
    pub fn take(&mut self, x: Val, axis: i64, indices: Val) -> Result<Val> {
        if !matches!(self.dtype(indices), DType::I32 | DType::I64) {
            return self.fail("Gather", format!("{} are no indices", self.describe(indices)));
        }
        let dims = self.dims(x).to_vec();
        let at = self.inferred("Gather", axis_of(axis, dims.len()))?;
        let (before, after) = (&dims[..at], &dims[at + 1..]);
        let made = before.iter().chain(self.dims(indices)).chain(after).cloned().collect();
        let made = (self.dtype(x), made);
        self.node1("Gather", &[x, indices], vec![("axis", axis.into())], made)
    }

    /// `Slice` of the first `end` elements along an axis, which a tensor `i64` `[1]` says; their number is called `dim` from here on.
    ///
    /// # Errors
    /// If `end` is no such number, or there is no such axis.
    #[track_caller]
    pub fn slice_to(&mut self, x: Val, axis: i64, end: Val, dim: &Dim) -> Result<Val> {
        if self.dtype(end) != DType::I64 || self.dims(end) != [Dim::Fixed(1)] {
            return self.fail("Slice", format!("{} is no end", self.describe(end)));
        }
        let mut dims = self.dims(x).to_vec();
        let at = self.inferred("Slice", axis_of(axis, dims.len()))?;
        dims[at] = dim.clone();
        self.known_lengths.insert(dim.clone(), end);
        let (starts, axes) = (self.ints("starts", &[0]), self.ints("axes", &[axis]));
        let made = (self.dtype(x), dims);
        self.node1("Slice", &[x, starts, end, axes], vec![], made)
    }

    /// The dimension that joining axes of these makes.
    pub fn sum_of(&self, dims: &[Dim]) -> Dim {
        dim::total(dims)
    }

    /// Calls an axis of a value by another name, which is the one that an output declares. Inference does not see that the two names
    /// are one: for values that go out and are used no more.
    ///
    /// # Errors
    /// If there is no such axis, or its size is fixed.
    #[track_caller]
    pub fn name_axis(&mut self, x: Val, axis: usize, name: &str) -> Result<()> {
        match self.graph.value_mut(x).dims.get_mut(axis) {
            Some(dim) if dim.fixed().is_none() => {
                *dim = Dim::Named(name.to_owned());
                Ok(())
            }
            _ => self.fail("name_axis", format!("{} has no free axis {axis}", self.describe(x))),
        }
    }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{DType, Dim};

    use crate::testing::{dims, graph, ops, value};

    #[test]
    fn taking_by_a_tensor() {
        let mut g = graph();
        let x = value(&mut g, "x", "3,65");
        let places = value(&mut g, "p", "s,t");
        assert!(g.take(x, 1, places).unwrap_err().to_string().contains("are no indices"));
        let places = g.cast(places, DType::I64).unwrap();
        let y = g.take(x, 1, places).unwrap();
        assert_eq!(dims(&g, y), "3,s,t");
        assert!(g.take(x, 2, places).is_err());
    }

    #[test]
    fn slices_that_end_somewhere() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3,past");
        let end = g.length(&Dim::Named("n".into())).unwrap();
        let used = Dim::Named("used".into());
        let y = g.slice_to(x, 2, end, &used).unwrap();
        assert_eq!(dims(&g, y), "n,3,used");
        assert_eq!(g.length(&used).unwrap(), end, "the size of what is left is known");
        assert!(g.slice_to(x, 2, x, &used).is_err() && g.slice_to(x, 3, end, &used).is_err());
        g.name_axis(y, 2, "other").unwrap();
        assert_eq!(dims(&g, y), "n,3,other");
        assert!(g.name_axis(y, 1, "other").is_err() && g.name_axis(y, 3, "other").is_err());
        assert_eq!(ops(g, y), "Shape Slice");
    }
}
