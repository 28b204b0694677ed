//! Convolutions.
//!
//! TensorFlow takes `[batch, spatial…, in]` and kernels `[spatial…, in, out]`; on a CPU nothing else. One spatial axis is two, of which the
//! first has size 1. A convolution with one group for each channel has an operator of its own.

use zoo_graph::graph::Node;
use zoo_tensor::{DType, Dim};

use super::tools::{operand, text};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[("Conv", conv), ("ConvTranspose", conv_transpose)];

/// A sliding window, number by number.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) kernel: Vec<i64>,
    pub(super) strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
    pub(super) before: Vec<i64>,
    pub(super) after: Vec<i64>,
}

impl Window {
    pub(super) fn of(node: &Node, kernel: Vec<i64>) -> Result<Self, String> {
        if !matches!(text(node, "auto_pad"), None | Some("NOTSET")) {
            return Err("pads by itself".to_owned());
        }
        let rank = kernel.len();
        let list = |name: &str, length: usize, usual: i64| match node.ints(name) {
            Some(ints) if ints.len() == length && ints.iter().all(|&int| int >= usual) => Ok(ints.to_vec()),
            Some(_) => Err(format!("has {name} that cannot be")),
            None => Ok(vec![usual; length]),
        };
        let pads = list("pads", 2 * rank, 0)?;
        let (before, after) = pads.split_at(rank);
        Ok(Self {
            strides: list("strides", rank, 1)?,
            dilations: list("dilations", rank, 1)?,
            before: before.to_vec(),
            after: after.to_vec(),
            kernel,
        })
    }

    /// Two spatial axes instead of one.
    fn two_of_one(&mut self) {
        for (list, usual) in [
            (&mut self.kernel, 1),
            (&mut self.strides, 1),
            (&mut self.dilations, 1),
            (&mut self.before, 0),
            (&mut self.after, 0),
        ] {
            list.insert(0, usual);
        }
    }

    pub(super) fn is_padded(&self) -> bool {
        self.before.iter().chain(&self.after).any(|&pad| pad != 0)
    }

    /// Before and after, for each axis of `[batch, spatial…, channels]`.
    pub(super) fn paddings(&self) -> Vec<i64> {
        let spatial = self.before.iter().zip(&self.after).flat_map(|(&before, &after)| [before, after]);
        [0, 0].into_iter().chain(spatial).chain([0, 0]).collect()
    }
}

/// For each axis of `[batch, spatial…, channels]`.
pub(super) fn with_ends(spatial: &[i64]) -> Vec<i64> {
    std::iter::once(1).chain(spatial.iter().copied()).chain([1]).collect()
}

fn sizes(dims: &[Dim]) -> Result<Vec<i64>, String> {
    let known: Option<Vec<i64>> = dims.iter().map(|dim| dim.fixed().map(|size| size as i64)).collect();
    known.ok_or_else(|| "has a kernel of unknown size".to_owned())
}

fn conv(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (val, rank) = (operand(node, 0)?, l.dims_at(node, 0)?.len());
    let kernel = sizes(&l.dims_at(node, 1)?)?;
    let [_, per_group, spatial @ ..] = kernel.as_slice() else { return Err("has no kernel".to_owned()) };
    let groups = node.int("group").unwrap_or(1);
    let mut window = Window::of(node, spatial.to_vec())?;
    let x = l.out_channels_last(val)?;
    let y = match rank {
        3 => {
            window.two_of_one();
            let axis = l.int(1);
            let x = l.add(Op::typed("ExpandDims", &[&x, &axis]).of("Tdim", DType::I32), x.dtype);
            let y = planar(l, node, &x, &window, groups, *per_group, 1)?;
            l.add(Op::typed("Squeeze", &[&y]).ints("squeeze_dims", &[1]), y.dtype)
        }
        4 => planar(l, node, &x, &window, groups, *per_group, 2)?,
        5 if groups == 1 => spatial_three(l, node, &x, &window)?,
        _ => return Err(format!("has {} spatial axes in {groups} groups", rank - 2)),
    };
    let y = match l.in_if(node, 2)? {
        Some(bias) => l.add(Op::typed("BiasAdd", &[&y, &bias]).text("data_format", "NHWC"), y.dtype),
        None => y,
    };
    Ok(Made::ChannelsLast(y))
}

/// Over two axes; the kernel itself may have one.
fn planar(
    l: &mut Lowering<'_>,
    node: &Node,
    x: &Out,
    window: &Window,
    groups: i64,
    per_group: i64,
    axes: usize,
) -> Result<Out, String> {
    let weight = operand(node, 1)?;
    let kernel = |l: &mut Lowering<'_>, order: &[usize]| -> Result<Out, String> {
        let kernel = l.weight_permuted(weight, order)?;
        if axes == 2 {
            return Ok(kernel);
        }
        let axis = l.int(0);
        Ok(l.add(Op::typed("ExpandDims", &[&kernel, &axis]).of("Tdim", DType::I32), kernel.dtype))
    };
    // Explicit padding is an attribute, too, which older importers do not know, and with which TensorFlow 2.21 ends the process when it
    // fuses a depthwise convolution. A `Pad` in front is fused as well.
    let x = l.zero_padded(x, window);
    let even =
        matches!(window.strides.as_slice(), [a, b] if a == b) && window.dilations.iter().all(|&d| d == 1);
    // The kernel [out, 1, …] of one group for each channel, as [spatial…, channels, outputs of a channel].
    let (name, kernel) = if groups > 1 && per_group == 1 && even {
        let kernel = kernel(l, if axes == 2 { &[2, 3, 1, 0] } else { &[2, 1, 0] })?;
        let [height, width] = window.kernel.as_slice() else { return Err("has no two axes".to_owned()) };
        ("DepthwiseConv2dNative", l.reshape_to(&kernel, &[*height, *width, groups, -1]))
    } else {
        ("Conv2D", kernel(l, if axes == 2 { &[2, 3, 1, 0] } else { &[2, 1, 0] })?)
    };
    let op = Op::typed(name, &[&x, &kernel])
        .ints("strides", &with_ends(&window.strides))
        .ints("dilations", &with_ends(&window.dilations))
        .ints("explicit_paddings", &[])
        .text("padding", "VALID")
        .text("data_format", "NHWC");
    Ok(l.add(op, x.dtype))
}

/// Over three axes, padded before.
fn spatial_three(l: &mut Lowering<'_>, node: &Node, x: &Out, window: &Window) -> Result<Out, String> {
    if window.dilations.iter().any(|&dilation| dilation != 1) {
        return Err("is dilated along three axes".to_owned());
    }
    let weight = operand(node, 1)?;
    let kernel = l.weight_permuted(weight, &[2, 3, 4, 1, 0])?;
    let x = l.zero_padded(x, window);
    let op = Op::typed("Conv3D", &[&x, &kernel])
        .ints("strides", &with_ends(&window.strides))
        .ints("dilations", &with_ends(&window.dilations))
        .text("padding", "VALID")
        .text("data_format", "NDHWC");
    Ok(l.add(op, x.dtype))
}

/// The gradient of a convolution with respect to its input, without padding, of which the edges are then cut off.
fn conv_transpose(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (val, rank) = (operand(node, 0)?, l.dims_at(node, 0)?.len());
    let kernel = sizes(&l.dims_at(node, 1)?)?;
    let [_, out, spatial @ ..] = kernel.as_slice() else { return Err("has no kernel".to_owned()) };
    let mut window = Window::of(node, spatial.to_vec())?;
    let mut extra = node.ints("output_padding").map_or_else(|| vec![0; spatial.len()], <[i64]>::to_vec);
    if node.int("group").unwrap_or(1) != 1 || node.ints("output_shape").is_some() || !matches!(rank, 3 | 4) {
        return Err("has groups, a given size, or three spatial axes".to_owned());
    }
    if window.dilations.iter().any(|&dilation| dilation != 1) {
        return Err("is dilated".to_owned());
    }
    let mut x = l.out_channels_last(val)?;
    // [in, out, spatial…] to [spatial…, out, in].
    let weight = operand(node, 1)?;
    let mut kernel = l.weight_permuted(weight, if rank == 4 { &[2, 3, 1, 0] } else { &[2, 1, 0] })?;
    if rank == 3 {
        window.two_of_one();
        extra.insert(0, 0);
        let (one, zero) = (l.int(1), l.int(0));
        x = l.add(Op::typed("ExpandDims", &[&x, &one]).of("Tdim", DType::I32), x.dtype);
        kernel = l.add(Op::typed("ExpandDims", &[&kernel, &zero]).of("Tdim", DType::I32), kernel.dtype);
    }
    // The whole: (size - 1) stride + kernel, and what is added behind it.
    let own = l.sizes(&x, 1, 3);
    let own = l.cast(&own, DType::I32);
    let strides = l.ints(&window.strides);
    let scaled = l.binary("Mul", &own, &strides);
    let more: Vec<i64> =
        window.kernel.iter().zip(&window.strides).map(|(kernel, stride)| kernel - stride).collect();
    let more: Vec<i64> = more.iter().map(|&more| more.max(0)).collect();
    let more = l.ints(&more);
    let whole = l.binary("AddV2", &scaled, &more);
    let (batch, channels) = (l.sizes(&x, 0, 1), l.ints(&[*out]));
    let batch = l.cast(&batch, DType::I32);
    let size = l.joined(&[batch, whole, channels], 0);
    let op = Op::new("Conv2DBackpropInput", &[&size, &kernel, &x])
        .of("T", x.dtype)
        .ints("strides", &with_ends(&window.strides))
        .ints("dilations", &with_ends(&window.dilations))
        .ints("explicit_paddings", &[])
        .flag("use_cudnn_on_gpu", true)
        .text("padding", "VALID")
        .text("data_format", "NHWC");
    let mut y = l.add(op, x.dtype);
    // (size - 1) stride + kernel is shorter than size * stride where the kernel is shorter than the stride; the rest is zeros, and what
    // `output_padding` asks for beyond is padded.
    let spare = |(kernel, stride): (&i64, &i64)| (stride - kernel).max(0);
    let spare: Vec<i64> = window.kernel.iter().zip(&window.strides).map(spare).collect();
    let cut: Vec<i64> = window
        .after
        .iter()
        .zip(&extra)
        .zip(&spare)
        .map(|((after, extra), spare)| after + spare - extra)
        .collect();
    if cut.iter().any(|&cut| cut < 0) {
        let behind: Vec<i64> = cut.iter().map(|&cut| (-cut).max(0)).collect();
        let pads = Window { before: vec![0; 2], after: behind, ..window.clone() };
        y = l.zero_padded(&y, &pads);
    }
    let from: Vec<i64> = [0].into_iter().chain(window.before.iter().copied()).collect();
    let to: Vec<i64> = [0].into_iter().chain(cut.iter().map(|&cut| -cut.max(0))).collect();
    if from.iter().chain(&to).any(|&edge| edge != 0) {
        // An axis of which nothing is cut at its end has its end there.
        let open = to.iter().enumerate().filter(|(_, to)| **to == 0).map(|(axis, _)| 1_i64 << axis).sum();
        let (from, to, step) = (l.ints(&from), l.ints(&to), l.ints(&[1, 1, 1]));
        let masks = super::tools::Masks { begin: 1, end: open, shrink: 0 };
        y = l.strided(&y, [&from, &to, &step], masks);
    }
    if rank == 3 {
        y = l.add(Op::typed("Squeeze", &[&y]).ints("squeeze_dims", &[1]), y.dtype);
    }
    if let Some(bias) = l.in_if(node, 2)? {
        y = l.add(Op::typed("BiasAdd", &[&y, &bias]).text("data_format", "NHWC"), y.dtype);
    }
    Ok(Made::ChannelsLast(y))
}

impl Lowering<'_> {
    /// `[batch, spatial…, channels]` with zeros around the spatial axes.
    pub(super) fn zero_padded(&mut self, x: &Out, window: &Window) -> Out {
        if !window.is_padded() {
            return x.clone();
        }
        let paddings = self.paddings(&window.paddings());
        self.add(Op::typed("Pad", &[x, &paddings]).of("Tpaddings", DType::I32), x.dtype)
    }
}
