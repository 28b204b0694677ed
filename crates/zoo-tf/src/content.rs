//! The bytes of a weight, in pieces: for checksums, for the shard of what has to be rewritten, and for frozen graphs.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use zoo_graph::emit;
use zoo_graph::graph::{Source, Value};
use zoo_tensor::{DType, Place, Tensor, Weight};

use crate::{Error, Result};

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

/// What is to be written of a value that is a weight.
#[derive(Debug, Clone)]
pub(crate) struct Content<'g> {
    from: From<'g>,
    pub(crate) shape: Vec<usize>,
    /// The elements' type as they are written.
    pub(crate) dtype: DType,
}

#[derive(Debug, Clone)]
enum From<'g> {
    /// A tensor as it is, or a view of it.
    Weight(Weight),
    /// Computed from one.
    Computed(emit::Content<'g>),
}

impl<'g> Content<'g> {
    /// None if the value is no weight.
    pub(crate) fn of(value: &'g Value) -> Option<Self> {
        let content = emit::Content::of(value)?;
        let from = match &value.source {
            Source::Weight(weight) if content.is_verbatim() => From::Weight(weight.clone()),
            _ => From::Computed(content),
        };
        Some(Self { from, shape: value.sizes()?, dtype: value.dtype })
    }

    /// The same with its axes in another order, if that is a view of what lies in a file.
    pub(crate) fn permuted(&self, order: &[usize]) -> Option<Self> {
        let From::Weight(weight) = &self.from else { return None };
        let place = weight.in_place()?;
        let mut strides = vec![1_usize; self.shape.len()];
        let mut stride = 1_usize;
        for (own, &size) in strides.iter_mut().zip(&self.shape).rev() {
            *own = stride;
            stride = stride.checked_mul(size)?;
        }
        let shape: Vec<usize> =
            order.iter().map(|&axis| self.shape.get(axis).copied()).collect::<Option<_>>()?;
        let strides: Vec<usize> =
            order.iter().map(|&axis| strides.get(axis).copied()).collect::<Option<_>>()?;
        let view =
            Weight::strided(self.dtype, shape.clone(), &strides, &place.file, place.offset, false).ok()?;
        Some(Self { from: From::Weight(view), shape, dtype: self.dtype })
    }

    /// The bytes that it takes.
    pub(crate) fn byte_len(&self) -> u64 {
        self.dtype.byte_len(self.shape.iter().product()).unwrap_or(usize::MAX) as u64
    }

    /// Where it lies, if the bytes there are its own.
    pub(crate) fn place(&self) -> Option<&Place> {
        match &self.from {
            From::Weight(weight) => weight.in_place(),
            From::Computed(_) => None,
        }
    }

    /// The whole of it; only for what is small.
    pub(crate) fn tensor(&self) -> Result<Tensor> {
        let mut bytes = Vec::new();
        self.pieces(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Tensor::from_bytes(self.dtype, self.shape.clone(), bytes.into())?)
    }

    /// Gives its bytes in pieces. What lies densely in a file is read in pieces, too.
    pub(crate) fn pieces(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match &self.from {
            From::Weight(weight) => match weight.in_place() {
                Some(place) => of_place(place, sink),
                None => {
                    let tensor = weight.to_tensor()?;
                    sink(tensor.bytes().map_or(&[][..], |bytes| bytes))
                }
            },
            From::Computed(content) => {
                // zoo-graph's pieces end with its own errors; that of the sink is kept beside them.
                let mut failed = None;
                let done = content.pieces(|piece| {
                    sink(piece).map_err(|error| {
                        failed = Some(error);
                        zoo_graph::Error::Tensor(zoo_tensor::Error::File {
                            action: "copy",
                            path: std::path::PathBuf::new(),
                            source: std::io::Error::other("the copy failed"),
                        })
                    })
                });
                failed.map_or_else(|| done.map_err(Error::Graph), Err)
            }
        }
    }
}

/// The bytes of a place, in pieces.
fn of_place(place: &Place, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let path = place.file.path();
    let failed = |action| move |source| Error::File { action, path: path.to_owned(), source };
    if place.length == 0 {
        return Ok(());
    }
    let mut file = File::open(path).map_err(failed("open"))?;
    file.seek(SeekFrom::Start(place.offset)).map_err(failed("read"))?;
    let mut piece = vec![0; place.length.min(PIECE) as usize];
    let mut left = place.length;
    while left > 0 {
        let piece = piece.get_mut(..left.min(PIECE) as usize).unwrap_or_default();
        file.read_exact(piece).map_err(failed("read"))?;
        sink(piece)?;
        left -= piece.len() as u64;
    }
    Ok(())
}
