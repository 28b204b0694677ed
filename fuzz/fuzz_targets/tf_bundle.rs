//! Any bytes as the table of contents of a TensorFlow bundle, over a shard of 64 bytes: no panic, no runaway memory, no place outside of the
//! shard. The checksums of blocks are made right first: what hides behind one is what is looked for.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zoo_formats::tf::bundle::{Bundle, shard_path};
use zoo_formats::tf::table;

const SHARD: u64 = 64;

fuzz_target!(|entries: Vec<(Vec<u8>, Vec<u8>)>| {
    let mut writer = table::Writer::default();
    let mut plain = Vec::new();
    for (key, value) in &entries {
        writer.add(key, value);
        plain.extend_from_slice(value);
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let prefix = folder.path().join("x");
    // As they come, without a table around them; and as the entries of a sound one.
    let _ = Bundle::parse(&prefix, &plain);
    let Ok(bundle) = Bundle::parse(&prefix, &writer.finish()) else { return };
    let shard = vec![7; SHARD as usize];
    std::fs::write(shard_path(&prefix, 0, bundle.shards()), shard).expect("a file can be written");
    for (name, entry) in bundle.entries() {
        assert!(shard_path(Path::new("x"), entry.shard, bundle.shards()).parent() == Some(Path::new("")));
        let _ = bundle.check(name);
        let Ok(weight) = bundle.weight(name) else { continue };
        let place = weight.place().expect("it lies in the shard");
        assert!(place.length == 0 || place.offset + place.length <= SHARD);
        let tensor = weight.to_tensor().expect("a place in the file can be read");
        assert_eq!(tensor.bytes().map(|data| data.len() as u64), Some(weight.byte_len()));
    }
});
