//! Any bytes as an ONNX tensor file, as test data sets hold them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("input_0.pb");
    std::fs::write(&path, bytes).expect("a file can be written");
    if let Ok((_, tensor)) = zoo_graph::tensor::from_file(&path) {
        assert!(tensor.bytes().is_none_or(|data| data.len() <= bytes.len() * 8));
    }
});
