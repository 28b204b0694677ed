//! What was asked of the mirror.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::server::Role;

/// One request.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Logged {
    /// Which origin was asked.
    pub role: Role,
    /// `GET`, `HEAD`, `POST`.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Range` header.
    pub if_range: Option<String>,
    /// The `Accept-Encoding` header.
    pub accept_encoding: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// Whether a token came along.
    pub had_authorization: bool,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of body handed to the connection so far.
    pub sent: u64,
    /// Which connection it came by.
    pub connection: u64,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
}

/// Counts the bytes of one answer while it is being sent.
pub(crate) type Sent = Arc<AtomicU64>;

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<(Logged, Sent)>>);

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Logged, Sent)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, entry: Logged) -> Sent {
        let sent = Sent::default();
        self.lock().push((entry, Arc::clone(&sent)));
        sent
    }

    pub(crate) fn entries(&self) -> Vec<Logged> {
        let with_count =
            |(entry, sent): &(Logged, Sent)| Logged { sent: sent.load(Ordering::Relaxed), ..entry.clone() };
        self.lock().iter().map(with_count).collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}
