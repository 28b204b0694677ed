//! Bringing content that is on this machine already to its place: cloned where the file system can, linked where the
//! caller wants that, copied otherwise; and always hashed on the way.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::digest::{Digest, Digests, Hasher};
use crate::error::{Error, Result};
use crate::fs;

const BLOCK: usize = 1 << 20;

/// SHA-256 of a file, and whichever other digests are in `published`.
pub fn hash_file(path: &Path, published: &[Digest]) -> Result<Digests> {
    let mut file = fs::open(path)?;
    let size = file.metadata().map_err(Error::io("look at", path))?.len();
    let mut hasher = Hasher::new(published, Some(size));
    read_through(&mut file, path, |block| {
        hasher.update(block);
        Ok(())
    })?;
    Ok(hasher.finish())
}

fn read_through(file: &mut File, path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; BLOCK];
    loop {
        let count = file.read(&mut buffer).map_err(Error::io("read", path))?;
        match buffer.get(..count) {
            Some(block) if !block.is_empty() => each(block)?,
            _ => return Ok(()),
        }
    }
}

/// Makes `to` (which must not exist) have the content of `from`, and returns the digests of what `to` then has.
pub(crate) fn duplicate(from: &Path, to: &Path, hard_link: bool, published: &[Digest]) -> Result<Digests> {
    if hard_link && std::fs::hard_link(from, to).is_ok() {
        return hash_file(to, published);
    }
    if reflink_copy::reflink(from, to).is_ok() {
        return hash_file(to, published);
    }
    let mut source = fs::open(from)?;
    let size = source.metadata().map_err(Error::io("look at", from))?.len();
    super::super::fetch::check_space(to.parent().unwrap_or(Path::new(".")), size)?;
    let mut target = fs::open_rw(to)?;
    let mut hasher = Hasher::new(published, Some(size));
    read_through(&mut source, from, |block| {
        hasher.update(block);
        target.write_all(block).map_err(Error::io("write", to))
    })?;
    target.sync_all().map_err(Error::io("flush", to))?;
    Ok(hasher.finish())
}

/// Puts a file at `to`, which must not exist: hard-linked if asked and possible, cloned where the file system can, else
/// copied. For files that nothing vouches for; the store's own go through a pull, which hashes them.
pub fn place_file(from: &Path, to: &Path, hard_link: bool) -> Result<()> {
    if hard_link && std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    match reflink_copy::reflink_or_copy(from, to) {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Io { action: "copy to", path: to.to_owned(), source }),
    }
}

/// Modification time in nanoseconds since 1970, where the file system keeps one.
pub(crate) fn mtime_ns(path: &Path) -> Option<i64> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_has_the_content_and_its_digests() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::write_atomic(&from, b"123456789", false).unwrap();
        let published: Vec<Digest> = vec!["crc32c:e3069283".parse().unwrap()];
        for (name, link) in [("copy", false), ("link", true)] {
            let to = dir.path().join(name);
            let digests = duplicate(&from, &to, link, &published).unwrap();
            assert_eq!(digests.check(&published), Ok(()));
            assert_eq!(fs::read_bounded(&to, 100).unwrap(), b"123456789");
        }
        assert!(mtime_ns(&from).unwrap() > 0);
    }
}
