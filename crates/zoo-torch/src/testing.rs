//! What tests need before anything can make graphs: a stored model, and a maker that writes a graph of one input.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zoo_core::digest::{Digest, Hasher};
use zoo_core::fs;
use zoo_core::manifest::{FileEntry, Manifest};
use zoo_core::path::EntryPath;
use zoo_core::stage::WeightPolicy;
use zoo_core::store::{ModelKey, StoredModel};
use zoo_core::{Zoo, ZooConfig};

use crate::catalog::Catalog;
use crate::error::Result;
use crate::facts;
use crate::hub::Hub;
use crate::model::Model;
use crate::onnx::{Order, Prepared};

/// A message's field of bytes, in protobuf.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a small message");
    assert!(length < 128, "its length takes one byte");
    [&[number << 3 | 2, length], bytes].concat()
}

/// An ONNX model without nodes: `input: float[N, 3]`, opset 18.
pub(crate) fn onnx(producer: &str) -> Vec<u8> {
    let dims = [field(1, &field(2, b"N")), field(1, &[0x08, 3])].concat();
    let tensor = [vec![0x08, 1], field(2, &dims)].concat();
    let input = [field(1, b"input"), field(2, &field(1, &tensor))].concat();
    let graph = [field(2, b"g"), field(11, &input)].concat();
    [vec![0x08, 8], field(2, producer.as_bytes()), field(7, &graph), field(8, &[0x10, 18])].concat()
}

/// Makes a graph as an order says, with the architecture noted.
pub(crate) fn make(order: &Order) -> Result<Prepared> {
    let path = EntryPath::new(order.file_name.as_str()).map_err(zoo_core::Error::from)?;
    fs::write_atomic(&path.under(&order.folder), &onnx("zoo"), false)?;
    let with = if order.options.policy() == WeightPolicy::Packed {
        let data = format!("{path}.data");
        fs::write_atomic(&order.folder.join(&data), b"weights", false)?;
        data
    } else {
        let below = order.checkpoint.strip_prefix(&order.folder).expect("in place, it lies below the graph");
        below.to_str().expect("text").replace('\\', "/")
    };
    let mut notes = Map::new();
    notes.insert("arch_used".into(), Value::from(order.options.arch.clone()));
    notes.insert("size_used".into(), Value::from(order.size.map(|s| s.to_vec())));
    let with = vec![EntryPath::new(with).map_err(zoo_core::Error::from)?];
    Ok(Prepared { path, with, notes })
}

/// A maker that must not be called.
pub(crate) fn never(order: &Order) -> Result<Prepared> {
    panic!("{order:?} was made before")
}

/// `resnet50` in a store at `home`, with something else for weights.
pub(crate) fn stored(home: &Path) -> Model {
    let zoo = Zoo::open(ZooConfig::new(home));
    let entry = Catalog::embedded().find("resnet50", None).expect("a known name");
    let key = ModelKey::new(Hub::ECOSYSTEM, entry.model_name(), entry.revision()).expect("a key");
    let folder: PathBuf = zoo.store().folder(&key);
    let path = EntryPath::new(format!("original/{}", entry.file_name())).expect("a path");
    fs::create_dir_all(&folder.join("original")).expect("a folder");
    fs::write_atomic(&path.under(&folder), b"weights", false).expect("a file");
    let mut hasher = Hasher::new(&[], None);
    hasher.update(b"weights");
    let sha256 = Digest::Sha256(hasher.finish().sha256);
    let file = FileEntry::new(path, 7, sha256, Vec::new(), "a test".into());
    let mut manifest = Manifest::new(entry.handle(), key.ecosystem, key.name, key.revision, vec![file]);
    facts::of_entry(&entry, &mut manifest.model);
    manifest.write(&folder).expect("a manifest");
    Model::new(zoo, StoredModel::read(&folder).expect("a readable manifest").expect("a model"))
}
