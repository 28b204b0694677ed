//! Object headers: the list of messages that describes a group, a dataset or a type.
//!
//! Version 1 is a list of messages, version 2 has a signature, shorter fields and a checksum. Both can continue in other
//! places of the file. The whole of a header is bounded, and no place is read twice.

use std::borrow::Cow;
use std::collections::HashSet;

use super::cursor::Cursor;
use super::file::{Block, Inner};
use crate::{Result, limits};

/// The kinds of messages that are looked at.
pub(super) mod kind {
    pub(in super::super) const DATASPACE: u16 = 0x01;
    pub(in super::super) const LINK_INFO: u16 = 0x02;
    pub(in super::super) const DATATYPE: u16 = 0x03;
    pub(in super::super) const OLD_FILL: u16 = 0x04;
    pub(in super::super) const FILL: u16 = 0x05;
    pub(in super::super) const LINK: u16 = 0x06;
    pub(in super::super) const EXTERNAL: u16 = 0x07;
    pub(in super::super) const LAYOUT: u16 = 0x08;
    pub(in super::super) const FILTERS: u16 = 0x0b;
    pub(in super::super) const ATTRIBUTE: u16 = 0x0c;
    pub(super) const CONTINUATION: u16 = 0x10;
    pub(in super::super) const SYMBOL_TABLE: u16 = 0x11;
    pub(in super::super) const ATTRIBUTE_INFO: u16 = 0x15;
    /// The last one that is defined.
    pub(super) const LAST: u16 = 0x18;
}

/// The message stands somewhere else, and only the place is given.
const SHARED: u8 = 0x02;

/// Whoever does not know the message must not read the object.
const MUST_BE_KNOWN: u8 = 0x80;

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) kind: u16,
    flags: u8,
    pub(super) body: Vec<u8>,
    /// The byte of the file at which the body begins.
    pub(super) offset: u64,
}

impl Message {
    /// An attribute that was kept in a heap.
    pub(super) fn attribute(body: Vec<u8>, offset: u64) -> Self {
        Self { kind: kind::ATTRIBUTE, flags: 0, body, offset }
    }

    pub(super) fn cursor<'m>(&'m self, file: &'m Inner) -> Cursor<'m> {
        Cursor::new(file, &self.body, self.offset)
    }
}

/// All messages of an object, in order.
#[derive(Debug)]
pub(super) struct Header {
    messages: Vec<Message>,
}

/// What differs between the versions.
#[derive(Clone, Copy)]
struct Form {
    version: u8,
    /// Whether each message has its place in the order of creation (version 2).
    ordered: bool,
}

impl Header {
    pub(super) fn read(file: &Inner, address: u64) -> Result<Self> {
        let mut reading =
            Reading { file, blocks: Vec::new(), seen: HashSet::new(), total: 0, messages: Vec::new() };
        let start = file.block_up_to(address, 16)?;
        let form = if start.data.starts_with(b"OHDR") {
            reading.first_of_version_2(address)?
        } else {
            reading.first_of_version_1(address)?
        };
        while let Some((address, length)) = reading.blocks.pop() {
            let block = reading.block(address, length)?;
            let mut cursor = block.cursor(file);
            if form.version == 1 {
                reading.read_messages(&mut cursor, form)?;
            } else {
                let body = block
                    .data
                    .len()
                    .checked_sub(4)
                    .ok_or_else(|| cursor.damaged("a continuation is cut short"))?;
                cursor.signature(*b"OCHK", "continuation of an object header")?;
                let mut messages = cursor.part(body.saturating_sub(4))?;
                cursor.checksum("an object header")?;
                reading.read_messages(&mut messages, form)?;
            }
        }
        Ok(Self { messages: reading.messages })
    }

    pub(super) fn has(&self, kind: u16) -> bool {
        self.messages.iter().any(|message| message.kind == kind)
    }

    /// All messages of a kind as they stand here.
    pub(super) fn all(&self, kind: u16) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.kind == kind)
    }

    /// The first message of a kind, from wherever it stands.
    pub(super) fn get(&self, file: &Inner, kind: u16) -> Result<Option<Cow<'_, Message>>> {
        self.all(kind).next().map(|message| resolve(file, message)).transpose()
    }
}

/// A message that may stand in another object's header.
pub(super) fn resolve<'m>(file: &Inner, message: &'m Message) -> Result<Cow<'m, Message>> {
    if message.flags & SHARED == 0 {
        return Ok(Cow::Borrowed(message));
    }
    let mut cursor = message.cursor(file);
    shared(file, &mut cursor, message.kind).map(Cow::Owned)
}

/// Follows the place of a shared message.
pub(super) fn shared(file: &Inner, cursor: &mut Cursor<'_>, kind: u16) -> Result<Message> {
    let version = cursor.version(1..=3, "a shared message")?;
    let place = cursor.u8()?;
    if version == 1 {
        cursor.skip(6)?;
    }
    if version == 3 && place == 1 {
        return Err(file.unknown("messages in a table of shared messages are not read"));
    }
    let address = cursor.defined("a shared message")?;
    let header = Header::read(file, address)?;
    match header.messages.into_iter().find(|message| message.kind == kind) {
        Some(message) if message.flags & SHARED == 0 => Ok(message),
        _ => Err(cursor.damaged("a shared message is not where it should be")),
    }
}

struct Reading<'f> {
    file: &'f Inner,
    /// Continuations that are still to be read.
    blocks: Vec<(u64, u64)>,
    seen: HashSet<u64>,
    total: u64,
    messages: Vec<Message>,
}

impl Reading<'_> {
    /// Reads a part of the header, once.
    fn block(&mut self, address: u64, length: u64) -> Result<Block> {
        self.total = self.total.saturating_add(length);
        if self.total > limits::MAX_OBJECT_HEADER {
            let limit = limits::MAX_OBJECT_HEADER;
            return Err(self.file.too_much("an object header", "bytes", self.total, limit));
        }
        if !self.seen.insert(address) {
            return Err(self.file.damaged(address, "an object header continues in itself"));
        }
        self.file.charge(length);
        self.file.block(address, length)
    }

    fn first_of_version_1(&mut self, address: u64) -> Result<Form> {
        let prefix = self.file.block(address, 16)?;
        let mut cursor = prefix.cursor(self.file);
        if cursor.u8()? != 1 {
            return Err(self.file.damaged(prefix.start, "no object header begins there"));
        }
        cursor.skip(7)?; // Reserved, the number of messages (which what follows shows), references.
        let size = cursor.u32()?;
        self.blocks.push((address.saturating_add(16), size.into()));
        Ok(Form { version: 1, ordered: false })
    }

    fn first_of_version_2(&mut self, address: u64) -> Result<Form> {
        // Signature, version, flags, times, bounds of attributes, size: at most 34 bytes.
        let prefix = self.file.block_up_to(address, 34)?;
        let mut cursor = prefix.cursor(self.file);
        cursor.signature(*b"OHDR", "object header")?;
        cursor.version(2..=2, "an object header")?;
        let flags = cursor.u8()?;
        cursor.skip(if flags & 0x20 != 0 { 16 } else { 0 })?;
        cursor.skip(if flags & 0x10 != 0 { 4 } else { 0 })?;
        let size = cursor.uint(1 << (flags & 3))?;
        let head = cursor.offset() - prefix.start;
        let form = Form { version: 2, ordered: flags & 0x04 != 0 };
        let whole =
            size.checked_add(head + 4).ok_or_else(|| cursor.damaged("an object header is too large"))?;
        let block = self.block(address, whole)?;
        let mut cursor = block.cursor(self.file);
        cursor.skip(head as usize)?;
        let mut messages = cursor.part(size as usize)?;
        cursor.checksum("an object header")?;
        self.read_messages(&mut messages, form)?;
        Ok(form)
    }

    fn read_messages(&mut self, cursor: &mut Cursor<'_>, form: Form) -> Result<()> {
        let head = if form.version == 1 { 8 } else { 4 + 2 * usize::from(form.ordered) };
        // What is too short for a message is a gap.
        while cursor.left() >= head {
            let kind = cursor.uint(if form.version == 1 { 2 } else { 1 })? as u16;
            let size = cursor.u16()?;
            let flags = cursor.u8()?;
            cursor.skip(head - if form.version == 1 { 5 } else { 4 })?;
            let offset = cursor.offset();
            let body = cursor.take(size.into())?;
            if kind == kind::CONTINUATION {
                let mut place = Cursor::new(self.file, body, offset);
                let address = place.defined("a continuation")?;
                let length = place.length()?;
                self.blocks.push((address, length));
                continue;
            }
            if kind > kind::LAST && flags & MUST_BE_KNOWN != 0 {
                return Err(self
                    .file
                    .unknown(format!("a message of kind {kind:#x} has to be understood and is not known")));
            }
            // Most of a file's headers are of messages that nobody asks for.
            if kind != 0 {
                self.messages.push(Message { kind, flags, body: body.to_vec(), offset });
            }
        }
        Ok(())
    }
}
