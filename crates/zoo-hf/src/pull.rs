//! From a handle to the wanted files in the store: one commit first, then the small files that decide, then the rest, all of that
//! commit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zoo_core::error::ErrorKind;
use zoo_core::handle::{Handle, Revision};
use zoo_core::manifest::Manifest;
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::store::{Begin, Pull};
use zoo_core::{Error as CoreError, blocking, fs};

use crate::error::{Error, Result};
use crate::facts::{self, Told};
use crate::hub::{Hub, Resolution};
use crate::model::Model;
use crate::name::Asked;
use crate::select::{Knows, Refusal, Selection, Small, Step, Wanted, select};

/// The index of a model with a hundred thousand tensors is some ten megabytes.
const MAX_SMALL: u64 = 64 << 20;

/// Configuration, then modules, then an index for each: more rounds than any repository needs.
const MAX_ROUNDS: usize = 16;

/// Where the manifest keeps what only this crate knows.
const FIELD: &str = "repository";

/// What a manifest notes of the repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Names that the repository was asked for by, today's not among them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) names: BTreeSet<String>,
    /// What was selected, by [`Wanted::key`].
    #[serde(default)]
    pub(crate) selected: BTreeMap<String, Selection>,
}

impl Record {
    /// What the manifest notes; nothing if it cannot be read.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let field = manifest.other.get(FIELD).cloned().unwrap_or_default();
        serde_json::from_value(field).unwrap_or_default()
    }

    fn write(&self, manifest: &mut Manifest) {
        manifest.other.insert(FIELD.to_owned(), serde_json::json!(self));
    }
}

/// Where the wanted commit is.
enum Found {
    /// In the store.
    Here(Box<Model>),
    /// At the hub, or in its cache.
    There(Box<Resolution>),
}

impl Hub {
    /// Brings what is wanted of a model to the store: from the store itself, from the hub's cache on this machine, or from the
    /// hub. All files are of the commit that the revision means now; a commit that is here whole needs no request.
    pub async fn pull(&self, handle: &Handle, wanted: &Wanted) -> Result<Model> {
        let asked = Asked::of(handle)?;
        let mut wanted = wanted.clone();
        wanted.extra.extend(asked.file.clone());
        let named = handle.revision.as_ref().map(Revision::as_str);
        if let Some(model) = self.stored(&asked.id, named)?.filter(|_| asked.is_fixed() || self.zoo.offline())
            && let Some(model) = self.whole(&model).await?
            && (model.has(&wanted) || (self.zoo.offline() && serves(model.manifest(), &wanted)))
        {
            return Ok(model);
        }
        let found = match self.resolve_unless(&asked, &handle.to_string(), &wanted).await {
            Ok(Found::Here(model)) => return Ok(*model),
            Ok(Found::There(found)) => *found,
            // What is here serves while the hub cannot be reached; it may be older than what the hub has.
            Err(error) if error.kind() == ErrorKind::Network => {
                let stored = match self.stored(&asked.id, named)? {
                    Some(stored) => self.whole(&stored).await?,
                    None => None,
                };
                let Some(model) = stored.filter(|model| serves(model.manifest(), &wanted)) else {
                    return Err(error);
                };
                tracing::warn!(%error, "using what is in the store");
                return Ok(model);
            }
            Err(error) => return Err(error),
        };
        let mut pull = match self.zoo.begin(&found.key).await? {
            Begin::Fresh(pull) => *pull,
            Begin::Stored(stored) => {
                let model = Model::new(self.zoo.clone(), *stored);
                if model.has(&wanted) && is_noted(model.manifest(), &asked) {
                    return Ok(model);
                }
                self.zoo.extend(model.stored()).await?
            }
        };
        let selection = self.bring(&mut pull, &found, &asked, &wanted).await?;
        let told = told(&pull, &selection.root).await?;
        let handle = found.handle.clone();
        let stored = pull
            .commit(handle, |manifest| {
                let mut record = Record::of(manifest);
                note(manifest, &mut record, &asked);
                record.selected.insert(wanted.key(), selection);
                record.write(manifest);
                // Offline the hub's own word of an earlier pull stays.
                if !found.info.tags.is_empty() || manifest.model.documentation.is_none() {
                    manifest.model.other.extend(found.facts().other);
                    let known = found.facts();
                    manifest.model.tags = known.tags;
                    manifest.model.licence = known.licence.or(manifest.model.licence.take());
                    manifest.model.documentation = known.documentation;
                }
                facts::of_files(&told, &mut manifest.model);
            })
            .await?;
        let model = Model::new(self.zoo.clone(), stored);
        self.take_from_others(&model, &asked).await?;
        Ok(model)
    }

    /// A branch means one commit: the one that it meant before is no longer asked for by its name.
    async fn take_from_others(&self, model: &Model, asked: &Asked) -> Result<()> {
        if asked.is_fixed() {
            return Ok(());
        }
        let key = model.stored().key();
        for other in self.zoo.store().models()? {
            let named = other.key();
            let is_other =
                named.ecosystem == key.ecosystem && named.name == key.name && named.revision != key.revision;
            if is_other && other.manifest.asked_for.contains(&asked.revision) {
                let handle = other.manifest.handle.clone();
                let pull = self.zoo.extend(&other).await?;
                pull.commit(handle, |manifest| manifest.asked_for.retain(|name| *name != asked.revision))
                    .await?;
            }
        }
        Ok(())
    }

    /// What the handle stands for; or, if the commit that it stands for is here with all that is wanted, the model. Then one
    /// question was enough.
    async fn resolve_unless(&self, asked: &Asked, shown: &str, wanted: &Wanted) -> Result<Found> {
        if self.zoo.offline() {
            return Ok(Found::There(Box::new(self.resolve_asked(asked, shown).await?)));
        }
        let info = self.info(asked).await?;
        if let Some(stored) =
            self.stored(&info.id, Some(&info.sha))?.filter(|stored| is_noted(&stored.manifest, asked))
            && let Some(model) = self.whole(&stored).await?
            && model.has(wanted)
        {
            return Ok(Found::Here(Box::new(model)));
        }
        Ok(Found::There(Box::new(self.with_files(info).await?)))
    }

    /// Fetches what decides, decides, and fetches the rest.
    async fn bring(
        &self,
        pull: &mut Pull,
        found: &Resolution,
        asked: &Asked,
        wanted: &Wanted,
    ) -> Result<Selection> {
        let refused = |refusal: Refusal| match refusal {
            Refusal::NoFile { path, nearest } => Error::FileMissing {
                id: found.info.id.clone(),
                path,
                revision: asked.revision.clone(),
                nearest,
            },
            refusal => Error::Refused { id: found.info.id.clone(), refusal },
        };
        let knows = self.config.knows;
        let knows = knows.as_ref().map(|knows| knows as Knows<'_>);
        let mut small = Small::new();
        for _ in 0..MAX_ROUNDS {
            match select(&found.listing, &small, wanted, knows).map_err(refused)? {
                Step::Done(selection) => {
                    self.fetch(pull, found, asked, &selection.files).await?;
                    return Ok(selection);
                }
                Step::Read(paths) => {
                    self.fetch(pull, found, asked, &paths).await?;
                    read(pull, paths, &mut small).await?;
                }
            }
        }
        let reason = "it never tells which files are its weights".to_owned();
        Err(Error::Listing { id: found.info.id.clone(), reason })
    }

    async fn fetch(
        &self,
        pull: &mut Pull,
        found: &Resolution,
        asked: &Asked,
        paths: &[EntryPath],
    ) -> Result<()> {
        let wanted: BTreeSet<&EntryPath> = paths.iter().collect();
        let is_here = |file: &RemoteFile| {
            let path = file.path.as_str();
            pull.entries().iter().any(|entry| entry.path.as_str().strip_prefix("original/") == Some(path))
        };
        let files: Vec<RemoteFile> = found
            .files
            .iter()
            .filter(|file| wanted.contains(&file.path) && !is_here(file))
            .cloned()
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        match pull.fetch(&files).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let path = failed(&error, &files);
                Err(self.api.explain_file(&found.info.id, &asked.revision, path.as_deref(), error))
            }
        }
    }
}

/// The file that a failure is about.
fn failed(error: &CoreError, files: &[RemoteFile]) -> Option<String> {
    let CoreError::Http(failure) = error else { return None };
    let is_it = |file: &&RemoteFile| file.sources.iter().any(|url| zoo_core::http::shown(url) == failure.url);
    files.iter().find(is_it).map(|file| file.path.to_string())
}

/// Whether everything that is wanted was selected and pulled.
pub(crate) fn has(manifest: &Manifest, wanted: &Wanted) -> bool {
    Record::of(manifest).selected.contains_key(&wanted.key()) && serves(manifest, wanted)
}

/// Whether everything that is wanted is here: as it was selected, or because it was pulled as it is, or everything was. Then nobody
/// looked yet whether anything can be made of it.
fn serves(manifest: &Manifest, wanted: &Wanted) -> bool {
    let here = |path: &EntryPath| {
        let files = &manifest.files;
        files.iter().any(|file| file.path.as_str().strip_prefix("original/") == Some(path.as_str()))
    };
    let selected = &Record::of(manifest).selected;
    let (all, as_it_is) =
        (Wanted { all: true, ..Wanted::default() }, Wanted { as_it_is: true, ..wanted.clone() });
    let chosen = [wanted, &as_it_is, &all].into_iter().find_map(|wanted| selected.get(&wanted.key()));
    chosen.is_some_and(|selection| selection.files.iter().all(here)) && wanted.extra.iter().all(here)
}

/// Whether the manifest knows the words that were used.
fn is_noted(manifest: &Manifest, asked: &Asked) -> bool {
    let revision =
        asked.revision == manifest.revision.as_str() || manifest.asked_for.contains(&asked.revision);
    revision && (asked.id == manifest.name.as_str() || Record::of(manifest).names.contains(&asked.id))
}

fn note(manifest: &mut Manifest, record: &mut Record, asked: &Asked) {
    if asked.id != manifest.name.as_str() {
        record.names.insert(asked.id.clone());
    }
    if asked.revision != manifest.revision.as_str() {
        // The newest last, each once.
        manifest.asked_for.retain(|known| *known != asked.revision);
        manifest.asked_for.push(asked.revision.clone());
    }
}

/// Reads small files that were fetched.
async fn read(pull: &Pull, paths: Vec<EntryPath>, small: &mut Small) -> Result<()> {
    let folder = pull.originals();
    let contents = blocking(move || {
        let read = |path: EntryPath| Ok((path.clone(), fs::read_bounded(&path.under(&folder), MAX_SMALL)?));
        paths.into_iter().map(read).collect::<zoo_core::Result<Vec<_>>>()
    })
    .await?;
    small.extend(contents);
    Ok(())
}

/// What the small files say. One that cannot be read says nothing here; whoever needs it will say so.
async fn told(pull: &Pull, root: &str) -> Result<Told> {
    let (folder, root) = (pull.originals(), root.to_owned());
    blocking(move || {
        let bytes = |name: &str| {
            let path = EntryPath::new(name).ok()?.under(&folder);
            path.is_file().then(|| fs::read_bounded(&path, MAX_SMALL).ok()).flatten()
        };
        let json = |name: &str| serde_json::from_slice::<Value>(&bytes(&format!("{root}{name}"))?).ok();
        Ok(Told {
            card: bytes("README.md"),
            config: json("config.json"),
            processor: json("preprocessor_config.json").or_else(|| json("processor_config.json")),
        })
    })
    .await
}
