//! The few file operations that xtask needs, with the path in every error, and whole files or none.
//!
//! `zoo_core::fs` does the same and more; xtask does without it, so that `cargo xtask setup` is built in seconds and
//! `tidy` still runs while a library does not compile.
#![expect(clippy::disallowed_methods, reason = "the path is named here, in every error")]

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Reads a whole file; `None` if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Makes a folder and its parents.
pub(crate) fn create_dir_all(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create the folder `{}`", path.display()))
}

/// Removes a folder with everything in it; a missing one is fine.
pub(crate) fn remove_dir_all(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot remove the folder `{}`", path.display())),
    }
}

/// SHA-256 of a file, in hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("cannot read `{}`", path.display()))?;
        match buffer.get(..count) {
            Some(block) if !block.is_empty() => hasher.update(block),
            _ => return Ok(hex::encode(hasher.finalize())),
        }
    }
}

/// Copies at most `limit` bytes to `path`, which is replaced whole or not at all. More than `limit` is an error.
pub(crate) fn write_atomic(path: &Path, from: impl Read, limit: u64) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let writing = || format!("cannot write `{}`", path.display());
    let mut temp = NamedTempFile::new_in(folder).with_context(writing)?;
    let copied = io::copy(&mut from.take(limit.saturating_add(1)), &mut temp).with_context(writing)?;
    if copied > limit {
        bail!("`{}` would be larger than the {limit} bytes expected of it", path.display());
    }
    temp.flush().with_context(writing)?;
    temp.as_file().sync_all().with_context(writing)?;
    #[cfg(unix)]
    {
        // tempfile makes private files; another user of the machine may well run what this one provided.
        use std::os::unix::fs::PermissionsExt as _;
        let everybody_reads = std::fs::Permissions::from_mode(0o644);
        temp.as_file().set_permissions(everybody_reads).with_context(writing)?;
    }
    temp.persist(path).with_context(writing)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, &b"abc"[..], 3).unwrap();
        let error = write_atomic(&path, &b"abcd"[..], 3).unwrap_err().to_string();
        assert!(error.contains("larger than the 3 bytes"), "{error}");
        assert_eq!(read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_digest_is_the_published_one_of_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, &b"abc"[..], 3).unwrap();
        assert_eq!(
            sha256(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn missing_files_are_named_or_none() {
        let path = Path::new("no/such/file");
        assert!(read(path).unwrap_err().to_string().contains("no/such/file"));
        assert_eq!(read_if_there(path).unwrap(), None);
        remove_dir_all(path).unwrap();
    }
}
