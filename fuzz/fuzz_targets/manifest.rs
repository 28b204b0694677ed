//! Any bytes as a `zoo.json`: no panic, no path that leaves the model's folder, and nothing lost on rewriting.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_core::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = Manifest::parse(manifest.to_json().as_bytes()).expect("its own text is a manifest");
        assert_eq!(again, manifest);
        for path in manifest.files.iter().map(|file| &file.path).chain(manifest.staged.iter().map(|s| &s.path)) {
            assert!(path.under(std::path::Path::new("root")).starts_with("root"));
        }
    }
});
