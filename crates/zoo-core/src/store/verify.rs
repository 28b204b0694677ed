//! Is everything still as it came? Every original is hashed again and compared with the manifest.

use super::{Store, StoredModel};
use crate::error::Result;
use crate::fs;
use crate::manifest::FileEntry;
use crate::path::EntryPath;
use crate::store::place;

/// What verification found about one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FileState {
    /// The content is the one that was proved on arrival.
    Good,
    /// The file is gone.
    Missing,
    /// The length differs.
    WrongSize {
        /// Length in the manifest, in bytes.
        expected: u64,
        /// Length found, in bytes.
        found: u64,
    },
    /// The content differs.
    WrongDigest {
        /// Digest in the manifest.
        expected: String,
        /// Digest found.
        found: String,
    },
}

/// What verification found about a model.
#[derive(Debug, Clone, serde::Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The model's canonical handle.
    pub handle: String,
    /// Every original, and every staged file that is not an original.
    pub files: Vec<(EntryPath, FileState)>,
    /// Bytes that were read and hashed.
    pub bytes: u64,
}

impl VerifyReport {
    /// Whether every file is good.
    pub fn is_good(&self) -> bool {
        self.files.iter().all(|(_, state)| *state == FileState::Good)
    }
}

impl Store {
    /// Hashes every original of a model again.
    pub fn verify(&self, model: &StoredModel) -> Result<VerifyReport> {
        let manifest = &model.manifest;
        let mut report = VerifyReport { handle: manifest.handle.clone(), files: Vec::new(), bytes: 0 };
        for entry in &manifest.files {
            let path = entry.path.under(&model.folder);
            let state = match fs::file_len(&path) {
                None => FileState::Missing,
                Some(found) if found != entry.size => FileState::WrongSize { expected: entry.size, found },
                Some(size) => {
                    let found = place::hash_file(&path, &[])?.sha256();
                    report.bytes += size;
                    if found == entry.sha256 {
                        FileState::Good
                    } else {
                        FileState::WrongDigest {
                            expected: entry.sha256.to_string(),
                            found: found.to_string(),
                        }
                    }
                }
            };
            report.files.push((entry.path.clone(), state));
        }
        let staged = manifest.staged.iter().flat_map(|s| std::iter::once(&s.path).chain(&s.with));
        for path in staged {
            if !report.files.iter().any(|(p, _)| p == path) {
                let there = path.under(&model.folder).exists();
                report.files.push((path.clone(), if there { FileState::Good } else { FileState::Missing }));
            }
        }
        Ok(report)
    }

    /// The quick check of a pull that finds a model here: every file has its length and time. A file whose time alone
    /// differs (a restored backup) is hashed.
    pub(super) fn looks_whole(model: &StoredModel) -> bool {
        let whole = |entry: &FileEntry| {
            let path = entry.path.under(&model.folder);
            let same_size = fs::file_len(&path) == Some(entry.size);
            let same_time = entry.mtime_ns.is_some() && place::mtime_ns(&path) == entry.mtime_ns;
            same_size && (same_time || place::hash_file(&path, &[]).is_ok_and(|d| d.sha256() == entry.sha256))
        };
        model.manifest.files.iter().all(whole)
            && model.manifest.staged.iter().all(|s| s.path.under(&model.folder).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plant;
    use super::*;

    #[test]
    fn every_kind_of_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let model = plant(&store, "a", "r", b"content");
        let file = model.folder.join("original").join("m.onnx");
        assert!(store.verify(&model).unwrap().is_good());
        assert!(Store::looks_whole(&model));

        fs::write_atomic(&file, b"CONTENT", false).unwrap();
        assert!(matches!(store.verify(&model).unwrap().files[0].1, FileState::WrongDigest { .. }));
        assert!(!Store::looks_whole(&model));
        fs::write_atomic(&file, b"short", false).unwrap();
        assert_eq!(store.verify(&model).unwrap().files[0].1, FileState::WrongSize { expected: 7, found: 5 });
        fs::remove_file(&file).unwrap();
        assert_eq!(store.verify(&model).unwrap().files[0].1, FileState::Missing);
        assert!(!Store::looks_whole(&model));
    }
}
