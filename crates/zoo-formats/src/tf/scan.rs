//! Counts the messages of a graph before they are decoded.
//!
//! An empty node takes two bytes in a file and two hundred in memory. The count goes down exactly where decoding does, so that what it
//! lets through fits; it allocates nothing.

use std::path::Path;

use super::CONTAINER;
use crate::{Error, Result, limits};

/// A message's fields that are messages or texts, by number: what each holds.
struct Kind(&'static [(u32, Option<&'static Kind>)]);

/// Messages may be this deep in each other: prost's own limit.
const MAX_DEPTH: usize = 100;

static TEXTS: Kind = Kind(&[(1, None), (2, None), (3, None), (4, None), (5, None), (6, None), (7, None)]);
static SHAPE: Kind = Kind(&[(2, Some(&TEXTS))]);
static TENSOR: Kind = Kind(&[(2, Some(&SHAPE)), (8, None)]);
static FUNC: Kind = Kind(&[(2, Some(&ATTR_ENTRY))]);
static LIST: Kind = Kind(&[(2, None), (7, Some(&SHAPE)), (8, Some(&TENSOR)), (9, Some(&FUNC))]);
static ATTR: Kind = Kind(&[(1, Some(&LIST)), (7, Some(&SHAPE)), (8, Some(&TENSOR)), (10, Some(&FUNC))]);
static ATTR_ENTRY: Kind = Kind(&[(1, None), (2, Some(&ATTR))]);
static NODE: Kind = Kind(&[(3, None), (5, Some(&ATTR_ENTRY))]);
static ARG_ATTRS: Kind = Kind(&[(1, Some(&ATTR_ENTRY))]);
static ARG_ENTRY: Kind = Kind(&[(2, Some(&ARG_ATTRS))]);
static OP: Kind = Kind(&[(2, Some(&TEXTS)), (3, Some(&TEXTS)), (20, None)]);
static FUNCTION: Kind = Kind(&[
    (1, Some(&OP)),
    (3, Some(&NODE)),
    (4, Some(&TEXTS)),
    (5, Some(&ATTR_ENTRY)),
    (6, Some(&TEXTS)),
    (7, Some(&ARG_ENTRY)),
]);
static LIBRARY: Kind = Kind(&[(1, Some(&FUNCTION))]);
static GRAPH: Kind = Kind(&[(1, Some(&NODE)), (2, Some(&LIBRARY))]);
static INFO: Kind = Kind(&[(1, None), (3, Some(&SHAPE)), (4, Some(&TEXTS))]);
static INFO_ENTRY: Kind = Kind(&[(1, None), (2, Some(&INFO))]);
static SIGNATURE: Kind = Kind(&[(1, Some(&INFO_ENTRY)), (2, Some(&INFO_ENTRY))]);
static SIGNATURE_ENTRY: Kind = Kind(&[(1, None), (2, Some(&SIGNATURE))]);
static VALUES: Kind = Kind(&[(1, None)]);
static COLLECTION: Kind =
    Kind(&[(1, Some(&VALUES)), (2, Some(&VALUES)), (3, Some(&VALUES)), (4, Some(&VALUES))]);
static COLLECTION_ENTRY: Kind = Kind(&[(1, None), (2, Some(&COLLECTION))]);
static META_INFO: Kind = Kind(&[(4, None)]);
static ASSET: Kind = Kind(&[(1, Some(&INFO)), (2, None)]);
static META: Kind = Kind(&[
    (1, Some(&META_INFO)),
    (2, Some(&GRAPH)),
    (4, Some(&COLLECTION_ENTRY)),
    (5, Some(&SIGNATURE_ENTRY)),
    (6, Some(&ASSET)),
]);
static SAVED_MODEL: Kind = Kind(&[(2, Some(&META))]);

/// Fails if a SavedModel has more messages than may be decoded, or is no protobuf.
pub(super) fn saved_model(path: &Path, bytes: &[u8]) -> Result<()> {
    Scan { path, all: bytes.len(), count: 0 }.message(bytes, Some(&SAVED_MODEL), 0)
}

/// The same for a graph.
pub(super) fn graph(path: &Path, bytes: &[u8]) -> Result<()> {
    Scan { path, all: bytes.len(), count: 0 }.message(bytes, Some(&GRAPH), 0)
}

struct Scan<'p> {
    path: &'p Path,
    all: usize,
    count: usize,
}

impl Scan<'_> {
    fn message(&mut self, bytes: &[u8], kind: Option<&Kind>, depth: usize) -> Result<()> {
        self.count += 1;
        if self.count > limits::MAX_GRAPH_MESSAGES {
            return Err(Error::TooMuch {
                holder: self.path.display().to_string(),
                what: "messages",
                found: self.count as u64,
                limit: limits::MAX_GRAPH_MESSAGES as u64,
            });
        }
        let Some(Kind(fields)) = kind else { return Ok(()) };
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = self.varint(&mut rest)?;
            match key & 7 {
                0 => {
                    self.varint(&mut rest)?;
                }
                1 => rest = self.after(rest, 8)?,
                5 => rest = self.after(rest, 4)?,
                2 => {
                    let length = usize::try_from(self.varint(&mut rest)?).unwrap_or(usize::MAX);
                    let behind = self.after(rest, length)?;
                    let content = rest.get(..length).unwrap_or_default();
                    let field = fields.iter().find(|(number, _)| u64::from(*number) == key >> 3);
                    if let Some((_, inner)) = field {
                        if depth == MAX_DEPTH {
                            return Err(self.damaged("its messages are too deep in each other"));
                        }
                        self.message(content, *inner, depth + 1)?;
                    }
                    rest = behind;
                }
                _ => return Err(self.damaged("it is no protobuf")),
            }
        }
        Ok(())
    }

    fn varint(&self, rest: &mut &[u8]) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some((&byte, behind)) = rest.split_first() else { break };
            *rest = behind;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number is cut short"))
    }

    fn after<'b>(&self, rest: &'b [u8], length: usize) -> Result<&'b [u8]> {
        rest.get(length..).ok_or_else(|| self.damaged("it ends before what it promises"))
    }

    fn damaged(&self, problem: &str) -> Error {
        let (path, offset) = (self.path.to_owned(), self.all as u64);
        Error::Damaged { path, container: CONTAINER, offset, problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::tf::proto::{GraphDef, NodeDef};

    #[test]
    fn empty_nodes_are_counted() {
        let bytes = [0x0a, 0].repeat(limits::MAX_GRAPH_MESSAGES);
        let error = graph(Path::new("x.pb"), &bytes).unwrap_err().to_string();
        assert!(error.contains("messages, beyond the limit"), "{error}");
        let fine = GraphDef { node: vec![NodeDef::default(); 3], ..GraphDef::default() }.encode_to_vec();
        graph(Path::new("x.pb"), &fine).unwrap();
        assert!(graph(Path::new("x.pb"), &[0x0a, 9]).is_err());
    }
}
