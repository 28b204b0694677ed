//! What a hub says about a file: where it is, how long it is, what its digests are. Hub crates make these; only
//! [`crate::fetch`] follows them.

use std::path::PathBuf;

use url::Url;

use crate::digest::Digest;
use crate::path::EntryPath;

/// A file that a hub serves.
#[derive(Debug, Clone)]
pub struct RemoteFile {
    /// Where it goes below the model's `original/`.
    pub path: EntryPath,
    /// Length in bytes, where the hub publishes it.
    pub size: Option<u64>,
    /// Every digest the hub publishes; all of them must hold.
    pub digests: Vec<Digest>,
    /// Where to get it, best first. Each is tried when the one before it fails for good.
    pub sources: Vec<Url>,
    /// Digests of equal pieces, where the hub publishes them: a wrong piece alone is then fetched again.
    pub pieces: Option<Pieces>,
    /// Copies that the ecosystem's own library may have left on this machine. They are verified before use, and never
    /// changed.
    pub local: Vec<PathBuf>,
}

/// SHA-256 of consecutive pieces of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// Length of every piece but the last, in bytes.
    pub length: u64,
    /// One per piece.
    pub sha256: Vec<[u8; 32]>,
}

impl RemoteFile {
    /// A file with one source and nothing else known.
    pub fn new(path: EntryPath, source: Url) -> Self {
        Self { path, size: None, digests: Vec::new(), sources: vec![source], pieces: None, local: Vec::new() }
    }

    /// The published full SHA-256, if there is one.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.digests.iter().find_map(|d| match d {
            Digest::Sha256(value) => Some(*value),
            _ => None,
        })
    }
}
