//! What a file consists of: bytes in memory, a file on disk read as it is sent, or a pattern made on the fly.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::LazyLock;

use bytes::Bytes;
use zoo_core::digest::{Digest, Digests, Hasher};

/// Bytes sent at once: large, so that the mirror is not what a benchmark measures.
pub(crate) const FRAME: u64 = 512 << 10;

const BLOCK: u64 = 4 << 20;
const STAMP: u64 = 16;

/// Pseudo-random, so that nothing compresses and no two offsets of a block look alike.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut bytes = vec![0; BLOCK as usize];
    fastrand::Rng::with_seed(0x5eed).fill(&mut bytes);
    Bytes::from(bytes)
});

/// Content of a served file. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// On disk, with its length.
    File(PathBuf, u64),
    /// So many bytes of a fixed pattern; every 4 MiB begin with their number, so that exchanged blocks differ.
    Pattern(u64),
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Memory(Bytes::from_static(bytes))
    }
}

impl Content {
    /// A file on disk.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, crate::Error> {
        let path = path.into();
        let meta =
            std::fs::metadata(&path).map_err(crate::Error::io(format!("look at `{}`", path.display())))?;
        Ok(Self::File(path, meta.len()))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, len) | Self::Pattern(len) => *len,
        }
    }

    /// Whether two contents are the same without looking at their bytes.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(a), Self::Memory(b)) => a.as_ptr() == b.as_ptr() && a.len() == b.len(),
            (Self::File(a, _), Self::File(b, _)) => a == b,
            (Self::Pattern(a), Self::Pattern(b)) => a == b,
            _ => false,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it, in memory.
    pub fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < self.len() {
            bytes.extend_from_slice(&self.read(bytes.len() as u64, self.len())?);
        }
        Ok(bytes)
    }

    /// Some bytes from `at` on, at least one and at most to `end`.
    pub(crate) fn read(&self, at: u64, end: u64) -> std::io::Result<Bytes> {
        let end = end.min(self.len()).min(at + FRAME);
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(at as usize..end as usize)),
            Self::File(path, _) => {
                let mut file = std::fs::File::open(path)?;
                file.seek(SeekFrom::Start(at))?;
                let mut out = vec![0; (end - at) as usize];
                file.read_exact(&mut out)?;
                Ok(out.into())
            }
            Self::Pattern(_) => {
                let (block, within) = (at / BLOCK, at % BLOCK);
                if within < STAMP {
                    let mut stamp = [0; STAMP as usize];
                    stamp[..8].copy_from_slice(&block.to_le_bytes());
                    let stop = STAMP.min(within + (end - at));
                    return Ok(Bytes::copy_from_slice(&stamp[within as usize..stop as usize]));
                }
                let stop = BLOCK.min(within + (end - at));
                Ok(PATTERN.slice(within as usize..stop as usize))
            }
        }
    }

    /// Every digest a hub may publish of it.
    pub fn digests(&self) -> std::io::Result<Digests> {
        let wanted = [Digest::GitBlob([0; 20]), Digest::Md5([0; 16]), Digest::Crc32c(0)];
        let mut hasher = Hasher::new(&wanted, Some(self.len()));
        let mut at = 0;
        while at < self.len() {
            let part = self.read(at, self.len())?;
            hasher.update(&part);
            at += part.len() as u64;
        }
        Ok(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &Content, mut at: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while at < content.len() {
            let part = content.read(at, content.len()).unwrap();
            assert!(!part.is_empty());
            at += part.len() as u64;
            out.extend_from_slice(&part);
        }
        out
    }

    #[test]
    fn a_pattern_is_the_same_wherever_reading_begins() {
        let content = Content::Pattern(BLOCK + 1000);
        let whole = all(&content, 0);
        assert_eq!(whole.len() as u64, content.len());
        for at in [1, 15, 16, BLOCK - 1, BLOCK, BLOCK + 7] {
            assert_eq!(all(&content, at), whole[at as usize..], "{at}");
        }
    }

    #[test]
    fn a_file_is_served_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), b"hello").unwrap();
        let content = Content::file(&path).unwrap();
        assert_eq!(all(&content, 1), b"ello");
        assert_eq!(content.digests().unwrap(), Content::from(b"hello".to_vec()).digests().unwrap());
    }
}
