//! Shapes.

use zoo_tensor::element_count;

use super::cursor::Cursor;
use crate::{Result, limits};

/// The shape of a dataset or an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dataspace {
    /// Nothing at all, not even a single value.
    Null,
    /// Sizes, and how large each may grow. Without axes: a single value.
    Simple { shape: Vec<usize>, largest: Vec<u64> },
}

impl Dataspace {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let version = cursor.version(1..=2, "a shape")?;
        let (rank, flags) = (usize::from(cursor.u8()?), cursor.u8()?);
        let kind = cursor.u8()?;
        if version == 1 {
            cursor.skip(4)?;
        } else if kind == 2 {
            return Ok(Self::Null);
        }
        if rank > limits::MAX_RANK {
            return Err(cursor.damaged(format!("a shape has {rank} axes")));
        }
        let mut sizes = Vec::with_capacity(rank);
        for _ in 0..rank {
            sizes.push(cursor.length()?);
        }
        let mut largest = sizes.clone();
        if flags & 1 != 0 {
            for size in &mut largest {
                *size = cursor.length()?;
            }
        }
        Ok(Self::Simple { shape: sizes.iter().map(|&size| size as usize).collect(), largest })
    }

    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Null => &[],
            Self::Simple { shape, .. } => shape,
        }
    }

    /// How many elements there are; none if there is nothing, or more than can be counted.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Null => None,
            Self::Simple { shape, .. } => element_count(shape),
        }
    }
}
