//! Matrix products.

use zoo_graph::graph::Node;

use super::{Lower, Lowered, Lowering};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[("Einsum", einsum), ("Gemm", gemm), ("MatMul", matmul)];

/// `alpha A' B' + beta C`; the transpositions are attributes on both sides.
fn gemm(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (a, b) = (l.in_at(node, 0)?, l.in_at(node, 1)?);
    let (turn_a, turn_b) = (node.int("transA") == Some(1), node.int("transB") == Some(1));
    let mut y = product(l, &a, &b, turn_a, turn_b);
    let alpha = node.float("alpha").unwrap_or(1.0);
    if alpha.to_bits() != 1.0_f32.to_bits() {
        y = l.with("Mul", &y, f64::from(alpha))?;
    }
    let Some(mut c) = l.in_if(node, 2)? else { return Ok(y.into()) };
    let beta = node.float("beta").unwrap_or(1.0);
    if beta.to_bits() != 1.0_f32.to_bits() {
        c = l.with("Mul", &c, f64::from(beta))?;
    }
    if l.dims_at(node, 2)?.len() == 1 && l.dims_at(node, 2)?.last() == l.made_dims(node, 0).last() {
        return Ok(l.add(Op::typed("BiasAdd", &[&y, &c]).text("data_format", "NHWC"), y.dtype).into());
    }
    Ok(l.binary("AddV2", &y, &c).into())
}

/// The product of two matrices.
fn product(l: &mut Lowering<'_>, a: &Out, b: &Out, turn_a: bool, turn_b: bool) -> Out {
    let op = Op::typed("MatMul", &[a, b]).flag("transpose_a", turn_a).flag("transpose_b", turn_b);
    l.add(op, a.dtype)
}

/// Of matrices or stacks of them, whose leading axes broadcast.
fn matmul(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (ranks, a, b) =
        ([l.dims_at(node, 0)?.len(), l.dims_at(node, 1)?.len()], l.in_at(node, 0)?, l.in_at(node, 1)?);
    if ranks == [2, 2] {
        return Ok(product(l, &a, &b, false, false).into());
    }
    if ranks.iter().any(|&rank| rank < 2) {
        return Err("multiplies a vector".to_owned());
    }
    let op = Op::typed("BatchMatMulV2", &[&a, &b]).flag("adj_x", false).flag("adj_y", false);
    Ok(l.add(op, a.dtype).into())
}

/// The equations are written alike.
fn einsum(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let equation = super::tools::text(node, "equation").ok_or("lacks its equation")?.to_owned();
    let mut inputs = Vec::new();
    for index in 0..node.inputs.len() {
        inputs.push(l.in_at(node, index)?);
    }
    let count = inputs.len() as i64;
    let op =
        Op::typed("Einsum", &inputs.iter().collect::<Vec<_>>()).int("N", count).text("equation", &equation);
    Ok(l.add(op, l.made_dtype(node)).into())
}
