//! Resizing of images.

use zoo_graph::graph::Node;
use zoo_tensor::DType;

use super::tools::{operand, text};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::Op;

pub(super) const OPERATORS: &[(&str, Lower)] = &[("Resize", resize)];

/// Of two spatial axes, to sizes; nearest as PyTorch takes it, and linear.
fn resize(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if l.dims_at(node, 0)?.len() != 4 {
        return Err("has not two spatial axes".to_owned());
    }
    let mode = text(node, "mode").unwrap_or("nearest");
    let places = text(node, "coordinate_transformation_mode").unwrap_or("half_pixel");
    let rounding = text(node, "nearest_mode").unwrap_or("round_prefer_floor");
    let (name, aligned, halves) = match (mode, places, rounding) {
        ("linear", "half_pixel", _) => ("ResizeBilinear", false, true),
        ("linear", "align_corners", _) => ("ResizeBilinear", true, false),
        ("linear", "asymmetric", _) => ("ResizeBilinear", false, false),
        ("nearest", "asymmetric", "floor") => ("ResizeNearestNeighbor", false, false),
        _ => return Err(format!("has the mode {mode} with {places} and {rounding}")),
    };
    if node.int("antialias") == Some(1) || node.attribute("axes").is_some() {
        return Err("is antialiased, or of some axes only".to_owned());
    }
    if node.inputs.get(3).copied().flatten().is_none() {
        return Err("has a scale instead of a size".to_owned());
    }
    let size = match l.known_ints(node, 3).as_deref() {
        Some([_, _, height, width]) => l.ints(&[*height, *width]),
        _ => {
            let all = l.in_at(node, 3)?;
            let (from, to, step) = (l.ints(&[2]), l.ints(&[4]), l.ints(&[1]));
            let size = l.strided(&all, [&from, &to, &step], super::tools::Masks::default());
            l.cast(&size, DType::I32)
        }
    };
    let val = operand(node, 0)?;
    let x = l.out_channels_last(val)?;
    if name == "ResizeBilinear" && x.dtype != DType::F32 {
        return Err(format!("is of {}", x.dtype));
    }
    let op = Op::typed(name, &[&x, &size]).flag("align_corners", aligned).flag("half_pixel_centers", halves);
    Ok(Made::ChannelsLast(l.add(op, x.dtype)))
}
