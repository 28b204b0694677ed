//! Operators that move elements without changing them.

use zoo_tensor::{DType, Dim};

use super::axis_of;
use crate::builder::Builder;
use crate::{Result, Val, dim};

impl Builder {
    /// `Reshape` to these dimensions. One free dimension is written as -1, one that stays at its axis as 0, and the size of any
    /// further one is read from the graph's input that has it.
    ///
    /// # Errors
    /// If the number of elements differs, or no input shows the size of a free dimension.
    #[track_caller]
    pub fn reshape(&mut self, x: Val, dims: impl IntoIterator<Item = impl Into<Dim>>) -> Result<Val> {
        let dims: Vec<Dim> = dims.into_iter().map(Into::into).collect();
        let from = self.dims(x).to_vec();
        if from == dims {
            return Ok(x);
        }
        let (before, after) = (dim::product(&from), dim::product(&dims));
        if before != after && before != Dim::Unknown && after != Dim::Unknown {
            let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
            let problem =
                format!("{} has {before} elements, [{}] has {after}", self.describe(x), shown.join(","));
            return self.fail("Reshape", problem);
        }
        let target = match reshape_target(&from, &dims) {
            Ok(target) => self.ints("shape", &target),
            Err(MANY_FREE) => self.computed_target(&dims)?,
            Err(problem) => return self.fail("Reshape", format!("{}: {problem}", self.describe(x))),
        };
        let made = (self.dtype(x), dims);
        self.node1("Reshape", &[x, target], vec![], made)
    }

    /// The second input of a `Reshape` to more than one free dimension: the first is -1, the others are computed.
    #[track_caller]
    fn computed_target(&mut self, dims: &[Dim]) -> Result<Val> {
        let key = dims.to_vec();
        if let Some(&known) = self.known_targets.get(&key) {
            return Ok(known);
        }
        let first = dims.iter().position(|dim| dim.fixed().is_none()).unwrap_or_default();
        let (before, after) = (&dims[..first], &dims[first + 1..]);
        let mut fixed: Vec<i64> = before.iter().filter_map(Dim::fixed).map(|size| size as i64).collect();
        fixed.push(-1);
        let inner = after.iter().take_while(|dim| dim.fixed().is_some()).count();
        fixed.extend(after[..inner].iter().filter_map(Dim::fixed).map(|size| size as i64));
        let head = self.ints("shape", &fixed);
        let tail = self.lengths(&after[inner..])?;
        let target = self.concat(&[head, tail], 0)?;
        self.known_targets.insert(key, target);
        Ok(target)
    }

    /// Joins the axes `from..to` into one.
    ///
    /// # Errors
    /// If `x` does not have them.
    #[track_caller]
    pub fn join_axes(&mut self, x: Val, from: usize, to: usize) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        let Some(joined) = dims.get(from..to).filter(|joined| !joined.is_empty()).map(dim::product) else {
            return self.fail("Reshape", format!("{} has no axes {from}..{to}", self.describe(x)));
        };
        let all = dims[..from].iter().cloned().chain([joined]).chain(dims[to..].iter().cloned());
        self.reshape(x, all.collect::<Vec<_>>())
    }

    /// Splits one axis into several: the last ones of these `sizes`, and a first one with what is left. `197*batch` split by
    /// `[197]` is `batch, 197`.
    ///
    /// # Errors
    /// If the axis is not a multiple of the sizes.
    #[track_caller]
    pub fn split_axis(&mut self, x: Val, axis: usize, sizes: &[usize]) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        let inner: Vec<Dim> = sizes.iter().copied().map(Dim::Fixed).collect();
        let first = dims.get(axis).and_then(|whole| dim::quotient(whole, &dim::product(&inner)));
        let Some(first) = first else {
            let problem = format!("axis {axis} of {} is not a multiple of {sizes:?}", self.describe(x));
            return self.fail("Reshape", problem);
        };
        let all =
            dims[..axis].iter().cloned().chain([first]).chain(inner).chain(dims[axis + 1..].iter().cloned());
        self.reshape(x, all.collect::<Vec<_>>())
    }

    /// `Flatten`: everything from axis 1 on becomes one axis.
    ///
    /// # Errors
    /// If there is no axis 1.
    #[track_caller]
    pub fn flatten(&mut self, x: Val) -> Result<Val> {
        let dims = self.dims(x);
        let Some((first, rest)) = dims.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return self.fail("Flatten", format!("{} has no axis 1", self.describe(x)));
        };
        if rest.len() == 1 {
            return Ok(x);
        }
        let made = (self.dtype(x), vec![first.clone(), dim::product(rest)]);
        self.node1("Flatten", &[x], vec![("axis", 1_i64.into())], made)
    }

    /// `Flatten` at an axis: what is before it becomes one axis, and what begins with it another.
    ///
    /// # Errors
    /// If there is nothing on one of the sides.
    #[track_caller]
    pub fn flatten_at(&mut self, x: Val, axis: usize) -> Result<Val> {
        let Some((rows @ [_, ..], columns @ [_, ..])) = self.dims(x).split_at_checked(axis) else {
            return self.fail("Flatten", format!("{} has no axes on both sides of {axis}", self.describe(x)));
        };
        let made = (self.dtype(x), vec![dim::product(rows), dim::product(columns)]);
        self.node1("Flatten", &[x], vec![("axis", (axis as i64).into())], made)
    }

    /// `Transpose`: axis `i` of the result is axis `order[i]` of `x`.
    ///
    /// # Errors
    /// If `order` does not name each axis once.
    #[track_caller]
    pub fn transpose(&mut self, x: Val, order: &[usize]) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if sorted != (0..dims.len()).collect::<Vec<_>>() {
            return self
                .fail("Transpose", format!("{order:?} is no order of the axes of {}", self.describe(x)));
        }
        if sorted == order {
            return Ok(x);
        }
        let made = (self.dtype(x), order.iter().map(|&axis| dims[axis].clone()).collect());
        let perm: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        self.node1("Transpose", &[x], vec![("perm", perm.into())], made)
    }

    /// `Concat` along an axis.
    ///
    /// # Errors
    /// If types or the other axes differ.
    #[track_caller]
    pub fn concat(&mut self, parts: &[Val], axis: i64) -> Result<Val> {
        let [first, rest @ ..] = parts else {
            return self.fail("Concat", "there is nothing to join".to_owned());
        };
        if rest.is_empty() {
            return Ok(*first);
        }
        let mut dims = self.dims(*first).to_vec();
        let at = self.inferred("Concat", axis_of(axis, dims.len()))?;
        for &part in rest {
            let other = self.dims(part);
            let agree = other.len() == dims.len()
                && other.iter().zip(&dims).enumerate().all(|(i, (a, b))| i == at || a == b);
            if !agree || self.dtype(part) != self.dtype(*first) {
                let problem = format!(
                    "{} and {} cannot be joined along axis {axis}",
                    self.describe(*first),
                    self.describe(part)
                );
                return self.fail("Concat", problem);
            }
        }
        dims[at] = dim::total(parts.iter().map(|&part| &self.dims(part)[at]));
        let made = (self.dtype(*first), dims);
        self.node1("Concat", parts, vec![("axis", axis.into())], made)
    }

    /// `Unsqueeze`: an axis of size 1 at `axis` of the result.
    ///
    /// # Errors
    /// If the result has no such axis.
    #[track_caller]
    pub fn unsqueeze(&mut self, x: Val, axis: i64) -> Result<Val> {
        let mut dims = self.dims(x).to_vec();
        let at = self.inferred("Unsqueeze", axis_of(axis, dims.len() + 1))?;
        dims.insert(at, Dim::Fixed(1));
        let axes = self.ints("axes", &[axis]);
        let made = (self.dtype(x), dims);
        self.node1("Unsqueeze", &[x, axes], vec![], made)
    }

    /// `Squeeze`: takes away an axis of size 1.
    ///
    /// # Errors
    /// If it is not there, or of another size.
    #[track_caller]
    pub fn squeeze(&mut self, x: Val, axis: i64) -> Result<Val> {
        let mut dims = self.dims(x).to_vec();
        let at = self.inferred("Squeeze", axis_of(axis, dims.len()))?;
        if dims.remove(at) != Dim::Fixed(1) {
            return self.fail("Squeeze", format!("axis {axis} of {} is not of size 1", self.describe(x)));
        }
        let axes = self.ints("axes", &[axis]);
        let made = (self.dtype(x), dims);
        self.node1("Squeeze", &[x, axes], vec![], made)
    }

    /// `Pad` with zeros: `before[i]` and `after[i]` elements along axis `i`.
    ///
    /// # Errors
    /// If there is not one number per axis.
    #[track_caller]
    pub fn pad(&mut self, x: Val, before: &[usize], after: &[usize]) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        if before.len() != dims.len() || after.len() != dims.len() {
            return self.fail("Pad", format!("{} needs padding for each axis", self.describe(x)));
        }
        if before.iter().chain(after).all(|&n| n == 0) {
            return Ok(x);
        }
        let padded = |(axis, dim): (usize, &Dim)| dim::plus(dim, (before[axis] + after[axis]) as i64);
        let made = (self.dtype(x), dims.iter().enumerate().map(padded).collect());
        let pads: Vec<i64> = before.iter().chain(after).map(|&n| n as i64).collect();
        let pads = self.ints("pads", &pads);
        self.node1("Pad", &[x, pads], vec![], made)
    }

    /// `Expand`: axes of size 1 are repeated until the shape is that of `like`, whatever it is at run time.
    ///
    /// # Errors
    /// If the shapes do not broadcast to that of `like`.
    #[track_caller]
    pub fn expand_like(&mut self, x: Val, like: Val) -> Result<Val> {
        let dims = self.dims(like).to_vec();
        if super::pointwise::broadcast(self.dims(x), &dims).as_deref() != Some(&dims) {
            let problem = format!("{} does not expand to {}", self.describe(x), self.describe(like));
            return self.fail("Expand", problem);
        }
        let shape = self.shape(like, 0, dims.len())?;
        let made = (self.dtype(x), dims);
        self.node1("Expand", &[x, shape], vec![], made)
    }

    /// `Expand` of the first axis, of size 1, to that of `like`: one copy for each element of a batch.
    ///
    /// # Errors
    /// If the first axis is not of size 1.
    #[track_caller]
    pub fn expand_batch(&mut self, x: Val, like: Val) -> Result<Val> {
        let (Some((Dim::Fixed(1), rest)), Some(batch)) =
            (self.dims(x).split_first(), self.dims(like).first())
        else {
            return self.fail("Expand", format!("{} is not one element of a batch", self.describe(x)));
        };
        let dims: Vec<Dim> = std::iter::once(batch.clone()).chain(rest.iter().cloned()).collect();
        let ones = vec![1; rest.len()];
        let shape = match batch.fixed() {
            Some(size) => {
                let shape: Vec<i64> = std::iter::once(size as i64).chain(ones).collect();
                self.ints("shape", &shape)
            }
            None => {
                let batch = self.shape(like, 0, 1)?;
                let ones = self.ints("ones", &ones);
                self.concat(&[batch, ones], 0)?
            }
        };
        let made = (self.dtype(x), dims);
        self.node1("Expand", &[x, shape], vec![], made)
    }

    /// `Shape`: dimensions `from..to` of `x` as a tensor of whole numbers; a constant where all of them are fixed.
    ///
    /// # Errors
    /// If `x` does not have them.
    #[track_caller]
    pub fn shape(&mut self, x: Val, from: usize, to: usize) -> Result<Val> {
        let Some(dims) = self.dims(x).get(from..to) else {
            return self.fail("Shape", format!("{} has no axes {from}..{to}", self.describe(x)));
        };
        if let Some(sizes) = dims.iter().map(|dim| dim.fixed().map(|n| n as i64)).collect::<Option<Vec<_>>>()
        {
            return Ok(self.ints("shape", &sizes));
        }
        let made = (DType::I64, vec![Dim::Fixed(to - from)]);
        let attributes = vec![("start", (from as i64).into()), ("end", (to as i64).into())];
        self.node1("Shape", &[x], attributes, made)
    }
}

/// Why the second input of a `Reshape` is no constant.
const MANY_FREE: &str = "more than one of its dimensions is free";

/// The second input of a `Reshape` between these shapes, which have equally many elements: 0 stands for a free dimension that stays
/// at its axis, -1 for one that does not.
pub(crate) fn reshape_target(from: &[Dim], to: &[Dim]) -> Result<Vec<i64>, &'static str> {
    let mut free_used = false;
    let number = |(axis, dim): (usize, &Dim)| match dim.fixed() {
        // 0 means "as before" to Reshape; no network has an empty tensor on purpose.
        Some(0) => Err("it becomes empty"),
        Some(size) => Ok(size as i64),
        None if from.get(axis) == Some(dim) && *dim != Dim::Unknown => Ok(0),
        None if !free_used => {
            free_used = true;
            Ok(-1)
        }
        None => Err(MANY_FREE),
    };
    to.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, value};

    fn named(name: &str) -> Dim {
        Dim::Named(name.into())
    }

    #[test]
    fn reshaping_counts_elements() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,768,14,14");
        let y = g.reshape(x, [named("n"), 768.into(), 196.into()]).unwrap();
        assert_eq!(dims(&g, y), "n,768,196");
        let z = g.reshape(y, [named("196*n"), 768.into()]).unwrap();
        assert_eq!(dims(&g, z), "196*n,768");
        let error = g.reshape(x, [named("n"), 768.into(), 195.into()]).unwrap_err().to_string();
        assert!(error.contains("150528*n elements") && error.contains("[n,768,195] has 149760*n"), "{error}");
        assert_eq!(g.reshape(x, g.dims(x).to_vec()).unwrap(), x);
        let graph = g.finish_with(z);
        let shapes: Vec<_> = graph.values().filter_map(|(_, v)| v.constant()?.to_i64_vec().ok()).collect();
        assert_eq!(shapes, [vec![0, 768, 196], vec![-1, 768]]);
    }

    #[test]
    fn axes_join_and_split() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,197,768");
        let y = g.join_axes(x, 0, 2).unwrap();
        assert_eq!(dims(&g, y), "197*n,768");
        let z = g.split_axis(y, 0, &[197]).unwrap();
        assert_eq!(dims(&g, z), "n,197,768");
        let heads = g.split_axis(z, 2, &[64]).unwrap();
        assert_eq!(dims(&g, heads), "n,197,12,64");
        assert!(g.split_axis(z, 2, &[65]).unwrap_err().to_string().contains("not a multiple of [65]"));
        assert!(g.join_axes(x, 2, 4).is_err());
    }

    #[test]
    fn transposing_and_joining() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3,5");
        let y = g.transpose(x, &[0, 2, 1]).unwrap();
        assert_eq!(dims(&g, y), "n,5,3");
        assert_eq!(g.transpose(x, &[0, 1, 2]).unwrap(), x);
        assert!(g.transpose(x, &[0, 1, 1]).is_err());
        let z = value(&mut g, "z", "n,4,5");
        let joined = g.concat(&[x, z], 1).unwrap();
        assert_eq!(dims(&g, joined), "n,7,5");
        assert!(g.concat(&[x, z], 2).unwrap_err().to_string().contains("cannot be joined along axis 2"));
    }

    #[test]
    fn axes_come_and_go() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3,1");
        let y = g.squeeze(x, -1).unwrap();
        assert_eq!(dims(&g, y), "n,3");
        let y = g.unsqueeze(y, 1).unwrap();
        assert_eq!(dims(&g, y), "n,1,3");
        assert!(g.squeeze(x, 1).is_err());
        let f = g.flatten(x).unwrap();
        assert_eq!(dims(&g, f), "n,3");
        let x = value(&mut g, "f", "49,n,4,96");
        let f = g.flatten_at(x, 2).unwrap();
        assert_eq!(dims(&g, f), "49*n,384");
        assert!(g.flatten_at(x, 0).is_err() && g.flatten_at(x, 4).is_err() && g.flatten_at(x, 5).is_err());
    }

    #[test]
    fn padding_and_expanding() {
        let mut g = graph();
        let x = value(&mut g, "x", "1,3,5");
        let y = g.pad(x, &[0, 0, 1], &[0, 0, 2]).unwrap();
        assert_eq!(dims(&g, y), "1,3,8");
        let like = value(&mut g, "l", "n,7");
        let y = g.expand_batch(x, like).unwrap();
        assert_eq!(dims(&g, y), "n,3,5");
        let wide = value(&mut g, "w", "n,3,5");
        let y = g.expand_like(x, wide).unwrap();
        assert_eq!(dims(&g, y), "n,3,5");
        assert!(g.expand_like(wide, like).is_err());
    }
}
