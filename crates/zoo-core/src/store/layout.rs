//! Where everything lies below the home. Only this module builds such paths.
//!
//! ```text
//! models/<ecosystem>/<name>/<revision>/zoo.json, original/…, staged files
//! index/sha256/ab/<64 digits>      lines: paths, relative to the home, where content of this digest lives
//! partial/<key>.data, <key>.json   transfers that are not finished
//! locks/<key>.lock                 empty; locked while somebody works on the thing
//! catalog/                         hubs' own catalogues as last fetched
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};
use crate::error::Result;
use crate::handle::{Ecosystem, ModelName, Revision};
use crate::remote::RemoteFile;

/// What identifies a model in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelKey {
    /// The folder below `models/`.
    pub ecosystem: Ecosystem,
    /// The canonical name.
    pub name: ModelName,
    /// What the content is of; never a name that moves.
    pub revision: Revision,
}

impl ModelKey {
    /// Parses the parts.
    pub fn new(ecosystem: &str, name: &str, revision: &str) -> Result<Self> {
        Ok(Self {
            ecosystem: Ecosystem::new(ecosystem)?,
            name: ModelName::new(name)?,
            revision: Revision::new(revision)?,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Layout {
    home: PathBuf,
}

impl Layout {
    pub(crate) fn new(home: PathBuf) -> Self {
        Self { home }
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    pub(crate) fn name(&self, ecosystem: &Ecosystem, name: &ModelName) -> PathBuf {
        let folder = self.models().join(ecosystem.as_str());
        name.as_str().split('/').fold(folder, |path, part| path.join(part_name(part)))
    }

    pub(crate) fn model(&self, key: &ModelKey) -> PathBuf {
        self.name(&key.ecosystem, &key.name).join(part_name(key.revision.as_str()))
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.home.join("index").join("sha256")
    }

    pub(crate) fn index_entry(&self, sha256: &[u8; 32]) -> PathBuf {
        let hex = hex::encode(sha256);
        self.index().join(hex.get(..2).unwrap_or_default()).join(&hex)
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.home.join("partial")
    }

    /// The beginning of a partial file's names: by content where the hub says what the content is, so that two models that
    /// want the same file share one transfer; by source otherwise.
    pub(crate) fn partial(&self, file: &RemoteFile) -> PathBuf {
        let mut text = String::new();
        match file.digests.iter().find(|d| d.identifies_content()) {
            Some(digest) => {
                let _ = write!(text, "{digest}");
            }
            None => {
                let _ = write!(text, "{:?} {:?} {}", file.size, file.digests, file.path);
                for source in &file.sources {
                    let _ = write!(text, " {source}");
                }
            }
        }
        self.partials().join(short_hash(&text))
    }

    pub(crate) fn lock_for_model(&self, key: &ModelKey) -> PathBuf {
        let text = format!("{}\n{}\n{}", key.ecosystem, key.name, key.revision);
        self.lock_named(&format!("model-{}", short_hash(&text)))
    }

    pub(crate) fn lock_for_partial(&self, partial: &Path) -> PathBuf {
        let name = partial.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        self.lock_named(&format!("data-{name}"))
    }

    fn lock_named(&self, name: &str) -> PathBuf {
        self.home.join("locks").join(format!("{name}.lock"))
    }

    pub(crate) fn catalog(&self, hub: &str) -> PathBuf {
        self.home.join("catalog").join(hub)
    }
}

/// The first 128 bits of the SHA-256: no two things anybody keeps collide by chance, and nobody gains by making them.
fn short_hash(text: &str) -> String {
    let mut hasher = Hasher::new(&[], None);
    hasher.update(text.as_bytes());
    let mut hex = match hasher.finish().sha256() {
        Digest::Sha256(bytes) => hex::encode(bytes),
        other => other.hex(),
    };
    hex.truncate(32);
    hex
}

/// A part of a name as a folder's name: letters, digits, `.`, `_`, `-` and `+` stay, everything else is percent-encoded, and so
/// is what Windows would change (a final dot) or refuse (device names).
fn part_name(part: &str) -> String {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let mut out = String::with_capacity(part.len());
    let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = stem.len() == 4
        && (stem.starts_with("com") || stem.starts_with("lpt"))
        && stem.ends_with(|c: char| c.is_ascii_digit());
    let device = DEVICES.contains(&stem.as_str()) || numbered;
    let last = part.len().saturating_sub(1);
    for (i, b) in part.bytes().enumerate() {
        let plain = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+') || (b == b'.' && i != last);
        if plain && !(device && i == 0) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_folders_one_to_one() {
        let cases = [
            ("mnist-12", "mnist-12"),
            ("SqueezeNet 1.0", "SqueezeNet%201.0"),
            ("a%20b", "a%2520b"),
            ("refs/pr/3", "refs%2Fpr%2F3"),
            ("x.", "x%2E"),
            ("nul", "%6Eul"),
            ("com1.onnx", "%63om1.onnx"),
            ("ü", "%C3%BC"),
        ];
        for (name, folder) in cases {
            assert_eq!(part_name(name), folder);
        }
    }

    #[test]
    fn a_model_lies_below_its_ecosystem() {
        let layout = Layout::new(PathBuf::from("home"));
        let key = ModelKey::new("huggingface", "org/name", "refs/pr/3").unwrap();
        let expected: PathBuf =
            ["home", "models", "huggingface", "org", "name", "refs%2Fpr%2F3"].iter().collect();
        assert_eq!(layout.model(&key), expected);
    }
}
