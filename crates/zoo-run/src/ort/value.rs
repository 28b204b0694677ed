//! Tensors to ONNX Runtime's values and back.

use bytemuck::{CheckedBitPattern, NoUninit};
use bytes::Bytes;
use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{
    DynValue, PrimitiveTensorElementType, Tensor as OrtTensor, TensorElementType, TensorRef, ValueType,
};
use zoo_tensor::{DType, Element, Tensor};

use super::message;
use crate::Error;

/// What may go wrong on the way.
pub(super) enum Fault {
    /// An error of ours.
    Ours(Error),
    /// What ONNX Runtime said.
    Theirs(String),
}

impl Fault {
    /// The error; ONNX Runtime's words become one through `wrap`.
    pub(super) fn or(self, wrap: impl FnOnce(String) -> Error) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Theirs(problem) => wrap(problem),
        }
    }
}

impl From<ort::Error> for Fault {
    fn from(error: ort::Error) -> Self {
        Self::Theirs(message::essential(error.message()))
    }
}

impl From<zoo_tensor::Error> for Fault {
    fn from(error: zoo_tensor::Error) -> Self {
        Self::Ours(error.into())
    }
}

/// Calls `$function::<T>($arguments)` with the Rust type of an element type, or gives `$otherwise`. These are the types
/// that `ort` can lend memory for; narrower floats and integers, and complex numbers, it cannot.
macro_rules! by_type {
    ($dtype:expr, $enum:ident { $($variant:ident => $type:ty),* }, $function:ident $arguments:tt, $otherwise:expr) => {
        match $dtype {
            $($enum::$variant => $function::<$type> $arguments,)*
            _ => $otherwise,
        }
    };
}

/// A value over a tensor's bytes where they are aligned, over a copy of them otherwise.
pub(super) fn give<'t>(engine: &str, name: &str, tensor: &'t Tensor) -> Result<SessionInputValue<'t>, Fault> {
    if let Some(strings) = tensor.strings() {
        if let Some(place) = strings.iter().position(|text| text.contains('\0')) {
            let problem =
                format!("text {place} of \"{name}\" contains a NUL byte, which ends a text for the engine");
            return Err(Fault::Theirs(problem));
        }
        return Ok(OrtTensor::from_string_array((tensor.shape(), strings))?.into());
    }
    by_type!(
        tensor.dtype(),
        DType {
            F32 => f32, F64 => f64, F16 => f16, BF16 => bf16, Bool => bool,
            I8 => i8, I16 => i16, I32 => i32, I64 => i64,
            U8 => u8, U16 => u16, U32 => u32, U64 => u64
        },
        lend(tensor),
        Err(unsupported(engine, name, tensor.dtype().to_string()))
    )
}

fn lend<T>(tensor: &Tensor) -> Result<SessionInputValue<'_>, Fault>
where
    T: Element + CheckedBitPattern + PrimitiveTensorElementType + std::fmt::Debug,
{
    let bytes = tensor.bytes().map_or(&[][..], |bytes| bytes);
    // Fails if they are not aligned, and for booleans that are neither 0 nor 1, which reading puts right.
    if cfg!(target_endian = "little")
        && let Ok(elements) = bytemuck::checked::try_cast_slice::<u8, T>(bytes)
    {
        return Ok(TensorRef::from_array_view((tensor.shape(), elements))?.into());
    }
    Ok(OrtTensor::from_array((tensor.shape().to_vec(), tensor.to_vec::<T>()?))?.into())
}

/// A tensor with a copy of a value's elements.
pub(super) fn take(engine: &str, name: &str, value: &DynValue) -> Result<Tensor, Fault> {
    let Some(dtype) = value.dtype().tensor_type() else {
        return Err(Fault::Ours(not_a_tensor(name, value.dtype())));
    };
    if dtype == TensorElementType::String {
        let (shape, strings) = value.try_extract_strings()?;
        return Ok(Tensor::from_strings(sizes(shape)?, strings)?);
    }
    by_type!(
        dtype,
        TensorElementType {
            Float32 => f32, Float64 => f64, Float16 => f16, Bfloat16 => bf16, Bool => bool,
            Int8 => i8, Int16 => i16, Int32 => i32, Int64 => i64,
            Uint8 => u8, Uint16 => u16, Uint32 => u32, Uint64 => u64
        },
        copy(value),
        Err(unsupported(engine, name, dtype.to_string()))
    )
}

fn copy<T>(value: &DynValue) -> Result<Tensor, Fault>
where
    T: Element + NoUninit + PrimitiveTensorElementType,
{
    let (shape, elements) = value.try_extract_tensor::<T>()?;
    let shape = sizes(shape)?;
    if cfg!(target_endian = "little") {
        let bytes = Bytes::copy_from_slice(bytemuck::cast_slice(elements));
        return Ok(Tensor::from_bytes(T::DTYPE, shape, bytes)?);
    }
    Ok(Tensor::from_slice(shape, elements)?)
}

fn sizes(shape: &[i64]) -> Result<Vec<usize>, Fault> {
    let size =
        |&size| usize::try_from(size).map_err(|_| Fault::Theirs(format!("an output has the size {size}")));
    shape.iter().map(size).collect()
}

/// That an output is no tensor, where only ONNX Runtime knows so.
pub(super) fn not_a_tensor(name: &str, kind: &ValueType) -> Error {
    let kind = match kind {
        ValueType::Tensor { .. } => "tensor",
        ValueType::Sequence(_) => "sequence",
        ValueType::Map { .. } => "map",
        ValueType::Optional(_) => "optional value",
    };
    Error::NotATensor { direction: "output", name: name.to_owned(), kind: kind.to_owned() }
}

fn unsupported(engine: &str, name: &str, dtype: String) -> Fault {
    Fault::Ours(Error::Unsupported { engine: engine.to_owned(), name: name.to_owned(), dtype })
}
