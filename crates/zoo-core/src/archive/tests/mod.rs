//! Archives made by hand, honest and hostile.

mod hostile_tar;
mod hostile_zip;
mod mutated;
mod pack;

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use self::pack::{Zipped, entry, gz, tar, tar_open, zip};
use super::*;

pub(super) fn limits() -> Limits {
    Limits::for_models()
}

pub(super) fn options(limits: Limits) -> ExtractOptions {
    ExtractOptions { limits, durable: false }
}

/// Unpacks everything into a fresh folder; the folder is kept to look at what is in it.
pub(super) fn unpack(
    bytes: &[u8],
    kind: ArchiveKind,
    limits: Limits,
) -> (tempfile::TempDir, Result<Vec<Extracted>, ArchiveError>) {
    let dir = tempfile::tempdir().unwrap();
    let result = extract(Cursor::new(bytes), kind, dir.path(), &options(limits), &mut |_| Select::Extract);
    (dir, result)
}

/// The error of unpacking. Members that are expected to break are called `partial`, and must not stay.
pub(super) fn refusal(bytes: &[u8], kind: ArchiveKind, limits: Limits) -> ArchiveError {
    let (dir, result) = unpack(bytes, kind, limits);
    let error = result.expect_err("the archive must be refused");
    let left = files_below(dir.path());
    assert!(!left.contains(&"partial".to_owned()), "part of a broken member was left: {error}");
    assert!(error.hint().is_some());
    error
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for item in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if item.file_type().unwrap().is_dir() {
                open.push(item.path());
            } else {
                found.push(item.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn content(folder: &Path, path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    fs::File::open(folder.join(path)).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

const FILES: [(&str, &[u8]); 3] =
    [("model.onnx", b"weights"), ("data/test_0/input.pb", &[7; 2000]), ("data/empty", b"")];

/// The same three files in every format that holds several.
fn honest() -> Vec<(ArchiveKind, Vec<u8>)> {
    let mut entries = vec![entry("./", b'5', b""), entry("./data/", b'5', b"")];
    entries.extend(FILES.iter().map(|(name, bytes)| entry(&format!("./{name}"), b'0', bytes)));
    let tar = tar(&entries);
    let zipped: Vec<Zipped> = FILES
        .iter()
        .enumerate()
        .map(
            |(i, (name, bytes))| {
                if i == 1 { Zipped::deflated(name, bytes) } else { Zipped::stored(name, bytes) }
            },
        )
        .collect();
    vec![(ArchiveKind::TarGz, gz(&tar)), (ArchiveKind::Tar, tar), (ArchiveKind::Zip, zip(&zipped))]
}

#[test]
fn every_kind_is_recognised_and_unpacked() {
    for (kind, bytes) in honest() {
        let head = bytes.get(..ArchiveKind::HEAD).unwrap_or(&bytes);
        assert_eq!(ArchiveKind::sniff(head), Some(kind));
        let (dir, result) = unpack(&bytes, kind, limits());
        let extracted = result.unwrap();
        assert_eq!(extracted.len(), 3, "{kind:?}");
        for (found, (name, bytes)) in extracted.iter().zip(FILES) {
            assert_eq!(found.path.as_str(), name);
            assert_eq!(found.size, bytes.len() as u64);
            assert_eq!(found.sha256, <[u8; 32]>::from(Sha256::digest(bytes)));
            assert_eq!(content(dir.path(), name), bytes);
        }
        assert_eq!(files_below(dir.path()).len(), 3);
        let listed = list(Cursor::new(&bytes), kind, &limits()).unwrap();
        assert_eq!(listed.iter().map(|m| m.size).collect::<Vec<_>>(), [Some(7), Some(2000), Some(0)]);
    }
}

#[test]
fn nothing_else_is_recognised() {
    for head in [&b""[..], b"PK", b"\x1f\x8b", b"\x08\x07onnx", &[0; 1024], &[b'x'; 1024]] {
        assert_eq!(ArchiveKind::sniff(head), None);
    }
    assert_eq!(ArchiveKind::sniff(&gz(b"some text")), Some(ArchiveKind::Gzip));
    assert_eq!(ArchiveKind::sniff(b"PK\x05\x06"), Some(ArchiveKind::Zip));
}

#[test]
fn selection_durability_and_single_members() {
    for (kind, bytes) in honest() {
        let dir = tempfile::tempdir().unwrap();
        let durable = ExtractOptions { limits: limits(), durable: true };
        let select = &mut |m: &Member| {
            if m.path.as_str().starts_with("data/") { Select::Extract } else { Select::Skip }
        };
        let extracted = extract(Cursor::new(&bytes), kind, dir.path(), &durable, select).unwrap();
        assert_eq!(extracted.len(), 2);
        assert_eq!(files_below(dir.path()), ["data/empty", "data/test_0/input.pb"]);

        let mut out = Vec::new();
        let one =
            extract_member(Cursor::new(&bytes), kind, &path("model.onnx"), &mut out, &limits()).unwrap();
        assert_eq!((out.as_slice(), one.size), (&b"weights"[..], 7));
        let missing = extract_member(Cursor::new(&bytes), kind, &path("data"), &mut out, &limits());
        assert!(matches!(missing, Err(ArchiveError::Missing { member }) if member == "data"));
    }
}

#[test]
fn streams_serve_all_but_zip() {
    for (kind, bytes) in honest() {
        let dir = tempfile::tempdir().unwrap();
        let select = &mut |_: &Member| Select::Extract;
        let result = extract_stream(bytes.as_slice(), kind, dir.path(), &ExtractOptions::default(), select);
        match kind {
            ArchiveKind::Zip => assert!(matches!(result, Err(ArchiveError::NeedsSeek))),
            _ => assert_eq!(result.unwrap().len(), 3),
        }
    }
}

#[test]
fn nothing_is_overwritten_and_no_link_is_followed() {
    for (kind, bytes) in honest() {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join("model.onnx")).unwrap().write_all(b"mine").unwrap();
        let all = &mut |_: &Member| Select::Extract;
        let result = extract(Cursor::new(&bytes), kind, dir.path(), &options(limits()), all);
        assert!(matches!(result, Err(ArchiveError::Exists { member, .. }) if member == "model.onnx"));
        assert_eq!(content(dir.path(), "model.onnx"), b"mine");
        #[cfg(unix)]
        {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            std::os::unix::fs::symlink(outside.path(), dir.path().join("data")).unwrap();
            let result = extract(Cursor::new(&bytes), kind, dir.path(), &options(limits()), all);
            assert!(matches!(result, Err(ArchiveError::Exists { .. })));
            assert_eq!(files_below(outside.path()), Vec::<String>::new());
        }
    }
}

#[test]
fn every_limit_is_held_in_every_format() {
    let bound = |result: Result<Vec<Extracted>, ArchiveError>| match result {
        Err(ArchiveError::Limit { bound, .. }) => Some(bound),
        _ => None,
    };
    for (kind, bytes) in honest() {
        let small = |limits| bound(unpack(&bytes, kind, limits).1);
        assert_eq!(small(Limits { total_bytes: 2006, ..limits() }), Some(Bound::TotalBytes));
        assert_eq!(small(Limits { member_bytes: 1999, ..limits() }), Some(Bound::MemberBytes));
        assert_eq!(small(Limits { members: 2, ..limits() }), Some(Bound::Members));
        assert_eq!(small(Limits { name_length: 12, ..limits() }), Some(Bound::NameLength));
        assert_eq!(small(Limits { depth: 2, ..limits() }), Some(Bound::Depth));
        assert_eq!(small(Limits { total_bytes: 2007, member_bytes: 2000, depth: 3, ..limits() }), None);
    }
}

#[test]
fn bombs_end_at_the_ratio() {
    let zeros = vec![0; 1 << 20];
    let strict = Limits { ratio: 50, ratio_grace: 1 << 16, ..limits() };
    let bombs = [
        (ArchiveKind::Gzip, gz(&zeros)),
        (ArchiveKind::TarGz, gz(&tar(&[entry("partial", b'0', &zeros)]))),
        (ArchiveKind::Zip, zip(&[Zipped::deflated("partial", &zeros)])),
    ];
    for (kind, bytes) in bombs {
        let error = refusal(&bytes, kind, strict);
        assert!(matches!(error, ArchiveError::Limit { bound: Bound::Ratio, allowed: 50, .. }), "{error}");
        unpack(&bytes, kind, limits()).1.unwrap();
    }
}

#[test]
fn a_cut_anywhere_is_truncation_with_its_place() {
    for (kind, bytes) in honest() {
        // Padding after tar's end marker may go missing; everything before may not.
        let complete = if kind == ArchiveKind::Tar { bytes.len() - 512 } else { bytes.len() };
        for length in (0..complete).step_by(if kind == ArchiveKind::Tar { 61 } else { 1 }) {
            let error = refusal(bytes.get(..length).unwrap(), kind, limits());
            assert!(matches!(error, ArchiveError::Truncated { .. }), "{kind:?} cut at {length}: {error}");
        }
    }
    let bytes = tar(&[entry("a", b'0', b"x"), entry("partial", b'0', &[1; 1000])]);
    let error = refusal(&bytes[..512 * 3 + 300], ArchiveKind::Tar, limits());
    let text = error.to_string();
    assert_eq!(text, "the archive is truncated: it ends inside `partial`, after 300 bytes of it");
    let error = refusal(&bytes[..512 * 2 + 5], ArchiveKind::Tar, limits());
    assert_eq!(
        error.to_string(),
        "the archive is truncated: it ends after `a` and 1029 bytes, without an end marker"
    );
}

#[test]
fn gzip_streams_in_a_row_are_one_and_garbage_is_refused() {
    let two = [gz(b"one "), gz(b""), gz(b"two")].concat();
    let mut out = Vec::new();
    assert_eq!(gunzip(two.as_slice(), &mut out, &limits()).unwrap().size, 7);
    assert_eq!(out, b"one two");
    let padded = [two.as_slice(), &[0; 1000]].concat();
    assert_eq!(gunzip(padded.as_slice(), &mut io::sink(), &limits()).unwrap().size, 7);
    for garbage in [&b"x"[..], b"\x1f not a gzip header", b"\x1f\x8b\x07 more bytes", b"\0\x1f\x8b\x08"] {
        let error =
            gunzip([two.as_slice(), garbage].concat().as_slice(), &mut io::sink(), &limits()).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::Corrupt { reason, .. } if reason.contains("not gzip")),
            "{error}"
        );
    }
    let cut = [two.as_slice(), b"\x1f\x8b\x08"].concat();
    let error = gunzip(cut.as_slice(), &mut io::sink(), &limits()).unwrap_err();
    assert!(matches!(error, ArchiveError::Truncated { .. }), "{error}");
}

#[test]
fn gzip_content_is_named_by_its_header_if_that_is_harmless() {
    let named = |name: &str| {
        let mut encoder =
            flate2::GzBuilder::new().filename(name).write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"x").unwrap();
        let (dir, result) = unpack(&encoder.finish().unwrap(), ArchiveKind::Gzip, limits());
        let files = files_below(dir.path());
        assert_eq!(files, [result.unwrap().remove(0).path.to_string()]);
        files.concat()
    };
    assert_eq!(named("labels.txt"), "labels.txt");
    for hostile in ["../x", "/etc/passwd", "a/b", "..", "c:x", "caf\u{e9}"] {
        assert_eq!(named(hostile), "content");
    }
}

#[test]
fn a_flipped_bit_in_compressed_content_is_found() {
    let original = gz(b"some content that is long enough to be flipped somewhere in the middle");
    for at in 10..original.len() {
        let mut bytes = original.clone();
        bytes[at] ^= 0x10;
        let (dir, result) = unpack(&bytes, ArchiveKind::Gzip, limits());
        assert!(result.is_err(), "byte {at}");
        assert_eq!(files_below(dir.path()), Vec::<String>::new());
    }
}

#[test]
fn a_reader_or_writer_that_fails_is_reported_as_such() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("the pipe is closed"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let half = tar_open(&[entry("partial", b'0', &[1; 1000])]);
    let reader = half.get(..700).unwrap().chain(Broken);
    let dir = tempfile::tempdir().unwrap();
    let all = &mut |_: &Member| Select::Extract;
    let result = extract_stream(reader, ArchiveKind::Tar, dir.path(), &ExtractOptions::default(), all);
    assert!(matches!(result, Err(ArchiveError::Read { member: Some(m), .. }) if m == "partial"));
    assert_eq!(files_below(dir.path()), Vec::<String>::new());
    let result = gunzip(gz(b"x").as_slice(), &mut Broken, &limits());
    assert!(matches!(result, Err(ArchiveError::Write { .. })));
}
