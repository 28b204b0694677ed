//! safetensors files: a JSON header with a place for every tensor, read by the `safetensors` crate.
//!
//! The file is mapped and only its header is touched. The crate checks that the places lie one after the other without
//! gaps and end where the file does.

use safetensors::{Dtype, SafeTensors};
use zoo_tensor::{DType, Weight, map};

use crate::file::SourceReader;
use crate::state_dict::StateDict;
use crate::{Error, Result};

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

pub(crate) fn read(file: &SourceReader) -> Result<StateDict> {
    let bytes = map::map_file(file.path())?;
    let failed = |source| Error::Safetensors { path: file.path().to_owned(), source };
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(failed)?;
    let data = (LENGTH_BYTES + header) as u64;
    let mut weights = StateDict::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let dtype = element(info.dtype).ok_or_else(|| Error::Unknown {
            path: file.path().to_owned(),
            problem: format!("\"{name}\" is of type {:?}, which zoo has no name for", info.dtype),
        })?;
        let offset = data + info.data_offsets.0 as u64;
        weights.insert(name, Weight::in_file(dtype, info.shape.clone(), file.source(), offset)?);
    }
    let notes = metadata.metadata().iter().flatten();
    weights.set_metadata(notes.map(|(key, value)| (key.clone(), value.clone())).collect());
    Ok(weights)
}

fn element(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::F4 => DType::F4E2M1,
        Dtype::F6_E2M3 => DType::F6E2M3,
        Dtype::F6_E3M2 => DType::F6E3M2,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::F8_E5M2 => DType::F8E5M2,
        Dtype::F8_E4M3 => DType::F8E4M3FN,
        Dtype::F8_E5M2FNUZ => DType::F8E5M2FNUZ,
        Dtype::F8_E4M3FNUZ => DType::F8E4M3FNUZ,
        Dtype::F8_E8M0 => DType::F8E8M0,
        Dtype::I16 => DType::I16,
        Dtype::U16 => DType::U16,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::F32 => DType::F32,
        Dtype::C64 => DType::C64,
        Dtype::F64 => DType::F64,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        _ => return None,
    })
}
