//! Filling a repository of the Hugging Face hub.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Known, blob_id, files_below};
use crate::Error;
use crate::content::Content;
use crate::hubs::huggingface::{Access, Commit, HubFile, HubRepo, MAIN, RefKind};
use crate::hubs::pointer_text;

/// The hub takes larger files only as large ones.
const LARGE_ABOVE: u64 = 10 << 20;

/// Endings that the hub's `.gitattributes` makes large, whatever their length.
const LARGE: [&str; 16] = [
    "bin",
    "ckpt",
    "gguf",
    "gz",
    "h5",
    "model",
    "msgpack",
    "npz",
    "onnx",
    "onnx_data",
    "ot",
    "pb",
    "pt",
    "pth",
    "safetensors",
    "tflite",
];

/// A repository of the Hugging Face hub being filled.
#[derive(Debug, Clone, Default)]
pub struct HfRepoBuilder {
    files: Files,
    access: Access,
    tags: Vec<String>,
    pipeline_tag: Option<String>,
    library: Option<String>,
    card: Option<Value>,
    downloads: u64,
    refs: BTreeMap<String, (RefKind, Files)>,
}

/// Contents by path, and whether they are large.
type Files = BTreeMap<String, (Content, bool)>;

impl HfRepoBuilder {
    /// A large file: served by the content network.
    #[must_use]
    pub fn lfs_file(mut self, path: impl Into<String>, content: impl Into<Content>) -> Self {
        self.files.insert(path.into(), (content.into(), true));
        self
    }

    /// A small file: kept in git and served by the hub.
    #[must_use]
    pub fn small_file(mut self, path: impl Into<String>, content: impl Into<Content>) -> Self {
        self.files.insert(path.into(), (content.into(), false));
        self
    }

    /// A file that is large or small as the hub would have it: by its ending, or by its length.
    #[must_use]
    pub fn file(self, path: impl Into<String>, content: impl Into<Content>) -> Self {
        let (path, content) = (path.into(), content.into());
        let ending = Path::new(&path).extension().and_then(|e| e.to_str()).unwrap_or_default();
        let is_large = content.len() > LARGE_ABOVE || LARGE.contains(&ending);
        if is_large { self.lfs_file(path, content) } else { self.small_file(path, content) }
    }

    /// Leaves out a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.files.remove(path);
        self
    }

    /// Every file below a folder.
    pub(super) fn folder(self, folder: &Path) -> Result<Self, Error> {
        let mut filled = self;
        for (path, file) in files_below(folder)? {
            filled = filled.file(path, Content::file(&file)?);
        }
        Ok(filled)
    }

    /// Another branch, or a pull request if it is called `refs/pr/N`: what is here so far, changed by `change`.
    #[must_use]
    pub fn branch(mut self, name: &str, change: impl FnOnce(Self) -> Self) -> Self {
        let changed = change(Self { files: self.files.clone(), ..Self::default() }).files;
        let kind = if name.starts_with("refs/pr/") { RefKind::PullRequest } else { RefKind::Branch };
        self.refs.insert(name.to_owned(), (kind, changed));
        self
    }

    /// A tag of what is here so far.
    #[must_use]
    pub fn tag(mut self, name: &str) -> Self {
        self.refs.insert(name.to_owned(), (RefKind::Tag, self.files.clone()));
        self
    }

    /// Who may read it.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Tags, by which the search filters.
    #[must_use]
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.tags.extend(tags.iter().map(|tag| (*tag).to_owned()));
        self
    }

    /// The task, and the library that reads it.
    #[must_use]
    pub fn kind(mut self, pipeline_tag: &str, library: &str) -> Self {
        self.pipeline_tag = Some(pipeline_tag.to_owned());
        self.library = Some(library.to_owned());
        self
    }

    /// The card's front matter, as the hub tells it.
    #[must_use]
    pub fn card(mut self, card: Value) -> Self {
        self.card = Some(card);
        self
    }

    /// How often it was downloaded, by which the search sorts.
    #[must_use]
    pub fn downloads(mut self, downloads: u64) -> Self {
        self.downloads = downloads;
        self
    }

    /// What `main` held, to be changed by a push.
    pub(crate) fn again(repo: &HubRepo) -> Self {
        let files = repo.main().map(|commit| {
            let file = |(path, file): (&String, &HubFile)| (path.clone(), (file.content.clone(), file.large));
            commit.files.iter().map(file).collect()
        });
        Self { files: files.unwrap_or_default(), ..Self::default() }
    }

    /// The files as a commit.
    pub(crate) fn commit(self, id: &str) -> Result<Commit, Error> {
        commit(self.files, id, &mut Known::default())
    }

    pub(super) fn build(self, id: &str, known: &mut Known) -> Result<HubRepo, Error> {
        let mut refs = BTreeMap::new();
        for (name, (kind, files)) in self.refs {
            refs.insert(name, (kind, Arc::new(commit(files, id, known)?)));
        }
        refs.insert(MAIN.to_owned(), (RefKind::Branch, Arc::new(commit(self.files, id, known)?)));
        Ok(HubRepo {
            refs,
            loose: Vec::new(),
            access: self.access,
            tags: self.tags,
            pipeline_tag: self.pipeline_tag,
            library: self.library,
            card: self.card,
            downloads: self.downloads,
            likes: self.downloads / 100,
        })
    }
}

fn commit(files: Files, id: &str, known: &mut Known) -> Result<Commit, Error> {
    let mut built = BTreeMap::new();
    let mut listing = id.to_owned();
    for (path, (content, large)) in files {
        let digests = known.digests(&content)?;
        let sha256 = digests.sha256().hex();
        let own = digests.git_blob().map(|d| d.hex()).unwrap_or_default();
        let blob = if large { blob_id(pointer_text(&sha256, content.len()).as_bytes()) } else { own };
        let _ = write!(listing, "\n{path} {sha256}");
        built.insert(path, HubFile { content, sha256, blob, large });
    }
    Ok(Commit { id: blob_id(listing.as_bytes()), files: built })
}
