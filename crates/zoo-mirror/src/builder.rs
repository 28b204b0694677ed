//! Filling a mirror before it starts, the way one fills a registry.

mod hugging_face;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use serde::Deserialize;
use serde_json::json;
use zoo_core::digest::{Digest, Digests, Hasher};

use crate::Error;
use crate::content::Content;
use crate::faults::FaultRule;
use crate::hubs::github::{GitFile, GitHub, GitRepo};
use crate::hubs::huggingface::{HuggingFace, Quota};
use crate::hubs::torch::{Torch, TorchFile};
use crate::server::{Contents, Mirror};

pub use hugging_face::HfRepoBuilder;

/// The real hub answers a thousand entries a page.
const PAGE_SIZE: usize = 1000;

/// The organisation in which the ONNX Model Zoo lives today, and its repository that holds everything.
const ONNX_ORG: &str = "onnxmodelzoo";
const ONNX_ALL: &str = "onnxmodelzoo/legacy_models";

/// Where the ONNX Model Zoo's pointers are, and a fork that still has its large files.
const ONNX_REPO: &str = "onnx/models";
const ONNX_FORK: &str = "zoo-tests/models";

const ONNX_MANIFEST: &str = "ONNX_HUB_MANIFEST.json";

/// What a mirror will serve. Errors (a fixture that is missing, say) are kept and come from [`MirrorBuilder::start`].
#[derive(Debug, Default)]
pub struct MirrorBuilder {
    repos: BTreeMap<String, HfRepoBuilder>,
    renamed: BTreeMap<String, String>,
    tokens: BTreeMap<String, Vec<String>>,
    github: BTreeMap<String, GitRepo>,
    torch: Torch,
    manifest: Vec<serde_json::Value>,
    rules: Vec<FaultRule>,
    pace: Option<u64>,
    page_size: Option<usize>,
    quota: Option<Quota>,
    first_port: Option<u16>,
    error: Option<Error>,
}

/// A further model of the ONNX Model Zoo, made by a test instead of read from the fixtures.
#[derive(Debug, Clone)]
pub struct OnnxEntry {
    /// The manifest's name of the model.
    pub model: String,
    /// The opset.
    pub opset: i64,
    /// Path in the repository; ends in `.onnx`.
    pub path: String,
    /// The model.
    pub content: Content,
    /// Files beside it, by name: external data.
    pub beside: Vec<(String, Content)>,
    /// The archive with test data.
    pub archive: Option<Content>,
}

/// The name that [`MirrorBuilder::torch_file`] gives to a content.
pub fn torch_name(pattern: &str, content: &Content) -> Result<String, Error> {
    Ok(TorchFile::new(content.clone())?.name(pattern))
}

/// How the fixtures want to be served (`mirror.json`).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Habits {
    /// Without a repository of their own.
    #[serde(default)]
    legacy_only: Vec<String>,
    /// Only inside their archive.
    #[serde(default)]
    archive_only: Vec<String>,
    /// Ordinary git files on Hugging Face.
    #[serde(default)]
    small: Vec<String>,
    /// Names of repositories that the fixtures alone do not tell.
    #[serde(default)]
    repositories: BTreeMap<String, String>,
}

impl MirrorBuilder {
    /// A repository of the Hugging Face hub. A second call for the same id adds to it.
    #[must_use]
    pub fn hf_repo(mut self, id: &str, fill: impl FnOnce(HfRepoBuilder) -> HfRepoBuilder) -> Self {
        let repo = self.repos.remove(id).unwrap_or_default();
        self.repos.insert(id.to_owned(), fill(repo));
        self
    }

    /// A repository of the Hugging Face hub with every file below a folder, large or small as the hub would have it.
    #[must_use]
    pub fn hf_repo_from_folder(mut self, id: &str, folder: &Path) -> Self {
        match self.repos.remove(id).unwrap_or_default().folder(folder) {
            Ok(repo) => {
                self.repos.insert(id.to_owned(), repo);
            }
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// The hub answers only so many requests in each window of so many seconds; then 429, with the wait in `RateLimit` alone.
    #[must_use]
    pub fn hf_quota(mut self, requests: u64, seconds: u64) -> Self {
        self.quota = Some(Quota::new(requests, seconds));
        self
    }

    /// A former name of a repository.
    #[must_use]
    pub fn hf_renamed(mut self, before: &str, now: &str) -> Self {
        self.renamed.insert(before.to_owned(), now.to_owned());
        self
    }

    /// A token that is valid, and the gated or private repositories that it was granted.
    #[must_use]
    pub fn hf_token(mut self, token: &str, granted: &[&str]) -> Self {
        self.tokens.insert(token.to_owned(), granted.iter().map(|id| (*id).to_owned()).collect());
        self
    }

    /// Entries of a listing in one page (the real hub's thousand otherwise).
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = Some(entries.max(1));
        self
    }

    /// A fault that is in force from the start.
    #[must_use]
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Limits every connection to so many bytes of content per second.
    #[must_use]
    pub fn pace(mut self, bytes_per_second: u64) -> Self {
        self.pace = Some(bytes_per_second);
        self
    }

    /// Fixed ports: this one and those after it, in the order of [`crate::Role::ALL`]. Free ones otherwise.
    #[must_use]
    pub fn first_port(mut self, port: u16) -> Self {
        self.first_port = Some(port);
        self
    }

    /// The ONNX Model Zoo from a folder of fixtures (`tests/fixtures/onnx`): its manifest and pointers, the repositories of
    /// `onnxmodelzoo`, and a fork on GitHub whose large files are still there.
    #[must_use]
    pub fn onnx_zoo(mut self, folder: &Path) -> Self {
        if let Err(error) = self.read_onnx_zoo(folder) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Adds a model to the ONNX Model Zoo.
    #[must_use]
    pub fn onnx_entry(mut self, entry: OnnxEntry) -> Self {
        if let Err(error) = self.add_onnx_entry(entry) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// A file below `/models/` of torchvision's server. In a name such as `resnet50-xxxxxxxx.pth` or `quantized/…-xxxxxxxx.pth`
    /// the run of `x` becomes that many digits of the content's SHA-256, as [`crate::torch_name`] tells.
    #[must_use]
    pub fn torch_file(mut self, name: &str, content: impl Into<Content>) -> Self {
        match TorchFile::new(content.into()) {
            Ok(file) => {
                self.torch.files.insert(file.name(name), file);
            }
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Result<Mirror, Error> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if !self.manifest.is_empty() {
            let text = serde_json::to_vec_pretty(&self.manifest).unwrap_or_default();
            self.add_git(ONNX_MANIFEST, &Content::from(text), false)?;
        }
        let mut known = Known::default();
        let mut repos = BTreeMap::new();
        for (id, repo) in self.repos {
            let built = repo.build(&id, &mut known)?;
            repos.insert(id, Arc::new(built));
        }
        let tokens = self.tokens.into_iter().map(|(token, ids)| (token, ids.into_iter().collect())).collect();
        let page_size = self.page_size.unwrap_or(PAGE_SIZE);
        let hugging_face = HuggingFace {
            repos: RwLock::new(repos),
            renamed: self.renamed,
            tokens,
            page_size,
            quota: self.quota,
            ..HuggingFace::default()
        };
        Mirror::start(Contents {
            hugging_face,
            github: GitHub { repos: self.github },
            torch: self.torch,
            rules: self.rules,
            pace: self.pace,
            first_port: self.first_port,
        })
    }

    fn read_onnx_zoo(&mut self, folder: &Path) -> Result<(), Error> {
        let habits: Habits = read_json(&folder.join("mirror.json"))?;
        let manifest: Vec<serde_json::Value> = read_json(&folder.join(ONNX_MANIFEST))?;
        self.manifest.extend(manifest);
        let files = files_below(folder)?;
        let models: Vec<&String> = files.keys().filter(|path| is_model(path)).collect();
        for (path, file) in &files {
            if [ONNX_MANIFEST, "mirror.json", "README.md"].contains(&path.as_str()) {
                continue;
            }
            let content = Content::file(file)?;
            self.add_git(path, &content, true)?;
            if habits.archive_only.contains(path) {
                continue;
            }
            let large = !habits.small.contains(path);
            self.add_hf(ONNX_ALL, path, content.clone(), large);
            let model = models.iter().find(|model| *model == &path || beside(path, model));
            let Some(model) = model.filter(|model| !habits.legacy_only.contains(model)) else { continue };
            let repository =
                habits.repositories.get(*model).cloned().unwrap_or_else(|| repository(model, &models));
            let name = if path == *model { format!("{repository}.onnx") } else { file_name(path).to_owned() };
            self.add_hf(&format!("{ONNX_ORG}/{repository}"), &name, content, large);
        }
        Ok(())
    }

    fn add_onnx_entry(&mut self, entry: OnnxEntry) -> Result<(), Error> {
        let OnnxEntry { model, opset, path, content, beside, archive } = entry;
        let stem = file_name(&path).trim_end_matches(".onnx").to_owned();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut metadata = json!({
            "model_sha": content.digests().map_err(Error::io("read a model"))?.sha256().hex(),
            "model_bytes": content.len(),
            "tags": ["zoo-tests"],
        });
        let mut files = vec![(path.clone(), content)];
        files.extend(beside.into_iter().map(|(name, content)| (format!("{folder}/{name}"), content)));
        for (path, content) in &files {
            self.add_hf(&format!("{ONNX_ORG}/{stem}"), file_name(path), content.clone(), true);
        }
        if let (Some(archive), Some(fields)) = (archive, metadata.as_object_mut()) {
            let path = format!("{folder}/{stem}.tar.gz");
            fields.insert("model_with_data_path".into(), path.clone().into());
            let digests = archive.digests().map_err(Error::io("read an archive"))?;
            fields.insert("model_with_data_sha".into(), digests.sha256().hex().into());
            fields.insert("model_with_data_bytes".into(), archive.len().into());
            files.push((path, archive));
        }
        for (path, content) in files {
            self.add_hf(ONNX_ALL, &path, content.clone(), true);
            self.add_git(&path, &content, true)?;
        }
        self.manifest.push(json!({
            "model": model, "model_path": path, "onnx_version": "1.9", "opset_version": opset, "metadata": metadata,
        }));
        Ok(())
    }

    fn add_hf(&mut self, id: &str, path: &str, content: Content, large: bool) {
        let repo = self.repos.remove(id).unwrap_or_else(|| HfRepoBuilder::default().tags(&["onnx"]));
        let repo = if large { repo.lfs_file(path, content) } else { repo.small_file(path, content) };
        self.repos.insert(id.to_owned(), repo);
    }

    fn add_git(&mut self, path: &str, content: &Content, large: bool) -> Result<(), Error> {
        let sha256 = content.digests().map_err(Error::io(format!("read `{path}`")))?.sha256().hex();
        for (id, media) in [(ONNX_REPO, false), (ONNX_FORK, true)] {
            let repo = self.github.entry(id.to_owned()).or_default();
            repo.media = media;
            repo.files
                .insert(path.to_owned(), GitFile { content: content.clone(), sha256: sha256.clone(), large });
        }
        Ok(())
    }
}

/// Digests of contents that were hashed already: the same large file may be served under several names.
#[derive(Default)]
struct Known(Vec<(Content, Digests)>);

impl Known {
    fn digests(&mut self, content: &Content) -> Result<Digests, Error> {
        if let Some((_, digests)) = self.0.iter().find(|(known, _)| known.same(content)) {
            return Ok(digests.clone());
        }
        let digests = content.digests().map_err(Error::io("read a content"))?;
        self.0.push((content.clone(), digests.clone()));
        Ok(digests)
    }
}

fn blob_id(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(&[Digest::GitBlob([0; 20])], Some(bytes.len() as u64));
    hasher.update(bytes);
    hasher.finish().git_blob().map(|d| d.hex()).unwrap_or_default()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_model(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "onnx")
}

/// Whether a file is external data of a model: in its folder, and named after it.
fn beside(path: &str, model: &str) -> bool {
    path.strip_prefix(model).is_some_and(|rest| !rest.contains('/') && !rest.is_empty())
}

/// The name of a model's own repository: its stem, or where several sources have that stem, the name of its folder.
fn repository(model: &str, models: &[&String]) -> String {
    let stem = |path: &str| file_name(path).trim_end_matches(".onnx").to_owned();
    let own = stem(model);
    let shared = models.iter().filter(|other| stem(other) == own).count() > 1;
    match model.rsplit('/').nth(1) {
        Some(folder) if shared => folder.to_owned(),
        _ => own,
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let fixture = |reason: String| Error::Fixture { path: path.display().to_string(), reason };
    let bytes = zoo_core::fs::read_bounded(path, 64 << 20).map_err(|e| fixture(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| fixture(e.to_string()))
}

/// Every file below a folder, by its path with `/`.
fn files_below(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let fixture = |path: &Path, reason: String| Error::Fixture { path: path.display().to_string(), reason };
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in zoo_core::fs::list_dir(&folder).map_err(|e| fixture(&folder, e.to_string()))? {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push((format!("{path}/"), entry.path()));
            } else {
                found.insert(path, entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_as_the_real_ones() {
        let models: Vec<String> =
            ["v/m/mnist-8.onnx", "C/d_Opset17_timm/d_Opset17.onnx", "C/d_Opset17_hub/d_Opset17.onnx"]
                .map(str::to_owned)
                .to_vec();
        let all: Vec<&String> = models.iter().collect();
        let names: Vec<String> = models.iter().map(|model| repository(model, &all)).collect();
        assert_eq!(names, ["mnist-8", "d_Opset17_timm", "d_Opset17_hub"]);
        assert!(beside("a/m.onnx.data", "a/m.onnx"));
        assert!(!beside("a/m.onnx", "a/m.onnx"));
    }

    #[test]
    fn a_missing_fixture_is_named_at_the_start() {
        let error = Mirror::builder().onnx_zoo(Path::new("no-such-folder")).start().unwrap_err();
        assert!(error.to_string().contains("mirror.json"), "{error}");
    }
}
