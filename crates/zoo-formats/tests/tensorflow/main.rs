//! Files that TensorFlow wrote, compared with what TensorFlow reads from them; and files that are damaged.
#![expect(clippy::unwrap_used, reason = "a test that meets an error it does not expect ends there")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zoo_formats::tf::bundle::{Bundle, Entry, index_path, shard_path, write_index};
use zoo_formats::tf::proto::Attr;
use zoo_formats::tf::{Crc, saved_model, table};

/// A file of `tests/fixtures/tensorflow`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tensorflow").join(name)
}

#[expect(clippy::disallowed_methods, reason = "a file of this repository")]
fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn expected() -> Value {
    serde_json::from_slice(&bytes_of(&fixture("expected.json"))).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// numpy's name of an element type.
fn numpy(dtype: zoo_tensor::DType) -> &'static str {
    match dtype.onnx_name() {
        "float" => "float32",
        "double" => "float64",
        other => other,
    }
}

#[test]
fn every_byte_of_a_bundle_is_tensorflows() {
    let bundle = Bundle::open(&fixture("bundle")).unwrap();
    let expected = expected();
    let tensors = expected["bundle"].as_object().unwrap();
    let (weights, others) = bundle.weights().unwrap();
    let known: Vec<&str> = tensors.keys().map(String::as_str).filter(|name| *name != "text").collect();
    let mut found: Vec<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
    found.sort_unstable();
    let mut sorted = known.clone();
    sorted.sort_unstable();
    assert_eq!(found, sorted);
    assert_eq!(
        others,
        [("sliced", "was saved in slices"), ("text", "holds text")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    for (name, weight) in &weights {
        let tensor = &tensors[name];
        let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
        assert_eq!(
            (numpy(weight.dtype()), weight.shape()),
            (tensor["dtype"].as_str().unwrap(), &shape[..]),
            "{name}"
        );
        assert_eq!(
            hex(weight.to_tensor().unwrap().bytes().unwrap()),
            tensor["bytes"].as_str().unwrap(),
            "{name}"
        );
        assert!(weight.in_place().is_some(), "{name}");
        bundle.check(name).unwrap();
    }
}

/// The index is made again from what was read of it: the very bytes that TensorFlow wrote.
#[test]
fn an_index_is_written_as_tensorflow_writes_it() {
    let prefix = fixture("saved_model/variables/variables");
    let bundle = Bundle::open(&prefix).unwrap();
    let entries: BTreeMap<String, Entry> =
        bundle.entries().map(|(name, entry)| (name.to_owned(), entry.clone())).collect();
    assert_eq!(write_index(&prefix, bundle.shards(), &entries).unwrap(), bytes_of(&index_path(&prefix)));
    // The other one has slices, whose entries are not written; the table around them is.
    let path = index_path(&fixture("bundle"));
    let bytes = bytes_of(&path);
    let mut writer = table::Writer::default();
    table::read(&path, &bytes, |key, value| {
        writer.add(key, value);
        Ok(())
    })
    .unwrap();
    assert_eq!(writer.finish(), bytes);
}

#[test]
fn a_changed_byte_of_a_shard_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("bundle");
    let mut shard = bytes_of(&shard_path(&fixture("bundle"), 0, 1));
    let place = Bundle::open(&fixture("bundle")).unwrap().entry("matrix").unwrap().offset;
    shard[usize::try_from(place).unwrap()] ^= 1;
    write(&index_path(&prefix), &bytes_of(&index_path(&fixture("bundle"))));
    write(&shard_path(&prefix, 0, 1), &shard);
    let bundle = Bundle::open(&prefix).unwrap();
    let error = bundle.check("matrix").unwrap_err().to_string();
    assert!(error.contains("the checksum of tensor \"matrix\" is"), "{error}");
    bundle.check("scalar").unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a temporary file")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_index_cut_anywhere_is_damaged() {
    let bytes = bytes_of(&index_path(&fixture("bundle")));
    for cut in 0..bytes.len() {
        let error = Bundle::parse(Path::new("x"), &bytes[..cut]).unwrap_err().to_string();
        assert!(error.contains("damaged TensorFlow file"), "{cut}: {error}");
    }
}

/// Below the checksums, which anybody can make: every byte of every entry is changed.
#[test]
fn entries_that_lie_are_refused_or_harmless() {
    let path = index_path(&fixture("bundle"));
    let bytes = bytes_of(&path);
    let mut all = Vec::new();
    table::read(&path, &bytes, |key, value| {
        all.push((key.to_vec(), value.to_vec()));
        Ok(())
    })
    .unwrap();
    let shard = shard_path(&fixture("bundle"), 0, 1);
    let length = bytes_of(&shard).len() as u64;
    for changed in 0..all.len() {
        for at in 0..all[changed].1.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut writer = table::Writer::default();
                for (index, (key, bytes)) in all.iter().enumerate() {
                    let mut bytes = bytes.clone();
                    if index == changed {
                        bytes[at] = value;
                    }
                    writer.add(key, &bytes);
                }
                let Ok(bundle) = Bundle::parse(&fixture("bundle"), &writer.finish()) else { continue };
                let Ok((weights, _)) = bundle.weights() else { continue };
                for place in weights.iter().filter_map(|(_, weight)| weight.place()) {
                    assert!(place.length == 0 || place.offset + place.length <= length);
                }
            }
        }
    }
}

#[test]
fn a_saved_model_and_a_frozen_graph() {
    let model = saved_model::read(&fixture("saved_model")).unwrap();
    let graph = saved_model::tagged(&model, &["serve"]).unwrap();
    assert!(
        saved_model::tagged(&model, &[]).is_none()
            && saved_model::tagged(&model, &["serve", "gpu"]).is_none()
    );
    let signature = &graph.signature_def["serving_default"];
    assert_eq!(signature.method_name, "tensorflow/serving/predict");
    assert_eq!(signature.inputs["x"].name(), Some("serving_default_x:0"));
    let functions = &graph.graph_def.as_ref().unwrap().library.as_ref().unwrap().function;
    assert!(functions.iter().any(|function| function.node_def.iter().any(|node| node.op == "MatMul")));

    let frozen = saved_model::read_graph(&fixture("frozen.pb")).unwrap();
    let kernel = frozen.node.iter().find(|node| node.op == "Const").unwrap();
    let Some(Attr::Tensor(tensor)) = kernel.attribute("value") else { panic!("{kernel:?}") };
    let floats: Vec<u8> = (0_u8..6).flat_map(|n| f32::from(n).to_le_bytes()).collect();
    assert_eq!(tensor.tensor_content, floats);
}

#[test]
fn a_graph_cut_anywhere_is_an_error_or_shorter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frozen.pb");
    let bytes = bytes_of(&fixture("frozen.pb"));
    let whole = saved_model::read_graph(&fixture("frozen.pb")).unwrap().node.len();
    for cut in 0..bytes.len() {
        write(&path, &bytes[..cut]);
        if let Ok(graph) = saved_model::read_graph(&path) {
            assert!(graph.node.len() <= whole);
        }
    }
}

#[test]
fn a_checksum_is_of_the_bytes() {
    let bundle = Bundle::open(&fixture("bundle")).unwrap();
    let entry = bundle.entry("scalar").unwrap();
    assert_eq!(entry.crc32c, Crc::of(&1.5_f32.to_le_bytes()).masked());
}
