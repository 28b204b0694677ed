//! GitHub as far as models need it: raw files (and pointers in place of large ones), and the media host.
//!
//! The ONNX Model Zoo's repository is archived and its large files are gone from the media host since July 2025; only its
//! pointers are still there. Forks that pay for their own storage still serve theirs.

use std::collections::BTreeMap;

use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};

use super::{Reply, Served, pointer_text};
use crate::content::Content;
use crate::server::Ask;

/// A file in a repository.
#[derive(Debug, Clone)]
pub(crate) struct GitFile {
    pub(crate) content: Content,
    pub(crate) sha256: String,
    /// Kept by Git LFS: git itself has only the pointer.
    pub(crate) large: bool,
}

/// A repository with one branch, `main`.
#[derive(Debug, Clone, Default)]
pub(crate) struct GitRepo {
    pub(crate) files: BTreeMap<String, GitFile>,
    /// Whether the media host still has the large files.
    pub(crate) media: bool,
}

/// Every repository by `owner/name`.
#[derive(Debug, Default)]
pub(crate) struct GitHub {
    pub(crate) repos: BTreeMap<String, GitRepo>,
}

impl GitHub {
    /// `/{owner}/{name}/{ref}/{path}` on the raw host.
    pub(crate) fn raw(&self, ask: &Ask) -> Reply {
        let Some((label, file)) = self.find(ask, &ask.parts) else { return missing() };
        let (content, sha256) = if file.large {
            (pointer_text(&file.sha256, file.content.len()).into_bytes().into(), file.sha256.clone())
        } else {
            (file.content.clone(), file.sha256.clone())
        };
        Reply::Content(Served {
            etag: Some(format!("raw-{sha256}")),
            content,
            headers: vec![
                (header::CACHE_CONTROL, "max-age=300".into()),
                (HeaderName::from_static("x-content-type-options"), "nosniff".into()),
            ],
            content_type: "text/plain; charset=utf-8",
            accepts_ranges: true,
            label,
            sha256,
        })
    }

    /// `/media/{owner}/{name}/{ref}/{path}` on the media host.
    pub(crate) fn media(&self, ask: &Ask) -> Reply {
        let Some(("media", parts)) = ask.parts.split_first().map(|(first, rest)| (first.as_str(), rest))
        else {
            return missing();
        };
        let served = self.find(ask, parts).filter(|_| self.repo(parts).is_some_and(|repo| repo.media));
        let Some((label, file)) = served else { return missing() };
        Reply::Content(Served {
            content: file.content.clone(),
            etag: Some(file.sha256.clone()),
            headers: vec![(header::CACHE_CONTROL, "max-age=300".into())],
            content_type: "application/octet-stream",
            accepts_ranges: true,
            label,
            sha256: file.sha256.clone(),
        })
    }

    fn repo(&self, parts: &[String]) -> Option<&GitRepo> {
        let [owner, name, ..] = parts else { return None };
        self.repos.get(&format!("{owner}/{name}"))
    }

    fn find(&self, ask: &Ask, parts: &[String]) -> Option<(String, &GitFile)> {
        let [owner, name, reference, path @ ..] = parts else { return None };
        let readable = ask.method == Method::GET || ask.method == Method::HEAD;
        let path = path.join("/");
        let file = self.repo(parts)?.files.get(&path)?;
        (readable && reference == "main").then(|| (format!("{owner}/{name}/{path}"), file))
    }
}

fn missing() -> Reply {
    Reply::status(StatusCode::NOT_FOUND, "404: Not Found")
}
