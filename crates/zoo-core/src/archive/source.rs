//! Where bytes come from while an archive is read: one small trait, so that a fault keeps its meaning (truncated, broken,
//! a bomb, the disk) on its way up, and the content of one member as the callers see it.

use std::io::{self, BufRead, Read};

use super::error::{ArchiveError, Bound, Place};
use super::limits::{Limits, Meter};

/// A stream of bytes.
pub(super) trait Source {
    /// Fills the start of `buf`, which is not empty; 0 is the end.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault>;
}

/// Why a [`Source`] gave no bytes.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Truncated,
    Corrupt(String),
    Bomb { ratio: u64 },
}

impl Fault {
    /// Sorts a decoder's error: flate2 reports bad input by kind, everything else is the reader below.
    pub(super) fn from_decoder(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Corrupt(error.to_string()),
            _ => Self::Io(error),
        }
    }

    /// The fault with its place: `member`, after which `place` tells where a truncated archive ends.
    pub(super) fn at(self, member: Option<&str>, place: Place) -> ArchiveError {
        let member = member.map(str::to_owned);
        match self {
            Self::Io(source) => ArchiveError::Read { member, source },
            Self::Truncated => ArchiveError::Truncated { place },
            Self::Corrupt(reason) => ArchiveError::Corrupt { member, reason },
            Self::Bomb { ratio } => ArchiveError::Limit {
                member: member.unwrap_or_else(|| "its headers".to_owned()),
                bound: Bound::Ratio,
                allowed: ratio,
            },
        }
    }
}

/// A plain reader.
pub(super) struct Plain<R>(pub(super) R);

impl<R: Read> Source for Plain<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.0.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(Fault::Io),
            }
        }
    }
}

/// Counts what a decoder really took from the reader below, which may have more buffered.
pub(super) struct Counted<R> {
    inner: R,
    taken: u64,
}

impl<R: BufRead> Counted<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, taken: 0 }
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.taken += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount as u64;
        self.inner.consume(amount);
    }
}

/// The content of one member while the archive is walked: counted, and held to the limits.
pub(super) struct Content<'c, 'l> {
    source: &'c mut dyn Source,
    meter: &'c mut Meter<'l>,
    member: &'c str,
    /// Size as the archive declares it, where it does.
    declared: Option<u64>,
    /// Whether the source goes on after this member (tar), so that `declared` is where it ends.
    shared: bool,
    read: u64,
}

impl<'c, 'l> Content<'c, 'l> {
    /// A member with a source of its own.
    pub(super) fn own(
        source: &'c mut dyn Source,
        meter: &'c mut Meter<'l>,
        member: &'c str,
        declared: Option<u64>,
    ) -> Self {
        Self { source, meter, member, declared, shared: false, read: 0 }
    }

    /// A member that is the next `size` bytes of a longer source.
    pub(super) fn part(
        source: &'c mut dyn Source,
        meter: &'c mut Meter<'l>,
        member: &'c str,
        size: u64,
    ) -> Self {
        Self { source, meter, member, declared: Some(size), shared: true, read: 0 }
    }

    /// Refuses a member whose declared size is already too much.
    pub(super) fn admit(&self) -> Result<(), ArchiveError> {
        self.declared.map_or(Ok(()), |size| self.meter.admit(self.member, size, self.read))
    }

    /// Fills the start of `buf`; 0 is the end of the member, reached only when it is complete.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, ArchiveError> {
        let left = match self.declared {
            Some(size) if self.shared => size.saturating_sub(self.read),
            _ => u64::MAX,
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..most).unwrap_or_default();
        if buf.is_empty() {
            return Ok(0);
        }
        let place = |after| Place::Inside { member: self.member.to_owned(), after };
        let read = match self.source.read(buf) {
            Ok(0) if self.shared => Err(Fault::Truncated),
            other => other,
        }
        .map_err(|fault| fault.at(Some(self.member), place(self.read)))?;
        self.read += read as u64;
        self.meter.content(self.member, read as u64, self.read)?;
        Ok(read)
    }

    /// Reads to the end.
    pub(super) fn skip(&mut self, buf: &mut [u8]) -> Result<(), ArchiveError> {
        self.admit()?;
        while self.read(buf)? != 0 {}
        Ok(())
    }
}

/// Ends a stream whose output has grown out of proportion.
pub(super) fn check_ratio(limits: &Limits, input: u64, out: u64) -> Result<(), Fault> {
    if limits.is_bomb(input, out) { Err(Fault::Bomb { ratio: limits.ratio }) } else { Ok(()) }
}
