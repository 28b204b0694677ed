//! A strict reader of zip archives: the table of contents, and where each member's bytes lie.
//!
//! Why not the `zip` crate, which the workspace has: it keeps the last of several members with one name and forgets the
//! others, does not compare a member's own header with the table of contents, and does not look for members that
//! overlap. Each of these has been used to show one archive to a scanner and another one to PyTorch. Staging in place
//! also needs the exact byte at which a stored member begins, for every member, without reading it.
//!
//! So there is one view of the archive here, the table of contents at its end ([`end`]), and whatever contradicts it is
//! an error: names, flags and sizes in a member's own header, duplicate names, encryption, members that overlap or reach
//! into the table ([`directory`]). Nothing is ever unpacked to a path.

mod directory;
mod end;

use std::collections::HashMap;
use std::io::{self, Read};

use flate2::Crc;

use crate::file::SourceReader;
use crate::warning::Warning;
use crate::{Error, Result, limits};

/// The table of contents of an archive that was checked as a whole.
#[derive(Debug)]
pub(crate) struct Archive {
    members: Vec<Member>,
    by_name: HashMap<String, usize>,
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its path in the archive.
    pub(crate) name: String,
    /// Whether its bytes are deflated; otherwise they are stored as they are.
    pub(crate) deflated: bool,
    /// The checksum that the table of contents gives.
    pub(crate) crc: u32,
    /// Its size when unpacked.
    pub(crate) size: u64,
    /// Bytes that it takes in the archive.
    pub(crate) packed: u64,
    /// The byte of the file at which they begin.
    pub(crate) payload: u64,
    /// The byte of the file at which its own header begins.
    header: u64,
}

impl Archive {
    /// Reads and checks the table of contents and every member's own header.
    pub(crate) fn open(file: &SourceReader) -> Result<Self> {
        let table = end::find(file)?;
        let members = directory::read(file, &table)?;
        let mut by_name = HashMap::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            if by_name.insert(member.name.clone(), index).is_some() {
                let problem = format!("two members are called \"{}\"", member.name);
                return Err(damaged(file, member.header, problem));
            }
        }
        Ok(Self { members, by_name })
    }

    /// All members, in the order of the table of contents.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Member> {
        self.by_name.get(name).and_then(|&index| self.members.get(index))
    }
}

impl Member {
    /// Reads the member, if it has at most `limit` bytes unpacked. Of a stored member a wrong checksum is a warning,
    /// because newer versions of PyTorch write some on purpose; of a deflated one it means that the bytes are wrong.
    pub(crate) fn read(&self, file: &SourceReader, limit: u64) -> Result<(Vec<u8>, Option<Warning>)> {
        if self.size > limit {
            let holder = format!("{} in {}", self.name, file.path().display());
            return Err(Error::TooMuch { holder, what: "bytes", found: self.size, limit });
        }
        let mut bytes = Vec::new();
        // One byte more than promised is enough to see that the promise was wrong.
        let mut source = self.unpacked(file).take(self.size + 1);
        match source.read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 == self.size => {}
            Ok(_) => {
                return Err(damaged(
                    file,
                    self.payload,
                    format!("\"{}\" has another size than promised", self.name),
                ));
            }
            Err(error) if self.deflated && error.raw_os_error().is_none() => {
                return Err(damaged(
                    file,
                    self.payload,
                    format!("\"{}\" cannot be inflated: {error}", self.name),
                ));
            }
            Err(error) => return Err(file.failed(error)),
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        let warning = self.compare(crc.sum());
        if self.deflated && warning.is_some() {
            return Err(damaged(file, self.payload, format!("the checksum of \"{}\" is wrong", self.name)));
        }
        Ok((bytes, warning))
    }

    /// Reads the member in pieces and compares its checksum.
    pub(crate) fn check(&self, file: &SourceReader) -> Result<Option<Warning>> {
        let mut source = self.unpacked(file);
        let mut piece = vec![0; 256 << 10];
        let (mut crc, mut total) = (Crc::new(), 0_u64);
        loop {
            let count = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(file.failed(error)),
            };
            crc.update(piece.get(..count).unwrap_or_default());
            total += count as u64;
            if total > self.size {
                break; // The checksum cannot be right any more, and a bomb ends here.
            }
        }
        Ok(self.compare(crc.sum()))
    }

    fn compare(&self, found: u32) -> Option<Warning> {
        (found != self.crc).then(|| Warning::Checksum {
            member: self.name.clone(),
            promised: self.crc,
            found,
        })
    }

    fn unpacked<'f>(&self, file: &'f SourceReader) -> Box<dyn Read + 'f> {
        let packed = Section { file, offset: self.payload, left: self.packed };
        if self.deflated { Box::new(flate2::read::DeflateDecoder::new(packed)) } else { Box::new(packed) }
    }
}

/// A part of a file as a stream.
struct Section<'f> {
    file: &'f SourceReader,
    offset: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (buffer.len() as u64).min(self.left) as usize;
        let part = buffer.get_mut(..count).unwrap_or_default();
        self.file.read_into(self.offset, part)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// What unpacked members may take altogether, in memory, of a file of this length.
pub(crate) fn owned_limit(file: &SourceReader) -> u64 {
    limits::OWNED_BYTES.saturating_add(file.len().saturating_mul(limits::OWNED_PER_FILE_BYTE))
}

fn damaged(file: &SourceReader, offset: u64, problem: impl Into<String>) -> Error {
    Error::Zip { path: file.path().to_owned(), offset, problem: problem.into() }
}

/// Little-endian numbers, one after the other; zero behind the end, where the caller has checked the length.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (head, rest) = self.0.split_at(N.min(self.0.len()));
        array.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        self.0 = rest;
        array
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.next())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }
}
