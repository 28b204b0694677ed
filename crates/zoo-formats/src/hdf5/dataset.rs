//! Datasets: elements of one type in one shape.
//!
//! Elements that lie one after the other are a place in the file. Chunks are put together in memory when a weight is asked
//! for, within what [`crate::limits`] allows a file of this length.

use std::sync::Arc;

use zoo_tensor::{DType, Tensor, Weight};

use super::attribute::{self, Attribute};
use super::chunks::{Chunk, Grid};
use super::dataspace::Dataspace;
use super::datatype::{Class, Datatype};
use super::file::Inner;
use super::filter::Filters;
use super::layout::{Chunked, Layout};
use super::object::{Header, kind};
use crate::{Error, Result, limits};

/// A dataset. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Dataset {
    inner: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    file: Arc<Inner>,
    path: String,
    address: u64,
    header: Header,
    space: Dataspace,
    datatype: Datatype,
}

impl Dataset {
    pub(super) fn of(file: &Arc<Inner>, address: u64, header: Header, path: String) -> Result<Self> {
        let lacking = |what: &str| file.damaged(address, format!("the dataset \"{path}\" has no {what}"));
        let space = header.get(file, kind::DATASPACE)?.ok_or_else(|| lacking("shape"))?;
        let space = Dataspace::read(&mut space.cursor(file))?;
        let datatype = header.get(file, kind::DATATYPE)?.ok_or_else(|| lacking("type"))?;
        let datatype = Datatype::read(&mut datatype.cursor(file))?;
        Ok(Self { inner: Arc::new(Node { file: Arc::clone(file), path, address, header, space, datatype }) })
    }

    /// Its path from the root, without a slash at the start.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// Where its header is: the same for two paths that lead to one dataset.
    pub fn address(&self) -> u64 {
        self.inner.address
    }

    /// The size of each dimension; empty for a single element.
    pub fn shape(&self) -> &[usize] {
        self.inner.space.shape()
    }

    /// The type of its elements. bfloat16 is a float of that layout or, as Keras writes it, two bytes without a meaning
    /// beside an attribute `dtype` that names it.
    ///
    /// # Errors
    /// If they are something that no tensor holds: texts, compounds, references. The error says what.
    pub fn dtype(&self) -> Result<DType> {
        self.element().map(|(dtype, _)| dtype)
    }

    /// All attributes, sorted by name.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn attributes(&self) -> Result<Vec<Attribute>> {
        attribute::all(&self.inner.file, &self.inner.header)
    }

    /// The attribute of this name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn attribute(&self, name: &str) -> Result<Option<Attribute>> {
        attribute::named(&self.inner.file, &self.inner.header, name)
    }

    /// What the elements are, for people.
    pub(crate) fn describe(&self) -> String {
        self.inner.datatype.describe()
    }

    /// The elements: a place in the file if they lie there one after the other. Chunks are read now, and so is a dataset that
    /// nothing was written to, whose elements all have the fill value.
    ///
    /// # Errors
    /// If the elements are no numbers, are stored in a way that is not read, are not all in the file, or take more memory
    /// than a file of this length justifies.
    pub fn weight(&self) -> Result<Weight> {
        self.weight_within(self.owned_limit())
    }

    /// The same, with at most `limit` bytes in memory.
    pub(super) fn weight_within(&self, limit: u64) -> Result<Weight> {
        let file = &self.inner.file;
        let (dtype, big_endian) = self.element()?;
        if self.inner.space == Dataspace::Null {
            return Err(self.unknown("holds nothing"));
        }
        let needed = self.inner.space.count().and_then(|count| dtype.byte_len(count));
        let needed = needed.ok_or_else(|| self.damaged("has a shape whose size overflows"))? as u64;
        if self.inner.header.has(kind::EXTERNAL) {
            return Err(self.unknown("keeps its elements in other files"));
        }
        let message =
            self.inner.header.get(file, kind::LAYOUT)?.ok_or_else(|| self.damaged("has no layout"))?;
        let layout = Layout::read(&mut message.cursor(file), &message)?;
        let filters = match self.inner.header.get(file, kind::FILTERS)? {
            Some(message) => Filters::read(&mut message.cursor(file))?,
            None => Filters::default(),
        };
        match layout {
            Layout::Compact { offset, length } if length == needed => self.place(dtype, big_endian, offset),
            Layout::Contiguous { address: Some(address), length }
                if length.is_none_or(|length| length == needed) =>
            {
                self.place(dtype, big_endian, self.start_of(address)?)
            }
            Layout::Compact { .. } | Layout::Contiguous { address: Some(_), .. } => {
                Err(self.damaged("takes another number of bytes than its shape"))
            }
            Layout::Contiguous { address: None, .. } => {
                let all = self.filled(needed, limit)?;
                self.owned(dtype, big_endian, all)
            }
            Layout::Chunked(chunked) => match self.only_chunk(&chunked, &filters)? {
                Some(address) => self.place(dtype, big_endian, self.start_of(address)?),
                None => {
                    let all = self.assembled(&chunked, &filters, needed, limit)?;
                    self.owned(dtype, big_endian, all)
                }
            },
        }
    }

    /// What may be held in memory of all datasets of its file together.
    pub(super) fn owned_limit(&self) -> u64 {
        self.inner.file.owned_limit()
    }

    fn element(&self) -> Result<(DType, bool)> {
        match &self.inner.datatype.class {
            Class::Number { dtype, big_endian } => return Ok((*dtype, *big_endian)),
            Class::Opaque if self.inner.datatype.size == 2 => {
                if let Some(name) = self.attribute("dtype")?
                    && name.text().is_ok_and(|name| name == "bfloat16")
                {
                    return Ok((DType::BF16, false));
                }
            }
            _ => {}
        }
        Err(self.unknown(&format!("is {}, which is no number", self.describe())))
    }

    fn place(&self, dtype: DType, big_endian: bool, offset: u64) -> Result<Weight> {
        let shape = self.shape().to_vec();
        let mut strides = vec![1_usize; shape.len()];
        let mut stride = 1_usize;
        for (place, &size) in strides.iter_mut().zip(&shape).rev() {
            *place = stride;
            stride = stride.saturating_mul(size.max(1));
        }
        let source = self.inner.file.reader.source();
        Ok(Weight::strided(dtype, shape, &strides, source, offset, big_endian)?)
    }

    fn owned(&self, dtype: DType, big_endian: bool, mut bytes: Vec<u8>) -> Result<Weight> {
        if let (true, Some(size)) = (big_endian, dtype.size()) {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(Tensor::from_bytes(dtype, self.shape().to_vec(), bytes.into())?.into())
    }

    /// The byte of the file that has an address.
    fn start_of(&self, address: u64) -> Result<u64> {
        let start = self.inner.file.superblock.base.checked_add(address);
        start.ok_or_else(|| self.damaged("is beyond the file"))
    }

    /// The address of the only chunk, if it is exactly the dataset and as it is in memory.
    fn only_chunk(&self, chunked: &Chunked, filters: &Filters) -> Result<Option<u64>> {
        let shape = self.shape().iter().map(|&size| size as u64);
        if !filters.is_empty() || !shape.eq(chunked.chunk.iter().copied()) {
            return Ok(None);
        }
        let grid = self.grid(chunked, filters)?;
        let mut found = Vec::new();
        grid.each(&mut |chunk| {
            found.push((chunk.address, chunk.stored));
            Ok(())
        })?;
        Ok(match found.as_slice() {
            &[(address, stored)] if stored == grid.chunk_bytes => Some(address),
            _ => None,
        })
    }

    fn grid<'g>(&'g self, chunked: &'g Chunked, filters: &Filters) -> Result<Grid<'g>> {
        let grid = Grid::new(&self.inner.file, chunked, &self.inner.space, !filters.is_empty());
        let grid = grid.filter(|_| chunked.element == self.inner.datatype.size as u64);
        grid.ok_or_else(|| self.damaged("has chunks of another shape"))
    }

    /// All chunks, put together.
    fn assembled(&self, chunked: &Chunked, filters: &Filters, needed: u64, limit: u64) -> Result<Vec<u8>> {
        let file = &self.inner.file;
        if let Some(name) = filters.unknown() {
            return Err(self.unknown(&format!("is stored with the filter {name}, which is not read")));
        }
        let grid = self.grid(chunked, filters)?;
        let largest = limits::CHUNK_BYTES.saturating_add(file.owned_limit() - limits::OWNED_BYTES);
        if grid.chunk_bytes > largest {
            return Err(self.too_much("bytes in a chunk", grid.chunk_bytes, largest));
        }
        let mut all = self.filled(needed, limit)?;
        if all.is_empty() {
            return Ok(all);
        }
        // Chunks at the edge reach beyond the dataset, along every axis. More than that means that some are repeated.
        let (mut unpacked, mut stored) = (0_u64, 0_u64);
        grid.each(&mut |chunk| {
            unpacked = unpacked.saturating_add(grid.chunk_bytes);
            stored = stored.saturating_add(chunk.stored);
            if unpacked > file.owned_limit().saturating_mul(4) || stored > file.reader.len() {
                return Err(self.damaged("has chunks that overlap"));
            }
            if chunk.at.iter().zip(&grid.now).any(|(at, now)| at >= now) {
                return Err(self.damaged("has a chunk beyond its shape"));
            }
            let block = file.block(chunk.address, chunk.stored)?;
            let at_edge = || {
                let ends =
                    chunk.at.iter().zip(&chunked.chunk).map(|(&at, &size)| (at + 1).saturating_mul(size));
                ends.zip(self.shape()).any(|(end, &size)| end > size as u64)
            };
            let bytes = if chunked.plain_edges && at_edge() {
                block.data
            } else {
                let undone = filters.undo(block.data, chunk.mask, grid.chunk_bytes as usize);
                undone.map_err(|problem| {
                    file.damaged(block.start, format!("a chunk of \"{}\" {problem}", self.path()))
                })?
            };
            self.put(&mut all, &chunk, chunked, &bytes)
                .ok_or_else(|| self.damaged("has a chunk of another size"))
        })?;
        Ok(all)
    }

    /// Copies the rows of a chunk to where they belong; none if the sizes do not fit each other.
    fn put(&self, all: &mut [u8], chunk: &Chunk, chunked: &Chunked, bytes: &[u8]) -> Option<()> {
        let element = self.inner.datatype.size;
        let shape = self.shape();
        let sizes: Vec<usize> = chunked.chunk.iter().map(|&size| size as usize).collect();
        let first: Vec<usize> = chunk.at.iter().zip(&sizes).map(|(&at, &size)| at as usize * size).collect();
        // What of the chunk is inside of the dataset.
        let inside: Vec<usize> = shape
            .iter()
            .zip(&first)
            .zip(&sizes)
            .map(|((&shape, &first), &size)| size.min(shape - first))
            .collect();
        let (&row, outer) = inside.split_last()?;
        let mut index = vec![0_usize; outer.len()];
        loop {
            // Row-major places of the row in the chunk and in the dataset.
            let (mut from, mut to) = (0, 0);
            for (axis, &index) in index.iter().chain(std::iter::once(&0)).enumerate() {
                from = from * sizes.get(axis)? + index;
                to = to * shape.get(axis)? + first.get(axis)? + index;
            }
            let source = bytes.get(from * element..(from + row) * element)?;
            all.get_mut(to * element..(to + row) * element)?.copy_from_slice(source);
            let mut axis = outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return Some(()) };
                axis = next;
                let (place, &end) = (index.get_mut(axis)?, outer.get(axis)?);
                *place += 1;
                if *place < end {
                    break;
                }
                *place = 0;
            }
        }
    }

    /// So many bytes, all with the fill value.
    fn filled(&self, needed: u64, limit: u64) -> Result<Vec<u8>> {
        if needed > limit {
            return Err(self.too_much("bytes that are not in the file", needed, limit));
        }
        let value = self.fill_value()?;
        if value.iter().all(|&byte| byte == 0) {
            return Ok(vec![0; needed as usize]);
        }
        let mut all = Vec::with_capacity(needed as usize);
        while (all.len() as u64) < needed {
            all.extend_from_slice(&value);
        }
        Ok(all)
    }

    /// The fill value; nothing if it is zero.
    fn fill_value(&self) -> Result<Vec<u8>> {
        let (file, header) = (&self.inner.file, &self.inner.header);
        let value = if let Some(message) = header.get(file, kind::FILL)? {
            let mut cursor = message.cursor(file);
            let defined = match cursor.version(1..=3, "a fill value")? {
                1 => {
                    cursor.skip(3)?;
                    true
                }
                2 => {
                    cursor.skip(2)?;
                    cursor.u8()? != 0
                }
                _ => cursor.u8()? & 0x20 != 0,
            };
            let length = if defined { cursor.u32()? } else { 0 };
            cursor.take(length as usize)?.to_vec()
        } else if let Some(message) = header.get(file, kind::OLD_FILL)? {
            let mut cursor = message.cursor(file);
            let length = cursor.u32()?;
            cursor.take(length as usize)?.to_vec()
        } else {
            Vec::new()
        };
        if value.is_empty() || value.len() == self.inner.datatype.size {
            return Ok(value);
        }
        Err(self.damaged("has a fill value of another type"))
    }

    fn damaged(&self, problem: &str) -> Error {
        let offset = self.inner.file.superblock.base.saturating_add(self.inner.address);
        self.inner.file.damaged(offset, format!("the dataset \"{}\" {problem}", self.path()))
    }

    fn unknown(&self, problem: &str) -> Error {
        self.inner.file.unknown(format!("the dataset \"{}\" {problem}", self.path()))
    }

    fn too_much(&self, what: &'static str, found: u64, limit: u64) -> Error {
        self.inner.file.too_much(&format!("the dataset \"{}\"", self.path()), what, found, limit)
    }
}
