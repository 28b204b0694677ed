//! A repository: its commits, and the branches, tags and pull requests that name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Access;
use crate::content::Content;

/// The branch that every repository has.
pub(crate) const MAIN: &str = "main";

/// Git writes short commit ids with seven digits at least.
const SHORT: usize = 7;

/// A file of a commit.
#[derive(Debug, Clone)]
pub(crate) struct HubFile {
    pub(crate) content: Content,
    /// 64 hexadecimal digits.
    pub(crate) sha256: String,
    /// The git blob id: of the content for small files, of the pointer for large ones.
    pub(crate) blob: String,
    pub(crate) large: bool,
}

impl HubFile {
    /// What the content network calls the file: 64 digits that are not its SHA-256.
    pub(super) fn xet_hash(&self) -> String {
        self.sha256.chars().rev().collect()
    }
}

/// What the repository held at some time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) files: BTreeMap<String, HubFile>,
}

/// What a reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RefKind {
    Branch,
    Tag,
    /// Named `refs/pr/N`.
    PullRequest,
}

/// A model repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct HubRepo {
    /// By name.
    pub(crate) refs: BTreeMap<String, (RefKind, Arc<Commit>)>,
    /// Commits that no reference names any more, or never did.
    pub(crate) loose: Vec<Arc<Commit>>,
    pub(crate) access: Access,
    pub(crate) tags: Vec<String>,
    pub(crate) pipeline_tag: Option<String>,
    pub(crate) library: Option<String>,
    /// The card's front matter.
    pub(crate) card: Option<Value>,
    pub(crate) downloads: u64,
    pub(crate) likes: u64,
}

impl HubRepo {
    /// The commit that a revision names.
    pub(crate) fn at(&self, revision: &str) -> Option<&Arc<Commit>> {
        if let Some((_, commit)) = self.refs.get(revision) {
            return Some(commit);
        }
        let is_hex = revision.bytes().all(|b| b.is_ascii_hexdigit());
        let long_enough = revision.len() >= SHORT && is_hex;
        self.commits().find(|commit| long_enough && commit.id.starts_with(revision))
    }

    /// What `main` names.
    pub(crate) fn main(&self) -> Option<&Arc<Commit>> {
        self.at(MAIN)
    }

    /// Every commit.
    pub(crate) fn commits(&self) -> impl Iterator<Item = &Arc<Commit>> {
        self.refs.values().map(|(_, commit)| commit).chain(&self.loose)
    }

    /// References of a kind, with their commits.
    pub(crate) fn refs_of(&self, kind: RefKind) -> impl Iterator<Item = (&String, &Arc<Commit>)> {
        self.refs.iter().filter(move |(_, (k, _))| *k == kind).map(|(name, (_, commit))| (name, commit))
    }

    /// Puts a new commit on `main`. The one before stays, and can be asked for by its id.
    pub(crate) fn push(&mut self, commit: Commit) {
        if let Some((_, before)) = self.refs.insert(MAIN.to_owned(), (RefKind::Branch, Arc::new(commit))) {
            self.loose.push(before);
        }
    }
}
