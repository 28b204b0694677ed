//! Any bytes as an HDF5 file: as weights, and as a tree in which everything is read. Without its signature, the bytes are put
//! behind a superblock whose root group begins with them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_formats::hdf5::{Child, File, Group, layers};

mod weights;

/// Version 0, addresses and lengths of eight bytes; the root group's header is at byte 96.
fn behind_a_superblock(bytes: &[u8]) -> Vec<u8> {
    let mut file = b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0\x04\0\x10\0\0\0\0\0".to_vec();
    for address in [0, u64::MAX, 1 << 20, u64::MAX, 0, 96, 0, 0, 0] {
        file.extend_from_slice(&u64::to_le_bytes(address));
    }
    file.extend_from_slice(bytes);
    file
}

fn read(group: &Group, depth: usize) {
    let _ = layers(group);
    for attribute in group.attributes().unwrap_or_default() {
        let _ = attribute.value();
    }
    for child in group.children().unwrap_or_default() {
        match child {
            Child::Group(group) if depth > 0 => read(&group, depth - 1),
            Child::Dataset(dataset) => {
                for attribute in dataset.attributes().unwrap_or_default() {
                    let _ = attribute.value();
                }
                if let Ok(weight) = dataset.weight() {
                    let _ = weight.to_tensor().expect("a place in the file can be read");
                }
            }
            _ => {}
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let file = if bytes.starts_with(b"\x89HDF") { bytes.to_vec() } else { behind_a_superblock(bytes) };
    weights::use_up(&file);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("x.h5");
    std::fs::write(&path, &file).expect("a file can be written");
    if let Ok(root) = File::open(&path).and_then(|file| file.root()) {
        read(&root, 2);
    }
});
