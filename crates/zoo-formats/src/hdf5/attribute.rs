//! Attributes: small named values of a group or dataset, in its header or (many, or large ones) in a heap.

use std::sync::Arc;

use zoo_tensor::{DType, Tensor, element_count};

use super::btree2::{self, records};
use super::cursor::Cursor;
use super::dataspace::Dataspace;
use super::datatype::{Class, Datatype};
use super::file::Inner;
use super::fractal::FractalHeap;
use super::heap::GlobalHeap;
use super::object::{Header, Message, kind, resolve, shared};
use crate::{Result, limits};

/// A named value.
#[derive(Debug, Clone)]
pub struct Attribute {
    file: Arc<Inner>,
    name: String,
    datatype: Datatype,
    space: Dataspace,
    data: Vec<u8>,
    /// The byte of the file at which the value begins.
    offset: u64,
}

/// What an attribute holds. Numbers of any width become the widest of their kind.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// One text.
    Text(String),
    /// Texts, in row-major order.
    Texts(Vec<String>),
    /// One integer or truth value.
    Int(i64),
    /// Integers or truth values, in row-major order.
    Ints(Vec<i64>),
    /// One floating-point number.
    Float(f64),
    /// Floating-point numbers, in row-major order.
    Floats(Vec<f64>),
    /// Bytes without a meaning.
    Bytes(Vec<u8>),
    /// No value: the attribute only exists.
    Empty,
}

impl Attribute {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of each dimension; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        self.space.shape()
    }

    /// The value. Texts of any length are fetched now.
    ///
    /// # Errors
    /// If it is of a type that is not read, or damaged.
    pub fn value(&self) -> Result<Value> {
        let count = match self.space.count() {
            Some(count) => count,
            None if self.space == Dataspace::Null => return Ok(Value::Empty),
            None => return Err(self.damaged("has a shape whose size overflows")),
        };
        let needed = count.checked_mul(self.datatype.size);
        let data =
            needed.and_then(|needed| self.data.get(..needed)).ok_or_else(|| self.damaged("is cut short"))?;
        let single = self.shape().is_empty();
        Ok(match &self.datatype.class {
            Class::Text { spaces } => {
                self.texts_of(single, data, |bytes| Ok(trimmed(bytes, *spaces).to_vec()))?
            }
            Class::AnyText => {
                let mut heap = GlobalHeap::new(&self.file);
                self.texts_of(single, data, |reference| {
                    let mut cursor = Cursor::new(&self.file, reference, self.offset);
                    let length = cursor.u32()?;
                    heap.get(&mut cursor, length.into()).map(|bytes| trimmed(&bytes, false).to_vec())
                })?
            }
            Class::Number { dtype, big_endian } => self.numbers(single, data, *dtype, *big_endian)?,
            Class::Opaque => Value::Bytes(data.to_vec()),
            Class::Other(name) => {
                return Err(self
                    .file
                    .unknown(format!("the attribute \"{}\" is {name}, which is not read", self.name)));
            }
        })
    }

    /// The text of an attribute that is a single text.
    ///
    /// # Errors
    /// If it is something else, or damaged.
    pub fn text(&self) -> Result<String> {
        match self.value()? {
            Value::Text(text) => Ok(text),
            Value::Texts(mut texts) if texts.len() == 1 => Ok(texts.swap_remove(0)),
            _ => Err(self.damaged("is no text")),
        }
    }

    /// The texts of an attribute. Lists without entries are texts of any type: h5py writes them as numbers.
    ///
    /// # Errors
    /// If it is something else, or damaged.
    pub fn texts(&self) -> Result<Vec<String>> {
        match self.value()? {
            Value::Text(text) => Ok(vec![text]),
            Value::Texts(texts) => Ok(texts),
            Value::Empty => Ok(Vec::new()),
            Value::Floats(numbers) if numbers.is_empty() => Ok(Vec::new()),
            Value::Ints(numbers) if numbers.is_empty() => Ok(Vec::new()),
            _ => Err(self.damaged("does not hold texts")),
        }
    }

    fn texts_of(
        &self,
        single: bool,
        data: &[u8],
        mut text: impl FnMut(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<Value> {
        let mut texts = Vec::new();
        if self.datatype.size == 0 {
            return Err(self.damaged("holds texts of no length"));
        }
        for bytes in data.chunks(self.datatype.size) {
            let text = String::from_utf8(text(bytes)?);
            texts.push(text.map_err(|_| self.damaged("holds a text that is no UTF-8"))?);
        }
        match texts.pop() {
            Some(text) if single => Ok(Value::Text(text)),
            last => {
                texts.extend(last);
                Ok(Value::Texts(texts))
            }
        }
    }

    fn numbers(&self, single: bool, data: &[u8], dtype: DType, big_endian: bool) -> Result<Value> {
        let mut bytes = data.to_vec();
        if big_endian && self.datatype.size > 0 {
            bytes.chunks_exact_mut(self.datatype.size).for_each(<[u8]>::reverse);
        }
        let tensor = Tensor::from_bytes(dtype, self.shape().to_vec(), bytes.into())?;
        if dtype.is_float() {
            let numbers = tensor.to_f64_vec()?;
            return Ok(match numbers.first() {
                Some(&number) if single => Value::Float(number),
                _ => Value::Floats(numbers),
            });
        }
        let numbers = tensor.to_i64_vec()?;
        Ok(match numbers.first() {
            Some(&number) if single => Value::Int(number),
            _ => Value::Ints(numbers),
        })
    }

    fn damaged(&self, problem: &str) -> crate::Error {
        self.file.damaged(self.offset, format!("the attribute \"{}\" {problem}", self.name))
    }
}

/// A text up to its end: the first zero, or what comes before the spaces at the end.
fn trimmed(bytes: &[u8], spaces: bool) -> &[u8] {
    if spaces {
        return bytes.trim_ascii_end();
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// All attributes of an object, sorted by name.
pub(super) fn all(file: &Arc<Inner>, header: &Header) -> Result<Vec<Attribute>> {
    let mut found = Vec::new();
    each(file, header, |_, attribute| {
        found.push(attribute()?);
        Ok(())
    })?;
    found.sort_by(|one: &Attribute, other| one.name.cmp(&other.name));
    Ok(found)
}

/// One attribute of an object. The others may be of any kind.
pub(super) fn named(file: &Arc<Inner>, header: &Header, wanted: &str) -> Result<Option<Attribute>> {
    let mut found = None;
    each(file, header, |name, attribute| {
        if name == wanted.as_bytes() && found.is_none() {
            found = Some(attribute()?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Gives every attribute's name, and a way to read the rest of it.
fn each(
    file: &Arc<Inner>,
    header: &Header,
    mut take: impl FnMut(&[u8], &dyn Fn() -> Result<Attribute>) -> Result<()>,
) -> Result<()> {
    let mut one = |message: &Message| -> Result<()> {
        let start = Start::read(&mut message.cursor(file))?;
        take(&start.name, &|| attribute(file, message, &start))
    };
    for message in header.all(kind::ATTRIBUTE) {
        one(&*resolve(file, message)?)?;
    }
    let Some(info) = header.get(file, kind::ATTRIBUTE_INFO)? else { return Ok(()) };
    let mut cursor = info.cursor(file);
    cursor.version(0..=0, "a description of attributes")?;
    let flags = cursor.u8()?;
    cursor.skip(if flags & 1 != 0 { 2 } else { 0 })?;
    let (Some(heap), Some(tree)) = (cursor.address()?, cursor.address()?) else { return Ok(()) };
    let mut heap = FractalHeap::read(file, heap)?;
    let (mut count, most) = (0, limits::MAX_ATTRIBUTES);
    btree2::walk(file, tree, &[records::ATTRIBUTE_NAMES], |mut record| {
        count += 1;
        if count > most {
            return Err(file.too_much("an object", "attributes", count, most));
        }
        let id = record.part(8)?;
        if record.u8()? & 2 != 0 {
            return Err(file.unknown("attributes in a table of shared messages are not read"));
        }
        let (body, offset) = heap.get(id)?;
        one(&Message::attribute(body, offset))
    })
}

/// The fields of an attribute message before its type.
struct Start {
    version: u8,
    flags: u8,
    name: Vec<u8>,
    type_size: usize,
    space_size: usize,
    /// Bytes up to the type.
    length: usize,
}

impl Start {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let whole = cursor.left();
        let version = cursor.version(1..=3, "an attribute")?;
        let flags = cursor.u8()?;
        let name_size = usize::from(cursor.u16()?);
        let (type_size, space_size) = (usize::from(cursor.u16()?), usize::from(cursor.u16()?));
        cursor.skip(usize::from(version == 3))?; // The names' encoding: ASCII or UTF-8, which is the same here.
        let name = trimmed(cursor.take(name_size)?, false).to_vec();
        if version == 1 {
            cursor.align();
        }
        let length = whole - cursor.left();
        Ok(Self { version, flags: if version == 1 { 0 } else { flags }, name, type_size, space_size, length })
    }
}

/// The rest of an attribute message.
fn attribute(file: &Arc<Inner>, message: &Message, start: &Start) -> Result<Attribute> {
    let mut cursor = message.cursor(file);
    cursor.skip(start.length)?;
    let name = String::from_utf8(start.name.clone())
        .map_err(|_| cursor.damaged("an attribute's name is no UTF-8"))?;
    let mut part = cursor.part(start.type_size)?;
    let datatype = if start.flags & 1 != 0 {
        let message = shared(file, &mut part, kind::DATATYPE)?;
        Datatype::read(&mut message.cursor(file))?
    } else {
        Datatype::read(&mut part)?
    };
    if start.version == 1 {
        cursor.align();
    }
    let mut part = cursor.part(start.space_size)?;
    let space = if start.flags & 2 != 0 {
        let message = shared(file, &mut part, kind::DATASPACE)?;
        Dataspace::read(&mut message.cursor(file))?
    } else {
        Dataspace::read(&mut part)?
    };
    if start.version == 1 {
        cursor.align();
    }
    let offset = cursor.offset();
    let needed =
        element_count(space.shape()).and_then(|count| count.checked_mul(datatype.size)).unwrap_or(usize::MAX);
    let data = cursor.take(cursor.left().min(needed))?.to_vec();
    Ok(Attribute { file: Arc::clone(file), name, datatype, space, data, offset })
}
