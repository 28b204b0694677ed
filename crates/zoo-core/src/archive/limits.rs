//! How much an archive may ask for, and the meter that holds it to that.
//!
//! Sizes declared inside an archive are used for one thing only: to refuse early. What counts is what comes out.

use super::error::{ArchiveError, Bound, shown};

/// Bounds on what one archive may unpack to.
///
/// [`Limits::for_models`] suits whatever the hubs publish; a caller that knows the published size lowers
/// [`Limits::total_bytes`] to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Content of all members together, in bytes. For tar this includes the members that are skipped, because a
    /// compressed stream has to be inflated to get past them.
    pub total_bytes: u64,
    /// Content of one member, in bytes.
    pub member_bytes: u64,
    /// Number of entries, folders included.
    pub members: u64,
    /// Bytes out per byte in, for compressed content.
    pub ratio: u64,
    /// Bytes that may come out before [`Limits::ratio`] is looked at.
    pub ratio_grace: u64,
    /// Longest member name, in bytes.
    pub name_length: usize,
    /// Most parts in a member name.
    pub depth: usize,
}

impl Limits {
    /// Limits for published models.
    pub const fn for_models() -> Self {
        const MIB: u64 = 1 << 20;
        const TIB: u64 = 1 << 40;
        Self {
            // The largest open checkpoints are about 1 TB. Twice that is still a disk somebody may own.
            total_bytes: 2 * TIB,
            // Checkpoints of that size are sharded, so that one file of a quarter of the total is generous.
            member_bytes: TIB / 2,
            // The most scattered formats (SavedModels with assets, sharded checkpoints) stay in the thousands. The names
            // are kept in memory to find duplicates: at usual lengths this many take a few megabytes.
            members: 32_768,
            // Deflate cannot exceed 1032:1, and only on constant bytes. Weights compress up to about 20:1 (pruned and
            // quantised), vocabularies and JSON up to about 10:1. 200 is ten times the former and a fifth of the bomb.
            ratio: 200,
            // All-zero tensors are legitimate in test data and freshly initialised models, and compress like a bomb. A disk
            // that has no room for a quarter of a gigabyte has none for models either.
            ratio_grace: 256 * MIB,
            // `EntryPath` itself stops at 2048; archives of models stay below 200.
            name_length: 1024,
            // Real archives nest up to about ten folders deep.
            depth: 32,
        }
    }

    /// Whether `out` bytes made of `input` bytes are more than honest content yields.
    pub(super) fn is_bomb(&self, input: u64, out: u64) -> bool {
        out > self.ratio_grace && out > input.saturating_mul(self.ratio)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::for_models()
    }
}

/// Counts what an archive has asked for so far.
pub(super) struct Meter<'l> {
    limits: &'l Limits,
    total: u64,
    members: u64,
}

impl<'l> Meter<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { limits, total: 0, members: 0 }
    }

    /// One more entry.
    pub(super) fn entry(&mut self, name: &[u8]) -> Result<(), ArchiveError> {
        self.members += 1;
        within(Bound::Members, self.members, self.limits.members, || shown(name))
    }

    /// Refuses a member that says itself that it is too large, before its file is made. `read` bytes of it were counted.
    pub(super) fn admit(&self, member: &str, declared: u64, read: u64) -> Result<(), ArchiveError> {
        within(Bound::MemberBytes, declared, self.limits.member_bytes, || member.to_owned())?;
        let total = self.total.saturating_add(declared.saturating_sub(read));
        within(Bound::TotalBytes, total, self.limits.total_bytes, || member.to_owned())
    }

    /// `read` more bytes came out of a member, which makes `so_far` in all.
    pub(super) fn content(&mut self, member: &str, read: u64, so_far: u64) -> Result<(), ArchiveError> {
        self.total = self.total.saturating_add(read);
        within(Bound::MemberBytes, so_far, self.limits.member_bytes, || member.to_owned())?;
        within(Bound::TotalBytes, self.total, self.limits.total_bytes, || member.to_owned())
    }
}

fn within(
    bound: Bound,
    found: u64,
    allowed: u64,
    member: impl FnOnce() -> String,
) -> Result<(), ArchiveError> {
    if found > allowed { Err(ArchiveError::Limit { member: member(), bound, allowed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_counts_only_beyond_the_grace() {
        let limits = Limits { ratio: 10, ratio_grace: 1000, ..Limits::for_models() };
        assert!(!limits.is_bomb(1, 1000));
        assert!(limits.is_bomb(1, 1001));
        assert!(!limits.is_bomb(101, 1010));
        assert!(!limits.is_bomb(u64::MAX, u64::MAX));
    }

    #[test]
    fn declared_and_real_sizes_are_both_held() {
        let limits = Limits { total_bytes: 100, member_bytes: 60, ..Limits::for_models() };
        let mut meter = Meter::new(&limits);
        assert!(meter.admit("a", 60, 0).is_ok());
        assert!(meter.admit("a", 61, 0).is_err());
        meter.content("a", 60, 60).unwrap();
        assert!(meter.admit("a", 60, 60).is_ok());
        assert!(meter.admit("b", 41, 0).is_err());
        assert!(meter.content("b", 41, 41).is_err());
    }
}
