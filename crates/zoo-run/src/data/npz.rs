//! Reading `.npz`: a zip archive of `.npy` files, stored or deflated.
//!
//! Arrays are read through the archive's checksums, so their bytes are copied once. Memory grows with what really comes
//! out, never with what a header claims.

use std::io::{Cursor, Read as _};
use std::path::Path;

use bytes::Bytes;
use zip::ZipArchive;

use super::npy;
use crate::limits::{MAX_ARRAYS, MAX_UNPACKED_BYTES};
use crate::{Error, Named, Result};

/// What a zip archive begins with: its first member, or its end if there is none.
pub(super) const MAGICS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// Reads every array, in the archive's order, named as numpy names them: without `.npy`.
pub(super) fn parse(path: &Path, file: &Bytes) -> Result<Vec<Named>> {
    let bad = |problem: String| Error::BadArchive { path: path.to_owned(), problem };
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|error| bad(error.to_string()))?;
    if archive.len() > MAX_ARRAYS {
        let what = format!("the number of arrays in {}", path.display());
        return Err(Error::TooMuch { what, limit: MAX_ARRAYS as u64, unit: "arrays" });
    }
    if archive.has_duplicate_names() {
        return Err(bad("two of its members have the same name".to_owned()));
    }
    let mut left = MAX_UNPACKED_BYTES;
    let mut tensors = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| bad(error.to_string()))?;
        let full = member.name().map_err(|error| bad(error.to_string()))?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else {
            return Err(bad(format!("its member \"{full}\" is no .npy file")));
        };
        let mut data = Vec::new();
        // One byte more than is left, so that exactly filling the limit is allowed.
        (&mut member)
            .take(left.saturating_add(1))
            .read_to_end(&mut data)
            .map_err(|error| bad(format!("its member \"{full}\" cannot be unpacked: {error}")))?;
        left = left.checked_sub(data.len() as u64).ok_or_else(|| Error::TooMuch {
            what: format!("the size of the arrays in {}", path.display()),
            limit: MAX_UNPACKED_BYTES,
            unit: "bytes",
        })?;
        let tensor = npy::parse(&format!("\"{name}\" in {}", path.display()), &Bytes::from(data))?;
        tensors.push((name.to_owned(), tensor));
    }
    Ok(tensors)
}
