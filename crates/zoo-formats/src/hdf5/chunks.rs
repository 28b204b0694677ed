//! Where the chunks of a dataset are.
//!
//! Old files have a B-tree whose keys are coordinates. Version 1.10 of the library brought an index for each case: one chunk,
//! all chunks without gaps, arrays of addresses ([`super::arrays`]), and a B-tree for more than one unlimited axis.

use super::btree1::{self, Kind};
use super::btree2::{self, records};
use super::cursor::Cursor;
use super::file::Inner;
use super::layout::{Chunked, Index};
use super::{arrays, dataspace::Dataspace};
use crate::Result;

/// One chunk.
pub(super) struct Chunk {
    /// Its place in the grid of chunks.
    pub(super) at: Vec<u64>,
    pub(super) address: u64,
    /// Bytes that it takes in the file.
    pub(super) stored: u64,
    /// Filters that were left out.
    pub(super) mask: u32,
}

/// The grid of chunks.
pub(super) struct Grid<'g> {
    pub(super) file: &'g Inner,
    pub(super) layout: &'g Chunked,
    /// Bytes of a chunk without filters.
    pub(super) chunk_bytes: u64,
    pub(super) filtered: bool,
    /// Chunks along each axis, now and at most; the latter is unlimited where the axis is.
    pub(super) now: Vec<u64>,
    pub(super) most: Vec<u64>,
}

const UNLIMITED: u64 = u64::MAX;

impl<'g> Grid<'g> {
    /// The grid of a dataset; none if the ranks differ or a chunk is too large to be counted.
    pub(super) fn new(
        file: &'g Inner,
        layout: &'g Chunked,
        space: &Dataspace,
        filtered: bool,
    ) -> Option<Self> {
        let Dataspace::Simple { shape, largest } = space else { return None };
        if shape.len() != layout.chunk.len() {
            return None;
        }
        let chunk_bytes =
            layout.chunk.iter().try_fold(layout.element, |bytes, &size| bytes.checked_mul(size))?;
        let axes = || layout.chunk.iter();
        let now = shape.iter().zip(axes()).map(|(&size, &chunk)| (size as u64).div_ceil(chunk)).collect();
        let most = largest.iter().zip(axes());
        let most =
            most.map(|(&size, &chunk)| if size == UNLIMITED { UNLIMITED } else { size.div_ceil(chunk) });
        Some(Self { file, layout, chunk_bytes, filtered, now, most: most.collect() })
    }

    /// Gives every chunk that was written to `take`.
    pub(super) fn each(&self, take: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let Some(address) = self.layout.address else { return Ok(()) };
        match self.layout.index {
            Index::BTree1 => self.tree_1(address, take),
            Index::Single(sizes) => {
                let (stored, mask) = sizes.unwrap_or((self.chunk_bytes, 0));
                take(Chunk { at: vec![0; self.now.len()], address, stored, mask })
            }
            Index::Implicit => {
                let total = self.now.iter().try_fold(1_u64, |all, &count| all.checked_mul(count));
                let end = total.and_then(|total| total.checked_mul(self.chunk_bytes)?.checked_add(address));
                let (Some(total), Some(_)) = (total, end) else {
                    return Err(self
                        .file
                        .damaged(address, "a dataset has more chunks than the file could hold"));
                };
                self.file.block(address, 0)?;
                for index in 0..total {
                    let at = coordinates(index, &self.now);
                    let Some(place) = self
                        .linear(&at)
                        .and_then(|place| place.checked_mul(self.chunk_bytes)?.checked_add(address))
                    else {
                        return Err(self.file.damaged(address, "a chunk is beyond the file"));
                    };
                    take(Chunk { at, address: place, stored: self.chunk_bytes, mask: 0 })?;
                }
                Ok(())
            }
            Index::FixedArray => arrays::fixed(self, address, &mut |index, mut entry| {
                if let Some(at) = self.place_in_fixed(index) {
                    self.entry(at, &mut entry, take)?;
                }
                Ok(())
            }),
            Index::ExtensibleArray => {
                let axis = self.most.iter().position(|&most| most == UNLIMITED);
                let axis = axis
                    .ok_or_else(|| self.file.damaged(address, "no axis of a growing dataset is unlimited"))?;
                arrays::extensible(self, address, &mut |index, mut entry| {
                    if let Some(at) = self.place_in_growing(index, axis) {
                        self.entry(at, &mut entry, take)?;
                    }
                    Ok(())
                })
            }
            Index::BTree2 => self.tree_2(address, take),
        }
    }

    fn tree_1(&self, address: u64, take: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let axes = self.now.len();
        btree1::walk(self.file, Kind::Chunks { axes: axes + 1 }, address, |mut key, address| {
            let (stored, mask) = (u64::from(key.u32()?), key.u32()?);
            let mut at = Vec::with_capacity(axes);
            for &size in &self.layout.chunk {
                let first = key.u64()?;
                if first % size != 0 {
                    return Err(key.damaged("a chunk begins inside of another"));
                }
                at.push(first / size);
            }
            take(Chunk { at, address, stored, mask })
        })
    }

    fn tree_2(&self, address: u64, take: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let kind = if self.filtered { records::FILTERED_CHUNKS } else { records::CHUNKS };
        btree2::walk(self.file, address, &[kind], |mut record| {
            let address = record.defined("a chunk")?;
            let (mut stored, mut mask) = (self.chunk_bytes, 0);
            if self.filtered {
                // What is left of the record decides how wide the size is.
                let width =
                    record.left().checked_sub(4 + 8 * self.now.len()).filter(|width| (1..=8).contains(width));
                stored =
                    record.uint(width.ok_or_else(|| record.damaged("a chunk has a size of no width"))?)?;
                mask = record.u32()?;
            }
            let mut at = Vec::with_capacity(self.now.len());
            for _ in &self.now {
                at.push(record.u64()?);
            }
            take(Chunk { at, address, stored, mask })
        })
    }

    /// Bytes of an entry of an array: an address and, with filters, a size and a mask.
    pub(super) fn entry_sizes(&self) -> std::ops::RangeInclusive<usize> {
        let offset = self.file.superblock.offset_size;
        if self.filtered { offset + 5..=offset + 12 } else { offset..=offset }
    }

    fn entry(
        &self,
        at: Vec<u64>,
        entry: &mut Cursor<'_>,
        take: &mut dyn FnMut(Chunk) -> Result<()>,
    ) -> Result<()> {
        let Some(address) = entry.address()? else { return Ok(()) };
        let (mut stored, mut mask) = (self.chunk_bytes, 0);
        if self.filtered {
            stored = entry.uint(entry.left().saturating_sub(4))?;
            mask = entry.u32()?;
        }
        take(Chunk { at, address, stored, mask })
    }

    /// The place of a chunk in the order of all chunks that there may ever be.
    fn linear(&self, at: &[u64]) -> Option<u64> {
        at.iter()
            .zip(&self.most)
            .try_fold(0_u64, |place, (&at, &most)| place.checked_mul(most)?.checked_add(at))
    }

    /// The reverse; none for a chunk that the dataset does not reach.
    fn place_in_fixed(&self, index: u64) -> Option<Vec<u64>> {
        Some(coordinates(index, &self.most)).filter(|at| self.contains(at))
    }

    /// Where one axis grows, chunks are counted as if it were the first one.
    fn place_in_growing(&self, index: u64, axis: usize) -> Option<Vec<u64>> {
        let mut most = self.most.clone();
        let unlimited = most.remove(axis);
        most.insert(0, unlimited);
        let mut at = coordinates(index, &most);
        let first = at.remove(0);
        at.insert(axis, first);
        Some(at).filter(|at| self.contains(at))
    }

    fn contains(&self, at: &[u64]) -> bool {
        at.iter().zip(&self.now).all(|(at, now)| at < now)
    }
}

/// Coordinates of a place in row-major order. The first axis takes what is left.
fn coordinates(mut index: u64, sizes: &[u64]) -> Vec<u64> {
    let mut at = vec![0; sizes.len()];
    for (axis, (at, &size)) in at.iter_mut().zip(sizes).enumerate().rev() {
        if axis == 0 {
            *at = index;
        } else {
            *at = index.checked_rem(size).unwrap_or(0);
            index = index.checked_div(size).unwrap_or(0);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_row_major_order() {
        assert_eq!(coordinates(7, &[2, 3, 2]), [1, 0, 1]);
        assert_eq!(coordinates(12, &[2, 3, 2]), [2, 0, 0], "beyond the end: the caller looks");
        assert_eq!(coordinates(5, &[0, 0]), [0, 0]);
        assert!(coordinates(5, &[]).is_empty());
    }
}
