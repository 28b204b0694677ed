//! The one place that knows which ecosystems there are. Everything else says "a model"; the next ecosystem is one more
//! variant of [`Hub`] and [`Model`] here, and a dependency.
//!
//! It also decides what a word on the command line means: a path, or a name and the hubs that may know it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use zoo_core::archive::ArchiveKind;
use zoo_core::digest::Digest;
use zoo_core::handle::{Handle, ModelName, Revision, Spelling, nearest};
use zoo_core::http::Credential;
use zoo_core::manifest::Manifest;
use zoo_core::progress::Progress;
use zoo_core::stage::{StageOptions, StagedModel, Target};
use zoo_core::store::{Store, StoredModel};
use zoo_core::{Zoo, ZooConfig};
use zoo_onnx::OnnxConfig;
use zoo_onnx::local::LocalOptions;

use crate::env::{Settings, Token};
use crate::exit::{Exit, Failure, Result};

/// The hubs by the word before the colon.
const HUBS: [&str; 1] = [zoo_onnx::Hub::NAME];

/// Endings that make a word a path, if there is such a file: models and archives of them.
const ENDINGS: [&str; 5] = ["onnx", "zip", "tar", "gz", "tgz"];

/// All hubs over one store.
#[derive(Debug)]
pub(crate) struct Hubs {
    zoo: Zoo,
    all: Vec<Hub>,
}

#[derive(Debug, Clone)]
enum Hub {
    Onnx(zoo_onnx::Hub),
}

/// A model in the store, with the hub it came from.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    Onnx(zoo_onnx::Hub, zoo_onnx::Model),
}

/// What was typed, and which hubs may know it, each with the handle that it would be there.
#[derive(Debug)]
pub(crate) struct Name {
    text: String,
    asked: Vec<(Hub, Handle)>,
}

/// What to make of a model, as the command line says it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// None: what the files are made for.
    pub(crate) to: Vec<Target>,
    pub(crate) arch: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) auto: Option<String>,
}

/// What a hub says about a model that need not be here.
#[derive(Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) handle: String,
    pub(crate) stored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    pub(crate) opset: Option<i64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
    pub(crate) licence: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) test_data: bool,
    pub(crate) documentation: Option<String>,
}

/// One line of a listing.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) handle: String,
    pub(crate) model: String,
    pub(crate) opset: Option<i64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) tags: Vec<String>,
    pub(crate) test_data: bool,
    pub(crate) stored: bool,
}

impl From<zoo_onnx::Error> for Failure {
    fn from(error: zoo_onnx::Error) -> Self {
        match error {
            zoo_onnx::Error::Core(error) => error.into(),
            error => {
                let (kind, hint) = (error.kind(), error.hint());
                Self::of(error, kind, hint)
            }
        }
    }
}

impl Hubs {
    /// Opens them; nothing is connected or written.
    pub(crate) fn open(settings: &Settings, progress: Option<Arc<dyn Progress>>) -> Result<Self> {
        let mut onnx = OnnxConfig::default();
        if let Some(url) = &settings.onnx_endpoint {
            onnx.raw_endpoint = url.clone();
        }
        if let Some(url) = &settings.hf_endpoint {
            onnx.hf_endpoint = url.clone();
        }
        onnx.caches.clone_from(&settings.onnx_caches);
        onnx.hf_caches.clone_from(&settings.hf_caches);

        let mut config = ZooConfig::new(settings.home()?);
        config.offline = settings.offline;
        config.http = settings.http.clone();
        if let Some(token) = settings.hf_token.as_ref().filter(|_| !settings.offline).and_then(Token::read) {
            match Credential::bearer(&onnx.hf_endpoint, token) {
                Ok(credential) => config.http.credentials.push(credential),
                // Most models need no token, so this is no reason to stop.
                Err(error) => tracing::warn!(%error, "the Hugging Face token is not sent"),
            }
        }
        if let Some(progress) = progress {
            config = config.listening(progress);
        }
        let zoo = Zoo::open(config);
        let all = vec![Hub::Onnx(zoo_onnx::Hub::with(&zoo, onnx))];
        Ok(Self { zoo, all })
    }

    /// The store below all of them.
    pub(crate) fn store(&self) -> &Store {
        self.zoo.store()
    }

    /// Whether the network is forbidden.
    pub(crate) fn offline(&self) -> bool {
        self.zoo.offline()
    }

    /// A handle, a URL or a bare name. Which model it is, only a hub can tell.
    pub(crate) fn name(&self, text: &str) -> Result<Name> {
        let asked = match text.parse::<Spelling>()? {
            Spelling::Handle(handle) => vec![(self.hub(handle.hub.as_str(), text)?.clone(), handle)],
            Spelling::Url(url) => {
                let known = |hub: &Hub| hub.recognise(&url).map(|handle| (hub.clone(), handle));
                let asked: Vec<_> = self.all.iter().filter_map(known).collect();
                if asked.is_empty() {
                    return Err(Failure::usage(format!("`{text}` belongs to no hub that zoo knows")).hint(
                        format!("zoo knows {}; download the file and stage it by its path", list(HUBS)),
                    ));
                }
                asked
            }
            Spelling::Bare(bare) => {
                let (name, revision) = match bare.split_once('@') {
                    Some((name, revision)) => (name, Some(revision)),
                    None => (bare.as_str(), None),
                };
                let handle = |hub: &Hub| Ok((hub.clone(), Handle::new(hub.name(), name, revision)?));
                let asked: zoo_core::Result<Vec<_>> = self.all.iter().map(handle).collect();
                asked.map_err(|error| if is_shaped(text) { no_such_file(text) } else { error.into() })?
            }
        };
        Ok(Name { text: text.to_owned(), asked })
    }

    fn hub(&self, name: &str, text: &str) -> Result<&Hub> {
        self.all.iter().find(|hub| hub.name() == name).ok_or_else(|| {
            let near = nearest(name, HUBS, 1);
            let hint = match (near.first(), text.split_once(':')) {
                (Some(hub), Some((_, rest))) => format!("did you mean `{hub}:{rest}`?"),
                (Some(hub), None) => format!("did you mean `{hub}`?"),
                _ => format!("there is {}", list(HUBS)),
            };
            Failure::usage(format!("there is no hub `{name}`")).hint(hint)
        })
    }

    /// The model, if it is in the store, whole. Uses no network.
    pub(crate) async fn find(&self, name: &Name) -> Result<Option<Model>> {
        for (hub, handle) in &name.asked {
            if let Some(model) = hub.find(handle).await? {
                return Ok(Some(model));
            }
        }
        Ok(None)
    }

    /// Brings the model to the store, if it is not there yet.
    pub(crate) async fn pull(&self, name: &Name) -> Result<Model> {
        let (hub, handle) = self.one(name).await?;
        hub.pull(handle).await.map_err(|failure| name.explain(failure))
    }

    /// What the hub says about the model.
    pub(crate) async fn about(&self, name: &Name) -> Result<Published> {
        let (hub, handle) = self.one(name).await?;
        hub.about(handle).await.map_err(|failure| name.explain(failure))
    }

    /// The one hub that knows the name.
    async fn one<'a>(&self, name: &'a Name) -> Result<&'a (Hub, Handle)> {
        if let [one] = name.asked.as_slice() {
            return Ok(one);
        }
        let mut known = Vec::new();
        let mut unknown = None;
        for asked in &name.asked {
            match asked.0.about(&asked.1).await {
                Ok(published) => known.push((asked, published.handle)),
                Err(failure) if failure.exit == Exit::NotFound => unknown = unknown.or(Some(failure)),
                Err(failure) => return Err(failure),
            }
        }
        match known.as_slice() {
            [(asked, _)] => Ok(asked),
            [] => Err(name.explain(unknown.unwrap_or_else(|| no_such_file(&name.text)))),
            several => Err(Failure::usage(format!("several hubs have a model named `{}`", name.text))
                .hint(format!("did you mean {}?", list(several.iter().map(|(_, handle)| handle.as_str()))))),
        }
    }

    /// Every stored model of the name, damaged ones included; of one revision if the name has one.
    pub(crate) async fn stored(&self, name: &Name) -> Result<Vec<StoredModel>> {
        let is_meant = |m: &Manifest| {
            name.asked.iter().any(|(hub, handle)| {
                let revision = handle.revision.as_ref();
                hub.name() == m.ecosystem.as_str()
                    && handle.name == m.name
                    && revision
                        .is_none_or(|r| *r == m.revision || m.asked_for.iter().any(|a| a == r.as_str()))
            })
        };
        let mut found = self.store().models()?;
        found.retain(|model| is_meant(&model.manifest));
        if found.is_empty() {
            // Only the hub knows its other spellings.
            found.extend(self.find(name).await?.map(|model| model.stored().clone()));
        }
        if found.is_empty() { Err(self.store().not_stored(&name.text).into()) } else { Ok(found) }
    }

    /// What the hubs have, or one of them.
    pub(crate) async fn list(&self, hub: Option<&str>) -> Result<Vec<Listed>> {
        let hubs = match hub {
            Some(name) => vec![self.hub(name, name)?],
            None => self.all.iter().collect(),
        };
        let mut listed = Vec::new();
        for hub in hubs {
            listed.extend(hub.list().await?);
        }
        self.mark(listed)
    }

    /// Models whose names or tags hold every word.
    pub(crate) async fn search(&self, words: &str) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for hub in &self.all {
            listed.extend(hub.search(words).await?);
        }
        self.mark(listed)
    }

    /// Marks what is stored.
    fn mark(&self, mut listed: Vec<Listed>) -> Result<Vec<Listed>> {
        let stored: HashSet<String> =
            self.store().models()?.into_iter().map(|model| model.manifest.handle).collect();
        for line in &mut listed {
            line.stored = stored.contains(&line.handle);
        }
        Ok(listed)
    }
}

impl Name {
    /// Fails, before anything is fetched, where the model cannot become what is wanted.
    pub(crate) fn allow(&self, wishes: &Wishes) -> Result<()> {
        match self.asked.as_slice() {
            [(hub, _)] => hub.allow(wishes),
            // Which hub it is comes to light later, and what cannot be made is an error then.
            _ => Ok(()),
        }
    }

    /// A word that looks like a path may have been meant as one; and a file may have the name that no hub knows.
    fn explain(&self, failure: Failure) -> Failure {
        // A file that is gone from the server is not found either, but its name was right.
        if !matches!(failure.error.downcast_ref(), Some(zoo_core::Error::UnknownModel { .. })) {
            return failure;
        }
        if is_shaped(&self.text) && matches!(self.text.parse(), Ok(Spelling::Bare(_))) {
            return Failure { hint: failure.hint, ..no_such_file(&self.text) };
        }
        if Path::new(&self.text).exists() {
            return failure
                .hint(format!("there is a file or folder of this name: `./{}` means that", self.text));
        }
        failure
    }
}

impl Hub {
    fn name(&self) -> &'static str {
        match self {
            Self::Onnx(_) => zoo_onnx::Hub::NAME,
        }
    }

    fn recognise(&self, url: &url::Url) -> Option<Handle> {
        match self {
            Self::Onnx(hub) => hub.recognise(url),
        }
    }

    async fn find(&self, handle: &Handle) -> Result<Option<Model>> {
        Ok(match self {
            Self::Onnx(hub) => hub.find(handle).await?.map(|model| Model::Onnx(hub.clone(), model)),
        })
    }

    async fn pull(&self, handle: &Handle) -> Result<Model> {
        Ok(match self {
            Self::Onnx(hub) => Model::Onnx(hub.clone(), hub.pull(handle).await?),
        })
    }

    async fn about(&self, handle: &Handle) -> Result<Published> {
        match self {
            Self::Onnx(hub) => {
                let resolution = hub.resolve(handle).await?;
                let entry = resolution.entry;
                Ok(Published {
                    handle: resolution.handle,
                    stored: false,
                    licence: entry.licence().map(str::to_owned),
                    test_data: entry.archive.is_some(),
                    documentation: Some(entry.documentation()),
                    model: entry.model,
                    opset: entry.opset,
                    bytes: entry.bytes,
                    sha256: entry.sha256.as_ref().map(Digest::hex),
                    tags: entry.tags,
                })
            }
        }
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        Ok(match self {
            Self::Onnx(hub) => hub.list().await?.into_iter().map(Listed::from).collect(),
        })
    }

    async fn search(&self, words: &str) -> Result<Vec<Listed>> {
        Ok(match self {
            Self::Onnx(hub) => hub.search(words).await?.into_iter().map(Listed::from).collect(),
        })
    }

    fn allow(&self, wishes: &Wishes) -> Result<()> {
        match self {
            Self::Onnx(_) => onnx_allows(wishes),
        }
    }
}

impl From<zoo_onnx::Listing> for Listed {
    fn from(listing: zoo_onnx::Listing) -> Self {
        Self {
            handle: listing.handle,
            model: listing.model,
            opset: listing.opset,
            bytes: listing.bytes,
            tags: listing.tags,
            test_data: listing.has_test_data,
            stored: false,
        }
    }
}

impl Model {
    /// As the store knows it.
    pub(crate) fn stored(&self) -> &StoredModel {
        match self {
            Self::Onnx(_, model) => model.stored(),
        }
    }

    /// Folders with the inputs and outputs that the hub publishes, fetched if they are not here yet.
    pub(crate) async fn test_data(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Onnx(hub, model) => Ok(hub.test_data(model).await?),
        }
    }

    /// The staged forms; without a wish, the one that the files are made for.
    pub(crate) fn stage(&self, to: &[Target]) -> Result<Vec<StagedModel>> {
        match self {
            Self::Onnx(_, model) => {
                let to = if to.is_empty() { &[Target::Onnx] } else { to };
                to.iter().map(|target| Ok(model.stage(&StageOptions::to(*target))?)).collect()
            }
        }
    }

    /// A self-contained folder outside the store.
    pub(crate) fn export(&self, to: &[Target], out: &Path, link: bool) -> Result<StagedModel> {
        match self {
            Self::Onnx(_, model) => {
                if to.iter().any(|target| *target != Target::Onnx) {
                    return Err(Failure::usage("only `onnx` can be written to a folder of its own")
                        .hint("leave out -o to get the path in the store"));
                }
                Ok(model.export(out, link)?)
            }
        }
    }
}

/// The file or folder that a word means; `None` if it can only be a name.
///
/// A handle or URL is never a path. Another word is one if it has a separator or the ending of a model or an archive, and the
/// file exists. One that begins as only paths do must exist.
pub(crate) fn as_path(text: &str) -> Result<Option<PathBuf>> {
    if !is_shaped(text) || !matches!(text.parse(), Ok(Spelling::Bare(_))) {
        return Ok(None);
    }
    let path = Path::new(text);
    if path.exists() {
        return Ok(Some(path.to_owned()));
    }
    let first = path.components().next();
    if path.has_root() || first.is_some_and(|c| !matches!(c, std::path::Component::Normal(_))) {
        return Err(no_such_file(text));
    }
    Ok(None)
}

fn is_shaped(text: &str) -> bool {
    let path = Path::new(text);
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    matches!(text, "." | "..")
        || text.contains(std::path::is_separator)
        || ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

fn no_such_file(text: &str) -> Failure {
    let message = if as_name(text) {
        format!("there is no file `{text}`, and no hub has a model of this name")
    } else {
        format!("there is no file `{text}`")
    };
    Failure::new(Exit::NotFound, message)
}

/// Whether a hub could have such a name.
fn as_name(text: &str) -> bool {
    let (name, revision) =
        text.split_once('@').map_or((text, None), |(name, revision)| (name, Some(revision)));
    ModelName::new(name).is_ok() && revision.is_none_or(|r| Revision::new(r).is_ok())
}

/// Stages a file or folder that no hub knows. `out`: where to, self-contained; without it nothing is copied.
pub(crate) fn stage_local(
    path: &Path,
    wishes: &Wishes,
    out: Option<&Path>,
    link: bool,
) -> Result<StagedModel> {
    onnx_allows(wishes)?;
    if wishes.to.contains(&Target::Original) {
        return Err(Failure::usage("`original` means the files of a hub, and this one comes from no hub"));
    }
    let options = LocalOptions { out: out.map(Path::to_owned), link };
    Ok(zoo_onnx::local::stage(path, &options)?)
}

/// What a local file is, without writing anything.
pub(crate) fn describe_local(path: &Path) -> Result<StagedModel> {
    if path.is_file() && is_archive(path)? {
        return Err(Failure::usage(format!("`{}` is an archive", path.display()))
            .hint("`zoo stage` unpacks it; then name the model inside"));
    }
    stage_local(path, &Wishes::default(), None, false)
}

fn is_archive(path: &Path) -> Result<bool> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let io = |source| zoo_core::Error::Io { action: "read", path: path.to_owned(), source };
    zoo_core::fs::open(path)?.take(ArchiveKind::HEAD as u64).read_to_end(&mut head).map_err(io)?;
    Ok(ArchiveKind::sniff(&head).is_some())
}

/// ONNX files say everything themselves, so options that tell zoo what a checkpoint is would be ignored: that is an error.
fn onnx_allows(wishes: &Wishes) -> Result<()> {
    let options = [("--arch", &wishes.arch), ("--task", &wishes.task), ("--auto", &wishes.auto)];
    if let Some((option, _)) = options.into_iter().find(|(_, value)| value.is_some()) {
        return Err(Failure::usage(format!(
            "{option} does not apply to an ONNX model: its graph is in the file"
        ))
        .hint(format!("leave out {option}")));
    }
    match wishes.to.iter().find(|target| !matches!(target, Target::Onnx | Target::Original)) {
        Some(target) => Err(zoo_onnx::Error::Target { target: *target }.into()),
        None => Ok(()),
    }
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hubs(home: &Path) -> Hubs {
        let zoo = Zoo::open(ZooConfig::new(home));
        Hubs { all: vec![Hub::Onnx(zoo_onnx::Hub::new(&zoo))], zoo }
    }

    fn failure<T: std::fmt::Debug>(result: Result<T>) -> (Exit, String, String) {
        let failure = result.unwrap_err();
        (failure.exit, failure.error.to_string(), failure.hint.unwrap_or_default())
    }

    #[test]
    fn a_path_is_a_word_that_looks_like_one_and_exists() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.onnx");
        zoo_core::fs::write_atomic(&file, b"", false).unwrap();
        let text = file.to_str().unwrap();
        assert_eq!(as_path(text).unwrap(), Some(file.clone()));
        assert_eq!(as_path(".").unwrap(), Some(PathBuf::from(".")));
        // This folder exists when tests run, and has no separator: a name.
        assert_eq!(as_path("src").unwrap(), None);
        assert_eq!(as_path("onnx:mnist-12").unwrap(), None);
        assert_eq!(as_path("https://hub.example/a.onnx").unwrap(), None);
        assert_eq!(as_path("onnxmodelzoo/mnist-8").unwrap(), None);
        assert_eq!(as_path("validated/x/mnist-8.onnx").unwrap(), None);
        for missing in ["./m.onnx", "../no/such/file", "/no/such/file"] {
            assert_eq!(failure(as_path(missing)).0, Exit::NotFound, "{missing}");
        }
    }

    #[test]
    fn names_are_asked_of_the_hubs_that_may_know_them() {
        let hubs = hubs(Path::new("unused"));
        let handle = |text: &str| hubs.name(text).unwrap().asked[0].1.to_string();
        assert_eq!(handle("onnx:mnist-12"), "onnx:mnist-12");
        assert_eq!(handle("MNIST@8"), "onnx:MNIST@8");
        let (exit, message, hint) = failure(hubs.name("onx:mnist-12"));
        assert_eq!((exit, message.as_str()), (Exit::Usage, "there is no hub `onx`"));
        assert_eq!(hint, "did you mean `onnx:mnist-12`?");
        let (exit, _, hint) = failure(hubs.name("https://hub.example/x"));
        assert_eq!((exit, hint.contains("`onnx`")), (Exit::Usage, true));
        assert_eq!(failure(hubs.name("a b/\\..")).0, Exit::NotFound);
        assert_eq!(failure(hubs.name("a@b@c")).0, Exit::Usage);
    }

    #[test]
    fn options_of_other_ecosystems_are_refused_for_onnx() {
        let arch = Wishes { arch: Some("resnet50".into()), ..Wishes::default() };
        let (exit, message, _) = failure(onnx_allows(&arch));
        assert_eq!(exit, Exit::Usage);
        assert!(message.starts_with("--arch does not apply"), "{message}");
        let keras = Wishes { to: vec![Target::Keras], ..Wishes::default() };
        assert_eq!(failure(onnx_allows(&keras)).0, Exit::Refused);
        assert!(
            onnx_allows(&Wishes { to: vec![Target::Onnx, Target::Original], ..Wishes::default() }).is_ok()
        );
    }

    #[tokio::test]
    async fn an_unknown_name_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let zoo = {
            let mut config = ZooConfig::new(dir.path());
            config.offline = true;
            Zoo::open(config)
        };
        let hubs = Hubs { all: vec![Hub::Onnx(zoo_onnx::Hub::new(&zoo))], zoo };
        let about = async |text: &str| failure(hubs.about(&hubs.name(text).unwrap()).await);
        let (exit, message, hint) = about("mnist12").await;
        assert_eq!(
            (exit, message.as_str()),
            (Exit::NotFound, "the ONNX Model Zoo has no model named `mnist12`")
        );
        assert!(hint.contains("`onnx:mnist-12`"), "{hint}");
        let (_, message, _) = about("models/none.onnx").await;
        assert_eq!(message, "there is no file `models/none.onnx`, and no hub has a model of this name");
        let (_, _, hint) = about("src").await;
        assert!(hint.contains("`./src`"), "{hint}");
    }
}
