//! The table of contents, entry by entry, compared with what stands before each member.

use super::end::Table;
use super::{Fields, Member, damaged};
use crate::Result;
use crate::file::SourceReader;

const ENTRY: &[u8; 4] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const HEADER: &[u8; 4] = b"PK\x03\x04";
const HEADER_LENGTH: usize = 30;
/// What is read of a member's header at once. PyTorch pads it so that the payload begins at a multiple of 64.
const HEADER_GUESS: u64 = 256;

const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const SIZES_FOLLOW: u16 = 1 << 3;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// An entry as the table of contents has it.
struct Entry {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    header: u64,
}

/// Reads all entries and compares each with its member's header. Folders, which other zip programs list, are left out.
pub(super) fn read(file: &SourceReader, table: &Table) -> Result<Vec<Member>> {
    let bytes = file.read(table.offset, table.size)?;
    let mut rest = bytes.as_slice();
    let mut members = Vec::new();
    let mut extents = Vec::new();
    for _ in 0..table.members {
        let offset = table.offset + (bytes.len() - rest.len()) as u64;
        let (entry, behind) = split_entry(file, rest, offset)?;
        rest = behind;
        let payload = check_header(file, &entry, table.offset)?;
        extents.push((entry.header, payload + entry.packed));
        let Ok(name) = String::from_utf8(entry.name) else {
            return Err(damaged(file, offset, "the name of a member is not UTF-8"));
        };
        if name.ends_with('/') && entry.size == 0 {
            continue;
        }
        members.push(Member {
            name,
            deflated: entry.method == DEFLATED,
            crc: entry.crc,
            size: entry.size,
            packed: entry.packed,
            payload,
            header: entry.header,
        });
    }
    if !rest.is_empty() {
        let offset = table.offset + (bytes.len() - rest.len()) as u64;
        return Err(damaged(file, offset, "its table of contents is longer than its members need"));
    }
    extents.sort_unstable();
    for (before, after) in extents.iter().zip(extents.iter().skip(1)) {
        if before.1 > after.0 {
            return Err(damaged(file, after.0, "two members overlap"));
        }
    }
    Ok(members)
}

/// The first entry of the rest of the table, and what follows it.
fn split_entry<'b>(file: &SourceReader, bytes: &'b [u8], offset: u64) -> Result<(Entry, &'b [u8])> {
    let cut_short = || damaged(file, offset, "its table of contents is cut short");
    let (fixed, rest) = bytes.split_at_checked(ENTRY_LENGTH).ok_or_else(cut_short)?;
    if !fixed.starts_with(ENTRY) {
        return Err(damaged(
            file,
            offset,
            "its table of contents has something else in the place of a member",
        ));
    }
    let mut fields = Fields(fixed.get(6..).unwrap_or_default());
    let (_needs, flags, method) = (fields.u16(), fields.u16(), fields.u16());
    let (_time_and_date, crc) = (fields.u32(), fields.u32());
    let (packed, size) = (fields.u32(), fields.u32());
    let (name_length, extra_length, comment_length) = (fields.u16(), fields.u16(), fields.u16());
    let (disk, _attributes, _more_attributes) = (fields.u16(), fields.u16(), fields.u32());
    let header = fields.u32();
    let (name, rest) = rest.split_at_checked(name_length.into()).ok_or_else(cut_short)?;
    let (extra, rest) = rest.split_at_checked(extra_length.into()).ok_or_else(cut_short)?;
    let (_comment, rest) = rest.split_at_checked(comment_length.into()).ok_or_else(cut_short)?;

    let shown = String::from_utf8_lossy(name).into_owned();
    if flags & ENCRYPTED != 0 {
        return Err(damaged(file, offset, format!("\"{shown}\" is encrypted")));
    }
    if method != STORED && method != DEFLATED {
        let problem = format!("\"{shown}\" is compressed by method {method}, and only deflate is known");
        return Err(damaged(file, offset, problem));
    }
    let wanted = [size, packed, header].map(|field| field == u32::MAX);
    let wide = Wide::find(extra, wanted, disk == u16::MAX)
        .map_err(|problem| damaged(file, offset, format!("\"{shown}\": {problem}")))?;
    let entry = Entry {
        name: name.to_vec(),
        flags,
        method,
        crc,
        size: wide.size.unwrap_or(size.into()),
        packed: wide.packed.unwrap_or(packed.into()),
        header: wide.header.unwrap_or(header.into()),
    };
    if wide.disk.unwrap_or(disk.into()) != 0 {
        return Err(damaged(file, offset, format!("\"{shown}\" lies in another part of a split archive")));
    }
    if method == STORED && entry.size != entry.packed {
        return Err(damaged(file, offset, format!("\"{shown}\" is stored and has two sizes")));
    }
    Ok((entry, rest))
}

/// Compares the member's own header with its entry, and says where its bytes begin.
fn check_header(file: &SourceReader, entry: &Entry, table: u64) -> Result<u64> {
    let shown = String::from_utf8_lossy(&entry.name).into_owned();
    let wrong = |problem: &str| damaged(file, entry.header, format!("\"{shown}\": {problem}"));
    let outside = || wrong("it lies outside of the archive");
    if entry.header >= table {
        return Err(outside());
    }
    let mut bytes = file.read(entry.header, HEADER_GUESS.min(table - entry.header))?;
    if bytes.len() < HEADER_LENGTH || !bytes.starts_with(HEADER) {
        return Err(wrong("no member begins where the table of contents says"));
    }
    let mut fields = Fields(bytes.get(6..HEADER_LENGTH).unwrap_or_default());
    let (flags, method) = (fields.u16(), fields.u16());
    let (_time_and_date, crc) = (fields.u32(), fields.u32());
    let (packed, size) = (fields.u32(), fields.u32());
    let (name_length, extra_length) = (usize::from(fields.u16()), usize::from(fields.u16()));
    let length = HEADER_LENGTH + name_length + extra_length;
    let payload = entry.header + length as u64;
    if payload.checked_add(entry.packed).is_none_or(|end| end > table) {
        return Err(outside());
    }
    if bytes.len() < length {
        bytes = file.read(entry.header, length as u64)?;
    }
    let names = bytes.get(HEADER_LENGTH..).unwrap_or_default();
    let (name, extra) = names.split_at_checked(name_length).ok_or_else(outside)?;
    let extra = extra.get(..extra_length).ok_or_else(outside)?;
    if name != entry.name {
        let own = String::from_utf8_lossy(name);
        return Err(wrong(&format!("its own header calls it \"{own}\"")));
    }
    if flags != entry.flags || method != entry.method {
        return Err(wrong("its own header has other flags or another method"));
    }
    let agrees = if flags & SIZES_FOLLOW != 0 {
        // Checksum and sizes follow the bytes, so the header has zeros, and extra fields that mean nothing: PyTorch puts
        // the member's offset, and a packed size of zero, in the place of its 64-bit sizes.
        let unsaid = |own: u32, table: u64| own == 0 || own == u32::MAX || u64::from(own) == table;
        unsaid(size, entry.size) && unsaid(packed, entry.packed) && (crc == 0 || crc == entry.crc)
    } else {
        let wanted = [size == u32::MAX, packed == u32::MAX, false];
        let wide = Wide::find(extra, wanted, false).map_err(wrong)?;
        wide.size.unwrap_or(size.into()) == entry.size
            && wide.packed.unwrap_or(packed.into()) == entry.packed
            && crc == entry.crc
    };
    if !agrees {
        return Err(wrong("its own header has another size or checksum"));
    }
    Ok(payload)
}

/// The 64-bit values of an entry whose 32-bit fields are all ones.
#[derive(Default)]
struct Wide {
    size: Option<u64>,
    packed: Option<u64>,
    header: Option<u64>,
    disk: Option<u32>,
}

impl Wide {
    /// Finds them among the extra fields. There must be exactly the ones that are asked for.
    fn find(mut extra: &[u8], wanted: [bool; 3], disk: bool) -> Result<Self, &'static str> {
        const ZIP64: u16 = 1;
        let mut found = None;
        // What is left may be padding: some programs align with bytes that are no field.
        while let Some((head, rest)) = extra.split_at_checked(4) {
            let mut fields = Fields(head);
            let (id, length) = (fields.u16(), fields.u16());
            let Some((body, rest)) = rest.split_at_checked(length.into()) else {
                return Err("its extra fields are cut short");
            };
            if id == ZIP64 && found.replace(body).is_some() {
                return Err("it has two sets of 64-bit sizes");
            }
            extra = rest;
        }
        let mut wide = Self::default();
        let Some(body) = found else {
            let missing = wanted.contains(&true) || disk;
            return if missing { Err("its 64-bit sizes are missing") } else { Ok(wide) };
        };
        let expected = 8 * wanted.iter().filter(|&&wanted| wanted).count() + if disk { 4 } else { 0 };
        if body.len() != expected {
            return Err("it has 64-bit sizes that its entry does not ask for");
        }
        let mut fields = Fields(body);
        let [size, packed, header] = wanted.map(|wanted| wanted.then(|| fields.u64()));
        wide = Self { size, packed, header, disk: disk.then(|| fields.u32()) };
        Ok(wide)
    }
}
