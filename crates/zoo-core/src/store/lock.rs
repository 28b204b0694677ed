//! Locks between processes: the operating system's, on empty files that are never deleted (deleting a lock file lets two
//! processes hold "the" lock at once). They end with the process, however it ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fs;
use crate::progress::{Event, Listener};

/// Held while it lives.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

/// Takes the lock, waiting for whoever has it.
pub(crate) async fn lock(path: &Path, what: &str, listener: &Listener) -> Result<Lock> {
    let mut wait = Duration::from_millis(5);
    let mut told = false;
    loop {
        if let Some(lock) = try_lock(path)? {
            return Ok(lock);
        }
        if !told {
            told = true;
            tracing::info!(what, "somebody else works on it; waiting");
            listener.send(|| Event::Waiting { what });
        }
        // Polling, because a blocking wait could not be cancelled.
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(200));
    }
}

/// Takes the lock if nobody has it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<Lock>> {
    fs::create_parent(path)?;
    let file = fs::open_rw(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_held_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks").join("a.lock");
        let held = lock(&path, "a", &Listener::default()).await.unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
