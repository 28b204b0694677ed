//! `zoo.json`: what is known of a stored model, beside its files. It is written last, so a folder that has one is whole.
//!
//! The schema is versioned. Unknown fields are kept on rewriting, so that an older zoo does not lose what a newer one (or
//! a user) wrote. The store never looks inside tensors: inputs and outputs are what the ecosystem crate read from the model.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;
use crate::handle::{Ecosystem, ModelName, Revision};
use crate::path::EntryPath;

/// The schema this code writes. A manifest with a larger number is refused; a smaller one is read.
pub const SCHEMA: u32 = 1;

/// The manifest's file name in a model's folder.
pub const FILE_NAME: &str = "zoo.json";

/// A manifest is text about files; 16 MiB is room for a hundred thousand of them.
const MAX_BYTES: u64 = 16 << 20;

/// Everything known of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Version of this schema.
    pub schema: u32,
    /// The canonical handle: pulling it gives this model again.
    pub handle: String,
    /// The store's folder of this ecosystem.
    pub ecosystem: Ecosystem,
    /// The canonical name.
    pub name: ModelName,
    /// What the content is of: a commit, a version, a digest's beginning. Never a name that moves.
    pub revision: Revision,
    /// Names by which this revision was asked for (`main`, an alias), newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_for: Vec<String>,
    /// When the last file arrived.
    pub pulled: Timestamp,
    /// The originals, sorted by path.
    pub files: Vec<FileEntry>,
    /// What was made from them.
    #[serde(default)]
    pub staged: Vec<Staged>,
    /// What the model is, as its own files and its hub say.
    #[serde(default)]
    pub model: ModelFacts,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One original.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileEntry {
    /// Path within the model's folder, with `original/` in front.
    pub path: EntryPath,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the content, computed here.
    pub sha256: Digest,
    /// What the hub published and what was therefore proved. Empty: the hub publishes nothing, and the content is pinned
    /// as it first came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Digest>,
    /// Where it came from: a URL without query, or the path of the local copy that was adopted.
    pub source: String,
    /// Modification time in nanoseconds since 1970: while size and time stand, a pull need not hash again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Something a framework imports, made from the originals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Staged {
    /// `onnx`, `frozen-graph`, `saved-model`, `keras`, `h5`, `original`.
    pub target: String,
    /// What to open: a path within the model's folder.
    pub path: EntryPath,
    /// Further files that `path` needs, which must keep their places beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<EntryPath>,
    /// Options that made it, by name; the same options make the same bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The version of zoo that made it.
    pub zoo: String,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a model wants and is. Absent means that neither the files nor the hub say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelFacts {
    /// What goes in, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Port>,
    /// What comes out, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Port>,
    /// Operator set versions by domain (`ai.onnx` for the standard one).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub opsets: BTreeMap<String, i64>,
    /// ONNX IR version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ir_version: Option<i64>,
    /// The program that wrote the model, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// Number of nodes, subgraphs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
    /// Number of values in all weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// The hub's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// SPDX identifier or the hub's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// How to make the input from an image, a text, a sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Value>,
    /// What the output's indices mean, or the file that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Value>,
    /// Where people read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An input or an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Element type (`f32`, `i64`, …), or the description of a sequence, map or optional.
    pub dtype: String,
    /// Its dimensions; `None` where the model does not even fix their number.
    pub shape: Option<Vec<Dim>>,
}

impl Port {
    /// Puts a port together.
    pub fn new(name: impl Into<String>, dtype: impl Into<String>, shape: Option<Vec<Dim>>) -> Self {
        Self { name: name.into(), dtype: dtype.into(), shape }
    }
}

/// One dimension: a number, a name, or `"?"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Fixed length.
    Size(u64),
    /// Free length; equal names mean equal lengths, `?` means nothing.
    Free(String),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size(n) => write!(f, "{n}"),
            Self::Free(name) => f.write_str(name),
        }
    }
}

/// Why bytes are no manifest that this code can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// They are of this later schema.
    Newer(u32),
    /// They make no sense; this is why.
    Damaged(String),
}

impl Manifest {
    /// A manifest with nothing staged and nothing known yet.
    pub fn new(
        handle: String,
        ecosystem: Ecosystem,
        name: ModelName,
        revision: Revision,
        mut files: Vec<FileEntry>,
    ) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self {
            schema: SCHEMA,
            handle,
            ecosystem,
            name,
            revision,
            asked_for: Vec::new(),
            pulled: now(),
            files,
            staged: Vec::new(),
            model: ModelFacts::default(),
            other: Map::new(),
        }
    }

    /// Reads `zoo.json` in `folder`; `None` if there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE_NAME);
        if fs::file_len(&path).is_none() {
            return Ok(None);
        }
        let bytes = fs::read_bounded(&path, MAX_BYTES)?;
        Self::parse(&bytes).map(Some).map_err(|unreadable| match unreadable {
            Unreadable::Newer(schema) => Error::NewerManifest { path, schema },
            Unreadable::Damaged(reason) => Error::Manifest { path, reason },
        })
    }

    /// Parses and checks the schema version.
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let damaged = |e: serde_json::Error| Unreadable::Damaged(e.to_string());
        let version: Version = serde_json::from_slice(bytes).map_err(damaged)?;
        if version.schema > SCHEMA {
            return Err(Unreadable::Newer(version.schema));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// Writes `zoo.json` into `folder`, atomically and durably.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::write_atomic(&folder.join(FILE_NAME), self.to_json().as_bytes(), true)
    }

    /// As indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        // Only maps with keys that are no strings can fail, and there are none.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Records a staged target; an earlier one of the same target and options is replaced.
    pub fn add_staged(&mut self, staged: Staged) {
        self.staged.retain(|s| s.target != staged.target || s.options != staged.options);
        self.staged.push(staged);
    }

    /// The staged form of a target, if it was made.
    pub fn staged(&self, target: &str) -> Option<&Staged> {
        self.staged.iter().find(|s| s.target == target)
    }

    /// Bytes in all originals.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }
}

impl Staged {
    /// A staged target without options.
    pub fn new(target: impl Into<String>, path: EntryPath, with: Vec<EntryPath>) -> Self {
        Self {
            target: target.into(),
            path,
            with,
            options: BTreeMap::new(),
            zoo: env!("CARGO_PKG_VERSION").to_owned(),
            other: Map::new(),
        }
    }
}

impl FileEntry {
    /// An entry for a verified file.
    pub fn new(path: EntryPath, size: u64, sha256: Digest, published: Vec<Digest>, source: String) -> Self {
        Self { path, size, sha256, published, source, mtime_ns: None, other: Map::new() }
    }
}

/// The current second: finer would be noise in a file that people read.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let mut manifest = Manifest::new(
            "onnx:mnist-12".into(),
            Ecosystem::new("onnx").unwrap(),
            ModelName::new("mnist-12").unwrap(),
            Revision::new("5c688690f8ba").unwrap(),
            vec![FileEntry::new(
                EntryPath::new("original/mnist-12.onnx").unwrap(),
                26143,
                Digest::Sha256([7; 32]),
                vec![Digest::Sha256([7; 32])],
                "https://example.org/mnist-12.onnx".into(),
            )],
        );
        let shape = vec![Dim::Free("N".into()), Dim::Size(10)];
        manifest.model.inputs.push(Port::new("x", "f32", Some(shape)));
        manifest.add_staged(Staged::new("onnx", EntryPath::new("original/mnist-12.onnx").unwrap(), vec![]));
        manifest
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        sample().write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(sample()));
    }

    #[test]
    fn unknown_fields_survive_at_every_level() {
        let mut value: Value = serde_json::from_str(&sample().to_json()).unwrap();
        for pointer in ["", "/files/0", "/staged/0", "/model"] {
            value.pointer_mut(pointer).unwrap()["from_the_future"] = Value::from(1);
        }
        let manifest = Manifest::parse(value.to_string().as_bytes()).unwrap();
        let again: Value = serde_json::from_str(&manifest.to_json()).unwrap();
        assert_eq!(again, value);
    }

    proptest::proptest! {
        /// Numbers in fields that this version does not know come back to the last bit.
        #[test]
        fn unknown_numbers_are_not_rounded(number in proptest::num::f64::NORMAL) {
            let mut manifest = sample();
            manifest.other.insert("measured".into(), Value::from(number));
            proptest::prop_assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest));
        }
    }

    #[test]
    fn a_newer_schema_is_told_apart_from_damage() {
        let text = sample().to_json().replace("\"schema\": 1", "\"schema\": 2");
        assert_eq!(Manifest::parse(text.as_bytes()), Err(Unreadable::Newer(2)));
        let dir = tempfile::tempdir().unwrap();
        fs::write_atomic(&dir.path().join(FILE_NAME), text.as_bytes(), false).unwrap();
        let error = Manifest::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("newer zoo"), "{error}");
        assert!(Manifest::parse(b"{}").is_err());
        assert!(Manifest::parse(b"\xff").is_err());
    }

    #[test]
    fn a_path_that_escapes_is_refused_on_reading() {
        let text = sample().to_json().replace("original/mnist-12.onnx", "../../etc/passwd");
        let refused = Manifest::parse(text.as_bytes());
        assert!(
            matches!(&refused, Err(Unreadable::Damaged(reason)) if reason.contains("safe relative path")),
            "{refused:?}"
        );
    }

    #[test]
    fn staging_the_same_target_again_replaces_it() {
        let mut manifest = sample();
        manifest.add_staged(Staged::new("onnx", EntryPath::new("model.onnx").unwrap(), vec![]));
        assert_eq!(manifest.staged.len(), 1);
        assert_eq!(manifest.staged("onnx").unwrap().path.as_str(), "model.onnx");
    }
}
