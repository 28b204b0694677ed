//! Any text as a handle, a spelling and a path: no panic, and what is accepted is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_core::handle::{Handle, Spelling};
use zoo_core::path::EntryPath;

fuzz_target!(|text: &str| {
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!(handle.to_string().parse::<Handle>().expect("its own text is a handle"), handle);
    }
    let _ = text.parse::<Spelling>();
    if let Ok(path) = EntryPath::new(text) {
        let root = std::path::Path::new("root");
        let under = path.under(root);
        assert!(under.starts_with(root) && under != root, "{under:?} leaves its folder");
        assert!(under.components().all(|part| matches!(part, std::path::Component::Normal(_))));
    }
});
