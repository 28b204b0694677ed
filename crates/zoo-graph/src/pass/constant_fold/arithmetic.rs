//! Arithmetic on constants: exact for whole numbers, and as IEEE 754 rounds it for others.

use zoo_tensor::{DType, Element, Tensor};

use super::moving::{broadcast, expanded};
use crate::graph::Node;

/// What the node makes of these inputs; none if it is none of these operators, or there is no result that every runtime agrees on.
pub(super) fn evaluate(node: &Node, inputs: &[Option<&Tensor>]) -> Option<Tensor> {
    let inputs: Vec<&Tensor> = inputs.iter().copied().collect::<Option<_>>()?;
    match (node.op.as_str(), inputs.as_slice()) {
        ("Cast", [x]) => cast(x, i32::try_from(node.int("to")?).ok().and_then(DType::from_onnx_code)?),
        ("Neg" | "Sqrt", [x]) => unary(&node.op, x),
        ("Add" | "Sub" | "Mul" | "Div" | "Min" | "Max", [a, b]) if a.dtype() == b.dtype() => {
            let shape = broadcast(a.shape(), b.shape())?;
            binary(&node.op, &expanded(a, &shape)?, &expanded(b, &shape)?)
        }
        _ => None,
    }
}

fn unary(op: &str, x: &Tensor) -> Option<Tensor> {
    match (op, x.dtype()) {
        ("Neg", DType::I32) => map(x, |v: i32| v.checked_neg()),
        ("Neg", DType::I64) => map(x, |v: i64| v.checked_neg()),
        ("Neg", DType::F32) => map(x, |v: f32| Some(-v)),
        ("Neg", DType::F64) => map(x, |v: f64| Some(-v)),
        ("Sqrt", DType::F32) => map(x, |v: f32| Some(v.sqrt())),
        ("Sqrt", DType::F64) => map(x, |v: f64| Some(v.sqrt())),
        _ => None,
    }
}

fn map<T: Element>(x: &Tensor, op: impl Fn(T) -> Option<T>) -> Option<Tensor> {
    let values: Vec<T> = x.to_vec::<T>().ok()?.into_iter().map(op).collect::<Option<_>>()?;
    Tensor::from_slice(x.shape(), &values).ok()
}

macro_rules! whole {
    ($op:expr, $a:expr, $b:expr, $type:ty) => {
        zip($a, $b, |a: $type, b: $type| match $op {
            "Add" => a.checked_add(b),
            "Sub" => a.checked_sub(b),
            "Mul" => a.checked_mul(b),
            "Div" => a.checked_div(b),
            "Min" => Some(a.min(b)),
            _ => Some(a.max(b)),
        })
    };
}

macro_rules! real {
    ($op:expr, $a:expr, $b:expr, $type:ty) => {
        zip($a, $b, |a: $type, b: $type| match $op {
            "Add" => Some(a + b),
            "Sub" => Some(a - b),
            "Mul" => Some(a * b),
            "Div" => Some(a / b),
            // Of NaN, and of 0 and -0, runtimes choose the one or the other.
            _ if a.is_nan() || b.is_nan() || (a == b && a.to_bits() != b.to_bits()) => None,
            "Min" => Some(a.min(b)),
            _ => Some(a.max(b)),
        })
    };
}

#[expect(clippy::float_cmp, reason = "the two zeros are the numbers that are equal and not the same")]
fn binary(op: &str, a: &Tensor, b: &Tensor) -> Option<Tensor> {
    match a.dtype() {
        DType::I32 => whole!(op, a, b, i32),
        DType::I64 => whole!(op, a, b, i64),
        DType::F32 => real!(op, a, b, f32),
        DType::F64 => real!(op, a, b, f64),
        _ => None,
    }
}

fn zip<T: Element>(a: &Tensor, b: &Tensor, op: impl Fn(T, T) -> Option<T>) -> Option<Tensor> {
    let (left, right) = (a.to_vec::<T>().ok()?, b.to_vec::<T>().ok()?);
    let values: Vec<T> = left.into_iter().zip(right).map(|(a, b)| op(a, b)).collect::<Option<_>>()?;
    Tensor::from_slice(a.shape(), &values).ok()
}

/// `Cast`, where every element has a value in the other type that needs no choice.
fn cast(x: &Tensor, to: DType) -> Option<Tensor> {
    let from = x.dtype();
    if from == to {
        return Some(x.clone());
    }
    let real = matches!(from, DType::F32 | DType::F64);
    if !real && !matches!(from, DType::I32 | DType::I64 | DType::Bool) {
        return None;
    }
    let whole = |least: f64, beyond: f64| -> Option<Vec<i64>> {
        if !real {
            return x.to_i64_vec().ok();
        }
        let fits = |value: f64| (value.trunc() >= least && value.trunc() < beyond).then_some(value as i64);
        x.to_f64_vec().ok()?.into_iter().map(fits).collect()
    };
    match to {
        DType::Bool => made(x, x.to_f64_vec().ok()?.into_iter().map(|value| value != 0.0)),
        DType::I64 => made(x, whole(-(2_f64.powi(63)), 2_f64.powi(63))?.into_iter()),
        DType::I32 => {
            let values = whole(-(2_f64.powi(31)), 2_f64.powi(31))?;
            let values: Vec<i32> =
                values.into_iter().map(|value| i32::try_from(value).ok()).collect::<Option<_>>()?;
            made(x, values.into_iter())
        }
        DType::F32 if real => {
            let values = x.to_f64_vec().ok()?;
            let lost = values.iter().any(|value| value.is_finite() && (*value as f32).is_infinite());
            if lost { None } else { made(x, values.into_iter().map(|value| value as f32)) }
        }
        DType::F32 => made(x, x.to_i64_vec().ok()?.into_iter().map(|value| value as f32)),
        DType::F64 => made(x, x.to_f64_vec().ok()?.into_iter()),
        _ => None,
    }
}

fn made<T: Element>(like: &Tensor, values: impl Iterator<Item = T>) -> Option<Tensor> {
    Tensor::from_slice(like.shape(), &values.collect::<Vec<_>>()).ok()
}
