//! HTTP as model hubs need it: redirects followed by hand, tokens bound to their origin, no content decoding, time limits
//! on connecting and on silence but never on the whole transfer.
//!
//! Redirects are followed here and not in reqwest, because what matters is on the way: the hub's own 30x answer carries size
//! and digest, the content network's final answer carries neither (or misleading ones), and the token must not travel on.

mod config;
mod headers;
mod retry;

use std::sync::{Arc, OnceLock};

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

pub use config::{Credential, HttpConfig, Origin, ProxyConfig};
pub(crate) use headers::content_range;
pub use headers::{Published, next_link};
pub(crate) use retry::Backoff;

use crate::error::{Error, HttpFailure, Result};

/// Real hubs need three hops at most; ten leaves room without letting a circle run.
const MAX_HOPS: usize = 10;

/// An error body is read to this length at most: enough for any hub's message, no matter what the server sends.
const MAX_ERROR_BODY: usize = 8 << 10;

/// A client for one configuration. Cheap to clone; connections are pooled.
#[derive(Clone)]
pub struct Client {
    config: Arc<HttpConfig>,
    /// Made on first use: a pull that finds everything in the store must not pay for loading root certificates.
    main: Arc<OnceLock<reqwest::Client>>,
    /// HTTP/1.1 only, so that several ranges mean several connections: HTTP/2 would put them all on one.
    ranges: Arc<OnceLock<reqwest::Client>>,
}

/// Which pool a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Main,
    Ranges,
}

/// What is asked beyond the URL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask<'a> {
    /// First byte and, where the end matters, one past the last.
    pub(crate) range: Option<(u64, Option<u64>)>,
    /// The validator that makes a range safe.
    pub(crate) if_range: Option<&'a str>,
    /// The validator of a copy that is already here.
    pub(crate) if_none_match: Option<&'a str>,
}

/// A successful answer (2xx or 304), its body still to be read.
pub(crate) struct Answer {
    pub(crate) response: reqwest::Response,
    pub(crate) published: Published,
    /// The last URL, which may be signed and short-lived.
    pub(crate) last: Url,
}

/// A small document with the facts of its headers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Document {
    /// The content, undecoded.
    pub bytes: Vec<u8>,
    /// The validator to send with the next request.
    pub etag: Option<String>,
    /// The `Link` header's `rel="next"`, where the answer is one page of several.
    pub next: Option<Url>,
    /// What the headers say about the content.
    pub published: Published,
}

impl Client {
    /// A client; nothing is opened or read before the first request.
    pub fn new(config: HttpConfig) -> Self {
        Self { config: Arc::new(config), main: Arc::default(), ranges: Arc::default() }
    }

    pub(crate) fn config(&self) -> &HttpConfig {
        &self.config
    }

    fn lane(&self, lane: Lane) -> Result<&reqwest::Client> {
        let cell = match lane {
            Lane::Main => &self.main,
            Lane::Ranges => &self.ranges,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = self.config.build(lane)?;
        Ok(cell.get_or_init(|| client))
    }

    /// A client for a library that brings its own requests for `endpoint`, with this configuration: proxies, certificates,
    /// time limits. It follows redirects within that origin only; with `authenticated` every request of it carries the
    /// origin's token, wherever the library sends it.
    pub fn library_client(&self, endpoint: &Url, authenticated: bool) -> Result<reqwest::Client> {
        self.config.build_for(endpoint, authenticated)
    }

    /// Whether there is a token for the origin of this URL.
    pub fn has_credential(&self, url: &Url) -> bool {
        self.config.credential_for(url).is_some()
    }

    /// One attempt: sends, follows redirects, and turns any status but success into an error.
    pub(crate) async fn send(&self, lane: Lane, url: &Url, ask: &Ask<'_>) -> Result<Answer> {
        let client = self.lane(lane)?;
        let mut current = url.clone();
        let mut published = Published::default();
        for _ in 0..MAX_HOPS {
            let mut request =
                client.request(Method::GET, current.clone()).headers(headers_for(&current, ask));
            let authenticated = self.config.credential_for(&current).is_some();
            if let Some(credential) = self.config.credential_for(&current) {
                request = request.header(header::AUTHORIZATION, credential.header_value()?);
            }
            let response = request.send().await.map_err(|e| network(&current, &e))?;
            published.read(response.headers());
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                current = redirect_target(&current, &response)?;
                continue;
            }
            if status.is_success() || status == StatusCode::NOT_MODIFIED {
                return Ok(Answer { response, published, last: current });
            }
            return Err(failure(&current, response, authenticated).await);
        }
        Err(Error::Redirects { url: shown(url), hops: MAX_HOPS })
    }

    /// Fetches a small document (an API answer, a manifest, a pointer), with retries. `None`: the copy with the validator
    /// `etag` is still current. A body above `limit` bytes is refused.
    pub async fn document(&self, url: &Url, etag: Option<&str>, limit: usize) -> Result<Option<Document>> {
        let mut backoff = Backoff::new(self.config.attempts, self.config.backoff);
        loop {
            let error = match self.document_once(url, etag, limit).await {
                Ok(document) => return Ok(document),
                Err(error) => error,
            };
            match backoff.next(&error) {
                Some(wait) => {
                    tracing::info!(url = %shown(url), %error, ?wait, "trying again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
    }

    async fn document_once(&self, url: &Url, etag: Option<&str>, limit: usize) -> Result<Option<Document>> {
        let ask = Ask { if_none_match: etag, ..Ask::default() };
        let answer = self.send(Lane::Main, url, &ask).await?;
        let mut response = answer.response;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let text = |name| response.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let etag = text(header::ETAG).map(str::to_owned);
        let next = text(header::LINK).and_then(|link| next_link(link, &answer.last));
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| network(url, &e))? {
            if bytes.len() + chunk.len() > limit {
                return Err(Error::Answer {
                    url: shown(url),
                    reason: format!("it is longer than {limit} bytes"),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(Document { bytes, etag, next, published: answer.published }))
    }
}

fn headers_for(url: &Url, ask: &Ask<'_>) -> HeaderMap {
    let mut map = HeaderMap::new();
    // Digests and lengths are of the stored bytes; a compressed transfer would have neither.
    map.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some((from, to)) = ask.range {
        let text = match to {
            Some(to) => format!("bytes={from}-{}", to.saturating_sub(1)),
            None => format!("bytes={from}-"),
        };
        if let Ok(value) = HeaderValue::from_str(&text) {
            map.insert(header::RANGE, value);
        }
    }
    for (name, value) in [(header::IF_RANGE, ask.if_range), (header::IF_NONE_MATCH, ask.if_none_match)] {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(v).ok()) {
            map.insert(name, value);
        }
    }
    tracing::debug!(url = %shown(url), range = ?ask.range, "GET");
    map
}

fn redirect_target(from: &Url, response: &reqwest::Response) -> Result<Url> {
    let protocol = |reason: &str| Error::Protocol { url: shown(from), reason: reason.to_owned() };
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|v| v.to_str().ok())
        .ok_or_else(|| protocol("a redirect without a target"))?;
    let target = from.join(location).map_err(|_| protocol("a redirect to something that is no URL"))?;
    let plain = target.scheme() == "http";
    if !plain && target.scheme() != "https" {
        return Err(protocol("a redirect to something other than http or https"));
    }
    if plain && from.scheme() == "https" {
        return Err(protocol("a redirect from https to unprotected http"));
    }
    Ok(target)
}

async fn failure(url: &Url, mut response: reqwest::Response, authenticated: bool) -> Error {
    let status = response.status().as_u16();
    let text = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(|t| tidy(t, 300))
            .filter(|t| !t.is_empty())
    };
    let code = text("x-error-code");
    let mut message = text("x-error-message");
    let retry_after = headers::retry_after(response.headers());
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ERROR_BODY {
            break;
        }
    }
    if message.is_none() {
        message = message_in(&body);
    }
    Error::Http(Box::new(HttpFailure { url: shown(url), status, code, message, retry_after, authenticated }))
}

/// The message in an error body: the `error` or `message` of a JSON object, or `<Code>`/`<Message>` of an object store's
/// XML. A page of HTML says nothing that belongs into a sentence.
fn message_in(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        let found = value.get("error").or_else(|| value.get("message"))?;
        return found.as_str().map(|t| tidy(t, 300));
    }
    let between = |tag: &str| {
        let rest = text.split_once(&format!("<{tag}>"))?.1;
        Some(tidy(rest.split_once(&format!("</{tag}>"))?.0, 300))
    };
    match (between("Code"), between("Message")) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

/// One line without control characters, at most `max` characters: server text goes into messages and terminals.
fn tidy(text: &str, max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect::<String>().trim().to_owned()
}

/// A URL as it may be shown, logged and stored: without user, password, query and fragment, which may hold secrets.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// A transport error as ours. reqwest's own text may hold the whole signed URL, so only its causes are used.
pub(crate) fn network(url: &Url, error: &reqwest::Error) -> Error {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = tidy(&cause.to_string(), 200);
        // Wrappers repeat their source's text; the repetition is left out.
        if !causes.iter().any(|c: &String| c.contains(&text)) {
            causes.push(text);
        }
        source = cause.source();
    }
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_body() || error.is_decode() {
        "the connection broke"
    } else {
        "the request failed"
    };
    let reason = match causes.last() {
        Some(cause) => format!("{what} ({cause})"),
        None => what.to_owned(),
    };
    Error::Network { url: shown(url), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_hold_no_secret() {
        let url = Url::parse("https://user:pw@h.example/a/b?X-Signature=abc#f").unwrap();
        assert_eq!(shown(&url), "https://h.example/a/b");
    }

    #[test]
    fn messages_are_found_in_every_hubs_error_body() {
        assert_eq!(message_in(br#"{"error":"Repository not found"}"#).unwrap(), "Repository not found");
        assert_eq!(message_in(br#"{"code":403,"message":"consent"}"#).unwrap(), "consent");
        let xml = b"<?xml?><Error><Code>AccessDenied</Code><Message>Access\nDenied</Message></Error>";
        assert_eq!(message_in(xml).unwrap(), "AccessDenied: Access Denied");
        assert_eq!(message_in(b"<html><body>hello</body></html>"), None);
        assert_eq!(message_in(b"\xff"), None);
    }
}
