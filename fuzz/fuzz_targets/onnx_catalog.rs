//! Any bytes as the ONNX Model Zoo's manifest: no panic, and every entry can be found by its name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_onnx::catalog::Catalog;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(catalog) = Catalog::parse(bytes) {
        if let Some(entry) = catalog.entries().first() {
            assert!(catalog.find(&entry.name, None).is_ok());
        }
        let _ = catalog.find("mnist", Some("8"));
    }
});
