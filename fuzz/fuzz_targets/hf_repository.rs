//! Any bytes as a page of a repository's listing, and as every small file that decides which files are wanted: no panic, an end,
//! and only safe paths that the listing has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_hf::listing::Files;
use zoo_hf::select::{Small, Step, Wanted, select};

/// A repository in which every small file is read.
const PAGE: &str = r#"[
    {"type":"file","path":"config.json","size":1,"oid":"0000000000000000000000000000000000000000"},
    {"type":"file","path":"modules.json","size":1,"oid":"0000000000000000000000000000000000000000"},
    {"type":"file","path":"adapter_config.json","size":1,"oid":"0000000000000000000000000000000000000000"},
    {"type":"file","path":"model.safetensors.index.json","size":1,"oid":"0000000000000000000000000000000000000000"},
    {"type":"file","path":"a.safetensors","size":1,"oid":"0000000000000000000000000000000000000000"},
    {"type":"file","path":"0_Transformer/config.json","size":1,"oid":"0000000000000000000000000000000000000000"},
    {"type":"file","path":"0_Transformer/pytorch_model.bin","size":1,"oid":"0000000000000000000000000000000000000000"}]"#;

fuzz_target!(|bytes: &[u8]| {
    let mut listed = Files::default();
    if listed.add_page(bytes).is_ok() {
        run(&listed, bytes);
    }
    let mut known = Files::default();
    known.add_page(PAGE.as_bytes()).expect("a page");
    run(&known, bytes);
});

fn run(files: &Files, bytes: &[u8]) {
    let mut small = Small::new();
    loop {
        match select(files, &small, &Wanted::default(), None) {
            Ok(Step::Read(paths)) => {
                for path in paths {
                    assert!(files.get(&path).is_some() && !small.contains_key(&path), "{path}");
                    small.insert(path, bytes.to_vec());
                }
            }
            Ok(Step::Done(selection)) => {
                assert!(selection.files.iter().all(|path| files.get(path).is_some()));
                return;
            }
            Err(_) => return,
        }
    }
}
