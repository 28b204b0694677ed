//! Tensors: as many bytes as type and shape ask for, in the right field or file.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use zoo_tensor::{DType, element_count};

use super::{Checker, Place};
use crate::proto::{SparseTensorProto, TensorProto};
use crate::{Result, external, tensor};

/// The length of each external file, asked for once.
#[derive(Default)]
pub(super) struct ExternalLengths(HashMap<String, (PathBuf, u64)>);

impl Checker<'_> {
    pub(super) fn tensor(&mut self, place: &Place<'_>, proto: &TensorProto) {
        let found = if tensor::is_external(proto) { self.external_data(proto) } else { inline_data(proto) };
        if let Err(message) = found {
            self.report.add(place, || message);
        }
    }

    fn external_data(&mut self, proto: &TensorProto) -> Result<(), String> {
        let text = |error: crate::Error| match error {
            crate::Error::BadTensor { problem, .. } => problem,
            error => error.to_string(),
        };
        if let Some((field, _)) = filled(proto).first() {
            return Err(format!("its data is in another file, but `{field}` holds data too"));
        }
        let place = external::place(proto).map_err(text)?;
        let Some(dir) = self.model.dir() else { return Ok(()) };
        let (path, length) = if let Some(known) = self.external.0.get(&place.location) {
            known
        } else {
            let path = external::resolve(dir, proto.name(), &place.location).map_err(text)?;
            let length =
                std::fs::metadata(&path).map_err(|e| format!("cannot examine {}: {e}", path.display()))?;
            self.external.0.entry(place.location).or_insert((path, length.len()))
        };
        let end = place.offset + place.length;
        if end > *length {
            return Err(text(external::too_short(proto, path, end, *length)));
        }
        Ok(())
    }

    pub(super) fn sparse_tensor(&mut self, place: &Place<'_>, proto: &SparseTensorProto) {
        let (Some(values), Some(indices)) = (&proto.values, &proto.indices) else {
            // All zeros: indices may be absent, but the values name the tensor.
            if proto.values.is_none() || proto.values.as_ref().is_some_and(|values| values.dims != [0]) {
                self.report.add(place, || "a sparse tensor needs values and indices".to_owned());
            }
            return;
        };
        self.tensor(place, values);
        self.tensor(place, indices);
        let (&[count], rank) = (values.dims.as_slice(), proto.dims.len() as i64) else {
            self.report
                .add(place, || format!("sparse values have shape {:?}, a list is needed", values.dims));
            return;
        };
        let fits = match indices.dims.as_slice() {
            [n] => *n == count,
            [n, width] => *n == count && *width == rank,
            _ => false,
        };
        if indices.data_type() != DType::I64.onnx_code() || !fits {
            self.report.add(place, || {
                format!("sparse indices of shape {:?} do not fit {count} values of rank {rank}", indices.dims)
            });
        }
    }
}

/// The fields that hold data, each with its number of values.
fn filled(proto: &TensorProto) -> Vec<(&'static str, usize)> {
    [
        ("raw_data", proto.raw_data.as_ref().map_or(0, Bytes::len)),
        ("float_data", proto.float_data.len()),
        ("int32_data", proto.int32_data.len()),
        ("int64_data", proto.int64_data.len()),
        ("uint64_data", proto.uint64_data.len()),
        ("double_data", proto.double_data.len()),
        ("string_data", proto.string_data.len()),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .collect()
}

fn inline_data(proto: &TensorProto) -> Result<(), String> {
    let text = |error: crate::Error| match error {
        crate::Error::BadTensor { problem, .. } => problem,
        error => error.to_string(),
    };
    let dtype = tensor::dtype(proto).map_err(text)?;
    let shape = tensor::shape(proto).map_err(text)?;
    let Some(count) = element_count(&shape) else { return Err(format!("its shape {shape:?} overflows")) };
    if proto.segment.is_some() {
        return Err("it is one segment of a larger tensor, which no exporter writes".to_owned());
    }
    let filled = filled(proto);
    if let [(one, _), (other, _), ..] = filled[..] {
        return Err(format!("both `{one}` and `{other}` hold data"));
    }
    let (field, expected, found) = tensor::typed_field(proto, dtype, count);
    match filled.first() {
        Some(("raw_data", found)) => {
            if dtype == DType::String {
                return Err("text is in `raw_data`; it belongs into `string_data`".to_owned());
            }
            match dtype.byte_len(count) {
                Some(expected) if expected == *found => Ok(()),
                Some(expected) => {
                    Err(format!("{dtype} {shape:?} needs {expected} bytes, `raw_data` has {found}"))
                }
                None => Err(format!("its size in bytes ({dtype}, {shape:?}) overflows")),
            }
        }
        Some((other, _)) if *other != field => {
            Err(format!("{dtype} values are in `{other}`; they belong into `{field}`"))
        }
        _ if expected == Some(found) => Ok(()),
        _ if found == 0 => Err(format!("{dtype} {shape:?} has no data")),
        _ => Err(format!(
            "{dtype} {shape:?} needs {} values, `{field}` has {found}",
            expected.unwrap_or(usize::MAX)
        )),
    }
}
