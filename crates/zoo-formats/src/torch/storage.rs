//! Storages: the runs of elements that tensors are views of.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use bytes::Bytes;

use super::names::{self, Element};
use crate::file::SourceReader;
use crate::pickle::{Id, Pickle};
use crate::zip::Member;

/// Where the storages of a checkpoint are, by key.
#[derive(Debug, Default)]
pub(super) struct Storages {
    pub(super) records: HashMap<String, Record>,
    /// Whether elements have their highest byte first.
    pub(super) big_endian: bool,
}

/// Where one storage is.
#[derive(Debug)]
pub(super) enum Record {
    /// Bytes in the file.
    Stored { offset: u64, length: u64 },
    /// A member that has to be inflated.
    Deflated(Member),
}

/// The persistent id of a storage: what stands in a pickle in its place.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) element: Element,
    pub(super) key: String,
    /// Elements of the storage.
    pub(super) count: u64,
    /// A part of it, in elements: the first one and how many. Before torch 0.4 a storage could be a view of another.
    pub(super) view: Option<(u64, u64)>,
}

impl Reference {
    /// Reads a persistent id; what is wrong with it, otherwise.
    pub(super) fn read(pickle: &Pickle, id: Id) -> Result<Self, String> {
        let fields = pickle.items(id).unwrap_or_default();
        let field = |index: usize| fields.get(index).copied();
        if field(0).and_then(|id| pickle.text(id)) != Some("storage") {
            return Err("it refers to something other than a storage".to_owned());
        }
        let class = field(1).and_then(|id| pickle.global(id)).ok_or("the class of a storage is no class")?;
        let element =
            names::storage(class).ok_or_else(|| format!("{class} is no known class of storages"))?;
        let key = field(2)
            .and_then(|id| key(pickle, id))
            .ok_or("the key of a storage is neither text nor a number")?;
        let count = field(4).and_then(|id| pickle.size(id)).ok_or("the length of a storage is no number")?;
        let view = match field(5).map(|id| pickle.get(id)) {
            None | Some(crate::pickle::Value::None) => None,
            Some(crate::pickle::Value::Tuple(&[_, start, count])) => Some(
                pickle
                    .size(start)
                    .zip(pickle.size(count))
                    .ok_or("the bounds of a view of a storage are no numbers")?,
            ),
            Some(_) => return Err("the view of a storage is described by something else".to_owned()),
        };
        Ok(Self { element, key, count, view })
    }

    /// Its length in bytes.
    pub(super) fn bytes(&self) -> Result<u64, String> {
        let bytes = self.count.checked_mul(self.element.size());
        bytes.ok_or_else(|| {
            format!("storage \"{}\" has {} elements, which is impossible", self.key, self.count)
        })
    }
}

/// A storage's key: decimal text, in files of Python 2 a number.
pub(super) fn key(pickle: &Pickle, id: Id) -> Option<String> {
    match pickle.text(id) {
        Some(text) if text.len() <= crate::limits::MAX_NAME_BYTES => Some(text.to_owned()),
        Some(_) => None,
        None => pickle.int(id).map(|number| number.to_string()),
    }
}

/// The bytes that a tensor may look at.
#[derive(Debug, Clone)]
pub(super) enum Span {
    File { offset: u64, length: u64 },
    Memory(Bytes),
}

impl Span {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

/// Finds storages for tensors, and keeps those that had to be inflated.
pub(super) struct Finder<'c> {
    file: &'c SourceReader,
    storages: &'c Storages,
    inflated: RefCell<HashMap<String, Bytes>>,
    /// Bytes that may still be held in memory.
    budget: Cell<u64>,
}

impl<'c> Finder<'c> {
    pub(super) fn new(file: &'c SourceReader, storages: &'c Storages) -> Self {
        let budget = Cell::new(crate::zip::owned_limit(file));
        Self { file, storages, inflated: RefCell::default(), budget }
    }

    pub(super) fn file(&self) -> &'c SourceReader {
        self.file
    }

    pub(super) fn big_endian(&self) -> bool {
        self.storages.big_endian
    }

    /// Takes bytes out of what may be held in memory.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), String> {
        let left = self.budget.get().checked_sub(bytes);
        let left = left
            .ok_or_else(|| format!("needs {bytes} bytes of memory, more than the file's length justifies"))?;
        self.budget.set(left);
        Ok(())
    }

    /// The bytes of a storage, or of the part that the reference is about.
    pub(super) fn find(&self, reference: &Reference) -> Result<Span, String> {
        let key = &reference.key;
        let record = self
            .storages
            .records
            .get(key)
            .ok_or_else(|| format!("its storage \"{key}\" is not in the file"))?;
        let wanted = reference.bytes()?;
        let there = match record {
            Record::Stored { length, .. } => *length,
            Record::Deflated(member) => member.size,
        };
        if wanted > there {
            return Err(format!(
                "its storage \"{key}\" should have {wanted} bytes and the record has {there}"
            ));
        }
        let (start, length) = match reference.view {
            None => (0, wanted),
            Some((first, count)) => {
                let size = reference.element.size();
                let bounds = first.checked_mul(size).zip(count.checked_mul(size));
                let inside = bounds
                    .filter(|(start, length)| start.checked_add(*length).is_some_and(|end| end <= wanted));
                inside.ok_or_else(|| format!("the view of its storage \"{key}\" reaches beyond it"))?
            }
        };
        Ok(match record {
            Record::Stored { offset, .. } => Span::File { offset: offset + start, length },
            Record::Deflated(member) => {
                let bytes = self.inflate(key, member)?;
                Span::Memory(bytes.slice(start as usize..(start + length) as usize))
            }
        })
    }

    fn inflate(&self, key: &str, member: &Member) -> Result<Bytes, String> {
        if let Some(bytes) = self.inflated.borrow().get(key) {
            return Ok(bytes.clone());
        }
        self.reserve(member.size)?;
        let (bytes, _) =
            member.read(self.file, member.size).map_err(|error| format!("cannot be read: {error}"))?;
        let bytes = Bytes::from(bytes);
        self.inflated.borrow_mut().insert(key.to_owned(), bytes.clone());
        Ok(bytes)
    }
}
