//! An opened file: its superblock, and reading at addresses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cursor::Cursor;
use super::group::Group;
use super::superblock::{self, Superblock};
use crate::file::SourceReader;
use crate::{Error, Result, limits};

/// An HDF5 file. Cloning shares it.
#[derive(Debug, Clone)]
pub struct File {
    pub(super) inner: Arc<Inner>,
}

/// What every object of a file refers to.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) reader: Arc<SourceReader>,
    pub(super) superblock: Superblock,
    /// Bytes of object headers that were read so far: see [`Inner::charge`].
    headers: AtomicU64,
}

/// Some bytes of a file, and where they were.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) data: Vec<u8>,
    /// The byte of the file at which they begin.
    pub(super) start: u64,
}

impl File {
    /// Opens a file and reads its superblock.
    ///
    /// # Errors
    /// If it cannot be read, is no HDF5 file, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(&Arc::new(SourceReader::open(path)?))
    }

    pub(crate) fn of(reader: &Arc<SourceReader>) -> Result<Self> {
        let superblock = superblock::read(reader)?;
        Ok(Self {
            inner: Arc::new(Inner { reader: Arc::clone(reader), superblock, headers: AtomicU64::new(0) }),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.inner.reader.path()
    }

    /// The group that everything is in.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn root(&self) -> Result<Group> {
        Group::read(&self.inner, self.inner.superblock.root, String::new())
    }
}

impl Inner {
    /// The bytes at an address, all of which must be there.
    pub(super) fn block(&self, address: u64, length: u64) -> Result<Block> {
        let start = self.superblock.base.checked_add(address);
        let end = start.and_then(|start| start.checked_add(length));
        match (start, end) {
            (Some(start), Some(end)) if end <= self.reader.len() => {
                Ok(Block { data: self.reader.read(start, length)?, start })
            }
            _ => {
                let len = self.reader.len();
                let problem = format!("it refers to {length} bytes there, and the file has {len}");
                Err(self.damaged(start.unwrap_or(u64::MAX), problem))
            }
        }
    }

    /// The bytes at an address, or fewer where the file ends.
    pub(super) fn block_up_to(&self, address: u64, length: u64) -> Result<Block> {
        let start = self.superblock.base.saturating_add(address);
        let left = self.reader.len().saturating_sub(start);
        self.block(address, length.min(left))
    }

    /// Counts bytes of object headers. Headers can overlap, so that a small file could describe very many large ones;
    /// whoever walks through a whole file compares the count with the file's length.
    pub(super) fn charge(&self, bytes: u64) {
        self.headers.fetch_add(bytes, Ordering::Relaxed);
    }

    /// See [`Inner::charge`].
    pub(super) fn charged(&self) -> u64 {
        self.headers.load(Ordering::Relaxed)
    }

    pub(super) fn damaged(&self, offset: u64, problem: impl Into<String>) -> Error {
        damaged(&self.reader, offset, problem)
    }

    /// An error for what the format has and this reader does not.
    pub(super) fn unknown(&self, problem: impl Into<String>) -> Error {
        Error::Unknown { path: self.reader.path().to_owned(), problem: problem.into() }
    }

    pub(super) fn too_much(&self, holder: &str, what: &'static str, found: u64, limit: u64) -> Error {
        let holder = format!("{holder} in {}", self.reader.path().display());
        Error::TooMuch { holder, what, found, limit }
    }

    /// What may be held in memory of this file's weights, and of what has to be computed for them.
    pub(super) fn owned_limit(&self) -> u64 {
        limits::OWNED_BYTES.saturating_add(self.reader.len().saturating_mul(limits::OWNED_PER_FILE_BYTE))
    }
}

impl Block {
    pub(super) fn cursor<'b>(&'b self, file: &'b Inner) -> Cursor<'b> {
        Cursor::new(file, &self.data, self.start)
    }
}

pub(super) fn damaged(reader: &SourceReader, offset: u64, problem: impl Into<String>) -> Error {
    Error::Damaged { path: reader.path().to_owned(), container: "HDF5", offset, problem: problem.into() }
}
