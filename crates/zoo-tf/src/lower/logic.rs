//! Comparisons, and what is done with their results.

use zoo_graph::graph::Node;
use zoo_tensor::DType;

use super::pointwise::in_common_layout;
use super::{Lower, Lowered, Lowering};
use crate::nodes::Op;

pub(super) const OPERATORS: &[(&str, Lower)] = &[
    ("Equal", equal),
    ("Greater", compare),
    ("GreaterOrEqual", compare),
    ("Less", compare),
    ("LessOrEqual", compare),
    ("And", both),
    ("Or", both),
    ("Xor", differ),
    ("Not", not),
    ("IsNaN", is_nan),
    ("Where", select),
];

const NAMES: &[(&str, &str)] = &[
    ("Greater", "Greater"),
    ("GreaterOrEqual", "GreaterEqual"),
    ("Less", "Less"),
    ("LessOrEqual", "LessEqual"),
    ("And", "LogicalAnd"),
    ("Or", "LogicalOr"),
];

fn name_of(op: &str) -> Result<&'static str, String> {
    let name = NAMES.iter().find(|(own, _)| *own == op).map(|(_, name)| *name);
    name.ok_or_else(|| "has no counterpart".to_owned())
}

fn equal(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    in_common_layout(l, node, |l, a, b| {
        Ok(l.add(Op::typed("Equal", &[a, b]).flag("incompatible_shape_error", true), DType::Bool))
    })
}

/// Truth values differ where they are not equal.
fn differ(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    in_common_layout(l, node, |l, a, b| {
        Ok(l.add(Op::typed("NotEqual", &[a, b]).flag("incompatible_shape_error", true), DType::Bool))
    })
}

fn compare(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = name_of(&node.op)?;
    in_common_layout(l, node, |l, a, b| Ok(l.add(Op::typed(name, &[a, b]), DType::Bool)))
}

fn both(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = name_of(&node.op)?;
    in_common_layout(l, node, |l, a, b| Ok(l.add(Op::new(name, &[a, b]), DType::Bool)))
}

fn not(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    l.elementwise(node, |l, x| Ok(l.add(Op::new("LogicalNot", &[x]), DType::Bool)))
}

fn is_nan(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    l.elementwise(node, |l, x| Ok(l.add(Op::typed("IsNan", &[x]), DType::Bool)))
}

fn select(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (condition, a, b) = (l.in_at(node, 0)?, l.in_at(node, 1)?, l.in_at(node, 2)?);
    Ok(l.add(Op::new("SelectV2", &[&condition, &a, &b]).of("T", a.dtype), a.dtype).into())
}
