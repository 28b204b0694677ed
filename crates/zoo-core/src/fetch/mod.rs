//! Fetching one file: from a list of sources to bytes on disk whose digests are the published ones.
//!
//! - A transfer begins as one stream that is hashed as it is written. Only when that one connection is slow does a large
//!   file get more connections, each fetching its own ranges (`board`).
//! - What is on disk is remembered (`state`), so that a killed, cancelled or failed transfer goes on where it was, in this
//!   process or the next.
//! - Nothing is believed: lengths, validators and digests are compared as soon as they are known, before the bytes come
//!   where possible. What proves wrong is discarded and fetched again: the wrong pieces alone where the hub publishes
//!   digests of pieces, the whole otherwise; then the next source is tried.
//!
//! Dropping the future cancels; what was written stays and is used next time.

mod board;
mod crew;
mod state;
mod transfer;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::digest::{Digest, Digests};
use crate::error::{Error, Result};
use crate::fs;
use crate::http::Client;
use crate::progress::{FileId, Listener};
use crate::remote::RemoteFile;

/// How files are fetched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchOptions {
    /// Files of one pull that are fetched at once.
    pub files_at_once: usize,
    /// Connections that one large file may use when a single one is slow.
    pub connections_per_file: usize,
    /// Connections in use at once, over all files.
    pub connections: usize,
    /// A connection below this many bytes per second is slow. Above it, more connections cost more than they bring.
    pub slow_below: u64,
    /// How long the first connection runs before it is judged.
    pub judge_after: Duration,
    /// Files with fewer bytes to go than this never get a second connection.
    pub ranges_above: u64,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            files_at_once: 4,
            connections_per_file: 8,
            connections: 16,
            slow_below: 200 << 20,
            judge_after: Duration::from_millis(250),
            ranges_above: 16 << 20,
        }
    }
}

/// Fetches files with one client and one budget of connections. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    options: Arc<FetchOptions>,
    connections: Arc<Semaphore>,
    listener: Listener,
    next_id: Arc<AtomicU64>,
}

/// A file that arrived whole and proved. It still has its temporary name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The temporary file, flushed to disk.
    pub data: PathBuf,
    /// Length in bytes.
    pub size: u64,
    /// Digests computed from the content.
    pub digests: Digests,
    /// Every digest that was published, by the hub's catalogue or by the server's headers; all hold.
    pub published: Vec<Digest>,
    /// The source that served it, without query.
    pub source: String,
    /// The number under which events were sent.
    pub id: FileId,
}

impl Fetcher {
    /// A fetcher.
    pub fn new(client: Client, options: FetchOptions, listener: Listener) -> Self {
        let connections = Arc::new(Semaphore::new(options.connections.max(1)));
        Self { client, options: Arc::new(options), connections, listener, next_id: Arc::default() }
    }

    /// The HTTP client, for hubs' API calls.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The settings.
    pub fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// Where events go.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Fetches `file` into temporary files that begin with `base` (`<base>.data`, `<base>.json`), going on from what lies
    /// there. The caller holds the lock on `base`; `guard` is kept until the last write is over, even when this
    /// future is dropped before.
    pub async fn fetch(
        &self,
        file: &RemoteFile,
        base: &Path,
        guard: Arc<dyn Send + Sync>,
    ) -> Result<Fetched> {
        let id = FileId(self.next_id.fetch_add(1, Ordering::Relaxed));
        transfer::Transfer { fetcher: self, file, paths: state::Paths::new(base), id, guard }.run().await
    }
}

/// Fails if the file system that holds `folder` cannot take `needed` more bytes.
pub(crate) fn check_space(folder: &Path, needed: u64) -> Result<()> {
    match fs::available_space(folder) {
        Some(available) if available < needed => {
            Err(Error::NoSpace { path: folder.to_owned(), needed, available })
        }
        _ => Ok(()),
    }
}
