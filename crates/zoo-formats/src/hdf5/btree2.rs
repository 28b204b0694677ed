//! B-trees of version 2: of links, attributes, huge objects of heaps, and chunks.
//!
//! All records are wanted, in any order. Depth falls with every step down, no node is read twice, and there are at most as
//! many records as the header promises.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::file::Inner;
use crate::Result;

/// The kinds of records that are read.
pub(super) mod records {
    pub(in super::super) const HUGE: u8 = 1;
    pub(in super::super) const LINK_NAMES: u8 = 5;
    pub(in super::super) const ATTRIBUTE_NAMES: u8 = 8;
    pub(in super::super) const CHUNKS: u8 = 10;
    pub(in super::super) const FILTERED_CHUNKS: u8 = 11;
}

/// How large things are at one depth.
#[derive(Clone, Copy)]
struct Level {
    /// Records of a node.
    most: u64,
    /// Records of a node and everything below it.
    total: u64,
}

/// Bytes of a number up to `limit`.
fn width(limit: u64) -> usize {
    limit.max(1).ilog2() as usize / 8 + 1
}

/// Gives each record to `record`, after the kind of records was found to be one of those `wanted`.
pub(super) fn walk(
    file: &Inner,
    address: u64,
    wanted: &[u8],
    mut record: impl FnMut(Cursor<'_>) -> Result<()>,
) -> Result<()> {
    let (offset_size, length_size) = (file.superblock.offset_size, file.superblock.length_size);
    let header = file.block(address, (22 + offset_size + length_size) as u64)?;
    let mut cursor = header.cursor(file);
    cursor.signature(*b"BTHD", "header of a B-tree")?;
    cursor.version(0..=0, "a B-tree header")?;
    let kind = cursor.u8()?;
    let node_size = cursor.u32()?;
    let record_size = usize::from(cursor.u16()?);
    let depth = cursor.u16()?;
    cursor.skip(2)?;
    let root = cursor.address()?;
    let count = cursor.u16()?;
    let mut promised = cursor.length()?;
    cursor.checksum("a B-tree")?;
    if !wanted.contains(&kind) {
        return Err(cursor.damaged(format!("a B-tree has records of kind {kind} where others should be")));
    }
    let Some(root) = root else { return Ok(()) };
    let levels = levels(&cursor, node_size, record_size, depth)?;
    let count_size = width(levels.first().map_or(0, |leaf| leaf.most));
    let mut seen = HashSet::new();
    let mut nodes = vec![(root, u64::from(count), usize::from(depth))];
    while let Some((address, count, depth)) = nodes.pop() {
        if !seen.insert(address) {
            return Err(file.damaged(address, "a B-tree leads into itself"));
        }
        if levels.get(depth).is_none_or(|level| count > level.most) || count > promised {
            return Err(file.damaged(address, "a node of a B-tree has more records than it can have"));
        }
        promised -= count;
        // The width of what leads to a child: its address, its records, and (further up) all that are below it.
        let below = depth.checked_sub(1).and_then(|lower| levels.get(lower)).copied();
        let total_size = below.filter(|_| depth > 1).map_or(0, |below| width(below.total));
        let pointers = below.map_or(0, |_| (count as usize + 1) * (offset_size + count_size + total_size));
        let length = 6 + count as usize * record_size + pointers + 4;
        let block = file.block(address, length as u64)?;
        let mut cursor = block.cursor(file);
        let signature = if below.is_some() { *b"BTIN" } else { *b"BTLF" };
        cursor.signature(signature, "node of a B-tree")?;
        cursor.version(0..=0, "a B-tree node")?;
        if cursor.u8()? != kind {
            return Err(cursor.damaged("a node of a B-tree is of another kind"));
        }
        for _ in 0..count {
            record(cursor.part(record_size)?)?;
        }
        if below.is_some() {
            for _ in 0..=count {
                let child = cursor.defined("a node of a B-tree")?;
                let count = cursor.uint(count_size)?;
                cursor.skip(total_size)?;
                nodes.push((child, count, depth - 1));
            }
        }
        cursor.checksum("a node of a B-tree")?;
    }
    Ok(())
}

/// How many records nodes of each depth can have, which decides how wide the numbers in them are.
fn levels(cursor: &Cursor<'_>, node_size: u32, record_size: usize, depth: u16) -> Result<Vec<Level>> {
    const AROUND: u64 = 10; // Signature, version, kind, checksum.
    let (node_size, record_size) = (u64::from(node_size), record_size as u64);
    let most = node_size.saturating_sub(AROUND).checked_div(record_size).unwrap_or(0);
    if most == 0 {
        return Err(cursor.damaged("a node of a B-tree has no room for records"));
    }
    let mut levels = vec![Level { most, total: most }];
    let count_size = width(most) as u64;
    for level in 1..=depth {
        let below = levels.last().map_or(0, |below| below.total);
        let total_size = if level > 1 { width(below) as u64 } else { 0 };
        let pointer = cursor.file.superblock.offset_size as u64 + count_size + total_size;
        let most = node_size.saturating_sub(AROUND + pointer) / (record_size + pointer);
        let total = most
            .checked_add(1)
            .and_then(|children| children.checked_mul(below))
            .and_then(|all| all.checked_add(most));
        match total {
            Some(total) if most > 0 => levels.push(Level { most, total }),
            // A tree of 2^64 records is none that anybody has written.
            _ => return Err(cursor.damaged("a B-tree is too deep")),
        }
    }
    Ok(levels)
}
