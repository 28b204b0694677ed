//! `Zoo`: the store, the fetcher and the listener in one value that hub crates are given.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::fetch::{FetchOptions, Fetcher};
use crate::fs;
use crate::http::{Client, HttpConfig};
use crate::progress::{Listener, Progress};
use crate::store::Store;

/// How a [`Zoo`] is set up. Everything is passed in; no environment variable is read here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ZooConfig {
    /// The store's home.
    pub home: PathBuf,
    /// Never use the network.
    pub offline: bool,
    /// Content that is in the store already is hard-linked into a second model instead of cloned or copied. It saves space
    /// on file systems without clones; some readers refuse files with more than one link (`docs/cache.md`).
    pub hard_links: bool,
    /// The HTTP client.
    pub http: HttpConfig,
    /// The fetcher.
    pub fetch: FetchOptions,
    /// Who listens.
    pub listener: Listener,
}

impl ZooConfig {
    /// The defaults, with a store at `home`.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            offline: false,
            hard_links: false,
            http: HttpConfig::default(),
            fetch: FetchOptions::default(),
            listener: Listener::default(),
        }
    }

    /// With a listener.
    #[must_use]
    pub fn listening(mut self, progress: Arc<dyn Progress>) -> Self {
        self.listener = Listener::new(progress);
        self
    }
}

/// The store, the fetcher and the listener. Cheap to clone.
#[derive(Clone)]
pub struct Zoo {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    fetcher: Fetcher,
    offline: bool,
    hard_links: bool,
    listener: Listener,
}

impl std::fmt::Debug for Zoo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zoo")
            .field("store", &self.inner.store)
            .field("offline", &self.inner.offline)
            .finish_non_exhaustive()
    }
}

impl Zoo {
    /// Opens the store (nothing is written before the first pull) and prepares the client (nothing is connected).
    pub fn open(config: ZooConfig) -> Self {
        let client = Client::new(config.http);
        let fetcher = Fetcher::new(client, config.fetch, config.listener.clone());
        Self {
            inner: Arc::new(Inner {
                store: Store::new(config.home),
                fetcher,
                offline: config.offline,
                hard_links: config.hard_links,
                listener: config.listener,
            }),
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The fetcher.
    pub fn fetcher(&self) -> &Fetcher {
        &self.inner.fetcher
    }

    /// The HTTP client, for hubs' API calls.
    pub fn client(&self) -> &Client {
        self.inner.fetcher.client()
    }

    /// Whether the network is forbidden.
    pub fn offline(&self) -> bool {
        self.inner.offline
    }

    pub(crate) fn hard_links(&self) -> bool {
        self.inner.hard_links
    }

    /// Where events go.
    pub fn listener(&self) -> &Listener {
        &self.inner.listener
    }

    /// A document that a hub crate kept earlier (its catalogue), with its age.
    pub fn kept_document(&self, hub: &str, name: &str, limit: u64) -> Option<(Vec<u8>, std::time::Duration)> {
        let path = self.store().layout().catalog(hub).join(name);
        let bytes = fs::read_bounded(&path, limit).ok()?;
        let age = std::fs::metadata(&path).ok()?.modified().ok()?.elapsed().unwrap_or_default();
        Some((bytes, age))
    }

    /// Keeps a small document for later runs and for offline use.
    pub fn keep_document(&self, hub: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.store().layout().catalog(hub).join(name);
        fs::create_parent(&path)?;
        fs::write_atomic(&path, bytes, false)
    }
}
