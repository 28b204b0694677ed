//! Floats: close enough, by the rule in the module above.

use half::{bf16, f16};
use zoo_tensor::{DType, Element as _, Tensor};

use super::{Comparison, Tolerance, index, ratio};

/// What is allowed if everything expected is zero.
const ABSOLUTE_AT_ZERO: f64 = 1e-6;
/// The part of the largest value that the spread is at least.
const LEAST_SPREAD: f64 = 0.01;
/// The units in the last place of the largest value that are always allowed.
const UNITS: f64 = 4.0;

/// Compares two tensors of one type and shape; none if their elements are no floats.
pub(super) fn compare(expected: &Tensor, found: &Tensor, tolerance: Tolerance) -> Option<Comparison> {
    let (wanted, have) = (Floats::of(expected)?, Floats::of(found)?);
    let (scale, magnitude) = wanted.spread();
    let allowed = if scale == 0.0 {
        ABSOLUTE_AT_ZERO
    } else {
        (tolerance.relative * scale).max(UNITS * wanted.epsilon * magnitude)
    };
    let mut worst = (0.0, 0, f64::NAN, f64::NAN);
    let mut special = 0_usize;
    for (place, (expected, found)) in wanted.iter().zip(have.iter()).enumerate() {
        let difference = distance(expected, found);
        if difference == f64::INFINITY && !(expected.is_finite() && found.is_finite()) {
            special += 1;
        }
        if place == 0 || difference > worst.0 {
            worst = (difference, place, expected, found);
        }
    }
    let (largest, place, expected_there, found_there) = worst;
    Some(Comparison {
        name: String::new(),
        equal: special == 0 && largest <= allowed,
        largest,
        at: index(place / wanted.parts, expected.shape()),
        expected: expected_there,
        found: found_there,
        scale,
        relative: ratio(largest, scale),
        elements: expected.len(),
        problem: (special > 0).then(|| {
            format!("{special} of {} elements are NaN or infinite on one side only", expected.len())
        }),
    })
}

/// A tensor's elements as `f64`. Every pass reads them anew, so that large outputs are not held in a wider type.
struct Floats<'a> {
    bytes: &'a [u8],
    size: usize,
    read: fn(&[u8]) -> f64,
    /// The distance from 1 to the next number of the type.
    epsilon: f64,
    /// Numbers per element: 2 for complex ones.
    parts: usize,
}

impl<'a> Floats<'a> {
    fn of(tensor: &'a Tensor) -> Option<Self> {
        let bytes = tensor.bytes()?;
        let of = |size, read, epsilon, parts| Some(Self { bytes, size, read, epsilon, parts });
        match tensor.dtype() {
            DType::F64 => of(8, f64::read, f64::EPSILON, 1),
            DType::F32 => of(4, |bytes| f32::read(bytes).into(), f32::EPSILON.into(), 1),
            DType::F16 => of(2, |bytes| f16::read(bytes).into(), f16::EPSILON.into(), 1),
            DType::BF16 => of(2, |bytes| bf16::read(bytes).into(), bf16::EPSILON.into(), 1),
            DType::C64 => of(4, |bytes| f32::read(bytes).into(), f32::EPSILON.into(), 2),
            DType::C128 => of(8, f64::read, f64::EPSILON, 2),
            _ => None,
        }
    }

    fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.bytes.chunks_exact(self.size).map(self.read)
    }

    /// The spread of what is finite, and the largest absolute value of it.
    fn spread(&self) -> (f64, f64) {
        let finite = || self.iter().filter(|value| value.is_finite());
        let largest = finite().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        if largest == 0.0 {
            return (0.0, 0.0);
        }
        // Of values divided by the largest one, whose squares neither overflow nor vanish.
        let (count, sum) =
            finite().fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value / largest));
        let mean = sum / count;
        let variance = finite().map(|value| (value / largest - mean).powi(2)).sum::<f64>() / count;
        (largest * variance.sqrt().max(LEAST_SPREAD), largest)
    }
}

/// The distance of two numbers: 0 for two NaNs and for equal infinities, infinite for what has no distance.
fn distance(expected: f64, found: f64) -> f64 {
    let difference = (expected - found).abs();
    if !difference.is_nan() {
        return difference;
    }
    let same = match (expected.is_nan(), found.is_nan()) {
        (false, false) => expected.signum() == found.signum(),
        (expected, found) => expected == found,
    };
    if same { 0.0 } else { f64::INFINITY }
}
