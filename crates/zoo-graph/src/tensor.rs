//! ONNX tensors, however they are stored, as [`zoo_tensor::Tensor`].
//!
//! ONNX stores the same numbers in four ways: raw bytes, typed lists (where narrow types ride in wider ones), lists of
//! strings, and ranges of another file. Raw and external bytes are not copied.

use std::path::Path;

use bytes::Bytes;
use zoo_tensor::{DType, Tensor, element_count};

use crate::proto::{DataLocation, TensorProto};
use crate::{Error, Result, external};

/// Reads a single tensor from a `.pb` file, as published test data sets hold them. Returns its name, which may be
/// empty, and the tensor.
///
/// # Errors
/// If the file is no ONNX tensor, or the tensor contradicts itself.
pub fn from_file(path: &Path) -> Result<(String, Tensor)> {
    let bytes = zoo_tensor::map::map_file(path)?;
    let proto = crate::decode::decode_tensor(&path.display().to_string(), bytes)?;
    let tensor = to_tensor(&proto, path.parent())?;
    Ok((proto.name().to_owned(), tensor))
}

/// Turns an ONNX tensor into a tensor. `dir` is where external data is looked for; without it, external data is an
/// error.
///
/// # Errors
/// [`Error::BadTensor`] if type, shape and data disagree; the errors of [`external`] for external data.
pub fn to_tensor(proto: &TensorProto, dir: Option<&Path>) -> Result<Tensor> {
    let bad = |problem: String| Error::BadTensor { tensor: proto.name().to_owned(), problem };
    let (dtype, shape) = (dtype(proto)?, shape(proto)?);
    if proto.segment.is_some() {
        return Err(bad("it is one segment of a larger tensor, which no exporter writes".to_owned()));
    }
    if is_external(proto) {
        let Some(dir) = dir else {
            return Err(bad("its data is in another file, and the model came without a folder".to_owned()));
        };
        return Ok(Tensor::from_bytes(dtype, shape, external::read(proto, dir)?)?);
    }
    if dtype == DType::String {
        let strings = proto
            .string_data
            .iter()
            .map(|bytes| {
                String::from_utf8(bytes.to_vec()).map_err(|_| bad("it holds text that is not UTF-8".into()))
            })
            .collect::<Result<Vec<_>>>()?;
        return Ok(Tensor::from_strings(shape, strings)?);
    }
    let count = element_count(&shape).ok_or_else(|| bad("its shape overflows".to_owned()))?;
    let data = match &proto.raw_data {
        // Some writers leave an empty field beside the typed one.
        Some(raw) if !raw.is_empty() || count == 0 => raw.clone(),
        _ => typed_data(proto, dtype, count)
            .map_err(|(expected, found)| bad(format!("{expected} values are needed, {found} are there")))?,
    };
    Tensor::from_bytes(dtype, shape, data).map_err(|error| bad(error.to_string()))
}

/// The element type.
///
/// # Errors
/// If it is undefined or unknown.
pub fn dtype(proto: &TensorProto) -> Result<DType> {
    DType::from_onnx_code(proto.data_type()).ok_or_else(|| Error::BadTensor {
        tensor: proto.name().to_owned(),
        problem: format!("its element type {} is not one ONNX defines", proto.data_type()),
    })
}

/// The shape as sizes.
///
/// # Errors
/// If a dimension is negative.
pub fn shape(proto: &TensorProto) -> Result<Vec<usize>> {
    let size = |&dim| {
        usize::try_from(dim).map_err(|_| Error::BadTensor {
            tensor: proto.name().to_owned(),
            problem: format!("its shape {:?} has a negative size", proto.dims),
        })
    };
    proto.dims.iter().map(size).collect()
}

/// The size in bytes by type and shape; for strings, the bytes of the text.
///
/// # Errors
/// As [`dtype`] and [`shape`], and if the size overflows.
pub fn size(proto: &TensorProto) -> Result<u64> {
    let dtype = dtype(proto)?;
    if dtype == DType::String {
        return Ok(proto.string_data.iter().map(|text| text.len() as u64).sum());
    }
    let bytes = element_count(&shape(proto)?).and_then(|count| dtype.byte_len(count));
    bytes.map(|bytes| bytes as u64).ok_or_else(|| Error::BadTensor {
        tensor: proto.name().to_owned(),
        problem: format!("its size in bytes ({dtype}, {:?}) overflows", proto.dims),
    })
}

/// Whether the data lies in another file.
pub fn is_external(proto: &TensorProto) -> bool {
    proto.data_location == Some(DataLocation::External as i32)
}

/// The name of the typed field that holds elements of this type, its number of values for `count` elements, and how
/// many it has.
pub(crate) fn typed_field(
    proto: &TensorProto,
    dtype: DType,
    count: usize,
) -> (&'static str, Option<usize>, usize) {
    match dtype {
        DType::F32 => ("float_data", Some(count), proto.float_data.len()),
        DType::C64 => ("float_data", count.checked_mul(2), proto.float_data.len()),
        DType::F64 => ("double_data", Some(count), proto.double_data.len()),
        DType::C128 => ("double_data", count.checked_mul(2), proto.double_data.len()),
        DType::I64 => ("int64_data", Some(count), proto.int64_data.len()),
        DType::U32 | DType::U64 => ("uint64_data", Some(count), proto.uint64_data.len()),
        DType::String => ("string_data", Some(count), proto.string_data.len()),
        // Two or four of these share one value, as they share one byte; 6-bit floats do not.
        DType::U4 | DType::I4 | DType::F4E2M1 => {
            ("int32_data", Some(count.div_ceil(2)), proto.int32_data.len())
        }
        DType::U2 | DType::I2 => ("int32_data", Some(count.div_ceil(4)), proto.int32_data.len()),
        _ => ("int32_data", Some(count), proto.int32_data.len()),
    }
}

/// The bytes of a tensor stored in typed fields, or (needed, found) if their number is wrong.
fn typed_data(proto: &TensorProto, dtype: DType, count: usize) -> Result<Bytes, (usize, usize)> {
    let (_, expected, found) = typed_field(proto, dtype, count);
    if expected != Some(found) {
        return Err((expected.unwrap_or(usize::MAX), found));
    }
    let mut out = Vec::new();
    match dtype {
        DType::F32 | DType::C64 => out.extend(proto.float_data.iter().flat_map(|value| value.to_le_bytes())),
        DType::F64 | DType::C128 => {
            out.extend(proto.double_data.iter().flat_map(|value| value.to_le_bytes()));
        }
        DType::I64 => out.extend(proto.int64_data.iter().flat_map(|value| value.to_le_bytes())),
        DType::U64 => out.extend(proto.uint64_data.iter().flat_map(|value| value.to_le_bytes())),
        DType::U32 => out.extend(proto.uint64_data.iter().flat_map(|value| (*value as u32).to_le_bytes())),
        DType::I32 => out.extend(proto.int32_data.iter().flat_map(|value| value.to_le_bytes())),
        DType::I16 | DType::U16 | DType::F16 | DType::BF16 => {
            out.extend(proto.int32_data.iter().flat_map(|value| (*value as u16).to_le_bytes()));
        }
        DType::F6E2M3 | DType::F6E3M2 => {
            // Four 6-bit values make three bytes, the first in the lowest bits.
            for group in proto.int32_data.chunks(4) {
                let packed = group.iter().rev().fold(0_u32, |bits, value| bits << 6 | (*value as u32 & 0x3f));
                out.extend(&packed.to_le_bytes()[..(group.len() * 6).div_ceil(8)]);
            }
        }
        _ => out.extend(proto.int32_data.iter().map(|value| *value as u8)),
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: DType, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: Some("t".into()),
            dims: dims.to_vec(),
            data_type: Some(dtype.onnx_code()),
            ..Default::default()
        }
    }

    #[test]
    fn narrow_types_ride_in_wide_fields() {
        let half = TensorProto { int32_data: vec![0x3c00, 0xc000], ..tensor(DType::F16, &[2]) };
        assert_eq!(to_tensor(&half, None).unwrap().to_f32_vec().unwrap(), [1.0, -2.0]);
        let bytes = TensorProto { int32_data: vec![-1, 5], ..tensor(DType::I8, &[2]) };
        assert_eq!(to_tensor(&bytes, None).unwrap().to_i64_vec().unwrap(), [-1, 5]);
        let words = TensorProto { uint64_data: vec![4_000_000_000], ..tensor(DType::U32, &[1]) };
        assert_eq!(to_tensor(&words, None).unwrap().to_i64_vec().unwrap(), [4_000_000_000]);
        let nibbles = TensorProto { int32_data: vec![0x21, 0x03], ..tensor(DType::U4, &[3]) };
        assert_eq!(to_tensor(&nibbles, None).unwrap().bytes().unwrap()[..], [0x21, 0x03]);
        let six = TensorProto { int32_data: vec![1, 2, 3, 4, 5], ..tensor(DType::F6E2M3, &[5]) };
        let expected = [0b1000_0001, 0b0011_0000, 0b0001_0000, 0b0000_0101];
        assert_eq!(to_tensor(&six, None).unwrap().bytes().unwrap()[..], expected);
        let complex = TensorProto { float_data: vec![1.0, 2.0], ..tensor(DType::C64, &[1]) };
        assert_eq!(to_tensor(&complex, None).unwrap().bytes().unwrap().len(), 8);
        let flags = TensorProto { int32_data: vec![1, 0], ..tensor(DType::Bool, &[2]) };
        assert_eq!(to_tensor(&flags, None).unwrap().to_i64_vec().unwrap(), [1, 0]);
    }

    #[test]
    fn strings() {
        let good = TensorProto { string_data: vec!["zoo".into()], ..tensor(DType::String, &[1]) };
        assert_eq!(to_tensor(&good, None).unwrap().strings().unwrap(), ["zoo"]);
        let bad =
            TensorProto { string_data: vec![Bytes::from_static(b"\xff")], ..tensor(DType::String, &[1]) };
        assert!(to_tensor(&bad, None).unwrap_err().to_string().contains("not UTF-8"));
    }

    #[test]
    fn contradictions_are_named() {
        let message = |proto: &TensorProto| to_tensor(proto, None).unwrap_err().to_string();
        let short = TensorProto { float_data: vec![1.0], ..tensor(DType::F32, &[2]) };
        assert_eq!(message(&short), "tensor \"t\": 2 values are needed, 1 are there");
        let raw = TensorProto { raw_data: Some(Bytes::from_static(&[0; 3])), ..tensor(DType::F32, &[1]) };
        assert!(message(&raw).contains("needs 4 bytes, 3 were given"));
        assert!(message(&tensor(DType::F32, &[-1])).contains("negative size"));
        assert!(message(&tensor(DType::F32, &[i64::MAX, i64::MAX])).contains("overflows"));
        assert!(
            message(&TensorProto { data_type: Some(99), ..Default::default() }).contains("element type 99")
        );
        assert_eq!(size(&tensor(DType::F32, &[2, 3])).unwrap(), 24);
    }
}
