//! Flax's arrays (`flax/serialization.py`): an extension whose payload is msgpack again, `[shape, dtype name, bytes]`.
//!
//! The bytes are row-major and in the order of the machine that wrote them, which the file does not tell; Flax reads them
//! as little-endian on every machine that it runs on.

use zoo_tensor::{DType, element_count};

use super::token::{Input, Token};
use crate::{Result, limits};

/// The extension type of arrays. 2 is Python's `complex`, no array.
pub(super) const ARRAY: i8 = 1;

/// The extension type of numpy scalars, which are written as arrays without axes.
pub(super) const SCALAR: i8 = 3;

/// An array and where its elements are.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

/// Where the elements of an array are.
#[derive(Debug)]
pub(super) enum Data {
    /// From this byte on.
    Place(u64),
    /// In several places, each with its length.
    Chunks(Vec<(u64, u64)>),
}

/// Reads the payload of an array. What cannot be taken of one that is in order is the inner error.
pub(super) fn read(input: &Input<'_>, offset: u64, length: u64) -> Result<Result<Array, String>> {
    let mut payload = input.part(offset, length);
    let Token::List(3) = payload.next()? else {
        return Err(payload.damaged("an array is no list of shape, type and bytes"));
    };
    let (Token::List(rank), mut shape) = (payload.next()?, Vec::new()) else {
        return Err(payload.damaged("the shape of an array is no list"));
    };
    if rank as usize > limits::MAX_RANK {
        return Err(payload.damaged(format!("an array has {rank} axes")));
    }
    for _ in 0..rank {
        let Token::Unsigned(size) = payload.next()? else {
            return Err(payload.damaged("a size of an array is no number"));
        };
        shape.push(size as usize);
    }
    let name = match payload.next()? {
        Token::Text { offset, length } | Token::Bytes { offset, length } => payload.text(offset, length)?,
        other => return Err(payload.damaged(format!("the type of an array is {}", other.what()))),
    };
    let (Token::Bytes { offset, length } | Token::Text { offset, length }) = payload.next()? else {
        return Err(payload.damaged("the elements of an array are no bytes"));
    };
    if !payload.is_at_end() {
        return Err(payload.damaged("something follows the elements of an array"));
    }
    let Some(dtype) = dtype(&name) else {
        let name: String = name.chars().take(limits::MAX_SHOWN_KEY).collect();
        return Ok(Err(format!("is of type {name}, which zoo has no name for")));
    };
    let needed = element_count(&shape).and_then(|count| dtype.byte_len(count));
    if needed.is_none_or(|needed| needed as u64 != length) {
        let problem = format!("an array of type {dtype} and shape {shape:?} has {length} bytes");
        return Err(payload.damaged(problem));
    }
    Ok(Ok(Array { dtype, shape, data: Data::Place(offset) }))
}

/// An array from its chunks, each flat.
pub(super) fn joined(shape: Vec<usize>, chunks: &[Array]) -> Result<Array, String> {
    let Some(dtype) = chunks.first().map(|chunk| chunk.dtype) else {
        return Err("has no chunks".to_owned());
    };
    let mut places = Vec::with_capacity(chunks.len());
    let mut count = 0_usize;
    for chunk in chunks {
        let (&[elements], &Data::Place(offset)) = (chunk.shape.as_slice(), &chunk.data) else {
            return Err("has chunks that are not flat".to_owned());
        };
        if chunk.dtype != dtype {
            return Err("has chunks of several types".to_owned());
        }
        count = count.saturating_add(elements);
        places.push((offset, dtype.byte_len(elements).unwrap_or(0) as u64));
    }
    if element_count(&shape) != Some(count) {
        return Err(format!("is of shape {shape:?}, but its chunks have {count} elements"));
    }
    let data = match places.as_slice() {
        &[(offset, _)] => Data::Place(offset),
        _ => Data::Chunks(places),
    };
    Ok(Array { dtype, shape, data })
}

/// numpy's and ml_dtypes' names of element types. Their 4-bit integers take a byte each, which no type here does.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "float32" => DType::F32,
        "bfloat16" => DType::BF16,
        "float16" => DType::F16,
        "float64" => DType::F64,
        "int8" => DType::I8,
        "int16" => DType::I16,
        "int32" => DType::I32,
        "int64" => DType::I64,
        "uint8" => DType::U8,
        "uint16" => DType::U16,
        "uint32" => DType::U32,
        "uint64" => DType::U64,
        "bool" => DType::Bool,
        "complex64" => DType::C64,
        "complex128" => DType::C128,
        "float8_e4m3fn" => DType::F8E4M3FN,
        "float8_e4m3fnuz" => DType::F8E4M3FNUZ,
        "float8_e5m2" => DType::F8E5M2,
        "float8_e5m2fnuz" => DType::F8E5M2FNUZ,
        "float8_e8m0fnu" => DType::F8E8M0,
        _ => return None,
    })
}
