//! One open file, read at positions: what an opened checkpoint holds on to while its weights stay where they are.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use zoo_tensor::SourceFile;

use crate::{Error, Result};

/// A file that is open, and its length when it was opened.
#[derive(Debug)]
pub(crate) struct SourceReader {
    file: File,
    source: Arc<SourceFile>,
}

impl SourceReader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let source = SourceFile::new(path)?; // First, because opening a pipe would wait for its writer.
        let fail = |source| Error::File { action: "open", path: path.to_owned(), source };
        Ok(Self { file: File::open(path).map_err(fail)?, source })
    }

    /// What places in the file refer to.
    pub(crate) fn source(&self) -> &Arc<SourceFile> {
        &self.source
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.path()
    }

    pub(crate) fn len(&self) -> u64 {
        self.source.len()
    }

    /// Fills the buffer with the bytes at `offset`.
    pub(crate) fn read_into(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match read_at(&self.file, buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    offset += count as u64;
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The `length` bytes at `offset`, or fewer where the file ends.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let length = length.min(self.len().saturating_sub(offset));
        let mut bytes = vec![0; length as usize];
        self.read_into(offset, &mut bytes).map_err(|source| self.failed(source))?;
        Ok(bytes)
    }

    /// The error for a read that failed.
    pub(crate) fn failed(&self, source: io::Error) -> Error {
        Error::File { action: "read", path: self.path().to_owned(), source }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
