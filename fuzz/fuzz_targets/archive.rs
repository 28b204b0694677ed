//! Any bytes as any kind of archive: no panic, nothing outside the folder, nothing beyond the limits, and what is
//! reported as unpacked is there.
#![no_main]

use std::fs;
use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use zoo_core::archive::{ArchiveKind, ExtractOptions, Limits, Select, extract, list};

const MOST: u64 = 1 << 16;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let kind = match choice % 5 {
        0 => ArchiveKind::Zip,
        1 => ArchiveKind::Tar,
        2 => ArchiveKind::TarGz,
        3 => ArchiveKind::Gzip,
        _ => match ArchiveKind::sniff(bytes) {
            Some(kind) => kind,
            None => return,
        },
    };
    let limits =
        Limits { total_bytes: MOST, ratio_grace: 1 << 14, members: 64, ..Limits::for_models() };
    let listed = list(Cursor::new(bytes), kind, &limits);

    let outer = tempfile::tempdir().expect("a temporary folder can be made");
    let dest = outer.path().join("dest");
    fs::create_dir(&dest).expect("a folder can be made");
    let options = ExtractOptions { limits, durable: false };
    let result = extract(Cursor::new(bytes), kind, &dest, &options, &mut |_| Select::Extract);

    let around = fs::read_dir(outer.path()).expect("the folder can be listed").count();
    assert_eq!(around, 1, "something was written beside the folder");
    if let Ok(extracted) = result {
        assert_eq!(listed.expect("what can be unpacked can be listed").len(), extracted.len());
        assert!(extracted.iter().map(|e| e.size).sum::<u64>() <= MOST);
        for file in extracted {
            let found = fs::symlink_metadata(file.path.under(&dest)).expect("the file is there");
            assert!(found.is_file());
            assert_eq!(found.len(), file.size);
        }
    }
});
