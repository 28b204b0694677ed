//! Types of elements.
//!
//! What can be a weight becomes a [`DType`] with a byte order; texts and references to texts are told apart for attributes.
//! Everything else is kept by name, so that it can be refused by name.

use zoo_tensor::DType;

use super::cursor::Cursor;
use crate::Result;

/// How deep types may be inside each other: a list of enumerated numbers is two.
const MAX_NESTING: usize = 8;

/// A type of elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Datatype {
    /// Bytes of an element.
    pub(super) size: usize,
    pub(super) class: Class,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Class {
    Number {
        dtype: DType,
        big_endian: bool,
    },
    /// Texts of one length, filled up with zeros or spaces.
    Text {
        spaces: bool,
    },
    /// References to texts in a global heap.
    AnyText,
    /// Bytes without meaning: what numpy's types of its own become.
    Opaque,
    /// Something else, by name.
    Other(String),
}

impl Datatype {
    /// Reads a type; the cursor then stands behind it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        Self::nested(cursor, MAX_NESTING)
    }

    fn nested(cursor: &mut Cursor<'_>, depth: usize) -> Result<Self> {
        let depth = depth.checked_sub(1).ok_or_else(|| cursor.damaged("a type has too many types inside"))?;
        let first = cursor.u8()?;
        let (version, class) = (first >> 4, first & 15);
        if !(1..=4).contains(&version) {
            return Err(cursor.file.unknown(format!("a type of elements of version {version} is not known")));
        }
        let bits = cursor.uint(3)? as u32;
        let size = cursor.u32()? as usize;
        let class = match class {
            0 => integer(cursor, bits, size)?,
            1 => float(cursor, bits, size)?,
            3 => Class::Text { spaces: bits & 15 == 2 },
            4 => named(cursor, 4, "a bit field")?,
            5 => {
                cursor.skip((bits & 0xff) as usize)?;
                Class::Opaque
            }
            8 => {
                let base = Self::nested(cursor, depth)?;
                enumeration(cursor, version, (bits & 0xffff) as usize, base)?
            }
            9 => match (bits & 15, Self::nested(cursor, depth)?) {
                (1, _) => Class::AnyText,
                _ => Class::Other("a list of any length".to_owned()),
            },
            // What follows of these is not needed: an attribute gives the length of its type, a dataset's stands alone.
            2 => named(cursor, 2, "a time")?,
            6 => Class::Other("a compound of several values".to_owned()),
            7 => Class::Other("a reference to another object".to_owned()),
            10 => Class::Other("an array in each element".to_owned()),
            11 => Class::Other("a complex number of HDF5 2.0".to_owned()),
            other => Class::Other(format!("a type of class {other}")),
        };
        Ok(Self { size, class })
    }

    /// What it is, for people.
    pub(super) fn describe(&self) -> String {
        match &self.class {
            Class::Number { dtype, .. } => dtype.to_string(),
            Class::Text { .. } | Class::AnyText => "text".to_owned(),
            Class::Opaque => format!("{} bytes without a meaning", self.size),
            Class::Other(name) => name.clone(),
        }
    }
}

fn named(cursor: &mut Cursor<'_>, properties: usize, name: &str) -> Result<Class> {
    cursor.skip(properties)?;
    Ok(Class::Other(name.to_owned()))
}

fn integer(cursor: &mut Cursor<'_>, bits: u32, size: usize) -> Result<Class> {
    let (first, precision) = (cursor.u16()?, usize::from(cursor.u16()?));
    let signed = bits & 8 != 0;
    let dtype = match (size, signed) {
        (1, true) => DType::I8,
        (1, false) => DType::U8,
        (2, true) => DType::I16,
        (2, false) => DType::U16,
        (4, true) => DType::I32,
        (4, false) => DType::U32,
        (8, true) => DType::I64,
        (8, false) => DType::U64,
        _ => return Ok(Class::Other(format!("an integer of {size} bytes"))),
    };
    if first != 0 || precision != 8 * size {
        return Ok(Class::Other(format!("an integer of {precision} bits in {size} bytes")));
    }
    Ok(Class::Number { dtype, big_endian: bits & 1 != 0 })
}

/// A floating-point number is described by the places of its parts; only whole known layouts are taken.
fn float(cursor: &mut Cursor<'_>, bits: u32, size: usize) -> Result<Class> {
    let (first, precision) = (cursor.u16()?, cursor.u16()?);
    let parts = [cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?];
    let bias = cursor.u32()?;
    let sign = bits >> 8 & 0xff;
    // Place and width of the exponent, of the mantissa; the bias; the place of the sign. The mantissa's first bit is implied.
    let dtype = match (size, precision, parts, bias, sign) {
        (2, 16, [10, 5, 0, 10], 15, 15) => DType::F16,
        (2, 16, [7, 8, 0, 7], 127, 15) => DType::BF16,
        (4, 32, [23, 8, 0, 23], 127, 31) => DType::F32,
        (8, 64, [52, 11, 0, 52], 1023, 63) => DType::F64,
        _ => return Ok(Class::Other(format!("a float of {precision} bits that is none of the usual ones"))),
    };
    if first != 0 || bits >> 4 & 3 != 2 || bits & 0x40 != 0 {
        return Ok(Class::Other(format!("a float of {precision} bits in an unusual order")));
    }
    Ok(Class::Number { dtype, big_endian: bits & 1 != 0 })
}

/// Names for numbers. h5py stores truth values so; of others the numbers are meant.
fn enumeration(cursor: &mut Cursor<'_>, version: u8, members: usize, base: Datatype) -> Result<Class> {
    let mut names = Vec::new();
    for _ in 0..members {
        let (mut name, mut length) = (Vec::new(), 0);
        loop {
            length += 1;
            match cursor.u8()? {
                0 => break,
                byte => name.push(byte),
            }
        }
        if version < 3 {
            cursor.skip(usize::next_multiple_of(length, 8) - length)?;
        }
        names.push(name);
    }
    let values = cursor.take(members.saturating_mul(base.size))?;
    Ok(match base.class {
        Class::Number { dtype: DType::I8 | DType::U8, .. }
            if names == [b"FALSE", &b"TRUE"[..]] && values == [0, 1] =>
        {
            Class::Number { dtype: DType::Bool, big_endian: false }
        }
        class => class,
    })
}
