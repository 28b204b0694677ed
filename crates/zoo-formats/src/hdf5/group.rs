//! Groups: named links to other objects, in the old form (a B-tree and a heap of names) and in the new one (messages, or a
//! heap of messages).
//!
//! Only hard links are followed. Soft links, links into other files and links of a user's own kind are listed and refused
//! when they are asked for: they can name files of the machine that reads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::attribute::{self, Attribute};
use super::btree1::{self, Kind};
use super::btree2::{self, records};
use super::cursor::Cursor;
use super::dataset::Dataset;
use super::file::Inner;
use super::fractal::FractalHeap;
use super::heap::LocalHeap;
use super::object::{Header, kind};
use crate::{Result, limits};

/// A group of objects. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Group {
    inner: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    file: Arc<Inner>,
    path: String,
    address: u64,
    header: Header,
    /// Sorted by name.
    links: Vec<(String, Link)>,
}

/// What a name in a group leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// An object of this file, by the address of its header.
    Hard(u64),
    /// A path in this file.
    Soft,
    /// An object of another file.
    External,
    /// A link of a kind of its user's own.
    User(u8),
}

/// What a name in a group is.
#[derive(Debug, Clone)]
pub enum Child {
    /// A group.
    Group(Group),
    /// A dataset.
    Dataset(Dataset),
    /// A named type.
    Type,
}

impl Group {
    pub(super) fn read(file: &Arc<Inner>, address: u64, path: String) -> Result<Self> {
        let header = Header::read(file, address)?;
        Self::of(file, address, header, path)
    }

    fn of(file: &Arc<Inner>, address: u64, header: Header, path: String) -> Result<Self> {
        let links = links(file, &header)?;
        Ok(Self { inner: Arc::new(Node { file: Arc::clone(file), path, address, header, links }) })
    }

    /// Its path from the root, without a slash at the start; empty for the root itself.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// Where its header is: the same for two paths that lead to one group.
    pub fn address(&self) -> u64 {
        self.inner.address
    }

    /// All names in it, sorted by their bytes.
    pub fn links(&self) -> impl Iterator<Item = (&str, Link)> {
        self.inner.links.iter().map(|(name, link)| (name.as_str(), *link))
    }

    /// The groups in it, sorted by name.
    ///
    /// # Errors
    /// If one of the objects in it cannot be read.
    pub fn groups(&self) -> Result<Vec<Self>> {
        let children = self.children()?.into_iter();
        Ok(children
            .filter_map(|child| if let Child::Group(group) = child { Some(group) } else { None })
            .collect())
    }

    /// The datasets in it, sorted by name.
    ///
    /// # Errors
    /// If one of the objects in it cannot be read.
    pub fn datasets(&self) -> Result<Vec<Dataset>> {
        let children = self.children()?.into_iter();
        Ok(children
            .filter_map(|child| if let Child::Dataset(set) = child { Some(set) } else { None })
            .collect())
    }

    /// All objects that hard links lead to, sorted by name.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn children(&self) -> Result<Vec<Child>> {
        let hard = self.links().filter(|(_, link)| matches!(link, Link::Hard(_)));
        hard.map(|(name, link)| self.open(name, link)).collect()
    }

    /// The object at a path below this group; none if there is none.
    ///
    /// # Errors
    /// If the path leads through a link that is not followed, or an object that cannot be read.
    pub fn child(&self, path: &str) -> Result<Option<Child>> {
        let mut at = Child::Group(self.clone());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Child::Group(group) = at else { return Ok(None) };
            let links = &group.inner.links;
            let Ok(index) = links.binary_search_by(|(name, _)| name.as_str().cmp(part)) else {
                return Ok(None);
            };
            let Some((name, link)) = links.get(index) else { return Ok(None) };
            at = group.open(name, *link)?;
        }
        Ok(Some(at))
    }

    /// The group at a path below this one; none if nothing or something else is there.
    ///
    /// # Errors
    /// As [`Group::child`].
    pub fn group(&self, path: &str) -> Result<Option<Self>> {
        Ok(if let Some(Child::Group(group)) = self.child(path)? { Some(group) } else { None })
    }

    /// The dataset at a path below this group; none if nothing or something else is there.
    ///
    /// # Errors
    /// As [`Group::child`].
    pub fn dataset(&self, path: &str) -> Result<Option<Dataset>> {
        Ok(if let Some(Child::Dataset(dataset)) = self.child(path)? { Some(dataset) } else { None })
    }

    /// All attributes, sorted by name.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn attributes(&self) -> Result<Vec<Attribute>> {
        attribute::all(&self.inner.file, &self.inner.header)
    }

    /// The attribute of this name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn attribute(&self, name: &str) -> Result<Option<Attribute>> {
        attribute::named(&self.inner.file, &self.inner.header, name)
    }

    /// The texts of an attribute that may have been split because it was too large: `layer_names`, or else
    /// `layer_names0`, `layer_names1` and so on joined. None if there is neither. Keras writes a list without entries as
    /// one of numbers.
    ///
    /// # Errors
    /// If one cannot be read, or holds something other than texts.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        if let Some(whole) = self.attribute(name)? {
            return whole.texts().map(Some);
        }
        let mut texts: Option<Vec<String>> = None;
        // Each part is an attribute of this object, so there are at most as many as were read.
        for part in 0_u32.. {
            let Some(attribute) = self.attribute(&format!("{name}{part}"))? else { break };
            texts.get_or_insert_default().extend(attribute.texts()?);
        }
        Ok(texts)
    }

    pub(super) fn file(&self) -> &Arc<Inner> {
        &self.inner.file
    }

    fn open(&self, name: &str, link: Link) -> Result<Child> {
        let file = &self.inner.file;
        let path = if self.path().is_empty() { name.to_owned() } else { format!("{}/{name}", self.path()) };
        let address = match link {
            Link::Hard(address) => address,
            Link::Soft => {
                return Err(file.unknown(format!("\"{path}\" is a soft link, which zoo does not follow")));
            }
            Link::External => {
                return Err(file
                    .unknown(format!("\"{path}\" is a link into another file, which zoo does not follow")));
            }
            Link::User(kind) => {
                return Err(file.unknown(format!("\"{path}\" is a link of kind {kind}, which is not known")));
            }
        };
        let header = Header::read(file, address)?;
        Ok(if header.has(kind::LAYOUT) || header.has(kind::DATASPACE) {
            Child::Dataset(Dataset::of(file, address, header, path)?)
        } else if header.has(kind::DATATYPE) {
            Child::Type
        } else {
            Child::Group(Self::of(file, address, header, path)?)
        })
    }
}

/// Everything that a group links to.
fn links(file: &Inner, header: &Header) -> Result<Vec<(String, Link)>> {
    let mut links = HashMap::new();
    let mut bytes = 0_usize;
    let mut add = |name: String, link: Link, offset: u64| {
        bytes += name.len();
        let (limit, most) = (limits::MAX_ALL_NAMES_BYTES, limits::MAX_TENSORS);
        if bytes > limit || links.len() >= most {
            return Err(file.too_much(
                "a group",
                "names or bytes of names",
                bytes.max(most + 1) as u64,
                most as u64,
            ));
        }
        match links.entry(name) {
            Entry::Occupied(entry) => {
                Err(file.damaged(offset, format!("a group has two links of the name \"{}\"", entry.key())))
            }
            Entry::Vacant(entry) => {
                entry.insert(link);
                Ok(())
            }
        }
    };
    if let Some(message) = header.get(file, kind::SYMBOL_TABLE)? {
        let mut cursor = message.cursor(file);
        let tree = cursor.defined("the entries of a group")?;
        let heap = LocalHeap::read(file, cursor.defined("the names of a group")?)?;
        btree1::walk(file, Kind::Group, tree, |_, leaf| old_leaf(file, &heap, leaf, &mut add))?;
    }
    for message in header.all(kind::LINK) {
        new_link(&mut message.cursor(file), &mut add)?;
    }
    if let Some(message) = header.get(file, kind::LINK_INFO)? {
        let mut cursor = message.cursor(file);
        cursor.version(0..=0, "a description of links")?;
        let flags = cursor.u8()?;
        cursor.skip(if flags & 1 != 0 { 8 } else { 0 })?;
        if let (Some(heap), Some(tree)) = (cursor.address()?, cursor.address()?) {
            let mut heap = FractalHeap::read(file, heap)?;
            btree2::walk(file, tree, &[records::LINK_NAMES], |mut record| {
                record.u32()?; // A hash of the name.
                let (message, offset) = heap.get(record)?;
                new_link(&mut Cursor::new(file, &message, offset), &mut add)
            })?;
        }
    }
    let mut links: Vec<_> = links.into_iter().collect();
    links.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(links)
}

/// A leaf of an old group's tree: entries with the places of their names in the heap.
fn old_leaf(
    file: &Inner,
    heap: &LocalHeap,
    address: u64,
    add: &mut impl FnMut(String, Link, u64) -> Result<()>,
) -> Result<()> {
    let head = file.block(address, 8)?;
    let mut cursor = head.cursor(file);
    cursor.signature(*b"SNOD", "node of a group")?;
    cursor.version(1..=1, "a node of a group")?;
    cursor.skip(1)?;
    let count = u64::from(cursor.u16()?);
    let size = 2 * file.superblock.offset_size as u64 + 24;
    let block = file.block(address.saturating_add(8), count * size)?;
    let mut cursor = block.cursor(file);
    for _ in 0..count {
        let offset = cursor.offset();
        let name = cursor.uint(file.superblock.offset_size)?;
        let object = cursor.address()?;
        let cached = cursor.u32()?;
        cursor.skip(20)?;
        let name = heap.text(file, name)?;
        match (cached, object) {
            (2, _) => add(name, Link::Soft, offset)?,
            (_, Some(object)) => add(name, Link::Hard(object), offset)?,
            (_, None) => return Err(cursor.damaged(format!("\"{name}\" has no address"))),
        }
    }
    Ok(())
}

/// A link message.
fn new_link(cursor: &mut Cursor<'_>, add: &mut impl FnMut(String, Link, u64) -> Result<()>) -> Result<()> {
    let offset = cursor.offset();
    cursor.version(1..=1, "a link")?;
    let flags = cursor.u8()?;
    let kind = if flags & 0x08 != 0 { cursor.u8()? } else { 0 };
    cursor.skip(if flags & 0x04 != 0 { 8 } else { 0 })?;
    cursor.skip(usize::from(flags & 0x10 != 0))?;
    let length = cursor.uint(1 << (flags & 3))?;
    if length > limits::MAX_NAME_BYTES as u64 {
        return Err(cursor.damaged(format!("the name of a link has {length} bytes")));
    }
    let name = std::str::from_utf8(cursor.take(length as usize)?);
    let name = name.map_err(|_| cursor.damaged("the name of a link is no UTF-8"))?.to_owned();
    let link = match kind {
        0 => Link::Hard(cursor.defined("a link")?),
        1 => Link::Soft,
        64 => Link::External,
        other => Link::User(other),
    };
    add(name, link, offset)
}
