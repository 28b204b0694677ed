//! What the Model Zoo has: 184 validated models, several opsets each, and the exports of 2023.
//!
//! The hub's own `ONNX_HUB_MANIFEST.json` is parsed by [`Catalog::parse`], whether just fetched or the copy compiled in (state of
//! the archived repository; `catalog/make.py` makes it from a clone). Exports are not in the manifest: their paths and
//! digests come from the repository's Git LFS pointers.

use serde::Deserialize;
use zoo_core::digest::Digest;
use zoo_core::error::Error;
use zoo_core::handle::nearest as nearest_names;
use zoo_core::path::EntryPath;

const MANIFEST: &str = include_str!("../catalog/manifest.json");
const EXPORTS: &str = include_str!("../catalog/exports.tsv");
const LICENCES: &str = include_str!("../catalog/licences.tsv");

/// The hub, as people call it.
pub(crate) const HUB: &str = "the ONNX Model Zoo";

/// A manifest has 184 entries; a hundred times as many are no manifest of this zoo.
const MAX_ENTRIES: usize = 20_000;

/// One model of one opset.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name in handles, unique: the file's stem, or for exports the name of the Hugging Face repository.
    pub name: String,
    /// The manifest's name of the model, shared by its opsets (`SqueezeNet 1.0`); exports have none.
    pub model: Option<String>,
    /// The opset, where the manifest or the name says it.
    pub opset: Option<i64>,
    /// Path in the repository.
    pub path: EntryPath,
    /// Length of the `.onnx` in bytes, where known.
    pub bytes: Option<u64>,
    /// SHA-256 of the `.onnx`, where known.
    pub sha256: Option<Digest>,
    /// The archive with test data.
    pub archive: Option<Archive>,
    /// The hub's tags.
    pub tags: Vec<String>,
}

/// A `.tar.gz` with the model and `test_data_set_N` folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Path in the repository.
    pub path: EntryPath,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Digest,
}

impl Entry {
    /// Whether the hub's manifest lists it (otherwise it is an export).
    pub fn is_validated(&self) -> bool {
        self.model.is_some()
    }

    /// The Hugging Face repository of this model alone, below `onnxmodelzoo/`. Its file is `<name>.onnx`.
    pub fn repository(&self) -> &str {
        &self.name
    }

    /// The file's name.
    pub fn file_name(&self) -> String {
        format!("{}.onnx", self.name)
    }

    /// The folder of the path, without a final `/`.
    pub fn folder(&self) -> &str {
        self.path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// SPDX identifier of the licence that the model's README names.
    pub fn licence(&self) -> Option<&'static str> {
        LICENCES.lines().find_map(|line| {
            let (folder, spdx) = line.split_once('\t')?;
            self.path.as_str().strip_prefix(folder)?.starts_with('/').then_some(spdx)
        })
    }

    /// The page where people read about it: validated models have a README above their `model/` folder.
    pub fn documentation(&self) -> String {
        let folder = self.folder();
        let folder = if self.is_validated() {
            folder.rsplit_once('/').map_or(folder, |(above, _)| above)
        } else {
            folder
        };
        format!("https://github.com/onnx/models/tree/main/{folder}")
    }
}

/// Everything the zoo has.
#[derive(Debug, Clone)]
pub struct Catalog {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Row {
    model: String,
    model_path: String,
    opset_version: i64,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    model_sha: String,
    model_bytes: u64,
    #[serde(default)]
    tags: Vec<String>,
    model_with_data_path: Option<String>,
    model_with_data_sha: Option<String>,
    model_with_data_bytes: Option<u64>,
}

impl Catalog {
    /// The catalogue compiled in.
    pub fn embedded() -> Self {
        // A test parses it; if it were broken, names would be unknown and say so.
        Self::parse(MANIFEST.as_bytes()).unwrap_or(Self { entries: Vec::new() })
    }

    /// A manifest in the hub's own form, and the exports, which no manifest lists.
    pub fn parse(manifest: &[u8]) -> Result<Self, String> {
        let rows: Vec<Row> = serde_json::from_slice(manifest).map_err(|e| e.to_string())?;
        if rows.len() > MAX_ENTRIES {
            return Err(format!("it has {} entries", rows.len()));
        }
        let mut entries = rows.into_iter().map(entry).collect::<Result<Vec<_>, String>>()?;
        let listed: std::collections::HashSet<String> =
            entries.iter().map(|e| e.path.as_str().to_owned()).collect();
        entries.extend(EXPORTS.lines().filter_map(export).filter(|e| !listed.contains(e.path.as_str())));
        Ok(Self { entries })
    }

    /// Every entry: validated models first, in the manifest's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that a person means: a unique name (`mnist-12`), a manifest's model name in any case with an opset as
    /// revision (`MNIST@12`; without one the largest opset), a stem or folder of an export, a path of the repository, each
    /// also with `onnxmodelzoo/` in front.
    pub fn find(&self, name: &str, revision: Option<&str>) -> Result<&Entry, Error> {
        let revision = revision.filter(|r| *r != "main");
        let bare = name.strip_prefix("onnxmodelzoo/").unwrap_or(name);
        let opset = revision.and_then(|r| r.strip_prefix("opset").unwrap_or(r).parse::<i64>().ok());
        let found = match self.entries.iter().find(|e| e.name == bare || e.path.as_str() == bare) {
            Some(entry) => entry,
            None => self.by_model(bare, opset)?,
        };
        match (revision, opset) {
            (None, _) => Ok(found),
            (Some(_), Some(opset)) if found.opset == Some(opset) => Ok(found),
            (Some(revision), _) if found.revision().is_some_and(|r| r == revision) => Ok(found),
            (Some(revision), _) => Err(Error::UnknownRevision {
                hub: HUB.into(),
                name: name.to_owned(),
                wanted: format!("revision `{revision}`"),
                available: found.opset.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    fn by_model(&self, name: &str, opset: Option<i64>) -> Result<&Entry, Error> {
        let lower = name.to_lowercase();
        let of_model: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|e| e.model.as_ref().is_some_and(|m| m.to_lowercase() == lower))
            .collect();
        if !of_model.is_empty() {
            let fitting = of_model.iter().filter(|e| opset.is_none() || e.opset == opset);
            return fitting.max_by_key(|e| e.opset).copied().ok_or_else(|| {
                let mut opsets: Vec<i64> = of_model.iter().filter_map(|e| e.opset).collect();
                opsets.sort_unstable();
                Error::UnknownRevision {
                    hub: HUB.into(),
                    name: name.to_owned(),
                    wanted: format!("opset {}", opset.unwrap_or_default()),
                    available: opsets.iter().map(|o| format!("{name}@{o}")).collect(),
                }
            });
        }
        let exported: Vec<&Entry> =
            self.entries.iter().filter(|e| !e.is_validated() && e.is_called(name)).collect();
        match exported.as_slice() {
            [one] => Ok(one),
            [] => Err(self.unknown(name)),
            several => Err(Error::UnknownModel {
                hub: HUB.into(),
                name: name.to_owned(),
                nearest: several.iter().map(|e| format!("onnx:{}", e.name)).collect(),
            }),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.entries.iter().map(|e| e.name.as_str());
        let models = self.entries.iter().filter_map(|e| e.model.as_deref());
        let mut nearest: Vec<String> = Vec::new();
        // A model and its file are near for the same reason; one of them is enough.
        for near in nearest_names(&name.to_lowercase(), names.chain(models), 6) {
            let handle = self.find(&near, None).map(|e| format!("onnx:{}", e.name));
            nearest.extend(handle.ok().filter(|handle| !nearest.contains(handle)));
        }
        nearest.truncate(3);
        Error::UnknownModel { hub: HUB.into(), name: name.to_owned(), nearest }
    }
}

impl Entry {
    /// The revision in the store: the beginning of the content's SHA-256. The zoo's branch never moved a published file.
    pub fn revision(&self) -> Option<String> {
        self.sha256.as_ref().map(|d| d.hex().chars().take(12).collect())
    }

    fn is_called(&self, name: &str) -> bool {
        let mut parts = self.path.as_str().rsplit('/');
        let stem = parts.next().and_then(|file| file.strip_suffix(".onnx"));
        stem == Some(name) || parts.next() == Some(name)
    }
}

fn entry(row: Row) -> Result<Entry, String> {
    let path = EntryPath::new(row.model_path).map_err(|e| e.to_string())?;
    let name = path
        .file_name()
        .strip_suffix(".onnx")
        .ok_or_else(|| format!("`{path}` is no .onnx file"))?
        .to_owned();
    let digest = |hex: &str| Digest::sha256_hex(hex).map_err(|e| format!("{name}: {e}"));
    let m = row.metadata;
    let archive = match (m.model_with_data_path, m.model_with_data_sha, m.model_with_data_bytes) {
        (Some(path), Some(sha), Some(bytes)) => {
            let path = EntryPath::new(path).map_err(|e| e.to_string())?;
            Some(Archive { path, bytes, sha256: digest(&sha)? })
        }
        _ => None,
    };
    Ok(Entry {
        sha256: Some(digest(&m.model_sha)?),
        name,
        model: Some(row.model),
        opset: Some(row.opset_version),
        path,
        bytes: Some(m.model_bytes),
        archive,
        tags: m.tags,
    })
}

fn export(line: &str) -> Option<Entry> {
    let mut fields = line.split('\t');
    let path = EntryPath::new(fields.next()?).ok()?;
    let name = fields.next()?.to_owned();
    let bytes = fields.next()?.parse().ok();
    let sha256 = Digest::sha256_hex(fields.next()?).ok();
    let opset = name.split("_Opset").nth(1).and_then(|rest| rest.split('_').next()?.parse().ok());
    let tags =
        path.as_str().split('/').next().map(|t| t.to_lowercase().replace('_', " ")).into_iter().collect();
    Some(Entry { name, model: None, opset, path, bytes, sha256, archive: None, tags })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(catalog: &Catalog, text: &str, revision: Option<&str>) -> String {
        catalog
            .find(text, revision)
            .map_or_else(|e| format!("{e} | {}", e.hint().unwrap_or_default()), |e| e.name.clone())
    }

    #[test]
    fn the_embedded_catalogue_is_whole() {
        let catalog = Catalog::embedded();
        let validated = catalog.entries().iter().filter(|e| e.is_validated()).count();
        assert_eq!((validated, catalog.entries().len()), (184, 184 + 2141));
        let names: std::collections::HashSet<&str> =
            catalog.entries().iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names.len(), catalog.entries().len(), "names are unique");
        assert!(catalog.entries().iter().all(|e| e.sha256.is_some() && e.bytes.is_some()));
    }

    #[test]
    fn every_way_of_naming_a_model_finds_it() {
        let catalog = Catalog::embedded();
        let cases = [
            ("mnist-12", None, "mnist-12"),
            ("MNIST-12", None, "mnist-12"),
            ("mnist", Some("8"), "mnist-8"),
            ("MNIST", Some("opset7"), "mnist-7"),
            ("SqueezeNet 1.0", None, "squeezenet1.0-13-qdq"),
            ("onnxmodelzoo/mnist-8", Some("main"), "mnist-8"),
            ("resnet18_Opset18_timm", None, "resnet18_Opset18_timm"),
            ("resnet18d_Opset18_timm", None, "resnet18d_Opset18"),
            ("validated/vision/classification/mnist/model/mnist-8.onnx", None, "mnist-8"),
        ];
        for (text, revision, expected) in cases {
            let found = name(&catalog, text, revision);
            // Which of several opsets is largest is the manifest's affair; the model must be the right one.
            let same = found == expected || (text.contains(' ') && found.starts_with("squeezenet1.0-"));
            assert!(same, "{text}: {found}");
        }
    }

    #[test]
    fn wrong_names_are_answered_with_right_ones() {
        let catalog = Catalog::embedded();
        assert!(name(&catalog, "mnist12", None).contains("`onnx:mnist-12`"));
        assert!(name(&catalog, "mnist", Some("99")).contains("`mnist@8`"));
        assert!(name(&catalog, "mnist-8", Some("12")).contains("there is `8`"));
        assert!(name(&catalog, "resnet18_Opset18", None).contains("`onnx:resnet18_Opset18_timm`"));
        assert_eq!(
            catalog.find("qqqqqqqqqqqq", None).unwrap_err().hint().unwrap(),
            "`zoo search TEXT` finds names"
        );
    }

    #[test]
    fn licences_and_pages_come_from_the_folder() {
        let catalog = Catalog::embedded();
        let entry = catalog.find("mnist-12", None).unwrap();
        assert_eq!(entry.licence(), Some("MIT"));
        assert_eq!(
            entry.documentation(),
            "https://github.com/onnx/models/tree/main/validated/vision/classification/mnist"
        );
        assert_eq!(entry.revision().as_deref(), Some("5c688690f8ba"));
    }

    #[test]
    fn a_manifest_that_is_none_is_refused() {
        for text in ["", "{}", r#"[{"model":"a"}]"#] {
            assert!(Catalog::parse(text.as_bytes()).is_err(), "{text}");
        }
        let escape = r#"[{"model":"a","model_path":"../a.onnx","opset_version":1,"metadata":{"model_sha":"00","model_bytes":1}}]"#;
        assert!(Catalog::parse(escape.as_bytes()).unwrap_err().contains("safe relative path"));
    }
}
