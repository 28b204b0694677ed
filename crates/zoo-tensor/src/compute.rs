//! Computing with tensors, by candle: casts and permutations, and the way to candle and back for everything else.
//!
//! Staging in place computes nothing, so this stands behind the feature `candle`: with it come matrix kernels and some sixty
//! crates. candle knows `u8`, `u32`, `i16`, `i32`, `i64`, `bf16`, `f16`, `f32` and `f64`; other types are refused by name, never
//! carried over as something else.

use std::cmp::Ordering;

use candle_core::Device;
use half::{bf16, f16};

use crate::{DType, Element, Error, Result, Tensor};

/// The candle tensor of the same type, shape and elements.
///
/// # Errors
/// [`Error::Uncomputable`] if candle has no such type.
pub fn to_candle(tensor: &Tensor) -> Result<candle_core::Tensor> {
    match tensor.dtype() {
        DType::U8 => carry::<u8>(tensor),
        DType::U32 => carry::<u32>(tensor),
        DType::I16 => carry::<i16>(tensor),
        DType::I32 => carry::<i32>(tensor),
        DType::I64 => carry::<i64>(tensor),
        DType::BF16 => carry::<bf16>(tensor),
        DType::F16 => carry::<f16>(tensor),
        DType::F32 => carry::<f32>(tensor),
        DType::F64 => carry::<f64>(tensor),
        dtype => Err(Error::Uncomputable { dtype }),
    }
}

/// The tensor of the same type, shape and elements, whatever candle's layout of it is.
///
/// # Errors
/// [`Error::Candle`] if it is of a type that zoo does not exchange with candle, or on another device that fails.
pub fn from_candle(tensor: &candle_core::Tensor) -> Result<Tensor> {
    use candle_core::DType as Candle;
    match tensor.dtype() {
        Candle::U8 => fetch::<u8>(tensor),
        Candle::U32 => fetch::<u32>(tensor),
        Candle::I16 => fetch::<i16>(tensor),
        Candle::I32 => fetch::<i32>(tensor),
        Candle::I64 => fetch::<i64>(tensor),
        Candle::BF16 => fetch::<bf16>(tensor),
        Candle::F16 => fetch::<f16>(tensor),
        Candle::F32 => fetch::<f32>(tensor),
        Candle::F64 => fetch::<f64>(tensor),
        other => Err(Error::Candle { doing: "read a tensor", problem: format!("its type is {other:?}") }),
    }
}

/// The same numbers as elements of another floating-point type, rounded to the nearest, ties to even. Infinities and NaN stay
/// what they are.
///
/// # Errors
/// [`Error::Conversion`] if one of the two is none of `f64`, `f32`, `f16`, `bf16`; [`Error::OutOfRange`] if a finite number
/// would become infinite.
pub fn cast(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    let from = tensor.dtype();
    if from == dtype {
        return Ok(tensor.clone());
    }
    let (Some(target), Some(_)) = (candle_float(dtype), candle_float(from)) else {
        return Err(Error::Conversion { from, to: dtype });
    };
    let halves = matches!(dtype, DType::F16 | DType::BF16);
    let source = if from == DType::F64 && halves { rounded_to_odd(tensor)? } else { tensor.clone() };
    let cast = to_candle(&source)?.to_dtype(target).map_err(failed("cast a tensor"))?;
    let cast = from_candle(&cast)?;
    // What became infinite is rare, so it is looked for first, and only then whether it was before.
    let suspects = infinite(&cast)?;
    if !suspects.is_empty() {
        let before = tensor.to_f64_vec()?;
        let lost = suspects.into_iter().filter_map(|index| Some((index, *before.get(index)?)));
        if let Some((index, value)) = lost.into_iter().find(|(_, value)| value.is_finite()) {
            return Err(Error::OutOfRange { from, to: dtype, index, value: value.to_string() });
        }
    }
    Ok(cast)
}

/// The tensor whose axis `i` is axis `order[i]` of this one.
///
/// # Errors
/// [`Error::Order`] if `order` does not name each axis once; [`Error::Uncomputable`] for types that candle does not know.
pub fn permute(tensor: &Tensor, order: &[usize]) -> Result<Tensor> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..tensor.shape().len()) {
        return Err(Error::Order { shape: tensor.shape().to_vec(), order: order.to_vec() });
    }
    let permuted = to_candle(tensor)?.permute(order).map_err(failed("permute a tensor"))?;
    from_candle(&permuted)
}

/// Where a tensor is infinite.
fn infinite(tensor: &Tensor) -> Result<Vec<usize>> {
    fn places<T: Element>(tensor: &Tensor, is_infinite: impl Fn(T) -> bool) -> Result<Vec<usize>> {
        let elements = tensor.to_vec::<T>()?.into_iter().enumerate();
        Ok(elements.filter(|(_, value)| is_infinite(*value)).map(|(index, _)| index).collect())
    }
    match tensor.dtype() {
        DType::BF16 => places(tensor, bf16::is_infinite),
        DType::F16 => places(tensor, f16::is_infinite),
        DType::F32 => places(tensor, f32::is_infinite),
        _ => places(tensor, f64::is_infinite),
    }
}

fn candle_float(dtype: DType) -> Option<candle_core::DType> {
    match dtype {
        DType::BF16 => Some(candle_core::DType::BF16),
        DType::F16 => Some(candle_core::DType::F16),
        DType::F32 => Some(candle_core::DType::F32),
        DType::F64 => Some(candle_core::DType::F64),
        _ => None,
    }
}

fn carry<T: Element + candle_core::WithDType>(tensor: &Tensor) -> Result<candle_core::Tensor> {
    candle_core::Tensor::from_vec(tensor.to_vec::<T>()?, tensor.shape(), &Device::Cpu)
        .map_err(failed("make a tensor"))
}

fn fetch<T: Element + candle_core::WithDType>(tensor: &candle_core::Tensor) -> Result<Tensor> {
    let elements =
        tensor.flatten_all().and_then(|flat| flat.to_vec1::<T>()).map_err(failed("read a tensor"))?;
    Tensor::from_slice(tensor.dims(), &elements)
}

fn failed(doing: &'static str) -> impl FnOnce(candle_core::Error) -> Error {
    move |error| Error::Candle { doing, problem: error.to_string() }
}

/// Doubles as singles, of whose two neighbours the one with an odd last bit is taken: what is then rounded to a half is as if it
/// had been rounded once (Boldo and Melquiond, 2008). candle's own way rounds twice, and is off by one where the first rounding meets
/// the middle between two halves.
fn rounded_to_odd(tensor: &Tensor) -> Result<Tensor> {
    let odd = |value: f64| {
        let near = value as f32;
        let bits = near.to_bits();
        match f64::from(near).abs().partial_cmp(&value.abs()) {
            // Beyond the largest single it is beyond the largest half too.
            Some(Ordering::Less | Ordering::Greater) if !near.is_finite() || bits & 1 == 1 => near,
            Some(Ordering::Less) => f32::from_bits(bits + 1),
            Some(Ordering::Greater) => f32::from_bits(bits - 1),
            Some(Ordering::Equal) | None => near,
        }
    };
    let singles: Vec<f32> = tensor.to_vec::<f64>()?.into_iter().map(odd).collect();
    Tensor::from_slice(tensor.shape(), &singles)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_and_back() {
        let tensors = [
            Tensor::from_slice([2, 3], &[1_u8, 2, 3, 4, 5, 6]).unwrap(),
            Tensor::from_slice([2], &[1_u32, u32::MAX]).unwrap(),
            Tensor::from_slice([2], &[i16::MIN, i16::MAX]).unwrap(),
            Tensor::from_slice([2], &[i32::MIN, i32::MAX]).unwrap(),
            Tensor::from_slice([2], &[i64::MIN, i64::MAX]).unwrap(),
            Tensor::from_slice([2], &[bf16::MIN, bf16::MAX]).unwrap(),
            Tensor::from_slice([2], &[f16::MIN, f16::MAX]).unwrap(),
            Tensor::from_slice([], &[f32::MIN_POSITIVE]).unwrap(),
            Tensor::from_slice([0, 3], &[0.0_f64; 0]).unwrap(),
        ];
        for tensor in tensors {
            assert_eq!(from_candle(&to_candle(&tensor).unwrap()).unwrap(), tensor);
        }
        let truth = Tensor::from_slice([1], &[true]).unwrap();
        assert_eq!(to_candle(&truth).unwrap_err().to_string(), "a bool tensor cannot be computed with");
    }

    #[test]
    fn permuting() {
        let tensor = Tensor::from_slice([2, 3], &[1_i64, 2, 3, 4, 5, 6]).unwrap();
        let permuted = permute(&tensor, &[1, 0]).unwrap();
        assert_eq!((permuted.shape(), permuted.to_i64_vec().unwrap()), (&[3, 2][..], vec![1, 4, 2, 5, 3, 6]));
        for order in [&[0, 0][..], &[0], &[1, 2], &[0, 1, 2]] {
            assert!(matches!(permute(&tensor, order), Err(Error::Order { .. })), "{order:?}");
        }
    }

    #[test]
    fn what_is_no_float_is_not_cast() {
        let ints = Tensor::from_slice([1], &[1_i64]).unwrap();
        let floats = Tensor::from_slice([1], &[1.5_f32]).unwrap();
        assert!(matches!(cast(&ints, DType::F32), Err(Error::Conversion { .. })));
        assert!(matches!(cast(&floats, DType::I64), Err(Error::Conversion { .. })));
        assert!(matches!(cast(&floats, DType::F8E5M2), Err(Error::Conversion { .. })));
        assert_eq!(cast(&ints, DType::I64).unwrap(), ints);
    }

    #[test]
    fn finite_numbers_stay_finite() {
        let halves = |value: f64| cast(&Tensor::from_slice([2], &[0.0, value]).unwrap(), DType::F16);
        assert_eq!(halves(65_519.0).unwrap().to_f64_vec().unwrap(), [0.0, 65_504.0]);
        let error = halves(65_520.0).unwrap_err();
        assert_eq!(error.to_string(), "element 1 of a f64 tensor is 65520, which is no f16");
        assert_eq!(halves(f64::NEG_INFINITY).unwrap().to_f64_vec().unwrap(), [0.0, f64::NEG_INFINITY]);
        assert!(halves(f64::NAN).unwrap().to_f64_vec().unwrap()[1].is_nan());
        let brains = |value: f32| cast(&Tensor::from_slice([1], &[value]).unwrap(), DType::BF16);
        assert!(brains(f32::MAX).is_err() && brains(3.38e38).is_ok());
        let single = |value: f64| cast(&Tensor::from_slice([1], &[value]).unwrap(), DType::F32);
        assert!(single(1e39).is_err() && single(1e38).is_ok());
        let brain = Tensor::from_slice([1], &[bf16::from_f32(70_000.0)]).unwrap();
        assert!(cast(&brain, DType::F16).is_err());
    }

    /// Between each two neighbouring halves: the middle goes to the even one, everything beside it to the nearer one.
    #[test]
    fn ties_go_to_the_even_half() {
        let (mut singles, mut doubles) = (Vec::new(), Vec::new());
        let (mut from_single, mut from_double) = (Vec::new(), Vec::new());
        for bits in 0..f16::MAX.to_bits() {
            let (low, high) = (f16::from_bits(bits), f16::from_bits(bits + 1));
            let even = if bits % 2 == 0 { low } else { high };
            let middle = f64::midpoint(f64::from(low), f64::from(high));
            assert_eq!(f64::from(middle as f32).to_bits(), middle.to_bits());
            singles.extend([middle as f32, (middle as f32).next_down(), (middle as f32).next_up()]);
            from_single.extend([even, low, high]);
            doubles.extend([middle, middle.next_down(), middle.next_up(), -middle, -middle.next_up()]);
            from_double.extend([even, low, high, -even, -high]);
        }
        let cast_of = |tensor: Tensor| cast(&tensor, DType::F16).unwrap().to_vec::<f16>().unwrap();
        assert!(cast_of(Tensor::from_slice([singles.len()], &singles).unwrap()) == from_single);
        assert!(cast_of(Tensor::from_slice([doubles.len()], &doubles).unwrap()) == from_double);
    }

    proptest! {
        /// A bfloat16 is the upper half of a single: rounding is arithmetic on the bits.
        #[test]
        fn brains_are_rounded_bits(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let rounded = ((u64::from(bits) + 0x7FFF + u64::from(bits >> 16 & 1)) >> 16) as u16;
            let found = cast(&Tensor::from_slice([1], &[value]).unwrap(), DType::BF16);
            match bf16::from_bits(rounded) {
                expected if expected.is_finite() => {
                    prop_assert_eq!(found.unwrap().to_vec::<bf16>().unwrap()[0].to_bits(), rounded);
                }
                _ => prop_assert!(found.is_err()),
            }
        }

        #[test]
        fn widening_loses_nothing(bits: Vec<u16>) {
            for dtype in [DType::F16, DType::BF16] {
                let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
                let tensor = Tensor::from_bytes(dtype, [bits.len()], bytes.into()).unwrap();
                let wide = cast(&tensor, DType::F32).unwrap();
                for (a, b) in tensor.to_f64_vec().unwrap().into_iter().zip(wide.to_f64_vec().unwrap()) {
                    prop_assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
                }
            }
        }
    }
}
