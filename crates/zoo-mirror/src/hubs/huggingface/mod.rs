//! The Hugging Face hub: who may read what, and where each route leads. The JSON of its API is in [`api`].
//!
//! Small files are served by the hub itself, after a relative redirect; large ones by a content network of another name, after
//! an absolute redirect to a signed URL. Size, digest and commit are on the hub's answer only; the content network's own `ETag`
//! looks like a SHA-256 and is none.

mod api;
mod repo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Reply, Served, pointer_text};
use crate::Error;
use crate::builder::HfRepoBuilder;
use crate::server::{Ask, Role, State};

pub(crate) use repo::{Commit, HubFile, HubRepo, MAIN, RefKind};

/// The windows of 2026 for anonymous clients: requests in five minutes.
const RESOLVER_QUOTA: u64 = 3000;
const API_QUOTA: u64 = 500;

/// What the content network's URLs are signed with. A URL without it is refused, as a forged or cut one would be.
const SIGNATURE: &str = "stands-in-for-a-signature";

/// Kept as they are in a path; everything else is escaped.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Who may read a repository's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Access {
    /// Everybody.
    #[default]
    Public,
    /// Those who accepted its terms. Its listing is public.
    Gated,
    /// Only those with a grant; for others it does not exist.
    Private,
    /// Nobody: taken down.
    Disabled,
}

/// How many requests are answered in each window of time.
#[derive(Debug)]
pub(crate) struct Quota {
    requests: u64,
    window: Duration,
    /// When the current window began, and how many requests there were in it.
    used: Mutex<(Instant, u64)>,
}

impl Quota {
    pub(crate) fn new(requests: u64, seconds: u64) -> Self {
        Self { requests, window: Duration::from_secs(seconds), used: Mutex::new((Instant::now(), 0)) }
    }

    /// Counts a request: how many are left after it, and the seconds until the next window; `None` left: it is one too many.
    fn count(&self) -> (Option<u64>, u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.0.elapsed() >= self.window {
            *used = (Instant::now(), 0);
        }
        used.1 += 1;
        let rest = self.window.saturating_sub(used.0.elapsed());
        (self.requests.checked_sub(used.1), rest.as_secs_f64().ceil() as u64)
    }
}

/// The hub.
#[derive(Debug, Default)]
pub(crate) struct HuggingFace {
    /// Locked, because tests push to them while the mirror runs.
    pub(crate) repos: RwLock<BTreeMap<String, Arc<HubRepo>>>,
    /// Former names.
    pub(crate) renamed: BTreeMap<String, String>,
    /// Tokens, and the repositories that each was granted.
    pub(crate) tokens: BTreeMap<String, BTreeSet<String>>,
    /// Entries of a listing in one page.
    pub(crate) page_size: usize,
    pub(crate) requests: AtomicU64,
    pub(crate) quota: Option<Quota>,
}

/// Who asks.
enum User<'a> {
    Anonymous,
    BadToken,
    Known(&'a BTreeSet<String>),
}

impl HuggingFace {
    pub(crate) fn answer(&self, state: &State, ask: &Ask) -> Reply {
        let is_resolver = ask.parts.iter().any(|part| part == "resolve" || part == "resolve-cache");
        let (class, quota) = if is_resolver { ("resolvers", RESOLVER_QUOTA) } else { ("api", API_QUOTA) };
        let Some(own) = &self.quota else {
            let used = self.requests.load(Ordering::Relaxed);
            let left = quota.saturating_sub(used % quota);
            return self.with_limits(self.route(state, ask), class, (left, 172), (quota, 300));
        };
        let window = own.window.as_secs();
        match own.count() {
            (Some(left), rest) => {
                self.with_limits(self.route(state, ask), class, (left, rest), (own.requests, window))
            }
            (None, rest) => {
                let message = "We had to rate limit you";
                let reply = failure(StatusCode::TOO_MANY_REQUESTS, None, message);
                self.with_limits(reply, class, (0, rest), (own.requests, window))
            }
        }
    }

    /// Puts a new commit on a repository's `main`; answers its id.
    pub(crate) fn push(
        &self,
        id: &str,
        change: impl FnOnce(HfRepoBuilder) -> HfRepoBuilder,
    ) -> Result<String, Error> {
        let mut repos = self.repos.write().unwrap_or_else(PoisonError::into_inner);
        let mut repo = repos.get(id).map(|repo| (**repo).clone()).unwrap_or_default();
        let commit = change(HfRepoBuilder::again(&repo)).commit(id)?;
        let pushed = commit.id.clone();
        repo.push(commit);
        repos.insert(id.to_owned(), Arc::new(repo));
        Ok(pushed)
    }

    fn repo(&self, id: &str) -> Option<Arc<HubRepo>> {
        self.repos.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn route(&self, state: &State, ask: &Ask) -> Reply {
        let parts: Vec<&str> = ask.parts.iter().map(String::as_str).collect();
        if !matches!(ask.method, Method::GET | Method::HEAD | Method::POST) {
            return Reply::status(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
        }
        match parts.as_slice() {
            ["api", "resolve-cache", "models", owner, name, commit, path @ ..] => {
                self.cached(ask, &format!("{owner}/{name}"), commit, &path.join("/"))
            }
            ["api", rest @ ..] => self.api(ask, rest),
            [owner, name, "resolve", revision, path @ ..] => {
                self.resolve(state, ask, &format!("{owner}/{name}"), revision, &path.join("/"))
            }
            [owner, name, "raw", revision, path @ ..] => {
                self.raw(ask, &format!("{owner}/{name}"), revision, &path.join("/"))
            }
            // The oldest models had no owner.
            [name, "resolve" | "raw", _, ..] => match self.renamed.get(*name) {
                Some(now) => moved(ask, name, now),
                None => self.no_repo(ask),
            },
            _ => failure(StatusCode::NOT_FOUND, None, "Sorry, we can't find the page you are looking for."),
        }
    }

    fn user(&self, ask: &Ask) -> User<'_> {
        match ask.header(header::AUTHORIZATION).map(|value| value.strip_prefix("Bearer ").unwrap_or(value)) {
            None => User::Anonymous,
            Some(token) => self.tokens.get(token).map_or(User::BadToken, User::Known),
        }
    }

    /// A repository that is missing and one that is hidden look the same.
    fn no_repo(&self, ask: &Ask) -> Reply {
        match self.user(ask) {
            User::Anonymous => failure(StatusCode::UNAUTHORIZED, None, "Invalid username or password."),
            User::BadToken => {
                failure(StatusCode::UNAUTHORIZED, None, "Invalid credentials in Authorization header")
            }
            User::Known(_) => failure(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found"),
        }
    }

    /// The repository, if the one who asks may know of it.
    fn visible(&self, ask: &Ask, id: &str) -> Result<Arc<HubRepo>, Reply> {
        if let Some(now) = self.renamed.get(id) {
            return Err(moved(ask, id, now));
        }
        let granted = matches!(self.user(ask), User::Known(grants) if grants.contains(id));
        match self.repo(id) {
            Some(repo) if repo.access == Access::Disabled => {
                Err(failure(StatusCode::FORBIDDEN, None, "Access to this resource is disabled."))
            }
            Some(repo) if repo.access != Access::Private || granted => Ok(repo),
            _ => Err(self.no_repo(ask)),
        }
    }

    /// The file, if the one who asks may read it.
    fn readable(
        &self,
        ask: &Ask,
        id: &str,
        revision: &str,
        path: &str,
    ) -> Result<(Arc<Commit>, HubFile), Reply> {
        let repo = self.visible(ask, id)?;
        if repo.access == Access::Gated {
            let message = format!(
                "Access to model {id} is restricted. You must have access to it and be authenticated to access it. Please log in."
            );
            match self.user(ask) {
                User::Known(grants) if grants.contains(id) => {}
                User::Known(_) => return Err(failure(StatusCode::FORBIDDEN, Some("GatedRepo"), &message)),
                _ => return Err(failure(StatusCode::UNAUTHORIZED, Some("GatedRepo"), &message)),
            }
        }
        let Some(commit) = repo.at(revision) else {
            let message = format!("Invalid rev id: {revision}");
            return Err(failure(StatusCode::NOT_FOUND, Some("RevisionNotFound"), &message));
        };
        let found = commit.files.get(path).map(|file| (Arc::clone(commit), file.clone()));
        found.ok_or_else(|| {
            let mut reply = failure(StatusCode::NOT_FOUND, Some("EntryNotFound"), "Entry not found");
            with(&mut reply, &[(HeaderName::from_static("x-repo-commit"), commit.id.clone())]);
            reply
        })
    }

    /// `/{id}/resolve/{revision}/{path}`: never the content itself.
    fn resolve(&self, state: &State, ask: &Ask, id: &str, revision: &str, path: &str) -> Reply {
        let (commit, file) = match self.readable(ask, id, revision, path) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let mut headers = common(&commit);
        let etag = format!("\"{}\"", if file.large { &file.sha256 } else { &file.blob });
        if ask.header(header::IF_NONE_MATCH) == Some(etag.as_str()) {
            headers.push((header::ETAG, etag));
            return Reply::other(
                StatusCode::NOT_MODIFIED,
                "text/plain; charset=utf-8",
                String::new(),
                &headers,
            );
        }
        if !file.large {
            let escaped = utf8_percent_encode(path, PATH);
            let whole = utf8_percent_encode(&ask.path, NON_ALPHANUMERIC);
            let quoted = utf8_percent_encode(&etag, NON_ALPHANUMERIC);
            let to = format!("/api/resolve-cache/models/{id}/{}/{escaped}?{whole}=&etag={quoted}", commit.id);
            headers.extend([(header::LOCATION, to), (header::ETAG, etag)]);
            return Reply::other(
                StatusCode::TEMPORARY_REDIRECT,
                "text/plain; charset=utf-8",
                String::new(),
                &headers,
            );
        }
        let base = state.base(Role::HuggingFaceContent, ask.via);
        let name = path.rsplit('/').next().unwrap_or(path);
        let disposition =
            utf8_percent_encode(&format!("inline; filename=\"{name}\""), NON_ALPHANUMERIC).to_string();
        let to = format!(
            "{base}/xet-bridge-us/{}/{}?response-content-disposition={disposition}&Expires=4102444800&Signature={SIGNATURE}",
            commit.id, file.sha256
        );
        headers.extend([
            (header::LOCATION, to),
            (HeaderName::from_static("x-linked-etag"), etag),
            (HeaderName::from_static("x-linked-size"), file.content.len().to_string()),
            (header::ACCEPT_RANGES, "bytes".into()),
        ]);
        Reply::other(
            StatusCode::FOUND,
            "text/plain; charset=utf-8",
            format!("Found. Redirecting to {base}"),
            &headers,
        )
    }

    /// Where small files are.
    fn cached(&self, ask: &Ask, id: &str, revision: &str, path: &str) -> Reply {
        let (commit, file) = match self.readable(ask, id, revision, path) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        Reply::Content(Served {
            content: file.content.clone(),
            etag: Some(file.blob.clone()),
            headers: common(&commit),
            content_type: "text/plain; charset=utf-8",
            accepts_ranges: true,
            label: format!("{id}/{path}"),
            sha256: file.sha256.clone(),
        })
    }

    /// What git keeps: the pointer of a large file, a small file itself.
    fn raw(&self, ask: &Ask, id: &str, revision: &str, path: &str) -> Reply {
        match self.readable(ask, id, revision, path) {
            Err(reply) => reply,
            Ok((commit, file)) => {
                let pointer = || pointer_text(&file.sha256, file.content.len()).into_bytes().into();
                Reply::Content(Served {
                    content: if file.large { pointer() } else { file.content.clone() },
                    etag: None,
                    headers: common(&commit),
                    content_type: "text/plain; charset=utf-8",
                    accepts_ranges: false,
                    label: format!("{id}/{path}"),
                    sha256: file.sha256.clone(),
                })
            }
        }
    }

    /// The content network: `/xet-bridge-us/{repository}/{sha256}` with a signature in the query.
    pub(crate) fn content(&self, ask: &Ask) -> Reply {
        let ["xet-bridge-us", commit, sha256] = ask.parts.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            return denied("NoSuchKey", StatusCode::NOT_FOUND);
        };
        if ask.query("Signature") != Some(SIGNATURE) {
            return denied("AccessDenied", StatusCode::FORBIDDEN);
        }
        let repos = self.repos.read().unwrap_or_else(PoisonError::into_inner);
        let found = repos.iter().find_map(|(id, repo)| {
            let commit = repo.commits().find(|c| c.id == commit)?;
            let (path, file) = commit.files.iter().find(|(_, file)| file.large && file.sha256 == sha256)?;
            Some((id, path, file))
        });
        let Some((id, path, file)) = found else { return denied("NoSuchKey", StatusCode::NOT_FOUND) };
        Reply::Content(Served {
            content: file.content.clone(),
            etag: Some(file.xet_hash()),
            headers: vec![(header::CACHE_CONTROL, "public, max-age=31536000".into())],
            content_type: "application/octet-stream",
            accepts_ranges: true,
            label: format!("{id}/{path}"),
            sha256: file.sha256.clone(),
        })
    }

    /// `RateLimit` says what is left and when there is more, `RateLimit-Policy` the rule; both are on every reply.
    fn with_limits(
        &self,
        mut reply: Reply,
        class: &str,
        (left, rest): (u64, u64),
        (quota, window): (u64, u64),
    ) -> Reply {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        with(
            &mut reply,
            &[
                (HeaderName::from_static("ratelimit"), format!("\"{class}\";r={left};t={rest}")),
                (
                    HeaderName::from_static("ratelimit-policy"),
                    format!("\"fixed window\";\"{class}\";q={quota};w={window}"),
                ),
                (HeaderName::from_static("x-request-id"), format!("Root=1-{number:08x}")),
            ],
        );
        reply
    }
}

/// The hub's relative redirect from a former name.
fn moved(ask: &Ask, before: &str, now: &str) -> Reply {
    let to = ask.target.replacen(&format!("/{before}"), &format!("/{now}"), 1);
    let headers = [(header::LOCATION, to)];
    Reply::other(StatusCode::TEMPORARY_REDIRECT, "text/plain; charset=utf-8", String::new(), &headers)
}

fn common(commit: &Commit) -> Vec<(HeaderName, String)> {
    vec![
        (HeaderName::from_static("x-repo-commit"), commit.id.clone()),
        (header::VARY, "Origin, Accept".into()),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash".into(),
        ),
    ]
}

fn with(reply: &mut Reply, headers: &[(HeaderName, String)]) {
    match reply {
        Reply::Content(served) => served.headers.extend_from_slice(headers),
        Reply::Other(response) => {
            for (name, value) in headers {
                crate::server::put(response.headers_mut(), name.clone(), value);
            }
        }
    }
}

/// The hub's own errors: a code for machines where there is one, and the message twice.
fn failure(status: StatusCode, code: Option<&str>, message: &str) -> Reply {
    let mut headers = vec![(HeaderName::from_static("x-error-message"), message.to_owned())];
    if let Some(code) = code {
        headers.push((HeaderName::from_static("x-error-code"), code.to_owned()));
    }
    let body = serde_json::json!({ "error": message }).to_string();
    Reply::other(status, "application/json; charset=utf-8", body, &headers)
}

/// The content network's errors are an object store's.
fn denied(code: &str, status: StatusCode) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    );
    Reply::other(status, "application/xml", body, &[])
}
