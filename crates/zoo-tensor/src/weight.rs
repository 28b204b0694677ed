//! A weight: a tensor's type, its shape, and where its bytes are.
//!
//! Staging handles gigabytes of weights without reading them, so a weight is a *description*: usually a [`Place`] in a
//! checkpoint that stays where it is, sometimes bytes that were computed. Only [`Weight::to_tensor`] and
//! [`Weight::copy_to`] read, one tensor at a time and never through a map, so that memory does not grow with the model.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::{DType, Error, Result, Tensor, element_count};

/// Bytes that are copied at a time. The system's own copying of ranges is slower wherever source and target lie differently in their
/// pages, as a checkpoint's tensors and aligned ones do: 61 ms for 100 MB, against 50 ms by way of a buffer like this.
const COPIED_BYTES: u64 = 1 << 20;

/// A file that weights lie in, and its length when it was opened: what every place is checked against.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    path: PathBuf,
    len: u64,
}

impl SourceFile {
    /// Notes the file and its length.
    ///
    /// # Errors
    /// If it cannot be examined or is no regular file.
    pub fn new(path: &Path) -> Result<Arc<Self>> {
        let meta = std::fs::metadata(path).map_err(|source| Error::File {
            action: "examine",
            path: path.to_owned(),
            source,
        })?;
        if !meta.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        Ok(Arc::new(Self { path: path.to_owned(), len: meta.len() }))
    }

    /// Its path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Where in a file a tensor lies, as its storage has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The byte of the first element.
    pub offset: u64,
    /// Bytes from the first element to behind the last one.
    pub length: u64,
    /// Distance between neighbours along each dimension, in elements. None: dense and row-major, which is what ONNX can
    /// refer to.
    pub strides: Option<Vec<usize>>,
    /// Whether the elements' bytes stand in the other order.
    pub big_endian: bool,
}

/// A tensor's type, shape, and place or bytes. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    File(Place),
    Owned(Bytes),
}

impl Weight {
    /// A dense, row-major, little-endian tensor at `offset` of a file.
    ///
    /// # Errors
    /// If its size overflows, or the file ends before it.
    pub fn in_file(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        file: &Arc<SourceFile>,
        offset: u64,
    ) -> Result<Self> {
        Self::placed(dtype, shape.into(), file, offset, None, false)
    }

    /// A tensor of any strides (in elements, not negative) and byte order. Strides that describe the dense layout are
    /// recognised as such: those of dimensions of size 1 do not matter, nor do any of a tensor without elements.
    ///
    /// # Errors
    /// If a size overflows, the ranks differ, or the file ends before the last element.
    pub fn strided(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        strides: &[usize],
        file: &Arc<SourceFile>,
        offset: u64,
        big_endian: bool,
    ) -> Result<Self> {
        let shape = shape.into();
        if strides.len() != shape.len() {
            return Err(Error::Strides { shape, strides: strides.to_vec(), problem: "differ in length" });
        }
        let dense = is_dense(&shape, strides);
        let bytes = element_count(&shape).and_then(|count| dtype.byte_len(count));
        if !dense && bytes.is_none_or(|bytes| bytes as u64 > file.len) {
            // Strides of 0 repeat elements; a few bytes must not become gigabytes when they are gathered.
            let problem = "describe more elements than the whole file could hold";
            return Err(Error::Strides { shape, strides: strides.to_vec(), problem });
        }
        let strides = (!dense).then(|| strides.to_vec());
        Self::placed(dtype, shape, file, offset, strides, big_endian)
    }

    fn placed(
        dtype: DType,
        shape: Vec<usize>,
        file: &Arc<SourceFile>,
        offset: u64,
        strides: Option<Vec<usize>>,
        big_endian: bool,
    ) -> Result<Self> {
        let too_large = || Error::TooLarge { dtype, shape: shape.clone() };
        let count = element_count(&shape).ok_or_else(too_large)?;
        let length = match &strides {
            None => dtype.byte_len(count),
            // The last element lies at the sum of (size - 1) * stride.
            Some(strides) => shape
                .iter()
                .zip(strides)
                .try_fold(0_usize, |sum, (&size, &stride)| {
                    (size.saturating_sub(1)).checked_mul(stride)?.checked_add(sum)
                })
                .and_then(|last| last.checked_add(1))
                .and_then(|span| dtype.size()?.checked_mul(span)),
        };
        let length = if count == 0 { Some(0) } else { length };
        let length = length.ok_or_else(too_large)? as u64;
        match offset.checked_add(length) {
            // A tensor without elements may point anywhere: nothing is ever read of it.
            Some(end) if end <= file.len || length == 0 => {}
            end => {
                return Err(Error::BeyondFile {
                    path: file.path.clone(),
                    end: end.unwrap_or(u64::MAX),
                    len: file.len,
                });
            }
        }
        let big_endian = big_endian && dtype.size() != Some(1);
        let place = Place { file: Arc::clone(file), offset, length, strides, big_endian };
        Ok(Self { dtype, shape, data: Data::File(place) })
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The size of each dimension; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The bytes that its elements take when they lie densely.
    pub fn byte_len(&self) -> u64 {
        self.dtype.byte_len(self.len()).unwrap_or(0) as u64
    }

    /// Where it lies in a file, in whatever layout; none if its bytes are in memory.
    pub fn place(&self) -> Option<&Place> {
        match &self.data {
            Data::File(place) => Some(place),
            Data::Owned(_) => None,
        }
    }

    /// Its place, if the bytes there are exactly the tensor's: dense, row-major, little-endian. ONNX external data can
    /// refer to such a place; every other layout has to be rewritten.
    pub fn in_place(&self) -> Option<&Place> {
        self.place().filter(|place| place.strides.is_none() && !place.big_endian)
    }

    /// The same bytes under another shape, which only a dense layout allows.
    ///
    /// # Errors
    /// If the number of elements differs, or the layout is not dense.
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        let shape = shape.into();
        if element_count(&shape) != Some(self.len()) {
            let expected = element_count(&shape).unwrap_or(usize::MAX);
            return Err(Error::WrongSize { dtype: self.dtype, shape, expected, found: self.len() });
        }
        if let Some(Place { strides: Some(strides), .. }) = self.place() {
            let (shape, strides) = (self.shape.clone(), strides.clone());
            return Err(Error::Strides { shape, strides, problem: "cannot be viewed under another shape" });
        }
        Ok(Self { shape, ..self.clone() })
    }

    /// The same elements with the axes in another order: axis `i` of the result is axis `order[i]` of this tensor. In a file
    /// it stays where it is, as a view; bytes in memory are copied.
    ///
    /// # Errors
    /// [`Error::Order`] if `order` does not name each axis once, [`Error::Uncomputable`] if the element type is narrower than a
    /// byte.
    pub fn permuted(&self, order: &[usize]) -> Result<Self> {
        let mut axes = order.to_vec();
        axes.sort_unstable();
        if !axes.iter().copied().eq(0..self.shape.len()) {
            return Err(Error::Order { shape: self.shape.clone(), order: order.to_vec() });
        }
        let size = self.dtype.size().ok_or(Error::Uncomputable { dtype: self.dtype })?;
        let own = match self.place() {
            Some(Place { strides: Some(strides), .. }) => strides.clone(),
            _ => dense_strides(&self.shape),
        };
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let strides: Vec<usize> = order.iter().map(|&axis| own[axis]).collect();
        match &self.data {
            Data::File(place) => {
                Self::strided(self.dtype, shape, &strides, &place.file, place.offset, place.big_endian)
            }
            Data::Owned(bytes) => {
                let bytes = gather(bytes, &shape, &strides, size);
                Ok(Self { dtype: self.dtype, shape, data: Data::Owned(bytes.into()) })
            }
        }
    }

    /// The slice `start..start + count` along the first dimension: still a place, because rows lie one after the other.
    ///
    /// # Errors
    /// If there are not that many rows, or the element type is narrower than a byte.
    pub fn rows(&self, start: usize, count: usize) -> Result<Self> {
        let out_of_range = || Error::Rows { shape: self.shape.clone(), start, count };
        let (&rows, rest) = self.shape.split_first().ok_or_else(out_of_range)?;
        if start.checked_add(count).is_none_or(|end| end > rows) {
            return Err(out_of_range());
        }
        let size = self.dtype.size().ok_or_else(out_of_range)?;
        let shape: Vec<usize> = std::iter::once(count).chain(rest.iter().copied()).collect();
        let row_elements: usize = rest.iter().product();
        match &self.data {
            Data::File(place) => {
                let stride = place.strides.as_ref().map_or(row_elements, |strides| strides[0]);
                let offset = place.offset + (start * stride * size) as u64;
                match &place.strides {
                    None => Self::placed(self.dtype, shape, &place.file, offset, None, place.big_endian),
                    Some(strides) => {
                        Self::strided(self.dtype, shape, strides, &place.file, offset, place.big_endian)
                    }
                }
            }
            Data::Owned(bytes) => {
                let row = row_elements * size;
                let data = Data::Owned(bytes.slice(start * row..(start + count) * row));
                Ok(Self { dtype: self.dtype, shape, data })
            }
        }
    }

    /// The dense, row-major, little-endian tensor of which this one is a permutation of axes, and the permutation: axis `i` of this
    /// tensor is axis `order[i]` of the dense one. None if it is dense itself, or of another layout.
    pub fn unpermuted(&self) -> Option<(Self, Vec<usize>)> {
        let place = self.place().filter(|place| !place.big_endian)?;
        let strides = place.strides.as_ref()?;
        // From the outermost to the innermost, as they lie; sorting is stable, so that axes of size 1 stay where they are.
        let mut axes: Vec<usize> = (0..self.shape.len()).collect();
        axes.sort_by_key(|&axis| std::cmp::Reverse((strides[axis], self.shape[axis])));
        let shape: Vec<usize> = axes.iter().map(|&axis| self.shape[axis]).collect();
        let lies: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        if !is_dense(&shape, &lies) {
            return None;
        }
        let dense = Self::placed(self.dtype, shape, &place.file, place.offset, None, false).ok()?;
        let mut order = vec![0; axes.len()];
        for (at, &axis) in axes.iter().enumerate() {
            order[axis] = at;
        }
        Some((dense, order))
    }

    /// Reads the tensor into memory, dense, row-major and little-endian.
    ///
    /// # Errors
    /// If the file cannot be read, or became shorter.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match &self.data {
            Data::Owned(bytes) => Tensor::from_bytes(self.dtype, self.shape.clone(), bytes.clone()),
            Data::File(place) => {
                let bytes = self.dense(place, read(place)?);
                Tensor::from_bytes(self.dtype, self.shape.clone(), bytes.into())
            }
        }
    }

    /// Writes the tensor's bytes, dense, row-major and little-endian. A dense tensor in a file is copied in pieces; any other is
    /// read whole first.
    ///
    /// # Errors
    /// If reading fails; what the writer says stands as [`Error::File`] of the source with action "copy".
    pub fn copy_to(&self, out: &mut File) -> Result<()> {
        let copy = |path: &Path, source| Error::File { action: "copy", path: path.to_owned(), source };
        if let Some(place) = self.in_place() {
            let path = place.file.path();
            let mut source = open_at(place)?;
            let mut piece = vec![0; place.length.min(COPIED_BYTES) as usize];
            let mut left = place.length;
            while left > 0 {
                let piece = piece.get_mut(..left.min(COPIED_BYTES) as usize).unwrap_or_default();
                source.read_exact(piece).map_err(|error| match error.kind() {
                    ErrorKind::UnexpectedEof => Error::BeyondFile {
                        path: path.to_owned(),
                        end: place.offset + place.length,
                        len: source.metadata().map_or(0, |meta| meta.len()),
                    },
                    _ => copy(path, error),
                })?;
                out.write_all(piece).map_err(|error| copy(path, error))?;
                left -= piece.len() as u64;
            }
            return Ok(());
        }
        let tensor = self.to_tensor()?;
        let path = self.place().map_or(Path::new(""), |place| place.file.path());
        out.write_all(tensor.bytes().map_or(&[][..], |bytes| bytes)).map_err(|error| copy(path, error))
    }

    /// Brings what was read of a place into the dense little-endian layout.
    fn dense(&self, place: &Place, mut bytes: Vec<u8>) -> Vec<u8> {
        let size = self.dtype.size().unwrap_or(1);
        if let Some(strides) = &place.strides {
            bytes = gather(&bytes, &self.shape, strides, size);
        }
        if place.big_endian {
            // Complex numbers are two numbers of half the size.
            let unit = if matches!(self.dtype, DType::C64 | DType::C128) { size / 2 } else { size };
            bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        }
        bytes
    }
}

impl From<Tensor> for Weight {
    /// A weight that was computed. Strings, which no checkpoint holds as weights, become an empty tensor of strings.
    fn from(tensor: Tensor) -> Self {
        let bytes = tensor.bytes().cloned().unwrap_or_default();
        Self { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), data: Data::Owned(bytes) }
    }
}

/// The strides of the dense row-major layout.
fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Whether strides are those of the dense row-major layout, where they matter.
fn is_dense(shape: &[usize], strides: &[usize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut expected = 1_usize;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 && stride != expected {
            return false;
        }
        expected = expected.saturating_mul(size);
    }
    true
}

fn open_at(place: &Place) -> Result<File> {
    let path = place.file.path();
    let fail = |action| move |source| Error::File { action, path: path.to_owned(), source };
    let mut file = File::open(path).map_err(fail("open"))?;
    file.seek(SeekFrom::Start(place.offset)).map_err(fail("read"))?;
    Ok(file)
}

fn read(place: &Place) -> Result<Vec<u8>> {
    let path = place.file.path();
    let mut bytes = Vec::new();
    // The length was checked against the file's own when the place was made.
    open_at(place)?.take(place.length).read_to_end(&mut bytes).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 != place.length {
        return Err(Error::BeyondFile {
            path: path.to_owned(),
            end: place.offset + place.length,
            len: place.offset + bytes.len() as u64,
        });
    }
    Ok(bytes)
}

/// Collects the elements of a strided tensor in row-major order.
fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0_usize; shape.len()];
    let mut at = 0_usize;
    for _ in 0..count {
        out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> (tempfile::NamedTempFile, Arc<SourceFile>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = SourceFile::new(file.path()).unwrap();
        (file, source)
    }

    #[test]
    fn a_dense_tensor_is_read_and_copied_as_it_stands() {
        let (_keep, source) = file_of(&[9, 1, 2, 3, 4, 5, 6, 9]);
        let weight = Weight::in_file(DType::U8, [2, 3], &source, 1).unwrap();
        assert_eq!(weight.in_place().map(|p| (p.offset, p.length)), Some((1, 6)));
        assert_eq!(weight.to_tensor().unwrap().to_i64_vec().unwrap(), [1, 2, 3, 4, 5, 6]);
        let out = tempfile::NamedTempFile::new().unwrap();
        weight.copy_to(&mut out.reopen().unwrap()).unwrap();
        let mut copied = Vec::new();
        out.reopen().unwrap().read_to_end(&mut copied).unwrap();
        assert_eq!(copied, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn rows_and_other_shapes_stay_in_place() {
        let (_keep, source) = file_of(&(0..24).collect::<Vec<u8>>());
        let weight = Weight::in_file(DType::I16, [3, 4], &source, 0).unwrap();
        let rows = weight.rows(1, 2).unwrap();
        assert_eq!((rows.shape(), rows.in_place().unwrap().offset), (&[2, 4][..], 8));
        assert!(weight.rows(2, 2).is_err() && weight.rows(usize::MAX, 2).is_err());
        let flat = weight.reshaped([12]).unwrap();
        assert_eq!(flat.in_place(), weight.in_place());
        assert!(weight.reshaped([5]).is_err());
        let owned = Weight::from(weight.to_tensor().unwrap());
        assert_eq!(owned.rows(1, 2).unwrap().to_tensor().unwrap(), rows.to_tensor().unwrap());
    }

    #[test]
    fn views_are_gathered() {
        let (_keep, source) = file_of(&[0, 1, 2, 3, 4, 5]);
        let transposed = Weight::strided(DType::U8, [3, 2], &[1, 3], &source, 0, false).unwrap();
        assert!(transposed.in_place().is_none() && transposed.reshaped([6]).is_err());
        assert_eq!(transposed.to_tensor().unwrap().to_i64_vec().unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(transposed.rows(1, 1).unwrap().to_tensor().unwrap().to_i64_vec().unwrap(), [1, 4]);
        let expanded = Weight::strided(DType::U8, [3, 2], &[0, 1], &source, 4, false).unwrap();
        assert_eq!(expanded.to_tensor().unwrap().to_i64_vec().unwrap(), [4, 5, 4, 5, 4, 5]);
        let ones = Weight::strided(DType::U8, [1, 6, 1], &[77, 1, 99], &source, 0, false).unwrap();
        assert!(ones.in_place().is_some(), "strides of dimensions of size 1 say nothing");
    }

    #[test]
    fn axes_in_another_order() {
        let (_keep, source) = file_of(&(0..24).collect::<Vec<u8>>());
        let weight = Weight::in_file(DType::U8, [2, 3, 4], &source, 0).unwrap();
        let permuted = weight.permuted(&[2, 0, 1]).unwrap();
        assert_eq!(permuted.shape(), [4, 2, 3]);
        assert_eq!(permuted.place().unwrap().strides, Some(vec![1, 12, 4]), "nothing is copied");
        let first: Vec<i64> = permuted.to_tensor().unwrap().to_i64_vec().unwrap();
        assert_eq!(first[..7], [0, 4, 8, 12, 16, 20, 1]);
        assert_eq!(permuted.permuted(&[1, 2, 0]).unwrap(), weight, "and back");
        let owned = Weight::from(weight.to_tensor().unwrap()).permuted(&[2, 0, 1]).unwrap();
        assert_eq!(owned.to_tensor().unwrap(), permuted.to_tensor().unwrap());
        let column = Weight::in_file(DType::U8, [1, 5], &source, 0).unwrap().permuted(&[1, 0]).unwrap();
        assert!(column.in_place().is_some(), "an axis of size 1 may stand anywhere");
        for order in [&[0, 1][..], &[0, 0, 1], &[0, 1, 3], &[0, 1, 2, 3]] {
            assert!(matches!(weight.permuted(order), Err(Error::Order { .. })), "{order:?}");
        }
        let narrow = Weight::in_file(DType::U4, [2, 2], &source, 0).unwrap();
        assert!(matches!(narrow.permuted(&[1, 0]), Err(Error::Uncomputable { .. })));
    }

    #[test]
    fn the_other_byte_order_is_turned() {
        let (_keep, source) = file_of(&[0, 1, 0, 2]);
        let weight = Weight::strided(DType::I16, [2], &[1], &source, 0, true).unwrap();
        assert!(weight.in_place().is_none());
        assert_eq!(weight.to_tensor().unwrap().to_i64_vec().unwrap(), [1, 2]);
    }

    #[test]
    fn nothing_reaches_beyond_the_file() {
        let (_keep, source) = file_of(&[0; 8]);
        let error = Weight::in_file(DType::F32, [2], &source, 4).unwrap_err();
        assert!(error.to_string().contains("ends at byte 12"), "{error}");
        assert!(Weight::in_file(DType::F32, [usize::MAX, 2], &source, 0).is_err());
        assert!(Weight::in_file(DType::F32, [1], &source, u64::MAX).is_err());
        assert!(Weight::strided(DType::U8, [2, 2], &[usize::MAX, 1], &source, 0, false).is_err());
        assert!(Weight::strided(DType::U8, [2], &[8], &source, 0, false).is_err());
        assert!(Weight::strided(DType::U8, [2], &[7], &source, 0, false).is_ok());
        assert!(Weight::in_file(DType::F32, [0, 3], &source, 1 << 40).is_ok(), "nothing is read of it");
        assert!(Weight::strided(DType::U8, [2], &[1, 1], &source, 0, false).is_err());
        let bomb = Weight::strided(DType::U8, [1 << 40], &[0], &source, 0, false).unwrap_err();
        assert!(bomb.to_string().contains("more elements than the whole file"), "{bomb}");
    }

    #[test]
    fn a_file_that_shrank_is_noticed() {
        let (keep, source) = file_of(&[0; 8]);
        let weight = Weight::in_file(DType::F32, [2], &source, 0).unwrap();
        keep.as_file().set_len(5).unwrap();
        assert!(weight.to_tensor().is_err());
        assert!(weight.copy_to(&mut tempfile::tempfile().unwrap()).is_err());
    }

    proptest! {
        /// Any permutation of a dense tensor's axes reads the same elements as indexing by hand.
        #[test]
        fn permuted_axes(sizes in proptest::collection::vec(1_usize..5, 3), first in 0_usize..3, swap: bool) {
            let count: usize = sizes.iter().product();
            let (_keep, source) = file_of(&(0..count as u8).collect::<Vec<u8>>());
            let dense = [sizes[1] * sizes[2], sizes[2], 1];
            let mut axes = [first, (first + 1) % 3, (first + 2) % 3];
            if swap { axes.swap(1, 2); }
            let shape: Vec<usize> = axes.iter().map(|&a| sizes[a]).collect();
            let strides: Vec<usize> = axes.iter().map(|&a| dense[a]).collect();
            let weight = Weight::strided(DType::U8, shape.clone(), &strides, &source, 0, false).unwrap();
            let mut expected = Vec::new();
            for i in 0..shape[0] { for j in 0..shape[1] { for k in 0..shape[2] {
                expected.push((i * strides[0] + j * strides[1] + k * strides[2]) as i64);
            }}}
            prop_assert_eq!(weight.to_tensor().unwrap().to_i64_vec().unwrap(), expected);
        }
    }
}
