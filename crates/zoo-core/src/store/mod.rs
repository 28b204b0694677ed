//! Everything zoo keeps on disk, under one home (`docs/cache.md` draws it).
//!
//! A model's folder is the home of its files. It exists for readers only when its manifest does, and the manifest is written
//! last; every file in it got its name only after its digest was checked. So whatever kills the process, a reader finds
//! whole models or none.

mod clean;
mod index;
mod layout;
mod lock;
mod place;
mod pull;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use clean::{GcOptions, GcReport, Removed};
pub(crate) use layout::Layout;
pub use layout::ModelKey;
pub(crate) use lock::lock;
pub use place::{hash_file, place_file};
pub use pull::{Begin, Pull};
pub use verify::{FileState, VerifyReport};

use crate::error::{Error, Result};
use crate::fs;
use crate::handle::{Ecosystem, ModelName, Revision, nearest};
use crate::manifest::Manifest;

/// How deep a manifest can lie below `models/<ecosystem>`: hubs' names have at most four parts, and the revision is one.
const MAX_DEPTH: usize = 8;

/// The store below one home. Cheap to clone. Opening it writes nothing.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Arc<Layout>,
}

/// A model that is whole in the store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredModel {
    /// Its folder.
    pub folder: PathBuf,
    /// What is known of it.
    pub manifest: Manifest,
}

impl StoredModel {
    /// Reads the model in `folder`, if there is one.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        Ok(Manifest::read(folder)?.map(|manifest| Self { folder: folder.to_owned(), manifest }))
    }

    /// What identifies it in the store.
    pub fn key(&self) -> ModelKey {
        let m = &self.manifest;
        ModelKey { ecosystem: m.ecosystem.clone(), name: m.name.clone(), revision: m.revision.clone() }
    }

    /// Where the staged form of `target` is.
    pub fn staged_path(&self, target: &str) -> Option<PathBuf> {
        self.manifest.staged(target).map(|s| s.path.under(&self.folder))
    }
}

impl Store {
    /// The store below `home`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { layout: Arc::new(Layout::new(home.into())) }
    }

    /// The home.
    pub fn home(&self) -> &Path {
        self.layout.home()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The folder of a model, whether it exists or not.
    pub fn folder(&self, key: &ModelKey) -> PathBuf {
        self.layout.model(key)
    }

    /// Every whole model, sorted by folder. A manifest that cannot be read is passed over with a warning: one damaged
    /// model must not hide the others.
    pub fn models(&self) -> Result<Vec<StoredModel>> {
        let mut found = Vec::new();
        walk(&self.layout.models(), MAX_DEPTH, &mut |folder| match StoredModel::read(folder) {
            Ok(Some(model)) => {
                found.push(model);
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "passed over");
                true
            }
        })?;
        Ok(found)
    }

    /// The stored model of this name: the one of `revision` (its own, or one it was asked for by), or without one the
    /// latest pulled.
    pub fn find(
        &self,
        ecosystem: &Ecosystem,
        name: &ModelName,
        revision: Option<&Revision>,
    ) -> Result<Option<StoredModel>> {
        let folder = self.layout.name(ecosystem, name);
        let mut found = Vec::new();
        for entry in fs::list_dir(&folder)? {
            match StoredModel::read(&entry.path()) {
                Ok(model) => found.extend(model.filter(|m| m.manifest.name == *name)),
                // The same as a model that is not there: pulling it repairs it.
                Err(error @ Error::Manifest { .. }) => tracing::warn!(%error, "passed over"),
                Err(error) => return Err(error),
            }
        }
        let fits = |m: &StoredModel| match revision {
            Some(r) => m.manifest.revision == *r || m.manifest.asked_for.iter().any(|a| a == r.as_str()),
            None => true,
        };
        Ok(found.into_iter().filter(fits).max_by_key(|m| m.manifest.pulled))
    }

    /// The stored model of exactly this key.
    pub fn get(&self, key: &ModelKey) -> Result<Option<StoredModel>> {
        StoredModel::read(&self.layout.model(key))
    }

    /// Handles of stored models that resemble `wanted`.
    pub fn nearest(&self, wanted: &str) -> Vec<String> {
        // The hub's name before the colon is the same for many, as the revision may be; both say nothing about likeness.
        let bare = |text: &str| {
            let name = text.split_once(':').map_or(text, |(_, name)| name);
            name.split_once('@').map_or(name, |(name, _)| name).to_owned()
        };
        let stored: Vec<(String, String)> = self
            .models()
            .unwrap_or_default()
            .into_iter()
            .map(|m| (bare(&m.manifest.handle), m.manifest.handle))
            .collect();
        let names = nearest(&bare(wanted), stored.iter().map(|(name, _)| name.as_str()), 3);
        let handle = |name: &String| stored.iter().find(|(n, _)| n == name).map(|(_, h)| h.clone());
        names.iter().filter_map(handle).collect()
    }

    /// The error for a model that is not here.
    pub fn not_stored(&self, what: &str) -> Error {
        Error::NotStored { what: what.to_owned(), home: self.home().to_owned(), nearest: self.nearest(what) }
    }

    /// Notes that a model was used now; `gc` by age goes by it. A store that cannot be written is left alone.
    pub fn touch(&self, model: &StoredModel) {
        let manifest = model.folder.join(crate::manifest::FILE_NAME);
        if let Ok(file) = std::fs::File::options().append(true).open(manifest) {
            let _ = file.set_modified(std::time::SystemTime::now());
        }
    }
}

/// Visits folders, parents first; `visit` answers whether the folder is a model (its inside is then not visited).
fn walk(folder: &Path, depth: usize, visit: &mut dyn FnMut(&Path) -> bool) -> Result<()> {
    for entry in fs::list_dir(folder)? {
        let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
        let path = entry.path();
        if is_dir && !visit(&path) && depth > 1 {
            walk(&path, depth - 1, visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::digest::{Digest, Hasher};
    use crate::manifest::FileEntry;
    use crate::path::EntryPath;

    /// A whole model with one file, as a pull leaves it.
    pub(crate) fn plant(store: &Store, name: &str, revision: &str, content: &[u8]) -> StoredModel {
        let key = ModelKey::new("onnx", name, revision).unwrap();
        let folder = store.folder(&key);
        let path = EntryPath::new("original/m.onnx").unwrap();
        let mut hasher = Hasher::new(&[], None);
        hasher.update(content);
        let sha256 = Digest::Sha256(hasher.finish().sha256);
        fs::create_dir_all(&folder.join("original")).unwrap();
        fs::write_atomic(&path.under(&folder), content, false).unwrap();
        let entry = FileEntry::new(path, content.len() as u64, sha256, vec![], "test".into());
        let handle = format!("onnx:{name}");
        let manifest = Manifest::new(handle, key.ecosystem, key.name, key.revision, vec![entry]);
        manifest.write(&folder).unwrap();
        StoredModel { folder, manifest }
    }

    #[test]
    fn models_are_listed_and_found_by_revision_or_by_what_was_asked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert!(store.models().unwrap().is_empty());
        plant(&store, "a", "r1", b"one");
        let mut model = plant(&store, "a", "r2", b"two");
        plant(&store, "b/c", "r1", b"three");
        model.manifest.asked_for.push("main".into());
        model.manifest.write(&model.folder).unwrap();
        assert_eq!(store.models().unwrap().len(), 3);
        let find = |name: &str, revision: Option<&str>| {
            let revision = revision.map(|r| Revision::new(r).unwrap());
            let ecosystem = Ecosystem::new("onnx").unwrap();
            let found = store.find(&ecosystem, &ModelName::new(name).unwrap(), revision.as_ref()).unwrap();
            found.map(|m| m.manifest.revision.to_string())
        };
        assert_eq!(find("a", Some("r1")).as_deref(), Some("r1"));
        assert_eq!(find("a", Some("main")).as_deref(), Some("r2"));
        assert_eq!(find("b/c", None).as_deref(), Some("r1"));
        assert_eq!(find("b", None), None);
        assert_eq!(store.nearest("onnx:b/d"), ["onnx:b/c"]);
        assert_eq!(store.nearest("onnx:b/d@some-long-revision"), ["onnx:b/c"]);
    }

    #[test]
    fn a_damaged_manifest_hides_only_its_own_model() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        plant(&store, "good", "r", b"x");
        let bad = plant(&store, "bad", "r", b"y");
        fs::write_atomic(&bad.folder.join("zoo.json"), b"{", false).unwrap();
        assert_eq!(store.models().unwrap().len(), 1);
    }
}
