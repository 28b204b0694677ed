//! What translations of all topics are made of: inputs and attributes of nodes, small constants, and the commonest nodes.

use zoo_graph::graph::{Attribute, Node, Val};
use zoo_tensor::{DType, Dim, Tensor};

use super::{Lowered, Lowering, Made};
use crate::nodes::{Op, Out};

impl Lowering<'_> {
    /// The tensor of an input that has to be there, in ONNX's layout.
    pub(super) fn in_at(&mut self, node: &Node, index: usize) -> Result<Out, String> {
        let val = operand(node, index)?;
        self.out(val)
    }

    /// The tensor of an input that may be absent.
    pub(super) fn in_if(&mut self, node: &Node, index: usize) -> Result<Option<Out>, String> {
        node.inputs.get(index).copied().flatten().map(|val| self.out(val)).transpose()
    }

    /// The dimensions of an input.
    pub(super) fn dims_at(&self, node: &Node, index: usize) -> Result<Vec<Dim>, String> {
        Ok(self.graph.value(operand(node, index)?).dims.clone())
    }

    /// The dimensions of an output.
    pub(super) fn made_dims(&self, node: &Node, index: usize) -> Vec<Dim> {
        node.outputs.get(index).map(|&val| self.graph.value(val).dims.clone()).unwrap_or_default()
    }

    /// The element type of an output.
    pub(super) fn made_dtype(&self, node: &Node) -> DType {
        node.outputs.first().map_or(DType::F32, |&val| self.graph.value(val).dtype)
    }

    /// The whole numbers of an input that is a constant; none if it is computed or absent.
    pub(super) fn known_ints(&self, node: &Node, index: usize) -> Option<Vec<i64>> {
        let val = node.inputs.get(index).copied().flatten()?;
        self.graph.value(val).constant()?.to_i64_vec().ok()
    }

    /// The whole numbers that stand in an input since some operator set and in an attribute before; none if they are absent.
    pub(super) fn ints_of(&self, node: &Node, index: usize, name: &str) -> Result<Option<Vec<i64>>, String> {
        if let Some(ints) = node.ints(name) {
            return Ok(Some(ints.to_vec()));
        }
        match node.inputs.get(index).copied().flatten() {
            None => Ok(None),
            Some(_) => self.known_ints(node, index).map(Some).ok_or_else(|| format!("has computed {name}")),
        }
    }

    /// `i32` numbers: shapes, axes, orders.
    pub(super) fn ints(&mut self, ints: &[i64]) -> Out {
        let narrow: Option<Vec<i32>> = ints.iter().map(|&int| i32::try_from(int).ok()).collect();
        match narrow {
            Some(narrow) => self.numbers(&[ints.len()], &narrow),
            None => self.wide_ints(ints),
        }
    }

    /// `i64` numbers.
    pub(super) fn wide_ints(&mut self, ints: &[i64]) -> Out {
        self.numbers(&[ints.len()], ints)
    }

    /// One `i32`, without dimensions.
    pub(super) fn int(&mut self, int: i64) -> Out {
        self.numbers(&[], &[int as i32])
    }

    fn numbers<T: zoo_tensor::Element>(&mut self, shape: &[usize], numbers: &[T]) -> Out {
        let tensor = Tensor::from_slice(shape, numbers)
            .unwrap_or_else(|_| unreachable!("the shape is that of the numbers"));
        self.constant(&tensor)
    }

    /// One number of this type, without dimensions.
    pub(super) fn scalar(&mut self, number: f64, dtype: DType) -> Result<Out, String> {
        Ok(match dtype {
            DType::F32 => self.numbers(&[], &[number as f32]),
            DType::F64 => self.numbers(&[], &[number]),
            DType::I64 => self.numbers(&[], &[number as i64]),
            DType::I32 => self.numbers(&[], &[number as i32]),
            DType::F16 | DType::BF16 => {
                let wide = self.numbers(&[], &[number as f32]);
                self.cast(&wide, dtype)
            }
            other => return Err(format!("computes in {other}")),
        })
    }

    /// A node of one type on one tensor.
    pub(super) fn unary(&mut self, op: &'static str, x: &Out) -> Out {
        self.add(Op::typed(op, &[x]), x.dtype)
    }

    /// A node of one type on two tensors.
    pub(super) fn binary(&mut self, op: &'static str, a: &Out, b: &Out) -> Out {
        self.add(Op::typed(op, &[a, b]), a.dtype)
    }

    /// A node on a tensor and a number of its type.
    pub(super) fn with(&mut self, op: &'static str, x: &Out, number: f64) -> Result<Out, String> {
        let number = self.scalar(number, x.dtype)?;
        Ok(self.binary(op, x, &number))
    }

    pub(super) fn cast(&mut self, x: &Out, dtype: DType) -> Out {
        if x.dtype == dtype {
            return x.clone();
        }
        let op = Op::new("Cast", &[x]).of("SrcT", x.dtype).of("DstT", dtype).flag("Truncate", false);
        self.add(op, dtype)
    }

    pub(super) fn transpose(&mut self, x: &Out, order: &[usize]) -> Out {
        if order.iter().enumerate().all(|(at, &axis)| at == axis) {
            return x.clone();
        }
        let order: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        let order = self.ints(&order);
        self.add(Op::typed("Transpose", &[x, &order]).of("Tperm", order.dtype), x.dtype)
    }

    /// `[batch, channels, spatial…]` to `[batch, spatial…, channels]`.
    pub(super) fn with_channels_last(&mut self, x: &Out, rank: usize) -> Out {
        self.transpose(x, &channels_last(rank))
    }

    /// The way back.
    pub(super) fn with_channels_first(&mut self, x: &Out, rank: usize) -> Out {
        self.transpose(x, &channels_first(rank))
    }

    /// A tensor under another shape, which is a tensor too.
    pub(super) fn reshape(&mut self, x: &Out, shape: &Out) -> Out {
        self.add(Op::typed("Reshape", &[x, shape]).of("Tshape", shape.dtype), x.dtype)
    }

    /// A tensor under another shape, of which one size may be -1.
    pub(super) fn reshape_to(&mut self, x: &Out, shape: &[i64]) -> Out {
        let shape = self.ints(shape);
        self.reshape(x, &shape)
    }

    /// The sizes `from..to` of a tensor: `i64`.
    pub(super) fn sizes(&mut self, x: &Out, from: usize, to: usize) -> Out {
        let shape = self.add(Op::typed("Shape", &[x]).of("out_type", DType::I64), DType::I64);
        let (from, to, step) = (self.ints(&[from as i64]), self.ints(&[to as i64]), self.ints(&[1]));
        self.strided(&shape, [&from, &to, &step], Masks::default())
    }

    /// `StridedSlice`.
    pub(super) fn strided(&mut self, x: &Out, [from, to, step]: [&Out; 3], masks: Masks) -> Out {
        let op = Op::typed("StridedSlice", &[x, from, to, step])
            .of("Index", from.dtype)
            .int("begin_mask", masks.begin)
            .int("end_mask", masks.end)
            .int("ellipsis_mask", 0)
            .int("new_axis_mask", 0)
            .int("shrink_axis_mask", masks.shrink);
        self.add(op, x.dtype)
    }

    /// Tensors one behind the other along an axis.
    pub(super) fn joined(&mut self, parts: &[Out], axis: i64) -> Out {
        let [first, rest @ ..] = parts else { return self.ints(&[]) };
        if rest.is_empty() {
            return first.clone();
        }
        let axis = self.int(axis);
        let inputs: Vec<&Out> = parts.iter().chain([&axis]).collect();
        let op = Op::typed("ConcatV2", &inputs).int("N", parts.len() as i64).of("Tidx", DType::I32);
        self.add(op, first.dtype)
    }

    /// A reduction over axes.
    pub(super) fn reduced(&mut self, op: &'static str, x: &Out, axes: &[i64], keep: bool) -> Out {
        let axes = self.ints(axes);
        self.add(Op::typed(op, &[x, &axes]).of("Tidx", axes.dtype).flag("keep_dims", keep), x.dtype)
    }

    /// What works on each element alone, in the layout that there is.
    pub(super) fn elementwise(
        &mut self,
        node: &Node,
        compute: impl FnOnce(&mut Self, &Out) -> Result<Out, String>,
    ) -> Lowered {
        let val = operand(node, 0)?;
        if self.is_channels_last(val) {
            let x = self.out_channels_last(val)?;
            return Ok(Made::ChannelsLast(compute(self, &x)?));
        }
        let x = self.out(val)?;
        Ok(compute(self, &x)?.into())
    }
}

/// Bits of `StridedSlice`: axes whose begin or end is not said, and axes that go.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Masks {
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) shrink: i64,
}

/// An input that has to be there.
pub(super) fn operand(node: &Node, index: usize) -> Result<Val, String> {
    node.inputs.get(index).copied().flatten().ok_or_else(|| format!("lacks input {index}"))
}

/// The order of axes that puts channels behind the spatial axes.
pub(super) fn channels_last(rank: usize) -> Vec<usize> {
    std::iter::once(0).chain(2..rank).chain([1]).take(rank).collect()
}

/// The order of axes that puts them back.
pub(super) fn channels_first(rank: usize) -> Vec<usize> {
    [0, rank.saturating_sub(1)].into_iter().chain(1..rank.saturating_sub(1)).take(rank).collect()
}

/// An axis counted from the front.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at).ok().filter(|&at| at < rank).ok_or_else(|| format!("has no axis {axis} among {rank}"))
}

/// An attribute that is a text.
pub(super) fn text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    match node.attribute(name) {
        Some(Attribute::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_axes() {
        assert_eq!((channels_last(4), channels_first(4)), (vec![0, 2, 3, 1], vec![0, 3, 1, 2]));
        assert_eq!((channels_last(3), channels_first(3)), (vec![0, 2, 1], vec![0, 2, 1]));
        assert_eq!(axis_of(-1, 3), Ok(2));
        assert!(axis_of(3, 3).is_err() && axis_of(-4, 3).is_err());
    }
}
