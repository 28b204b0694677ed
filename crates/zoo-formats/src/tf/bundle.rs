//! TensorBundle, TensorFlow's checkpoint of version 2 and what a SavedModel keeps its variables in.
//!
//! `prefix.index` is a [`table`]: under the empty key a header (how many shards, which byte order), then under each tensor's
//! name its type, shape, shard, place and checksum. `prefix.data-00000-of-00002` and so on are the shards: bytes, densely, at any offset.
//! Nothing says that a shard is only that: any file that holds tensors densely can be one, a safetensors file too.
//! (TensorFlow's `core/util/tensor_bundle/tensor_bundle.cc` and `protobuf/tensor_bundle.proto`.)
//!
//! Tensors that were saved in slices have an entry for the whole without bytes, and one for each slice under a key that begins with a
//! zero byte. They are listed and refused, as are tensors of text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;
use zoo_tensor::{DType, SourceFile, Weight};

use super::proto::{BundleEntryProto, BundleHeaderProto, TensorShapeProto, VersionDef};
use super::{CONTAINER, Crc, DataType, table};
use crate::file::SourceReader;
use crate::{Error, Result, limits};

/// The version of the format that is read and written.
const VERSION: i32 = 1;

/// Bytes that are read at a time for a checksum.
const PIECE: u64 = 1 << 20;

/// A tensor of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its element type, by TensorFlow's number.
    pub dtype: i32,
    /// The size of each dimension.
    pub shape: Vec<usize>,
    /// Which shard it lies in.
    pub shard: u32,
    /// Where in the shard.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
    /// The masked checksum of these bytes.
    pub crc32c: u32,
    /// Whether it was saved in slices: there are no bytes at this place then.
    pub sliced: bool,
}

/// The path of a shard: `prefix.data-00000-of-00001`.
pub fn shard_path(prefix: &Path, shard: u32, shards: u32) -> PathBuf {
    with_suffix(prefix, &format!(".data-{shard:05}-of-{shards:05}"))
}

/// The path of the table of contents: `prefix.index`.
pub fn index_path(prefix: &Path) -> PathBuf {
    with_suffix(prefix, ".index")
}

fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The table of contents of a bundle of little-endian shards, as TensorFlow would write it.
///
/// # Errors
/// [`Error::Unknown`] if a name cannot be one: empty, or beginning with a zero byte, which stands for slices.
pub fn write_index(path: &Path, shards: u32, entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>> {
    let mut writer = table::Writer::default();
    let version = Some(VersionDef { producer: VERSION, ..VersionDef::default() });
    let header = BundleHeaderProto { num_shards: shards as i32, endianness: 0, version };
    writer.add(b"", &header.encode_to_vec());
    for (name, entry) in entries {
        if name.is_empty() || name.starts_with('\0') || entry.sliced {
            let problem = format!("a bundle cannot hold a tensor called {name:?}");
            return Err(Error::Unknown { path: path.to_owned(), problem });
        }
        let proto = BundleEntryProto {
            dtype: entry.dtype,
            shape: Some(TensorShapeProto::of(entry.shape.iter().map(|&size| size as i64))),
            shard_id: entry.shard as i32,
            offset: entry.offset as i64,
            size: entry.size as i64,
            crc32c: entry.crc32c,
            slices: Vec::new(),
        };
        writer.add(name.as_bytes(), &proto.encode_to_vec());
    }
    Ok(writer.finish())
}

/// A bundle whose table of contents was read.
#[derive(Debug)]
pub struct Bundle {
    prefix: PathBuf,
    shards: u32,
    big_endian: bool,
    entries: BTreeMap<String, Entry>,
}

impl Bundle {
    /// Reads the table of contents of the bundle with this prefix: `variables/variables` in a SavedModel.
    ///
    /// # Errors
    /// If there is none, or it is damaged, of another version, or asks for more than [`limits`] allow.
    pub fn open(prefix: &Path) -> Result<Self> {
        let path = index_path(prefix);
        let file = SourceReader::open(&path)?;
        if file.len() > limits::MAX_INDEX_BYTES {
            return Err(too_much(&path, "bytes of a table of contents", file.len(), limits::MAX_INDEX_BYTES));
        }
        let bytes = file.read(0, file.len())?;
        Self::parse(prefix, &bytes)
    }

    /// Reads a table of contents that is in memory.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn parse(prefix: &Path, bytes: &[u8]) -> Result<Self> {
        let path = index_path(prefix);
        let mut bundle =
            Self { prefix: prefix.to_owned(), shards: 0, big_endian: false, entries: BTreeMap::new() };
        let mut first = true;
        table::read(&path, bytes, |key, value| {
            if std::mem::take(&mut first) {
                return bundle.header(&path, key, value);
            }
            if key.starts_with(&[0]) {
                return Ok(());
            }
            let name =
                std::str::from_utf8(key).map_err(|_| damaged(&path, "a tensor's name is not UTF-8"))?;
            let proto = BundleEntryProto::decode(value).map_err(|error| {
                damaged(&path, format!("what it says of \"{name}\" cannot be read: {error}"))
            })?;
            let entry = bundle
                .entry_of(proto)
                .map_err(|problem| damaged(&path, format!("tensor \"{name}\" {problem}")))?;
            bundle.entries.insert(name.to_owned(), entry);
            Ok(())
        })?;
        if first {
            return Err(damaged(&path, "it has no header"));
        }
        Ok(bundle)
    }

    fn header(&mut self, path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
        let header = BundleHeaderProto::decode(value).ok().filter(|_| key.is_empty());
        let header = header.ok_or_else(|| damaged(path, "it does not begin with a header"))?;
        let version = header.version.unwrap_or_default();
        if version.min_consumer > VERSION {
            let problem = format!("it asks for a reader of version {}", version.min_consumer);
            return Err(Error::Unknown { path: path.to_owned(), problem });
        }
        self.big_endian = match header.endianness {
            0 => false,
            1 => true,
            other => {
                return Err(Error::Unknown {
                    path: path.to_owned(),
                    problem: format!("it has the byte order {other}"),
                });
            }
        };
        // A name has room for five digits.
        self.shards = u32::try_from(header.num_shards)
            .ok()
            .filter(|shards| *shards < 100_000)
            .ok_or_else(|| damaged(path, format!("it has {} shards", header.num_shards)))?;
        Ok(())
    }

    fn entry_of(&self, proto: BundleEntryProto) -> Result<Entry, String> {
        let shape = proto.shape.unwrap_or_default();
        if shape.unknown_rank || shape.dim.len() > limits::MAX_RANK {
            return Err("has no shape that a tensor can have".to_owned());
        }
        let size = |size: i64| usize::try_from(size).map_err(|_| format!("has a dimension of {size}"));
        let number =
            |what: &str, value: i64| u64::try_from(value).map_err(|_| format!("has the {what} {value}"));
        let shard = u32::try_from(proto.shard_id).ok().filter(|shard| *shard < self.shards.max(1));
        Ok(Entry {
            dtype: proto.dtype,
            shape: shape.dim.iter().map(|dim| size(dim.size)).collect::<Result<_, _>>()?,
            shard: shard.ok_or_else(|| format!("is in shard {} of {}", proto.shard_id, self.shards))?,
            offset: number("offset", proto.offset)?,
            size: number("length", proto.size)?,
            crc32c: proto.crc32c,
            sliced: !proto.slices.is_empty(),
        })
    }

    /// The number of shards.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// The tensors by name, in order; those of text and those in slices, too.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// What is said of a tensor.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The path of the shard that a tensor lies in.
    pub fn shard_of(&self, entry: &Entry) -> PathBuf {
        shard_path(&self.prefix, entry.shard, self.shards)
    }

    /// A tensor as a place in its shard; the bytes are not read.
    ///
    /// # Errors
    /// If there is no such tensor, it is of text, of a type that zoo does not have, or in slices; or its shard is absent or too short.
    pub fn weight(&self, name: &str) -> Result<Weight> {
        let entry = self.find(name)?;
        let source = SourceFile::new(&self.shard_of(entry))?;
        self.weight_in(name, entry, &source)
    }

    /// Every tensor that is one, by name, and the names of the others with the reason why they are none.
    ///
    /// # Errors
    /// If a shard is absent, or too short for what is to be in it.
    #[expect(clippy::type_complexity, reason = "two lists of named things")]
    pub fn weights(&self) -> Result<(Vec<(String, Weight)>, Vec<(String, String)>)> {
        let mut shards: BTreeMap<u32, Arc<SourceFile>> = BTreeMap::new();
        let (mut weights, mut others) = (Vec::new(), Vec::new());
        for (name, entry) in &self.entries {
            if let Err(problem) = element_type(entry) {
                others.push((name.clone(), problem));
                continue;
            }
            let source = match shards.get(&entry.shard) {
                Some(source) => Arc::clone(source),
                None => {
                    let source = SourceFile::new(&self.shard_of(entry))?;
                    shards.insert(entry.shard, Arc::clone(&source));
                    source
                }
            };
            weights.push((name.clone(), self.weight_in(name, entry, &source)?));
        }
        Ok((weights, others))
    }

    /// Reads a tensor's bytes and compares their checksum.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it differs; or as [`Bundle::weight`].
    pub fn check(&self, name: &str) -> Result<()> {
        let entry = self.find(name)?;
        let path = self.shard_of(entry);
        let file = SourceReader::open(&path)?;
        self.weight_in(name, entry, file.source())?;
        let (mut crc, mut at, end) = (Crc::default(), entry.offset, entry.offset + entry.size);
        while at < end {
            let piece = file.read(at, PIECE.min(end - at))?;
            if piece.is_empty() {
                return Err(file.failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            crc = crc.and(&piece);
            at += piece.len() as u64;
        }
        if crc.masked() == entry.crc32c {
            return Ok(());
        }
        let problem = format!(
            "the checksum of tensor \"{name}\" is {:08x} instead of {:08x}",
            crc.masked(),
            entry.crc32c
        );
        Err(Error::Damaged { path, container: CONTAINER, offset: entry.offset, problem })
    }

    fn find(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| Error::Unknown {
            path: index_path(&self.prefix),
            problem: format!("it holds no tensor \"{name}\""),
        })
    }

    fn weight_in(&self, name: &str, entry: &Entry, source: &Arc<SourceFile>) -> Result<Weight> {
        let path = index_path(&self.prefix);
        let dtype = element_type(entry).map_err(|problem| Error::Unknown {
            path: path.clone(),
            problem: format!("tensor \"{name}\" {problem}"),
        })?;
        let strides = dense_strides(&entry.shape).unwrap_or_default();
        let weight =
            Weight::strided(dtype, entry.shape.clone(), &strides, source, entry.offset, self.big_endian)?;
        if weight.byte_len() != entry.size {
            let problem =
                format!("tensor \"{name}\" has {} bytes and takes {}", entry.size, weight.byte_len());
            return Err(damaged(&path, problem));
        }
        Ok(weight)
    }
}

/// The type of a tensor's elements, or why there is none that can be taken.
fn element_type(entry: &Entry) -> Result<DType, String> {
    if entry.sliced {
        return Err("was saved in slices".to_owned());
    }
    let of_tensorflow =
        DataType::try_from(entry.dtype).map_err(|_| format!("is of the unknown type {}", entry.dtype))?;
    match of_tensorflow.dtype() {
        Some(DType::String) => Err("holds text".to_owned()),
        Some(dtype) => Ok(dtype),
        None => Err(format!("is of the type {of_tensorflow:?}")),
    }
}

/// The strides of the dense layout; none if they overflow, which the weight's own check then tells.
fn dense_strides(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1_usize; shape.len()];
    let mut stride = 1_usize;
    for (own, &size) in strides.iter_mut().zip(shape).rev() {
        *own = stride;
        stride = stride.checked_mul(size)?;
    }
    Some(strides)
}

fn damaged(path: &Path, problem: impl Into<String>) -> Error {
    Error::Damaged { path: path.to_owned(), container: CONTAINER, offset: 0, problem: problem.into() }
}

fn too_much(path: &Path, what: &'static str, found: u64, limit: u64) -> Error {
    Error::TooMuch { holder: path.display().to_string(), what, found, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dtype: DataType, shape: &[usize], offset: u64, bytes: &[u8]) -> Entry {
        let crc32c = Crc::of(bytes).masked();
        Entry {
            dtype: dtype as i32,
            shape: shape.to_vec(),
            shard: 0,
            offset,
            size: bytes.len() as u64,
            crc32c,
            sliced: false,
        }
    }

    fn bundle(entries: &[(&str, Entry)], shard: &[u8]) -> (tempfile::TempDir, Bundle) {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("variables");
        let entries = entries.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect();
        let index = write_index(&prefix, 1, &entries).unwrap();
        write(&index_path(&prefix), &index);
        write(&shard_path(&prefix, 0, 1), shard);
        let bundle = Bundle::open(&prefix).unwrap();
        (folder, bundle)
    }

    #[expect(clippy::disallowed_methods, reason = "a temporary file")]
    fn write(path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_tensor_at_an_odd_offset() {
        let numbers: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        let shard = [&b"odd"[..], &numbers].concat();
        let (_keep, bundle) = bundle(&[("b", entry(DataType::Float, &[2], 3, &numbers))], &shard);
        let weight = bundle.weight("b").unwrap();
        assert_eq!(weight.in_place().unwrap().offset, 3);
        assert_eq!(weight.to_tensor().unwrap().to_vec::<f32>().unwrap(), [1.5, -2.0]);
        bundle.check("b").unwrap();
        assert!(bundle.weight("c").unwrap_err().to_string().contains("no tensor \"c\""));
    }

    #[test]
    fn what_is_wrong_is_told_by_name() {
        let bytes = [1_u8, 2, 3, 4];
        let mut wrong = entry(DataType::Float, &[1], 0, &bytes);
        wrong.crc32c ^= 1;
        let long = entry(DataType::Float, &[2], 0, &bytes);
        let text = entry(DataType::String, &[1], 0, &bytes);
        let beyond = Entry { offset: 1, ..entry(DataType::Uint8, &[4], 0, &bytes) };
        let (_keep, bundle) =
            bundle(&[("wrong", wrong), ("long", long), ("text", text), ("beyond", beyond)], &bytes);
        let error = |name: &str| bundle.check(name).unwrap_err().to_string();
        assert!(error("wrong").contains("checksum of tensor \"wrong\""));
        assert!(error("long").contains("ends at byte 8"), "{}", error("long"));
        assert!(error("text").contains("\"text\" holds text"));
        assert!(error("beyond").contains("ends at byte 5"), "{}", error("beyond"));
    }

    #[test]
    fn names_that_mean_something_else_are_not_written() {
        let entries = |name: &str| [(name.to_owned(), entry(DataType::Float, &[], 0, &[0; 4]))].into();
        assert!(write_index(Path::new("x"), 1, &entries("")).is_err());
        assert!(write_index(Path::new("x"), 1, &entries("\0a")).is_err());
        assert!(write_index(Path::new("x"), 1, &entries("a")).is_ok());
    }
}
