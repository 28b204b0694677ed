//! The hub's JSON: a repository's facts, its files in pages, selected paths, references, and the search.

use std::sync::PoisonError;

use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Access, Commit, HubFile, HubRepo, HuggingFace, RefKind, Reply, User, failure, moved};
use crate::hubs::pointer_text;
use crate::server::Ask;

/// Every fixture was made at once.
const MADE: &str = "2026-01-01T00:00:00.000Z";

/// What `expand` may name, of what there is here and what clients ask for.
const EXPAND: [&str; 20] = [
    "author",
    "cardData",
    "config",
    "createdAt",
    "disabled",
    "downloads",
    "downloadsAllTime",
    "gated",
    "gguf",
    "lastModified",
    "library_name",
    "likes",
    "pipeline_tag",
    "private",
    "safetensors",
    "sha",
    "siblings",
    "tags",
    "transformersInfo",
    "usedStorage",
];

impl HuggingFace {
    /// Everything below `/api/`.
    pub(super) fn api(&self, ask: &Ask, parts: &[&str]) -> Reply {
        match parts {
            ["whoami-v2"] => self.who_am_i(ask),
            ["models"] => self.search(ask),
            // The oldest models had no owner, and all of them moved.
            ["models", name, ..] if self.renamed.contains_key(*name) => {
                self.renamed.get(*name).map_or_else(|| self.no_repo(ask), |now| moved(ask, name, now))
            }
            ["models", owner, name, rest @ ..] => self.of_repo(ask, &format!("{owner}/{name}"), rest),
            ["models", _] => self.no_repo(ask),
            _ => failure(StatusCode::NOT_FOUND, None, "Not Found"),
        }
    }

    fn who_am_i(&self, ask: &Ask) -> Reply {
        match self.user(ask) {
            User::Known(_) => Reply::json(&json!({ "type": "user", "name": "zoo-keeper", "orgs": [] }), &[]),
            _ => failure(StatusCode::UNAUTHORIZED, None, "Invalid username or password."),
        }
    }

    fn of_repo(&self, ask: &Ask, id: &str, rest: &[&str]) -> Reply {
        let repo = match self.visible(ask, id) {
            Ok(repo) => repo,
            Err(reply) => return reply,
        };
        let at = |revision: &str, answer: &dyn Fn(&Commit) -> Reply| match repo.at(revision) {
            Some(commit) => answer(commit),
            None => failure(
                StatusCode::NOT_FOUND,
                Some("RevisionNotFound"),
                &format!("Invalid rev id: {revision}"),
            ),
        };
        match rest {
            [] => at(super::MAIN, &|commit| info(id, &repo, commit, ask)),
            ["revision", revision] => at(revision, &|commit| info(id, &repo, commit, ask)),
            ["tree", revision, path @ ..] => at(revision, &|commit| self.tree(ask, commit, &path.join("/"))),
            ["paths-info", revision] if ask.method == Method::POST => {
                at(revision, &|commit| paths_info(ask, commit))
            }
            ["refs"] => refs(ask, &repo),
            ["commits", revision] => at(revision, &|commit| {
                let one =
                    json!({ "id": commit.id, "title": "Upload", "message": "", "authors": [], "date": MADE });
                Reply::json(&json!([one]), &[])
            }),
            _ => failure(StatusCode::NOT_FOUND, None, "Not Found"),
        }
    }

    /// Files (and, unless recursive, folders) below `folder`, in pages.
    fn tree(&self, ask: &Ask, commit: &Commit, folder: &str) -> Reply {
        let prefix =
            if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
        let recursive = ask.query("recursive").is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1");
        let mut entries: Vec<Value> = Vec::new();
        for (path, file) in &commit.files {
            let Some(below) = path.strip_prefix(&prefix) else { continue };
            match below.split_once('/') {
                Some((sub, _)) if !recursive => {
                    let entry = json!({ "type": "directory", "oid": commit.id, "size": 0, "path": format!("{prefix}{sub}") });
                    if !entries.contains(&entry) {
                        entries.push(entry);
                    }
                }
                _ => entries.push(tree_entry(path, file)),
            }
        }
        if entries.is_empty() && !folder.is_empty() {
            return failure(
                StatusCode::NOT_FOUND,
                Some("EntryNotFound"),
                &format!("{folder} does not exist on \"main\""),
            );
        }
        self.paged(ask, entries)
    }

    fn search(&self, ask: &Ask) -> Reply {
        let wanted = ask.query("search").unwrap_or_default().to_lowercase();
        let filters: Vec<&str> =
            ask.query.iter().filter(|(k, _)| k == "filter").map(|(_, v)| v.as_str()).collect();
        let repos = self.repos.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |(id, repo): &(&String, &HubRepo)| {
            repo.access != Access::Private
                && id.to_lowercase().contains(&wanted)
                && ask.query("author").is_none_or(|author| id.split('/').next() == Some(author))
                && ask.query("pipeline_tag").is_none_or(|tag| repo.pipeline_tag.as_deref() == Some(tag))
                && ask.query("library").is_none_or(|library| repo.library.as_deref() == Some(library))
                && filters
                    .iter()
                    .all(|f| repo.tags.iter().any(|t| t == f) || repo.library.as_deref() == Some(f))
        };
        let mut found: Vec<(&String, &HubRepo)> =
            repos.iter().map(|(id, repo)| (id, &**repo)).filter(fits).collect();
        match ask.query("sort") {
            Some("downloads") => found.sort_by_key(|(_, repo)| std::cmp::Reverse(repo.downloads)),
            Some("likes") => found.sort_by_key(|(_, repo)| std::cmp::Reverse(repo.likes)),
            _ => {}
        }
        let entries = found
            .into_iter()
            .filter_map(|(id, repo)| Some(expanded(summary(id, repo, repo.main()?), ask)))
            .collect();
        self.paged(ask, entries)
    }

    /// One page, and a link to the next. The cursor is opaque to clients.
    fn paged(&self, ask: &Ask, entries: Vec<Value>) -> Reply {
        let limit = ask
            .query("limit")
            .and_then(|n| n.parse().ok())
            .unwrap_or(self.page_size)
            .clamp(1, self.page_size);
        let from: usize = ask.query("cursor").and_then(|n| n.parse().ok()).unwrap_or(0);
        let total = entries.len();
        let page: Vec<Value> = entries.into_iter().skip(from).take(limit).collect();
        let mut headers = Vec::new();
        let next = from + page.len();
        if next < total {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(ask.query.iter().filter(|(k, _)| k != "cursor"));
            query.append_pair("cursor", &next.to_string());
            let host = ask.header(header::HOST).unwrap_or("huggingface.co");
            let scheme = if ask.via == crate::server::Via::Proxy { "https" } else { "http" };
            let link = format!("<{scheme}://{host}{}?{}>; rel=\"next\"", ask.path, query.finish());
            headers.push((header::LINK, link));
        }
        headers.push((HeaderName::from_static("x-total-count"), total.to_string()));
        Reply::json(&Value::Array(page), &headers)
    }
}

/// Branches and tags; pull requests only for those who ask.
fn refs(ask: &Ask, repo: &HubRepo) -> Reply {
    let list = |kind: RefKind, prefix: &str| -> Vec<Value> {
        let entry = |(name, commit): (&String, &std::sync::Arc<Commit>)| json!({ "name": name, "ref": format!("{prefix}{name}"), "targetCommit": commit.id });
        repo.refs_of(kind).map(entry).collect()
    };
    let mut value = json!({
        "branches": list(RefKind::Branch, "refs/heads/"), "tags": list(RefKind::Tag, "refs/tags/"), "converts": [],
    });
    let wants_requests = ask.query("include_prs").is_some_and(|v| v == "1" || v.eq_ignore_ascii_case("true"));
    if let Some(fields) = value.as_object_mut().filter(|_| wants_requests) {
        fields.insert("pullRequests".into(), list(RefKind::PullRequest, "").into());
    }
    Reply::json(&value, &[])
}

fn info(id: &str, repo: &HubRepo, commit: &Commit, ask: &Ask) -> Reply {
    if let Some((_, unknown)) =
        ask.query.iter().find(|(key, value)| key == "expand" && !EXPAND.contains(&value.as_str()))
    {
        return failure(StatusCode::BAD_REQUEST, None, &format!("Invalid option: {unknown} at \"expand\""));
    }
    let blobs = ask.query("blobs").is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1");
    let mut value = summary(id, repo, commit);
    let siblings = commit.files.iter().map(|(path, file)| {
        let mut sibling = json!({ "rfilename": path });
        if let Some(fields) = sibling.as_object_mut().filter(|_| blobs) {
            fields.insert("blobId".into(), file.blob.clone().into());
            fields.insert("size".into(), file.content.len().into());
            if let Some(lfs) = lfs(file, "sha256") {
                fields.insert("lfs".into(), lfs);
            }
        }
        sibling
    });
    if let Some(fields) = value.as_object_mut() {
        fields.insert("siblings".into(), siblings.collect());
        let used: u64 = commit.files.values().map(|file| file.content.len()).sum();
        fields.insert("usedStorage".into(), used.into());
        fields.extend(repo.card.clone().map(|card| ("cardData".to_owned(), card)));
    }
    Reply::json(&expanded(value, ask), &[])
}

/// Only the fields that were named, if any was.
fn expanded(value: Value, ask: &Ask) -> Value {
    let named: Vec<&str> =
        ask.query.iter().filter(|(key, _)| key == "expand").map(|(_, v)| v.as_str()).collect();
    match value {
        Value::Object(fields) if !named.is_empty() => {
            let is_kept = |name: &str| named.contains(&name) || matches!(name, "_id" | "id");
            fields.into_iter().filter(|(name, _)| is_kept(name)).collect::<serde_json::Map<_, _>>().into()
        }
        other => other,
    }
}

fn summary(id: &str, repo: &HubRepo, commit: &Commit) -> Value {
    let gated = if repo.access == Access::Gated { json!("manual") } else { json!(false) };
    json!({
        "_id": commit.id.get(..24),
        "id": id,
        "modelId": id,
        "author": id.split('/').next(),
        "sha": commit.id,
        "private": repo.access == Access::Private,
        "gated": gated,
        "disabled": repo.access == Access::Disabled,
        "lastModified": MADE,
        "createdAt": MADE,
        "downloads": repo.downloads,
        "likes": repo.likes,
        "tags": repo.tags,
        "pipeline_tag": repo.pipeline_tag,
        "library_name": repo.library,
    })
}

fn tree_entry(path: &str, file: &HubFile) -> Value {
    let mut entry = json!({ "type": "file", "oid": file.blob, "size": file.content.len(), "path": path });
    if let (Some(fields), Some(lfs)) = (entry.as_object_mut(), lfs(file, "oid")) {
        fields.insert("lfs".into(), lfs);
    }
    entry
}

fn lfs(file: &HubFile, digest: &str) -> Option<Value> {
    let pointer = pointer_text(&file.sha256, file.content.len()).len();
    file.large.then(|| json!({ digest: file.sha256, "size": file.content.len(), "pointerSize": pointer }))
}

/// `{"paths": […]}`, as JSON or as a form.
fn paths_info(ask: &Ask, commit: &Commit) -> Reply {
    let paths: Vec<String> = match serde_json::from_slice::<Value>(&ask.body) {
        Ok(value) => {
            let list = value.get("paths").and_then(Value::as_array).cloned().unwrap_or_default();
            list.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect()
        }
        Err(_) => url::form_urlencoded::parse(&ask.body)
            .filter(|(key, _)| key == "paths")
            .map(|(_, value)| value.into_owned())
            .collect(),
    };
    let entries = paths.iter().filter_map(|path| commit.files.get(path).map(|file| tree_entry(path, file)));
    Reply::json(&entries.collect(), &[])
}
