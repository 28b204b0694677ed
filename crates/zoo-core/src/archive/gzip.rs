//! Gzip (RFC 1952): several gzip members in a row are one stream, as every tool treats them.
//!
//! After the last one, zero bytes are ignored (tapes and some writers pad). Anything else there is refused: GNU gzip
//! warns and ignores it, but in a model's file it is damage, or content that another reader would see.

use std::io::{self, BufRead};

use flate2::bufread::GzDecoder;

use super::error::ArchiveError;
use super::limits::{Limits, Meter};
use super::source::{Content, Counted, Fault, Source, check_ratio};
use super::{Member, Visit};
use crate::path::EntryPath;

/// The name of a gzip file's content when its header tells none.
const UNNAMED: &str = "content";

/// Inflates, counting both sides.
pub(super) struct Gunzip<'l, R> {
    /// `None` once the end is reached, or after a fault.
    decoder: Option<GzDecoder<Counted<R>>>,
    limits: &'l Limits,
    out: u64,
}

impl<'l, R: BufRead> Gunzip<'l, R> {
    pub(super) fn new(reader: R, limits: &'l Limits) -> Self {
        Self { decoder: Some(GzDecoder::new(Counted::new(reader))), limits, out: 0 }
    }

    /// The original file's name from the first header, if it is harmless.
    fn name(&self) -> Option<EntryPath> {
        let raw = self.decoder.as_ref()?.header()?.filename()?;
        // The standard says Latin-1, writers use what they have: only ASCII means the same to all.
        let text = std::str::from_utf8(raw).ok().filter(|t| t.is_ascii() && !t.contains('/'))?;
        EntryPath::new(text).ok()
    }

    /// Called at the end of one gzip member: is there another?
    fn next_stream(&mut self, mut input: Counted<R>) -> Result<(), Fault> {
        let mut padded = false;
        loop {
            let (zeros, next) = match input.fill_buf() {
                Ok(ahead) => {
                    let zeros = ahead.iter().take_while(|b| **b == 0).count();
                    (zeros, ahead.get(zeros).copied())
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Fault::Io(e)),
            };
            input.consume(zeros);
            padded |= zeros > 0;
            match next {
                Some(0x1f) if !padded => {
                    let mut decoder = GzDecoder::new(input);
                    if decoder.header().is_none() {
                        // Its header was not one; the first read tells why.
                        return Err(
                            match io::Read::read(&mut decoder, &mut [0]).map_err(Fault::from_decoder) {
                                Err(other @ (Fault::Io(_) | Fault::Truncated)) => other,
                                _ => trailing(),
                            },
                        );
                    }
                    self.decoder = Some(decoder);
                    return Ok(());
                }
                Some(_) => return Err(trailing()),
                None if zeros == 0 => return Ok(()),
                None => {}
            }
        }
    }
}

fn trailing() -> Fault {
    Fault::Corrupt("bytes that are not gzip follow its end".to_owned())
}

impl<R: BufRead> Source for Gunzip<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        if buf.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.decoder {
            match io::Read::read(decoder, buf) {
                Ok(0) => {
                    if let Some(done) = self.decoder.take() {
                        self.next_stream(done.into_inner())?;
                    }
                }
                Ok(read) => {
                    self.out += read as u64;
                    check_ratio(self.limits, decoder.get_ref().taken(), self.out)?;
                    return Ok(read);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::from_decoder(e)),
            }
        }
        Ok(0)
    }
}

/// The one member of a gzip file.
pub(super) fn walk(reader: impl BufRead, limits: &Limits, visit: Visit<'_>) -> Result<(), ArchiveError> {
    let mut stream = Gunzip::new(reader, limits);
    let path = match stream.name() {
        Some(path) => path,
        None => EntryPath::new(UNNAMED)
            .map_err(|e| ArchiveError::UnsafeName { member: UNNAMED.to_owned(), reason: e.to_string() })?,
    };
    let member = Member { path, size: None };
    let mut meter = Meter::new(limits);
    let name = member.path.to_string();
    let mut content = Content::own(&mut stream, &mut meter, &name, None);
    visit(&member, &mut content)?;
    content.skip(&mut vec![0; super::BUFFER])
}
