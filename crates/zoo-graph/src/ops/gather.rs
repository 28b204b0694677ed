//! Taking parts of a tensor.

use zoo_tensor::{DType, Dim};

use super::axis_of;
use crate::builder::Builder;
use crate::{Result, Val};

impl Builder {
    /// `Gather` with constant indices along one axis, which stays.
    ///
    /// # Errors
    /// If an index is out of range.
    #[track_caller]
    pub fn take_along(&mut self, x: Val, axis: i64, indices: &[i64]) -> Result<Val> {
        let at = self.inferred("Gather", axis_of(axis, self.dims(x).len()))?;
        self.within(x, at, indices)?;
        let mut dims = self.dims(x).to_vec();
        dims[at] = Dim::Fixed(indices.len());
        let indices = self.ints("indices", indices);
        let made = (self.dtype(x), dims);
        self.node1("Gather", &[x, indices], vec![("axis", axis.into())], made)
    }

    /// `Gather` of one constant index along one axis, which goes.
    ///
    /// # Errors
    /// If the index is out of range.
    #[track_caller]
    pub fn pick(&mut self, x: Val, axis: i64, index: i64) -> Result<Val> {
        let at = self.inferred("Gather", axis_of(axis, self.dims(x).len()))?;
        self.within(x, at, &[index])?;
        let mut dims = self.dims(x).to_vec();
        dims.remove(at);
        let index = self.int("index", index);
        let made = (self.dtype(x), dims);
        self.node1("Gather", &[x, index], vec![("axis", axis.into())], made)
    }

    /// `Gather` of rows by indices that are a tensor: an embedding. `table` `[V, …]`, `indices` of any shape.
    ///
    /// # Errors
    /// If the indices are no integers, or the table has no rows.
    #[track_caller]
    pub fn embedding(&mut self, table: Val, indices: Val) -> Result<Val> {
        if !matches!(self.dtype(indices), DType::I32 | DType::I64) {
            return self.fail("Gather", format!("{} are no indices", self.describe(indices)));
        }
        let Some((_, rest)) = self.dims(table).split_first() else {
            return self.fail("Gather", format!("{} has no rows", self.describe(table)));
        };
        let dims = self.dims(indices).iter().chain(rest).cloned().collect();
        let made = (self.dtype(table), dims);
        self.node1("Gather", &[table, indices], vec![("axis", 0_i64.into())], made)
    }

    /// `Slice` of `from..to` along one axis, with step 1; negative ends count from the end, and an end of `None` is the end.
    ///
    /// # Errors
    /// If the axis is not there, or a fixed one is shorter.
    #[track_caller]
    pub fn slice(&mut self, x: Val, axis: i64, from: i64, to: Option<i64>) -> Result<Val> {
        self.slice_step(x, axis, from, to, 1)
    }

    /// `Slice` with a positive step.
    ///
    /// # Errors
    /// As [`Builder::slice`].
    #[track_caller]
    pub fn slice_step(&mut self, x: Val, axis: i64, from: i64, to: Option<i64>, step: i64) -> Result<Val> {
        let inferred = sliced(self.dims(x), axis, from, to, step)
            .map_err(|problem| format!("{}: {problem}", self.describe(x)));
        let dims = self.inferred("Slice", inferred)?;
        let starts = self.ints("starts", &[from]);
        let ends = self.ints("ends", &[to.unwrap_or(i64::MAX)]);
        let axes = self.ints("axes", &[axis]);
        let made = (self.dtype(x), dims);
        if step == 1 {
            return self.node1("Slice", &[x, starts, ends, axes], vec![], made);
        }
        let steps = self.ints("steps", &[step]);
        self.node1("Slice", &[x, starts, ends, axes, steps], vec![], made)
    }

    /// `Split` into parts of these sizes along an axis.
    ///
    /// # Errors
    /// If the sizes do not add up to the axis.
    #[track_caller]
    pub fn split(&mut self, x: Val, axis: i64, sizes: &[usize]) -> Result<Vec<Val>> {
        let at = self.inferred("Split", axis_of(axis, self.dims(x).len()))?;
        if self.dims(x)[at] != Dim::Fixed(sizes.iter().sum()) {
            let problem = format!("{} along axis {axis} is not {sizes:?} together", self.describe(x));
            return self.fail("Split", problem);
        }
        let part = |&size: &usize| {
            let mut dims = self.dims(x).to_vec();
            dims[at] = Dim::Fixed(size);
            (self.dtype(x), dims)
        };
        let made = sizes.iter().map(part).collect();
        let lengths: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        let lengths = self.ints("split", &lengths);
        self.node("Split", &[Some(x), Some(lengths)], vec![("axis", axis.into())], made)
    }

    #[track_caller]
    fn within(&self, x: Val, at: usize, indices: &[i64]) -> Result<()> {
        if let Dim::Fixed(size) = self.dims(x)[at] {
            let size = size as i64;
            if let Some(index) = indices.iter().find(|&&index| index >= size || index < -size) {
                return self.fail("Gather", format!("{} has no index {index} there", self.describe(x)));
            }
        }
        Ok(())
    }
}

fn sliced(dims: &[Dim], axis: i64, from: i64, to: Option<i64>, step: i64) -> Result<Vec<Dim>, String> {
    let at = axis_of(axis, dims.len())?;
    let mut dims = dims.to_vec();
    if step < 1 {
        return Err(format!("a step of {step} is not forward"));
    }
    let size = match (&dims[at], from, to) {
        (Dim::Fixed(size), from, to) => {
            let end = *size as i64;
            let place = |index: i64| if index < 0 { index + end } else { index };
            let (from, to) = (place(from), to.map_or(end, place));
            if !(0..=end).contains(&from) || !(from..=end).contains(&to) {
                return Err(format!("there is no {from}..{to} along axis {axis}"));
            }
            Dim::Fixed((to - from).unsigned_abs().div_ceil(step.unsigned_abs()) as usize)
        }
        // Of a free size, only what is certain is claimed; that it is long enough, the runtime sees.
        (dim, from, to) if step == 1 => match (from, to) {
            (from, None) if from >= 0 => crate::dim::plus(dim, -from),
            (from, None) => Dim::Fixed(from.unsigned_abs() as usize),
            (from, Some(to)) if from >= 0 && to < 0 => crate::dim::plus(dim, to - from),
            (from, Some(to)) if to >= from && (from >= 0) == (to >= 0) => Dim::Fixed((to - from) as usize),
            _ => Dim::Unknown,
        },
        _ => Dim::Unknown,
    };
    dims[at] = size;
    Ok(dims)
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph, value};

    #[test]
    fn slices_of_fixed_and_free_axes() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,197,768");
        let y = g.slice(x, 1, 1, None).unwrap();
        assert_eq!(dims(&g, y), "n,196,768");
        let y = g.slice(x, 0, 1, None).unwrap();
        assert_eq!(dims(&g, y), "n - 1,197,768");
        let y = g.slice(x, -1, -3, None).unwrap();
        assert_eq!(dims(&g, y), "n,197,3");
        let y = g.slice_step(x, 1, 0, None, 2).unwrap();
        assert_eq!(dims(&g, y), "n,99,768");
        assert!(g.slice(x, 1, 0, Some(198)).unwrap_err().to_string().contains("no 0..198"));
    }

    #[test]
    fn splits_add_up() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,24,7");
        let parts = g.split(x, 1, &[12, 12]).unwrap();
        assert_eq!(dims(&g, parts[1]), "n,12,7");
        assert!(g.split(x, 1, &[12, 11]).is_err());
    }

    #[test]
    fn picks_and_embeddings() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,197,768");
        let y = g.pick(x, 1, 0).unwrap();
        assert_eq!(dims(&g, y), "n,768");
        let y = g.take_along(x, 1, &[2, 0]).unwrap();
        assert_eq!(dims(&g, y), "n,2,768");
        assert!(g.pick(x, 1, 197).is_err() && g.take_along(x, 1, &[-198]).is_err());
        let table = value(&mut g, "t", "30522,768");
        assert!(g.embedding(table, x).is_err());
        let ids = g.cast(x, zoo_tensor::DType::I64).unwrap();
        let y = g.embedding(table, ids).unwrap();
        assert_eq!(dims(&g, y), "n,197,768,768");
    }
}
