//! Reading `.npy`: a magic, a version, a header that is a Python dictionary, and the elements.
//!
//! ```text
//! \x93NUMPY 01 00  76 00  {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }...\n  elements
//! ```
//!
//! Read by hand, because the elements of the usual file (little-endian, row by row) are then a slice of the map, and
//! because nothing is reserved that the file does not back. Only the literals that numpy writes are understood: nothing
//! is evaluated.

use bytes::Bytes;
use zoo_tensor::{Tensor, element_count};

use super::descr::{Descr, Refused};
use crate::limits::{MAX_HEADER_BYTES, MAX_RANK};
use crate::{Error, Result};

/// What every `.npy` file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads one array. `name` stands for it in messages.
pub(super) fn parse(name: &str, file: &Bytes) -> Result<Tensor> {
    let (header, data) = split(file).map_err(|problem| bad(name, problem))?;
    let header = Header::parse(header).map_err(|refused| match refused {
        Refused::Pickle => Error::Pickle { array: name.to_owned() },
        Refused::Other(problem) => bad(name, problem),
    })?;
    let data = file.slice(file.len() - data.len()..);
    header.tensor(data).map_err(|problem| bad(name, problem))
}

fn bad(name: &str, problem: impl Into<String>) -> Error {
    Error::BadArray { array: name.to_owned(), problem: problem.into() }
}

/// The header's text and the elements' bytes.
fn split(file: &[u8]) -> Result<(&str, &[u8]), String> {
    let rest = file.strip_prefix(MAGIC).ok_or("it is no numpy array: the first bytes are wrong")?;
    let truncated = || "it is truncated: the file ends inside the header".to_owned();
    let (&[major, _minor], rest) = rest.split_first_chunk().ok_or_else(truncated)?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(format!("its format version {major} is unknown")),
    };
    if length > MAX_HEADER_BYTES {
        return Err(format!("its header is {length} bytes long; {MAX_HEADER_BYTES} is the limit"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text".to_owned())?;
    Ok((header, data))
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: Descr,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, Refused> {
        let mut text = Literal { rest: text };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        text.expect('{')?;
        while !text.take('}') {
            let key = text.string()?;
            text.expect(':')?;
            match key {
                "descr" => descr = Some(text.descr()?),
                "fortran_order" => fortran = Some(text.boolean()?),
                "shape" => shape = Some(text.shape()?),
                _ => return Err(Refused::Other(format!("its header has an unknown key \"{key}\""))),
            }
            if !text.take(',') {
                text.expect('}')?;
                break;
            }
        }
        if !text.rest.trim_start().is_empty() {
            return Err(text.wrong("the end"));
        }
        match (descr, fortran, shape) {
            (Some(descr), Some(fortran), Some(shape)) => Ok(Self { descr, fortran, shape }),
            _ => Err(Refused::Other("its header lacks \"descr\", \"fortran_order\" or \"shape\"".to_owned())),
        }
    }

    /// The tensor that these elements make. Only now may memory be taken: the bytes are known to be there.
    fn tensor(self, data: Bytes) -> Result<Tensor, String> {
        let Self { descr, fortran, shape } = self;
        let count = element_count(&shape).ok_or_else(|| format!("its shape {shape:?} overflows"))?;
        let size = descr.size().ok_or("the size of its elements overflows")?;
        if size == 0 && count > 0 {
            return Err("its elements have no size".to_owned());
        }
        let needed = count.checked_mul(size).ok_or_else(|| format!("its shape {shape:?} overflows"))?;
        if data.len() < needed {
            return Err(format!("it is truncated: {needed} bytes are promised and {} are there", data.len()));
        }
        if data.len() > needed {
            return Err(format!("{} bytes follow its last element", data.len() - needed));
        }
        let mut data = data;
        if fortran && shape.len() > 1 && count > 0 {
            data = row_by_row(&data, size, &shape);
        }
        match descr {
            Descr::Number { dtype, big_endian } => {
                if big_endian && descr.part() > 1 {
                    data = turned(&data, descr.part());
                }
                Tensor::from_bytes(dtype, shape, data).map_err(|error| error.to_string())
            }
            Descr::Unicode { big_endian, .. } => {
                let texts = data.chunks_exact(size.max(1)).map(|element| unicode(element, big_endian));
                let texts = texts.collect::<Option<Vec<_>>>().ok_or("it holds text that is not Unicode")?;
                Tensor::from_strings(shape, texts).map_err(|error| error.to_string())
            }
            Descr::Bytes { .. } => {
                let texts = data.chunks_exact(size.max(1)).map(|element| {
                    let end = element.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                    std::str::from_utf8(&element[..end]).map(str::to_owned)
                });
                let texts =
                    texts.collect::<Result<Vec<_>, _>>().map_err(|_| "it holds text that is not UTF-8")?;
                Tensor::from_strings(shape, texts).map_err(|error| error.to_string())
            }
        }
    }
}

/// Elements stored column by column, in row-major order. Walks over the result, counting its index up like an odometer,
/// with the place in `data` beside it.
fn row_by_row(data: &[u8], size: usize, shape: &[usize]) -> Bytes {
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0; shape.len()];
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = size;
    for &dim in shape {
        strides.push(stride);
        stride *= dim;
    }
    let mut at = 0;
    while out.len() < data.len() {
        out.extend_from_slice(&data[at..at + size]);
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
    out.into()
}

/// Big-endian numbers as little-endian ones.
fn turned(data: &[u8], part: usize) -> Bytes {
    let mut out = data.to_vec();
    for number in out.chunks_exact_mut(part) {
        number.reverse();
    }
    out.into()
}

/// One element of a `U` array: characters of four bytes, up to the zeros it is filled up with.
fn unicode(element: &[u8], big_endian: bool) -> Option<String> {
    let mut text = String::new();
    for character in element.chunks_exact(4) {
        let bytes = character.try_into().ok()?;
        let code = if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        text.push(char::from_u32(code)?);
    }
    text.truncate(text.trim_end_matches('\0').len());
    text.shrink_to_fit();
    Some(text)
}

/// A Python literal, read from the front. Only what numpy writes.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn wrong(&self, expected: &str) -> Refused {
        let found: String = self.rest.trim_start().chars().take(12).collect();
        Refused::Other(format!("its header is no valid one: {expected} was expected at {found:?}"))
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.trim_start().strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), Refused> {
        if self.take(wanted) { Ok(()) } else { Err(self.wrong(&format!("'{wanted}'"))) }
    }

    /// A string without escapes; numpy writes none in what is read here.
    fn string(&mut self) -> Result<&'a str, Refused> {
        let quote = if self.take('\'') {
            '\''
        } else if self.take('"') {
            '"'
        } else {
            return Err(self.wrong("a string"));
        };
        let (text, rest) = self.rest.split_once(quote).ok_or_else(|| self.wrong("the end of a string"))?;
        if text.contains('\\') {
            return Err(self.wrong("a string without escapes"));
        }
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, Refused> {
        let rest = self.rest.trim_start();
        for (text, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(text) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.wrong("True or False"))
    }

    fn descr(&mut self) -> Result<Descr, Refused> {
        if self.rest.trim_start().starts_with(['[', '(']) {
            return Err(Refused::Other("its elements are structures of several fields".to_owned()));
        }
        Descr::parse(self.string()?)
    }

    /// A tuple of sizes: `()`, `(3,)`, `(2, 3)`.
    fn shape(&mut self) -> Result<Vec<usize>, Refused> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            if shape.len() == MAX_RANK {
                return Err(Refused::Other(format!("it has more than {MAX_RANK} dimensions")));
            }
            let rest = self.rest.trim_start();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let size = rest[..digits].parse().map_err(|_| self.wrong("a size"))?;
            shape.push(size);
            self.rest = &rest[digits..];
            self.take('L'); // Python 2 wrote `3L`.
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zoo_tensor::DType;

    use super::*;

    fn file(header: &str, data: &[u8]) -> Bytes {
        let mut file = MAGIC.to_vec();
        file.extend([1, 0]);
        file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file.into()
    }

    fn message(header: &str, data: &[u8]) -> String {
        parse("x.npy", &file(header, data)).unwrap_err().to_string()
    }

    #[test]
    fn the_usual_array_is_a_slice_of_the_file() {
        let file = file("{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n", &[1, 0, 2, 0]);
        let tensor = parse("x.npy", &file).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (DType::I16, &[2][..]));
        assert!(file.as_ptr_range().contains(&tensor.bytes().unwrap().as_ptr()), "the elements were copied");
    }

    #[test]
    fn three_dimensions_column_by_column() {
        // numpy.arange(24).reshape(2, 3, 4) in Fortran order: the first index runs fastest.
        let mut data = Vec::new();
        for k in 0..4 {
            for j in 0..3 {
                for i in 0..2 {
                    data.push(i * 12 + j * 4 + k);
                }
            }
        }
        let tensor =
            parse("x", &file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4)}", &data)).unwrap();
        assert_eq!(tensor.to_i64_vec().unwrap(), (0..24).collect::<Vec<_>>());
    }

    #[test]
    fn complex_numbers_turn_by_halves() {
        let mut data = 1.0_f32.to_be_bytes().to_vec();
        data.extend(2.0_f32.to_be_bytes());
        let tensor =
            parse("x", &file("{'descr': '>c8', 'fortran_order': False, 'shape': ()}", &data)).unwrap();
        assert_eq!(tensor.bytes().unwrap()[..4], 1.0_f32.to_le_bytes());
        assert_eq!(tensor.bytes().unwrap()[4..], 2.0_f32.to_le_bytes());
    }

    #[test]
    fn text() {
        let header = "{'descr': '<U2', 'fortran_order': False, 'shape': (2L,)}";
        let data = [u32::from('z'), u32::from('ö'), u32::from('o'), 0].map(u32::to_le_bytes).concat();
        assert_eq!(parse("x", &file(header, &data)).unwrap().strings().unwrap(), ["zö", "o"]);
        let header = "{'descr': '|S3', 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(parse("x", &file(header, b"zooab\0")).unwrap().strings().unwrap(), ["zoo", "ab"]);

        let surrogate = 0xd800_u32.to_le_bytes();
        let header = "{'descr': '<U1', 'fortran_order': False, 'shape': ()}";
        assert_eq!(message(header, &surrogate), "array x.npy: it holds text that is not Unicode");
        let header = "{'descr': '|S1', 'fortran_order': False, 'shape': ()}";
        assert_eq!(message(header, b"\xff"), "array x.npy: it holds text that is not UTF-8");
    }

    #[test]
    fn what_a_header_claims_must_be_there() {
        let huge = "{'descr': '<f8', 'fortran_order': True, 'shape': (1000000, 1000000)}";
        assert_eq!(
            message(huge, &[0; 8]),
            "array x.npy: it is truncated: 8000000000000 bytes are promised and 8 are there"
        );
        let overflow = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({0}, {0})}}", usize::MAX);
        assert!(message(&overflow, &[]).ends_with("overflows"));
        let nothing = "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}";
        assert_eq!(message(nothing, &[]), "array x.npy: its elements have no size");
        let two = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(message(two, &[1, 2, 3]), "array x.npy: 1 bytes follow its last element");
        let flat = "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 1000000000000)}";
        assert_eq!(parse("x", &file(flat, &[])).unwrap().shape(), [0, 1_000_000_000_000]);
        let flat = "{'descr': '<c16', 'fortran_order': True, 'shape': (1152921504606846976, 0, 1)}";
        assert!(parse("x", &file(flat, &[])).unwrap().is_empty(), "no stride may overflow");
    }

    #[test]
    fn headers_that_numpy_never_writes() {
        for (header, problem) in [
            ("", "'{' was expected at \"\""),
            ("{'descr': '<f4'}", "lacks \"descr\", \"fortran_order\" or \"shape\""),
            ("{'descr': '<f4', 'evil': 1}", "unknown key \"evil\""),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}",
                "structures of several fields",
            ),
            ("{'descr': '\\x3cf4'}", "a string without escapes"),
            ("{'descr': '<f4", "the end of a string"),
            ("{'fortran_order': 1}", "True or False"),
            ("{'shape': (-1,)}", "a size"),
            ("{'shape': (2 3)}", "')' was expected"),
            ("{'shape': ()} x", "the end was expected"),
        ] {
            assert!(message(header, &[]).contains(problem), "{header}: {}", message(header, &[]));
        }
        let deep = format!("{{'shape': ({})}}", "1,".repeat(65));
        assert!(message(&deep, &[]).contains("more than 64 dimensions"));
        let pickle = "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}";
        assert!(matches!(parse("x", &file(pickle, &[])), Err(Error::Pickle { .. })));
    }

    #[test]
    fn broken_frames() {
        let message = |bytes: &[u8]| parse("x", &Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        assert!(message(b"").contains("first bytes are wrong"));
        assert!(message(b"\x93NUMPY\x01").contains("ends inside the header"));
        assert!(message(b"\x93NUMPY\x01\x00\x10\x00{").contains("ends inside the header"));
        assert!(message(b"\x93NUMPY\x09\x00\x00\x00").contains("version 9 is unknown"));
        assert!(message(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("65535 is the limit"));
    }

    proptest! {
        #[test]
        fn no_header_panics(header: String, data: Vec<u8>) {
            if header.len() < 60_000 {
                let _ = parse("x", &file(&header, &data));
            }
        }

        #[test]
        fn no_plausible_header_panics(
            descr in "[<>|=]?[biufcUSOV][0-9]{0,3}",
            fortran: bool,
            shape in "[0-9]{0,20}(, ?[0-9]{1,20}){0,4},?",
            data: Vec<u8>,
        ) {
            let fortran = if fortran { "True" } else { "False" };
            let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}");
            let _ = parse("x", &file(&header, &data));
        }
    }
}
