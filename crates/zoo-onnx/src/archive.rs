//! What is taken out of the hub's archives: the models that exist nowhere else, and the published test data.

use std::path::{Path, PathBuf};

use zoo_core::archive::{self, ArchiveKind, ExtractOptions, Select};
use zoo_core::digest::Digest;
use zoo_core::error::ErrorKind;
use zoo_core::manifest::Manifest;
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::store::{Pull, hash_file};
use zoo_core::{Error as CoreError, blocking};

use crate::catalog::{Archive, Entry};
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::model::Model;

/// Where a member of an archive goes, with the digests that must hold; `None` leaves it out. Sees all members first.
type Place<'a> = dyn FnMut(&[EntryPath], &EntryPath) -> Option<(EntryPath, Vec<Digest>)> + Send + 'a;

impl Hub {
    /// The folders with published inputs and outputs, fetched when they are not here yet.
    pub async fn test_data(&self, model: &Model) -> Result<Vec<PathBuf>> {
        let stored = model.stored();
        let here = data_sets(&stored.manifest, &stored.folder);
        if !here.is_empty() {
            return Ok(here);
        }
        let name = stored.manifest.name.as_str();
        let no_data = || Error::NoTestData { name: name.to_owned() };
        if self.zoo.offline() {
            let what = format!("the test data of `{}`", stored.manifest.handle);
            return Err(CoreError::Offline { what, nearest: Vec::new() }.into());
        }
        let catalog = self.catalog().await;
        let archive = catalog.find(name, None)?.archive.clone().ok_or_else(no_data)?;
        let mut pull = self.zoo.extend(stored).await?;
        self.unpack(&mut pull, &archive, &mut |_, path| {
            let mut parts = path.as_str().rsplit('/');
            let (file, set) = (parts.next()?, parts.next()?);
            let wanted = set.starts_with("test_data_set_") && has_extension(file, &["pb", "npz"]);
            wanted.then(|| EntryPath::new(format!("{set}/{file}")).ok()).flatten().map(|p| (p, Vec::new()))
        })
        .await?;
        let handle = stored.manifest.handle.clone();
        let model = pull.commit(handle, |_| {}).await?;
        let sets = data_sets(&model.manifest, &model.folder);
        if sets.is_empty() { Err(no_data()) } else { Ok(sets) }
    }

    /// Some models exist only inside their archive. `error` is why the model alone could not be had.
    pub(crate) async fn take_from_archive(
        &self,
        pull: &mut Pull,
        entry: &Entry,
        error: CoreError,
    ) -> Result<()> {
        let gone = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Denied);
        let (Some(archive), true) = (&entry.archive, gone) else { return Err(error.into()) };
        tracing::info!(%error, "taking the model out of its archive");
        let model = EntryPath::new(entry.file_name()).map_err(CoreError::from)?;
        let digests: Vec<Digest> = entry.sha256.clone().into_iter().collect();
        let mut folder = None;
        self.unpack(pull, archive, &mut |members, path| {
            // Archives name the model in several ways; the only .onnx in it is meant, and its digest proves it.
            if folder.is_none() {
                let mut models = members.iter().filter(|m| has_extension(m.file_name(), &["onnx"]));
                let first = models.next()?;
                folder =
                    Some(first.as_str().rsplit_once('/').map_or(String::new(), |(f, _)| format!("{f}/")));
            }
            let inside = path.as_str().strip_prefix(folder.as_deref().unwrap_or_default())?;
            if has_extension(path.file_name(), &["onnx"]) {
                return Some((model.clone(), digests.clone()));
            }
            EntryPath::new(inside).ok().map(|p| (p, Vec::new()))
        })
        .await?;
        let name = format!("original/{model}");
        if pull.entries().iter().any(|e| e.path.as_str() == name) { Ok(()) } else { Err(error.into()) }
    }

    /// Fetches an archive, proves it, unpacks it privately and keeps the members for which `place` names a path (and the
    /// digests that must hold). `place` sees all members first.
    async fn unpack(&self, pull: &mut Pull, archive: &Archive, place: &mut Place<'_>) -> Result<()> {
        let path = EntryPath::new(archive.path.file_name()).map_err(CoreError::from)?;
        let mut file = RemoteFile::new(path, self.resolve_url("legacy_models", archive.path.as_str()));
        file.size = Some(archive.bytes);
        file.digests.push(archive.sha256.clone());
        if let Some(stem) = archive.path.file_name().strip_suffix(".tar.gz") {
            file.sources.push(self.resolve_url(stem, archive.path.file_name()));
        }
        let fetched = pull.fetch_temporary(&file).await?;
        let scratch = pull.scratch()?;
        let (data, dest) = (fetched.data.clone(), scratch.path().to_owned());
        let members = blocking(move || unpack_all(&data, &dest)).await?;
        let names: Vec<EntryPath> = members.iter().map(|m| m.path.clone()).collect();
        let source = format!("{} (in {})", fetched.source, archive.path.file_name());
        for name in &names {
            let Some((target, published)) = place(&names, name) else { continue };
            let from = name.under(scratch.path());
            let (path, wanted) = (from.clone(), published.clone());
            let digests = blocking(move || hash_file(&path, &wanted)).await?;
            pull.keep(target, &from, digests, published, source.clone()).await?;
        }
        pull.discard(&fetched)?;
        Ok(())
    }
}

fn unpack_all(data: &Path, dest: &Path) -> Result<Vec<archive::Extracted>> {
    let file = zoo_core::fs::open(data)?;
    let kind = sniff(data)?.ok_or_else(|| CoreError::Answer {
        url: data.display().to_string(),
        reason: "it should be an archive, and is none".into(),
    })?;
    let options = ExtractOptions { durable: true, ..ExtractOptions::default() };
    Ok(archive::extract(file, kind, dest, &options, &mut |_| Select::Extract).map_err(CoreError::from)?)
}

/// What kind of archive a file is, if any.
pub(crate) fn sniff(path: &Path) -> Result<Option<ArchiveKind>> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let io = |source| CoreError::Io { action: "read", path: path.to_owned(), source };
    zoo_core::fs::open(path)?.take(ArchiveKind::HEAD as u64).read_to_end(&mut head).map_err(io)?;
    Ok(ArchiveKind::sniff(&head))
}

fn data_sets(manifest: &Manifest, folder: &Path) -> Vec<PathBuf> {
    let mut sets: Vec<PathBuf> = manifest
        .files
        .iter()
        .filter_map(|f| f.path.as_str().strip_prefix("original/")?.split_once('/'))
        .filter(|(set, _)| set.starts_with("test_data_set_"))
        .map(|(set, _)| folder.join("original").join(set))
        .collect();
    sets.sort();
    sets.dedup();
    sets
}

fn has_extension(name: &str, wanted: &[&str]) -> bool {
    Path::new(name).extension().and_then(|e| e.to_str()).is_some_and(|e| wanted.contains(&e))
}
