//! How a dataset's elements are stored.

use super::cursor::Cursor;
use super::object::Message;
use crate::{Result, limits};

#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// In the object header: so many bytes from this byte of the file on.
    Compact { offset: u64, length: u64 },
    /// One after the other, from an address on; nowhere, if nothing was written.
    Contiguous { address: Option<u64>, length: Option<u64> },
    /// In blocks of one shape.
    Chunked(Chunked),
}

#[derive(Debug, Clone)]
pub(super) struct Chunked {
    /// The shape of a block.
    pub(super) chunk: Vec<u64>,
    /// Bytes of an element.
    pub(super) element: u64,
    /// Blocks at the edge, which reach beyond the dataset, are stored without filters.
    pub(super) plain_edges: bool,
    pub(super) index: Index,
    /// Where the index is; nowhere, if nothing was written.
    pub(super) address: Option<u64>,
}

/// What finds the blocks.
#[derive(Debug, Clone)]
pub(super) enum Index {
    BTree1,
    /// There is only one. With filters, its size and which of them were left out.
    Single(Option<(u64, u32)>),
    /// All of them, one after the other.
    Implicit,
    FixedArray,
    ExtensibleArray,
    BTree2,
}

impl Layout {
    pub(super) fn read(cursor: &mut Cursor<'_>, message: &Message) -> Result<Self> {
        match cursor.version(1..=4, "a layout of elements")? {
            1 | 2 => old(cursor),
            version => {
                let class = cursor.u8()?;
                match class {
                    0 => {
                        let length = u64::from(cursor.u16()?);
                        compact(cursor, length)
                    }
                    1 => Ok(Self::Contiguous { address: cursor.address()?, length: Some(cursor.length()?) }),
                    2 if version == 3 => {
                        let rank = usize::from(cursor.u8()?);
                        let address = cursor.address()?;
                        let (chunk, element) = chunk_shape(cursor, rank, 4)?;
                        Ok(Self::Chunked(Chunked {
                            chunk,
                            element,
                            plain_edges: false,
                            index: Index::BTree1,
                            address,
                        }))
                    }
                    2 => new(cursor),
                    3 => Err(cursor.file.unknown(
                        "a virtual dataset, which takes its elements from other files, is not read",
                    )),
                    _ => {
                        let offset = message.offset;
                        Err(cursor.file.damaged(offset, format!("a dataset has a layout of class {class}")))
                    }
                }
            }
        }
    }
}

/// Versions 1 and 2 have one order of fields for all classes.
fn old(cursor: &mut Cursor<'_>) -> Result<Layout> {
    let (rank, class) = (usize::from(cursor.u8()?), cursor.u8()?);
    cursor.skip(5)?;
    match class {
        0 => {
            cursor.skip(4 * rank)?;
            let length = u64::from(cursor.u32()?);
            compact(cursor, length)
        }
        1 => Ok(Layout::Contiguous { address: cursor.address()?, length: None }),
        2 => {
            let address = cursor.address()?;
            let (chunk, element) = chunk_shape(cursor, rank, 4)?;
            Ok(Layout::Chunked(Chunked { chunk, element, plain_edges: false, index: Index::BTree1, address }))
        }
        _ => Err(cursor.damaged(format!("a dataset has a layout of class {class}"))),
    }
}

/// Blocks since version 1.10 of the library.
fn new(cursor: &mut Cursor<'_>) -> Result<Layout> {
    let (flags, rank, width) = (cursor.u8()?, usize::from(cursor.u8()?), usize::from(cursor.u8()?));
    if !(1..=8).contains(&width) {
        return Err(cursor.damaged("sizes of chunks have an impossible width"));
    }
    let (chunk, element) = chunk_shape(cursor, rank, width)?;
    let index = match cursor.u8()? {
        1 if flags & 2 != 0 => Index::Single(Some((cursor.length()?, cursor.u32()?))),
        1 => Index::Single(None),
        2 => Index::Implicit,
        3 => {
            cursor.skip(1)?;
            Index::FixedArray
        }
        4 => {
            cursor.skip(5)?;
            Index::ExtensibleArray
        }
        5 => {
            cursor.skip(6)?;
            Index::BTree2
        }
        other => return Err(cursor.file.unknown(format!("an index of chunks of kind {other} is not known"))),
    };
    let plain_edges = flags & 1 != 0;
    Ok(Layout::Chunked(Chunked { chunk, element, plain_edges, index, address: cursor.address()? }))
}

fn compact(cursor: &mut Cursor<'_>, length: u64) -> Result<Layout> {
    let offset = cursor.offset();
    cursor.skip(length as usize)?;
    Ok(Layout::Compact { offset, length })
}

/// The shape of the blocks, and the size of an element, which is the last number.
fn chunk_shape(cursor: &mut Cursor<'_>, rank: usize, width: usize) -> Result<(Vec<u64>, u64)> {
    if !(2..=limits::MAX_RANK + 1).contains(&rank) {
        return Err(cursor.damaged(format!("chunks have {rank} axes")));
    }
    let mut chunk = Vec::with_capacity(rank);
    for _ in 0..rank {
        chunk.push(cursor.uint(width)?);
    }
    if chunk.contains(&0) {
        return Err(cursor.damaged("chunks have no elements"));
    }
    let element = chunk.pop().unwrap_or(1);
    Ok((chunk, element))
}
