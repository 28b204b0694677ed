//! The hub's face: searching, and what a handle stands for. How its files come to the store is in `pull`.

use std::path::PathBuf;

use url::Url;
use zoo_core::handle::{Handle, Revision, nearest};
use zoo_core::manifest::ModelFacts;
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::store::{Begin, ModelKey, StoredModel};
use zoo_core::{Error as CoreError, Zoo};

use crate::api::{Api, Info};
use crate::cache::Cached;
use crate::error::{Error, Result};
use crate::facts;
use crate::listing::{Files, RepoFile};
use crate::model::Model;
use crate::name::{self, Asked, MAIN, is_commit};
use crate::pull::Record;
use crate::select::{Small, Step, Wanted, select};

/// How many models a listing or a search tells.
const LISTED: usize = 100;

/// How many names are looked through for one that was meant.
const CANDIDATES: usize = 100;

/// Short commit ids have seven digits at least, as git writes them.
const SHORT_COMMIT: usize = 7;

/// Where the hub is, and which caches may hold its files. The token is among zoo-core's credentials, bound to the endpoint's origin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HfConfig {
    /// Serves pages, the API and files (`HF_ENDPOINT`).
    pub endpoint: Url,
    /// Roots of the cache that the hub's libraries share (`~/.cache/huggingface/hub`).
    pub caches: Vec<PathBuf>,
    /// Tells which `model_type` can be staged; [`crate::stage::builds`] unless somebody stages by other means. Without it every one is taken
    /// to be, and code of a repository's own is always refused.
    pub knows: Option<fn(&str) -> bool>,
}

impl Default for HfConfig {
    fn default() -> Self {
        let endpoint =
            Url::parse("https://huggingface.co").unwrap_or_else(|_| unreachable!("a constant URL"));
        Self { endpoint, caches: Vec::new(), knows: Some(crate::stage::builds) }
    }
}

/// The Hugging Face hub.
#[derive(Debug, Clone)]
pub struct Hub {
    pub(crate) zoo: Zoo,
    pub(crate) config: HfConfig,
    pub(crate) api: Api,
}

/// What a handle stands for: one commit of a repository.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolution {
    /// The canonical handle, which names the commit.
    pub handle: String,
    /// Where it goes in the store.
    pub key: ModelKey,
    /// All files of the commit. Which of them are wanted, [`crate::select`] tells.
    pub files: Vec<RemoteFile>,
    /// The same as a listing.
    pub listing: Files,
    /// What the hub says about the repository. Of a cache only the name and the commit are known.
    pub info: Info,
    page: String,
}

impl Resolution {
    /// What is known of the model before it is here.
    pub fn facts(&self) -> ModelFacts {
        let mut facts = ModelFacts::default();
        facts::of_info(&self.info, self.page.clone(), &mut facts);
        facts
    }

    /// How many bytes would be fetched for staging, as far as the listing tells: of sharded weights only their index does.
    pub fn about_bytes(&self) -> Option<u64> {
        let mut small = Small::new();
        let selection = loop {
            match select(&self.listing, &small, &Wanted::default(), None).ok()? {
                Step::Done(selection) => break selection,
                // The configuration would matter only where it refuses, and the modules are small.
                Step::Read(paths) => {
                    let empty = |path: &EntryPath| if path.as_str() == "modules.json" { "[]" } else { "{}" };
                    small.extend(paths.into_iter().map(|path| (path.clone(), empty(&path).into())));
                }
            }
        };
        let sizes = selection.files.iter().filter_map(|path| self.listing.get(path)?.size);
        Some(sizes.fold(0, u64::saturating_add))
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The handle to pull it by.
    pub handle: String,
    /// The repository.
    pub model: String,
    /// The task that the hub shows it under.
    pub task: Option<String>,
    /// The library that it is for.
    pub library: Option<String>,
    /// Downloads in the last month.
    pub downloads: Option<u64>,
    /// Whether its files want acceptance of terms.
    pub gated: bool,
    /// The hub's tags.
    pub tags: Vec<String>,
}

impl Hub {
    /// The word before the colon.
    pub const NAME: &'static str = "hf";

    /// The folder of the store.
    pub const ECOSYSTEM: &'static str = "huggingface";

    /// The hub at its usual place.
    pub fn new(zoo: &Zoo) -> Self {
        Self::with(zoo, HfConfig::default())
    }

    /// The hub somewhere else, or with caches to adopt from.
    pub fn with(zoo: &Zoo, config: HfConfig) -> Self {
        let api = Api::new(zoo, config.endpoint.clone());
        Self { zoo: zoo.clone(), config, api }
    }

    /// A handle for a URL of this hub: a repository's page, or a file of it.
    pub fn recognise(&self, url: &Url) -> Option<Handle> {
        name::recognise(url, &self.config.endpoint)
    }

    /// A handle for `hf://…`, as huggingface_hub spells it; `None` for any other text.
    pub fn spelled(text: &str) -> Option<Result<Handle>> {
        name::spelled(text)
    }

    /// Whether a text without a hub before it can be a repository of this hub: `org/name`.
    pub fn is_bare_name(text: &str) -> bool {
        name::is_bare_id(text)
    }

    /// Whether the handle means the same for ever: its revision is a whole commit id. What is stored of it needs no question.
    pub fn is_fixed(handle: &Handle) -> bool {
        handle.revision.as_ref().is_some_and(|revision| is_commit(revision.as_str()))
    }

    /// The most downloaded models. There are millions; this is where a listing begins.
    pub async fn list(&self) -> Result<Vec<Listing>> {
        self.search("").await
    }

    /// What the hub's own search finds, the most downloaded first: at most a hundred.
    pub async fn search(&self, text: &str) -> Result<Vec<Listing>> {
        if self.zoo.offline() {
            return Ok(self.search_stored(text)?);
        }
        let text = text.trim();
        let found = self.api.search(Some(text).filter(|text| !text.is_empty()), None, LISTED).await?;
        Ok(found.into_iter().map(listing).collect())
    }

    /// Offline the store is all there is.
    fn search_stored(&self, text: &str) -> zoo_core::Result<Vec<Listing>> {
        let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let mut found: Vec<Listing> = Vec::new();
        for model in self.zoo.store().models()? {
            let manifest = model.manifest;
            let id = manifest.name.as_str();
            let all = format!("{id} {}", manifest.model.tags.join(" ")).to_lowercase();
            let fits = manifest.ecosystem.as_str() == Self::ECOSYSTEM
                && words.iter().all(|w| all.contains(w.as_str()));
            if fits && found.iter().all(|known| known.model != id) {
                let text = |name: &str| manifest.model.other.get(name)?.as_str().map(str::to_owned);
                found.push(Listing {
                    handle: format!("{}:{id}", Self::NAME),
                    model: id.to_owned(),
                    task: text("task"),
                    library: text("library"),
                    downloads: None,
                    gated: false,
                    tags: manifest.model.tags.clone(),
                });
            }
        }
        Ok(found)
    }

    /// What a handle stands for, as the hub has it now; offline, as the hub's cache on this machine has it.
    pub async fn resolve(&self, handle: &Handle) -> Result<Resolution> {
        self.resolve_asked(&Asked::of(handle)?, &handle.to_string()).await
    }

    pub(crate) async fn resolve_asked(&self, asked: &Asked, shown: &str) -> Result<Resolution> {
        if self.zoo.offline() {
            return self.cached(asked)?.ok_or_else(|| {
                let nearest = self.zoo.store().nearest(&asked.id);
                CoreError::Offline { what: format!("`{shown}`"), nearest }.into()
            });
        }
        let info = self.info(asked).await?;
        self.with_files(info).await
    }

    /// The facts of what was asked for.
    pub(crate) async fn info(&self, asked: &Asked) -> Result<Info> {
        let info = match self.api.info(&asked.id, &asked.revision).await {
            Ok(info) => info,
            Err(error) => return Err(self.with_names(error).await),
        };
        if is_commit(&info.sha) {
            return Ok(info);
        }
        Err(Error::Listing { id: info.id, reason: "the hub does not tell its commit".to_owned() })
    }

    /// The same with the files of its commit.
    pub(crate) async fn with_files(&self, info: Info) -> Result<Resolution> {
        let listing = self.api.files(&info.id, &info.sha).await?;
        self.resolution(info, listing)
    }

    fn cached(&self, asked: &Asked) -> Result<Option<Resolution>> {
        for cached in self.config.caches.iter().filter_map(|root| Cached::find(root, &asked.id)) {
            let Some(commit) = cached.commit(&asked.revision) else { continue };
            let Some(listing) = cached.files(&commit) else { continue };
            let info = Info { id: asked.id.clone(), sha: commit, ..Info::default() };
            return self.resolution(info, listing).map(Some);
        }
        Ok(None)
    }

    fn resolution(&self, info: Info, listing: Files) -> Result<Resolution> {
        let key = ModelKey::new(Self::ECOSYSTEM, &info.id, &info.sha)?;
        let caches: Vec<Cached> =
            self.config.caches.iter().filter_map(|root| Cached::find(root, &info.id)).collect();
        let remote = |(path, file): (&EntryPath, &RepoFile)| {
            let mut remote = RemoteFile::new(path.clone(), self.api.file(&info.id, &info.sha, path.as_str()));
            remote.size = file.size;
            remote.digests.extend(file.digest.clone());
            let copies = |cached: &Cached| cached.copies(&info.sha, path.as_str(), file.digest.as_ref());
            remote.local = caches.iter().flat_map(copies).collect();
            remote
        };
        Ok(Resolution {
            handle: format!("{}:{}@{}", Self::NAME, info.id, info.sha),
            key,
            files: listing.iter().map(remote).collect(),
            listing,
            page: self.api.page(&info.id),
            info,
        })
    }

    /// The model, if it is in the store. Uses no network: of a branch, it is the commit that was pulled for it.
    pub async fn find(&self, handle: &Handle) -> Result<Option<Model>> {
        let asked = Asked::of(handle)?;
        let revision = handle.revision.as_ref().map(Revision::as_str);
        match self.stored(&asked.id, revision)? {
            Some(model) => self.whole(&model).await,
            None => Ok(None),
        }
    }

    /// The model, unless it was damaged since.
    pub(crate) async fn whole(&self, model: &StoredModel) -> Result<Option<Model>> {
        Ok(match self.zoo.begin(&model.key()).await? {
            Begin::Stored(model) => Some(Model::new(self.zoo.clone(), *model)),
            Begin::Fresh(_) => None,
        })
    }

    /// The stored commit of a revision, or without one that of `main`, else the latest pulled; by today's name or a former one.
    pub(crate) fn stored(&self, id: &str, revision: Option<&str>) -> Result<Option<StoredModel>> {
        if revision.is_none()
            && let Some(model) = self.stored(id, Some(MAIN))?
        {
            return Ok(Some(model));
        }
        let key = ModelKey::new(Self::ECOSYSTEM, id, MAIN)?;
        let revision = revision.map(Revision::new).transpose()?;
        if let Some(model) = self.zoo.store().find(&key.ecosystem, &key.name, revision.as_ref())? {
            return Ok(Some(model));
        }
        // Former names and short commits are in the manifests only.
        let models = self.zoo.store().models()?;
        let is_meant = |model: &&StoredModel| {
            let manifest = &model.manifest;
            let named = manifest.name == key.name || Record::of(manifest).names.contains(key.name.as_str());
            manifest.ecosystem == key.ecosystem && named && revision.as_ref().is_none_or(|r| fits(r, model))
        };
        Ok(models.iter().filter(is_meant).max_by_key(|model| model.manifest.pulled).cloned())
    }

    /// Adds to an error what there is instead.
    async fn with_names(&self, error: Error) -> Error {
        match error {
            Error::Missing { id, authenticated, .. } => {
                let nearest = self.nearest(&id).await;
                Error::Missing { id, authenticated, nearest }
            }
            Error::RevisionMissing { id, revision, .. } => {
                let available = self.api.revisions(&id).await;
                Error::RevisionMissing { id, revision, available }
            }
            other => other,
        }
    }

    /// Names like `id`, of the hub and of the store.
    async fn nearest(&self, id: &str) -> Vec<String> {
        let (owner, name) = id.split_once('/').map_or((None, id), |(owner, name)| (Some(owner), name));
        // The hub's search finds parts of names. A mistake is in one place: so the owner, the name, or its beginning is right.
        let beginning: String = name.split('-').take(2).collect::<Vec<_>>().join("-");
        let mut questions = vec![(Some(name), None), (None, owner), (Some(beginning.as_str()), None)];
        questions.retain(|(words, author)| words.is_some() || author.is_some());
        let mut names: Vec<String> = Vec::new();
        for (words, author) in questions {
            match self.api.search(words, author, CANDIDATES).await {
                Ok(found) => names.extend(found.into_iter().map(|info| info.id)),
                Err(error) => tracing::debug!(%error, "no names"),
            }
            let near = nearest(id, names.iter().map(String::as_str), 3);
            if !near.is_empty() {
                return near;
            }
        }
        self.zoo.store().nearest(id)
    }
}

/// Whether a revision is a stored model's: what it was asked for by, or the beginning of its commit.
fn fits(revision: &Revision, model: &StoredModel) -> bool {
    let (text, manifest) = (revision.as_str(), &model.manifest);
    let is_short = text.len() >= SHORT_COMMIT && text.bytes().all(|b| b.is_ascii_hexdigit());
    *revision == manifest.revision
        || manifest.asked_for.iter().any(|asked| asked == text)
        || (is_short && manifest.revision.as_str().starts_with(text))
}

fn listing(info: Info) -> Listing {
    Listing {
        handle: format!("{}:{}", Hub::NAME, info.id),
        model: info.id,
        task: info.pipeline_tag,
        library: info.library,
        downloads: info.downloads,
        gated: info.gated,
        tags: info.tags,
    }
}
