//! Numbers, one after the other, out of a block that was read.

use super::checksum::lookup3;
use super::file::Inner;
use crate::Result;

/// A position in a block. Everything that is wanted beyond its end is an error that says where.
#[derive(Clone)]
pub(super) struct Cursor<'b> {
    pub(super) file: &'b Inner,
    data: &'b [u8],
    start: u64,
    at: usize,
}

impl<'b> Cursor<'b> {
    pub(super) fn new(file: &'b Inner, data: &'b [u8], start: u64) -> Self {
        Self { file, data, start, at: 0 }
    }

    /// The byte of the file that comes next.
    pub(super) fn offset(&self) -> u64 {
        self.start.saturating_add(self.at as u64)
    }

    pub(super) fn left(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    pub(super) fn damaged(&self, problem: impl Into<String>) -> crate::Error {
        self.file.damaged(self.offset(), problem)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.data.get(self.at..end)).ok_or_else(|| {
            self.damaged(format!("{count} bytes are wanted where {} are left", self.left()))
        })?;
        self.at += count;
        Ok(taken)
    }

    /// The next bytes as a cursor of their own.
    pub(super) fn part(&mut self, count: usize) -> Result<Self> {
        let start = self.offset();
        let data = self.take(count)?;
        Ok(Self::new(self.file, data, start))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<()> {
        self.take(count).map(drop)
    }

    /// Steps to the next multiple of eight bytes from the start of the block, or to its end.
    pub(super) fn align(&mut self) {
        self.at = self.at.next_multiple_of(8).min(self.data.len());
    }

    /// An unsigned number of up to eight bytes, the lowest one first.
    pub(super) fn uint(&mut self, width: usize) -> Result<u64> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.uint(1)? as u8)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(self.uint(2)? as u16)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(self.uint(4)? as u32)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.uint(8)
    }

    /// An address; none if it is the undefined one.
    pub(super) fn address(&mut self) -> Result<Option<u64>> {
        let width = self.file.superblock.offset_size;
        let address = self.uint(width)?;
        Ok((address != u64::MAX >> (64 - 8 * width)).then_some(address))
    }

    /// An address that must be defined.
    pub(super) fn defined(&mut self, what: &str) -> Result<u64> {
        self.address()?.ok_or_else(|| self.damaged(format!("the address of {what} is undefined")))
    }

    /// A length.
    pub(super) fn length(&mut self) -> Result<u64> {
        self.uint(self.file.superblock.length_size)
    }

    /// Four letters that must be there.
    pub(super) fn signature(&mut self, wanted: [u8; 4], what: &str) -> Result<()> {
        let offset = self.offset();
        if *self.take(4)? == wanted {
            return Ok(());
        }
        Err(self.file.damaged(offset, format!("no {what} begins there")))
    }

    /// A version that must be one of those known.
    pub(super) fn version(&mut self, known: std::ops::RangeInclusive<u8>, what: &str) -> Result<u8> {
        let version = self.u8()?;
        if known.contains(&version) {
            return Ok(version);
        }
        Err(self.file.unknown(format!("{what} of version {version} is not known")))
    }

    /// The checksum of everything from the start of the block to here, which comes next.
    pub(super) fn checksum(&mut self, what: &str) -> Result<()> {
        let computed = lookup3(self.data.get(..self.at).unwrap_or_default());
        if self.u32()? == computed {
            return Ok(());
        }
        Err(self.damaged(format!("the checksum of {what} is wrong")))
    }
}
