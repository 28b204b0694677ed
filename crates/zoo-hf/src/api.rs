//! Questions to the hub: a repository's facts, the files of a commit, the search.
//!
//! The `hf-hub` crate asks for facts, references and names. What it cannot do goes through zoo-core, each time with its reason
//! beside it: trying again (hf-hub knows no `RateLimit` header and repeats at once), and listings (its paging takes the token
//! to whatever host a `Link` names, and reads answers of any length).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{StreamExt as _, pin_mut};
use hf_hub::repository::ModelInfo;
use hf_hub::{HFClient, HFError};
use serde_json::Value;
use url::Url;
use zoo_core::http::{Origin, shown};
use zoo_core::{Error as CoreError, Zoo};

use crate::error::{Error, Gate, Result};
use crate::listing::Files;

/// Facts with a long card are some hundred kilobytes.
const MAX_FACTS: usize = 16 << 20;

/// A thousand entries are some three hundred kilobytes.
const MAX_PAGE: usize = 32 << 20;

/// The hub's pages have a thousand entries.
const MAX_PAGES: usize = 1000;

/// What is asked of a repository. Naming them leaves out the rest, some of which comes in forms that no parser expects.
const FACTS: [&str; 11] = [
    "sha",
    "private",
    "gated",
    "disabled",
    "tags",
    "pipeline_tag",
    "library_name",
    "cardData",
    "downloads",
    "likes",
    "lastModified",
];

/// No token: hf-hub looks for one in the environment where it is given none, and this one fits into no header. The token that
/// zoo was given is among the headers of the client that hf-hub is given.
const NO_TOKEN: &str = "\n";

/// The host whose links mean the endpoint, as mirrors that pass answers on leave them.
const USUAL_HOST: &str = "huggingface.co";

/// A repository's facts at a revision.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// Its name today, which may be another one than was asked for.
    pub id: String,
    /// The commit.
    pub sha: String,
    /// Whether its files want acceptance of terms.
    pub gated: bool,
    /// Whether only members see it.
    pub private: bool,
    /// The hub's tags.
    pub tags: Vec<String>,
    /// The task that the hub shows it under.
    pub pipeline_tag: Option<String>,
    /// The library that it is for.
    pub library: Option<String>,
    /// The card's front matter.
    pub card: Option<Value>,
    /// Downloads in the last month.
    pub downloads: Option<u64>,
}

impl Info {
    fn of(info: ModelInfo) -> Option<Self> {
        Some(Self {
            sha: info.sha.unwrap_or_default(),
            gated: info.gated.is_some_and(|gated| gated != Value::Bool(false) && !gated.is_null()),
            private: info.private.unwrap_or(false),
            tags: info.tags.unwrap_or_default(),
            pipeline_tag: info.pipeline_tag,
            library: info.library_name,
            card: info.card_data.filter(Value::is_object),
            downloads: info.downloads,
            id: info.id,
        })
        .filter(|info| crate::name::bad_id(&info.id).is_none())
    }
}

/// The hub at an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    zoo: Zoo,
    endpoint: Url,
    /// Made on first use: what is stored needs none. The first sends the token, the second does not.
    clients: Arc<[OnceLock<HFClient>; 2]>,
}

impl Api {
    pub(crate) fn new(zoo: &Zoo, endpoint: Url) -> Self {
        Self { zoo: zoo.clone(), endpoint, clients: Arc::default() }
    }

    fn client(&self, authenticated: bool) -> Result<&HFClient> {
        let [with, without] = &*self.clients;
        let cell = if authenticated { with } else { without };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let requests = self.zoo.client().library_client(&self.endpoint, authenticated)?;
        let client = HFClient::builder()
            .endpoint(self.endpoint.as_str())
            .token(NO_TOKEN)
            .client(requests)
            .cache_dir("")
            .cache_enabled(false)
            .retry_max_attempts(0)
            .build()
            .map_err(|error| CoreError::Client { reason: error.to_string() })?;
        Ok(cell.get_or_init(|| client))
    }

    /// The facts of a repository at a revision.
    pub(crate) async fn info(&self, id: &str, revision: &str) -> Result<Info> {
        let (owner, name) = hf_hub::split_id(id);
        let repository = self.client(true)?.model(owner, name);
        let fields = FACTS.map(str::to_owned).to_vec();
        let answer = repository.info().revision(revision).expand(fields).send().await;
        let info = match answer {
            Ok(info) => info,
            Err(error) => match self.refused(id, revision, &error) {
                Some(refusal) => return Err(refusal),
                None => {
                    tracing::debug!(%error, "asking again");
                    self.info_again(id, revision).await?
                }
            },
        };
        Info::of(info).ok_or_else(|| self.nonsense(id, "it names a repository that cannot exist").into())
    }

    /// The same question, asked by zoo-core: it waits as long as the hub's `Retry-After` or `RateLimit` says, tries again as it was
    /// configured to, and tells what failed in the end.
    async fn info_again(&self, id: &str, revision: &str) -> Result<ModelInfo> {
        let mut url = self.at(&["api", "models"], id, &["revision", revision]);
        url.query_pairs_mut().extend_pairs(FACTS.map(|field| ("expand", field)));
        let document = self.zoo.client().document(&url, None, MAX_FACTS).await;
        let document = document.map_err(|error| self.explain(id, revision, error))?;
        let bytes = document.map(|document| document.bytes).unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|error| self.nonsense(id, &error.to_string()).into())
    }

    /// The files of a commit.
    pub(crate) async fn files(&self, id: &str, commit: &str) -> Result<Files> {
        let mut url = self.at(&["api", "models"], id, &["tree", commit]);
        url.query_pairs_mut().append_pair("recursive", "true").append_pair("expand", "false");
        let mut files = Files::default();
        for _ in 0..MAX_PAGES {
            let document = self.zoo.client().document(&url, None, MAX_PAGE).await;
            let document = document.map_err(|error| self.explain(id, commit, error))?;
            let Some(document) = document else { break };
            files.add_page(&document.bytes).map_err(|reason| Error::Listing { id: id.to_owned(), reason })?;
            match document.next {
                Some(next) => url = self.here(id, next)?,
                None => return Ok(files),
            }
        }
        Err(Error::Listing { id: id.to_owned(), reason: format!("it has more than {MAX_PAGES} pages") })
    }

    /// Branches and tags, `main` first; none where they cannot be told.
    pub(crate) async fn revisions(&self, id: &str) -> Vec<String> {
        let (owner, name) = hf_hub::split_id(id);
        let Ok(client) = self.client(true) else { return Vec::new() };
        match client.model(owner, name).list_refs().send().await {
            Ok(refs) => refs.branches.into_iter().chain(refs.tags).map(|r| r.name).take(10).collect(),
            Err(error) => {
                tracing::debug!(%error, "no references");
                Vec::new()
            }
        }
    }

    /// Models by what the hub's search finds, the most downloaded first. It is asked without a token, since hf-hub's paging takes
    /// one to any host; so private models are not found.
    pub(crate) async fn search(
        &self,
        words: Option<&str>,
        author: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Info>> {
        let client = self.client(false)?;
        let models = client
            .list_models()
            .maybe_search(words)
            .maybe_author(author)
            .sort("downloads")
            .limit(limit)
            .send()
            .map_err(|error| CoreError::Client { reason: error.to_string() })?;
        pin_mut!(models);
        let mut found = Vec::new();
        while let Some(model) = models.next().await {
            match model {
                Ok(model) => found.extend(Info::of(model)),
                Err(error) => {
                    let url = shown(&self.at(&["api", "models"], "", &[]));
                    let reason = match told(&error) {
                        Some(told) => format!("the hub answered {}", told.status),
                        // Its text may hold the whole URL.
                        None => "no answer that could be read".to_owned(),
                    };
                    return Err(CoreError::Network { url, reason }.into());
                }
            }
        }
        Ok(found)
    }

    /// Where a file of a commit is served.
    pub(crate) fn file(&self, id: &str, commit: &str, path: &str) -> Url {
        let mut parts = vec!["resolve", commit];
        parts.extend(path.split('/'));
        self.at(&[], id, &parts)
    }

    /// The repository's page, for people.
    pub(crate) fn page(&self, id: &str) -> String {
        shown(&self.at(&[], id, &[]))
    }

    /// A URL of the endpoint. A revision with `/` is one part, and is escaped.
    fn at(&self, before: &[&str], id: &str, behind: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let id = id.split('/').filter(|part| !part.is_empty());
            segments.pop_if_empty().extend(before.iter().copied().chain(id).chain(behind.iter().copied()));
        }
        url
    }

    /// The next page, at the endpoint. A mirror that passes answers on leaves the hub's own name in them.
    fn here(&self, id: &str, next: Url) -> Result<Url> {
        if Origin::of(&next) == Origin::of(&self.endpoint) {
            return Ok(next);
        }
        if next.host_str() != Some(USUAL_HOST) {
            let reason = format!("its next page is at {}, another host", shown(&next));
            return Err(Error::Listing { id: id.to_owned(), reason });
        }
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}{}", self.endpoint.path().trim_end_matches('/'), next.path()));
        url.set_query(next.query());
        Ok(url)
    }

    fn nonsense(&self, id: &str, reason: &str) -> CoreError {
        CoreError::Answer { url: shown(&self.at(&["api", "models"], id, &[])), reason: reason.to_owned() }
    }

    fn refused(&self, id: &str, revision: &str, error: &HFError) -> Option<Error> {
        let mut told = told(error)?;
        told.authenticated = self.zoo.client().has_credential(&self.endpoint);
        // The wait is in a header that hf-hub does not keep.
        if told.status == 429 { None } else { self.meaning(id, revision, None, &told) }
    }

    /// A failure of zoo-core's, as what it means for this repository.
    pub(crate) fn explain(&self, id: &str, revision: &str, error: CoreError) -> Error {
        self.explain_file(id, revision, None, error)
    }

    /// The same for a file of it.
    pub(crate) fn explain_file(
        &self,
        id: &str,
        revision: &str,
        path: Option<&str>,
        error: CoreError,
    ) -> Error {
        let CoreError::Http(failure) = &error else { return error.into() };
        let told = Told {
            status: failure.status,
            code: failure.code.as_deref(),
            message: failure.message.as_deref(),
            wait: failure.retry_after,
            authenticated: failure.authenticated,
        };
        self.meaning(id, revision, path, &told).unwrap_or_else(|| error.into())
    }

    /// What the hub means; from the top, since a later line would also fit what an earlier one says better.
    fn meaning(&self, id: &str, revision: &str, path: Option<&str>, told: &Told<'_>) -> Option<Error> {
        let id = id.to_owned();
        let message = told.message.unwrap_or_default();
        let authenticated = told.authenticated;
        let bad_token = message.contains("Invalid credentials in Authorization header");
        Some(match (told.code, told.status) {
            (Some("RevisionNotFound"), _) => {
                Error::RevisionMissing { id, revision: revision.to_owned(), available: Vec::new() }
            }
            (Some("EntryNotFound"), _) => Error::FileMissing {
                id,
                path: path.unwrap_or("?").to_owned(),
                revision: revision.to_owned(),
                nearest: Vec::new(),
            },
            (Some("GatedRepo"), status) => {
                let why = match (authenticated, status) {
                    (false, _) => Gate::Anonymous,
                    // A token that the hub does not know is no one's.
                    (true, 401) => Gate::BadToken,
                    _ => Gate::NoGrant,
                };
                Error::Gated { page: self.page(&id), id, why }
            }
            (_, 401 | 403) if message.contains("Access to this resource is disabled") => {
                Error::Disabled { id }
            }
            (_, 401) if bad_token => Error::BadToken { id },
            (Some("RepoNotFound"), _) | (_, 401) => Error::Missing { id, authenticated, nearest: Vec::new() },
            (_, 429) => Error::RateLimited { id, wait: told.wait, authenticated },
            _ => return None,
        })
    }
}

/// What an answer says that is no success.
struct Told<'a> {
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    wait: Option<Duration>,
    authenticated: bool,
}

/// What hf-hub was told, where the hub answered at all.
fn told(error: &HFError) -> Option<Told<'_>> {
    let context = match error {
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::Conflict { context }
        | HFError::RateLimited { context, .. } => context,
        HFError::RepoNotFound { context, .. }
        | HFError::RevisionNotFound { context, .. }
        | HFError::EntryNotFound { context, .. } => context.as_ref()?,
        _ => return None,
    };
    Some(Told {
        status: context.status.as_u16(),
        code: context.error_code.as_deref(),
        message: context.server_message.as_deref(),
        wait: None,
        authenticated: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(endpoint: &str) -> Api {
        let home = std::env::temp_dir().join("zoo-hf-tests-write-nothing-here");
        Api::new(&Zoo::open(zoo_core::ZooConfig::new(home)), endpoint.parse().unwrap())
    }

    #[test]
    fn urls_escape_what_they_must_and_keep_the_endpoints_path() {
        let api = api("https://mirror.example/hf/");
        assert_eq!(
            api.file("org/name", "main", "a b/ü+%#.txt").as_str(),
            "https://mirror.example/hf/org/name/resolve/main/a%20b/%C3%BC+%25%23.txt"
        );
        assert_eq!(
            api.at(&["api", "models"], "name", &["revision", "refs/pr/3"]).as_str(),
            "https://mirror.example/hf/api/models/name/revision/refs%2Fpr%2F3"
        );
        assert_eq!(api.page("org/name"), "https://mirror.example/hf/org/name");
    }

    #[test]
    fn the_next_page_is_at_the_endpoint_or_nowhere() {
        let api = api("https://mirror.example/hf");
        let next = |url: &str| api.here("org/name", url.parse().unwrap()).map(|url| url.to_string());
        let own = "https://mirror.example/hf/api/models/a/b/tree/main?cursor=x";
        assert_eq!(next(own).unwrap(), own);
        assert_eq!(next("https://huggingface.co/api/models/a/b/tree/main?cursor=x").unwrap(), own);
        for other in [
            "https://evil.example/api/models",
            "http://mirror.example/hf/api",
            "https://huggingface.co.evil/x",
        ] {
            assert!(next(other).unwrap_err().to_string().contains("another host"), "{other}");
        }
    }

    #[test]
    fn the_hubs_codes_are_told_apart() {
        let api = api("https://h.example");
        let meaning = |status, code, message, authenticated| {
            let told = Told { status, code, message, wait: Some(Duration::from_secs(9)), authenticated };
            api.meaning("a/b", "v1", Some("x"), &told)
        };
        let bad = Some("Invalid credentials in Authorization header");
        assert!(matches!(
            meaning(404, Some("RevisionNotFound"), None, false),
            Some(Error::RevisionMissing { .. })
        ));
        assert!(matches!(meaning(404, Some("EntryNotFound"), None, false), Some(Error::FileMissing { .. })));
        let gate = |status, authenticated| match meaning(status, Some("GatedRepo"), None, authenticated) {
            Some(Error::Gated { why, page, .. }) if page == "https://h.example/a/b" => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(gate(401, false), Gate::Anonymous);
        assert_eq!(gate(401, true), Gate::BadToken);
        assert_eq!(gate(403, true), Gate::NoGrant);
        let disabled = Some("Access to this resource is disabled.");
        assert!(matches!(meaning(403, None, disabled, true), Some(Error::Disabled { .. })));
        assert!(matches!(meaning(401, None, bad, true), Some(Error::BadToken { .. })));
        assert!(matches!(
            meaning(401, None, Some("Invalid username or password."), false),
            Some(Error::Missing { .. })
        ));
        assert!(matches!(
            meaning(404, Some("RepoNotFound"), None, true),
            Some(Error::Missing { authenticated: true, .. })
        ));
        assert!(matches!(meaning(429, None, None, false), Some(Error::RateLimited { wait: Some(_), .. })));
        assert!(meaning(403, None, None, true).is_none() && meaning(500, None, None, true).is_none());
    }
}
