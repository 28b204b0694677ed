//! The hub's face: listing, searching, and the way from a handle to a verified model. Where its files are is in
//! `sources`, what is taken out of archives in `archive`.

use std::path::PathBuf;

use url::Url;
use zoo_core::handle::{Handle, Revision};
use zoo_core::manifest::{Manifest, Staged};
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::stage::Target;
use zoo_core::store::{Begin, ModelKey};
use zoo_core::{Error as CoreError, Zoo, blocking};

use crate::catalog::Entry;
use crate::describe::{Described, describe};
use crate::error::Result;
use crate::model::Model;

/// Where the hub is, and which caches of its tools may hold its files.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OnnxConfig {
    /// Serves `/onnx/models/main/…`: the manifest and the Git LFS pointers.
    pub raw_endpoint: Url,
    /// The Hugging Face hub, which serves the files of the organisation `onnxmodelzoo`.
    pub hf_endpoint: Url,
    /// Roots of `onnx.hub`'s cache (`~/.cache/onnx/hub`).
    pub caches: Vec<PathBuf>,
    /// Roots of the Hugging Face cache (`~/.cache/huggingface/hub`).
    pub hf_caches: Vec<PathBuf>,
}

impl Default for OnnxConfig {
    fn default() -> Self {
        let url = |text: &str| Url::parse(text).unwrap_or_else(|_| unreachable!("a constant URL"));
        Self {
            raw_endpoint: url("https://raw.githubusercontent.com"),
            hf_endpoint: url("https://huggingface.co"),
            caches: Vec::new(),
            hf_caches: Vec::new(),
        }
    }
}

/// The ONNX Model Zoo.
#[derive(Debug, Clone)]
pub struct Hub {
    pub(crate) zoo: Zoo,
    pub(crate) config: OnnxConfig,
}

/// What a handle stands for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolution {
    /// The canonical handle.
    pub handle: String,
    /// Where it goes in the store.
    pub key: ModelKey,
    /// The files known before the model is read; external data shows only then.
    pub files: Vec<RemoteFile>,
    /// The catalogue's entry.
    pub entry: Entry,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The handle to pull it by.
    pub handle: String,
    /// The hub's name of the model.
    pub model: String,
    /// The opset, where known without the file.
    pub opset: Option<i64>,
    /// Length of the `.onnx` in bytes.
    pub bytes: Option<u64>,
    /// The hub's tags.
    pub tags: Vec<String>,
    /// Whether the hub publishes inputs and outputs to check it with.
    pub has_test_data: bool,
}

impl Hub {
    /// The word before the colon, and the folder in the store.
    pub const NAME: &'static str = "onnx";

    /// The hub at its usual place.
    pub fn new(zoo: &Zoo) -> Self {
        Self::with(zoo, OnnxConfig::default())
    }

    /// The hub somewhere else, or with caches to adopt from.
    pub fn with(zoo: &Zoo, config: OnnxConfig) -> Self {
        Self { zoo: zoo.clone(), config }
    }

    /// Everything the hub has, by its current manifest (or the copy at hand when offline or unreachable).
    pub async fn list(&self) -> Result<Vec<Listing>> {
        Ok(self.catalog().await.entries().iter().map(listing).collect())
    }

    /// The models whose name, manifest name or tags contain every word of `text`, in any case.
    pub async fn search(&self, text: &str) -> Result<Vec<Listing>> {
        let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let fits = |l: &Listing| {
            let all = format!("{} {} {}", l.handle, l.model, l.tags.join(" ")).to_lowercase();
            words.iter().all(|w| all.contains(w.as_str()))
        };
        Ok(self.list().await?.into_iter().filter(fits).collect())
    }

    /// What a handle stands for.
    pub async fn resolve(&self, handle: &Handle) -> Result<Resolution> {
        let catalog = self.catalog().await;
        let revision = handle.revision.as_ref().map(Revision::as_str);
        let mut entry = catalog.find(handle.name.as_str(), revision)?.clone();
        if !entry.is_validated() {
            // No manifest lists exports; their Git LFS pointers are what the repository publishes.
            if let Some((digest, bytes)) = self.pointer(entry.path.as_str()).await {
                entry.sha256 = Some(digest);
                entry.bytes = Some(bytes);
            }
        }
        let revision = entry.revision().unwrap_or_else(|| "main".into());
        let key = ModelKey::new(Self::NAME, &entry.name, &revision)?;
        let file = self.model_file(&entry)?;
        Ok(Resolution { handle: format!("{}:{}", Self::NAME, entry.name), key, files: vec![file], entry })
    }

    /// The model, if it is in the store. Uses no network.
    pub async fn find(&self, handle: &Handle) -> Result<Option<Model>> {
        let catalog = self.local_catalog();
        let revision = handle.revision.as_ref().map(Revision::as_str);
        let known = catalog.find(handle.name.as_str(), revision).ok();
        let name = known.map_or(handle.name.as_str(), |e| e.name.as_str());
        // Opsets and branches choose the name; only a revision of the store chooses among what is stored.
        let stored = handle.revision.as_ref().filter(|_| known.is_none());
        let key = ModelKey::new(Self::NAME, name, "any")?;
        let found = self.zoo.store().find(&key.ecosystem, &key.name, stored)?;
        match found {
            Some(model) => match self.zoo.begin(&model.key()).await {
                Ok(Begin::Stored(model)) => Ok(Some(Model::new(*model))),
                Ok(Begin::Fresh(_)) => Ok(None),
                Err(error) => Err(error.into()),
            },
            None => Ok(None),
        }
    }

    /// Brings the model to the store: from the store itself, from another tool's cache, or from the hub; proves and checks it.
    pub async fn pull(&self, handle: &Handle) -> Result<Model> {
        if let Some(model) = self.find(handle).await? {
            return Ok(model);
        }
        let resolution = self.resolve(handle).await?;
        if self.zoo.offline() && !self.zoo.has_copies(&resolution.files) {
            let nearest = self.zoo.store().nearest(handle.name.as_str());
            return Err(CoreError::Offline { what: format!("`{handle}`"), nearest }.into());
        }
        let mut pull = match self.zoo.begin(&resolution.key).await? {
            Begin::Stored(model) => return Ok(Model::new(*model)),
            Begin::Fresh(pull) => pull,
        };
        let entry = &resolution.entry;
        if let Err(error) = pull.fetch(&resolution.files).await {
            self.take_from_archive(&mut pull, entry, error).await?;
        }
        self.fetch_external(&mut pull, entry).await?;
        let path = pull.originals().join(entry.file_name());
        let described = blocking(move || describe(&path)).await?;
        let asked = handle.revision.as_ref().map(ToString::to_string);
        let model = pull
            .commit(resolution.handle.clone(), |manifest| fill(manifest, entry, described, asked))
            .await?;
        Ok(Model::new(model))
    }
}

/// What the catalogue and the file itself say, in the manifest's words.
fn fill(manifest: &mut Manifest, entry: &Entry, described: Described, asked: Option<String>) {
    manifest.asked_for.extend(asked.filter(|a| *a != manifest.revision.as_str()));
    manifest.model = described.facts;
    manifest.model.tags.clone_from(&entry.tags);
    manifest.model.licence = entry.licence().map(str::to_owned);
    manifest.model.documentation = Some(entry.documentation());
    let original = |name: &str| EntryPath::new(format!("original/{name}"));
    let with = described.with.iter().filter_map(|p| original(p.as_str()).ok()).collect();
    if let Ok(path) = original(&entry.file_name()) {
        manifest.add_staged(Staged::new(Target::Onnx.name(), path, with));
    }
}

fn listing(entry: &Entry) -> Listing {
    Listing {
        handle: format!("{}:{}", Hub::NAME, entry.name),
        model: entry.model.clone().unwrap_or_else(|| entry.name.clone()),
        opset: entry.opset,
        bytes: entry.bytes,
        tags: entry.tags.clone(),
        has_test_data: entry.archive.is_some(),
    }
}
