//! Tar: v7, ustar, GNU and pax. The headers' fields are decoded by the `tar` crate; the walk over the blocks is here,
//! because it has to bound what it reads into memory and to say where a truncated archive ends.

use ::tar::{EntryType, Header};

use super::error::{ArchiveError, Bound, Place, shown};
use super::limits::{Limits, Meter};
use super::name::{self, Names};
use super::source::{Content, Fault, Source};
use super::{Member, Visit};

/// Headers and content come in blocks of this many bytes.
const BLOCK: usize = 512;
/// Most bytes of one pax header: room for attributes and access lists, which reach a few tens of KiB, beside the name.
const PAX_BYTES: u64 = 256 << 10;
/// Most bytes after the end marker: tar pads to its blocking factor, 10 KiB by default, 1 MiB at its largest in practice.
const PADDING: u64 = 1 << 20;

/// Calls `visit` for every file.
pub(super) fn walk(source: &mut dyn Source, limits: &Limits, visit: Visit<'_>) -> Result<(), ArchiveError> {
    let mut walker = Walker {
        blocks: Blocks { source, position: 0, last: None, buffer: vec![0; super::BUFFER] },
        limits,
        meter: Meter::new(limits),
        names: Names::default(),
    };
    let mut extra = Extra::default();
    while let Some(header) = walker.blocks.header()? {
        let size = size_of_entry(&header)?;
        let raw = header.path_bytes();
        match header.entry_type() {
            EntryType::XHeader => extra.pax(&walker.long_field(size, PAX_BYTES, "pax header")?)?,
            EntryType::XGlobalHeader => {
                walker.meter.entry(&raw)?;
                global(&walker.long_field(size, PAX_BYTES, "pax header")?)?;
            }
            EntryType::GNULongName => {
                // The field is the name and a NUL.
                let most = limits.name_length as u64 + 1;
                let mut long = walker.long_field(size, most, "long name")?;
                if long.last() == Some(&0) {
                    long.pop();
                }
                extra.name(long)?;
            }
            EntryType::GNULongLink => {
                // A link follows, and is refused by its name.
                walker.long_field(size, PAX_BYTES, "long link")?;
                extra.pending = true;
            }
            kind => {
                let extra = std::mem::take(&mut extra);
                if extra.sparse {
                    return Err(special(extra.path.as_deref().unwrap_or(&raw), "sparse file"));
                }
                walker.entry(
                    kind,
                    extra.path.as_deref().unwrap_or(&raw),
                    extra.size.unwrap_or(size),
                    visit,
                )?;
            }
        }
    }
    if extra.pending {
        return Err(corrupt(None, "a header describes a member that does not follow"));
    }
    walker.blocks.padding()
}

struct Walker<'s, 'l> {
    blocks: Blocks<'s>,
    limits: &'l Limits,
    meter: Meter<'l>,
    names: Names,
}

impl Walker<'_, '_> {
    fn entry(
        &mut self,
        kind: EntryType,
        raw: &[u8],
        size: u64,
        visit: Visit<'_>,
    ) -> Result<(), ArchiveError> {
        self.meter.entry(raw)?;
        // Version 7 had no type for folders: a slash at the end of the name meant one.
        let is_folder = match kind {
            EntryType::Directory => true,
            EntryType::Regular | EntryType::Continuous => raw.ends_with(b"/"),
            other => return Err(special(raw, &describe(other))),
        };
        let path = name::parse(raw, is_folder, self.limits)?;
        if is_folder {
            if size != 0 {
                return Err(corrupt(Some(shown(raw)), "a folder has content"));
            }
            return path.map_or(Ok(()), |p| self.names.folder(&p));
        }
        let Some(path) = path else {
            return Err(corrupt(Some(shown(raw)), "a file has no name"));
        };
        self.names.file(&path)?;
        let text = path.to_string();
        let member = Member { path, size: Some(size) };
        let mut content = Content::part(self.blocks.source, &mut self.meter, &text, size);
        visit(&member, &mut content)?;
        content.skip(&mut self.blocks.buffer)?;
        self.blocks.skip_padding(size, text)
    }

    /// The content of an entry that belongs to the next one.
    fn long_field(&mut self, size: u64, most: u64, what: &str) -> Result<Vec<u8>, ArchiveError> {
        if size > most {
            let member = format!("a {what} after {}", self.blocks.last.as_deref().unwrap_or("the start"));
            return Err(ArchiveError::Limit { member, bound: Bound::HeaderBytes, allowed: most });
        }
        let padded = size.next_multiple_of(BLOCK as u64);
        let mut bytes = vec![0; padded as usize];
        if self.blocks.fill(&mut bytes)? < bytes.len() {
            return Err(self.blocks.truncated());
        }
        bytes.truncate(size as usize);
        Ok(bytes)
    }
}

/// The stream, in blocks, and how far it was read.
struct Blocks<'s> {
    source: &'s mut dyn Source,
    position: u64,
    last: Option<String>,
    buffer: Vec<u8>,
}

impl Blocks<'_> {
    /// The next header; `None` at the end marker, which is two blocks of zeros. One such block and the end of the file
    /// pass too: every member was complete.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        if self.fill(block)? < BLOCK {
            return Err(self.truncated());
        }
        if block.iter().all(|b| *b == 0) {
            let read = self.fill(block)?;
            if block.get(..read).unwrap_or_default().iter().any(|b| *b != 0) {
                return Err(corrupt(
                    self.last.clone(),
                    "after it, the end marker is followed by more content",
                ));
            }
            return Ok(None);
        }
        if !checksum_holds(&header) {
            let reason = match &self.last {
                Some(last) => format!("the header after `{last}` has a wrong checksum"),
                None => "its first header has a wrong checksum".to_owned(),
            };
            return Err(ArchiveError::Corrupt { member: None, reason });
        }
        Ok(Some(header))
    }

    /// Fills `buf` as far as the stream goes, and says how far that was.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) => break,
                Ok(read) => {
                    filled += read;
                    self.position += read as u64;
                }
                Err(fault) => return Err(self.fault(fault)),
            }
        }
        Ok(filled)
    }

    /// Passes over what fills the last block of a member's content.
    fn skip_padding(&mut self, size: u64, member: String) -> Result<(), ArchiveError> {
        self.position = self.position.saturating_add(size);
        self.last = Some(member);
        let rest = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        let mut block = [0; BLOCK];
        let padding = block.get_mut(..rest as usize).unwrap_or_default();
        let wanted = padding.len();
        if self.fill(padding)? < wanted { Err(self.truncated()) } else { Ok(()) }
    }

    /// Reads on to the end, so that a checksum below is checked too.
    fn padding(&mut self) -> Result<(), ArchiveError> {
        let mut padded = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let read = self.fill(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            padded += read as u64;
            if padded > PADDING || buffer.get(..read).unwrap_or_default().iter().any(|b| *b != 0) {
                return Err(corrupt(None, "there is more content after its end marker"));
            }
        }
    }

    fn truncated(&self) -> ArchiveError {
        self.fault(Fault::Truncated)
    }

    fn fault(&self, fault: Fault) -> ArchiveError {
        let place = Place::Between { last: self.last.clone(), after: self.position };
        fault.at(self.last.as_deref(), place)
    }
}

/// What pax and GNU headers say about the member after them.
#[derive(Default)]
struct Extra {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
    seen_pax: bool,
    /// Something was said, even if nothing of use.
    pending: bool,
}

impl Extra {
    /// Readers differ in which of two names wins, so that two different ones are a way to smuggle.
    fn name(&mut self, name: Vec<u8>) -> Result<(), ArchiveError> {
        match &self.path {
            Some(first) if *first != name => Err(corrupt(Some(shown(&name)), "it has two names")),
            _ => {
                self.pending = true;
                self.path = Some(name);
                Ok(())
            }
        }
    }

    fn pax(&mut self, records: &[u8]) -> Result<(), ArchiveError> {
        self.pending = true;
        if std::mem::replace(&mut self.seen_pax, true) {
            return Err(corrupt(None, "one member has two pax headers"));
        }
        for record in pax_records(records) {
            let (key, value) = record?;
            match key {
                b"path" => self.name(value.to_vec())?,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|t| t.parse().ok());
                    self.size =
                        Some(size.ok_or_else(|| corrupt(None, "a pax header has a size that is no number"))?);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A global header sets defaults for all members. Writers use it for comments (git puts the commit there); names, sizes
/// and links for all members at once make no sense.
fn global(records: &[u8]) -> Result<(), ArchiveError> {
    for record in pax_records(records) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"size" | b"linkpath") || key.starts_with(b"GNU.sparse.") {
            let reason = format!("a header for all members sets `{}`", shown(key));
            return Err(ArchiveError::Corrupt { member: None, reason });
        }
    }
    Ok(())
}

/// Splits a pax header into its records, `LENGTH KEY=VALUE\n`. By length, because values may hold line ends.
fn pax_records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), ArchiveError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = pax_record(bytes);
        bytes = record.as_ref().map_or(&[][..], |(_, _, rest)| rest);
        Some(
            record
                .map(|(key, value, _)| (key, value))
                .ok_or_else(|| corrupt(None, "a pax header is malformed")),
        )
    })
}

/// Key, value and the bytes after the first record.
fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let (digits, _) = bytes.split_at_checked(space)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, rest))
}

fn size_of_entry(header: &Header) -> Result<u64, ArchiveError> {
    header.entry_size().map_err(|_| corrupt(Some(shown(&header.path_bytes())), "its size is no number"))
}

/// The sum over the header with the checksum's own field as blanks. Some old writers summed signed bytes.
fn checksum_holds(header: &Header) -> bool {
    let Ok(stored) = header.cksum() else { return false };
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, byte) in header.as_bytes().iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    i64::from(stored) == unsigned || i64::from(stored) == signed
}

/// Whether a block is a tar header, by the mark that all but the oldest writers leave, or by its checksum.
pub(super) fn is_header(block: &[u8]) -> bool {
    if block.get(257..262) == Some(b"ustar") {
        return true;
    }
    let mut header = Header::new_old();
    match block.get(..BLOCK) {
        Some(block) if block.iter().any(|b| *b != 0) => {
            header.as_mut_bytes().copy_from_slice(block);
            checksum_holds(&header)
        }
        _ => false,
    }
}

fn describe(kind: EntryType) -> String {
    match kind {
        EntryType::Link => "hard link".to_owned(),
        EntryType::Symlink => "symbolic link".to_owned(),
        EntryType::Char => "character device".to_owned(),
        EntryType::Block => "block device".to_owned(),
        EntryType::Fifo => "named pipe".to_owned(),
        EntryType::GNUSparse => "sparse file".to_owned(),
        other => format!("tar entry of unknown type `{}`", other.as_byte().escape_ascii()),
    }
}

fn special(raw: &[u8], kind: &str) -> ArchiveError {
    ArchiveError::Special { member: shown(raw), kind: kind.to_owned() }
}

fn corrupt(member: Option<String>, reason: &str) -> ArchiveError {
    ArchiveError::Corrupt { member, reason: reason.to_owned() }
}
