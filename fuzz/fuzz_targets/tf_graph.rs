//! Any bytes as `saved_model.pb` and as a frozen graph: no panic, no runaway memory or recursion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_formats::tf::saved_model;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join(saved_model::GRAPHS);
    std::fs::write(&path, bytes).expect("a file can be written");
    if let Ok(model) = saved_model::read(folder.path()) {
        let _ = saved_model::tagged(&model, &["serve"]);
    }
    let _ = saved_model::read_graph(&path);
});
