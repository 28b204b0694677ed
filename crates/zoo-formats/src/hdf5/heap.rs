//! Heaps of version 1: of the names in an old group (local), and of texts of any length (global).

use std::collections::HashMap;

use super::cursor::Cursor;
use super::file::{Block, Inner};
use crate::{Result, limits};

/// The names of a group's entries.
pub(super) struct LocalHeap(Block);

impl LocalHeap {
    pub(super) fn read(file: &Inner, address: u64) -> Result<Self> {
        let head = 8 + 2 * file.superblock.length_size + file.superblock.offset_size;
        let block = file.block(address, head as u64)?;
        let mut cursor = block.cursor(file);
        cursor.signature(*b"HEAP", "heap of names")?;
        cursor.version(0..=0, "a heap of names")?;
        cursor.skip(3)?;
        let size = cursor.length()?;
        cursor.length()?; // Where free space begins.
        let address = cursor.defined("a heap of names")?;
        if size > limits::MAX_ALL_NAMES_BYTES as u64 {
            return Err(file.too_much("a group", "bytes of names", size, limits::MAX_ALL_NAMES_BYTES as u64));
        }
        Ok(Self(file.block(address, size)?))
    }

    /// The text that begins at an offset and ends with a zero.
    pub(super) fn text(&self, file: &Inner, offset: u64) -> Result<String> {
        let from = self.0.data.get(offset as usize..).unwrap_or_default();
        let within = from.get(..=limits::MAX_NAME_BYTES).unwrap_or(from);
        let end = within.iter().position(|&byte| byte == 0);
        let text = end.and_then(|end| within.get(..end)).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let start = self.0.start.saturating_add(offset);
        text.map(str::to_owned).ok_or_else(|| file.damaged(start, "a name in a group is no text"))
    }
}

/// Objects of global heaps, looked up one after the other. Collections are walked through once.
pub(super) struct GlobalHeap<'f> {
    file: &'f Inner,
    collections: HashMap<u64, HashMap<u16, (u64, u64)>>,
    /// How many objects may still be walked over: no file has more than fit in it.
    headers: u64,
    /// How many bytes may still be given out: references can repeat, and the texts behind them would.
    bytes: u64,
}

impl<'f> GlobalHeap<'f> {
    pub(super) fn new(file: &'f Inner) -> Self {
        let len = file.reader.len();
        Self {
            file,
            collections: HashMap::new(),
            headers: len / 8 + 1,
            bytes: len.min(limits::MAX_ATTRIBUTE_BYTES),
        }
    }

    /// The object that a reference (an address and an index) in `cursor` names, of which `length` bytes are meant.
    pub(super) fn get(&mut self, cursor: &mut Cursor<'_>, length: u64) -> Result<Vec<u8>> {
        let address = cursor.address()?;
        let index = cursor.u32()?;
        if length == 0 {
            return Ok(Vec::new());
        }
        let address = address.ok_or_else(|| cursor.damaged("a text has no address"))?;
        if !self.collections.contains_key(&address) {
            let objects = self.collection(address)?;
            self.collections.insert(address, objects);
        }
        let objects = self.collections.get(&address);
        let found = u16::try_from(index).ok().and_then(|index| objects?.get(&index).copied());
        let (place, size) = found.ok_or_else(|| cursor.damaged(format!("a heap has no object {index}")))?;
        if length > size || length > self.bytes {
            return Err(cursor.damaged(format!("a text of {length} bytes is in an object of {size}")));
        }
        self.bytes -= length;
        Ok(self.file.block(place, length)?.data)
    }

    /// Where the objects of a collection are, by index.
    fn collection(&mut self, address: u64) -> Result<HashMap<u16, (u64, u64)>> {
        let (file, length_size) = (self.file, self.file.superblock.length_size as u64);
        let block = file.block(address, 8 + length_size)?;
        let mut cursor = block.cursor(file);
        cursor.signature(*b"GCOL", "global heap")?;
        cursor.version(1..=1, "a global heap")?;
        cursor.skip(3)?;
        let size = cursor.length()?;
        let end = address.checked_add(size).ok_or_else(|| cursor.damaged("a global heap is too large"))?;
        let (mut at, mut objects) = (address + 8 + length_size, HashMap::new());
        let head = 8 + length_size;
        while at.saturating_add(head) <= end {
            self.headers =
                self.headers.checked_sub(1).ok_or_else(|| file.damaged(at, "global heaps overlap"))?;
            let block = file.block(at, head)?;
            let mut cursor = block.cursor(file);
            let index = cursor.u16()?;
            cursor.skip(6)?;
            let size = cursor.length()?;
            if index == 0 {
                break; // Free space, up to the end.
            }
            objects.insert(index, (at + head, size));
            let next = size.checked_next_multiple_of(8).and_then(|size| (at + head).checked_add(size));
            at = next.ok_or_else(|| cursor.damaged("an object of a heap is too large"))?;
        }
        Ok(objects)
    }
}
