//! Writing `.npy` and `.npz`: byte for byte what numpy's `save` writes, and what its `savez` writes but for the dates.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};
use zoo_tensor::{DType, Tensor};

use super::descr::Descr;
use super::npy::MAGIC;
use crate::error::shown;
use crate::limits::MAX_MADE_BYTES;
use crate::{Error, Named, Result};

/// The elements begin at a multiple of this, so that a map of the file is aligned for every type.
const ALIGNMENT: usize = 64;

/// Room numpy leaves for the first size to grow in place: the longest number of 64 bits, and a sign.
const GROWTH: usize = 21;

/// Writes one tensor. numpy's format has no place for a name.
///
/// # Errors
/// [`Error::Unwritable`] if numpy has no such type: `bf16`, 8-bit floats and types narrower than a byte.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<()> {
    let array = Array::of("", tensor)?;
    create(path, |file| array.write(file))
}

/// Writes tensors under their names; those without one as numpy names them, `arr_0`, `arr_1` and so on, by place. Same
/// tensors, same bytes.
///
/// # Errors
/// As [`write_npy`], and if two tensors have the same name. Nothing is written then.
pub fn write_npz(path: &Path, tensors: &[Named]) -> Result<()> {
    let name = |(place, (name, _)): (usize, &Named)| {
        if name.is_empty() { format!("arr_{place}") } else { name.clone() }
    };
    let names: Vec<String> = tensors.iter().enumerate().map(name).collect();
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) {
            let problem = "another tensor has the same name".to_owned();
            return Err(Error::Unwritable { name: shown(name), problem });
        }
    }
    let arrays = tensors.iter().map(|(name, tensor)| Array::of(name, tensor)).collect::<Result<Vec<_>>>()?;
    create(path, |file| {
        let mut archive = ZipWriter::new(file);
        for (name, array) in names.iter().zip(&arrays) {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .last_modified_time(zip::DateTime::default())
                .large_file(array.length() >= u64::from(u32::MAX));
            archive.start_file(format!("{name}.npy"), options)?;
            array.write(&mut archive)?;
        }
        archive.finish()?;
        Ok(())
    })
}

fn create(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path).map_err(Error::file("create", path))?);
    write(&mut file).and_then(|()| file.flush()).map_err(Error::file("write", path))
}

/// A tensor that numpy's format can hold, and the header for it.
struct Array<'a> {
    header: Vec<u8>,
    tensor: &'a Tensor,
    /// For strings: the most characters that one has; shorter ones are filled up.
    characters: usize,
}

impl<'a> Array<'a> {
    fn of(name: &str, tensor: &'a Tensor) -> Result<Self> {
        let (descr, characters) = match (Descr::of(tensor.dtype()), tensor.strings()) {
            (Some(descr), _) => (descr.to_owned(), 0),
            (None, Some(strings)) => {
                // numpy takes zeros at the end for filling.
                if strings.iter().any(|text| text.ends_with('\0')) {
                    let problem = "a text that ends in NUL would lose it".to_owned();
                    return Err(Error::Unwritable { name: shown(name), problem });
                }
                let longest = strings.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
                let filled = (longest as u64).saturating_mul(4).saturating_mul(strings.len() as u64);
                if filled > MAX_MADE_BYTES {
                    let what = format!("{}, filled up to texts of {longest} characters,", shown(name));
                    return Err(Error::TooMuch { what, limit: MAX_MADE_BYTES, unit: "bytes" });
                }
                (format!("<U{longest}"), longest)
            }
            (None, None) => return Err(Error::unwritable(name, tensor.dtype())),
        };
        Ok(Self { header: header(&descr, tensor.shape()), tensor, characters })
    }

    fn length(&self) -> u64 {
        let data = match self.tensor.bytes() {
            Some(bytes) => bytes.len(),
            None => self.tensor.len() * self.characters * 4,
        };
        (self.header.len() + data) as u64
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        if let Some(bytes) = self.tensor.bytes() {
            if self.tensor.dtype() == DType::Bool && bytes.iter().any(|&byte| byte > 1) {
                // ONNX says 0 or 1; numpy would show anything else as it is.
                return out.write_all(&bytes.iter().map(|&byte| u8::from(byte != 0)).collect::<Vec<_>>());
            }
            return out.write_all(bytes);
        }
        let mut element = Vec::new();
        for text in self.tensor.strings().unwrap_or_default() {
            element.clear();
            element.extend(text.chars().flat_map(|character| u32::from(character).to_le_bytes()));
            element.resize(self.characters * 4, 0);
            out.write_all(&element)?;
        }
        Ok(())
    }
}

/// Magic, version, length and dictionary, as numpy writes them.
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let dims = match shape {
        [only] => format!("({only},)"),
        dims => format!("({})", dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let mut dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {dims}, }}");
    if let Some(first) = shape.first() {
        dictionary.push_str(&" ".repeat(GROWTH.saturating_sub(first.to_string().len())));
    }
    let framed = |frame: usize| (frame + dictionary.len() + 1).next_multiple_of(ALIGNMENT) - frame;
    let mut out = MAGIC.to_vec();
    // Version 1 counts the header's length in two bytes, version 2 in four.
    let length = match u16::try_from(framed(10)) {
        Ok(length) => {
            out.extend([1, 0]);
            out.extend(length.to_le_bytes());
            usize::from(length)
        }
        Err(_) => {
            out.extend([2, 0]);
            out.extend((framed(12) as u32).to_le_bytes());
            framed(12)
        }
    };
    let end = out.len() + length;
    out.extend(dictionary.as_bytes());
    out.resize(end - 1, b' ');
    out.push(b'\n');
    out
}
