//! Numbers that count: positions, lengths, places of a maximum, and taking elements by computed indices.

use zoo_tensor::{DType, Dim};

use super::axis_of;
use crate::builder::Builder;
use crate::{Result, Val, dim};

impl Builder {
    /// The sizes that these dimensions have at run time, as a vector of `i64`; a constant if all are fixed.
    ///
    /// A free dimension is read from the graph's input that has it; a sum or product of such is computed.
    ///
    /// # Errors
    /// If no input shows the size of a free one.
    #[track_caller]
    pub fn lengths(&mut self, dims: &[Dim]) -> Result<Val> {
        let mut parts = Vec::new();
        let mut fixed = Vec::new();
        for dim in dims {
            if let Dim::Fixed(size) = dim {
                fixed.push(*size as i64);
                continue;
            }
            if !fixed.is_empty() {
                parts.push(self.ints("lengths", &fixed));
                fixed.clear();
            }
            parts.push(self.length(dim)?);
        }
        if !fixed.is_empty() || parts.is_empty() {
            parts.push(self.ints("lengths", &fixed));
        }
        self.concat(&parts, 0)
    }

    /// The size of one dimension at run time: `i64`, `[1]`.
    ///
    /// # Errors
    /// If it is free and no input shows it.
    #[track_caller]
    pub fn length(&mut self, dim: &Dim) -> Result<Val> {
        if let Dim::Fixed(size) = dim {
            return Ok(self.ints("length", &[*size as i64]));
        }
        if let Some(&known) = self.known_lengths.get(dim) {
            return Ok(known);
        }
        let length = self.find_length(dim)?;
        self.known_lengths.insert(dim.clone(), length);
        Ok(length)
    }

    /// From here on, the sizes of those free dimensions of `x` that no input has are read from `x`: those of a feature map, which are
    /// neither sums nor products of an image's.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn show_lengths(&mut self, x: Val) -> Result<()> {
        for (axis, dim) in self.dims(x).to_vec().into_iter().enumerate() {
            let of_input = self.graph.inputs.iter().any(|&input| self.dims(input).contains(&dim));
            if matches!(dim, Dim::Named(_)) && !of_input && !self.known_lengths.contains_key(&dim) {
                let length = self.shape(x, axis, axis + 1)?;
                self.known_lengths.insert(dim, length);
            }
        }
        Ok(())
    }

    #[track_caller]
    fn find_length(&mut self, dim: &Dim) -> Result<Val> {
        let shown = self.graph.inputs.iter().find_map(|&input| {
            let axis = self.dims(input).iter().position(|own| own == dim)?;
            Some((input, axis))
        });
        if let Some((input, axis)) = shown {
            return self.shape(input, axis, axis + 1);
        }
        match dim::parts(dim) {
            Some((sum, parts)) => {
                let mut total = self.length(&parts[0])?;
                for part in &parts[1..] {
                    let part = self.length(part)?;
                    total = if sum { self.add(total, part)? } else { self.mul(total, part)? };
                }
                Ok(total)
            }
            None => self.fail("Shape", format!("no input of the graph shows the size {dim}")),
        }
    }

    /// `Range`: whole numbers from `0` to the size of a dimension, excluded: `i64`, `[dim]`.
    ///
    /// # Errors
    /// As [`Builder::length`].
    #[track_caller]
    pub fn positions(&mut self, dim: &Dim) -> Result<Val> {
        if let Dim::Fixed(size) = dim {
            let all: Vec<i64> = (0..*size as i64).collect();
            return Ok(self.ints("positions", &all));
        }
        let end = self.length(dim)?;
        let end = self.squeeze(end, 0)?;
        let (zero, one) = (self.int("zero", 0), self.int("one_step", 1));
        self.node1("Range", &[zero, end, one], vec![], (DType::I64, vec![dim.clone()]))
    }

    /// `Expand` to these dimensions, whatever they are at run time.
    ///
    /// # Errors
    /// If `x` does not broadcast to them.
    #[track_caller]
    pub fn expand_to(&mut self, x: Val, dims: &[Dim]) -> Result<Val> {
        if self.dims(x) == dims {
            return Ok(x);
        }
        if super::pointwise::broadcast(self.dims(x), dims).as_deref() != Some(dims) {
            let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
            return self
                .fail("Expand", format!("{} does not expand to [{}]", self.describe(x), shown.join(",")));
        }
        let shape = self.lengths(dims)?;
        let made = (self.dtype(x), dims.to_vec());
        self.node1("Expand", &[x, shape], vec![], made)
    }

    /// `ArgMax` along an axis, the first of equal ones: `i64`.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn arg_max(&mut self, x: Val, axis: i64, keep: bool) -> Result<Val> {
        let mut dims = self.dims(x).to_vec();
        let at = self.inferred("ArgMax", axis_of(axis, dims.len()))?;
        if keep {
            dims[at] = Dim::Fixed(1);
        } else {
            dims.remove(at);
        }
        let attributes = vec![("axis", axis.into()), ("keepdims", i64::from(keep).into())];
        self.node1("ArgMax", &[x], attributes, (DType::I64, dims))
    }

    /// `CumSum` along an axis, each element included.
    ///
    /// # Errors
    /// If there is no such axis, or the elements are neither `f32` nor whole numbers.
    #[track_caller]
    pub fn cumulative_sum(&mut self, x: Val, axis: i64) -> Result<Val> {
        self.inferred("CumSum", axis_of(axis, self.dims(x).len()))?;
        let made = (self.dtype(x), self.dims(x).to_vec());
        let axis = self.int("axis", axis);
        self.node1("CumSum", &[x, axis], vec![], made)
    }

    /// `GatherElements`: `x[…, indices[…, i, …], …]` along an axis; `indices` has the rank of `x`, and its shape is that of the
    /// result.
    ///
    /// # Errors
    /// If ranks differ or the indices are no whole numbers.
    #[track_caller]
    pub fn gather_elements(&mut self, x: Val, indices: Val, axis: i64) -> Result<Val> {
        let fits = matches!(self.dtype(indices), DType::I32 | DType::I64)
            && self.dims(indices).len() == self.dims(x).len();
        if !fits {
            return self.fail(
                "GatherElements",
                format!("{} are no indices into {}", self.describe(indices), self.describe(x)),
            );
        }
        self.inferred("GatherElements", axis_of(axis, self.dims(x).len()))?;
        let made = (self.dtype(x), self.dims(indices).to_vec());
        self.node1("GatherElements", &[x, indices], vec![("axis", axis.into())], made)
    }

    /// One row of each sequence: `x` `[batch, sequence, …]` at `index` `[batch]` of its second axis; gives `[batch, …]`.
    ///
    /// # Errors
    /// If ranks do not suit, or the indices are no whole numbers.
    #[track_caller]
    pub fn pick_each(&mut self, x: Val, index: Val) -> Result<Val> {
        let (dims, batch) = (self.dims(x).to_vec(), self.dims(index).to_vec());
        if dims.len() < 2 || batch != dims[..1] || self.dtype(index) != DType::I64 {
            return self.fail(
                "GatherND",
                format!("{} is no index into each of {}", self.describe(index), self.describe(x)),
            );
        }
        let index = self.unsqueeze(index, -1)?;
        let made = dims[..1].iter().chain(&dims[2..]).cloned().collect();
        self.node1("GatherND", &[x, index], vec![("batch_dims", 1_i64.into())], (self.dtype(x), made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, ops, value};

    fn ids(g: &mut Builder) -> Val {
        let dims = ["batch", "past + seq"].map(|name| Dim::Named(name.into()));
        g.input("ids", DType::I64, dims).unwrap()
    }

    #[test]
    fn lengths_come_from_inputs() {
        let mut g = graph();
        let x = value(&mut g, "x", "batch,seq,8");
        let seq = Dim::Named("seq".into());
        let all = g.lengths(&[Dim::Named("batch".into()), seq.clone(), 2.into(), 4.into()]).unwrap();
        assert_eq!(dims(&g, all), "4");
        assert_eq!(g.length(&seq).unwrap(), g.length(&seq).unwrap());
        let p = g.positions(&seq).unwrap();
        assert_eq!((dims(&g, p).as_str(), g.dtype(p)), ("seq", DType::I64));
        let error = g.length(&Dim::Named("other".into())).unwrap_err().to_string();
        assert!(error.contains("no input of the graph shows the size other"), "{error}");
        let product = g.length(&Dim::Named("3*batch*seq".into())).unwrap();
        assert_eq!(dims(&g, product), "1");
        let _ = ids(&mut g);
        let past = g.length(&Dim::Named("past + seq".into())).unwrap();
        assert_eq!(dims(&g, past), "1");
        assert!(g.expand_to(x, &[seq]).is_err());
    }

    #[test]
    fn a_feature_map_shows_its_own_lengths() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,4,h,w");
        let y = g.max_pool(x, crate::ops::Window::of(2).stride(2)).unwrap();
        let map = g.dims(y).to_vec();
        assert!(g.length(&map[2]).is_err());
        g.show_lengths(y).unwrap();
        let flat = g.join_axes(y, 2, 4).unwrap();
        let back = g.reshape(flat, map.clone()).unwrap();
        assert_eq!(g.dims(back), map);
        assert_eq!(ops(g, back), "MaxPool Shape Shape Reshape Concat Concat Reshape");
    }

    #[test]
    fn a_sum_is_computed_where_no_input_has_it() {
        let mut g = graph();
        let _ = value(&mut g, "x", "batch,seq");
        let sum = g.length(&Dim::Named("seq + 3".into())).unwrap();
        assert_eq!(ops(g, sum), "Shape Add");
    }

    #[test]
    fn picking_for_each() {
        let mut g = graph();
        let x = value(&mut g, "x", "batch,seq,8");
        let ids = ids(&mut g);
        let last = g.arg_max(ids, -1, false).unwrap();
        let y = g.pick_each(x, last).unwrap();
        assert_eq!(dims(&g, y), "batch,8");
        assert!(g.pick_each(x, ids).is_err());
        let z = g.cumulative_sum(ids, 1).unwrap();
        assert_eq!(dims(&g, z), "batch,past + seq");
        assert!(g.gather_elements(x, ids, 1).is_err());
    }
}
