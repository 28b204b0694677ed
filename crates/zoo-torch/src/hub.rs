//! The hub's face: listing, searching, and the way from a handle to verified weights in the store.

use std::path::PathBuf;

use url::Url;
use zoo_core::error::HttpFailure;
use zoo_core::handle::{Handle, Revision};
use zoo_core::manifest::{Manifest, ModelFacts};
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::store::{Begin, ModelKey, Pull};
use zoo_core::{Error as CoreError, Zoo};

use crate::catalog::{Catalog, Entry, Task};
use crate::error::{Error, Result};
use crate::facts;
use crate::model::Model;

/// Where torchvision's own URLs lead.
const HOST: &str = "download.pytorch.org";

/// Where its documentation is; the pages are named after the builders.
const PAGES: [&str; 2] = ["pytorch.org", "docs.pytorch.org"];

/// Where the hub is, what it has, and which caches may hold its files.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TorchConfig {
    /// Serves `/models/…`.
    pub endpoint: Url,
    /// What there is; the catalogue compiled in, unless one from a file is to be used.
    pub catalog: Catalog,
    /// Folders of `torch.hub` with checkpoints (`~/.cache/torch/hub/checkpoints`).
    pub caches: Vec<PathBuf>,
}

impl Default for TorchConfig {
    fn default() -> Self {
        let endpoint =
            Url::parse(&format!("https://{HOST}")).unwrap_or_else(|_| unreachable!("a constant URL"));
        Self { endpoint, catalog: Catalog::embedded(), caches: Vec::new() }
    }
}

/// The torchvision zoo.
#[derive(Debug, Clone)]
pub struct Hub {
    zoo: Zoo,
    config: TorchConfig,
}

/// What a handle stands for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Resolution {
    /// The canonical handle, which names the weights.
    pub handle: String,
    /// Where they go in the store.
    pub key: ModelKey,
    /// The one file.
    pub files: Vec<RemoteFile>,
    /// The catalogue's entry.
    pub entry: Entry,
}

impl Resolution {
    /// What is known of the model before it is here.
    pub fn facts(&self) -> ModelFacts {
        let mut facts = ModelFacts::default();
        facts::of_entry(&self.entry, &mut facts);
        facts
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The handle to pull it by.
    pub handle: String,
    /// The builder.
    pub model: String,
    /// In Python's words: `ResNet50_Weights.IMAGENET1K_V2`.
    pub weights: String,
    /// What the model is for.
    pub task: Task,
    /// About how many bytes the file has.
    pub about_bytes: u64,
    /// The number of trained values.
    pub parameters: u64,
    /// Words to search by.
    pub tags: Vec<String>,
}

impl Hub {
    /// The word before the colon.
    pub const NAME: &'static str = "torchvision";

    /// The folder of the store, which all hubs of PyTorch models share.
    pub const ECOSYSTEM: &'static str = "pytorch";

    /// The hub at its usual place.
    pub fn new(zoo: &Zoo) -> Self {
        Self::with(zoo, TorchConfig::default())
    }

    /// The hub somewhere else, with another catalogue, or with caches to adopt from.
    pub fn with(zoo: &Zoo, config: TorchConfig) -> Self {
        Self { zoo: zoo.clone(), config }
    }

    /// A handle for a URL of this hub: a file on its server, or a page of torchvision's documentation about a builder.
    pub fn recognise(&self, url: &Url) -> Option<Handle> {
        let host = url.host_str()?;
        let endpoint = &self.config.endpoint;
        let name = if PAGES.contains(&host) {
            let page = url.path_segments()?.next_back()?;
            page.strip_suffix(".html").filter(|name| name.starts_with("torchvision.models."))?
        } else {
            let is_endpoint = endpoint.host_str() == Some(host) && endpoint.port() == url.port();
            let base = endpoint.path().trim_end_matches('/');
            let path = if is_endpoint { url.path().strip_prefix(base)? } else { url.path() };
            let is_hub = is_endpoint || host == HOST;
            path.strip_prefix('/').filter(|path| is_hub && path.starts_with("models/"))?
        };
        Handle::new(Self::NAME, name, None).ok()
    }

    /// Everything in the catalogue. Uses no network: the server has no listing.
    #[expect(clippy::unused_async, reason = "all hubs have one face, and others ask a server")]
    pub async fn list(&self) -> Result<Vec<Listing>> {
        Ok(self.config.catalog.entries().map(|entry| listing(&entry)).collect())
    }

    /// The weights whose names or tags contain every word of `text`, in any case.
    pub async fn search(&self, text: &str) -> Result<Vec<Listing>> {
        let words: Vec<String> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let fits = |l: &Listing| {
            let all = format!("{} {} {}", l.handle, l.weights, l.tags.join(" ")).to_lowercase();
            words.iter().all(|w| all.contains(w.as_str()))
        };
        Ok(self.list().await?.into_iter().filter(fits).collect())
    }

    /// What a handle stands for. Uses no network.
    #[expect(clippy::unused_async, reason = "all hubs have one face, and others ask a server")]
    pub async fn resolve(&self, handle: &Handle) -> Result<Resolution> {
        let revision = handle.revision.as_ref().map(Revision::as_str);
        let entry = self.config.catalog.find(handle.name.as_str(), revision)?;
        let key = key(&entry)?;
        let file = self.remote_file(&entry)?;
        Ok(Resolution { handle: entry.handle(), key, files: vec![file], entry })
    }

    /// The model, if it is in the store. Uses no network.
    pub async fn find(&self, handle: &Handle) -> Result<Option<Model>> {
        let revision = handle.revision.as_ref();
        let key = match self.config.catalog.find(handle.name.as_str(), revision.map(Revision::as_str)) {
            Ok(entry) => key(&entry)?,
            // Weights of another catalogue may be stored all the same.
            Err(_) => {
                let wanted = ModelKey::new(Self::ECOSYSTEM, handle.name.as_str(), "any")?;
                match self.zoo.store().find(&wanted.ecosystem, &wanted.name, revision)? {
                    Some(model) => model.key(),
                    None => return Ok(None),
                }
            }
        };
        if self.zoo.store().get(&key).is_ok_and(|stored| stored.is_none()) {
            return Ok(None);
        }
        match self.zoo.begin(&key).await? {
            Begin::Stored(model) => Ok(Some(Model::new(self.zoo.clone(), *model))),
            Begin::Fresh(_) => Ok(None),
        }
    }

    /// Brings the weights to the store: from the store itself, from torch's cache, or from the hub; and proves them by the
    /// digits in their name. [`Model::stage`] makes ONNX of them.
    pub async fn pull(&self, handle: &Handle) -> Result<Model> {
        if let Some(model) = self.find(handle).await? {
            return Ok(model);
        }
        let Resolution { key, files, entry, handle: canonical, .. } = self.resolve(handle).await?;
        if self.zoo.offline() && !self.zoo.has_copies(&files) && !self.is_begun(&key, &entry) {
            let nearest = self.zoo.store().nearest(entry.model_name());
            return Err(CoreError::Offline { what: format!("`{handle}`"), nearest }.into());
        }
        let mut pull = match self.zoo.begin(&key).await? {
            Begin::Stored(model) => return Ok(Model::new(self.zoo.clone(), *model)),
            Begin::Fresh(pull) => pull,
        };
        self.fetch(&mut pull, &files, &entry).await?;
        let stored = pull.commit(canonical, |manifest| fill(manifest, &entry, handle)).await?;
        Ok(Model::new(self.zoo.clone(), stored))
    }

    async fn fetch(&self, pull: &mut Pull, files: &[RemoteFile], entry: &Entry) -> Result<()> {
        let Err(error) = pull.fetch(files).await else { return Ok(()) };
        match missing(&error) {
            Some(failure) => Err(Error::Missing {
                url: failure.url.clone(),
                status: failure.status,
                nearest: self.config.catalog.instead_of(entry),
            }),
            None => Err(error.into()),
        }
    }

    /// Whether the file itself came already, and only what was made of it is gone.
    fn is_begun(&self, key: &ModelKey, entry: &Entry) -> bool {
        self.zoo.store().folder(key).join("original").join(entry.file_name()).is_file()
    }

    fn remote_file(&self, entry: &Entry) -> Result<RemoteFile> {
        let mut url = self.config.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(entry.path().as_str().split('/'));
        }
        let name = EntryPath::new(entry.file_name()).map_err(CoreError::from)?;
        let mut file = RemoteFile::new(name, url);
        // The exact size is not published, only its rounding.
        file.digests.extend(entry.digest());
        file.local = self.config.caches.iter().map(|cache| cache.join(entry.file_name())).collect();
        Ok(file)
    }
}

fn key(entry: &Entry) -> Result<ModelKey> {
    Ok(ModelKey::new(Hub::ECOSYSTEM, entry.model_name(), entry.revision())?)
}

/// The answer by which the server says that it does not have a file. An object store says 403 to whoever may not list it.
fn missing(error: &CoreError) -> Option<&HttpFailure> {
    match error {
        CoreError::Http(failure) if matches!(failure.status, 403 | 404 | 410) => Some(failure),
        _ => None,
    }
}

/// What the catalogue says, and the words by which the weights were asked for.
fn fill(manifest: &mut Manifest, entry: &Entry, asked: &Handle) {
    facts::of_entry(entry, &mut manifest.model);
    let name = Some(asked.name.as_str()).filter(|name| *name != entry.model_name());
    let words = [Some(entry.weights()), asked.revision.as_ref().map(Revision::as_str), name];
    for word in words.into_iter().flatten().filter(|word| *word != entry.revision()) {
        // The newest last, each once.
        manifest.asked_for.retain(|known| known != word);
        manifest.asked_for.push(word.to_owned());
    }
}

fn listing(entry: &Entry) -> Listing {
    Listing {
        handle: entry.handle(),
        model: entry.model_name().to_owned(),
        weights: format!("{}.{}", entry.enumeration(), entry.weights()),
        task: entry.task(),
        about_bytes: entry.about_bytes(),
        parameters: entry.parameters(),
        tags: entry.tags(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(endpoint: &str) -> Hub {
        let home = std::env::temp_dir().join("zoo-torch-tests-write-nothing-here");
        let config = TorchConfig {
            endpoint: endpoint.parse().unwrap(),
            caches: vec!["cache".into()],
            ..TorchConfig::default()
        };
        Hub::with(&Zoo::open(zoo_core::ZooConfig::new(home)), config)
    }

    async fn resolve(hub: &Hub, handle: &str) -> Resolution {
        hub.resolve(&handle.parse().unwrap()).await.unwrap()
    }

    fn url(found: &Resolution) -> &str {
        found.files[0].sources[0].as_str()
    }

    #[tokio::test]
    async fn a_handle_becomes_a_file_with_its_digits() {
        let hub = hub("https://mirror.example/torch/");
        let found = resolve(&hub, "torchvision:resnet50@pretrained").await;
        assert_eq!(found.handle, "torchvision:resnet50@IMAGENET1K_V1");
        assert_eq!(url(&found), "https://mirror.example/torch/models/resnet50-0676ba61.pth");
        let key = &found.key;
        assert_eq!(
            (key.ecosystem.as_str(), key.name.as_str(), key.revision.as_str()),
            ("pytorch", "resnet50", "0676ba61")
        );
        let file = &found.files[0];
        assert_eq!(file.digests, ["sha256-prefix:0676ba61".parse().unwrap()]);
        assert_eq!(file.local, [PathBuf::from("cache").join("resnet50-0676ba61.pth")]);
        let old = resolve(&hub, "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V1").await;
        assert!(url(&old).ends_with("/models/quantized/resnet50_fbgemm_bf931d71.pth"));
        assert!(old.files[0].digests.is_empty());
    }

    #[tokio::test]
    async fn the_hubs_own_urls_are_recognised() {
        let hub = hub("http://127.0.0.1:7/base");
        let handle = |url: &str| hub.recognise(&url.parse().unwrap()).map(|h| h.to_string());
        let file = Some("torchvision:models/resnet50-11ad3fa6.pth".to_owned());
        assert_eq!(handle("https://download.pytorch.org/models/resnet50-11ad3fa6.pth"), file);
        assert_eq!(handle("http://127.0.0.1:7/base/models/resnet50-11ad3fa6.pth?x=1"), file);
        assert_eq!(
            handle("https://pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html"),
            Some("torchvision:torchvision.models.resnet50".to_owned())
        );
        for other in [
            "http://127.0.0.1:8/base/models/resnet50-11ad3fa6.pth",
            "http://127.0.0.1:7/models/resnet50-11ad3fa6.pth",
            "https://download.pytorch.org/whl/cpu",
            "https://pytorch.org/hub/pytorch_vision_resnet/",
            "https://example.org/models/resnet50-11ad3fa6.pth",
        ] {
            assert_eq!(handle(other), None, "{other}");
        }
        let recognised = "https://download.pytorch.org/models/quantized/resnet50_fbgemm-23753f79.pth";
        let named = hub.recognise(&recognised.parse().unwrap()).unwrap();
        assert_eq!(resolve(&hub, &named.to_string()).await.entry.model_name(), "quantized_resnet50");
    }

    #[tokio::test]
    async fn words_are_searched_in_names_and_tags() {
        let hub = hub("https://mirror.example");
        let lines = async |text: &str| hub.search(text).await.unwrap();
        let found = async |text| lines(text).await.into_iter().map(|l| l.handle).collect::<Vec<_>>();
        assert_eq!(
            found("ResNet50 quantized").await,
            [
                "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V1",
                "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V2"
            ]
        );
        assert_eq!(
            found("segmentation lraspp").await,
            ["torchvision:lraspp_mobilenet_v3_large@COCO_WITH_VOC_LABELS_V1"]
        );
        assert!(found("nothing-like-it").await.is_empty());
        assert_eq!(hub.list().await.unwrap().len(), 166);
        let line = &lines("ResNet18_Weights default").await[0];
        assert_eq!(
            (line.model.as_str(), line.weights.as_str()),
            ("resnet18", "ResNet18_Weights.IMAGENET1K_V1")
        );
        assert_eq!((line.task, line.parameters), (Task::Classification, 11_689_512));
    }

    #[tokio::test]
    async fn the_manifest_keeps_the_words_that_were_used() {
        let hub = hub("https://mirror.example");
        let words = async |asked: &str| {
            let handle: Handle = asked.parse().unwrap();
            let Resolution { handle: canonical, key, entry, .. } = hub.resolve(&handle).await.unwrap();
            let mut manifest = Manifest::new(canonical, key.ecosystem, key.name, key.revision, vec![]);
            fill(&mut manifest, &entry, &handle);
            manifest.asked_for
        };
        assert_eq!(words("torchvision:resnet50").await, ["IMAGENET1K_V2"]);
        assert_eq!(words("torchvision:resnet50@DEFAULT").await, ["IMAGENET1K_V2", "DEFAULT"]);
        assert_eq!(words("torchvision:resnet50@11ad3fa6").await, ["IMAGENET1K_V2"]);
        assert_eq!(
            words("torchvision:ResNet50_Weights.DEFAULT").await,
            ["IMAGENET1K_V2", "ResNet50_Weights.DEFAULT"]
        );
    }
}
