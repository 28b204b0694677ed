//! The cache that the hub's own libraries share, read and never written: what they downloaded is proved and taken instead of
//! being fetched again, and offline it tells which files a revision has.
//!
//! ```text
//! models--ORG--NAME/refs/<revision>            a commit
//! models--ORG--NAME/snapshots/<commit>/<path>  a symbolic link to ../../blobs/<etag>, or the file itself
//! models--ORG--NAME/blobs/<etag>               SHA-256, or git blob id
//! models--ORG--NAME/trees/<commit>.json        the commit's listing, since 2026
//! ```
//!
//! A blob is named by its digest, so a link tells what the file at its path must be. Links that lead out of the repository's folder are
//! as if they were not there: whoever can write to the cache must not choose which of the user's files zoo reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zoo_core::digest::Digest;
use zoo_core::fs;

use crate::listing::{Files, RepoFile};
use crate::name::is_commit;

/// A reference is a commit's forty digits.
const MAX_REFERENCE: u64 = 256;

/// The listing of a large repository is some megabytes.
const MAX_TREE: u64 = 64 << 20;

/// Folders in folders of a snapshot.
const MAX_DEPTH: usize = 32;

/// A repository in a cache.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    folder: PathBuf,
}

impl Cached {
    /// The repository in the cache at `root`, if it is there.
    pub(crate) fn find(root: &Path, id: &str) -> Option<Self> {
        let folder = root.join(format!("models--{}", id.replace('/', "--")));
        // What the links are compared with has to be free of links itself.
        std::fs::canonicalize(folder).ok().filter(|folder| folder.is_dir()).map(|folder| Self { folder })
    }

    /// The commit of a branch, a tag or another reference; a commit whose snapshot is there is its own.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return self.folder.join("snapshots").join(revision).is_dir().then(|| revision.to_owned());
        }
        let plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
        if !revision.split('/').all(plain) {
            return None;
        }
        let path = revision.split('/').fold(self.folder.join("refs"), |path, part| path.join(part));
        let inside = self.inside(&path)?;
        let text = String::from_utf8(fs::read_bounded(&inside, MAX_REFERENCE).ok()?).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Where the content of a file may be: named by its digest, or by its path where the system has no links.
    pub(crate) fn copies(&self, commit: &str, path: &str, digest: Option<&Digest>) -> Vec<PathBuf> {
        let blob = digest.map(|digest| self.folder.join("blobs").join(digest.hex()));
        let snapshot = self.folder.join("snapshots").join(commit);
        let named = path.split('/').fold(snapshot, |folder, part| folder.join(part));
        let mut copies: Vec<PathBuf> =
            blob.into_iter().chain([named]).filter_map(|path| self.inside(&path)).collect();
        copies.dedup();
        copies
    }

    /// The files of a commit, as far as the cache knows them. Without a listing, those that were downloaded.
    pub(crate) fn files(&self, commit: &str) -> Option<Files> {
        self.listed(commit).or_else(|| self.walked(commit)).filter(|files| !files.is_empty())
    }

    fn listed(&self, commit: &str) -> Option<Files> {
        #[derive(Deserialize)]
        struct Tree {
            format_version: u32,
            files: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            size: u64,
            #[serde(default)]
            blob_id: String,
            #[serde(default)]
            lfs_sha256: Option<String>,
        }
        let path = self.inside(&self.folder.join("trees").join(format!("{commit}.json")))?;
        let bytes = fs::read_bounded(&path, MAX_TREE).ok()?;
        let tree: Tree = serde_json::from_slice(&bytes).ok()?;
        if tree.format_version != 1 {
            return None;
        }
        let mut files = Files::default();
        for (path, entry) in tree.files {
            let digest = match &entry.lfs_sha256 {
                Some(sha256) => Digest::sha256_hex(sha256),
                None => format!("git-sha1:{}", entry.blob_id).parse(),
            };
            files.add(&path, RepoFile { size: Some(entry.size), digest: Some(digest.ok()?) }).ok()?;
        }
        Some(files)
    }

    fn walked(&self, commit: &str) -> Option<Files> {
        let snapshot = self.folder.join("snapshots").join(commit);
        let mut files = Files::default();
        let mut open = vec![(String::new(), snapshot, 0)];
        while let Some((prefix, folder, depth)) = open.pop() {
            // A folder that is a link could lead anywhere, or in circles.
            if std::fs::symlink_metadata(&folder).ok()?.file_type().is_symlink() || depth > MAX_DEPTH {
                continue;
            }
            for entry in fs::list_dir(&folder).ok()? {
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let path = format!("{prefix}{name}");
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open.push((format!("{path}/"), entry.path(), depth + 1));
                    continue;
                }
                let Some(file) = self.inside(&entry.path()) else { continue };
                let blob = file.parent().is_some_and(|folder| folder.ends_with("blobs"));
                let digest =
                    file.file_name().and_then(|name| name.to_str()).filter(|_| blob).and_then(digest_of);
                files.add(&path, RepoFile { size: fs::file_len(&file), digest }).ok()?;
            }
        }
        Some(files)
    }

    /// A file without links on the way, if it lies in the repository's folder.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(path).ok()?;
        if !real.starts_with(&self.folder) {
            tracing::warn!(path = %path.display(), "left out: it leads out of the repository's folder");
            return None;
        }
        real.is_file().then_some(real)
    }
}

/// The digest that a blob's name is.
fn digest_of(name: &str) -> Option<Digest> {
    match name.len() {
        64 => Digest::sha256_hex(name).ok(),
        40 => format!("git-sha1:{name}").parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "00112233445566778899aabbccddeeff00112233";

    fn write(path: &Path, text: &str) {
        fs::create_parent(path).unwrap();
        fs::write_atomic(path, text.as_bytes(), false).unwrap();
    }

    #[cfg(unix)]
    fn link(target: impl AsRef<Path>, at: &Path) {
        fs::create_parent(at).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
    }

    fn cached(root: &Path) -> Cached {
        Cached::find(root, "org/name").unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn a_snapshot_tells_files_by_the_names_of_their_blobs() {
        let root = tempfile::tempdir().unwrap();
        let repo = root.path().join("models--org--name");
        let (sha256, blob) = ("ab".repeat(32), "cd".repeat(20));
        write(&repo.join("refs/main"), COMMIT);
        write(&repo.join("refs/refs/pr/3"), COMMIT);
        write(&repo.join("refs/bad"), "not a commit");
        write(&repo.join("blobs").join(&sha256), "large");
        write(&repo.join("blobs").join(&blob), "small");
        let snapshot = repo.join("snapshots").join(COMMIT);
        link(format!("../../blobs/{sha256}"), &snapshot.join("model.safetensors"));
        link(format!("../../../blobs/{blob}"), &snapshot.join("onnx/config.json"));
        write(&snapshot.join("copied.txt"), "a system without links");
        assert!(Cached::find(root.path(), "org/other").is_none());
        let cached = cached(root.path());
        for revision in ["main", "refs/pr/3", COMMIT] {
            assert_eq!(cached.commit(revision).as_deref(), Some(COMMIT), "{revision}");
        }
        let other = "ff".repeat(20);
        for revision in ["bad", "none", "../blobs", "", "..", other.as_str()] {
            assert_eq!(cached.commit(revision), None, "{revision}");
        }
        let files = cached.files(COMMIT).unwrap();
        let get = |path| files.get(&files.path(path).unwrap()).unwrap().clone();
        assert_eq!(
            get("model.safetensors"),
            RepoFile { size: Some(5), digest: Some(Digest::sha256_hex(&sha256).unwrap()) }
        );
        assert_eq!(get("onnx/config.json").digest.unwrap().hex(), blob);
        assert_eq!(get("copied.txt").digest, None);
        let copies = cached.copies(COMMIT, "onnx/config.json", get("onnx/config.json").digest.as_ref());
        assert_eq!(copies, [std::fs::canonicalize(repo.join("blobs").join(&blob)).unwrap()]);
        assert_eq!(cached.copies(COMMIT, "copied.txt", None).len(), 1);
        assert!(cached.copies(COMMIT, "none", None).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_of_the_repository_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let repo = root.path().join("models--org--name");
        let sha256 = "ab".repeat(32);
        write(&root.path().join("secret"), "the user's own");
        write(&root.path().join("models--org--other/blobs").join(&sha256), "another repository's");
        let snapshot = repo.join("snapshots").join(COMMIT);
        link("../../../secret", &snapshot.join("config.json"));
        link(root.path().join("secret"), &snapshot.join("vocab.txt"));
        link(format!("../../../models--org--other/blobs/{sha256}"), &snapshot.join("model.safetensors"));
        link(root.path(), &snapshot.join("folder"));
        link("../../secret", &repo.join("blobs").join(&sha256));
        link("../../secret", &repo.join("refs/main"));
        let cached = cached(root.path());
        assert_eq!(cached.files(COMMIT), None);
        assert_eq!(cached.commit("main"), None);
        assert!(cached.copies(COMMIT, "config.json", Some(&Digest::sha256_hex(&sha256).unwrap())).is_empty());
    }

    #[test]
    fn a_listing_tells_also_what_was_not_downloaded() {
        let root = tempfile::tempdir().unwrap();
        let repo = root.path().join("models--org--name");
        let tree = repo.join("trees").join(format!("{COMMIT}.json"));
        let (sha256, blob) = ("ab".repeat(32), "cd".repeat(20));
        let text = format!(
            r#"{{"format_version":1,"files":{{
                "config.json":{{"size":2,"blob_id":"{blob}"}},"../x":{{"size":2,"blob_id":"{blob}"}},
                "model.safetensors":{{"size":9,"blob_id":"{blob}","lfs_sha256":"{sha256}","lfs_size":9}}}}}}"#
        );
        write(&tree, &text);
        let files = cached(root.path()).files(COMMIT).unwrap();
        assert_eq!((files.len(), files.refused()), (2, &["../x".to_owned()][..]));
        let model = files.get(&files.path("model.safetensors").unwrap()).unwrap();
        assert_eq!(model.digest.as_ref().unwrap().hex(), sha256);
        fs::remove_file(&tree).unwrap();
        write(&tree, &text.replace("\"format_version\":1", "\"format_version\":2"));
        assert_eq!(cached(root.path()).files(COMMIT), None);
    }
}
