//! What is happening, as events. Libraries never draw: whoever wants bars implements [`Progress`]. With nobody
//! listening nothing is built and nothing is called.
//!
//! Order per file: `Start` (again for each further source), then any number of `Bytes`, `Retry`, `Restart`, `Connections`, then
//! `Verify`, then `Done` or `Failed`; or `Reused` alone; or nothing more, when the pull is cancelled. Events of different
//! files interleave. They come from worker threads, and a slow listener slows the transfer: do not block.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Tells the files of one process apart; the numbers mean nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// Something happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A transfer begins, or goes on from `have` bytes of an earlier run.
    Start {
        /// The file.
        file: FileId,
        /// Path within the model.
        path: &'a str,
        /// Length in bytes, where known.
        size: Option<u64>,
        /// Bytes already on disk.
        have: u64,
    },
    /// So many more bytes are on disk.
    Bytes {
        /// The file.
        file: FileId,
        /// Bytes since the last such event.
        count: u64,
    },
    /// An attempt failed; another follows.
    Retry {
        /// The file.
        file: FileId,
        /// Why.
        reason: &'a str,
        /// How long until the next attempt.
        after: Duration,
    },
    /// Bytes on disk proved useless and are fetched again.
    Restart {
        /// The file.
        file: FileId,
        /// Why.
        reason: &'a str,
        /// How many bytes were discarded.
        lost: u64,
    },
    /// The number of connections in use for the file changed.
    Connections {
        /// The file.
        file: FileId,
        /// How many.
        count: usize,
    },
    /// Somebody else (another process or task) works on the same thing.
    Waiting {
        /// What is waited for.
        what: &'a str,
    },
    /// All bytes are there, the digest is being completed.
    Verify {
        /// The file.
        file: FileId,
    },
    /// The file was proved and is in its place.
    Done {
        /// The file.
        file: FileId,
        /// Its length in bytes.
        size: u64,
    },
    /// The file was given up. The pull's own error says more.
    Failed {
        /// The file.
        file: FileId,
        /// Why.
        reason: &'a str,
    },
    /// The content was on this machine already: it was verified and linked or copied instead of fetched.
    Reused {
        /// Path within the model.
        path: &'a str,
        /// Where it was.
        from: &'a Path,
        /// Its length in bytes.
        size: u64,
    },
    /// A target is being made.
    Stage {
        /// `onnx`, `frozen-graph`, …
        target: &'a str,
    },
}

/// Listens to events.
pub trait Progress: Send + Sync {
    /// Called for every event, from any thread. Must not block.
    fn event(&self, event: &Event<'_>);
}

/// Nobody listens.
impl Progress for () {
    fn event(&self, _: &Event<'_>) {}
}

/// A listener, or none: the form in which it is passed around.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<dyn Progress>>);

impl Listener {
    /// Somebody listens.
    pub fn new(progress: Arc<dyn Progress>) -> Self {
        Self(Some(progress))
    }

    /// Sends an event; it is built only if somebody listens.
    pub fn send<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(progress) = &self.0 {
            progress.event(&event());
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(on)" } else { "Listener(off)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_built_when_nobody_listens() {
        Listener::default().send(|| panic!("built an event for nobody"));
    }
}
