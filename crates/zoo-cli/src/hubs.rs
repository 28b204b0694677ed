//! The one place that knows which ecosystems there are. Everything else says "a model"; the next ecosystem is one more
//! variant of [`Hub`] and [`Model`] here, and a dependency.
//!
//! It also decides which hubs may know a word; what a path means is in `local`, which wishes an ecosystem honours in `wishes`.

mod local;
mod told;
mod wishes;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zoo_core::handle::{Handle, Spelling, nearest};
use zoo_core::http::Credential;
use zoo_core::manifest::Manifest;
use zoo_core::progress::Progress;
use zoo_core::stage::{StageOptions, StagedModel, Target};
use zoo_core::store::{Store, StoredModel};
use zoo_core::{Zoo, ZooConfig};
use zoo_hf::HfConfig;
use zoo_onnx::OnnxConfig;
use zoo_torch::TorchConfig;
use zoo_torch::catalog::Catalog;

pub(crate) use self::local::{Described, as_path, describe_local, stage_local};
use self::local::{is_shaped, no_such_file};
pub(crate) use self::told::{Listed, Published};
pub(crate) use self::wishes::Wishes;
use crate::env::{Settings, Token};
use crate::exit::{Exit, Failure, Result};

/// The hubs by the word before the colon.
const HUBS: [&str; 3] = [zoo_onnx::Hub::NAME, zoo_torch::Hub::NAME, zoo_hf::Hub::NAME];

/// All hubs over one store.
#[derive(Debug)]
pub(crate) struct Hubs {
    zoo: Zoo,
    all: Vec<Hub>,
}

#[derive(Debug, Clone)]
enum Hub {
    Onnx(zoo_onnx::Hub),
    Torch(zoo_torch::Hub),
    Hf(zoo_hf::Hub),
}

/// A model in the store, with the hub it came from.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    Onnx(Box<zoo_onnx::Hub>, zoo_onnx::Model),
    Torch(zoo_torch::Model),
    Hf(zoo_hf::Model),
}

/// What was typed, and which hubs may know it, each with the handle that it would be there.
#[derive(Debug)]
pub(crate) struct Name {
    text: String,
    asked: Vec<(Hub, Handle)>,
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

impl From<zoo_torch::Error> for Failure {
    fn from(error: zoo_torch::Error) -> Self {
        match error {
            zoo_torch::Error::Core(error) => error.into(),
            error => {
                let (kind, hint) = (error.kind(), error.hint());
                Self::of(error, kind, hint)
            }
        }
    }
}

impl From<zoo_hf::Error> for Failure {
    fn from(error: zoo_hf::Error) -> Self {
        match error {
            zoo_hf::Error::Core(error) => error.into(),
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
        let mut torch = TorchConfig::default();
        if let Some(url) = &settings.torch_endpoint {
            torch.endpoint = url.clone();
        }
        if let Some(path) = &settings.torch_catalog {
            torch.catalog = Catalog::read(path)?;
        }
        torch.caches.clone_from(&settings.torch_caches);
        let mut hf = HfConfig::default();
        if let Some(url) = &settings.hf_endpoint {
            hf.endpoint = url.clone();
        }
        hf.caches.clone_from(&settings.hf_caches);
        hf.knows = Some(zoo_hf::stage::builds);

        let mut config = ZooConfig::new(settings.home()?);
        config.offline = settings.offline;
        config.http = settings.http.clone();
        if let Some(token) = settings.hf_token.as_ref().filter(|_| !settings.offline).and_then(Token::read) {
            match Credential::bearer(&hf.endpoint, token) {
                Ok(credential) => config.http.credentials.push(credential),
                // Most models need no token, so this is no reason to stop.
                Err(error) => tracing::warn!(%error, "the Hugging Face token is not sent"),
            }
        }
        if let Some(progress) = progress {
            config = config.listening(progress);
        }
        let zoo = Zoo::open(config);
        let all = vec![
            Hub::Onnx(zoo_onnx::Hub::with(&zoo, onnx)),
            Hub::Torch(zoo_torch::Hub::with(&zoo, torch)),
            Hub::Hf(zoo_hf::Hub::with(&zoo, hf)),
        ];
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
        if let Some(handle) = zoo_hf::Hub::spelled(text) {
            let asked = vec![(self.hub(zoo_hf::Hub::NAME, text)?.clone(), handle?)];
            return Ok(Name { text: text.to_owned(), asked });
        }
        let asked = match text.parse::<Spelling>()? {
            Spelling::Handle(handle) => vec![(self.hub(handle.hub.as_str(), text)?.clone(), handle)],
            Spelling::Url(url) => {
                let known = |hub: &Hub| hub.recognise(&url).map(|handle| (hub.clone(), handle));
                let mut asked: Vec<_> = self.all.iter().filter_map(known).collect();
                // The ONNX Model Zoo is an organisation of Hugging Face, and knows more about its files.
                asked.truncate(1);
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
                let is_repository = zoo_hf::Hub::is_bare_name(name);
                let may_know = |hub: &&Hub| matches!(hub, Hub::Hf(_)) == is_repository;
                let asked: zoo_core::Result<Vec<_>> = self.all.iter().filter(may_know).map(handle).collect();
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
                _ => format!("there are {}", list(HUBS)),
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

    /// The same, if it has the files that the wishes need.
    pub(crate) async fn find_for(&self, name: &Name, wishes: &Wishes) -> Result<Option<Model>> {
        let wanted = wishes.wanted()?;
        let has = |model: &Model| match model {
            Model::Hf(model) => model.has(&wanted),
            _ => true,
        };
        Ok(self.find(name).await?.filter(has))
    }

    /// The same, if no hub could say that there is something newer: a branch goes on, and offline nobody can be asked.
    pub(crate) async fn settled(&self, name: &Name, wishes: &Wishes) -> Result<Option<Model>> {
        let moves =
            |(hub, handle): &(Hub, Handle)| matches!(hub, Hub::Hf(_)) && !zoo_hf::Hub::is_fixed(handle);
        if !self.offline() && name.asked.iter().any(moves) {
            return Ok(None);
        }
        self.find_for(name, wishes).await
    }

    /// Brings the model to the store, if it is not there yet.
    pub(crate) async fn pull(&self, name: &Name, wishes: &Wishes) -> Result<Model> {
        let (hub, handle) = self.one(name).await?;
        hub.pull(handle, wishes).await.map_err(|failure| name.explain(failure))
    }

    /// Fails, before anything is fetched, where the model cannot become what is wanted.
    pub(crate) async fn allow(&self, name: &Name, wishes: &Wishes) -> Result<()> {
        if wishes.is_plain() {
            return Ok(());
        }
        if let Some(model) = self.find(name).await? {
            return model.allow(wishes);
        }
        let (hub, _) = self.one(name).await?;
        hub.allow(wishes)
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
                hub.ecosystem() == m.ecosystem.as_str()
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
            // Hugging Face has millions; it is listed by name, and searched.
            None => self.all.iter().filter(|hub| !matches!(hub, Hub::Hf(_))).collect(),
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
            match hub.search(words).await {
                Ok(found) => listed.extend(found),
                // What the others have does not depend on it.
                Err(failure) if failure.exit == Exit::Network => {
                    tracing::warn!(hub = hub.name(), error = %failure.error, "not searched");
                }
                Err(failure) => return Err(failure),
            }
        }
        self.mark(listed)
    }

    /// Marks what is stored.
    fn mark(&self, mut listed: Vec<Listed>) -> Result<Vec<Listed>> {
        let mut stored: HashSet<String> =
            self.store().models()?.into_iter().map(|model| model.manifest.handle).collect();
        // A line may name a model without its revision.
        let bare = |handle: &String| handle.split_once('@').map(|(name, _)| name.to_owned());
        let without: Vec<String> = stored.iter().filter_map(bare).collect();
        stored.extend(without);
        for line in &mut listed {
            line.stored = stored.contains(&line.handle);
        }
        Ok(listed)
    }
}

impl Name {
    /// A word that looks like a path may have been meant as one; and a file may have the name that no hub knows.
    fn explain(&self, failure: Failure) -> Failure {
        // A file that is gone from the server is not found either, but its name was right.
        let is_unknown = matches!(failure.error.downcast_ref(), Some(zoo_core::Error::UnknownModel { .. }))
            || matches!(failure.error.downcast_ref(), Some(zoo_hf::Error::Missing { .. }));
        if !is_unknown {
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
            Self::Torch(_) => zoo_torch::Hub::NAME,
            Self::Hf(_) => zoo_hf::Hub::NAME,
        }
    }

    /// The folder of the store.
    fn ecosystem(&self) -> &'static str {
        match self {
            Self::Onnx(_) => zoo_onnx::Hub::NAME,
            Self::Torch(_) => zoo_torch::Hub::ECOSYSTEM,
            Self::Hf(_) => zoo_hf::Hub::ECOSYSTEM,
        }
    }

    fn recognise(&self, url: &url::Url) -> Option<Handle> {
        match self {
            Self::Onnx(hub) => hub.recognise(url),
            Self::Torch(hub) => hub.recognise(url),
            Self::Hf(hub) => hub.recognise(url),
        }
    }

    async fn find(&self, handle: &Handle) -> Result<Option<Model>> {
        Ok(match self {
            Self::Onnx(hub) => hub.find(handle).await?.map(|model| Model::Onnx(Box::new(hub.clone()), model)),
            Self::Torch(hub) => hub.find(handle).await?.map(Model::Torch),
            Self::Hf(hub) => hub.find(handle).await?.map(Model::Hf),
        })
    }

    async fn pull(&self, handle: &Handle, wishes: &Wishes) -> Result<Model> {
        Ok(match self {
            Self::Onnx(hub) => Model::Onnx(Box::new(hub.clone()), hub.pull(handle).await?),
            Self::Torch(hub) => Model::Torch(hub.pull(handle).await?),
            Self::Hf(hub) => Model::Hf(hub.pull(handle, &wishes.wanted()?).await?),
        })
    }

    async fn about(&self, handle: &Handle) -> Result<Published> {
        Ok(match self {
            Self::Onnx(hub) => hub.resolve(handle).await?.into(),
            Self::Torch(hub) => hub.resolve(handle).await?.into(),
            Self::Hf(hub) => hub.resolve(handle).await?.into(),
        })
    }

    async fn list(&self) -> Result<Vec<Listed>> {
        Ok(match self {
            Self::Onnx(hub) => hub.list().await?.into_iter().map(Listed::from).collect(),
            Self::Torch(hub) => hub.list().await?.into_iter().map(Listed::from).collect(),
            Self::Hf(hub) => hub.list().await?.into_iter().map(Listed::from).collect(),
        })
    }

    async fn search(&self, words: &str) -> Result<Vec<Listed>> {
        Ok(match self {
            Self::Onnx(hub) => hub.search(words).await?.into_iter().map(Listed::from).collect(),
            Self::Torch(hub) => hub.search(words).await?.into_iter().map(Listed::from).collect(),
            Self::Hf(hub) => hub.search(words).await?.into_iter().map(Listed::from).collect(),
        })
    }

    fn allow(&self, wishes: &Wishes) -> Result<()> {
        match self {
            Self::Onnx(_) => wishes.allow_onnx(),
            Self::Torch(_) => wishes.allow_torch(true),
            Self::Hf(_) => wishes.allow_hf(),
        }
    }
}

impl Model {
    /// As the store knows it.
    pub(crate) fn stored(&self) -> &StoredModel {
        match self {
            Self::Onnx(_, model) => model.stored(),
            Self::Torch(model) => model.stored(),
            Self::Hf(model) => model.stored(),
        }
    }

    /// Folders with the inputs and outputs that the hub publishes, fetched if they are not here yet.
    pub(crate) async fn test_data(&self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Onnx(hub, model) => Ok(hub.test_data(model).await?),
            Self::Torch(_) | Self::Hf(_) => {
                let message = format!("no test data are published for `{}`", self.stored().manifest.handle);
                Err(Failure::new(Exit::NotFound, message).hint("`zoo run` makes inputs"))
            }
        }
    }

    /// Fails where the model cannot become what is wanted.
    pub(crate) fn allow(&self, wishes: &Wishes) -> Result<()> {
        match self {
            Self::Onnx(..) => wishes.allow_onnx(),
            Self::Torch(_) => wishes.allow_torch(true),
            Self::Hf(_) => wishes.allow_hf(),
        }
    }

    /// What there is of it, without making anything.
    pub(crate) fn as_it_is(&self) -> Result<StagedModel> {
        match self {
            Self::Onnx(_, model) => Ok(model.stage(&StageOptions::to(Target::Onnx))?),
            Self::Torch(model) => Ok(model.as_it_is()?),
            Self::Hf(model) => Ok(model.as_it_is()?),
        }
    }

    /// The staged forms; without a wish, the one that the files are made for.
    pub(crate) async fn stage(&self, wishes: &Wishes) -> Result<Vec<StagedModel>> {
        self.allow(wishes)?;
        if let (Self::Hf(model), Some(onnx)) = (self, wishes.wanted()?.onnx) {
            return Ok(model.published_onnx(&onnx)?);
        }
        let mut staged = Vec::new();
        for options in wishes.each(wishes.usual()) {
            staged.push(match self {
                Self::Onnx(_, model) => model.stage(&options)?,
                Self::Torch(model) => model.stage(&options).await?,
                Self::Hf(model) => model.stage(&options).await?,
            });
        }
        Ok(staged)
    }

    /// A self-contained folder outside the store.
    pub(crate) fn export(&self, wishes: &Wishes, out: &Path, link: bool) -> Result<StagedModel> {
        self.allow(wishes)?;
        let each = wishes.each(Target::Onnx);
        let ([options], true) = (each.as_slice(), each.iter().all(|o| o.target == Target::Onnx)) else {
            return Err(Failure::usage("only `onnx` can be written to a folder of its own")
                .hint("leave out -o to get the path in the store"));
        };
        match self {
            Self::Onnx(_, model) => Ok(model.export(out, link)?),
            Self::Torch(model) => Ok(model.export(options, out, link)?),
            Self::Hf(model) => Ok(model.export(options, out, link)?),
        }
    }
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hubs(home: &Path) -> Hubs {
        of(Zoo::open(ZooConfig::new(home)))
    }

    fn of(zoo: Zoo) -> Hubs {
        let all = vec![
            Hub::Onnx(zoo_onnx::Hub::new(&zoo)),
            Hub::Torch(zoo_torch::Hub::new(&zoo)),
            Hub::Hf(zoo_hf::Hub::new(&zoo)),
        ];
        Hubs { zoo, all }
    }

    fn failure<T: std::fmt::Debug>(result: Result<T>) -> (Exit, String, String) {
        let failure = result.unwrap_err();
        (failure.exit, failure.error.to_string(), failure.hint.unwrap_or_default())
    }

    #[test]
    fn names_are_asked_of_the_hubs_that_may_know_them() {
        let hubs = hubs(Path::new("unused"));
        let handle = |text: &str| hubs.name(text).unwrap().asked[0].1.to_string();
        assert_eq!(handle("onnx:mnist-12"), "onnx:mnist-12");
        assert_eq!(handle("MNIST@8"), "onnx:MNIST@8");
        assert_eq!(handle("org/name@refs/pr/3"), "hf:org/name@refs/pr/3");
        assert_eq!(handle("hf://org/name@main/config.json"), "hf:org/name/config.json@main");
        assert_eq!(handle("https://huggingface.co/org/name"), "hf:org/name");
        assert_eq!(handle("https://huggingface.co/onnxmodelzoo/mnist-8"), "onnx:mnist-8");
        let (exit, message, hint) = failure(hubs.name("onx:mnist-12"));
        assert_eq!((exit, message.as_str()), (Exit::Usage, "there is no hub `onx`"));
        assert_eq!(hint, "did you mean `onnx:mnist-12`?");
        let (exit, _, hint) = failure(hubs.name("https://hub.example/x"));
        assert_eq!((exit, hint.contains("`onnx`")), (Exit::Usage, true));
        assert_eq!(failure(hubs.name("a b/\\..")).0, Exit::NotFound);
        assert_eq!(failure(hubs.name("a@b@c")).0, Exit::Usage);
    }

    #[tokio::test]
    async fn an_unknown_name_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let zoo = {
            let mut config = ZooConfig::new(dir.path());
            config.offline = true;
            Zoo::open(config)
        };
        let hubs = of(zoo);
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
