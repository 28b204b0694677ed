//! Packers that write whatever they are told, true or not.

use std::io::Write as _;

use flate2::{Compression, Crc};

/// One tar entry: header, content, padding.
pub(super) fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    raw_entry(name.as_bytes(), kind, content, content.len() as u64, *b"ustar\x0000")
}

/// One tar entry that may lie about its size and its format.
pub(super) fn raw_entry(name: &[u8], kind: u8, content: &[u8], size: u64, magic: [u8; 8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    if matches!(kind, b'1' | b'2') {
        header[157..161].copy_from_slice(b"/etc");
    }
    header[257..265].copy_from_slice(&magic);
    let mut out = sum(header).to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Puts the checksum into a header.
pub(super) fn sum(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Entries and the end marker.
pub(super) fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [tar_open(entries), vec![0; 1024]].concat()
}

/// Entries without an end marker.
pub(super) fn tar_open(entries: &[Vec<u8>]) -> Vec<u8> {
    entries.concat()
}

/// One pax record.
pub(super) fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}

pub(super) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One member of a zip, every field of which may be changed before packing.
#[derive(Clone)]
pub(super) struct Zipped {
    pub(super) name: Vec<u8>,
    /// What the local header says instead, if it disagrees.
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) packed: Vec<u8>,
    pub(super) crc: u32,
    pub(super) size: u32,
    pub(super) compressed: u32,
    /// The Unix mode.
    pub(super) mode: u32,
    /// Where the directory says it is, if not where it is.
    pub(super) offset: Option<u32>,
}

impl Zipped {
    pub(super) fn stored(name: &str, content: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(content);
        let length = u32::try_from(content.len()).unwrap();
        Self {
            name: name.as_bytes().to_vec(),
            local_name: None,
            flags: if name.is_ascii() { 0 } else { 1 << 11 },
            method: 0,
            packed: content.to_vec(),
            crc: crc.sum(),
            size: length,
            compressed: length,
            mode: 0o100_644,
            offset: None,
        }
    }

    pub(super) fn deflated(name: &str, content: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let compressed = u32::try_from(packed.len()).unwrap();
        Self { method: 8, packed, compressed, ..Self::stored(name, content) }
    }

    /// The fields that both headers share, from the version on.
    fn common(&self, name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [20, self.flags, self.method, 0, 0x21] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.crc, self.compressed, self.size] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out
    }
}

pub(super) fn zip(members: &[Zipped]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let offset = member.offset.unwrap_or(u32::try_from(out.len()).unwrap());
        let name = member.local_name.as_ref().unwrap_or(&member.name);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend(member.common(name));
        out.extend_from_slice(name);
        out.extend_from_slice(&member.packed);
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&[20, 3]); // made by: Unix
        directory.extend(member.common(&member.name));
        directory.extend_from_slice(&[0; 6]); // comment, disk, internal attributes
        directory.extend_from_slice(&(member.mode << 16).to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(&member.name);
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let (start, length) = (u32::try_from(out.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    out.extend(directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}
