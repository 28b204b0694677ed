//! The bytes of a pickle: from memory, or from a file as far as they are needed.
//!
//! In a legacy checkpoint five pickles and gigabytes of weights follow each other with nothing that says where a pickle
//! ends. So the file is read in small pieces while the machine runs.

use std::io;

use crate::file::SourceReader;

/// How much is read ahead. Four of the five pickles of a legacy checkpoint have less.
const PIECE: usize = 64 << 10;

/// A cursor over bytes of which the length is known, and which may still lie in a file.
pub(crate) struct Input<'a> {
    /// The piece at hand.
    window: Window<'a>,
    /// The position of the piece in the whole.
    base: u64,
    /// The next byte in the piece.
    at: usize,
    /// Where the whole ends.
    end: u64,
}

enum Window<'a> {
    Memory(&'a [u8]),
    File { bytes: Vec<u8>, file: &'a SourceReader },
}

/// Why bytes could not be had.
pub(super) enum Short {
    /// The whole ends before.
    End,
    /// The file could not be read.
    Io(io::Error),
}

impl<'a> Input<'a> {
    /// Bytes in memory. Positions count from their start.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        Self { window: Window::Memory(bytes), base: 0, at: 0, end: bytes.len() as u64 }
    }

    /// A file from a position on. Positions count from the start of the file.
    pub(crate) fn file(file: &'a SourceReader, from: u64) -> Self {
        let window = Window::File { bytes: Vec::new(), file };
        Self { window, base: from, at: 0, end: file.len().max(from) }
    }

    /// Where the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.position()
    }

    /// The next `count` bytes. The caller has bounded the count.
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], Short> {
        if count as u64 > self.remaining() {
            return Err(Short::End);
        }
        self.fill(count)?;
        let start = self.at;
        self.at += count;
        self.piece().get(start..start + count).ok_or(Short::End)
    }

    /// The bytes up to a newline, without it; none if there is no newline in the next `limit` bytes.
    pub(super) fn line(&mut self, limit: usize) -> Result<Option<&[u8]>, Short> {
        let ahead = self.remaining().min(limit as u64 + 1) as usize;
        self.fill(ahead)?;
        let start = self.at;
        let bytes = self.piece().get(start..start + ahead).ok_or(Short::End)?;
        let Some(length) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        self.at += length + 1;
        Ok(self.piece().get(start..start + length))
    }

    fn piece(&self) -> &[u8] {
        match &self.window {
            Window::Memory(bytes) => bytes,
            Window::File { bytes, .. } => bytes,
        }
    }

    /// Makes the piece hold the next `count` bytes, of which the caller knows that they exist.
    fn fill(&mut self, count: usize) -> Result<(), Short> {
        let Window::File { bytes, file } = &mut self.window else { return Ok(()) };
        if bytes.len() - self.at >= count {
            return Ok(());
        }
        bytes.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let known = bytes.len();
        let wanted = count.max(PIECE).min((self.end - self.base) as usize);
        bytes.resize(wanted, 0);
        let new = bytes.get_mut(known..).unwrap_or_default();
        file.read_into(self.base + known as u64, new).map_err(Short::Io)
    }
}
