//! Headers in which hubs and object stores publish facts. Every parser takes the server's text as hostile: whatever does not
//! parse is as if it were absent.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use url::Url;

use crate::digest::Digest;

/// What the headers on the way to a file say about its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Length in bytes.
    pub size: Option<u64>,
    /// Digests of the content.
    pub digests: Vec<Digest>,
    /// The commit that a moving revision stood for.
    pub commit: Option<String>,
}

impl Published {
    /// Adds what one answer says. Called for every hop: Hugging Face publishes on its redirect (`X-Linked-*`) or, for small
    /// files, beside `X-Repo-Commit`; Google's object store on the final answer (`x-goog-hash`). A content network's own
    /// `ETag` is never taken for a digest, however much it looks like one.
    pub(super) fn read(&mut self, headers: &HeaderMap) {
        let text =
            |name: &'static str| headers.get(HeaderName::from_static(name)).and_then(|v| v.to_str().ok());
        let commit =
            text("x-repo-commit").filter(|c| c.len() == 40 && c.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(linked) = text("x-linked-etag") {
            self.add(etag_digest(linked));
        } else if commit.is_some() {
            self.add(text("etag").and_then(etag_digest));
        }
        if self.size.is_none() {
            self.size = text("x-linked-size").and_then(|t| t.parse().ok());
        }
        if self.commit.is_none() {
            self.commit = commit.map(str::to_ascii_lowercase);
        }
        for value in headers.get_all("x-goog-hash") {
            for part in value.to_str().unwrap_or_default().split(',') {
                self.add(goog_hash(part.trim()));
            }
        }
    }

    fn add(&mut self, digest: impl Into<Option<Digest>>) {
        if let Some(digest) = digest.into().filter(|d| !self.digests.contains(d)) {
            self.digests.push(digest);
        }
    }
}

/// 64 hexadecimal digits are a SHA-256, 40 a git blob id; anything else is no digest.
fn etag_digest(etag: &str) -> Option<Digest> {
    let bare = etag.trim().trim_start_matches("W/").trim_matches('"');
    match bare.len() {
        64 => Digest::sha256_hex(bare).ok(),
        40 => format!("git-sha1:{bare}").parse().ok(),
        _ => None,
    }
}

fn goog_hash(part: &str) -> Option<Digest> {
    let (algorithm, value) = part.split_once('=')?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).ok()?;
    match algorithm {
        "md5" => Some(Digest::Md5(bytes.try_into().ok()?)),
        "crc32c" => Some(Digest::Crc32c(u32::from_be_bytes(bytes.try_into().ok()?))),
        _ => None,
    }
}

/// A parsed `Content-Range: bytes first-last/total` (or `bytes */total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// First byte and one past the last; absent in the `*` form.
    pub(crate) span: Option<(u64, u64)>,
    pub(crate) total: Option<u64>,
}

pub(crate) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let text = headers.get(reqwest::header::CONTENT_RANGE)?.to_str().ok()?;
    let (span, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let total = match total.trim() {
        "*" => None,
        n => Some(n.parse().ok()?),
    };
    let span = match span.trim() {
        "*" => None,
        pair => {
            let (first, last) = pair.split_once('-')?;
            let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            let end = last.checked_add(1)?;
            if first >= end || total.is_some_and(|t| end > t) {
                return None;
            }
            Some((first, end))
        }
    };
    Some(ContentRange { span, total })
}

/// How long the server asks to wait: `Retry-After` in seconds or as a date, else Hugging Face's `RateLimit: …;r=0;t=<seconds>`.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(text) = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()) {
        if let Ok(seconds) = text.trim().parse::<u32>() {
            return Some(Duration::from_secs(seconds.into()));
        }
        if let Ok(date) = httpdate::parse_http_date(text) {
            return Some(date.duration_since(SystemTime::now()).unwrap_or_default());
        }
    }
    let text = headers.get("ratelimit")?.to_str().ok()?;
    let field = |name: &str| {
        text.split(';')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok())
    };
    (field("r")? == 0).then(|| field("t")).flatten().map(|t| Duration::from_secs(u64::from(t) + 1))
}

/// The target of `rel="next"` in a `Link` header, made absolute.
pub fn next_link(link: &str, base: &Url) -> Option<Url> {
    link.split(',').find_map(|part| {
        let (target, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| base.join(target).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_hub_redirect_publishes_and_a_content_network_does_not() {
        let sha = "ab".repeat(32);
        let mut published = Published::default();
        let commit = "0".repeat(40);
        published.read(&headers(&[
            ("x-linked-etag", &format!("\"{sha}\"")),
            ("x-linked-size", "42"),
            ("x-repo-commit", &commit),
        ]));
        published.read(&headers(&[("etag", &format!("\"{}\"", "cd".repeat(32))), ("x-linked-size", "7")]));
        assert_eq!(published.digests, [Digest::sha256_hex(&sha).unwrap()]);
        assert_eq!(published.size, Some(42));
        assert_eq!(published.commit.as_deref(), Some(&*commit));
    }

    #[test]
    fn a_small_files_etag_is_its_git_blob_id() {
        let mut published = Published::default();
        let commit = "1".repeat(40);
        published
            .read(&headers(&[("etag", &format!("W/\"{}\"", "e".repeat(40))), ("x-repo-commit", &commit)]));
        assert_eq!(published.digests[0].algorithm(), "git-sha1");
    }

    #[test]
    fn object_store_hashes_are_read() {
        let mut published = Published::default();
        published.read(&headers(&[("x-goog-hash", "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==")]));
        let text: Vec<_> = published.digests.iter().map(Digest::to_string).collect();
        assert_eq!(text, ["crc32c:e3069283", "md5:25f9e794323b453885f5181f1b624d0b"]);
    }

    #[test]
    fn content_ranges_parse_or_count_as_absent() {
        let parse = |t: &str| content_range(&headers(&[("content-range", t)]));
        assert_eq!(parse("bytes 0-9/10"), Some(ContentRange { span: Some((0, 10)), total: Some(10) }));
        assert_eq!(parse("bytes 5-9/*"), Some(ContentRange { span: Some((5, 10)), total: None }));
        assert_eq!(parse("bytes */10"), Some(ContentRange { span: None, total: Some(10) }));
        for bad in [
            "",
            "bytes",
            "bytes 9-5/10",
            "bytes 0-10/10",
            "bytes a-b/c",
            "items 0-1/2",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn waiting_times_are_read_in_every_form() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        let past = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(retry_after(&headers(&[("retry-after", past)])), Some(Duration::ZERO));
        let limit = "\"resolvers\";r=0;t=172";
        assert_eq!(retry_after(&headers(&[("ratelimit", limit)])), Some(Duration::from_secs(173)));
        assert_eq!(retry_after(&headers(&[("ratelimit", "\"resolvers\";r=5;t=172")])), None);
    }

    #[test]
    fn next_pages_are_found() {
        let base = Url::parse("https://h.example/api/models?a=1").unwrap();
        let next = next_link("</api/models?cursor=x%3D>; rel=\"next\"", &base).unwrap();
        assert_eq!(next.as_str(), "https://h.example/api/models?cursor=x%3D");
        assert_eq!(next_link("<https://h.example/>; rel=\"prev\"", &base), None);
        assert_eq!(next_link("nonsense", &base), None);
    }
}
