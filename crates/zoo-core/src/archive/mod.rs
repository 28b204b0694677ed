//! Archives (zip, tar, tar.gz, gz): unpacked member by member, with every name, size and kind checked before anything is
//! written, and hashed on the way.
//!
//! What is refused, always for the whole archive and by the member's name: names that leave the folder or mean different
//! things on different systems, two members at one place, links, devices and sparse files, encryption, more bytes or
//! entries than [`Limits`] allow, truncation, and structures that two readers would understand differently. Members
//! that the caller does not select are held to the same rules, except that a zip's unselected content is not inflated.
//!
//! [`extract`] expects a folder of the caller's own, which nobody reads before it returns `Ok` (the store unpacks into a
//! temporary folder and renames). On an error the file being written is removed; complete earlier ones stay for the
//! caller to remove with the folder. Empty folders in the archive are not made.

mod error;
mod gzip;
mod limits;
mod name;
mod source;
mod tar;
#[cfg(test)]
mod tests;
mod write;
mod zip;

use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;

pub use self::error::{ArchiveError, Bound, Place};
pub use self::limits::Limits;
use self::source::{Content, Plain};
use crate::path::EntryPath;

/// Bytes read at a time: large enough that system calls do not matter, small enough to stay in the processor's cache.
const BUFFER: usize = 128 << 10;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArchiveKind {
    /// Zip, stored or deflated.
    Zip,
    /// Tar without compression.
    Tar,
    /// Tar in gzip.
    TarGz,
    /// One file in gzip.
    Gzip,
}

impl ArchiveKind {
    /// How many bytes from the start [`ArchiveKind::sniff`] wants to see: enough for a gzip header with a name, and for
    /// the compressed form of one tar header.
    pub const HEAD: usize = 4096;

    /// Recognises an archive by its first bytes, never by its name. `None` is no archive.
    pub fn sniff(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Some(Self::Zip);
        }
        // 8 is deflate, the only method gzip ever had.
        if head.starts_with(&[0x1f, 0x8b, 8]) {
            let mut inner = Vec::new();
            // An error means that the head ends; what came before it is what there is to look at.
            let _ = flate2::read::GzDecoder::new(head).take(512).read_to_end(&mut inner);
            return Some(if tar::is_header(&inner) { Self::TarGz } else { Self::Gzip });
        }
        tar::is_header(head).then_some(Self::Tar)
    }
}

/// A file in an archive, before it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path, without a leading `./`. For gzip the name in its header, or `content`.
    pub path: EntryPath,
    /// Its size in bytes as the archive declares it; gzip does not.
    pub size: Option<u64>,
}

/// What to do with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// Unpack it.
    Extract,
    /// Pass over it.
    Skip,
}

/// A file that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// Its path below the target folder.
    pub path: EntryPath,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// How to unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtractOptions {
    /// What the archive may ask for.
    pub limits: Limits,
    /// Whether files and folders are on the disk (fsync) before [`extract`] returns.
    pub durable: bool,
}

type Visit<'v> = &'v mut dyn FnMut(&Member, &mut Content<'_, '_>) -> Result<(), ArchiveError>;

/// Unpacks the members that `select` asks for into `dest`, a folder that exists and is the caller's own. Nothing that
/// is already there is overwritten. The result is in the archive's order.
pub fn extract(
    reader: impl Read + Seek,
    kind: ArchiveKind,
    dest: &Path,
    options: &ExtractOptions,
    select: &mut dyn FnMut(&Member) -> Select,
) -> Result<Vec<Extracted>, ArchiveError> {
    write::into_folder(dest, options.durable, select, |visit| walk(reader, kind, &options.limits, visit))
}

/// [`extract`] for a stream, such as a download in progress. Zip does not allow it.
pub fn extract_stream(
    reader: impl Read,
    kind: ArchiveKind,
    dest: &Path,
    options: &ExtractOptions,
    select: &mut dyn FnMut(&Member) -> Select,
) -> Result<Vec<Extracted>, ArchiveError> {
    write::into_folder(dest, options.durable, select, |visit| {
        walk_stream(reader, kind, &options.limits, visit)
    })
}

/// The files in an archive. Tar and gzip are read, and so checked, to their end.
pub fn list(
    reader: impl Read + Seek,
    kind: ArchiveKind,
    limits: &Limits,
) -> Result<Vec<Member>, ArchiveError> {
    let mut members = Vec::new();
    walk(reader, kind, limits, &mut |member, _| {
        members.push(member.clone());
        Ok(())
    })?;
    Ok(members)
}

/// Copies one member to `out`. The whole archive is walked and checked, so that a second member of the same name is an
/// error and not a surprise; `out` may have received bytes when an error is returned.
pub fn extract_member(
    reader: impl Read + Seek,
    kind: ArchiveKind,
    member: &EntryPath,
    out: &mut dyn Write,
    limits: &Limits,
) -> Result<Extracted, ArchiveError> {
    let mut found = None;
    walk(reader, kind, limits, &mut |candidate, content| {
        if candidate.path == *member {
            found = Some(write::copy(&candidate.path, content, out, Path::new(member.as_str()))?);
        }
        Ok(())
    })?;
    found.ok_or_else(|| ArchiveError::Missing { member: member.to_string() })
}

/// Inflates a gzip file to `out`, whatever its header calls the content.
pub fn gunzip(reader: impl Read, out: &mut dyn Write, limits: &Limits) -> Result<Extracted, ArchiveError> {
    let mut found = None;
    let mut name = String::new();
    walk_stream(reader, ArchiveKind::Gzip, limits, &mut |member, content| {
        name = member.path.to_string();
        found = Some(write::copy(&member.path, content, out, Path::new(member.path.as_str()))?);
        Ok(())
    })?;
    found.ok_or(ArchiveError::Missing { member: name })
}

fn walk(
    reader: impl Read + Seek,
    kind: ArchiveKind,
    limits: &Limits,
    visit: Visit<'_>,
) -> Result<(), ArchiveError> {
    match kind {
        ArchiveKind::Zip => zip::walk(reader, limits, visit),
        _ => walk_stream(reader, kind, limits, visit),
    }
}

fn walk_stream(
    reader: impl Read,
    kind: ArchiveKind,
    limits: &Limits,
    visit: Visit<'_>,
) -> Result<(), ArchiveError> {
    let reader = BufReader::with_capacity(BUFFER, reader);
    match kind {
        ArchiveKind::Zip => Err(ArchiveError::NeedsSeek),
        ArchiveKind::Tar => tar::walk(&mut Plain(reader), limits, visit),
        ArchiveKind::TarGz => tar::walk(&mut gzip::Gunzip::new(reader, limits), limits, visit),
        ArchiveKind::Gzip => gzip::walk(reader, limits, visit),
    }
}
