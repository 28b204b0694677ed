//! Files as bytes without reading them.
//!
//! A model's weights may be larger than memory; mapped, they cost address space until somebody looks at them, and
//! then the page cache's memory, which the system can take back. This module holds the only `unsafe` of the
//! workspace.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::Mmap;

use crate::{Error, Result};

/// Maps a regular file, read-only, for as long as any slice of the result lives.
///
/// The file must not be changed in place meanwhile. Files in the store are read-only and replaced by renaming, which
/// is safe: the map keeps the old file.
///
/// # Errors
/// [`Error::File`] if it cannot be opened or mapped, [`Error::NotAFile`] for folders, pipes and devices.
pub fn map_file(path: &Path) -> Result<Bytes> {
    let fail = |action| move |source| Error::File { action, path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(fail("examine"))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(fail("open"))?;
    if metadata.len() == 0 {
        return Ok(Bytes::new()); // Not every system maps nothing.
    }
    #[expect(unsafe_code, reason = "the workspace's only file map")]
    // SAFETY: the map is read-only and private to this process's address space, and lives as long as the `Bytes` that
    // own it. Rust's promise that a `&[u8]` does not change is broken only if another process writes the same file in
    // place; zoo itself never does (it writes temporary files and renames), and the bytes are read as plain integers,
    // for which every bit pattern is valid. A file truncated meanwhile ends the process with a signal, not in memory
    // corruption.
    let map = unsafe { Mmap::map(&file) }.map_err(fail("map"))?;
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn maps_what_is_there() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"weights").unwrap();
        let bytes = map_file(file.path()).unwrap();
        assert_eq!(&bytes[..], b"weights");
        let slice = bytes.slice(3..);
        drop(bytes);
        drop(file);
        assert_eq!(&slice[..], b"ghts", "a slice keeps the map alive after the file's name is gone");
    }

    #[test]
    fn an_empty_file_is_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(map_file(file.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(map_file(dir.path()), Err(Error::NotAFile { .. })));
        let missing = map_file(&dir.path().join("absent")).unwrap_err();
        assert!(missing.to_string().contains("absent"));
        assert!(missing.hint().is_some());
    }
}
