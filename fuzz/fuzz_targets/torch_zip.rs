//! Any bytes as a zip checkpoint, and any bytes as the pickle in one that is otherwise right.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod weights;

/// An archive with the pickle and three storages.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = (0..128).collect();
    let members: [(&str, &[u8]); 5] = [
        ("x/data.pkl", pickle),
        ("x/data/0", &storage),
        ("x/data/1", &storage),
        ("x/data/2", &storage),
        ("x/version", b"3\n"),
    ];
    let (mut out, mut table) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let offset = out.len() as u32;
        let size = (data.len() as u32).to_le_bytes();
        let common = [&[0; 12], &size[..], &size, &(name.len() as u16).to_le_bytes(), &[0; 2]].concat();
        out.extend_from_slice(&[b"PK\x03\x04\0\0", &common[..], name.as_bytes(), data].concat());
        let entry =
            [b"PK\x01\x02\0\0\0\0", &common[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat();
        table.extend_from_slice(&entry);
    }
    let (offset, size) = (out.len() as u32, table.len() as u32);
    out.extend_from_slice(&table);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0\x05\0\x05\0");
    out.extend_from_slice(&[size.to_le_bytes(), offset.to_le_bytes()].concat());
    out.extend_from_slice(&[0; 2]);
    out
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"PK") {
        weights::use_up(bytes);
    } else {
        weights::use_up(&archive(bytes));
    }
});
