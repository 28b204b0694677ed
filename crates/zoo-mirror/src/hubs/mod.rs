//! What each hub answers, as functions from a request to a reply. Routes and headers follow the hubs as they were in 2026.

pub(crate) mod github;
pub(crate) mod huggingface;
pub(crate) mod torch;

use hyper::header::{self, HeaderName};
use hyper::{Response, StatusCode};

use crate::body::{Body, full};
use crate::content::Content;
use crate::server::put;

/// An answer before faults and ranges.
pub(crate) enum Reply {
    /// The bytes of a file, subject to ranges, validators, pace and faults.
    Content(Served),
    /// Anything else.
    Other(Response<Body>),
}

/// A file to be served.
pub(crate) struct Served {
    pub(crate) content: Content,
    /// Without quotes; a strong validator.
    pub(crate) etag: Option<String>,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) accepts_ranges: bool,
    /// `repository/path`, by which faults may name it where the URL does not.
    pub(crate) label: String,
    /// In hexadecimal digits.
    pub(crate) sha256: String,
}

impl Reply {
    pub(crate) fn status(status: StatusCode, text: &str) -> Self {
        Self::other(status, "text/plain; charset=utf-8", text.to_owned(), &[])
    }

    pub(crate) fn json(value: &serde_json::Value, headers: &[(HeaderName, String)]) -> Self {
        Self::other(StatusCode::OK, "application/json; charset=utf-8", value.to_string(), headers)
    }

    pub(crate) fn other(
        status: StatusCode,
        content_type: &str,
        body: String,
        headers: &[(HeaderName, String)],
    ) -> Self {
        let length = body.len();
        let mut response = Response::new(full(body));
        *response.status_mut() = status;
        let map = response.headers_mut();
        put(map, header::CONTENT_TYPE, content_type);
        put(map, header::CONTENT_LENGTH, &length.to_string());
        for (name, value) in headers {
            put(map, name.clone(), value);
        }
        Self::Other(response)
    }
}

/// What git keeps in place of a large file.
pub(crate) fn pointer_text(sha256: &str, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n")
}
