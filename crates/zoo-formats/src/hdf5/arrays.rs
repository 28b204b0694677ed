//! Arrays of addresses of chunks: fixed ones and ones that grow along one axis.
//!
//! Large blocks are divided into pages, each with a checksum of its own. A page that nothing was written to is marked as such
//! and not looked at.

use super::chunks::Grid;
use super::cursor::Cursor;
use super::file::Inner;
use crate::Result;

/// What is done with each entry.
type Take<'t> = dyn FnMut(u64, Cursor<'_>) -> Result<()> + 't;

/// A block of entries, in pages or not.
#[derive(Clone, Copy)]
struct Data {
    address: u64,
    /// Bytes before the entries or, with pages, before the checksum that comes first.
    head: u64,
    /// The index of the first entry.
    first: u64,
    /// Entries of the block, and of a page.
    count: u64,
    page: u64,
    entry: usize,
}

impl Data {
    /// Gives all entries of a block whose beginning was checked by the caller.
    fn read(self, file: &Inner, written: &dyn Fn(u64) -> bool, take: &mut Take<'_>) -> Result<()> {
        if self.count <= self.page {
            let length = self.length(self.head, self.count).ok_or_else(|| self.too_large(file))?;
            let block = file.block(self.address, length)?;
            let mut cursor = block.cursor(file);
            cursor.skip(self.head as usize)?;
            return self.entries(cursor, self.first, self.count, take);
        }
        let head = file.block(self.address, self.head + 4)?;
        let mut cursor = head.cursor(file);
        cursor.skip(self.head as usize)?;
        cursor.checksum("a block of chunks")?;
        let whole = self.length(0, self.page).ok_or_else(|| self.too_large(file))?;
        for page in 0..self.count.div_ceil(self.page) {
            if !written(page) {
                continue;
            }
            let start = page * self.page;
            let count = self.page.min(self.count - start);
            let at = page
                .checked_mul(whole)
                .and_then(|skip| self.address.checked_add(self.head + 4)?.checked_add(skip));
            let (Some(at), Some(length)) = (at, self.length(0, count)) else {
                return Err(self.too_large(file));
            };
            let block = file.block(at, length)?;
            self.entries(block.cursor(file), self.first + start, count, take)?;
        }
        Ok(())
    }

    fn entries(self, mut cursor: Cursor<'_>, first: u64, count: u64, take: &mut Take<'_>) -> Result<()> {
        for index in 0..count {
            take(first + index, cursor.part(self.entry)?)?;
        }
        cursor.checksum("a block of chunks")
    }

    /// Bytes of so many entries with what stands before them and their checksum.
    fn length(self, head: u64, count: u64) -> Option<u64> {
        count.checked_mul(self.entry as u64)?.checked_add(head)?.checked_add(4)
    }

    fn too_large(self, file: &Inner) -> crate::Error {
        file.damaged(self.address, "a block of chunks is larger than any file")
    }
}

/// Reads the start of a block: signature, version, and whether chunks have filters.
fn start(cursor: &mut Cursor<'_>, grid: &Grid<'_>, signature: [u8; 4]) -> Result<()> {
    cursor.signature(signature, "block of chunks")?;
    cursor.version(0..=0, "a block of chunks")?;
    if cursor.u8()? != u8::from(grid.filtered) {
        return Err(cursor.damaged("chunks have other filters than their dataset"));
    }
    Ok(())
}

fn entry_size(cursor: &mut Cursor<'_>, grid: &Grid<'_>) -> Result<usize> {
    let size = usize::from(cursor.u8()?);
    if grid.entry_sizes().contains(&size) {
        return Ok(size);
    }
    Err(cursor.damaged(format!("a chunk is described by {size} bytes")))
}

/// Gives all entries of a fixed array.
pub(super) fn fixed(grid: &Grid<'_>, address: u64, take: &mut Take<'_>) -> Result<()> {
    let file = grid.file;
    let (offset, length) = (file.superblock.offset_size, file.superblock.length_size);
    let block = file.block(address, (12 + offset + length) as u64)?;
    let mut cursor = block.cursor(file);
    start(&mut cursor, grid, *b"FAHD")?;
    let entry = entry_size(&mut cursor, grid)?;
    let page_bits = u32::from(cursor.u8()?);
    let count = cursor.length()?;
    let data = cursor.address()?;
    cursor.checksum("an array of chunks")?;
    let Some(address) = data else { return Ok(()) };
    let page = 1_u64
        .checked_shl(page_bits)
        .ok_or_else(|| cursor.damaged("an array of chunks has impossible pages"))?;
    let bitmap = if count > page { count.div_ceil(page).div_ceil(8) } else { 0 };
    let head = (6 + offset) as u64;
    let block = file.block(address, head.saturating_add(bitmap))?;
    let mut cursor = block.cursor(file);
    start(&mut cursor, grid, *b"FADB")?;
    cursor.skip(offset)?;
    let written = cursor.take(bitmap as usize)?;
    let data = Data { address, head: head + bitmap, first: 0, count, page, entry };
    data.read(file, &|page| bit(written, page), take)
}

/// Whether a page was written to: the highest bit is the first one.
fn bit(bitmap: &[u8], page: u64) -> bool {
    let byte = usize::try_from(page / 8).ok().and_then(|byte| bitmap.get(byte)).copied().unwrap_or(0);
    byte >> (7 - page % 8) & 1 != 0
}

/// Sizes of an extensible array.
struct Growing {
    entry: usize,
    /// Entries in the smallest block of entries, and in a page.
    smallest: u64,
    page: u64,
    /// Bytes of an offset in the array.
    offset_size: usize,
    /// Bytes before the entries of a block.
    head: u64,
}

impl Growing {
    /// How many blocks a group has, and how many entries each.
    fn group(&self, group: u32) -> Option<(u64, u64)> {
        let entries = 1_u64.checked_shl(group.div_ceil(2))?.checked_mul(self.smallest)?;
        Some((1_u64.checked_shl(group / 2)?, entries))
    }
}

/// Gives all entries of an extensible array: those in the index block, then blocks in groups. Group `g` has 2^(g/2) blocks
/// of 2^((g+1)/2) times the smallest number of entries.
pub(super) fn extensible(grid: &Grid<'_>, address: u64, take: &mut Take<'_>) -> Result<()> {
    let file = grid.file;
    let (offset, length) = (file.superblock.offset_size, file.superblock.length_size);
    let block = file.block(address, (16 + 6 * length + offset) as u64)?;
    let mut cursor = block.cursor(file);
    start(&mut cursor, grid, *b"EAHD")?;
    let entry = entry_size(&mut cursor, grid)?;
    let bits = u32::from(cursor.u8()?);
    let in_index = u64::from(cursor.u8()?);
    let smallest = u64::from(cursor.u8()?);
    let pointers = u64::from(cursor.u8()?);
    let page_bits = u32::from(cursor.u8()?);
    cursor.skip(6 * length)?; // How many of everything there are.
    let index_block = cursor.address()?;
    cursor.checksum("an array of chunks")?;
    let Some(index_block) = index_block else { return Ok(()) };
    let page = 1_u64.checked_shl(page_bits);
    let sound = smallest.is_power_of_two() && pointers.is_power_of_two() && (1..=64).contains(&bits);
    let (true, Some(page)) = (sound && bits >= smallest.ilog2(), page) else {
        return Err(cursor.damaged("an array of chunks has impossible sizes"));
    };
    let offset_size = bits.div_ceil(8) as usize;
    let groups = 1 + bits - smallest.ilog2();
    // The index block itself names the blocks of the first groups.
    let named_groups = (2 * pointers.ilog2()).min(groups);
    let head = (6 + offset + offset_size) as u64;
    let growing = Growing { entry, smallest, page, offset_size, head };

    let named_blocks = 2 * (pointers - 1);
    let addresses = named_blocks + u64::from(groups - named_groups);
    let length = (6 + offset) as u64 + in_index * entry as u64 + addresses * offset as u64 + 4;
    let block = file.block(index_block, length)?;
    let mut cursor = block.cursor(file);
    start(&mut cursor, grid, *b"EAIB")?;
    cursor.skip(offset)?;
    for index in 0..in_index {
        take(index, cursor.part(entry)?)?;
    }
    let mut first = in_index;
    let mut blocks = named_blocks;
    for group in 0..groups {
        let Some((count, entries)) = growing.group(group) else { break };
        if group < named_groups {
            for _ in 0..count {
                blocks = blocks
                    .checked_sub(1)
                    .ok_or_else(|| cursor.damaged("an array of chunks has too few blocks"))?;
                if let Some(address) = cursor.address()? {
                    // Blocks that the index block names have no marks for pages: those of one page are all there is.
                    block_of_entries(grid, &growing, address, first, entries, &|_| true, take)?;
                }
                first = first.saturating_add(entries);
            }
        } else {
            if let Some(address) = cursor.address()? {
                group_of_blocks(grid, &growing, address, first, count, entries, take)?;
            }
            first = first.saturating_add(count.saturating_mul(entries));
        }
    }
    cursor.checksum("an array of chunks")
}

fn block_of_entries(
    grid: &Grid<'_>,
    growing: &Growing,
    address: u64,
    first: u64,
    count: u64,
    written: &dyn Fn(u64) -> bool,
    take: &mut Take<'_>,
) -> Result<()> {
    let block = grid.file.block(address, growing.head)?;
    start(&mut block.cursor(grid.file), grid, *b"EADB")?;
    let data = Data { address, head: growing.head, first, count, page: growing.page, entry: growing.entry };
    data.read(grid.file, written, take)
}

fn group_of_blocks(
    grid: &Grid<'_>,
    growing: &Growing,
    address: u64,
    first: u64,
    count: u64,
    entries: u64,
    take: &mut Take<'_>,
) -> Result<()> {
    let file = grid.file;
    let offset = file.superblock.offset_size as u64;
    let pages = if entries > growing.page { entries.div_ceil(growing.page) } else { 0 };
    // So much room is kept for each block's marks, but they follow each other without gaps.
    let bitmap = pages.div_ceil(8);
    let tail = count.checked_mul(bitmap + offset).and_then(|tail| tail.checked_add(growing.head + 4));
    let length = tail.ok_or_else(|| file.damaged(address, "a block of chunks is larger than any file"))?;
    let block = file.block(address, length)?;
    let mut cursor = block.cursor(file);
    start(&mut cursor, grid, *b"EASB")?;
    cursor.skip(offset as usize + growing.offset_size)?;
    let written = cursor.take((count * bitmap) as usize)?;
    for index in 0..count {
        let Some(address) = cursor.address()? else { continue };
        let first = first.saturating_add(index.saturating_mul(entries));
        block_of_entries(
            grid,
            growing,
            address,
            first,
            entries,
            &|page| bit(written, index * pages + page),
            take,
        )?;
    }
    cursor.checksum("a block of chunks")
}
