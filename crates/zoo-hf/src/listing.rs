//! The files of one commit: what the hub (or a cache) says that there is, with sizes and digests, before any of it is here.
//!
//! Large files are known by the SHA-256 of their content, small ones by their git blob id; both are proved when the file arrives.

use std::collections::BTreeMap;

use serde::Deserialize;
use zoo_core::digest::Digest;
use zoo_core::path::EntryPath;

/// The largest repositories have some ten thousand files; a listing that goes on for ever ends here.
const MAX_FILES: usize = 200_000;

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepoFile {
    /// Length in bytes, where it is known.
    pub size: Option<u64>,
    /// SHA-256 of the content, or its git blob id, where one is known.
    pub digest: Option<Digest>,
}

/// The files of one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    files: BTreeMap<EntryPath, RepoFile>,
    refused: Vec<String>,
}

impl Files {
    /// Reads one page of the hub's `tree`, and adds its files. An entry whose path leads out of its folder, or could on some
    /// platform, is none of the files; it is kept apart, by name.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn add_page(&mut self, json: &[u8]) -> Result<(), String> {
        let entries: Vec<TreeEntry> = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
            let digest = match &entry.lfs {
                Some(lfs) => Digest::sha256_hex(&lfs.oid),
                None => format!("git-sha1:{}", entry.oid).parse(),
            };
            let digest = digest.map_err(|e| format!("{}: {e}", entry.path.escape_debug()))?;
            // Both are of the content; a pointer's own length is another field.
            let size = entry.lfs.map_or(entry.size, |lfs| lfs.size);
            self.add(&entry.path, RepoFile { size: Some(size), digest: Some(digest) })?;
        }
        Ok(())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// There are too many, or it is there twice with different content.
    pub(crate) fn add(&mut self, path: &str, file: RepoFile) -> Result<(), String> {
        if self.files.len() + self.refused.len() >= MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files"));
        }
        match EntryPath::new(path) {
            Ok(path) => match self.files.get(&path) {
                Some(before) if *before != file => Err(format!("it has `{path}` twice")),
                _ => {
                    self.files.insert(path, file);
                    Ok(())
                }
            },
            Err(error) => {
                tracing::warn!(%error, "left out");
                self.refused.push(path.to_owned());
                Ok(())
            }
        }
    }

    /// A file's facts.
    pub fn get(&self, path: &EntryPath) -> Option<&RepoFile> {
        self.files.get(path)
    }

    /// The path of a file of this name, if there is one.
    pub fn path(&self, path: &str) -> Option<EntryPath> {
        EntryPath::new(path).ok().filter(|path| self.files.contains_key(path))
    }

    /// Every file, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&EntryPath, &RepoFile)> {
        self.files.iter()
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &EntryPath> {
        self.files.keys()
    }

    /// Paths that no folder of zoo's will ever hold.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// An entry of the hub's `tree`.
#[derive(Deserialize)]
struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Lfs>,
}

/// A large file's content.
#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A listing of files with these paths, every one of them with some content.
    pub(crate) fn files(paths: &[&str]) -> Files {
        let mut files = Files::default();
        for path in paths {
            files.add(path, RepoFile { size: Some(1), digest: None }).unwrap();
        }
        files
    }

    fn page(entries: &serde_json::Value) -> Result<Files, String> {
        let mut files = Files::default();
        files.add_page(entries.to_string().as_bytes())?;
        Ok(files)
    }

    #[test]
    fn large_files_have_their_contents_digest_and_small_ones_their_blob_id() {
        let (sha256, blob) = ("ab".repeat(32), "cd".repeat(20));
        let files = page(&json!([
            {"type": "directory", "oid": blob, "size": 0, "path": "onnx"},
            {"type": "file", "oid": blob, "size": 7, "path": "config.json"},
            {"type": "file", "oid": blob, "size": 42, "path": "onnx/model.onnx", "xetHash": "x",
             "lfs": {"oid": sha256, "size": 42, "pointerSize": 130}},
        ]))
        .unwrap();
        assert_eq!(files.len(), 2);
        let get = |path| files.get(&files.path(path).unwrap()).unwrap();
        assert_eq!(get("config.json").digest.as_ref().unwrap().algorithm(), "git-sha1");
        assert_eq!(get("onnx/model.onnx").digest, Some(Digest::sha256_hex(&sha256).unwrap()));
        assert_eq!(get("onnx/model.onnx").size, Some(42));
        assert!(files.path("onnx").is_none());
    }

    #[test]
    fn paths_that_lead_elsewhere_are_no_files() {
        let blob = "cd".repeat(20);
        let tricks =
            ["../config.json", "/etc/passwd", "a/../../b", "a\\..\\b", "C:\\x", "a\0b", "x.", "con:1"];
        let entries: Vec<_> = tricks
            .iter()
            .map(|path| json!({"type": "file", "oid": blob, "size": 1, "path": path}))
            .chain([json!({"type": "file", "oid": blob, "size": 1, "path": "ok"})])
            .collect();
        let files = page(&json!(entries)).unwrap();
        assert_eq!((files.len(), files.refused().len()), (1, tricks.len()));
        assert!(tricks.iter().all(|path| files.path(path).is_none()));
    }

    #[test]
    fn a_listing_that_makes_no_sense_is_refused() {
        let (a, b) = ("ab".repeat(20), "cd".repeat(20));
        let twice = json!([
            {"type": "file", "oid": a, "size": 1, "path": "x"}, {"type": "file", "oid": b, "size": 1, "path": "x"},
        ]);
        assert!(page(&twice).unwrap_err().contains("twice"));
        for (bad, what) in [
            (json!([{"type": "file", "oid": "xyz", "size": 1, "path": "x"}]), "not a digest"),
            (json!([{"type": "file", "oid": a, "size": -1, "path": "x"}]), "-1"),
            (json!({"error": "no"}), "sequence"),
            (
                json!([{"type": "file", "oid": a, "size": 1, "path": "x", "lfs": {"oid": a, "size": 1}}]),
                "not a digest",
            ),
        ] {
            let error = page(&bad).unwrap_err();
            assert!(error.contains(what), "{bad}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_listing_or_an_error(bytes: Vec<u8>) {
            let _ = Files::default().add_page(&bytes);
        }
    }
}
