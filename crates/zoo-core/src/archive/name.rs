//! Member names: from raw bytes to a safe path, and no two members at one place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::{ArchiveError, Bound, shown};
use super::limits::Limits;
use crate::path::EntryPath;

/// Most bytes of names kept to find clashes. With [`Limits::members`] names of usual lengths a few megabytes are used;
/// this stops an archive of the longest, deepest names, all different, from using a gigabyte.
const KEPT_NAMES: usize = 64 << 20;

/// Checks a raw name. A leading `./` is taken off, as is the `/` at the end of a folder's name. `None` is the archive's
/// root itself (`./`), which many tar files list.
pub(super) fn parse(raw: &[u8], is_folder: bool, limits: &Limits) -> Result<Option<EntryPath>, ArchiveError> {
    if raw.len() > limits.name_length {
        let allowed = limits.name_length as u64;
        return Err(ArchiveError::Limit { member: shown(raw), bound: Bound::NameLength, allowed });
    }
    let unsafe_name = |reason: String| ArchiveError::UnsafeName { member: shown(raw), reason };
    let mut text =
        std::str::from_utf8(raw).map_err(|_| unsafe_name(format!("`{}` is not UTF-8", shown(raw))))?;
    while let Some(rest) = text.strip_prefix("./") {
        text = rest;
    }
    if is_folder {
        text = text.strip_suffix('/').unwrap_or(text);
        if (text.is_empty() || text == ".") && raw.starts_with(b".") {
            return Ok(None);
        }
    }
    let path = EntryPath::new(text).map_err(|e| unsafe_name(e.to_string()))?;
    if path.as_str().split('/').count() > limits.depth {
        let allowed = limits.depth as u64;
        return Err(ArchiveError::Limit { member: shown(raw), bound: Bound::Depth, allowed });
    }
    Ok(Some(path))
}

/// The places taken so far, compared as a file system without case would. (Other equalities, such as composed against
/// decomposed accents, are found when the second file cannot be created.)
#[derive(Default)]
pub(super) struct Names {
    taken: HashMap<String, Taken>,
    kept: usize,
}

enum Taken {
    File(EntryPath),
    Folder,
}

impl Names {
    /// Takes the place of a file; any earlier file or folder there is an error.
    pub(super) fn file(&mut self, path: &EntryPath) -> Result<(), ArchiveError> {
        let folded = path.as_str().to_lowercase();
        self.folders_above(&folded, path)?;
        let clash = |first: &EntryPath, reason| {
            Err(ArchiveError::Clash { member: path.to_string(), first: first.to_string(), reason })
        };
        let kept = folded.len() + path.as_str().len();
        match self.taken.entry(folded) {
            Entry::Occupied(taken) => match taken.get() {
                Taken::File(first) if first == path => clash(first, "they have the same name"),
                Taken::File(first) => clash(first, "their names differ in case only"),
                Taken::Folder => clash(path, "one is a file, the other a folder"),
            },
            Entry::Vacant(free) => {
                free.insert(Taken::File(path.clone()));
                self.keep(kept, path)
            }
        }
    }

    /// Takes the place of a folder. Folders may be listed again, as tar does, and merge whatever their case: only their
    /// files matter.
    pub(super) fn folder(&mut self, path: &EntryPath) -> Result<(), ArchiveError> {
        let folded = path.as_str().to_lowercase();
        self.folders_above(&folded, path)?;
        self.one_folder(&folded, path)
    }

    fn folders_above(&mut self, folded: &str, path: &EntryPath) -> Result<(), ArchiveError> {
        for (end, _) in folded.match_indices('/') {
            self.one_folder(folded.get(..end).unwrap_or(folded), path)?;
        }
        Ok(())
    }

    fn one_folder(&mut self, folded: &str, path: &EntryPath) -> Result<(), ArchiveError> {
        match self.taken.get(folded) {
            Some(Taken::Folder) => Ok(()),
            Some(Taken::File(first)) => Err(ArchiveError::Clash {
                member: path.to_string(),
                first: first.to_string(),
                reason: "one is a file, the other needs a folder of that name",
            }),
            None => {
                self.taken.insert(folded.to_owned(), Taken::Folder);
                self.keep(folded.len(), path)
            }
        }
    }

    fn keep(&mut self, bytes: usize, path: &EntryPath) -> Result<(), ArchiveError> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > KEPT_NAMES {
            let member = path.to_string();
            return Err(ArchiveError::Limit {
                member,
                bound: Bound::HeaderBytes,
                allowed: KEPT_NAMES as u64,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(raw: &[u8]) -> Result<Option<EntryPath>, ArchiveError> {
        parse(raw, false, &Limits::for_models())
    }

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text).unwrap()
    }

    #[test]
    fn leading_dots_and_folder_slashes_are_taken_off() {
        assert_eq!(file(b"././a/b").unwrap(), Some(path("a/b")));
        let folder = |raw| parse(raw, true, &Limits::for_models());
        assert_eq!(folder(b"./a/").unwrap(), Some(path("a")));
        assert_eq!(folder(b"./").unwrap(), None);
        assert_eq!(folder(b".").unwrap(), None);
        for raw in [&b"/"[..], b"", b"//", b".//", b"a//", b"../", b"./../"] {
            let root_again = raw == b".//";
            assert!(folder(raw).is_err() || root_again, "{}", shown(raw));
        }
    }

    #[test]
    fn unsafe_names_are_refused() {
        for raw in [
            &b"/a"[..],
            b".//a",
            b"../a",
            b"a/../b",
            b"a//b",
            b"a/./b",
            b"a/",
            b"",
            b".",
            b"..",
            b"c:/x",
            b"C:\\x",
            b"a\\b",
            b"\\\\host\\share",
            b"a\0b",
            b"caf\xe9",
        ] {
            assert!(matches!(file(raw), Err(ArchiveError::UnsafeName { .. })), "{}", shown(raw));
        }
    }

    #[test]
    fn long_and_deep_names_are_refused() {
        let limits = Limits { name_length: 10, depth: 3, ..Limits::for_models() };
        let bound = |raw: &[u8]| match parse(raw, false, &limits) {
            Err(ArchiveError::Limit { bound, .. }) => Some(bound),
            _ => None,
        };
        assert_eq!(bound(b"a/b/c"), None);
        assert_eq!(bound(b"a/b/c/d"), Some(Bound::Depth));
        assert_eq!(bound(b"0123456789"), None);
        assert_eq!(bound(b"0123456789a"), Some(Bound::NameLength));
    }

    #[test]
    fn one_place_holds_one_member() {
        let clashes = |first: &str, second: &str| {
            let mut names = Names::default();
            names.file(&path(first)).unwrap();
            names.file(&path(second)).is_err()
        };
        assert!(clashes("a", "a"));
        assert!(clashes("Model.onnx", "model.ONNX"));
        assert!(clashes("a", "a/b"));
        assert!(clashes("a/b", "a"));
        assert!(clashes("A", "a/b"));
        assert!(!clashes("a/b", "a/c"));
        assert!(!clashes("Data/a", "data/b"));
        let mut names = Names::default();
        names.folder(&path("a/b")).unwrap();
        names.folder(&path("a/b")).unwrap();
        names.folder(&path("a")).unwrap();
        names.file(&path("a/b/c")).unwrap();
        assert!(names.file(&path("a/b")).is_err());
        assert!(names.folder(&path("a/b/c")).is_err());
    }
}
