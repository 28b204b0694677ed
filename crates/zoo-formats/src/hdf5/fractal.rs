//! Fractal heaps: where new files keep many links or attributes of one object, and large ones.
//!
//! A heap is one range of offsets over blocks of growing size: the first two rows of blocks have the starting size, each
//! further row twice that of the one before. An object is named by an identifier: an offset and a length, the object itself
//! if it is tiny, or the key of a B-tree if it is huge.

use std::collections::HashMap;

use super::btree2::{self, records};
use super::cursor::Cursor;
use super::file::Inner;
use crate::{Result, limits};

/// How deep blocks of blocks may be: sizes double, so that real ones end after a few steps.
const MAX_STEPS: usize = 64;

pub(super) struct FractalHeap<'f> {
    file: &'f Inner,
    /// Bytes of an offset, and of a length, in an identifier.
    offset_size: usize,
    length_size: usize,
    checksummed: bool,
    width: u64,
    start: u64,
    largest_direct: u64,
    root: Option<u64>,
    /// Rows of the root block; 0 if the root holds objects itself.
    rows: u16,
    huge_tree: Option<u64>,
    /// Whether identifiers of huge objects hold their place.
    huge_direct: bool,
    /// Huge objects by key, once they were asked for.
    huge: Option<HashMap<u64, (u64, u64)>>,
    /// How many bytes may still be given out: identifiers can repeat.
    bytes: u64,
}

impl<'f> FractalHeap<'f> {
    pub(super) fn read(file: &'f Inner, address: u64) -> Result<Self> {
        let (offset, length) = (file.superblock.offset_size, file.superblock.length_size);
        let block = file.block(address, (26 + 3 * offset + 12 * length) as u64)?;
        let mut cursor = block.cursor(file);
        cursor.signature(*b"FRHP", "fractal heap")?;
        cursor.version(0..=0, "a fractal heap")?;
        let id_size = usize::from(cursor.u16()?);
        if cursor.u16()? != 0 {
            return Err(file.unknown("fractal heaps with filters are not read"));
        }
        let flags = cursor.u8()?;
        let largest_managed = u64::from(cursor.u32()?);
        cursor.length()?; // The next key of a huge object.
        let huge_tree = cursor.address()?;
        cursor.length()?; // Free space,
        cursor.address()?; // its manager,
        cursor.skip(8 * length)?; // and how much of everything there is.
        let width = u64::from(cursor.u16()?);
        let (start, largest_direct) = (cursor.length()?, cursor.length()?);
        let bits = cursor.u16()?;
        cursor.skip(2)?;
        let root = cursor.address()?;
        let rows = cursor.u16()?;
        cursor.checksum("a fractal heap")?;
        let sound = start.is_power_of_two() && largest_direct.is_power_of_two() && start <= largest_direct;
        if !sound || !width.is_power_of_two() || !(1..=64).contains(&bits) || largest_managed == 0 {
            return Err(cursor.damaged("a fractal heap has impossible sizes"));
        }
        let bytes_of = |bits: u32| bits.div_ceil(8) as usize;
        let offset_size = bytes_of(bits.into());
        // The narrower of what the largest block and the largest object need.
        let length_size = bytes_of(largest_direct.ilog2()).min(largest_managed.ilog2() as usize / 8 + 1);
        let bytes = file.reader.len().saturating_mul(2);
        let checksummed = flags & 2 != 0;
        let huge_direct = id_size > offset + length;
        Ok(Self {
            file,
            offset_size,
            length_size,
            checksummed,
            width,
            start,
            largest_direct,
            root,
            rows,
            huge_tree,
            huge_direct,
            huge: None,
            bytes,
        })
    }

    /// The object of an identifier, and the byte of the file at which it begins.
    pub(super) fn get(&mut self, mut id: Cursor<'_>) -> Result<(Vec<u8>, u64)> {
        let head = id.u8()?;
        if head >> 6 != 0 {
            return Err(self.file.unknown("identifiers of fractal heaps of another version are not known"));
        }
        let (place, length) = match head >> 4 & 3 {
            0 => {
                let offset = id.uint(self.offset_size)?;
                let length = id.uint(self.length_size)?;
                (self.place(&id, offset, length)?, length)
            }
            1 if self.huge_direct => {
                let place = id.defined("a huge object")?;
                (place, id.length()?)
            }
            1 => {
                let key = id.uint(id.left().min(8))?;
                self.huge(&id, key)?
            }
            2 => {
                let offset = id.offset();
                let bytes = id.take(usize::from(head & 15) + 1)?;
                return Ok((bytes.to_vec(), offset));
            }
            _ => return Err(id.damaged("an identifier of a fractal heap is of no known type")),
        };
        if length > limits::MAX_ATTRIBUTE_BYTES {
            return Err(self.file.too_much(
                "an object of a heap",
                "bytes",
                length,
                limits::MAX_ATTRIBUTE_BYTES,
            ));
        }
        self.bytes =
            self.bytes.checked_sub(length).ok_or_else(|| id.damaged("objects of a fractal heap overlap"))?;
        let block = self.file.block(place, length)?;
        Ok((block.data, block.start))
    }

    /// Huge objects are listed in a tree.
    fn huge(&mut self, id: &Cursor<'_>, key: u64) -> Result<(u64, u64)> {
        if self.huge.is_none() {
            let tree = self.huge_tree.ok_or_else(|| id.damaged("a fractal heap has no huge objects"))?;
            let mut all = HashMap::new();
            btree2::walk(self.file, tree, &[records::HUGE], |mut record| {
                let place = record.defined("a huge object")?;
                let length = record.length()?;
                all.insert(record.length()?, (place, length));
                Ok(())
            })?;
            self.huge = Some(all);
        }
        let found = self.huge.as_ref().and_then(|all| all.get(&key)).copied();
        found.ok_or_else(|| id.damaged("a fractal heap has no huge object of this key"))
    }

    /// The address of a managed object.
    fn place(&self, id: &Cursor<'_>, offset: u64, length: u64) -> Result<u64> {
        let no_such = || id.damaged("a fractal heap has no object at this offset");
        let mut block = self.root.ok_or_else(no_such)?;
        let mut rows = u64::from(self.rows);
        // Offset of the block in the heap.
        let mut base = 0_u64;
        for _ in 0..MAX_STEPS {
            if rows == 0 {
                return self.in_direct(id, block, base, offset, length);
            }
            let inside = offset.checked_sub(base).ok_or_else(no_such)?;
            let (row, column, size, start) = self.cell(inside).ok_or_else(no_such)?;
            if row >= rows {
                return Err(no_such());
            }
            let entry = row * self.width + column;
            block = self.entry(block, base, entry)?.ok_or_else(no_such)?;
            base += start;
            rows = if size <= self.largest_direct {
                0
            } else {
                // A block of blocks has as many rows as its size needs.
                u64::from(size.ilog2()).saturating_sub(u64::from((self.start * self.width).ilog2())) + 1
            };
        }
        Err(no_such())
    }

    /// Row and column of the block that an offset falls into, its size, and where it begins.
    fn cell(&self, offset: u64) -> Option<(u64, u64, u64, u64)> {
        let first = self.start.checked_mul(self.width)?;
        let (row, size, begin) = if offset < first {
            (0, self.start, 0)
        } else {
            let doublings = u64::from((offset / first).ilog2());
            (doublings + 1, self.start.checked_shl(doublings as u32)?, first.checked_shl(doublings as u32)?)
        };
        let column = (offset - begin) / size;
        Some((row, column, size, begin + column * size))
    }

    /// An address in a block of blocks.
    fn entry(&self, address: u64, base: u64, entry: u64) -> Result<Option<u64>> {
        let file = self.file;
        let head = 5 + file.superblock.offset_size + self.offset_size;
        let block = file.block(address, head as u64)?;
        let mut cursor = block.cursor(file);
        cursor.signature(*b"FHIB", "block of a fractal heap")?;
        cursor.version(0..=0, "a block of a fractal heap")?;
        cursor.skip(file.superblock.offset_size)?;
        if cursor.uint(self.offset_size)? != base {
            return Err(cursor.damaged("a block of a fractal heap is in the wrong place"));
        }
        let size = file.superblock.offset_size as u64;
        let at = entry.checked_mul(size).and_then(|skip| address.checked_add(head as u64)?.checked_add(skip));
        let at = at.ok_or_else(|| cursor.damaged("a fractal heap is too large"))?;
        file.block(at, size)?.cursor(file).address()
    }

    /// The address of an object in a block of objects.
    fn in_direct(&self, id: &Cursor<'_>, address: u64, base: u64, offset: u64, length: u64) -> Result<u64> {
        let file = self.file;
        let checksum = if self.checksummed { 4 } else { 0 };
        let head = 5 + file.superblock.offset_size + self.offset_size + checksum;
        let block = file.block(address, head as u64)?;
        let mut cursor = block.cursor(file);
        cursor.signature(*b"FHDB", "block of a fractal heap")?;
        cursor.version(0..=0, "a block of a fractal heap")?;
        cursor.skip(file.superblock.offset_size)?;
        if cursor.uint(self.offset_size)? != base {
            return Err(cursor.damaged("a block of a fractal heap is in the wrong place"));
        }
        let inside = offset.checked_sub(base);
        let end = inside.and_then(|inside| inside.checked_add(length));
        match (inside, end) {
            (Some(inside), Some(end)) if inside >= head as u64 && end <= self.largest_direct => {
                Ok(address.saturating_add(inside))
            }
            _ => Err(id.damaged("an object of a fractal heap is not inside of its block")),
        }
    }
}
