//! Taking and placing elements by indices.
//!
//! A negative index counts from the end in ONNX and is an error in TensorFlow. Where indices are constants they are turned; computed
//! ones (tokens, positions) are not negative, and TensorFlow ends with an error where one is.

use zoo_graph::graph::Node;
use zoo_tensor::{DType, Dim};

use super::tools::{Masks, axis_of};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[
    ("ArgMax", arg_max),
    ("ArgMin", arg_max),
    ("CumSum", cumulative_sum),
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("OneHot", one_hot),
    ("Range", range),
    ("ScatterND", scatter_nd),
    ("TopK", top_k),
];

fn gather(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, dims) = (l.in_at(node, 0)?, l.dims_at(node, 0)?);
    let axis = axis_of(node.int("axis").unwrap_or(0), dims.len())?;
    let indices = match l.known_ints(node, 1) {
        Some(known) if l.dims_at(node, 1)?.is_empty() => {
            let index = known.first().copied().ok_or("has no index")?;
            return Ok(picked(l, &x, axis, index).into());
        }
        Some(known) if known.iter().any(|&index| index < 0) => {
            let shape: Vec<usize> = l.dims_at(node, 1)?.iter().filter_map(Dim::fixed).collect();
            forward(l, &x, axis, dims.get(axis).and_then(Dim::fixed), &known, &shape)
        }
        _ => l.in_at(node, 1)?,
    };
    Ok(taken(l, &x, &indices, axis, 0).into())
}

/// One element along an axis, which goes.
fn picked(l: &mut Lowering<'_>, x: &Out, axis: usize, index: i64) -> Out {
    let mut from = vec![0; axis];
    let mut to = from.clone();
    from.push(index);
    to.push(index.wrapping_add(1));
    let ones = vec![1; axis + 1];
    let (from, to, step) = (l.ints(&from), l.ints(&to), l.ints(&ones));
    let whole = (1 << axis) - 1;
    l.strided(x, [&from, &to, &step], Masks { begin: whole, end: whole, shrink: 1 << axis })
}

/// Constant indices, of which some count from the end, counted from the front.
fn forward(
    l: &mut Lowering<'_>,
    x: &Out,
    axis: usize,
    size: Option<usize>,
    known: &[i64],
    shape: &[usize],
) -> Out {
    let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    let flat = if let Some(size) = size {
        let forward: Vec<i64> = known.iter().map(|&at| if at < 0 { at + size as i64 } else { at }).collect();
        l.wide_ints(&forward)
    } else {
        let from_end: Vec<i64> = known.iter().map(|&index| i64::from(index < 0)).collect();
        let (known, from_end) = (l.wide_ints(known), l.wide_ints(&from_end));
        let size = l.sizes(x, axis, axis + 1);
        let moved = l.binary("Mul", &from_end, &size);
        l.binary("AddV2", &known, &moved)
    };
    l.reshape_to(&flat, &shape)
}

fn taken(l: &mut Lowering<'_>, x: &Out, indices: &Out, axis: usize, batch_dims: i64) -> Out {
    let axis = l.int(axis as i64);
    let op = Op::new("GatherV2", &[x, indices, &axis])
        .of("Tparams", x.dtype)
        .of("Tindices", indices.dtype)
        .of("Taxis", DType::I32)
        .int("batch_dims", batch_dims);
    l.add(op, x.dtype)
}

/// With the axis behind all others, which are then the axes of a batch.
fn gather_elements(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, indices) = (l.in_at(node, 0)?, l.in_at(node, 1)?);
    let (dims, index_dims) = (l.dims_at(node, 0)?, l.dims_at(node, 1)?);
    let rank = dims.len();
    let axis = axis_of(node.int("axis").unwrap_or(0), rank)?;
    let alike = |at: usize| at == axis || dims.get(at) == index_dims.get(at);
    if !(0..rank).all(alike) {
        return Err("takes fewer elements along another axis".to_owned());
    }
    if l.known_ints(node, 1).is_some_and(|known| known.iter().any(|&index| index < 0)) {
        return Err("counts from the end".to_owned());
    }
    let order: Vec<usize> = (0..rank).filter(|&at| at != axis).chain([axis]).collect();
    let back: Vec<usize> =
        (0..rank).map(|at| order.iter().position(|&own| own == at).unwrap_or(at)).collect();
    let (x, indices) = (l.transpose(&x, &order), l.transpose(&indices, &order));
    let y = taken(l, &x, &indices, rank - 1, rank as i64 - 1);
    Ok(l.transpose(&y, &back).into())
}

/// With axes of a batch, only one index for each.
fn gather_nd(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, indices) = (l.in_at(node, 0)?, l.in_at(node, 1)?);
    let batch = node.int("batch_dims").unwrap_or(0);
    if batch == 0 {
        let op = Op::new("GatherNd", &[&x, &indices]).of("Tparams", x.dtype).of("Tindices", indices.dtype);
        return Ok(l.add(op, x.dtype).into());
    }
    let dims = l.dims_at(node, 1)?;
    if dims.last() != Some(&Dim::Fixed(1)) || batch < 0 || batch >= dims.len() as i64 {
        return Err("has several indices for each element of a batch".to_owned());
    }
    let last = dims.len() as i64 - 1;
    let indices = l.add(Op::typed("Squeeze", &[&indices]).ints("squeeze_dims", &[last]), indices.dtype);
    Ok(taken(l, &x, &indices, batch as usize, batch).into())
}

fn scatter_nd(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, indices, updates) = (l.in_at(node, 0)?, l.in_at(node, 1)?, l.in_at(node, 2)?);
    let name = match super::tools::text(node, "reduction").unwrap_or("none") {
        "none" => "TensorScatterUpdate",
        "add" => "TensorScatterAdd",
        "max" => "TensorScatterMax",
        "min" => "TensorScatterMin",
        other => return Err(format!("reduces by {other}")),
    };
    Ok(l.add(Op::typed(name, &[&x, &indices, &updates]).of("Tindices", indices.dtype), x.dtype).into())
}

fn arg_max(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    if node.int("select_last_index") == Some(1) {
        return Err("takes the last of equal ones".to_owned());
    }
    let at = axis_of(node.int("axis").unwrap_or(0), rank)?;
    let axis = l.int(at as i64);
    let name = if node.op == "ArgMin" { "ArgMin" } else { "ArgMax" };
    let op = Op::typed(name, &[&x, &axis]).of("Tidx", DType::I32).of("output_type", DType::I64);
    let y = l.add(op, DType::I64);
    if node.int("keepdims") == Some(0) {
        return Ok(y.into());
    }
    Ok(l.add(Op::typed("ExpandDims", &[&y, &axis]).of("Tdim", DType::I32), DType::I64).into())
}

fn cumulative_sum(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, axis) = (l.in_at(node, 0)?, l.in_at(node, 1)?);
    let flag = |name| node.int(name) == Some(1);
    let op = Op::typed("Cumsum", &[&x, &axis])
        .of("Tidx", axis.dtype)
        .flag("exclusive", flag("exclusive"))
        .flag("reverse", flag("reverse"));
    Ok(l.add(op, x.dtype).into())
}

fn range(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (from, to, step) = (l.in_at(node, 0)?, l.in_at(node, 1)?, l.in_at(node, 2)?);
    Ok(l.add(Op::new("Range", &[&from, &to, &step]).of("Tidx", from.dtype), from.dtype).into())
}

/// The largest ones along the last axis.
fn top_k(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    if axis_of(node.int("axis").unwrap_or(-1), rank)? + 1 != rank || node.int("largest") == Some(0) {
        return Err("does not take the largest along the last axis".to_owned());
    }
    let count = match l.known_ints(node, 1).as_deref() {
        Some([count]) => l.int(*count),
        _ => {
            let count = l.in_at(node, 1)?;
            let count = l.cast(&count, DType::I32);
            l.add(Op::typed("Squeeze", &[&count]).ints("squeeze_dims", &[0]), DType::I32)
        }
    };
    let op = Op::typed("TopKV2", &[&x, &count])
        .flag("sorted", true)
        .of("Tk", DType::I32)
        .of("index_type", DType::I32);
    let [values, at] =
        <[Out; 2]>::try_from(l.add_several(op, &[x.dtype, DType::I32])).map_err(|_| "has two outputs")?;
    let at = l.cast(&at, DType::I64);
    Ok(Made::Plain(vec![values, at]))
}

/// `values` are what stands for no and for yes.
fn one_hot(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (indices, values) = (l.in_at(node, 0)?, l.in_at(node, 2)?);
    let depth = match l.known_ints(node, 1).as_deref() {
        Some([depth]) => l.int(*depth),
        _ => return Err("has a computed depth".to_owned()),
    };
    let (no, yes) = (picked(l, &values, 0, 0), picked(l, &values, 0, 1));
    let op = Op::new("OneHot", &[&indices, &depth, &yes, &no])
        .of("T", values.dtype)
        .of("TI", indices.dtype)
        .int("axis", node.int("axis").unwrap_or(-1));
    Ok(l.add(op, values.dtype).into())
}
