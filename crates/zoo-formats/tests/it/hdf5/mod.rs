//! HDF5 files that h5py wrote, compared with what h5py reads from them; and files that are damaged or refused.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use zoo_formats::hdf5::{Attribute, Child, File, Link, Value, layers};

mod checkpoint;
mod hostile;

/// A file of `tests/fixtures/hdf5`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hdf5").join(name)
}

fn expected() -> Json {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let notes: Json = serde_json::from_str(&text).unwrap();
    notes["files"].clone()
}

/// An attribute as the recipe's `plain` notes it.
fn shown(attribute: &Attribute) -> Json {
    match attribute.value().unwrap() {
        Value::Text(text) => text.into(),
        Value::Texts(texts) if texts.len() > 1000 => json!({ "count": texts.len() }),
        Value::Texts(texts) => texts.into(),
        Value::Int(number) => number.into(),
        Value::Ints(numbers) => numbers.into(),
        Value::Float(number) => number.into(),
        Value::Floats(numbers) => numbers.into(),
        Value::Bytes(bytes) => json!({ "bytes": crate::support::hex(&bytes) }),
        Value::Empty => Json::Null,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_byte_is_h5pys() {
    let expected = expected();
    let files = expected.as_object().unwrap();
    assert_eq!(files.len(), 9, "a file was added or lost");
    let mut compared = 0;
    for (name, found) in files {
        let file = File::open(&fixture(name)).unwrap();
        let root = file.root().unwrap();
        for (path, wanted) in found["datasets"].as_object().unwrap() {
            let dataset = root.dataset(path).unwrap().unwrap_or_else(|| panic!("{name}: {path} is missing"));
            assert_eq!(dataset.path(), path);
            let Some(dtype) = wanted["dtype"].as_str() else {
                assert!(dataset.dtype().is_err() || wanted["shape"].is_null(), "{name}: {path}");
                assert!(dataset.weight().is_err(), "{name}: {path}");
                continue;
            };
            let shape: Vec<usize> = serde_json::from_value(wanted["shape"].clone()).unwrap();
            assert_eq!(
                (dataset.dtype().unwrap().name(), dataset.shape()),
                (dtype, &shape[..]),
                "{name}: {path}"
            );
            let weight = dataset.weight().unwrap_or_else(|error| panic!("{name}: {path}: {error}"));
            let tensor = weight.to_tensor().unwrap();
            let read = crate::support::hex(tensor.bytes().unwrap());
            assert_eq!(read, wanted["bytes"].as_str().unwrap(), "{name}: {path}");
            if let Some(offset) = wanted["offset"].as_u64() {
                assert_eq!(weight.place().map(|place| place.offset), Some(offset), "{name}: {path}");
            }
            compared += 1;
        }
        for (path, wanted) in found["attributes"].as_object().unwrap() {
            let (object, attribute) = path.split_once('@').unwrap();
            let attribute = match root.child(object).unwrap().unwrap() {
                Child::Group(group) => group.attribute(attribute),
                Child::Dataset(dataset) => dataset.attribute(attribute),
                Child::Type => panic!("{name}: {path}"),
            };
            let attribute = attribute.unwrap().unwrap_or_else(|| panic!("{name}: {path} is missing"));
            if let Some(count) = wanted["count"].as_u64() {
                assert_eq!(attribute.texts().unwrap().len() as u64, count, "{name}: {path}");
            } else {
                assert_eq!(&shown(&attribute), wanted, "{name}: {path}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 394, "fewer are compared than h5py reads");
}

#[test]
fn places_and_what_is_put_together() {
    for name in ["layouts_earliest.h5", "layouts_latest.h5"] {
        let root = File::open(&fixture(name)).unwrap().root().unwrap();
        for (path, in_place) in [
            ("contiguous", true),
            ("compact", true),
            ("one_chunk", true),
            ("one_deflated", false),
            ("chunks", false),
            ("unwritten", false),
        ] {
            let weight = root.dataset(path).unwrap().unwrap().weight().unwrap();
            assert_eq!(weight.in_place().is_some(), in_place, "{name}: {path}");
        }
    }
    let root = File::open(&fixture("types_latest.h5")).unwrap().root().unwrap();
    let place = root.dataset("big_f4").unwrap().unwrap().weight().unwrap();
    assert!(place.place().unwrap().big_endian);
}

/// Most chunks were never written, and most pages of addresses neither.
#[test]
fn pages_of_a_growing_array() {
    let root = File::open(&fixture("paged_growing.h5")).unwrap().root().unwrap();
    let weight = root.dataset("growing").unwrap().unwrap().weight().unwrap();
    let elements: Vec<u8> = weight.to_tensor().unwrap().to_vec().unwrap();
    let written: Vec<_> = elements.iter().enumerate().filter(|(_, element)| **element != 0).collect();
    assert_eq!(elements.len(), 150_000);
    assert_eq!(
        written,
        [(3, &1), (200, &2), (131_059, &3), (131_060, &4), (132_083, &5), (132_084, &6), (140_000, &7)]
    );
}

#[test]
fn groups_and_links() {
    for name in ["groups_earliest.h5", "groups_latest.h5"] {
        let file = File::open(&fixture(name)).unwrap();
        let root = file.root().unwrap();
        assert_eq!(root.path(), "");
        let names: Vec<_> = root.links().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "empty", "external", "huge", "large", "soft"], "{name}");
        let groups: Vec<_> = root.groups().unwrap().iter().map(|group| group.path().to_owned()).collect();
        assert_eq!(groups, ["a", "empty", "huge", "large"], "{name}");
        assert!(root.datasets().unwrap().is_empty());
        let a = root.group("a").unwrap().unwrap();
        let circle = a.group("circle").unwrap().unwrap();
        assert_eq!((circle.path(), circle.address()), ("a/circle", a.address()));
        assert_eq!(root.dataset("a/circle/circle/b/c").unwrap().unwrap().shape(), [2]);
        assert_eq!(
            a.dataset("shared").unwrap().unwrap().address(),
            a.dataset("b/c").unwrap().unwrap().address(),
            "{name}"
        );
        let large = root.group("large").unwrap().unwrap();
        assert_eq!(large.datasets().unwrap().len(), 60, "{name}");
        let attributes = large.attributes().unwrap();
        assert_eq!(attributes.len(), 60, "{name}");
        assert_eq!((attributes[1].name(), attributes[1].shape()), ("attribute_1", &[][..]));
        assert!(root.child("a/b/c/d").unwrap().is_none() && root.child("nothing").unwrap().is_none());
        assert!(root.group("a/b/c").unwrap().is_none() && root.dataset("a").unwrap().is_none());
        assert_eq!(root.links().find(|(name, _)| *name == "soft").unwrap().1, Link::Soft);
        for (path, message) in [("soft", "is a soft link"), ("external", "is a link into another file")] {
            let error = root.child(path).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}

#[test]
fn layers_in_order_with_split_lists() {
    let root = File::open(&fixture("layers.h5")).unwrap().root().unwrap();
    assert!(layers(&root).unwrap().is_none(), "the root lists none");
    let listed = layers(&root.group("model_weights").unwrap().unwrap()).unwrap().unwrap();
    let names: Vec<_> = listed.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["second", "first", "nothing", "in/path", "top_level_model_weights"]);
    assert_eq!(listed[1].weights, ["first/kernel:0", "first/bias:0"]);
    assert!(listed[2].weights.is_empty(), "h5py writes an empty list as numbers");
    assert_eq!(listed[3].dataset("w:0").unwrap().path(), "model_weights/in/path/w:0");
    let error = listed[0].dataset("y").unwrap_err().to_string();
    assert!(error.contains("lists the weight \"y\", which is not there"), "{error}");
}
