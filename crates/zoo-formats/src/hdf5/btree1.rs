//! B-trees of version 1: of the entries of an old group, and of the chunks of a dataset.
//!
//! Only their leaves are wanted, in order. The level falls with every step down and no node is read twice, so the way
//! through a tree ends.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::file::Inner;
use crate::Result;

/// What a tree is of.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Entries of a group. Keys are places in a heap of names.
    Group,
    /// Chunks. Keys have the size, the mask of filters, and a coordinate per axis, of which the last one is not used.
    Chunks { axes: usize },
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Group => 0,
            Self::Chunks { .. } => 1,
        }
    }

    fn key_size(self, file: &Inner) -> usize {
        match self {
            Self::Group => file.superblock.length_size,
            Self::Chunks { axes } => 8 + 8 * axes,
        }
    }
}

/// Gives each leaf's address, with the key before it, to `leaf`.
pub(super) fn walk(
    file: &Inner,
    kind: Kind,
    root: u64,
    mut leaf: impl FnMut(Cursor<'_>, u64) -> Result<()>,
) -> Result<()> {
    let head = 8 + 2 * file.superblock.offset_size;
    let pair = kind.key_size(file) + file.superblock.offset_size;
    let mut seen = HashSet::new();
    let mut nodes = vec![(root, None::<u8>)];
    while let Some((address, expected)) = nodes.pop() {
        if !seen.insert(address) {
            return Err(file.damaged(address, "a B-tree leads into itself"));
        }
        let block = file.block(address, head as u64)?;
        let mut cursor = block.cursor(file);
        cursor.signature(*b"TREE", "node of a B-tree")?;
        let (code, level, count) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
        if code != kind.code() || expected.is_some_and(|expected| expected != level) {
            return Err(cursor.damaged("a B-tree has a node of another kind or level"));
        }
        let children = file.block(address.saturating_add(head as u64), (usize::from(count) * pair) as u64)?;
        let mut cursor = children.cursor(file);
        let mut below = Vec::new();
        for _ in 0..count {
            let key = cursor.part(kind.key_size(file))?;
            let child = cursor.defined("a part of a B-tree")?;
            match level.checked_sub(1) {
                None => leaf(key, child)?,
                Some(lower) => below.push((child, Some(lower))),
            }
        }
        nodes.extend(below.into_iter().rev());
    }
    Ok(())
}
