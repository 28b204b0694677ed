//! `EntryPath`: where a file lies inside a model, as a hub names it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A relative path with `/` between its parts, safe to join onto a folder on every platform: no part is empty, `.` or
/// `..`; none holds a backslash, a colon, a NUL or another control character, or ends in a dot or a space (which Windows drops).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EntryPath(String);

/// Why a text is no [`EntryPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a safe relative path: {reason}", .text.escape_debug())]
pub struct EntryPathError {
    text: String,
    reason: &'static str,
}

/// Longest path in bytes: half of the usual PATH_MAX (4096), so that the store's own folders fit before it.
const MAX_LENGTH: usize = 2048;
/// Longest part in bytes: NAME_MAX of the common file systems.
const MAX_PART: usize = 255;

impl EntryPath {
    /// Parses and checks.
    pub fn new(text: impl Into<String>) -> Result<Self, EntryPathError> {
        let text = text.into();
        match refusal(&text) {
            None => Ok(Self(text)),
            Some(reason) => Err(EntryPathError { text, reason }),
        }
    }

    /// The path as text, `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        self.0.split('/').fold(root.to_owned(), |path, part| path.join(part))
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// `prefix/self`, for a prefix that is itself an entry path.
    #[must_use]
    pub fn below(&self, prefix: &Self) -> Self {
        Self(format!("{}/{}", prefix.0, self.0))
    }
}

fn refusal(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > MAX_LENGTH {
        return Some("it is longer than 2048 bytes");
    }
    if text.starts_with('/') {
        return Some("it is absolute");
    }
    text.split('/').find_map(|part| match part {
        "" => Some("it has an empty part"),
        "." | ".." => Some("it has a `.` or `..` part"),
        _ if part.len() > MAX_PART => Some("a part is longer than 255 bytes"),
        _ if part.contains(['\\', ':']) => Some("it holds a backslash or a colon"),
        _ if part.chars().any(char::is_control) => Some("it holds a control character"),
        _ if part.ends_with(['.', ' ']) => Some("a part ends in a dot or a space"),
        _ => None,
    })
}

impl FromStr for EntryPath {
    type Err = EntryPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for EntryPath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for text in ["model.onnx", "onnx/model.onnx_data", "a b/ü+%#.bin", ".gitattributes", "a..b"] {
            assert_eq!(EntryPath::new(text).unwrap().as_str(), text);
        }
        assert_eq!(EntryPath::new("a/b").unwrap().under(Path::new("r")), Path::new("r").join("a").join("b"));
    }

    #[test]
    fn every_escape_is_refused() {
        let long = "x".repeat(256);
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "c:x",
            "a\0b",
            "a\nb",
            "a.",
            "a /b",
            &long,
        ] {
            assert!(EntryPath::new(text).is_err(), "{text:?}");
        }
    }
}
