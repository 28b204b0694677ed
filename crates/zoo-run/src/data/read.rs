//! Tensors from one file, of whichever kind it is.

use std::path::Path;

use zoo_graph::{Looks, Model};

use super::{npy, npz};
use crate::{Error, Named, Result};

/// Reads a file of tensors. What it is, its content says; its name does not matter.
///
/// - `.npy`: one tensor, named by the file's name without extension;
/// - `.npz`: every array under its own name;
/// - ONNX's `.pb` (a `TensorProto`): one tensor under its own name, which may be empty.
///
/// The elements of a `.npy` file are not copied unless their order asks for it; those of a `.pb` file as
/// [`zoo_graph::tensor`] says.
///
/// # Errors
/// If the file cannot be read, is of another kind (which is then named), contradicts itself, or holds Python objects.
pub fn read(path: &Path) -> Result<Vec<Named>> {
    let file = zoo_tensor::map::map_file(path)?;
    if file.starts_with(npy::MAGIC) {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(vec![(name, npy::parse(&path.display().to_string(), &file)?)]);
    }
    if npz::MAGICS.iter().any(|magic| file.starts_with(magic)) {
        return npz::parse(path, &file);
    }
    read_pb(path).map(|named| vec![named])
}

/// Reads a `TensorProto`. Almost any bytes can be taken for the beginning of one, so what else they may be is asked only
/// when that fails.
pub(super) fn read_pb(path: &Path) -> Result<Named> {
    zoo_graph::tensor::from_file(path).map_err(|error| {
        let looks = match &error {
            zoo_graph::Error::Tensor(_) => return error.into(),
            zoo_graph::Error::NotOnnx { looks, .. } => *looks,
            _ => match zoo_tensor::map::map_file(path) {
                Ok(file) if Model::from_bytes("", file.clone()).is_ok() => {
                    return Error::IsModel { path: path.to_owned() };
                }
                Ok(file) => Looks::of(&file),
                Err(_) => Looks::Unknown,
            },
        };
        match looks {
            Looks::Unknown => error.into(),
            looks => Error::NotTensors { path: path.to_owned(), looks },
        }
    })
}
