//! The superblock: how wide addresses and lengths are, and where the root group is.

use super::checksum::lookup3;
use super::file::damaged;
use crate::file::SourceReader;
use crate::{Error, Result};

const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";

/// The longest superblock: that of version 1 with addresses of eight bytes.
const LONGEST: u64 = 128;

/// What it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Superblock {
    /// Bytes of an address.
    pub(super) offset_size: usize,
    /// Bytes of a length.
    pub(super) length_size: usize,
    /// The byte of the file that has address 0: something else may come before it.
    pub(super) base: u64,
    /// The address of the root group's object header.
    pub(super) root: u64,
}

/// Finds and reads it. It is at the start of the file, or at 512 bytes, 1024, and so on.
pub(super) fn read(reader: &SourceReader) -> Result<Superblock> {
    let mut at = 0_u64;
    while at < reader.len() {
        let bytes = reader.read(at, LONGEST)?;
        if bytes.starts_with(SIGNATURE) {
            return parse(reader, at, &bytes);
        }
        at = (at * 2).max(512);
    }
    Err(damaged(reader, 0, "it has no superblock"))
}

fn parse(reader: &SourceReader, at: u64, bytes: &[u8]) -> Result<Superblock> {
    let short = || damaged(reader, at, "the superblock is cut short");
    let byte = |index: usize| bytes.get(index).copied().ok_or_else(short);
    let unknown = |problem: String| Error::Unknown { path: reader.path().to_owned(), problem };
    let width = |index: usize| match byte(index)? {
        width @ (2 | 4 | 8) => Ok(usize::from(width)),
        width => {
            Err(unknown(format!("an HDF5 file with addresses or lengths of {width} bytes is not known")))
        }
    };
    let version = byte(8)?;
    // Where the widths stand, and where the addresses begin.
    let (sizes, addresses) = match version {
        0 => (13, 24),
        1 => (13, 28),
        2 | 3 => (9, 12),
        _ => return Err(unknown(format!("an HDF5 superblock of version {version} is not known"))),
    };
    let (offset_size, length_size) = (width(sizes)?, width(sizes + 1)?);
    let address = |index: usize| -> Result<Option<u64>> {
        let start = addresses + index * offset_size;
        let field = bytes.get(start..start + offset_size).ok_or_else(short)?;
        let address = field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
        Ok((address != u64::MAX >> (64 - 8 * offset_size)).then_some(address))
    };
    let root = if version < 2 {
        // Base, free space, end, driver; then the entry of the root group: a name, and its address.
        address(5)?
    } else {
        // Base, extension, end, root; and a checksum of all that.
        let end = addresses + 4 * offset_size;
        let stored = bytes.get(end..end + 4).ok_or_else(short)?;
        if lookup3(bytes.get(..end).unwrap_or_default()).to_le_bytes() != stored {
            return Err(damaged(reader, at, "the checksum of the superblock is wrong"));
        }
        address(3)?
    };
    let root = root.ok_or_else(|| damaged(reader, at, "the address of the root group is undefined"))?;
    // The base address that it gives is not looked at: where the superblock is decides, as in the library.
    Ok(Superblock { offset_size, length_size, base: at, root })
}
