//! Filling a model's folder: the one way by which files get their names in the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::layout::ModelKey;
use super::lock::Lock;
use super::{Store, StoredModel, lock, place};
use crate::blocking;
use crate::digest::{Digest, Digests};
use crate::error::{Error, Result};
use crate::fetch::{Fetched, check_space};
use crate::fs;
use crate::manifest::{FileEntry, Manifest, Staged};
use crate::path::EntryPath;
use crate::progress::Event;
use crate::remote::RemoteFile;
use crate::zoo::Zoo;

/// The folder of originals within a model's folder.
pub(crate) const ORIGINAL: &str = "original";

/// What a pull begins with.
#[derive(Debug)]
pub enum Begin {
    /// The model is here, whole. No network was used.
    Stored(Box<StoredModel>),
    /// It is not, or it is damaged: fetch its files.
    Fresh(Box<Pull>),
}

/// A model's folder being filled, under the model's lock. Dropping it leaves what arrived for the next attempt.
#[derive(Debug)]
pub struct Pull {
    zoo: Zoo,
    key: ModelKey,
    folder: PathBuf,
    entries: Vec<FileEntry>,
    before: Option<Manifest>,
    lock: Arc<Lock>,
}

impl Zoo {
    /// Takes the model's lock and looks whether it is here. Offline, a fresh pull can still take what is on this machine.
    pub async fn begin(&self, key: &ModelKey) -> Result<Begin> {
        // The usual case needs no lock: a whole model does not change.
        if let Some(model) = self.whole(key).await? {
            return Ok(Begin::Stored(Box::new(model)));
        }
        let mut pull = self.pull(key, None).await?;
        // Somebody may have finished it while we waited.
        if let Some(model) = self.whole(key).await? {
            return Ok(Begin::Stored(Box::new(model)));
        }
        // What is being repaired keeps what people and other programs noted in its manifest.
        pull.before = self.store().get(key).ok().flatten().map(|model| model.manifest);
        Ok(Begin::Fresh(Box::new(pull)))
    }

    /// Adds files to a model that is here.
    pub async fn extend(&self, model: &StoredModel) -> Result<Pull> {
        let mut pull = self.pull(&model.key(), Some(model.manifest.clone())).await?;
        // Read again under the lock: another process may have added something meanwhile.
        if let Some(now) = self.store().get(&pull.key)? {
            pull.entries.clone_from(&now.manifest.files);
            pull.before = Some(now.manifest);
        }
        Ok(pull)
    }

    /// Whether every one of these files is on this machine already: in the store, or in another tool's cache. What is there is
    /// proved only when it is taken.
    pub fn has_copies(&self, files: &[RemoteFile]) -> bool {
        files.iter().all(|file| {
            let own = file.sha256().is_some_and(|sha256| !self.store().places(&sha256, file.size).is_empty());
            let fits = |path: &PathBuf| fs::file_len(path).is_some_and(|n| file.size.is_none_or(|s| s == n));
            own || file.local.iter().any(fits)
        })
    }

    async fn pull(&self, key: &ModelKey, before: Option<Manifest>) -> Result<Pull> {
        let path = self.store().layout().lock_for_model(key);
        let lock = lock(&path, key.name.as_str(), self.listener()).await?;
        let folder = self.store().folder(key);
        fs::create_dir_all(&folder.join(ORIGINAL))?;
        Ok(Pull {
            zoo: self.clone(),
            key: key.clone(),
            folder,
            entries: Vec::new(),
            before,
            lock: Arc::new(lock),
        })
    }

    async fn whole(&self, key: &ModelKey) -> Result<Option<StoredModel>> {
        let (store, key) = (self.store().clone(), key.clone());
        blocking(move || {
            let model = match store.get(&key) {
                Err(error @ Error::Manifest { .. }) => {
                    tracing::warn!(%error, "repairing");
                    return Ok(None);
                }
                other => other?,
            };
            let Some(model) = model else { return Ok(None) };
            if Store::looks_whole(&model) {
                store.touch(&model);
                return Ok(Some(model));
            }
            tracing::warn!(folder = %model.folder.display(), "damaged since it was pulled; repairing");
            Ok(None)
        })
        .await
    }
}

impl Pull {
    /// The model's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of originals.
    pub fn originals(&self) -> PathBuf {
        self.folder.join(ORIGINAL)
    }

    /// What identifies the model.
    pub fn key(&self) -> &ModelKey {
        &self.key
    }

    /// The originals so far.
    pub fn entries(&self) -> &[FileEntry] {
        &self.entries
    }

    /// Brings files to `original/`, several at once: from this folder, from the store, from the ecosystem's own cache or
    /// from the hub, whichever comes first. Each is visible only when it is proved.
    pub async fn fetch(&mut self, files: &[RemoteFile]) -> Result<()> {
        let missing: u64 =
            files.iter().filter(|f| !self.target(&f.path).exists()).filter_map(|f| f.size).sum();
        let begun: u64 = files.iter().map(|f| self.begun(f)).sum();
        check_space(self.zoo.store().home(), missing.saturating_sub(begun))?;
        let at_once = self.zoo.fetcher().options().files_at_once.max(1);
        let this = &*self;
        // Boxed, so that the compiler can prove the whole future `Send` and callers can spawn it.
        let jobs: Vec<BoxFuture<'_, Result<FileEntry>>> =
            files.iter().map(|file| this.one(file).boxed()).collect();
        let entries: Vec<FileEntry> = stream::iter(jobs).buffer_unordered(at_once).try_collect().await?;
        for entry in entries {
            self.entries.retain(|e| e.path != entry.path);
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Fetches a file that is not kept as it is (an archive): proved, under a temporary name, to be given to
    /// [`Pull::discard`] when its content was taken out.
    pub async fn fetch_temporary(&self, file: &RemoteFile) -> Result<Fetched> {
        let (fetched, _) = self.transfer(file).await?;
        self.zoo.listener().send(|| Event::Done { file: fetched.id, size: fetched.size });
        Ok(fetched)
    }

    /// Removes a temporary file.
    pub fn discard(&self, fetched: &Fetched) -> Result<()> {
        fs::remove_file(&fetched.data.with_extension("json"))?;
        fs::remove_file(&fetched.data)
    }

    /// An empty private folder on the store's file system, for unpacking. Removed when dropped.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let partials = self.zoo.store().layout().partials();
        fs::create_dir_all(&partials)?;
        tempfile::Builder::new()
            .prefix("unpack-")
            .tempdir_in(&partials)
            .map_err(Error::io("create a folder in", partials))
    }

    /// Moves a file that was taken out of a proved archive to `original/`. `digests` are of its content; `published`
    /// must hold.
    pub async fn keep(
        &mut self,
        path: EntryPath,
        from: &Path,
        digests: Digests,
        published: Vec<Digest>,
        source: String,
    ) -> Result<()> {
        if let Err(mismatch) = digests.check(&published) {
            let (expected, found) = (mismatch.expected, mismatch.found);
            return Err(Error::WrongDigest { file: path.to_string(), origin: source, expected, found });
        }
        let entry = self.publish(path, from.to_owned(), digests, published, source).await?;
        self.entries.retain(|e| e.path != entry.path);
        self.entries.push(entry);
        Ok(())
    }

    /// The model is whole: writes its manifest, last of all. `describe` fills in what the model is.
    pub async fn commit(self, handle: String, describe: impl FnOnce(&mut Manifest)) -> Result<StoredModel> {
        let ModelKey { ecosystem, name, revision } = self.key.clone();
        let mut entries = self.entries.clone();
        entries.extend(self.still_good().await?);
        let mut manifest = Manifest::new(handle, ecosystem, name, revision, entries);
        if let Some(before) = &self.before {
            let is_here = |staged: &&Staged| staged.path.under(&self.folder).exists();
            manifest.asked_for.clone_from(&before.asked_for);
            manifest.staged = before.staged.iter().filter(is_here).cloned().collect();
            manifest.model.clone_from(&before.model);
            manifest.other.clone_from(&before.other);
            manifest.pulled = before.pulled;
        }
        describe(&mut manifest);
        let (folder, home) = (self.folder.clone(), self.zoo.store().home().to_owned());
        let model = blocking(move || {
            sync_up_to(&folder.join(ORIGINAL), &home)?;
            manifest.write(&folder)?;
            Ok::<_, Error>(StoredModel { folder, manifest })
        })
        .await?;
        drop(self.lock);
        Ok(model)
    }

    /// Files that the manifest listed before, that this pull did not bring, and that are as they were (test data, say).
    async fn still_good(&self) -> Result<Vec<FileEntry>> {
        let listed = self.before.iter().flat_map(|before| &before.files);
        let others: Vec<FileEntry> =
            listed.filter(|old| self.entries.iter().all(|new| new.path != old.path)).cloned().collect();
        let folder = self.folder.clone();
        blocking(move || {
            let is_good = |entry: &FileEntry| {
                let found = place::hash_file(&entry.path.under(&folder), &[]);
                found.is_ok_and(|digests| digests.sha256() == entry.sha256)
            };
            Ok(others.into_iter().filter(is_good).collect())
        })
        .await
    }

    fn target(&self, path: &EntryPath) -> PathBuf {
        path.under(&self.originals())
    }

    /// Bytes of an unfinished transfer.
    fn begun(&self, file: &RemoteFile) -> u64 {
        let partial = self.zoo.store().layout().partial(file).with_extension("data");
        // A file of ranges has holes: only what is allocated counts, and that is asked where the system tells.
        allocated(&partial).min(file.size.unwrap_or(0))
    }

    async fn one(&self, file: &RemoteFile) -> Result<FileEntry> {
        if let Some(entry) = self.already_here(file).await? {
            return Ok(entry);
        }
        if let Some(entry) = self.reuse(file).await? {
            return Ok(entry);
        }
        if self.zoo.offline() {
            return Err(Error::Offline { what: format!("`{}`", file.path), nearest: Vec::new() });
        }
        let (fetched, lock) = self.transfer(file).await?;
        let (id, size) = (fetched.id, fetched.size);
        let state = fetched.data.with_extension("json");
        let Fetched { data, digests, published, source, .. } = fetched;
        let entry = self.publish(file.path.clone(), data, digests, published, source).await?;
        fs::remove_file(&state)?;
        drop(lock);
        self.zoo.listener().send(|| Event::Done { file: id, size });
        Ok(entry)
    }

    async fn transfer(&self, file: &RemoteFile) -> Result<(Fetched, Arc<Lock>)> {
        let layout = self.zoo.store().layout();
        let partial = layout.partial(file);
        let path = layout.lock_for_partial(&partial);
        let lock = Arc::new(lock(&path, file.path.as_str(), self.zoo.listener()).await?);
        let guard: Arc<Lock> = Arc::clone(&lock);
        let fetched = self.zoo.fetcher().fetch(file, &partial, guard).await?;
        Ok((fetched, lock))
    }

    /// An earlier, unfinished pull may have brought the file to its place already.
    async fn already_here(&self, file: &RemoteFile) -> Result<Option<FileEntry>> {
        let target = self.target(&file.path);
        let Some(size) = fs::file_len(&target) else { return Ok(None) };
        let published = file.digests.clone();
        let path = target.clone();
        let digests = blocking(move || place::hash_file(&path, &published)).await?;
        let fits = digests.check(&file.digests).is_ok() && file.size.is_none_or(|n| n == size);
        if !fits || file.digests.is_empty() {
            // Without a published digest nothing says whether a file that no manifest vouches for is whole.
            tracing::warn!(file = %file.path, "the copy in the store is not the published file; fetching it again");
            fs::remove_file(&target)?;
            return Ok(None);
        }
        let full = Self::folder_path(&file.path)?;
        let source = self.before.iter().flat_map(|m| &m.files).find(|e| e.path == full).map_or_else(
            || file.sources.first().map(crate::http::shown).unwrap_or_default(),
            |e| e.source.clone(),
        );
        let mut entry = FileEntry::new(full, size, digests.sha256(), file.digests.clone(), source);
        entry.mtime_ns = place::mtime_ns(&target);
        Ok(Some(entry))
    }

    /// The same content in another model of the store, or in the ecosystem's own cache.
    async fn reuse(&self, file: &RemoteFile) -> Result<Option<FileEntry>> {
        if file.digests.is_empty() {
            return Ok(None);
        }
        let store = self.zoo.store().clone();
        let own = file.sha256().map(|sha256| store.places(&sha256, file.size)).unwrap_or_default();
        let target = self.target(&file.path);
        let foreign =
            file.local.iter().filter(|p| fs::file_len(p).is_some_and(|n| file.size.is_none_or(|s| s == n)));
        let candidates: Vec<(PathBuf, bool)> =
            own.into_iter().map(|p| (p, true)).chain(foreign.map(|p| (p.clone(), false))).collect();
        for (from, is_own) in candidates.into_iter().filter(|(from, _)| *from != target) {
            // Another library may change its own file; a hard link would let it change ours.
            let hard_link = is_own && self.zoo.hard_links();
            let scratch = self.scratch()?;
            let temporary = scratch.path().join("file");
            let (source, to, published) = (from.clone(), temporary.clone(), file.digests.clone());
            let digests = match blocking(move || place::duplicate(&source, &to, hard_link, &published)).await
            {
                Ok(digests) => digests,
                Err(error @ Error::NoSpace { .. }) => return Err(error),
                Err(error) => {
                    tracing::info!(from = %from.display(), %error, "not reused");
                    continue;
                }
            };
            if let Err(mismatch) = digests.check(&file.digests) {
                tracing::warn!(from = %from.display(), found = %mismatch.found, "not reused: the content differs");
                continue;
            }
            let size = digests.length;
            let source = from.display().to_string();
            let entry =
                self.publish(file.path.clone(), temporary, digests, file.digests.clone(), source).await?;
            self.zoo.listener().send(|| Event::Reused { path: file.path.as_str(), from: &from, size });
            return Ok(Some(entry));
        }
        Ok(None)
    }

    fn folder_path(path: &EntryPath) -> Result<EntryPath> {
        Ok(path.below(&EntryPath::new(ORIGINAL)?))
    }

    /// Gives a proved, flushed file its name: read-only first, then the rename, then the folder is flushed.
    async fn publish(
        &self,
        path: EntryPath,
        from: PathBuf,
        digests: Digests,
        published: Vec<Digest>,
        source: String,
    ) -> Result<FileEntry> {
        let to = self.target(&path);
        let full = Self::folder_path(&path)?;
        let store = self.zoo.store().clone();
        blocking(move || {
            fs::create_parent(&to)?;
            fs::make_read_only(&from)?;
            fs::rename(&from, &to)?;
            if let Some(parent) = to.parent() {
                fs::sync_dir(parent)?;
            }
            if let Err(error) = store.add_place(&digests.sha256, &to) {
                // Only a hint is lost.
                tracing::info!(%error, "not indexed");
            }
            let mut entry = FileEntry::new(full, digests.length, digests.sha256(), published, source);
            entry.mtime_ns = place::mtime_ns(&to);
            Ok(entry)
        })
        .await
    }
}

/// Flushes a folder and those above it up to the home, so that new folders survive a power cut.
fn sync_up_to(folder: &Path, home: &Path) -> Result<()> {
    for folder in folder.ancestors().take_while(|p| p.starts_with(home)) {
        fs::sync_dir(folder)?;
    }
    Ok(())
}

#[cfg(unix)]
fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).map_or(0, |m| m.blocks() * 512)
}

#[cfg(not(unix))]
fn allocated(path: &Path) -> u64 {
    fs::file_len(path).unwrap_or(0)
}
