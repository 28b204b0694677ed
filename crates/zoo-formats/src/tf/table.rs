//! A sorted table of byte strings on disk: the format of LevelDB, as TensorFlow uses it for the index of a bundle.
//!
//! Blocks of entries, an (empty) block of facts about them, a block that lists the blocks, and a footer of 48 bytes that says where the
//! latter two are and ends with a magic number. A block is followed by a byte for its compression and a masked checksum. In a block each
//! key says how much of its beginning is that of the key before; every sixteenth is whole, and where those are stands at the block's end.
//! (LevelDB's `doc/table_format.md`; TensorFlow's `core/lib/io/table_builder.cc`.)
//!
//! Reading goes through the blocks in order and believes nothing: checksums, offsets, lengths, and the order of keys.

use std::path::Path;

use super::{CONTAINER, Crc};
use crate::{Error, Result, limits};

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
const FOOTER: usize = 48;
/// Compression and checksum behind each block.
const TRAILER: usize = 5;
/// Entries from one whole key to the next.
const RESTART_INTERVAL: usize = 16;
/// A block that is at least this long is ended: TensorFlow's own size.
const BLOCK_BYTES: usize = 256 << 10;

/// Whether a file that ends so may be a table.
pub fn is_table(end: &[u8]) -> bool {
    end.ends_with(&MAGIC)
}

/// Goes through the entries of a table, in order. `path` is for messages.
///
/// # Errors
/// If the table contradicts itself, is compressed, or asks for more than [`limits`] allow; or what `entry` says.
pub fn read(path: &Path, bytes: &[u8], mut entry: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let table = Table { path, bytes };
    let footer_at =
        bytes.len().checked_sub(FOOTER).ok_or_else(|| table.damaged(0, "it is too short for a table"))?;
    let footer = bytes.get(footer_at..).unwrap_or_default();
    if !is_table(footer) {
        return Err(table.damaged(footer_at, "it does not end with the mark of a table"));
    }
    let mut footer = Cursor { table: &table, bytes: footer, start: footer_at, at: 0 };
    // Nothing is ever in the facts; that they are there is asked for, because a file of which a part is damaged is damaged.
    let facts = footer.handle()?;
    table.block(facts)?;
    let index = footer.handle()?;
    let index = table.block(index)?;
    let mut order = Order { last: None, entries: 0, key_bytes: 0 };
    let mut index_entries = index.entries()?;
    let mut index_key = Vec::new();
    while let Some(mut place) = index_entries.next_into(&mut index_key)? {
        let block = table.block(place.handle()?)?;
        let mut entries = block.entries()?;
        let mut key = Vec::new();
        while let Some(value) = entries.next_into(&mut key)? {
            order.check(&table, value.start, &key)?;
            entry(&key, value.bytes)?;
        }
    }
    Ok(())
}

struct Table<'t> {
    path: &'t Path,
    bytes: &'t [u8],
}

/// Where a block lies.
#[derive(Clone, Copy)]
struct Handle {
    offset: u64,
    size: u64,
    /// Where that stands.
    told_at: usize,
}

/// The contents of a block.
struct Block<'t> {
    table: &'t Table<'t>,
    bytes: &'t [u8],
    start: usize,
}

/// Bytes that are read from front to back.
struct Cursor<'t> {
    table: &'t Table<'t>,
    bytes: &'t [u8],
    /// Where they begin in the file.
    start: usize,
    at: usize,
}

/// What the keys have to be: in ascending order, and not too many.
struct Order {
    last: Option<Vec<u8>>,
    entries: usize,
    key_bytes: usize,
}

impl Order {
    fn check(&mut self, table: &Table<'_>, at: usize, key: &[u8]) -> Result<()> {
        let too_much = |what, found: usize, limit: usize| Error::TooMuch {
            holder: table.path.display().to_string(),
            what,
            found: found as u64,
            limit: limit as u64,
        };
        if self.last.as_deref().is_some_and(|last| last >= key) {
            return Err(table.damaged(at, "its keys are not in order"));
        }
        self.entries += 1;
        self.key_bytes += key.len();
        if self.entries > limits::MAX_TENSORS {
            return Err(too_much("entries", self.entries, limits::MAX_TENSORS));
        }
        if self.key_bytes > limits::MAX_ALL_NAMES_BYTES {
            return Err(too_much("bytes of names", self.key_bytes, limits::MAX_ALL_NAMES_BYTES));
        }
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        Ok(())
    }
}

impl<'t> Table<'t> {
    fn damaged(&self, offset: usize, problem: impl Into<String>) -> Error {
        Error::Damaged {
            path: self.path.to_owned(),
            container: CONTAINER,
            offset: offset as u64,
            problem: problem.into(),
        }
    }

    /// The contents of a block whose checksum is right.
    fn block(&'t self, handle: Handle) -> Result<Block<'t>> {
        let beyond = || self.damaged(handle.told_at, "a block reaches beyond the file");
        let start = usize::try_from(handle.offset).map_err(|_| beyond())?;
        let size = usize::try_from(handle.size).map_err(|_| beyond())?;
        let end = start.checked_add(size).ok_or_else(beyond)?;
        let bytes = self.bytes.get(start..end).ok_or_else(beyond)?;
        let trailer =
            end.checked_add(TRAILER).and_then(|last| self.bytes.get(end..last)).ok_or_else(beyond)?;
        let Some((&compression, crc)) = trailer.split_first() else { return Err(beyond()) };
        if Crc::of(bytes).and(&[compression]).masked().to_le_bytes() != crc {
            return Err(self.damaged(start, "the checksum of a block is wrong"));
        }
        match compression {
            0 => Ok(Block { table: self, bytes, start }),
            1 => Err(Error::Unknown {
                path: self.path.to_owned(),
                problem: "its index is compressed (snappy)".to_owned(),
            }),
            other => Err(self.damaged(end, format!("a block has the unknown compression {other}"))),
        }
    }
}

impl<'t> Block<'t> {
    /// The entries, without the list of whole keys behind them.
    fn entries(&self) -> Result<Cursor<'t>> {
        let damaged = || self.table.damaged(self.start, "a block's list of whole keys does not fit it");
        let (_, count) =
            self.bytes.split_last_chunk::<4>().map(|(rest, count)| (rest, *count)).ok_or_else(damaged)?;
        let count = usize::try_from(u32::from_le_bytes(count)).map_err(|_| damaged())?;
        let list = count.checked_add(1).and_then(|all| all.checked_mul(4)).ok_or_else(damaged)?;
        let end = self.bytes.len().checked_sub(list).ok_or_else(damaged)?;
        let bytes = self.bytes.get(..end).unwrap_or_default();
        Ok(Cursor { table: self.table, bytes, start: self.start, at: 0 })
    }
}

impl<'t> Cursor<'t> {
    fn damaged(&self, problem: &str) -> Error {
        self.table.damaged(self.start + self.at, problem)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.damaged("a number is cut short"))?;
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number has more than 64 bits"))
    }

    fn length(&mut self) -> Result<usize> {
        let value = self.varint()?;
        let length = u32::try_from(value).ok().and_then(|value| usize::try_from(value).ok());
        length.ok_or_else(|| self.damaged("a length has more than 32 bits"))
    }

    fn take(&mut self, length: usize) -> Result<&'t [u8]> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.damaged("an entry reaches beyond its block"))?;
        self.at += length;
        Ok(taken)
    }

    fn handle(&mut self) -> Result<Handle> {
        let told_at = self.start + self.at;
        Ok(Handle { offset: self.varint()?, size: self.varint()?, told_at })
    }

    /// The next entry: its key into `key`, which holds the one before, and its value.
    fn next_into(&mut self, key: &mut Vec<u8>) -> Result<Option<Cursor<'t>>> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let (shared, own, value) = (self.length()?, self.length()?, self.length()?);
        if shared > key.len() {
            return Err(self.damaged("a key begins with more of the key before than there is"));
        }
        if shared.saturating_add(own) > limits::MAX_NAME_BYTES {
            return Err(Error::TooMuch {
                holder: self.table.path.display().to_string(),
                what: "bytes in one name",
                found: (shared as u64).saturating_add(own as u64),
                limit: limits::MAX_NAME_BYTES as u64,
            });
        }
        let own = self.take(own)?;
        key.truncate(shared);
        key.extend_from_slice(own);
        let start = self.start + self.at;
        Ok(Some(Cursor { table: self.table, bytes: self.take(value)?, start, at: 0 }))
    }
}

/// Writes a table. Entries are added in ascending order of their keys.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    block: BlockWriter,
    /// The last key of the block before, and that block's place: written once the next key is known.
    pending: Option<(Vec<u8>, [u64; 2])>,
    index: BlockWriter,
}

#[derive(Debug)]
struct BlockWriter {
    interval: usize,
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    since_restart: usize,
    last: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            out: Vec::new(),
            block: BlockWriter::new(RESTART_INTERVAL),
            pending: None,
            // Keys of the index are looked up, not read through, so all of them are whole.
            index: BlockWriter::new(1),
        }
    }
}

impl Writer {
    /// Adds an entry.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        if let Some((last, place)) = self.pending.take() {
            self.index.add(&separator(&last, key), &encoded(place));
        }
        self.block.add(key, value);
        if self.block.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    /// The table.
    pub fn finish(mut self) -> Vec<u8> {
        self.end_block();
        let facts = self.write_block(BlockWriter::new(1).finish());
        if let Some((last, place)) = self.pending.take() {
            self.index.add(&successor(&last), &encoded(place));
        }
        let index = std::mem::replace(&mut self.index, BlockWriter::new(1)).finish();
        let index = self.write_block(index);
        let footer = self.out.len();
        self.out.extend(encoded(facts));
        self.out.extend(encoded(index));
        self.out.resize(footer + FOOTER - MAGIC.len(), 0);
        self.out.extend(MAGIC);
        self.out
    }

    fn end_block(&mut self) {
        if self.block.bytes.is_empty() {
            return;
        }
        let block = std::mem::replace(&mut self.block, BlockWriter::new(RESTART_INTERVAL));
        let last = block.last.clone();
        let place = self.write_block(block.finish());
        self.pending = Some((last, place));
    }

    fn write_block(&mut self, bytes: Vec<u8>) -> [u64; 2] {
        let place = [self.out.len() as u64, bytes.len() as u64];
        let crc = Crc::of(&bytes).and(&[0]).masked();
        self.out.extend(bytes);
        self.out.push(0);
        self.out.extend(crc.to_le_bytes());
        place
    }
}

impl BlockWriter {
    fn new(interval: usize) -> Self {
        Self { interval, bytes: Vec::new(), restarts: vec![0], since_restart: 0, last: Vec::new() }
    }

    /// The block's length if it ended here.
    fn len(&self) -> usize {
        self.bytes.len() + 4 * (self.restarts.len() + 1)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut shared = 0;
        if self.since_restart < self.interval {
            shared = key.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        } else {
            self.restarts.push(self.bytes.len() as u32);
            self.since_restart = 0;
        }
        let own = key.get(shared..).unwrap_or_default();
        for number in [shared, own.len(), value.len()] {
            put_varint(&mut self.bytes, number as u64);
        }
        self.bytes.extend_from_slice(own);
        self.bytes.extend_from_slice(value);
        self.last.clear();
        self.last.extend_from_slice(key);
        self.since_restart += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        for restart in &self.restarts {
            self.bytes.extend(restart.to_le_bytes());
        }
        self.bytes.extend((self.restarts.len() as u32).to_le_bytes());
        self.bytes
    }
}

/// A short key that is not less than `last` and less than `next`: what the index says of the block that ends with `last`.
fn separator(last: &[u8], next: &[u8]) -> Vec<u8> {
    let same = last.iter().zip(next).take_while(|(a, b)| a == b).count();
    let mut short = last.to_vec();
    if let (Some(&byte), Some(&other)) = (last.get(same), next.get(same))
        && byte < 0xff
        && byte + 1 < other
    {
        short.truncate(same);
        short.push(byte + 1);
    }
    short
}

/// A short key that is not less than `last`.
fn successor(last: &[u8]) -> Vec<u8> {
    let mut short = last.to_vec();
    if let Some(at) = last.iter().position(|&byte| byte != 0xff) {
        short.truncate(at + 1);
        if let Some(byte) = short.last_mut() {
            *byte += 1;
        }
    }
    short
}

fn encoded(numbers: [u64; 2]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in numbers {
        put_varint(&mut out, number);
    }
    out
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut writer = Writer::default();
        for (key, value) in entries {
            writer.add(key, value);
        }
        writer.finish()
    }

    fn all(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = Vec::new();
        read(Path::new("x.index"), bytes, |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(found)
    }

    fn entries(count: usize, value: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entry = |i: usize| (format!("layer/{i:05}/kernel").into_bytes(), vec![i as u8; value]);
        (0..count).map(entry).collect()
    }

    #[test]
    fn several_blocks() {
        let entries = entries(1000, 1000);
        let bytes = written(&entries);
        assert!(bytes.len() > 3 * BLOCK_BYTES && is_table(&bytes));
        assert_eq!(all(&bytes).unwrap(), entries);
        assert_eq!(bytes, written(&entries));
        assert_eq!(all(&written(&[])).unwrap(), []);
    }

    #[test]
    fn short_keys_lie_between() {
        assert_eq!(separator(b"layer/0041/x", b"layer/0049/a"), b"layer/0042");
        assert_eq!(separator(b"abc", b"abd"), b"abc");
        assert_eq!(separator(b"ab", b"abc"), b"ab");
        assert_eq!(
            (successor(b"wide"), successor(b"\xff\x01a"), successor(b"\xff")),
            (b"x".to_vec(), b"\xff\x02".to_vec(), b"\xff".to_vec())
        );
    }

    #[test]
    fn order_and_size_are_checked() {
        let text = |entries: &[(&str, &str)]| {
            let entries: Vec<_> =
                entries.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
            all(&written(&entries)).unwrap_err().to_string()
        };
        assert!(text(&[("b", ""), ("a", "")]).contains("not in order"));
        assert!(text(&[("a", ""), ("a", "")]).contains("not in order"));
        assert!(text(&[(&"k".repeat(5000), "")]).contains("bytes in one name"));
    }

    #[test]
    fn every_cut_and_every_flip_is_noticed() {
        let entries = entries(40, 3);
        let bytes = written(&entries);
        for cut in 0..bytes.len() {
            assert!(all(&bytes[..cut]).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                // Everything is under a checksum but the padding of the footer.
                if let Ok(found) = all(&flipped) {
                    assert!(at >= bytes.len() - FOOTER && found == entries, "{at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(map in proptest::collection::btree_map(any::<Vec<u8>>(), any::<Vec<u8>>(), 0..60)) {
            let entries: Vec<_> = map.into_iter().collect();
            prop_assert_eq!(all(&written(&entries)).unwrap(), entries);
        }

        #[test]
        fn no_bytes_are_too_much(mut bytes in any::<Vec<u8>>(), footer in any::<[u8; 40]>()) {
            bytes.extend(footer);
            bytes.extend(MAGIC);
            let _ = all(&bytes);
        }
    }
}
