//! A concrete tensor: a type, a shape, and its elements in row-major order.

use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};

use crate::{DType, Element, Error, Result, element_count};

/// A tensor in memory (or in a mapped file: its bytes are shared, cloning one is cheap).
///
/// Numbers are little-endian and row-major; types narrower than a byte are packed as ONNX packs them. Construction
/// checks that the bytes fill the shape exactly, so whoever holds a tensor need not check again.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    Bytes(Bytes),
    Strings(Arc<[String]>),
}

impl Tensor {
    /// A tensor of numbers from its bytes.
    ///
    /// # Errors
    /// If the shape overflows, the bytes do not fill it exactly, or the type is [`DType::String`].
    pub fn from_bytes(dtype: DType, shape: impl Into<Vec<usize>>, data: Bytes) -> Result<Self> {
        if dtype == DType::String {
            return Err(Error::WrongStorage { dtype, from: "bytes" });
        }
        Self::checked(dtype, shape.into(), Data::Bytes(data))
    }

    /// A tensor of strings.
    ///
    /// # Errors
    /// If the shape overflows or asks for another number of strings.
    pub fn from_strings(shape: impl Into<Vec<usize>>, strings: Vec<String>) -> Result<Self> {
        Self::checked(DType::String, shape.into(), Data::Strings(strings.into()))
    }

    /// A tensor of Rust numbers.
    ///
    /// # Errors
    /// If the shape overflows or asks for another number of elements.
    pub fn from_slice<T: Element>(shape: impl Into<Vec<usize>>, elements: &[T]) -> Result<Self> {
        let mut data = Vec::with_capacity(size_of_val(elements));
        for &element in elements {
            element.write(&mut data);
        }
        Self::checked(T::DTYPE, shape.into(), Data::Bytes(data.into()))
    }

    /// The one place where a tensor comes into being.
    fn checked(dtype: DType, shape: Vec<usize>, data: Data) -> Result<Self> {
        let count = element_count(&shape);
        let (expected, found) = match &data {
            Data::Strings(strings) => (count, strings.len()),
            Data::Bytes(bytes) => (count.and_then(|count| dtype.byte_len(count)), bytes.len()),
        };
        match expected {
            None => Err(Error::TooLarge { dtype, shape }),
            Some(expected) if expected != found => Err(Error::WrongSize { dtype, shape, expected, found }),
            Some(_) => Ok(Self { dtype, shape, data }),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The size of each dimension; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements (a dimension is 0).
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The elements' bytes, little-endian and row-major; none for strings.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Bytes(bytes) => Some(bytes),
            Data::Strings(_) => None,
        }
    }

    /// The strings, if it is a tensor of strings.
    pub fn strings(&self) -> Option<&[String]> {
        match &self.data {
            Data::Strings(strings) => Some(strings),
            Data::Bytes(_) => None,
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// If the new shape asks for another number of elements.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        Self::checked(self.dtype, shape.into(), self.data)
    }

    /// The elements as exactly their own type.
    ///
    /// # Errors
    /// [`Error::Conversion`] if the tensor is of another type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        match &self.data {
            Data::Bytes(bytes) if self.dtype == T::DTYPE => Ok(elements(bytes).collect()),
            _ => Err(Error::Conversion { from: self.dtype, to: T::DTYPE }),
        }
    }

    /// The elements as `f64`: exact but for 64-bit integers beyond 2^53, which are rounded. `bool` is 0 or 1.
    ///
    /// # Errors
    /// [`Error::Conversion`] for strings, complex numbers and the packed and 8-bit floats.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        let refuse = Error::Conversion { from: self.dtype, to: DType::F64 };
        let Data::Bytes(bytes) = &self.data else { return Err(refuse) };
        Ok(match self.dtype {
            DType::F64 => elements::<f64>(bytes).collect(),
            DType::F32 => elements::<f32>(bytes).map(f64::from).collect(),
            DType::F16 => elements::<f16>(bytes).map(f64::from).collect(),
            DType::BF16 => elements::<bf16>(bytes).map(f64::from).collect(),
            DType::I8 => elements::<i8>(bytes).map(f64::from).collect(),
            DType::I16 => elements::<i16>(bytes).map(f64::from).collect(),
            DType::I32 => elements::<i32>(bytes).map(f64::from).collect(),
            DType::I64 => elements::<i64>(bytes).map(|value| value as f64).collect(),
            DType::U8 => elements::<u8>(bytes).map(f64::from).collect(),
            DType::U16 => elements::<u16>(bytes).map(f64::from).collect(),
            DType::U32 => elements::<u32>(bytes).map(f64::from).collect(),
            DType::U64 => elements::<u64>(bytes).map(|value| value as f64).collect(),
            DType::Bool => elements::<bool>(bytes).map(|value| f64::from(u8::from(value))).collect(),
            _ => return Err(refuse),
        })
    }

    /// The elements as `f32`, rounded to the nearest.
    ///
    /// # Errors
    /// As [`Tensor::to_f64_vec`].
    pub fn to_f32_vec(&self) -> Result<Vec<f32>> {
        if self.dtype == DType::F32 {
            return self.to_vec();
        }
        match self.to_f64_vec() {
            Ok(values) => Ok(values.into_iter().map(|value| value as f32).collect()),
            Err(_) => Err(Error::Conversion { from: self.dtype, to: DType::F32 }),
        }
    }

    /// The elements as `i64`, for integers and `bool`.
    ///
    /// # Errors
    /// [`Error::Conversion`] for other types, [`Error::OutOfRange`] for a `u64` above `i64::MAX`.
    pub fn to_i64_vec(&self) -> Result<Vec<i64>> {
        let refuse = Error::Conversion { from: self.dtype, to: DType::I64 };
        let Data::Bytes(bytes) = &self.data else { return Err(refuse) };
        Ok(match self.dtype {
            DType::I8 => elements::<i8>(bytes).map(i64::from).collect(),
            DType::I16 => elements::<i16>(bytes).map(i64::from).collect(),
            DType::I32 => elements::<i32>(bytes).map(i64::from).collect(),
            DType::I64 => elements::<i64>(bytes).collect(),
            DType::U8 => elements::<u8>(bytes).map(i64::from).collect(),
            DType::U16 => elements::<u16>(bytes).map(i64::from).collect(),
            DType::U32 => elements::<u32>(bytes).map(i64::from).collect(),
            DType::Bool => elements::<bool>(bytes).map(i64::from).collect(),
            DType::U64 => elements::<u64>(bytes)
                .enumerate()
                .map(|(index, value)| {
                    i64::try_from(value).map_err(|_| Error::OutOfRange {
                        from: DType::U64,
                        to: DType::I64,
                        index,
                        value: value.to_string(),
                    })
                })
                .collect::<Result<_>>()?,
            _ => return Err(refuse),
        })
    }
}

fn elements<T: Element>(bytes: &Bytes) -> impl Iterator<Item = T> + '_ {
    bytes.chunks_exact(T::SIZE).map(T::read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_must_fill_the_shape() {
        let error = Tensor::from_bytes(DType::F32, [2, 3], Bytes::from_static(&[0; 20])).unwrap_err();
        assert_eq!(error.to_string(), "a f32 tensor of shape [2, 3] needs 24 bytes, 20 were given");
        let error = Tensor::from_bytes(DType::F32, [usize::MAX, 3], Bytes::new()).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
        assert!(Tensor::from_bytes(DType::String, [0], Bytes::new()).is_err());
        assert!(Tensor::from_bytes(DType::U4, [3], Bytes::from_static(&[0x21, 0x03])).is_ok());
        assert!(Tensor::from_strings([2], vec!["a".into()]).is_err());
    }

    #[test]
    fn scalars_and_empty_tensors_are_tensors() {
        let scalar = Tensor::from_slice([], &[7_i32]).unwrap();
        assert_eq!((scalar.len(), scalar.shape()), (1, &[][..]));
        let empty = Tensor::from_slice::<f32>([0, 4], &[]).unwrap();
        assert!(empty.is_empty());
        assert_eq!(empty.to_f64_vec().unwrap(), Vec::<f64>::new());
    }

    #[test]
    fn reading_as_another_type() {
        let halves = Tensor::from_slice([2], &[f16::from_f32(0.5), f16::from_f32(-2.0)]).unwrap();
        assert_eq!(halves.to_f32_vec().unwrap(), [0.5, -2.0]);
        let brains = Tensor::from_slice([1], &[bf16::from_f32(1.5)]).unwrap();
        assert_eq!(brains.to_f64_vec().unwrap(), [1.5]);
        assert_eq!(Tensor::from_slice([2], &[true, false]).unwrap().to_i64_vec().unwrap(), [1, 0]);
        assert_eq!(Tensor::from_slice([1], &[-3_i8]).unwrap().to_f64_vec().unwrap(), [-3.0]);

        let big = Tensor::from_slice([2], &[1, u64::MAX]).unwrap();
        let error = big.to_i64_vec().unwrap_err();
        assert_eq!(error.to_string(), "element 1 of a u64 tensor is 18446744073709551615, which is no i64");
        let strings = Tensor::from_strings([1], vec!["a".into()]).unwrap();
        assert_eq!(strings.to_f32_vec().unwrap_err().to_string(), "a string tensor cannot be read as f32");
        assert!(halves.to_vec::<f32>().is_err(), "no silent conversion where the exact type was asked for");
    }

    #[test]
    fn reshaping_keeps_the_elements() {
        let tensor = Tensor::from_slice([2, 3], &[1_i64, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(tensor.clone().reshaped([6]).unwrap().to_i64_vec().unwrap(), [1, 2, 3, 4, 5, 6]);
        assert!(tensor.reshaped([5]).is_err());
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(values: Vec<f64>) {
            let tensor = Tensor::from_slice([values.len()], &values).unwrap();
            let back = tensor.to_vec::<f64>().unwrap();
            prop_assert!(values.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }
}
