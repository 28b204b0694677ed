//! The bytes of a weight as they are written: copied where they stay as they are, computed piece by piece where not.

use std::io::Write as _;

use bytes::Bytes;
use zoo_tensor::{DType, Tensor, Weight};

use super::files::{Temporary, failed};
use crate::graph::{Source, Value};
use crate::{Error, Result};

/// Elements that are computed at a time. Opening the file for each piece does not show any more, and the buffers of every stage are
/// small enough to be used again: with sixteen times as many elements, most of the time went into memory that was new to the process.
const PIECE: usize = 1 << 15;

/// What is to be written of a value that is a weight.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The value's name, for messages.
    name: &'a str,
    pub(super) weight: &'a Weight,
    /// What each of the weight's rows is multiplied by.
    pub(super) factors: Option<&'a [f64]>,
    /// The elements' type in the model.
    pub(super) dtype: DType,
}

impl<'a> Content<'a> {
    /// None if the value is no weight.
    pub fn of(value: &'a Value) -> Option<Self> {
        let (weight, factors) = match &value.source {
            Source::Weight(weight) => (weight, None),
            Source::Scaled { weight, factors } => (weight, Some(&**factors)),
            Source::Input | Source::Constant(_) | Source::Node => return None,
        };
        Some(Self { name: &value.name, weight, factors, dtype: value.dtype })
    }

    /// The bytes that it has in the model.
    ///
    /// # Errors
    /// If elements of the type have no size: text.
    pub fn byte_len(&self) -> Result<u64> {
        let length = self.dtype.byte_len(self.weight.len()).filter(|_| self.weight.dtype() != DType::String);
        let length = length
            .ok_or_else(|| Error::WeightType { name: self.name.to_owned(), dtype: self.weight.dtype() });
        Ok(length? as u64)
    }

    /// Whether it is written as it is.
    pub fn is_verbatim(&self) -> bool {
        self.factors.is_none() && self.weight.dtype() == self.dtype
    }

    /// Appends it to a file. What stays as it is is copied by the system; nothing is held in memory.
    ///
    /// # Errors
    /// If it cannot be read, computed or written.
    pub(super) fn copy_to(&self, out: &mut Temporary) -> Result<()> {
        if self.is_verbatim() {
            return Ok(self.weight.copy_to(out.file())?);
        }
        let path = out.path().to_owned();
        self.pieces(|piece| out.file().write_all(piece).map_err(failed("write", &path)))
    }

    /// Its bytes; only for what is small.
    ///
    /// # Errors
    /// If it cannot be read or computed.
    pub(super) fn bytes(&self) -> Result<Bytes> {
        if self.is_verbatim() {
            return Ok(self.weight.to_tensor()?.bytes().cloned().unwrap_or_default());
        }
        let mut bytes = Vec::new();
        self.pieces(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes.into())
    }

    /// Gives its bytes in pieces, computed one after the other.
    ///
    /// # Errors
    /// If it cannot be read or computed; or what the sink says.
    pub fn pieces(&self, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let count = self.weight.len();
        // What does not lie densely has to be gathered whole before it can be taken piece by piece.
        let flat = match self.weight.reshaped([count]) {
            Ok(flat) => flat,
            Err(_) => Weight::from(self.weight.to_tensor()?).reshaped([count])?,
        };
        for start in (0..count).step_by(PIECE) {
            let mut piece = flat.rows(start, PIECE.min(count - start))?.to_tensor()?;
            if let Some(factors) = self.factors {
                piece = self.scaled(&piece, start, factors)?;
            }
            let piece = self.cast(&piece, start)?;
            sink(piece.bytes().map_or(&[][..], |bytes| bytes))?;
        }
        Ok(())
    }

    /// A piece that begins at element `start`, each element multiplied by its row's factor in double precision.
    fn scaled(&self, piece: &Tensor, start: usize, factors: &[f64]) -> Result<Tensor> {
        let row = (self.weight.len() / factors.len().max(1)).max(1);
        let mut products = Vec::with_capacity(piece.len());
        for (index, value) in (start..).zip(piece.to_f64_vec()?) {
            let product = value * factors.get(index / row).copied().unwrap_or(f64::NAN);
            if product.is_finite() && (product as f32).is_infinite() {
                return Err(self.overflow(index, product.to_string(), DType::F32));
            }
            products.push(product as f32);
        }
        Ok(Tensor::from_slice([products.len()], &products)?)
    }

    #[cfg(feature = "compute")]
    fn cast(&self, piece: &Tensor, start: usize) -> Result<Tensor> {
        use zoo_tensor::Error::OutOfRange;
        zoo_tensor::compute::cast(piece, self.dtype).map_err(|error| match error {
            OutOfRange { index, value, .. } => self.overflow(start + index, value, self.dtype),
            error => Error::Tensor(error),
        })
    }

    #[cfg(not(feature = "compute"))]
    fn cast(&self, piece: &Tensor, _start: usize) -> Result<Tensor> {
        if piece.dtype() == self.dtype {
            return Ok(piece.clone());
        }
        let what = format!("writing tensor \"{}\" ({}) as {}", self.name, piece.dtype(), self.dtype);
        Err(Error::NeedsFeature { what, feature: "compute" })
    }

    fn overflow(&self, index: usize, value: String, dtype: DType) -> Error {
        Error::Overflow { tensor: self.name.to_owned(), index, value, dtype }
    }
}
