//! Zips that no model's publisher makes.

use std::io::{Cursor, Write as _};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};

use super::pack::{Zipped, zip};
use super::{limits, refusal, unpack};
use crate::archive::{ArchiveError, ArchiveKind, Bound, Limits};

fn refused(members: &[Zipped]) -> ArchiveError {
    refusal(&zip(members), ArchiveKind::Zip, limits())
}

fn good() -> Zipped {
    Zipped::stored("good", b"content")
}

#[test]
fn names_that_escape() {
    for name in ["/etc/passwd", "../x", "a/../../x", "a\\b", "c:/x", "a//b", "a\0b", "", "../", "/"] {
        let error = refused(&[Zipped::stored(name, b"")]);
        assert!(matches!(error, ArchiveError::UnsafeName { .. }), "{name}: {error}");
    }
    let unflagged = Zipped { flags: 0, ..Zipped::stored("caf\u{e9}", b"") };
    assert!(matches!(refused(&[unflagged]), ArchiveError::UnsafeName { .. }));
    let not_utf8 = Zipped { name: b"caf\xe9".to_vec(), flags: 1 << 11, ..good() };
    assert!(matches!(refused(&[not_utf8]), ArchiveError::UnsafeName { .. }));
    let (_dir, flagged) = unpack(&zip(&[Zipped::stored("caf\u{e9}", b"x")]), ArchiveKind::Zip, limits());
    assert_eq!(flagged.unwrap()[0].path.as_str(), "caf\u{e9}");
}

#[test]
fn everything_but_files_and_folders() {
    for (mode, words) in [
        (0o120_777, "symbolic link"),
        (0o020_644, "character device"),
        (0o060_644, "block device"),
        (0o010_644, "named pipe"),
        (0o140_644, "socket"),
    ] {
        let error = refused(&[good(), Zipped { mode, ..Zipped::stored("evil", b"/etc") }]);
        let text = error.to_string();
        assert!(
            matches!(error, ArchiveError::Special { .. }) && text.contains("`evil`") && text.contains(words),
            "{text}"
        );
    }
    let folder = Zipped { mode: 0o040_755, ..Zipped::stored("d/", b"") };
    let (_dir, result) = unpack(&zip(&[folder, Zipped::stored("d/x", b"x")]), ArchiveKind::Zip, limits());
    assert_eq!(result.unwrap().len(), 1);
    assert!(matches!(refused(&[Zipped::stored("d/", b"x")]), ArchiveError::Corrupt { .. }));
}

#[test]
fn two_members_at_one_place() {
    for (first, second) in [("A.onnx", "a.ONNX"), ("a", "a/b"), ("a/b", "a"), ("a", "./a")] {
        let error = refused(&[Zipped::stored(first, b"1"), Zipped::stored(second, b"2")]);
        assert!(matches!(error, ArchiveError::Clash { .. }), "{first} {second}: {error}");
    }
    let text = refused(&[good(), good()]).to_string();
    assert!(text.contains("duplicate"), "{text}");
}

#[test]
fn encryption_and_unknown_compression() {
    let encrypted = Zipped { flags: 1, ..Zipped::stored("evil", b"content") };
    let error = refused(&[encrypted]);
    assert!(matches!(error, ArchiveError::Unsupported { .. }) && error.to_string().contains("encryption"));
    for method in [9, 12, 14, 93, 99] {
        let error = refused(&[Zipped { method, ..Zipped::stored("evil", b"content") }]);
        assert!(matches!(error, ArchiveError::Unsupported { .. } | ArchiveError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn a_directory_that_lies() {
    let deflated = || Zipped::deflated("partial", &[3; 5000]);
    let cases = [
        ("CRC-32", Zipped { crc: 1, ..Zipped::stored("partial", b"content") }),
        ("CRC-32", Zipped { crc: 1, ..deflated() }),
        ("larger than", Zipped { size: 4999, ..deflated() }),
        ("says 5001 bytes", Zipped { size: 5001, ..deflated() }),
        ("two sizes", Zipped { size: 8, ..Zipped::stored("partial", b"content") }),
    ];
    for (words, member) in cases {
        let error = refused(&[member, good()]);
        assert!(matches!(&error, ArchiveError::Corrupt { member: Some(m), .. } if m == "partial"), "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    // A stream that ends before the compressed size does, so that bytes hide behind it.
    let mut hidden = deflated();
    hidden.packed.extend_from_slice(b"hidden");
    hidden.compressed += 6;
    let text = refused(&[hidden]).to_string();
    assert!(text.contains("compressed bytes"), "{text}");
    let mut cut = deflated();
    cut.compressed -= 3;
    assert!(matches!(refused(&[cut]), ArchiveError::Corrupt { .. }));
    let other_name = Zipped { local_name: Some(b"innocent".to_vec()), ..good() };
    assert!(matches!(refused(&[other_name]), ArchiveError::Corrupt { .. }));
}

#[test]
fn overlapping_hidden_and_displaced_members() {
    let twice =
        Zipped { offset: Some(0), local_name: Some(b"good".to_vec()), ..Zipped::stored("evil", b"content") };
    assert!(matches!(refused(&[good(), twice]), ArchiveError::Corrupt { .. }));
    // Reaches over the next one.
    let long = Zipped { compressed: 40, size: 40, ..good() };
    assert!(matches!(refused(&[long, Zipped::stored("next", b"content")]), ArchiveError::Corrupt { .. }));
    let beyond = Zipped { offset: Some(1 << 30), ..good() };
    assert!(matches!(refused(&[beyond]), ArchiveError::Corrupt { .. }));
    // A whole archive in front of which something else stands.
    let prefixed = [b"#!/bin/sh\n".to_vec(), zip(&[good()])].concat();
    assert!(matches!(refusal(&prefixed, ArchiveKind::Zip, limits()), ArchiveError::Corrupt { .. }));
}

#[test]
fn a_directory_that_would_fill_the_memory() {
    let few = Limits { members: 4, ..limits() };
    let many: Vec<_> = (0..5).map(|i| Zipped::stored(&format!("{i}"), b"")).collect();
    let error = refusal(&zip(&many), ArchiveKind::Zip, few);
    assert!(matches!(error, ArchiveError::Limit { bound: Bound::Members, .. }), "{error}");
    let long: Vec<_> = (0..30).map(|i| Zipped::stored(&format!("{i}{}", "x".repeat(60_000)), b"")).collect();
    let error = refusal(&zip(&long), ArchiveKind::Zip, few);
    assert!(matches!(error, ArchiveError::Limit { bound: Bound::HeaderBytes, .. }), "{error}");
}

#[test]
fn zip64_and_data_descriptors_are_read() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let options = SimpleFileOptions::default().compression_method(method).large_file(true);
        writer.start_file(format!("d/{method}"), options).unwrap();
        writer.write_all(&[9; 3000]).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let (_dir, result) = unpack(&bytes, ArchiveKind::Zip, limits());
    assert_eq!(result.unwrap().len(), 2);
    // Written to a pipe: sizes unknown in the local header, a descriptor after the content.
    let mut writer = ZipWriter::new_stream(Vec::new());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file("piped", options).unwrap();
    writer.write_all(&[9; 3000]).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let (_dir, result) = unpack(&bytes, ArchiveKind::Zip, limits());
    assert_eq!(result.unwrap()[0].size, 3000);
}

#[test]
fn an_empty_zip_has_no_members() {
    let (_dir, result) = unpack(&zip(&[]), ArchiveKind::Zip, limits());
    assert_eq!(result.unwrap(), []);
}
