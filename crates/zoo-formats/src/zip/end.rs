//! The end of an archive, where its table of contents is announced, once or (ZIP64) twice.

use super::{Fields, damaged};
use crate::file::SourceReader;
use crate::{Error, Result, limits};

/// Where the table of contents lies, and how many members it lists.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) members: u64,
}

const END: &[u8; 4] = b"PK\x05\x06";
const END_LENGTH: u64 = 22;
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_LENGTH: u64 = 20;
const END64: &[u8; 4] = b"PK\x06\x06";
const END64_LENGTH: u64 = 56;

/// Finds the table. It must lie exactly before the records that announce it, so that nothing can hide between.
pub(super) fn find(file: &SourceReader) -> Result<Table> {
    let tail_start = file.len().saturating_sub(END_LENGTH + u64::from(u16::MAX));
    let tail = file.read(tail_start, file.len() - tail_start)?;
    // The last signature is the one that PyTorch and Python take.
    let Some(at) = tail.windows(4).rposition(|window| window == END) else {
        return Err(damaged(file, file.len(), "its end is missing; the file is cut short"));
    };
    let end_offset = tail_start + at as u64;
    let record = tail.get(at..).unwrap_or_default();
    if (record.len() as u64) < END_LENGTH {
        return Err(damaged(file, end_offset, "its end is cut short"));
    }
    let mut fields = Fields(record.get(4..).unwrap_or_default());
    let (disk, table_disk) = (fields.u16(), fields.u16());
    let (here, members) = (fields.u16(), fields.u16());
    let (size, offset) = (fields.u32(), fields.u32());
    let comment = u64::from(fields.u16());
    if END_LENGTH + comment != record.len() as u64 {
        return Err(damaged(file, end_offset, "the comment at its end has another length than promised"));
    }
    let short = [disk.into(), table_disk.into(), here.into(), members.into(), size.into(), offset.into()];
    let (long, table_end) = match find_long(file, end_offset)? {
        Some((long, at)) => (long, at),
        None => (short, end_offset),
    };
    // Fields of the short record are either the long one's or all ones, which means "see there".
    let widths: [u64; 6] = [0xffff, 0xffff, 0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff];
    for ((short, long), all_ones) in short.into_iter().zip(long).zip(widths) {
        let by_reference = short == all_ones && table_end != end_offset;
        if short != long && !by_reference {
            return Err(damaged(file, end_offset, "its two end records contradict each other"));
        }
    }
    let [disk, table_disk, here, members, size, offset] = long;
    if disk != 0 || table_disk != 0 || here != members {
        return Err(damaged(file, end_offset, "it is one part of a split archive"));
    }
    if offset.checked_add(size) != Some(table_end) {
        return Err(damaged(
            file,
            end_offset,
            "its table of contents does not end where its end record begins",
        ));
    }
    let holder = || file.path().display().to_string();
    for (what, found, limit) in
        [("members", members, limits::MAX_MEMBERS), ("bytes of directory", size, limits::MAX_DIRECTORY_BYTES)]
    {
        if found > limit {
            return Err(Error::TooMuch { holder: holder(), what, found, limit });
        }
    }
    Ok(Table { offset, size, members })
}

/// The fields of the ZIP64 end record, if a locator stands before the end, and the byte at which that record begins.
fn find_long(file: &SourceReader, end_offset: u64) -> Result<Option<([u64; 6], u64)>> {
    let Some(locator_offset) = end_offset.checked_sub(LOCATOR_LENGTH) else { return Ok(None) };
    let locator = file.read(locator_offset, LOCATOR_LENGTH)?;
    if !locator.starts_with(LOCATOR) {
        return Ok(None);
    }
    let mut fields = Fields(locator.get(4..).unwrap_or_default());
    let (disk, offset, disks) = (fields.u32(), fields.u64(), fields.u32());
    let wrong = |problem| Err(damaged(file, locator_offset, problem));
    if disk != 0 || disks > 1 {
        return wrong("it is one part of a split archive");
    }
    if offset.checked_add(END64_LENGTH) != Some(locator_offset) {
        return wrong("its ZIP64 end record is not where its locator says");
    }
    let record = file.read(offset, END64_LENGTH)?;
    if !record.starts_with(END64) {
        return wrong("its ZIP64 end record is not where its locator says");
    }
    let mut fields = Fields(record.get(4..).unwrap_or_default());
    let length = fields.u64();
    if length != END64_LENGTH - 12 {
        return wrong("its ZIP64 end record has a length that nothing writes");
    }
    let (_versions, disk, table_disk) = (fields.u32(), fields.u32(), fields.u32());
    let rest = [fields.u64(), fields.u64(), fields.u64(), fields.u64()];
    let [here, members, size, table] = rest;
    Ok(Some(([disk.into(), table_disk.into(), here, members, size, table], offset)))
}
