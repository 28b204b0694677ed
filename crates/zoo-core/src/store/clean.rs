//! Making room: removing a model, or what is old, too much, or unfinished. What somebody works on at the moment is left
//! alone: every removal takes the same lock as the work.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::lock::try_lock;
use super::{Store, StoredModel};
use crate::error::{Error, Result};
use crate::fs;
use crate::manifest;

/// What to remove. Without any of them nothing is.
#[derive(Debug, Clone, Default)]
pub struct GcOptions {
    /// Models that were not used for this long.
    pub older_than: Option<Duration>,
    /// The longest unused models, until the rest has at most so many bytes.
    pub max_bytes: Option<u64>,
    /// Unfinished transfers and folders without a manifest.
    pub unfinished: bool,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// Something that was removed (or would be).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Removed {
    /// A handle, or "unfinished".
    pub what: String,
    /// The folder or file.
    pub path: PathBuf,
    /// Bytes in it.
    pub bytes: u64,
}

/// What `gc` did.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[non_exhaustive]
pub struct GcReport {
    /// What was removed.
    pub removed: Vec<Removed>,
    /// What should have been, but is in use.
    pub in_use: Vec<String>,
    /// Bytes in the models that remain.
    pub kept_bytes: u64,
}

impl Store {
    /// Removes a model: its manifest first, so that no reader sees half of it.
    pub fn remove(&self, model: &StoredModel) -> Result<Removed> {
        let Some(removed) = self.remove_if_idle(model, false)? else {
            let source = std::io::Error::other("another process works on it");
            return Err(Error::Io { action: "remove", path: model.folder.clone(), source });
        };
        self.prune_index()?;
        Ok(removed)
    }

    fn remove_if_idle(&self, model: &StoredModel, dry_run: bool) -> Result<Option<Removed>> {
        let removed = Removed {
            what: model.manifest.handle.clone(),
            path: model.folder.clone(),
            bytes: bytes_below(&model.folder),
        };
        if dry_run {
            return Ok(Some(removed));
        }
        let Some(_lock) = try_lock(&self.layout().lock_for_model(&model.key()))? else { return Ok(None) };
        fs::remove_file(&model.folder.join(manifest::FILE_NAME))?;
        self.remove_folder(&model.folder)?;
        Ok(Some(removed))
    }

    /// Removes a folder, and the folders above it (below `models/`) that are empty then.
    fn remove_folder(&self, folder: &Path) -> Result<()> {
        make_removable(folder);
        fs::remove_dir_all(folder)?;
        let models = self.layout().models();
        for parent in folder.ancestors().skip(1).take_while(|p| p.starts_with(&models) && **p != models) {
            if std::fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Removes what the options name.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        let mut report = GcReport::default();
        let mut models: Vec<(SystemTime, StoredModel)> =
            self.models()?.into_iter().map(|m| (last_used(&m), m)).collect();
        models.sort_by_key(|(used, _)| *used);
        let mut total: u64 = models.iter().map(|(_, m)| bytes_below(&m.folder)).sum();
        for (used, model) in &models {
            let age = SystemTime::now().duration_since(*used).unwrap_or_default();
            let old = options.older_than.is_some_and(|limit| age >= limit);
            let too_much = options.max_bytes.is_some_and(|limit| total > limit);
            if !(old || too_much) {
                continue;
            }
            match self.remove_if_idle(model, options.dry_run)? {
                Some(removed) => {
                    total = total.saturating_sub(removed.bytes);
                    report.removed.push(removed);
                }
                None => report.in_use.push(model.manifest.handle.clone()),
            }
        }
        if options.unfinished {
            self.unfinished_transfers(options.dry_run, &mut report)?;
            self.unfinished_models(options.dry_run, &mut report)?;
        }
        if !options.dry_run {
            self.prune_index()?;
        }
        report.kept_bytes = total;
        Ok(report)
    }

    fn unfinished_transfers(&self, dry_run: bool, report: &mut GcReport) -> Result<()> {
        for entry in fs::list_dir(&self.layout().partials())? {
            let path = entry.path();
            let Some(_lock) = try_lock(&self.layout().lock_for_partial(&path))? else {
                report.in_use.push("an unfinished transfer".into());
                continue;
            };
            let bytes = bytes_below(&path);
            if !dry_run {
                if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
            }
            report.removed.push(Removed { what: "unfinished".into(), path, bytes });
        }
        Ok(())
    }

    /// Folders with originals but without a manifest that can be read: a pull of several files that did not come to its end, or
    /// a model that was damaged since. One that a newer zoo wrote is left alone.
    fn unfinished_models(&self, dry_run: bool, report: &mut GcReport) -> Result<()> {
        let mut found = Vec::new();
        super::walk(&self.layout().models(), super::MAX_DEPTH, &mut |folder| {
            let whole = !matches!(StoredModel::read(folder), Ok(None) | Err(Error::Manifest { .. }));
            if !whole && folder.join("original").is_dir() {
                found.push(folder.to_owned());
                return true;
            }
            whole
        })?;
        for folder in found {
            let key = self.key_of_folder(&folder);
            let lock = match &key {
                Some(key) => try_lock(&self.layout().lock_for_model(key))?,
                None => None,
            };
            if key.is_some() && lock.is_none() {
                report.in_use.push("an unfinished pull".into());
                continue;
            }
            let bytes = bytes_below(&folder);
            if !dry_run {
                self.remove_folder(&folder)?;
            }
            report.removed.push(Removed { what: "unfinished".into(), path: folder, bytes });
        }
        Ok(())
    }

    /// The key whose folder this is: the inverse of the layout's encoding.
    fn key_of_folder(&self, folder: &Path) -> Option<super::ModelKey> {
        let relative = folder.strip_prefix(self.layout().models()).ok()?;
        let mut parts = Vec::new();
        for part in relative.components() {
            parts.push(decode(part.as_os_str().to_str()?)?);
        }
        let revision = parts.pop()?;
        let ecosystem = (!parts.is_empty()).then(|| parts.remove(0))?;
        let key = super::ModelKey::new(&ecosystem, &parts.join("/"), &revision).ok()?;
        (self.layout().model(&key) == folder).then_some(key)
    }
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn last_used(model: &StoredModel) -> SystemTime {
    let manifest = model.folder.join(manifest::FILE_NAME);
    std::fs::metadata(manifest).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Bytes in a file, or in all files below a folder. Links are not followed.
fn bytes_below(path: &Path) -> u64 {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    fs::list_dir(path).unwrap_or_default().iter().map(|e| bytes_below(&e.path())).sum()
}

/// Windows refuses to delete read-only files; elsewhere only the folder's permission counts.
fn make_removable(folder: &Path) {
    if !cfg!(windows) {
        return;
    }
    for entry in fs::list_dir(folder).unwrap_or_default() {
        let path = entry.path();
        if path.is_dir() {
            make_removable(&path);
        } else if let Ok(meta) = entry.metadata() {
            let mut permissions = meta.permissions();
            #[expect(
                clippy::permissions_set_readonly_false,
                reason = "only on Windows, just before deleting"
            )]
            permissions.set_readonly(false);
            let _ = std::fs::set_permissions(&path, permissions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plant;
    use super::*;

    fn age(model: &StoredModel, days: u64) {
        let manifest = model.folder.join(manifest::FILE_NAME);
        let file = std::fs::File::options().append(true).open(manifest).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(days * 24)).unwrap();
    }

    #[test]
    fn removing_a_model_removes_empty_parents_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let one = plant(&store, "org/a", "r1", b"1");
        let two = plant(&store, "org/a", "r2", b"2");
        store.remove(&one).unwrap();
        assert_eq!(store.models().unwrap().len(), 1);
        store.remove(&two).unwrap();
        assert!(fs::list_dir(&store.layout().models()).unwrap().is_empty());
    }

    #[test]
    fn age_and_size_choose_the_longest_unused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let old = plant(&store, "old", "r", &[0; 1000]);
        let new = plant(&store, "new", "r", &[1; 1000]);
        age(&old, 10);
        age(&new, 1);
        let week = GcOptions { older_than: Some(Duration::from_hours(7 * 24)), ..GcOptions::default() };
        let dry = store.gc(&GcOptions { dry_run: true, ..week.clone() }).unwrap();
        assert_eq!(dry.removed.len(), 1);
        assert_eq!(store.models().unwrap().len(), 2);
        let by_size = GcOptions { max_bytes: Some(3000), ..GcOptions::default() };
        assert_eq!(store.gc(&by_size).unwrap().removed.len(), 0);
        assert_eq!(
            store.gc(&GcOptions { max_bytes: Some(2000), ..by_size }).unwrap().removed[0].what,
            "onnx:old"
        );
        store.touch(&new);
        assert!(store.gc(&week).unwrap().removed.is_empty());
    }

    #[test]
    fn what_somebody_works_on_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let model = plant(&store, "a", "r", b"1");
        let lock = try_lock(&store.layout().lock_for_model(&model.key())).unwrap().unwrap();
        assert!(store.remove(&model).is_err());
        let everything = GcOptions { max_bytes: Some(0), unfinished: true, ..GcOptions::default() };
        assert_eq!(store.gc(&everything).unwrap().in_use, ["onnx:a"]);
        drop(lock);
        assert_eq!(store.gc(&everything).unwrap().removed.len(), 1);
    }

    #[test]
    fn unfinished_things_go_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let model = plant(&store, "org/a b", "refs/x", b"12345");
        fs::remove_file(&model.folder.join(manifest::FILE_NAME)).unwrap();
        fs::create_dir_all(&store.layout().partials()).unwrap();
        fs::write_atomic(&store.layout().partials().join("k.data"), b"123", false).unwrap();
        assert!(store.gc(&GcOptions::default()).unwrap().removed.is_empty());
        assert_eq!(store.key_of_folder(&model.folder), Some(model.key()));
        let unfinished = GcOptions { unfinished: true, ..GcOptions::default() };
        let report = store.gc(&unfinished).unwrap();
        assert_eq!(report.removed.iter().map(|r| r.bytes).sum::<u64>(), 8);
        assert!(!model.folder.exists());

        let [damaged, newer] = ["damaged", "newer"].map(|name| plant(&store, name, "r", b"1"));
        fs::write_atomic(&damaged.folder.join(manifest::FILE_NAME), b"{", false).unwrap();
        fs::write_atomic(&newer.folder.join(manifest::FILE_NAME), b"{\"schema\":99}", false).unwrap();
        store.gc(&unfinished).unwrap();
        assert!(!damaged.folder.exists() && newer.folder.exists());
    }
}
