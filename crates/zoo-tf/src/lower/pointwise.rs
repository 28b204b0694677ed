//! Operators on each element alone, and on pairs of elements.

use zoo_graph::graph::Node;

use super::tools::{operand, text};
use super::{Lower, Lowered, Lowering, Made};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[
    ("Abs", same),
    ("Acos", same),
    ("Asin", same),
    ("Atan", same),
    ("Ceil", same),
    ("Cos", same),
    ("Cosh", same),
    ("Elu", elu),
    ("Erf", same),
    ("Exp", same),
    ("Floor", same),
    ("Identity", same),
    ("Log", same),
    ("Neg", same),
    ("Reciprocal", same),
    ("Relu", same),
    ("Round", same),
    ("Selu", selu),
    ("Sigmoid", same),
    ("Sign", same),
    ("Sin", same),
    ("Sinh", same),
    ("Softplus", same),
    ("Softsign", same),
    ("Sqrt", same),
    ("Tan", same),
    ("Tanh", same),
    ("Cast", cast),
    ("Clip", clip),
    ("Gelu", gelu),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", hard_swish),
    ("LeakyRelu", leaky_relu),
    ("Mish", mish),
    ("Swish", swish),
    ("Add", pair),
    ("Sub", pair),
    ("Mul", pair),
    ("Div", divide),
    ("Mod", modulo),
    ("Pow", power),
    ("PRelu", parametric_relu),
    ("Max", fold),
    ("Min", fold),
    ("Sum", fold),
];

/// Operators that have another name in TensorFlow.
const NAMES: &[(&str, &str)] = &[("Add", "AddV2"), ("Max", "Maximum"), ("Min", "Minimum"), ("Sum", "AddV2")];

/// TensorFlow's name of an operator that means the same.
fn name_of(op: &str) -> Result<&'static str, String> {
    let renamed = NAMES.iter().find(|(own, _)| *own == op).map(|(_, name)| *name);
    let same = || OPERATORS.iter().find(|(own, _)| *own == op).map(|(name, _)| *name);
    renamed.or_else(same).ok_or_else(|| "has no counterpart".to_owned())
}

fn same(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = name_of(&node.op)?;
    l.elementwise(node, |l, x| Ok(l.unary(name, x)))
}

fn cast(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let dtype = l.made_dtype(node);
    l.elementwise(node, |l, x| Ok(l.cast(x, dtype)))
}

fn elu(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if node.float("alpha").is_some_and(|alpha| alpha.to_bits() != 1.0_f32.to_bits()) {
        return Err("has another alpha than 1".to_owned());
    }
    same(l, node)
}

fn selu(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    if !node.attributes.is_empty() {
        return Err("has numbers of its own".to_owned());
    }
    same(l, node)
}

/// Bounds may be absent.
fn clip(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (low, high) = (l.in_if(node, 1)?, l.in_if(node, 2)?);
    l.elementwise(node, |l, x| {
        let mut y = x.clone();
        if let Some(low) = &low {
            y = l.binary("Maximum", &y, low);
        }
        if let Some(high) = &high {
            y = l.binary("Minimum", &y, high);
        }
        Ok(y)
    })
}

/// `x/2 (1 + erf(x/√2))`, or the approximation by tanh.
fn gelu(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let by_tanh = text(node, "approximate") == Some("tanh");
    l.elementwise(node, |l, x| {
        let inner = if by_tanh {
            let square = l.unary("Square", x);
            let cubic = l.with("Mul", &square, f64::from(0.044_715_f32))?;
            let factor = l.with("AddV2", &cubic, 1.0)?;
            let sum = l.binary("Mul", x, &factor);
            let scaled = l.with("Mul", &sum, std::f64::consts::FRAC_2_SQRT_PI / std::f64::consts::SQRT_2)?;
            l.unary("Tanh", &scaled)
        } else {
            let scaled = l.with("Mul", x, std::f64::consts::FRAC_1_SQRT_2)?;
            l.unary("Erf", &scaled)
        };
        let shifted = l.with("AddV2", &inner, 1.0)?;
        let half = l.with("Mul", x, 0.5)?;
        Ok(l.binary("Mul", &half, &shifted))
    })
}

/// `clip(alpha x + beta, 0, 1)`.
fn sloped(l: &mut Lowering<'_>, x: &Out, alpha: f32, beta: f32) -> Result<Out, String> {
    let scaled = l.with("Mul", x, f64::from(alpha))?;
    let shifted = l.with("AddV2", &scaled, f64::from(beta))?;
    let above = l.with("Maximum", &shifted, 0.0)?;
    l.with("Minimum", &above, 1.0)
}

fn hard_sigmoid(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (alpha, beta) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
    l.elementwise(node, |l, x| sloped(l, x, alpha, beta))
}

fn hard_swish(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    l.elementwise(node, |l, x| {
        let gate = sloped(l, x, 1.0 / 6.0, 0.5)?;
        Ok(l.binary("Mul", x, &gate))
    })
}

fn leaky_relu(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let alpha = node.float("alpha").unwrap_or(0.01);
    l.elementwise(node, |l, x| Ok(l.add(Op::typed("LeakyRelu", &[x]).float("alpha", alpha), x.dtype)))
}

/// `x tanh(softplus(x))`.
fn mish(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    l.elementwise(node, |l, x| {
        let soft = l.unary("Softplus", x);
        let gate = l.unary("Tanh", &soft);
        Ok(l.binary("Mul", x, &gate))
    })
}

/// `x sigmoid(alpha x)`.
fn swish(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let alpha = node.float("alpha").unwrap_or(1.0);
    l.elementwise(node, |l, x| {
        let scaled = l.with("Mul", x, f64::from(alpha))?;
        let gate = l.unary("Sigmoid", &scaled);
        Ok(l.binary("Mul", x, &gate))
    })
}

fn pair(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = name_of(&node.op)?;
    in_common_layout(l, node, |l, a, b| Ok(l.binary(name, a, b)))
}

/// Of integers, ONNX's quotient is the one nearest to 0.
fn divide(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = if l.made_dtype(node).is_float() { "RealDiv" } else { "TruncateDiv" };
    in_common_layout(l, node, |l, a, b| Ok(l.binary(name, a, b)))
}

fn modulo(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = if node.int("fmod") == Some(1) { "TruncateMod" } else { "FloorMod" };
    in_common_layout(l, node, |l, a, b| Ok(l.binary(name, a, b)))
}

/// The exponent may be of another type.
fn power(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    in_common_layout(l, node, |l, a, b| {
        let b = l.cast(b, a.dtype);
        Ok(l.binary("Pow", a, &b))
    })
}

/// `max(x, 0) + slope min(x, 0)`.
fn parametric_relu(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let (x, slope) = (l.in_at(node, 0)?, l.in_at(node, 1)?);
    let above = l.unary("Relu", &x);
    let below = l.with("Minimum", &x, 0.0)?;
    let below = l.binary("Mul", &below, &slope);
    Ok(l.binary("AddV2", &above, &below).into())
}

/// Of any number of tensors.
fn fold(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let name = name_of(&node.op)?;
    let mut all = l.in_at(node, 0)?;
    for index in 1..node.inputs.len() {
        let next = l.in_at(node, index)?;
        all = l.binary(name, &all, &next);
    }
    Ok(all.into())
}

/// Works on two tensors with channels last where one of them exists so only, and both have as many axes or one has none.
pub(super) fn in_common_layout(
    l: &mut Lowering<'_>,
    node: &Node,
    compute: impl FnOnce(&mut Lowering<'_>, &Out, &Out) -> Result<Out, String>,
) -> Lowered {
    let (a, b) = (operand(node, 0)?, operand(node, 1)?);
    let rank = |l: &Lowering<'_>, val| l.graph.value(val).dims.len();
    let (ranks, wanted) = ([rank(l, a), rank(l, b)], l.made_dims(node, 0).len());
    let fits = ranks.iter().all(|&rank| rank == wanted || rank == 0);
    if fits && (l.is_channels_last(a) || l.is_channels_last(b)) {
        let mut side = |val, rank| if rank == 0 { l.out(val) } else { l.out_channels_last(val) };
        let (x, y) = (side(a, ranks[0])?, side(b, ranks[1])?);
        return Ok(Made::ChannelsLast(compute(l, &x, &y)?));
    }
    let (x, y) = (l.out(a)?, l.out(b)?);
    Ok(compute(l, &x, &y)?.into())
}
