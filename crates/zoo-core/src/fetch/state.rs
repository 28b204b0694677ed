//! What of a file is on disk, and how it is remembered across processes.
//!
//! Beside the data file lies a small JSON file that lists the extents written so far, each with a CRC-32C of its bytes. The
//! list is written after the data and without fsync: killing the process loses at most the last moments, and a power cut that
//! tore data or list is found by the CRC when the transfer resumes. Only what is torn is fetched again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::board::Gap;
use crate::error::{Error, Result};
use crate::fs;

const VERSION: u32 = 1;

/// A list of extents is short: they are merged as they meet. The bound is for files that are not ours.
const MAX_STATE_BYTES: u64 = 4 << 20;

/// How much is read at once when checking what is on disk.
const READ_BLOCK: usize = 1 << 20;

/// Bytes `start..end` are on disk, and this is their CRC-32C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) crc32c: u32,
}

/// The remembered state of one partial file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// Path within the model, for people who look into `partial/`.
    pub(super) file: String,
    /// Length of the whole in bytes, once a server said so.
    pub(super) size: Option<u64>,
    /// Sorted and disjoint; neighbours are merged.
    pub(super) done: Vec<Extent>,
    /// The strong `ETag` of each source (by its shown URL) that contributed bytes.
    pub(super) validators: BTreeMap<String, String>,
}

/// The two files of a partial download.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) data: PathBuf,
    pub(super) state: PathBuf,
}

impl Paths {
    pub(super) fn new(base: &Path) -> Self {
        Self { data: base.with_extension("data"), state: base.with_extension("json") }
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_file(&self.state)?;
        fs::remove_file(&self.data)
    }
}

impl State {
    pub(super) fn new(file: &str) -> Self {
        Self { version: VERSION, file: file.to_owned(), ..Self::default() }
    }

    /// What an earlier run left. Anything unreadable or inconsistent counts as nothing.
    pub(super) fn load(paths: &Paths, file: &str) -> Self {
        let fresh = || Self::new(file);
        let Ok(bytes) = fs::read_bounded(&paths.state, MAX_STATE_BYTES) else { return fresh() };
        let Some(length) = fs::file_len(&paths.data) else { return fresh() };
        let Ok(state) = serde_json::from_slice::<Self>(&bytes) else { return fresh() };
        let limit = state.size.unwrap_or(u64::MAX).min(length);
        let sane = state.version == VERSION
            && state.done.iter().all(|e| e.start < e.end && e.end <= limit)
            && state.done.is_sorted_by(|a, b| a.end <= b.start);
        if sane { state } else { fresh() }
    }

    pub(super) fn save(&self, paths: &Paths) -> Result<()> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        fs::write_atomic(&paths.state, &bytes, false)
    }

    /// Notes that `bytes` were written at `start`.
    pub(super) fn add(&mut self, start: u64, bytes: &[u8]) {
        let end = start + bytes.len() as u64;
        let i = self.done.partition_point(|e| e.end < start);
        match self.done.get_mut(i) {
            Some(e) if e.end == start => {
                e.crc32c = crc32c::crc32c_append(e.crc32c, bytes);
                e.end = end;
            }
            _ => self.done.insert(i, Extent { start, end, crc32c: crc32c::crc32c(bytes) }),
        }
        if let [a, b, ..] = self.done.get(i..).unwrap_or_default()
            && a.end == b.start
        {
            let joined = Extent {
                start: a.start,
                end: b.end,
                crc32c: crc32c::crc32c_combine(a.crc32c, b.crc32c, (b.end - b.start) as usize),
            };
            self.done.splice(i..i + 2, [joined]);
        }
    }

    /// Bytes on disk.
    pub(super) fn have(&self) -> u64 {
        self.done.iter().map(|e| e.end - e.start).sum()
    }

    /// The end of what is on disk without a gap from the beginning.
    pub(super) fn prefix(&self) -> u64 {
        self.done.first().filter(|e| e.start == 0).map_or(0, |e| e.end)
    }

    /// What is missing of a file of `size` bytes.
    pub(super) fn gaps(&self, size: u64) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for e in &self.done {
            if at < e.start {
                gaps.push((at, e.start));
            }
            at = e.end;
        }
        if at < size {
            gaps.push((at, size));
        }
        gaps
    }

    /// Replaces the list by `extents`, which must be sorted and disjoint; neighbours are merged.
    pub(super) fn replace(&mut self, extents: Vec<Extent>) {
        self.done.clear();
        for e in extents {
            match self.done.last_mut() {
                Some(last) if last.end == e.start => {
                    last.crc32c = crc32c::crc32c_combine(last.crc32c, e.crc32c, (e.end - e.start) as usize);
                    last.end = e.end;
                }
                _ => self.done.push(e),
            }
        }
    }

    /// Reads everything the list claims and forgets the extents whose bytes are not what was written. Returns the bytes lost.
    pub(super) fn prove(&mut self, file: &mut File, path: &Path) -> Result<u64> {
        let mut lost = 0;
        let mut buffer = vec![0; READ_BLOCK];
        let mut kept = Vec::with_capacity(self.done.len());
        for extent in std::mem::take(&mut self.done) {
            file.seek(SeekFrom::Start(extent.start)).map_err(Error::io("read", path))?;
            let mut left = extent.end - extent.start;
            let mut crc = 0;
            while left > 0 {
                let want = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BLOCK);
                let block = buffer.get_mut(..want).unwrap_or_default();
                if file.read_exact(block).is_err() {
                    break;
                }
                crc = crc32c::crc32c_append(crc, block);
                left -= want as u64;
            }
            if left == 0 && crc == extent.crc32c {
                kept.push(extent);
            } else {
                lost += extent.end - extent.start;
            }
        }
        self.done = kept;
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn content(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn extents_merge_whatever_the_order() {
        let bytes = content(100);
        let mut state = State::new("f");
        for range in [60..80, 0..20, 80..100, 40..60, 20..40] {
            state.add(range.start as u64, &bytes[range]);
        }
        assert_eq!(state.done, [Extent { start: 0, end: 100, crc32c: crc32c::crc32c(&bytes) }]);
        assert!(state.gaps(100).is_empty());
        assert_eq!(state.gaps(120), [(100, 120)]);
    }

    #[test]
    fn gaps_and_prefix_follow_the_extents() {
        let bytes = content(100);
        let mut state = State::new("f");
        state.add(10, &bytes[10..20]);
        state.add(30, &bytes[30..40]);
        assert_eq!(state.prefix(), 0);
        assert_eq!(state.gaps(50), [(0, 10), (20, 30), (40, 50)]);
        state.add(0, &bytes[..10]);
        assert_eq!(state.prefix(), 20);
        assert_eq!(state.have(), 30);
    }

    #[test]
    fn a_torn_extent_alone_is_forgotten_on_resuming() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("x"));
        let mut bytes = content(4096);
        let mut state = State::new("f");
        state.size = Some(5000);
        state.add(0, &bytes[..1000]);
        state.add(2000, &bytes[2000..4096]);
        state.save(&paths).unwrap();
        bytes[3000] ^= 1;
        File::create(&paths.data).unwrap().write_all(&bytes).unwrap();

        let mut again = State::load(&paths, "f");
        assert_eq!(again, state);
        let mut file = File::open(&paths.data).unwrap();
        assert_eq!(again.prove(&mut file, &paths.data).unwrap(), 2096);
        assert_eq!(again.have(), 1000);
    }

    #[test]
    fn a_state_that_is_not_ours_counts_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("x"));
        File::create(&paths.data).unwrap().write_all(&[0; 10]).unwrap();
        let bad = [
            "",
            "[]",
            r#"{"version":9,"file":"f","size":10,"done":[],"validators":{}}"#,
            r#"{"version":1,"file":"f","size":10,"done":[{"start":0,"end":11,"crc32c":0}],"validators":{}}"#,
            r#"{"version":1,"file":"f","size":10,"done":[{"start":5,"end":2,"crc32c":0}],"validators":{}}"#,
            r#"{"version":1,"file":"f","size":10,"done":[{"start":0,"end":6,"crc32c":0},{"start":5,"end":9,"crc32c":0}],"validators":{}}"#,
        ];
        for text in bad {
            fs::write_atomic(&paths.state, text.as_bytes(), false).unwrap();
            assert_eq!(State::load(&paths, "f"), State::new("f"), "{text}");
        }
    }
}
