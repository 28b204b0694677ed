//! Random inputs of the shapes a model declares.
//!
//! Good enough to see that a model runs, and to compare two engines on; not to see that it is right. Floats are standard
//! normal, which is what normalised images and embeddings look like. Integers are 0 or 1, which is a legal token, segment
//! and mask in every model, where a larger number may be beyond the end of a table.
//!
//! Each port's numbers depend on the seed and the port's name only, so a port more or another order changes no others.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::TAU;

use bytes::Bytes;
use fastrand::Rng;
use half::{bf16, f16};
use zoo_graph::{Port, PortType};
use zoo_tensor::{DType, Dim, Element as _, Tensor, element_count};

use crate::limits::MAX_MADE_BYTES;
use crate::{Error, Named, Result};

/// How to make inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generate {
    /// Which random numbers: the same seed gives the same inputs.
    pub seed: u64,
    /// Sizes of named dimensions; dimensions that are not named here are 1.
    pub dims: BTreeMap<String, usize>,
}

/// Makes a tensor for every port.
///
/// # Errors
/// [`Error::Generate`] with every port whose rank is not declared or that no values can be made for, and every name in
/// [`Generate::dims`] that no port has; [`Error::TooMuch`] if all tensors together are too large.
pub fn generate(ports: &[Port], options: &Generate) -> Result<Vec<Named>> {
    let mut problems = Vec::new();
    let mut plans = Vec::new();
    for port in ports {
        match plan(port, options) {
            Ok(plan) => plans.push(plan),
            Err(problem) => problems.push(problem),
        }
    }
    let dims = ports.iter().filter_map(|port| port.shape()?.dims()).flatten();
    let known: BTreeSet<&str> = dims
        .filter_map(|dim| match dim {
            Dim::Named(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    for name in options.dims.keys().filter(|name| !known.contains(name.as_str())) {
        let known = known.iter().copied().collect::<Vec<_>>().join(", ");
        let known =
            if known.is_empty() { "it has none with a name".to_owned() } else { format!("it has {known}") };
        problems.push(format!("the model's inputs have no dimension \"{name}\"; {known}"));
    }
    if !problems.is_empty() {
        return Err(Error::Generate { problems });
    }
    let total = plans.iter().try_fold(0_u64, |total, plan| total.checked_add(plan.bytes));
    if total.is_none_or(|total| total > MAX_MADE_BYTES) {
        let what = "the size of the inputs to make".to_owned();
        return Err(Error::TooMuch { what, limit: MAX_MADE_BYTES, unit: "bytes" });
    }
    plans.into_iter().map(|plan| plan.make(options.seed)).collect()
}

/// What to make for one port, and what it takes.
struct Plan<'a> {
    name: &'a str,
    dtype: DType,
    shape: Vec<usize>,
    count: usize,
    bytes: u64,
}

fn plan<'a>(port: &'a Port, options: &Generate) -> Result<Plan<'a>, String> {
    let name = port.name.as_str();
    let (dtype, shape) = match &port.kind {
        PortType::Tensor { dtype, shape } => (*dtype, shape),
        kind => return Err(format!("\"{name}\" is no tensor but {kind}")),
    };
    let dims = shape.dims().ok_or_else(|| format!("\"{name}\" declares no rank"))?;
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => *size,
        Dim::Named(name) => options.dims.get(name).copied().unwrap_or(1),
        Dim::Unknown => 1,
    };
    let shape: Vec<usize> = dims.iter().map(size).collect();
    let overflow = || format!("the shape {shape:?} of \"{name}\" overflows");
    let count = element_count(&shape).ok_or_else(overflow)?;
    let bytes = match dtype {
        // A string's own size, and the few letters it gets.
        DType::String => count.checked_mul(size_of::<String>() + 8),
        DType::Bool
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::U8
        | DType::U16
        | DType::U32
        | DType::U64
        | DType::F16
        | DType::BF16
        | DType::F32
        | DType::F64
        | DType::C64
        | DType::C128 => dtype.byte_len(count),
        _ => return Err(format!("no values can be made for \"{name}\", which is {dtype}")),
    };
    let bytes = bytes.ok_or_else(overflow)? as u64;
    Ok(Plan { name, dtype, shape, count, bytes })
}

impl Plan<'_> {
    fn make(self, seed: u64) -> Result<Named> {
        let mut rng = Rng::with_seed(seed ^ fnv1a(self.name.as_bytes()));
        if self.dtype == DType::String {
            let word = |rng: &mut Rng| (0..rng.usize(1..=8)).map(|_| rng.lowercase()).collect();
            let strings = (0..self.count).map(|_| word(&mut rng)).collect();
            return Ok((self.name.to_owned(), Tensor::from_strings(self.shape, strings)?));
        }
        let mut data = Vec::with_capacity(self.bytes as usize);
        let parts = if matches!(self.dtype, DType::C64 | DType::C128) { 2 } else { 1 };
        for _ in 0..self.count * parts {
            match self.dtype {
                DType::F32 | DType::C64 => (normal(&mut rng) as f32).write(&mut data),
                DType::F64 | DType::C128 => normal(&mut rng).write(&mut data),
                DType::F16 => f16::from_f64(normal(&mut rng)).write(&mut data),
                DType::BF16 => bf16::from_f64(normal(&mut rng)).write(&mut data),
                // 0 or 1 in the lowest byte, whatever the width.
                dtype => {
                    data.push(u8::from(rng.bool()));
                    data.resize(data.len() + dtype.size().unwrap_or(1) - 1, 0);
                }
            }
        }
        Ok((self.name.to_owned(), Tensor::from_bytes(self.dtype, self.shape, Bytes::from(data))?))
    }
}

/// A standard normal number, after Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    // In (0, 1], for the logarithm's sake.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (TAU * rng.f64()).cos()
}

/// FNV-1a: a hash that is the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Shape;

    use super::*;

    fn port(name: &str, dtype: DType, dims: impl IntoIterator<Item = Dim>) -> Port {
        Port::tensor(name, dtype, Shape::new(dims))
    }

    fn batch() -> Dim {
        Dim::Named("batch".to_owned())
    }

    #[test]
    fn the_seed_decides_and_other_ports_do_not() {
        let (x, y) = (port("x", DType::F32, [Dim::Fixed(3)]), port("y", DType::F32, [Dim::Fixed(3)]));
        let make = |ports: &[Port], seed| generate(ports, &Generate { seed, ..Default::default() }).unwrap();
        let alone = make(std::slice::from_ref(&x), 7);
        assert_eq!(make(&[y, x.clone()], 7)[1], alone[0]);
        assert_ne!(make(&[x], 8), alone);
        // Pinned, so that an update of a dependency cannot change published comparisons unnoticed.
        let expected = [-0.136_079_9, -0.162_966_53, 0.647_275];
        let found = alone[0].1.to_vec::<f32>().unwrap();
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6),
            "{found:?}"
        );
    }

    #[test]
    fn floats_are_standard_normal() {
        let ports = [port("x", DType::F64, [Dim::Fixed(100_000)])];
        let values = generate(&ports, &Generate::default()).unwrap()[0].1.to_f64_vec().unwrap();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1e5;
        let within = values.iter().filter(|value| value.abs() < 1.0).count();
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!((67_000..69_600).contains(&within), "{within} within one deviation");
    }

    #[test]
    fn every_type_gets_values_of_its_own() {
        for &dtype in DType::ALL {
            let ports = [port("x", dtype, [batch(), Dim::Unknown, Dim::Fixed(50)])];
            let options = Generate { dims: BTreeMap::from([("batch".to_owned(), 2)]), ..Default::default() };
            let Ok(made) = generate(&ports, &options) else {
                assert!(dtype.bits().is_some_and(|bits| bits <= 8), "{dtype}");
                continue;
            };
            let (name, tensor) = &made[0];
            assert_eq!((name.as_str(), tensor.dtype(), tensor.shape()), ("x", dtype, &[2, 1, 50][..]));
            if let Ok(integers) = tensor.to_i64_vec() {
                assert!(integers.contains(&0) && integers.contains(&1), "{dtype}: {integers:?}");
                assert!(integers.iter().all(|value| (0..=1).contains(value)), "{dtype}: {integers:?}");
            } else if let Ok(floats) = tensor.to_f64_vec() {
                assert!(floats.iter().any(|&value| value < -0.5) && floats.iter().any(|&value| value > 0.5));
            } else if let Some(strings) = tensor.strings() {
                assert!(strings.iter().all(|text| (1..=8).contains(&text.len())));
            }
        }
    }

    #[test]
    fn all_that_cannot_be_made_is_named() {
        let ports = [
            Port::tensor("open", DType::F32, Shape::unknown()),
            Port::other("list", "seq(float)"),
            port("tiny", DType::F8E4M3FN, [Dim::Fixed(1)]),
            port("huge", DType::F32, [Dim::Fixed(usize::MAX), Dim::Fixed(2)]),
            port("good", DType::F32, [batch()]),
        ];
        let options = Generate { dims: BTreeMap::from([("btch".to_owned(), 2)]), ..Default::default() };
        let Err(Error::Generate { problems }) = generate(&ports, &options) else {
            panic!("nothing was refused")
        };
        assert_eq!(
            problems,
            [
                "\"open\" declares no rank".to_owned(),
                "\"list\" is no tensor but seq(float)".to_owned(),
                "no values can be made for \"tiny\", which is f8e4m3fn".to_owned(),
                format!("the shape [{}, 2] of \"huge\" overflows", usize::MAX),
                "the model's inputs have no dimension \"btch\"; it has batch".to_owned(),
            ]
        );
    }

    #[test]
    fn the_total_is_bounded() {
        let half = || port("x", DType::U8, [Dim::Fixed((MAX_MADE_BYTES / 2 + 1) as usize)]);
        let error = generate(&[half(), half()], &Generate::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the size of the inputs to make goes beyond the limit of 4294967296 bytes"
        );
        let strings = port("x", DType::String, [Dim::Fixed((MAX_MADE_BYTES / 32 + 1) as usize)]);
        assert!(generate(&[strings], &Generate::default()).is_err());
    }
}
