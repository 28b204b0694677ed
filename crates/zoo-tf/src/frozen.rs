//! A frozen graph: one `GraphDef` in one file, with its weights as constants.
//!
//! What importers read that know nothing of variables (DL4J, OpenCV, converters). It holds a copy of every weight; kernels of
//! convolutions are copied in TensorFlow's order of axes. The file is streamed, so that memory does not grow with the model, and its
//! size is known before the first byte: beyond protobuf's two gigabytes it is refused.

use std::io::{BufWriter, Write};
use std::path::Path;

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use zoo_formats::tf::proto::{GraphDef, NodeDef, TensorProto, VersionDef};
use zoo_graph::graph::Graph;

use crate::content::Content;
use crate::files::{failed, put_file, temporary_file};
use crate::lower::{Integers, Piece, Storage, constant_head, translate};
use crate::nodes::Op;
use crate::signature::port;
use crate::{Error, Result, Written};

/// The most that a protobuf message can have, which TensorFlow insists on.
pub const MAX_BYTES: u64 = i32::MAX as u64;

/// The version of TensorFlow's graphs that is written: that of 2.16. Older versions read it, because nothing newer than
/// [`MIN_CONSUMER`] is in it.
const PRODUCER: i32 = 1766;
const MIN_CONSUMER: i32 = 12;

/// How a frozen graph is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrozenOptions {
    /// Inputs of `i64` are `i64`. Without it they are `i32`, as models of TensorFlow have them.
    pub wide_integers: bool,
    /// Flush the file to the disk before it gets its name. Not done by default: everything staged can be made again.
    pub durable: bool,
}

impl FrozenOptions {
    /// With inputs of `i64` as they are.
    #[must_use]
    pub fn wide_integers(self, wide_integers: bool) -> Self {
        Self { wide_integers, ..self }
    }

    /// Flushed to the disk.
    #[must_use]
    pub fn durable(self, durable: bool) -> Self {
        Self { durable, ..self }
    }
}

pub(crate) fn versions() -> VersionDef {
    VersionDef { producer: PRODUCER, min_consumer: MIN_CONSUMER, bad_consumers: Vec::new() }
}

/// Writes a graph as a frozen one to `path`; a file of that name is replaced.
///
/// # Errors
/// [`Error::Unsupported`] if something has no counterpart in TensorFlow, [`Error::TooLarge`] beyond two gigabytes, or if a weight cannot be
/// read or the file not be written. Nothing is left behind then.
pub fn write(graph: &Graph, path: &Path, options: &FrozenOptions) -> Result<Written> {
    let integers = if options.wide_integers { Integers::Wide } else { Integers::Narrow };
    let translated = translate(graph, Storage::Constants, integers)?;
    let tail = GraphDef { versions: Some(versions()), ..GraphDef::default() }.encode_to_vec();
    let mut size = tail.len() as u64;
    for piece in &translated.pieces {
        let own = match piece {
            Piece::Node(node) => node.encoded_len() as u64,
            Piece::Constant { name, content } => ConstantBytes::of(name, content).node,
        };
        size = size.saturating_add(nested(1, own));
    }
    if size > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), size, limit: MAX_BYTES });
    }
    let file = temporary_file(path)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for piece in &translated.pieces {
        match piece {
            Piece::Node(node) => {
                let mut head = Vec::new();
                put(&mut head, 1, node.encoded_len() as u64);
                node.encode(&mut head).unwrap_or_else(|_| unreachable!("a vector has room for everything"));
                out.write_all(&head).map_err(failed("write", path))?;
            }
            Piece::Constant { name, content } => {
                out.write_all(&ConstantBytes::of(name, content).head).map_err(failed("write", path))?;
                content.pieces(&mut |piece| out.write_all(piece).map_err(failed("write", path)))?;
            }
        }
    }
    out.write_all(&tail).map_err(failed("write", path))?;
    let file = out.into_inner().map_err(|error| failed("write", path)(error.into_error()))?;
    let length = file.as_file().metadata().map_err(failed("examine", path))?.len();
    if length != size {
        let source = std::io::Error::other(format!("it has {length} bytes instead of {size}"));
        return Err(failed("write", path)(source));
    }
    put_file(file, path, options.durable)?;
    let taken = |end: &crate::lower::End| port(end, end.narrow.as_ref().unwrap_or(&end.out));
    Ok(Written {
        files: vec![path.to_owned()],
        bytes_written: size,
        placed_bytes: 0,
        inputs: translated.inputs.iter().map(taken).collect(),
        outputs: translated.outputs.iter().map(|end| port(end, &end.out)).collect(),
    })
}

/// What stands before the bytes of a constant, which are the last thing in its node: `value` is the last of its attributes, and
/// `tensor_content` of the fields that the value has.
struct ConstantBytes {
    head: Vec<u8>,
    /// The length of the whole node.
    node: u64,
}

impl ConstantBytes {
    fn of(name: &str, content: &Content<'_>) -> Self {
        let (dtype, shape) = constant_head(content);
        let bytes = content.byte_len();
        let begun: NodeDef = Op::new("Const", &[]).of("dtype", content.dtype).named(name.to_owned());
        let begun = begun.encode_to_vec();
        let tensor =
            TensorProto { dtype, tensor_shape: Some(shape), ..TensorProto::default() }.encode_to_vec();
        let tensor_len = tensor.len() as u64 + nested(4, bytes);
        let value_len = nested(8, tensor_len);
        let key = "value";
        let entry_len = nested(1, key.len() as u64) + nested(2, value_len);
        let node = begun.len() as u64 + nested(5, entry_len);
        let mut head = Vec::new();
        put(&mut head, 1, node);
        head.extend(begun);
        put(&mut head, 5, entry_len);
        put(&mut head, 1, key.len() as u64);
        head.extend(key.as_bytes());
        put(&mut head, 2, value_len);
        put(&mut head, 8, tensor_len);
        head.extend(tensor);
        put(&mut head, 4, bytes);
        Self { head, node }
    }
}

/// The length of a field that holds this many bytes, with its number and length.
fn nested(field: u32, length: u64) -> u64 {
    (key_len(field) + encoded_len_varint(length)) as u64 + length
}

fn put(out: &mut Vec<u8>, field: u32, length: u64) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length, out);
}
