//! Operators that move elements without changing them.

use zoo_graph::graph::Node;
use zoo_tensor::{DType, Dim};

use super::tools::{axis_of, channels_first, channels_last, operand, text};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[
    ("Concat", concat),
    ("ConstantOfShape", constant_of_shape),
    ("DepthToSpace", depth_to_space),
    ("Expand", expand),
    ("Flatten", flatten),
    ("Pad", pad),
    ("Reshape", reshape),
    ("Shape", shape),
    ("Split", split),
    ("Squeeze", squeeze),
    ("Tile", tile),
    ("Transpose", transpose),
    ("Trilu", trilu),
    ("Unsqueeze", unsqueeze),
];

/// One size of a shape that a tensor is to have.
#[derive(Clone, Copy, PartialEq)]
enum Size {
    Known(i64),
    /// That of the input along this axis.
    Of(usize),
    /// What is left.
    Rest,
}

/// ONNX's 0 is the size that the input has there, and -1 what is left. TensorFlow knows the latter only: with one size that is not known
/// it is the rest, with more they are read from the input.
fn reshape(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let x = l.in_at(node, 0)?;
    let Some(target) = l.known_ints(node, 1) else {
        let target = l.in_at(node, 1)?;
        return Ok(l.reshape(&x, &target).into());
    };
    let (from, to) = (l.dims_at(node, 0)?, l.made_dims(node, 0));
    let copies = node.int("allowzero") != Some(1);
    let size = |(axis, &size): (usize, &i64)| match (size, to.get(axis)) {
        (0, _) if copies => match from.get(axis).and_then(Dim::fixed) {
            Some(known) => Size::Known(known as i64),
            None => Size::Of(axis),
        },
        (-1, Some(Dim::Fixed(known))) => Size::Known(*known as i64),
        (-1, _) => Size::Rest,
        (known, _) => Size::Known(known),
    };
    let sizes: Vec<Size> = target.iter().enumerate().map(size).collect();
    Ok(shaped(l, &x, &sizes).into())
}

fn shaped(l: &mut Lowering<'_>, x: &Out, sizes: &[Size]) -> Out {
    let open = sizes.iter().filter(|size| !matches!(size, Size::Known(_))).count();
    if open <= 1 {
        let known = |size: &Size| if let Size::Known(known) = size { *known } else { -1 };
        let known: Vec<i64> = sizes.iter().map(known).collect();
        return l.reshape_to(x, &known);
    }
    let mut parts = Vec::new();
    let mut known = Vec::new();
    for size in sizes {
        match *size {
            Size::Known(size) => known.push(size),
            Size::Rest => known.push(-1),
            Size::Of(axis) => {
                if !known.is_empty() {
                    parts.push(l.wide_ints(&known));
                    known.clear();
                }
                parts.push(l.sizes(x, axis, axis + 1));
            }
        }
    }
    if !known.is_empty() {
        parts.push(l.wide_ints(&known));
    }
    let shape = l.joined(&parts, 0);
    l.reshape(x, &shape)
}

fn flatten(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, dims) = (l.in_at(node, 0)?, l.dims_at(node, 0)?);
    let axis = node.int("axis").unwrap_or(1);
    let axis = if axis == dims.len() as i64 { dims.len() } else { axis_of(axis, dims.len())? };
    let (rows, columns) = dims.split_at(axis);
    let product =
        |dims: &[Dim]| dims.iter().map(|dim| dim.fixed().map(|n| n as i64)).product::<Option<i64>>();
    if let Some(columns) = product(columns) {
        return Ok(l.reshape_to(&x, &[-1, columns]).into());
    }
    if let Some(rows) = product(rows) {
        return Ok(l.reshape_to(&x, &[rows, -1]).into());
    }
    let rows = l.sizes(&x, 0, axis);
    let rows = l.reduced("Prod", &rows, &[0], true);
    let rest = l.wide_ints(&[-1]);
    let shape = l.joined(&[rows, rest], 0);
    Ok(l.reshape(&x, &shape).into())
}

fn squeeze(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let Some(axes) = l.ints_of(node, 1, "axes")? else { return Err("does not say its axes".to_owned()) };
    let mut at = Vec::new();
    for axis in axes {
        at.push(axis_of(axis, rank)? as i64);
    }
    at.sort_unstable();
    Ok(l.add(Op::typed("Squeeze", &[&x]).ints("squeeze_dims", &at), x.dtype).into())
}

fn unsqueeze(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let mut x = l.in_at(node, 0)?;
    let rank = l.made_dims(node, 0).len();
    let Some(axes) = l.ints_of(node, 1, "axes")? else { return Err("does not say its axes".to_owned()) };
    let mut at = Vec::new();
    for axis in axes {
        at.push(axis_of(axis, rank)? as i64);
    }
    at.sort_unstable();
    for axis in at {
        let axis = l.int(axis);
        x = l.add(Op::typed("ExpandDims", &[&x, &axis]).of("Tdim", DType::I32), x.dtype);
    }
    Ok(x.into())
}

/// A transposition to the other layout, where the value is there in it, is none.
fn transpose(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (val, rank) = (operand(node, 0)?, l.dims_at(node, 0)?.len());
    let order: Vec<usize> = match node.ints("perm") {
        Some(perm) => perm.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    if rank > 2 && l.is_channels_last(val) && order == channels_last(rank) {
        return Ok(l.out_channels_last(val)?.into());
    }
    let x = l.out(val)?;
    if rank > 3 && order == channels_first(rank) {
        return Ok(Made::ChannelsLast(x));
    }
    Ok(l.transpose(&x, &order).into())
}

fn concat(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let rank = l.made_dims(node, 0).len();
    let axis = axis_of(node.int("axis").ok_or("does not say its axis")?, rank)?;
    let mut last = Vec::new();
    for index in 0..node.inputs.len() {
        last.push(l.is_channels_last(operand(node, index)?));
    }
    let last = rank > 2 && last.contains(&true);
    let mut parts = Vec::new();
    for index in 0..node.inputs.len() {
        let val = operand(node, index)?;
        parts.push(if last { l.out_channels_last(val)? } else { l.out(val)? });
    }
    if last {
        let axis = channels_last(rank).iter().position(|&own| own == axis).unwrap_or(axis);
        return Ok(Made::ChannelsLast(l.joined(&parts, axis as i64)));
    }
    Ok(l.joined(&parts, axis as i64).into())
}

/// Broadcasting goes both ways in ONNX: a 1 in the shape leaves the size as it is.
fn expand(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let x = l.in_at(node, 0)?;
    let made = l.made_dims(node, 0);
    let fixed: Option<Vec<i64>> = made.iter().map(|dim| dim.fixed().map(|size| size as i64)).collect();
    let shape = if let Some(fixed) = fixed {
        l.ints(&fixed)
    } else {
        let target = l.in_at(node, 1)?;
        let rank = l.dims_at(node, 0)?.len();
        let own = l.sizes(&x, 0, rank);
        l.add(Op::typed("BroadcastArgs", &[&own, &target]), DType::I64)
    };
    Ok(l.add(Op::typed("BroadcastTo", &[&x, &shape]).of("Tidx", shape.dtype), x.dtype).into())
}

fn shape(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let dims = l.dims_at(node, 0)?;
    let rank = dims.len() as i64;
    let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (from, to) = (place(node.int("start").unwrap_or(0)), place(node.int("end").unwrap_or(rank)));
    let asked = dims.get(from..to).unwrap_or_default();
    let fixed: Option<Vec<i64>> = asked.iter().map(|dim| dim.fixed().map(|size| size as i64)).collect();
    if let Some(fixed) = fixed {
        return Ok(l.wide_ints(&fixed).into());
    }
    let val = operand(node, 0)?;
    // In the other layout the sizes are the same, elsewhere.
    if l.is_channels_last(val) {
        let x = l.out_channels_last(val)?;
        let order = channels_first(dims.len());
        let parts: Vec<Out> =
            order.get(from..to).unwrap_or_default().iter().map(|&axis| l.sizes(&x, axis, axis + 1)).collect();
        return Ok(l.joined(&parts, 0).into());
    }
    let x = l.out(val)?;
    Ok(l.sizes(&x, from, to).into())
}

fn split(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, dims) = (l.in_at(node, 0)?, l.dims_at(node, 0)?);
    let axis = axis_of(node.int("axis").unwrap_or(0), dims.len())?;
    let size = |index| l.made_dims(node, index).get(axis).and_then(Dim::fixed).map(|size| size as i64);
    let sizes: Option<Vec<i64>> = (0..node.outputs.len()).map(size).collect();
    let sizes = sizes.ok_or("has parts of a size that is not known")?;
    let (sizes, axis) = (l.ints(&sizes), l.int(axis as i64));
    let op = Op::typed("SplitV", &[&x, &sizes, &axis])
        .int("num_split", node.outputs.len() as i64)
        .of("Tlen", sizes.dtype);
    Ok(Made::Plain(l.add_several(op, &vec![x.dtype; node.outputs.len()])))
}

fn tile(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, times) = (l.in_at(node, 0)?, l.in_at(node, 1)?);
    Ok(l.add(Op::typed("Tile", &[&x, &times]).of("Tmultiples", times.dtype), x.dtype).into())
}

/// Only zeros are asked for without a value, which the graph's attributes cannot hold.
fn constant_of_shape(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (sizes, dtype) = (l.in_at(node, 0)?, l.made_dtype(node));
    if !node.attributes.is_empty() {
        return Err("has a value of its own".to_owned());
    }
    let zero = l.scalar(0.0, dtype)?;
    Ok(l.add(Op::new("Fill", &[&sizes, &zero]).of("T", dtype).of("index_type", sizes.dtype), dtype).into())
}

fn pad(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, rank) = (l.in_at(node, 0)?, l.dims_at(node, 0)?.len());
    let pads = l.ints_of(node, 1, "pads")?.ok_or("does not say how much")?;
    let axes: Vec<i64> = match node.inputs.get(3).copied().flatten() {
        Some(_) => l.known_ints(node, 3).ok_or("has computed axes")?,
        None => (0..rank as i64).collect(),
    };
    let (before, after) = pads.split_at_checked(axes.len()).ok_or("has too few numbers")?;
    if before.iter().chain(after).any(|&pad| pad < 0) {
        return Err("cuts off instead of padding".to_owned());
    }
    let mut all = vec![0; 2 * rank];
    for ((&axis, &before), &after) in axes.iter().zip(before).zip(after) {
        let at = 2 * axis_of(axis, rank)?;
        for (place, value) in all.iter_mut().skip(at).zip([before, after]) {
            *place = value;
        }
    }
    let value = l.in_if(node, 2)?;
    padded(l, &x, &all, text(node, "mode").unwrap_or("constant"), value.as_ref())
}

/// `pads` has two numbers for each axis.
fn padded(l: &mut Lowering<'_>, x: &Out, pads: &[i64], mode: &str, value: Option<&Out>) -> Lowered {
    let paddings = l.paddings(pads);
    let op = match (mode, value) {
        ("constant", Some(value)) => Op::typed("PadV2", &[x, &paddings, value]),
        ("constant", None) => Op::typed("Pad", &[x, &paddings]),
        ("reflect", _) => Op::typed("MirrorPad", &[x, &paddings]).text("mode", "REFLECT"),
        (other, _) => return Err(format!("has the mode {other}")),
    };
    Ok(l.add(op.of("Tpaddings", DType::I32), x.dtype).into())
}

/// What is above or below a diagonal.
fn trilu(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, upper) = (l.in_at(node, 0)?, node.int("upper").unwrap_or(1) == 1);
    let diagonal = match node.inputs.get(1).copied().flatten() {
        Some(_) => l.known_ints(node, 1).and_then(|k| k.first().copied()).ok_or("has a computed diagonal")?,
        None => 0,
    };
    let (lower_count, upper_count) = if upper { (-diagonal, -1) } else { (-1, diagonal) };
    if if upper { lower_count < 0 } else { upper_count < 0 } {
        return Err("begins beside the diagonal".to_owned());
    }
    let (below, above) = (l.wide_ints(&[lower_count]), l.wide_ints(&[upper_count]));
    let below = l.add(Op::typed("Squeeze", &[&below]).ints("squeeze_dims", &[0]), DType::I64);
    let above = l.add(Op::typed("Squeeze", &[&above]).ints("squeeze_dims", &[0]), DType::I64);
    let op = Op::typed("MatrixBandPart", &[&x, &below, &above]).of("Tindex", DType::I64);
    Ok(l.add(op, x.dtype).into())
}

/// `DCR` is TensorFlow's order of channels.
fn depth_to_space(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if text(node, "mode").unwrap_or("DCR") != "DCR" {
        return columns_to_space(l, node);
    }
    let val = operand(node, 0)?;
    let x = l.out_channels_last(val)?;
    let block = node.int("blocksize").ok_or("does not say its size")?;
    let op = Op::typed("DepthToSpace", &[&x]).int("block_size", block).text("data_format", "NHWC");
    Ok(Made::ChannelsLast(l.add(op, x.dtype)))
}

/// `CRD`, PyTorch's pixel shuffle: channels are put into TensorFlow's order first.
fn columns_to_space(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let val = operand(node, 0)?;
    let block = node.int("blocksize").ok_or("does not say its size")?;
    let x = l.out_channels_last(val)?;
    let channels =
        l.dims_at(node, 0)?.get(1).and_then(Dim::fixed).ok_or("has an unknown number of channels")? as i64;
    let area = block.checked_mul(block).filter(|area| *area > 0).ok_or("has a size that cannot be")?;
    let out = channels / area;
    let order: Vec<i64> = (0..channels).map(|at| (at % out) * area + at / out).collect();
    let order = l.ints(&order);
    let axis = l.int(3);
    let gather = Op::new("GatherV2", &[&x, &order, &axis])
        .of("Tparams", x.dtype)
        .of("Tindices", order.dtype)
        .of("Taxis", DType::I32)
        .int("batch_dims", 0);
    let x = l.add(gather, x.dtype);
    let op = Op::typed("DepthToSpace", &[&x]).int("block_size", block).text("data_format", "NHWC");
    Ok(Made::ChannelsLast(l.add(op, x.dtype)))
}

impl Lowering<'_> {
    /// Two numbers for each axis as a matrix of `i32`.
    pub(super) fn paddings(&mut self, pads: &[i64]) -> Out {
        let narrow: Vec<i32> = pads.iter().map(|&pad| i32::try_from(pad).unwrap_or(i32::MAX)).collect();
        let tensor = zoo_tensor::Tensor::from_slice([pads.len() / 2, 2], &narrow)
            .unwrap_or_else(|_| unreachable!("there are two numbers for each axis"));
        self.constant(&tensor)
    }
}
