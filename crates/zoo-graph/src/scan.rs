//! A first walk over the wire format, before anything is allocated.
//!
//! It follows the messages that the decoder will follow, with a stack of its own instead of recursion, counts what
//! they will cost in memory, and skips weights without touching their pages. What passes is safe to decode; what does
//! not is reported by byte offset, which the decoder cannot do.

use crate::limits::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NUMBERS, MAX_OBJECTS};
use crate::{Error, Result};

/// The messages of `onnx.proto`, as far as they contain others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    ElementType,
    MapType,
    ShapeList,
    Training,
    Function,
    Annotation,
    NodeDevice,
    Sharding,
    IntList,
    ShardedDim,
    /// A message without repeated fields or messages inside.
    Leaf,
    /// A message whose only repeated fields are strings.
    Device,
}

/// What a field holds, as far as memory is concerned.
#[derive(Debug, Clone, Copy)]
enum Field {
    Message(Kind),
    /// Repeated numbers; packed, they come as one run of bytes.
    Varints,
    Fixed32s,
    Fixed64s,
    /// Repeated strings.
    Strings,
    /// Anything single.
    Plain,
}

/// The schema: what the fields of each message hold. Numbers not listed, also unknown ones, are [`Field::Plain`].
fn field(kind: Kind, number: u64) -> Field {
    use Field::{Fixed32s, Fixed64s, Message, Plain, Strings, Varints};
    match kind {
        Kind::Model => match number {
            7 => Message(Kind::Graph),
            8 | 14 => Message(Kind::Leaf),
            20 => Message(Kind::Training),
            25 => Message(Kind::Function),
            26 => Message(Kind::Device),
            _ => Plain,
        },
        Kind::Graph => match number {
            1 => Message(Kind::Node),
            5 => Message(Kind::Tensor),
            11..=13 => Message(Kind::ValueInfo),
            14 => Message(Kind::Annotation),
            15 => Message(Kind::SparseTensor),
            16 => Message(Kind::Leaf),
            _ => Plain,
        },
        Kind::Node => match number {
            1 | 2 => Strings,
            5 => Message(Kind::Attribute),
            9 => Message(Kind::Leaf),
            10 => Message(Kind::NodeDevice),
            _ => Plain,
        },
        Kind::Attribute => match number {
            5 | 10 => Message(Kind::Tensor),
            6 | 11 => Message(Kind::Graph),
            7 => Fixed32s,
            8 => Varints,
            9 => Strings,
            14 | 15 => Message(Kind::Type),
            22 | 23 => Message(Kind::SparseTensor),
            _ => Plain,
        },
        Kind::Tensor => match number {
            1 | 5 | 7 | 11 => Varints,
            3 | 13 | 16 => Message(Kind::Leaf),
            4 => Fixed32s,
            6 => Strings,
            10 => Fixed64s,
            _ => Plain,
        },
        Kind::SparseTensor => match number {
            1 | 2 => Message(Kind::Tensor),
            3 => Varints,
            _ => Plain,
        },
        Kind::ValueInfo => match number {
            2 => Message(Kind::Type),
            4 => Message(Kind::Leaf),
            _ => Plain,
        },
        Kind::Type => match number {
            1 | 8 => Message(Kind::TensorType),
            4 | 9 => Message(Kind::ElementType),
            5 => Message(Kind::MapType),
            7 => Message(Kind::Leaf),
            _ => Plain,
        },
        Kind::TensorType if number == 2 => Message(Kind::ShapeList),
        Kind::ElementType if number == 1 => Message(Kind::Type),
        Kind::MapType if number == 2 => Message(Kind::Type),
        Kind::ShapeList if number == 1 => Message(Kind::Leaf),
        Kind::Training => match number {
            1 | 2 => Message(Kind::Graph),
            3 | 4 => Message(Kind::Leaf),
            _ => Plain,
        },
        Kind::Function => match number {
            4..=6 => Strings,
            7 => Message(Kind::Node),
            9 | 14 => Message(Kind::Leaf),
            11 => Message(Kind::Attribute),
            12 => Message(Kind::ValueInfo),
            _ => Plain,
        },
        Kind::Annotation | Kind::ShardedDim if number == 2 => Message(Kind::Leaf),
        Kind::NodeDevice if number == 2 => Message(Kind::Sharding),
        Kind::Sharding => match number {
            2 => Varints,
            3 => Message(Kind::IntList),
            4 => Message(Kind::ShardedDim),
            _ => Plain,
        },
        Kind::IntList if number == 2 => Varints,
        Kind::Device if number == 3 => Strings,
        _ => Plain,
    }
}

/// What the walk saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Whether the outermost message has a graph (field 7).
    pub(crate) graph: bool,
    /// Messages and strings.
    pub(crate) objects: u64,
    /// Numbers in repeated fields.
    pub(crate) numbers: u64,
}

/// Walks over `bytes` as a message of the given kind.
pub(crate) fn scan(file: &str, bytes: &[u8], root: Kind) -> Result<Seen> {
    let too_much = |what, limit| Err(Error::TooMuch { file: file.to_owned(), what, limit });
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return too_much("bytes", MAX_FILE_BYTES);
    }
    let mut seen = Seen::default();
    let mut at = Cursor { file, bytes, offset: 0 };
    let mut open = vec![(root, bytes.len())];
    while let Some(&(kind, end)) = open.last() {
        if at.offset >= end {
            open.pop();
            continue;
        }
        let key_offset = at.offset;
        let key = at.varint(end)?;
        let (number, wire) = (key >> 3, key & 7);
        if number == 0 || number > u64::from(u32::MAX >> 3) {
            return Err(at.malformed(key_offset, "a field number out of range"));
        }
        let role = field(kind, number);
        match wire {
            0 => {
                at.varint(end)?;
                seen.numbers += u64::from(matches!(role, Field::Varints));
            }
            1 => {
                at.skip(8, end)?;
                seen.numbers += u64::from(matches!(role, Field::Fixed64s));
            }
            5 => {
                at.skip(4, end)?;
                seen.numbers += u64::from(matches!(role, Field::Fixed32s));
            }
            2 => {
                let length = at.varint(end)?;
                let start = at.offset;
                at.skip(length, end)?;
                let content = &bytes[start..at.offset];
                match role {
                    Field::Message(child) => {
                        if open.len() >= MAX_DEPTH {
                            return too_much("messages nested", MAX_DEPTH as u64);
                        }
                        seen.objects += 1;
                        seen.graph |= kind == Kind::Model && number == 7;
                        open.push((child, at.offset));
                        at.offset = start;
                    }
                    Field::Strings => seen.objects += 1,
                    // A varint's last byte is the one without the high bit.
                    Field::Varints => {
                        seen.numbers += content.iter().filter(|&&byte| byte < 0x80).count() as u64;
                    }
                    Field::Fixed32s => seen.numbers += length / 4,
                    Field::Fixed64s => seen.numbers += length / 8,
                    Field::Plain => {}
                }
            }
            3 | 4 => return Err(at.malformed(key_offset, "a group, which ONNX does not use,")),
            _ => return Err(at.malformed(key_offset, "an unknown wire type")),
        }
        if seen.objects > MAX_OBJECTS {
            return too_much("messages and strings", MAX_OBJECTS);
        }
        if seen.numbers > MAX_NUMBERS {
            return too_much("numbers", MAX_NUMBERS);
        }
    }
    Ok(seen)
}

/// A place in the file.
struct Cursor<'a> {
    file: &'a str,
    bytes: &'a [u8],
    offset: usize,
}

impl Cursor<'_> {
    fn malformed(&self, offset: usize, problem: &'static str) -> Error {
        Error::Malformed { file: self.file.to_owned(), offset: offset as u64, problem }
    }

    fn varint(&mut self, end: usize) -> Result<u64> {
        let start = self.offset;
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            if self.offset >= end {
                return Err(self.short(start, 1, 0, end));
            }
            let Some(&byte) = self.bytes.get(self.offset) else { return Err(self.short(start, 1, 0, end)) };
            self.offset += 1;
            if shift < 63 {
                value |= u64::from(byte & 0x7f) << shift;
            } else {
                if byte > 1 {
                    return Err(self.malformed(start, "a number longer than 64 bits"));
                }
                value |= u64::from(byte) << 63;
            }
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed(start, "a number longer than ten bytes"))
    }

    fn skip(&mut self, length: u64, end: usize) -> Result<()> {
        let left = end.saturating_sub(self.offset) as u64;
        if length > left {
            return Err(self.short(self.offset, length, left, end));
        }
        self.offset += length as usize;
        Ok(())
    }

    /// Too few bytes: at the end of the file it was cut short; inside a message the message lies about its length.
    fn short(&self, offset: usize, promised: u64, left: u64, end: usize) -> Error {
        if end == self.bytes.len() {
            Error::Truncated { file: self.file.to_owned(), offset: offset as u64, promised, left }
        } else {
            self.malformed(offset, "a field reaching beyond its message")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(bytes: &[u8]) -> Result<Seen> {
        scan("m.onnx", bytes, Kind::Model)
    }

    #[test]
    fn counts_messages_strings_and_numbers() {
        // graph { node { input: "x" input: "y" attribute { ints: [1, 300] (packed) floats: 1.0 } } }
        let attribute = [&[0x42, 3, 1, 0xac, 2][..], &[0x3d, 0, 0, 0x80, 0x3f]].concat();
        let node = [&[0x0a, 1, b'x', 0x0a, 1, b'y', 0x2a, attribute.len() as u8][..], &attribute].concat();
        let graph = [&[0x0a, node.len() as u8][..], &node].concat();
        let model = [&[0x3a, graph.len() as u8][..], &graph].concat();
        assert_eq!(walk(&model).unwrap(), Seen { graph: true, objects: 5, numbers: 3 });
    }

    #[test]
    fn each_fault_has_its_own_words() {
        let message = |bytes: &[u8]| walk(bytes).unwrap_err().to_string();
        assert_eq!(
            message(&[0x3a, 9, 0]),
            "m.onnx is truncated: at byte 2 it promises 9 more bytes and has 1"
        );
        assert!(
            message(&[0x3a, 2, 0x0a, 5, 0x08, 1]).contains("a field reaching beyond its message at byte 4")
        );
        assert!(message(&[0x0b]).contains("a group"));
        assert!(message(&[0x0f]).contains("an unknown wire type"));
        assert!(message(&[0x00]).contains("a field number out of range"));
        assert!(
            message(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).contains("64 bits")
        );
        assert!(message(&[0x08]).contains("truncated"));
    }

    #[test]
    fn nesting_and_counts_are_bounded() {
        // A type of a sequence of a sequence of ...: each level wraps the one before.
        let mut bytes = Vec::new();
        for level in 0..200 {
            let tag = if level % 2 == 0 { 0x0a } else { 0x22 };
            let mut wrapped = vec![tag];
            prost::encode_length_delimiter(bytes.len(), &mut wrapped).unwrap();
            wrapped.extend(&bytes);
            bytes = wrapped;
        }
        let error = scan("m.onnx", &bytes, Kind::Type).unwrap_err();
        assert!(matches!(error, Error::TooMuch { what: "messages nested", .. }), "{error}");

        let nodes = [0x0a, 0].repeat(MAX_OBJECTS as usize + 1);
        let error = scan("m.onnx", &nodes, Kind::Graph).unwrap_err();
        assert_eq!(error.to_string(), "m.onnx has messages and strings beyond the limit of 8000000");
    }
}
