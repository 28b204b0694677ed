//! From a digest to the places where its content lives, so that nothing is fetched twice.
//!
//! The index is a hint: a place is believed only after its content was hashed again on the way to the new model. So it
//! may be out of date, or lost, without harm.

use std::path::{Path, PathBuf};

use super::Store;
use crate::error::Result;
use crate::fs;

/// Places of one content; a file that thousands of models share needs no more.
const MAX_PLACES: usize = 64;
const MAX_BYTES: u64 = 1 << 20;

impl Store {
    /// Files that should have this content, existing and of the right length.
    pub(super) fn places(&self, sha256: &[u8; 32], size: Option<u64>) -> Vec<PathBuf> {
        self.lines(sha256)
            .iter()
            .map(|line| self.home().join(line))
            .filter(|path| fs::file_len(path).is_some_and(|n| size.is_none_or(|s| s == n)))
            .collect()
    }

    /// Notes that `path`, below the home, has this content.
    pub(super) fn add_place(&self, sha256: &[u8; 32], path: &Path) -> Result<()> {
        let Some(line) = path.strip_prefix(self.home()).ok().and_then(Path::to_str) else { return Ok(()) };
        let mut lines: Vec<String> =
            self.lines(sha256).into_iter().filter(|l| l != line && self.home().join(l).exists()).collect();
        lines.insert(0, line.to_owned());
        lines.truncate(MAX_PLACES);
        let entry = self.layout().index_entry(sha256);
        fs::create_parent(&entry)?;
        fs::write_atomic(&entry, (lines.join("\n") + "\n").as_bytes(), false)
    }

    fn lines(&self, sha256: &[u8; 32]) -> Vec<String> {
        let entry = self.layout().index_entry(sha256);
        let bytes = fs::read_bounded(&entry, MAX_BYTES).unwrap_or_default();
        let inside = |line: &&str| {
            !line.is_empty()
                && Path::new(line).components().all(|c| matches!(c, std::path::Component::Normal(_)))
        };
        String::from_utf8_lossy(&bytes).lines().filter(inside).map(str::to_owned).collect()
    }

    /// Drops entries whose places are all gone; returns how many.
    pub(super) fn prune_index(&self) -> Result<usize> {
        let mut dropped = 0;
        for folder in fs::list_dir(&self.layout().index())? {
            for entry in fs::list_dir(&folder.path())? {
                let bytes = fs::read_bounded(&entry.path(), MAX_BYTES).unwrap_or_default();
                let alive = String::from_utf8_lossy(&bytes).lines().any(|l| self.home().join(l).is_file());
                if !alive {
                    fs::remove_file(&entry.path())?;
                    dropped += 1;
                }
            }
        }
        Ok(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plant;
    use super::*;

    #[test]
    fn places_are_remembered_while_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let model = plant(&store, "a", "r", b"content");
        let path = model.folder.join("original").join("m.onnx");
        store.add_place(&[1; 32], &path).unwrap();
        assert_eq!(store.places(&[1; 32], Some(7)), std::slice::from_ref(&path));
        assert!(store.places(&[1; 32], Some(8)).is_empty());
        assert!(store.places(&[2; 32], None).is_empty());
        assert_eq!(store.prune_index().unwrap(), 0);
        fs::remove_file(&path).unwrap();
        assert!(store.places(&[1; 32], Some(7)).is_empty());
        assert_eq!(store.prune_index().unwrap(), 1);
    }

    #[test]
    fn an_index_entry_cannot_point_out_of_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("home"));
        fs::write_atomic(&dir.path().join("secret"), b"x", false).unwrap();
        let entry = store.layout().index_entry(&[3; 32]);
        fs::create_parent(&entry).unwrap();
        fs::write_atomic(&entry, b"../secret\n/etc/passwd\n", false).unwrap();
        assert!(store.places(&[3; 32], None).is_empty());
    }
}
