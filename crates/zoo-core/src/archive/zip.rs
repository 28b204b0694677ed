//! Zip, by the directory at its end. The `zip` crate reads the structure (zip64 included) and compares the two headers
//! that describe each member; inflating, sizes, CRC-32 and the limits are here, where each error knows its member.
//!
//! Strict on purpose: an archive that two readers would understand differently (overlapping members, a directory that
//! disagrees with the headers, bytes before the first member) is refused.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use ::zip::read::{ArchiveOffset, Config};
use ::zip::result::ZipError;
use ::zip::{CompressionMethod, ZipArchive};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::error::{ArchiveError, Bound, Place, shown};
use super::limits::{Limits, Meter};
use super::name::{self, Names};
use super::source::{Content, Counted, Fault, Source, check_ratio};
use super::{Member, Visit};
use crate::path::EntryPath;

/// Bytes of directory allowed per entry of [`Limits::members`]: 46 of header, the name, zip64 and time fields.
const DIRECTORY_BYTES_PER_ENTRY: u64 = 256;
/// What finding the directory may take beside it: the end record and its comment (64 KiB), looked through more than once.
const DIRECTORY_SEARCH: u64 = 1 << 20;
/// The end record: its mark, its length without the comment, and the longest comment.
const END_MARK: &[u8] = b"PK\x05\x06";
const END_LENGTH: u64 = 22;
const COMMENT: u64 = 0xffff;
/// General purpose flag bit 11: the name is UTF-8.
const UTF8_NAME: u16 = 1 << 11;
/// The part of a Unix mode that tells files, folders and everything else apart, and its values.
const MODE_KIND: u32 = 0o170_000;
const MODE_KINDS: [(u32, &str); 5] = [
    (0o120_000, "symbolic link"),
    (0o020_000, "character device"),
    (0o060_000, "block device"),
    (0o010_000, "named pipe"),
    (0o140_000, "socket"),
];

/// Calls `visit` for every file.
pub(super) fn walk(reader: impl Read + Seek, limits: &Limits, visit: Visit<'_>) -> Result<(), ArchiveError> {
    let mut archive = open(reader, limits)?;
    let mut meter = Meter::new(limits);
    let mut names = Names::default();
    for index in 0..archive.len() {
        let Some(facts) = facts(&archive, index, limits, &mut meter, &mut names)? else { continue };
        let text = facts.path.to_string();
        let raw = archive.by_index_raw(index).map_err(|e| from_zip(e, Some(&text)))?;
        let mut source = ZipSource::new(BufReader::with_capacity(super::BUFFER, raw), &facts, limits);
        let member = Member { path: facts.path, size: Some(facts.size) };
        let mut content = Content::own(&mut source, &mut meter, &text, member.size);
        visit(&member, &mut content)?;
    }
    Ok(())
}

/// What the directory says about a file.
struct Facts {
    path: EntryPath,
    size: u64,
    compressed: u64,
    crc: u32,
    deflated: bool,
}

/// Checks entry `index` and takes its place; `None` for a folder.
fn facts<R: Read + Seek>(
    archive: &ZipArchive<R>,
    index: usize,
    limits: &Limits,
    meter: &mut Meter<'_>,
    names: &mut Names,
) -> Result<Option<Facts>, ArchiveError> {
    let entry = archive.by_index_data(index).map_err(|e| from_zip(e, None))?;
    let raw = entry.name_raw();
    meter.entry(raw)?;
    let corrupt = |reason: String| ArchiveError::Corrupt { member: Some(shown(raw)), reason };
    let unsupported = |feature: String| ArchiveError::Unsupported { member: Some(shown(raw)), feature };
    // Without the flag the bytes are in some code page of the writer's system, and every reader guesses another one.
    if !raw.is_ascii() && entry.flags().as_u16() & UTF8_NAME == 0 {
        let reason = format!("`{}` is not ASCII, and its encoding is not declared", shown(raw));
        return Err(ArchiveError::UnsafeName { member: shown(raw), reason });
    }
    // Whatever system the writer claims to be: the mode is in the upper half, or that half is zero.
    let mode = (entry.external_attributes() >> 16) & MODE_KIND;
    if let Some((_, kind)) = MODE_KINDS.iter().find(|(bits, _)| *bits == mode) {
        return Err(ArchiveError::Special { member: shown(raw), kind: (*kind).to_owned() });
    }
    let is_folder = raw.ends_with(b"/");
    let path = name::parse(raw, is_folder, limits)?;
    if is_folder {
        if entry.size() != 0 {
            return Err(corrupt("a folder has content".to_owned()));
        }
        path.map_or(Ok(()), |p| names.folder(&p))?;
        return Ok(None);
    }
    let Some(path) = path else { return Err(corrupt("a file has no name".to_owned())) };
    names.file(&path)?;
    if entry.encrypted() {
        return Err(unsupported("encryption".to_owned()));
    }
    let deflated = match entry.compression() {
        CompressionMethod::Stored => false,
        CompressionMethod::Deflated => true,
        other => return Err(unsupported(format!("the compression {other}"))),
    };
    let (size, compressed, crc) = (entry.size(), entry.compressed_size(), entry.crc32());
    if !deflated && size != compressed {
        return Err(corrupt(format!("it is stored as it is, with two sizes, {size} and {compressed} bytes")));
    }
    Ok(Some(Facts { path, size, compressed, crc, deflated }))
}

/// Reads the directory, within bounds, and checks that it and the headers tell the same story.
fn open<R: Read + Seek>(
    mut reader: R,
    limits: &Limits,
) -> Result<ZipArchive<BufReader<Budgeted<R>>>, ArchiveError> {
    let truncated_after =
        without_end(&mut reader).map_err(|source| ArchiveError::Read { member: None, source })?;
    if let Some(after) = truncated_after {
        return Err(ArchiveError::Truncated { place: Place::Directory { after } });
    }
    let allowed = limits.members.saturating_mul(DIRECTORY_BYTES_PER_ENTRY).saturating_add(DIRECTORY_SEARCH);
    let left = Rc::new(Cell::new(allowed));
    let budgeted = Budgeted { inner: reader, left: Rc::clone(&left) };
    // Small, because the directory's reader seeks a lot, and every seek throws the buffer away. Content has its own.
    let buffered = BufReader::with_capacity(4096, budgeted);
    // Bytes before the archive are how one file is made to look like two things: the archive begins at the beginning.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, buffered).map_err(|error| {
        if left.get() == 0 {
            let member = "the directory of its members".to_owned();
            return ArchiveError::Limit { member, bound: Bound::HeaderBytes, allowed };
        }
        from_zip(error, None)
    })?;
    // From here on every read is for an entry that exists, and the number of entries is bounded.
    left.set(u64::MAX);
    if archive.len() as u64 > limits.members {
        let member = "the directory of its members".to_owned();
        return Err(ArchiveError::Limit { member, bound: Bound::Members, allowed: limits.members });
    }
    archive.validate_header_consistency().map_err(|e| from_zip(e, None))?;
    Ok(archive)
}

/// The length of an archive that has no end record, which is how every truncated zip looks.
fn without_end<R: Read + Seek>(reader: &mut R) -> io::Result<Option<u64>> {
    let length = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(length.saturating_sub(END_LENGTH + COMMENT)))?;
    let mut tail = Vec::new();
    reader.by_ref().take(END_LENGTH + COMMENT).read_to_end(&mut tail)?;
    // A mark alone may be content, or an end record that is itself cut: the record and its comment have to fit.
    let found = tail.windows(END_LENGTH as usize).enumerate().any(|(at, record)| {
        let comment = record.last_chunk().map_or(0, |length| u16::from_le_bytes(*length));
        record.starts_with(END_MARK) && at + record.len() + usize::from(comment) <= tail.len()
    });
    Ok((!found).then_some(length))
}

fn from_zip(error: ZipError, member: Option<&str>) -> ArchiveError {
    let member = member.map(str::to_owned);
    match error {
        // Whether a header beyond the end is a lie or a loss cannot be told; the end record was there, so a lie.
        ZipError::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            ArchiveError::Corrupt { member, reason: "its directory points beyond its end".to_owned() }
        }
        ZipError::Io(source) => ArchiveError::Read { member, source },
        ZipError::UnsupportedArchive(feature) => {
            ArchiveError::Unsupported { member, feature: shown(feature.as_bytes()) }
        }
        ZipError::InvalidArchive(reason) => {
            ArchiveError::Corrupt { member, reason: shown(reason.as_bytes()) }
        }
        other => ArchiveError::Corrupt { member, reason: shown(other.to_string().as_bytes()) },
    }
}

/// A reader that gives a bounded number of bytes, so that a directory of gigabytes is not read into memory.
struct Budgeted<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let left = self.left.get();
        if left != u64::MAX {
            self.left.set(left.saturating_sub(read as u64));
            if self.left.get() == 0 {
                return Err(io::Error::other("the directory is too large"));
            }
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Budgeted<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

/// The content of one member. Its end is reached only if sizes and checksum hold.
struct ZipSource<'l, R> {
    body: Body<R>,
    crc: Crc,
    facts: (u64, u64, u32),
    limits: &'l Limits,
    out: u64,
}

enum Body<R> {
    Stored(Counted<R>),
    Deflated(Box<DeflateDecoder<Counted<R>>>),
}

impl<'l, R: BufRead> ZipSource<'l, R> {
    fn new(reader: R, facts: &Facts, limits: &'l Limits) -> Self {
        let reader = Counted::new(reader);
        let body = if facts.deflated {
            Body::Deflated(Box::new(DeflateDecoder::new(reader)))
        } else {
            Body::Stored(reader)
        };
        Self { body, crc: Crc::new(), facts: (facts.size, facts.compressed, facts.crc), limits, out: 0 }
    }

    fn taken(&self) -> u64 {
        match &self.body {
            Body::Stored(reader) => reader.taken(),
            Body::Deflated(decoder) => decoder.get_ref().taken(),
        }
    }

    fn check_end(&self) -> Result<(), Fault> {
        let (size, compressed, crc) = self.facts;
        let taken = self.taken();
        if taken != compressed {
            return Err(Fault::Corrupt(format!(
                "the directory says {compressed} compressed bytes, its content ends after {taken}"
            )));
        }
        if self.out != size {
            return Err(Fault::Corrupt(format!("the directory says {size} bytes, it has {}", self.out)));
        }
        if self.crc.sum() != crc {
            let found = self.crc.sum();
            return Err(Fault::Corrupt(format!("its CRC-32 is {found:08x}, the directory says {crc:08x}")));
        }
        Ok(())
    }
}

impl<R: BufRead> Source for ZipSource<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        let read = loop {
            let result = match &mut self.body {
                Body::Stored(reader) => reader.read(buf),
                Body::Deflated(decoder) => decoder.read(buf),
            };
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The end record was there, so that nothing is missing from the file: the directory is wrong.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Fault::Corrupt("its compressed content ends early".to_owned()));
                }
                other => break other.map_err(Fault::from_decoder)?,
            }
        };
        if read == 0 {
            self.check_end()?;
            return Ok(0);
        }
        self.out += read as u64;
        if self.out > self.facts.0 {
            return Err(Fault::Corrupt(format!(
                "it is larger than the {} bytes the directory says",
                self.facts.0
            )));
        }
        self.crc.update(buf.get(..read).unwrap_or_default());
        check_ratio(self.limits, self.taken(), self.out)?;
        Ok(read)
    }
}
