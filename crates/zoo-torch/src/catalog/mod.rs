//! What the torchvision zoo has: every builder with its weights, as `catalog/make_catalog.py` reads it from an installed
//! torchvision. The zoo has no listing that could be asked, so a copy is compiled in; another one (a newer torchvision, a private
//! mirror) comes from a file of the same form ([`Catalog::read`]).
//!
//! A catalogue is data from outside: whatever in it does not hold together (a path that leaves its folder, a digest that is none, a
//! default that does not exist) is refused as a whole, with its place.

mod find;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use zoo_core::digest::Digest;
use zoo_core::fs;
use zoo_core::handle::{ModelName, Revision};
use zoo_core::path::EntryPath;

use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::recipe::Transform;

const EMBEDDED: &str = include_str!("../../catalog/torchvision.json");

/// The schema that this code reads.
const SCHEMA: u32 = 1;

/// A catalogue is a seventh of a megabyte; a hundred times as much is none.
const MAX_BYTES: u64 = 16 << 20;

/// The hub, as people call it.
pub(crate) const HUB: &str = "the torchvision zoo";

/// Everything the zoo has. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    /// Read before everything else.
    #[serde(rename = "schema")]
    _schema: IgnoredAny,
    source: String,
    models: Vec<Model>,
    labels: BTreeMap<String, Vec<String>>,
}

/// A builder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    #[serde(rename = "model")]
    name: String,
    task: Task,
    builder: String,
    #[serde(rename = "enum")]
    enumeration: String,
    default: String,
    pretrained: Option<String>,
    weights: Vec<Weights>,
}

/// One member of a builder's enumeration of weights.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    #[serde(rename = "weights")]
    member: String,
    path: EntryPath,
    sha256: Option<String>,
    mib: f64,
    parameters: u64,
    min_size: [u32; 2],
    min_frames: Option<u32>,
    labels: Option<String>,
    keypoints: Option<String>,
    licence: Option<String>,
    quantized_for: Option<String>,
    metrics: BTreeMap<String, BTreeMap<String, f64>>,
    recipe: String,
    transform: Transform,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// A picture in, a score per label out.
    Classification,
    /// A picture in, a score per label and pixel out.
    Segmentation,
    /// A picture in, boxes with labels and scores out.
    Detection,
    /// A clip in, a score per label out.
    Video,
    /// Two pictures in, the movement of every pixel out.
    OpticalFlow,
}

impl Task {
    /// The word in catalogues and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
            Self::Video => "video",
            Self::OpticalFlow => "optical_flow",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One builder with one of its weights: what a handle stands for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Entry {
    catalog: Arc<Inner>,
    model: usize,
    weights: usize,
}

impl Catalog {
    /// The catalogue compiled in.
    pub fn embedded() -> Self {
        static PARSED: LazyLock<Arc<Inner>> = LazyLock::new(|| {
            // A test parses it; if it were broken, names would be unknown and say so.
            Arc::new(parse(EMBEDDED.as_bytes()).unwrap_or_else(|_| Inner {
                _schema: IgnoredAny,
                source: "a broken catalogue".into(),
                models: Vec::new(),
                labels: BTreeMap::new(),
            }))
        });
        Self { inner: Arc::clone(&PARSED) }
    }

    /// A catalogue from a file that `make_catalog.py` wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read_bounded(path, MAX_BYTES)?;
        Self::parse(&bytes).map_err(|reason| Error::Catalog { path: path.to_owned(), reason })
    }

    /// A catalogue from the text of such a file; the error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        Ok(Self { inner: Arc::new(parse(bytes)?) })
    }

    /// The library that it describes, with its version: `torchvision 0.29.2`.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// Every builder with each of its weights, in the catalogue's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let of = |(model, m): (usize, &Model)| (0..m.weights.len()).map(move |weights| (model, weights));
        let indices: Vec<(usize, usize)> = self.inner.models.iter().enumerate().flat_map(of).collect();
        indices.into_iter().map(|(model, weights)| self.entry(model, weights))
    }

    fn entry(&self, model: usize, weights: usize) -> Entry {
        Entry { catalog: Arc::clone(&self.inner), model, weights }
    }
}

impl Entry {
    // Indices are made by the catalogue that the entry holds.
    fn model(&self) -> &Model {
        &self.catalog.models[self.model]
    }

    fn of(&self) -> &Weights {
        &self.model().weights[self.weights]
    }

    /// The builder's registered name: `resnet50`, `quantized_resnet50`.
    pub fn model_name(&self) -> &str {
        &self.model().name
    }

    /// The member of the enumeration: `IMAGENET1K_V2`.
    pub fn weights(&self) -> &str {
        &self.of().member
    }

    /// The enumeration of the builder's weights: `ResNet50_Weights`.
    pub fn enumeration(&self) -> &str {
        &self.model().enumeration
    }

    /// Whether these are the weights that `DEFAULT` means.
    pub fn is_default(&self) -> bool {
        self.model().default == self.of().member
    }

    /// Whether these are the weights that the legacy `pretrained=True` means.
    pub fn is_pretrained(&self) -> bool {
        self.model().pretrained.as_ref() == Some(&self.of().member)
    }

    /// The handle that always means these weights, whatever the default becomes.
    pub fn handle(&self) -> String {
        format!("{}:{}@{}", Hub::NAME, self.model_name(), self.weights())
    }

    /// What the model is for.
    pub fn task(&self) -> Task {
        self.model().task
    }

    /// The engine that the weights are quantized for, if they are.
    pub fn quantized_for(&self) -> Option<&str> {
        self.of().quantized_for.as_deref()
    }

    /// The file's path on the server.
    pub fn path(&self) -> &EntryPath {
        &self.of().path
    }

    /// The file's name.
    pub fn file_name(&self) -> &str {
        self.of().path.file_name()
    }

    /// The first digits of the file's SHA-256, which are in its name. Four old quantized files have none that torchvision
    /// would check.
    pub fn digest(&self) -> Option<Digest> {
        self.of().sha256.clone().map(Digest::Sha256Prefix)
    }

    /// The revision in the store: the digits of the SHA-256, or where there are none the file's name, which torchvision
    /// never gave to another content.
    pub fn revision(&self) -> &str {
        let of = self.of();
        match &of.sha256 {
            Some(digits) => digits,
            None => stem(of.path.file_name()),
        }
    }

    /// About how many bytes the file has: torchvision publishes its size in MiB with three decimals.
    pub fn about_bytes(&self) -> u64 {
        (self.of().mib * f64::from(1 << 20)).round() as u64
    }

    /// The number of trained values.
    pub fn parameters(&self) -> u64 {
        self.of().parameters
    }

    /// The smallest picture that the network takes, rows and columns.
    pub fn min_size(&self) -> [u32; 2] {
        self.of().min_size
    }

    /// The fewest frames of a clip.
    pub fn min_frames(&self) -> Option<u32> {
        self.of().min_frames
    }

    /// The set of labels and the labels, in the order of the output.
    pub fn labels(&self) -> Option<(&str, &[String])> {
        self.set(self.of().labels.as_deref())
    }

    /// The set of names of key points and the names.
    pub fn keypoints(&self) -> Option<(&str, &[String])> {
        self.set(self.of().keypoints.as_deref())
    }

    fn set<'a>(&'a self, name: Option<&'a str>) -> Option<(&'a str, &'a [String])> {
        let name = name?;
        Some((name, self.catalog.labels.get(name)?))
    }

    /// Where the licence of the weights is, if torchvision names one. Its own licence is of its code.
    pub fn licence(&self) -> Option<&str> {
        self.of().licence.as_deref()
    }

    /// What was measured, by data set.
    pub fn metrics(&self) -> &BTreeMap<String, BTreeMap<String, f64>> {
        &self.of().metrics
    }

    /// Where it is told how the weights were trained.
    pub fn recipe_url(&self) -> &str {
        &self.of().recipe
    }

    /// How a picture is prepared.
    pub fn transform(&self) -> &Transform {
        &self.of().transform
    }

    /// The page where people read about it.
    pub fn documentation(&self) -> String {
        format!("https://pytorch.org/vision/stable/models/generated/{}.html", self.model().builder)
    }

    /// Words to search by.
    pub fn tags(&self) -> Vec<String> {
        let mut tags = vec![self.task().name().to_owned()];
        tags.extend(self.of().labels.clone());
        tags.extend(self.quantized_for().map(|_| "quantized".to_owned()));
        tags.extend(self.is_default().then(|| "default".to_owned()));
        tags
    }
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn parse(bytes: &[u8]) -> Result<Inner, String> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    // Asked first: a later schema would otherwise be refused for a field that it added.
    let version: Version = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if version.schema != SCHEMA {
        return Err(format!("it has schema {}, and this zoo reads {SCHEMA}", version.schema));
    }
    let inner: Inner = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    check(&inner)?;
    Ok(inner)
}

/// What the types alone do not say.
fn check(inner: &Inner) -> Result<(), String> {
    // Names are found in any case, so they must differ in more than that.
    let (mut names, mut files, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    for model in &inner.models {
        let name = &model.name;
        ModelName::new(name.as_str()).map_err(|e| e.to_string())?;
        for word in [name, &model.builder, &model.enumeration] {
            if word.is_empty() || !names.insert(word.to_ascii_lowercase()) {
                return Err(format!("{name}: `{word}` is empty or names two things"));
            }
        }
        let mut members = HashSet::new();
        for weights in &model.weights {
            check_weights(weights, inner).map_err(|reason| format!("{name}@{}: {reason}", weights.member))?;
            let revision = weights.sha256.as_deref().unwrap_or_else(|| stem(weights.path.file_name()));
            let is_new = members.insert(weights.member.to_ascii_lowercase())
                && files.insert(weights.path.file_name())
                && keys.insert((name, revision));
            if !is_new {
                return Err(format!("{name}@{} is there twice", weights.member));
            }
        }
        for member in std::iter::once(&model.default).chain(&model.pretrained) {
            if !model.weights.iter().any(|weights| weights.member == *member) {
                return Err(format!("{name}: there are no weights `{member}`"));
            }
        }
    }
    Ok(())
}

fn check_weights(weights: &Weights, inner: &Inner) -> Result<(), String> {
    Revision::new(weights.member.as_str()).map_err(|e| e.to_string())?;
    Revision::new(stem(weights.path.file_name())).map_err(|e| e.to_string())?;
    if let Some(digits) = &weights.sha256 {
        format!("sha256-prefix:{digits}").parse::<Digest>().map_err(|e| e.to_string())?;
    }
    if !weights.mib.is_finite() || weights.mib < 0.0 {
        return Err(format!("{} is no size", weights.mib));
    }
    for set in weights.labels.iter().chain(&weights.keypoints) {
        if !inner.labels.contains_key(set) {
            return Err(format!("there is no set of labels `{set}`"));
        }
    }
    weights.transform.check()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use super::*;

    #[test]
    fn the_embedded_catalogue_is_torchvisions() {
        let catalog = Catalog::embedded();
        assert!(catalog.source().starts_with("torchvision 0."), "{}", catalog.source());
        let mut tasks: Map<&str, usize> = Map::new();
        for model in &catalog.inner.models {
            *tasks.entry(model.task.name()).or_default() += 1;
        }
        let expected = [
            ("classification", 92),
            ("detection", 12),
            ("optical_flow", 2),
            ("segmentation", 6),
            ("video", 9),
        ];
        assert_eq!(tasks, Map::from(expected));
        let entries: Vec<Entry> = catalog.entries().collect();
        assert_eq!(entries.len(), 166);
        assert_eq!(entries.iter().filter(|e| e.quantized_for().is_some()).count(), 14);
        // Written `_<digits>.pth`, which torchvision's own pattern does not find.
        let without: Vec<&str> =
            entries.iter().filter(|e| e.digest().is_none()).map(Entry::file_name).collect();
        assert_eq!(
            without,
            [
                "mobilenet_v2_qnnpack_37f702c5.pth",
                "resnet18_fbgemm_16fa66dd.pth",
                "resnet50_fbgemm_bf931d71.pth",
                "resnext101_32x8_fbgemm_09835ccf.pth"
            ]
        );
        // 24 builders have a default that is not what `pretrained=True` means.
        let moved =
            catalog.inner.models.iter().filter(|m| m.pretrained.as_ref().is_some_and(|p| *p != m.default));
        assert_eq!(moved.count(), 24);
    }

    #[test]
    fn an_entry_knows_what_torchvision_knows() {
        let catalog = Catalog::embedded();
        let entry = catalog.find("resnet50", None).unwrap();
        assert_eq!(
            (entry.weights(), entry.enumeration(), entry.path().as_str()),
            ("IMAGENET1K_V2", "ResNet50_Weights", "models/resnet50-11ad3fa6.pth")
        );
        assert!(entry.is_default() && !entry.is_pretrained());
        assert_eq!(entry.digest(), Some("sha256-prefix:11ad3fa6".parse().unwrap()));
        assert_eq!(
            (entry.revision(), entry.parameters(), entry.min_size()),
            ("11ad3fa6", 25_557_032, [1, 1])
        );
        // 97.79 MiB, as published.
        assert_eq!(entry.about_bytes(), 102_540_247);
        let measured = serde_json::to_value(entry.metrics()).unwrap();
        assert_eq!(measured, serde_json::json!({"ImageNet-1K": {"acc@1": 80.858, "acc@5": 95.434}}));
        assert_eq!(entry.licence(), None);
        let (set, names) = entry.labels().unwrap();
        assert_eq!(
            (set, names.len(), names[0].as_str(), names[281].as_str()),
            ("imagenet1k", 1000, "tench", "tabby")
        );
        assert_eq!(
            entry.documentation(),
            "https://pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html"
        );
        let swag = catalog.find("vit_h_14", Some("IMAGENET1K_SWAG_LINEAR_V1")).unwrap();
        assert!(swag.licence().unwrap().ends_with("SWAG/blob/main/LICENSE"));
        let keypoints = catalog.find("keypointrcnn_resnet50_fpn", None).unwrap();
        assert_eq!(keypoints.keypoints().unwrap().1[0], "nose");
        assert_eq!(catalog.find("mvit_v2_s", None).unwrap().min_frames(), Some(16));
        let old = catalog.find("quantized_resnet18", None).unwrap();
        assert_eq!((old.revision(), old.quantized_for()), ("resnet18_fbgemm_16fa66dd", Some("fbgemm")));
    }

    type Change = fn(&mut serde_json::Value);

    /// A catalogue of one model, changed by `change`.
    fn changed(change: impl Fn(&mut serde_json::Value)) -> Result<Catalog, String> {
        let mut value: serde_json::Value = serde_json::from_str(EMBEDDED).unwrap();
        let models = value["models"].as_array_mut().unwrap();
        models.retain(|m| m["model"] == "resnet50");
        change(&mut value);
        Catalog::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_catalogue_that_does_not_hold_together_is_refused_with_the_place() {
        assert_eq!(changed(|_| ()).unwrap().entries().count(), 2);
        let cases: [(Change, &str); 12] = [
            (|v| v["schema"] = 2.into(), "schema 2"),
            (|v| v["extra"] = 1.into(), "extra"),
            (|v| v["models"][0]["model"] = "a@b".into(), "a@b"),
            (|v| v["models"][0]["default"] = "V9".into(), "no weights `V9`"),
            (|v| v["models"][0]["pretrained"] = "V9".into(), "no weights `V9`"),
            (|v| v["models"][0]["weights"][0]["path"] = "../x.pth".into(), "safe relative path"),
            (|v| v["models"][0]["weights"][0]["sha256"] = "11AD3FA6".into(), "not a digest"),
            (|v| v["models"][0]["weights"][0]["labels"] = "none".into(), "no set of labels `none`"),
            (|v| v["models"][0]["weights"][0]["transform"]["preset"] = "Odd".into(), "Odd"),
            (|v| v["models"][0]["weights"][0]["transform"]["std"][1] = 0.into(), "std"),
            (|v| v["models"][0]["weights"][0]["weights"] = "IMAGENET1K_V2".into(), "there twice"),
            (|v| v["models"][0]["enum"] = "RESNET50".into(), "names two things"),
        ];
        for (change, part) in cases {
            let error = changed(change).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(Catalog::parse(b"").is_err() && Catalog::parse(b"[]").is_err());
    }

    #[test]
    fn a_file_that_is_no_catalogue_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        assert!(Catalog::read(&path).unwrap_err().to_string().contains("c.json"));
        fs::write_atomic(&path, b"{}", false).unwrap();
        let error = Catalog::read(&path).unwrap_err();
        assert!(error.to_string().contains("c.json") && error.hint().unwrap().contains("make_catalog.py"));
        fs::write_atomic(&path, EMBEDDED.as_bytes(), false).unwrap();
        assert_eq!(Catalog::read(&path).unwrap().entries().count(), 166);
    }
}
