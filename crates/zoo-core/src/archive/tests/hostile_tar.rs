//! Tar files that no model's publisher makes, and unusual ones that some do.

use super::pack::{entry, gz, pax, raw_entry, sum, tar, tar_open};
use super::{limits, refusal, unpack};
use crate::archive::{ArchiveError, ArchiveKind, Bound, Limits};

fn refused(entries: &[Vec<u8>]) -> ArchiveError {
    let bytes = tar(entries);
    let plain = refusal(&bytes, ArchiveKind::Tar, limits());
    let packed = refusal(&gz(&bytes), ArchiveKind::TarGz, limits());
    assert_eq!(plain.to_string(), packed.to_string());
    plain
}

fn paths(entries: &[Vec<u8>]) -> Vec<String> {
    let (_dir, result) = unpack(&tar(entries), ArchiveKind::Tar, limits());
    result.unwrap().into_iter().map(|e| e.path.to_string()).collect()
}

#[test]
fn names_that_escape() {
    for name in ["/etc/passwd", "../x", "a/../../x", "a\\b", "c:/x", "a//b", "./../x"] {
        let error = refused(&[entry(name, b'0', b"x")]);
        assert!(matches!(error, ArchiveError::UnsafeName { .. }), "{name}: {error}");
        let long = entry("@", b'L', format!("{name}\0").as_bytes());
        assert!(matches!(refused(&[long, entry("x", b'0', b"x")]), ArchiveError::UnsafeName { .. }));
        let header = entry("@", b'x', &pax("path", name));
        assert!(matches!(refused(&[header, entry("x", b'0', b"x")]), ArchiveError::UnsafeName { .. }));
    }
    let latin = raw_entry(b"caf\xe9", b'0', b"", 0, *b"ustar\x0000");
    assert!(matches!(refused(&[latin]), ArchiveError::UnsafeName { .. }));
    let nul = entry("@", b'x', &pax("path", "a\0b"));
    assert!(matches!(refused(&[nul, entry("x", b'0', b"x")]), ArchiveError::UnsafeName { .. }));
}

#[test]
fn everything_but_files_and_folders() {
    let kinds = [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "character device"),
        (b'4', "block device"),
        (b'6', "named pipe"),
        (b'S', "sparse file"),
        (b'V', "unknown type `V`"),
    ];
    for (kind, words) in kinds {
        let text = refused(&[entry("good", b'0', b"x"), entry("evil", kind, b"")]).to_string();
        assert!(text.contains("`evil`") && text.contains(words), "{text}");
    }
    let sparse = entry("@", b'x', &pax("GNU.sparse.major", "1"));
    let error = refused(&[sparse, entry("evil", b'0', b"x")]);
    assert!(
        matches!(error, ArchiveError::Special { member, kind } if member == "evil" && kind == "sparse file")
    );
    let long_link = [entry("@", b'K', &[b'x'; 300]), entry("evil", b'2', b"")];
    assert!(matches!(refused(&long_link), ArchiveError::Special { .. }));
}

#[test]
fn two_members_at_one_place() {
    let pairs = [("a", "a"), ("a", "./a"), ("A.onnx", "a.ONNX"), ("a", "a/b"), ("a/b", "a")];
    for (first, second) in pairs {
        let error = refused(&[entry(first, b'0', b"1"), entry(second, b'0', b"2")]);
        assert!(matches!(error, ArchiveError::Clash { .. }), "{first} {second}: {error}");
    }
    let error = refused(&[entry("a", b'0', b"1"), entry("a/", b'5', b"")]);
    assert!(matches!(error, ArchiveError::Clash { .. }));
    let again = [entry("a/", b'5', b""), entry("a/x", b'0', b"1"), entry("a/", b'5', b"")];
    assert_eq!(paths(&again), ["a/x"]);
}

#[test]
fn long_names_come_through_both_ways() {
    let name = format!("{}/{}.bin", "d".repeat(120), "f".repeat(120));
    let gnu = |n: &str| entry("././@LongLink", b'L', format!("{n}\0").as_bytes());
    assert_eq!(paths(&[gnu(&name), entry("short", b'0', b"x")]), [name.as_str()]);
    let header = entry("PaxHeaders/x", b'x', &[pax("mtime", "1.5"), pax("path", &name)].concat());
    assert_eq!(paths(&[header.clone(), entry("short", b'0', b"x")]), [name.as_str()]);
    // A comment for all members, as git writes it; an attribute with a line end in its value.
    let global = entry("pax_global_header", b'g', &pax("comment", "0123abcd"));
    let attribute = entry("@", b'x', &pax("SCHILY.xattr.user.x", "a\nb=c"));
    assert_eq!(paths(&[global, attribute, entry("x", b'0', b"x")]), ["x"]);
    // Both ways at once are fine if they agree.
    assert_eq!(paths(&[gnu(&name), header.clone(), entry("x", b'0', b"x")]), [name.as_str()]);
    let error = refused(&[gnu("other"), header, entry("x", b'0', b"x")]);
    assert!(matches!(error, ArchiveError::Corrupt { .. }), "{error}");
}

#[test]
fn ustar_prefix_and_version_7() {
    let mut header = [0; 512];
    header.copy_from_slice(&entry("name", b'0', b"x")[..512]);
    header[345..351].copy_from_slice(b"prefix");
    let mut bytes = sum(header).to_vec();
    bytes.extend_from_slice(&entry("name", b'0', b"x")[512..]);
    assert_eq!(paths(&[bytes]), ["prefix/name"]);
    let old = [raw_entry(b"d/", 0, b"", 0, [0; 8]), raw_entry(b"d/f", 0, b"x", 1, [0; 8])];
    assert_eq!(ArchiveKind::sniff(&tar(&old)), Some(ArchiveKind::Tar));
    assert_eq!(paths(&old), ["d/f"]);
}

#[test]
fn sizes_from_pax_and_in_binary_are_understood() {
    // The header says 0, the pax header 3: as for files beyond 8 GiB.
    let body = [raw_entry(b"x", b'0', b"", 0, *b"ustar\x0000"), b"abc".to_vec(), vec![0; 509]].concat();
    let sized = [entry("@", b'x', &pax("size", "3")), body];
    let (_dir, result) = unpack(&tar(&sized), ArchiveKind::Tar, limits());
    assert_eq!(result.unwrap()[0].size, 3);
    let mut header = [0; 512];
    header.copy_from_slice(&entry("x", b'0', b"abc")[..512]);
    header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    let binary = [sum(header).to_vec(), entry("x", b'0', b"abc")[512..].to_vec()].concat();
    let (_dir, result) = unpack(&tar(&[binary]), ArchiveKind::Tar, limits());
    assert_eq!(result.unwrap()[0].size, 3);
    // Larger than anything: refused before a byte is written, without overflow.
    header[124..136].copy_from_slice(&[0xff; 12]);
    let error = refused(&[sum(header).to_vec()]);
    assert!(matches!(error, ArchiveError::Limit { bound: Bound::MemberBytes, .. }), "{error}");
    let huge = [entry("@", b'x', &pax("size", "18446744073709551615")), entry("x", b'0', b"")];
    assert!(matches!(refused(&huge), ArchiveError::Limit { .. }));
}

#[test]
fn headers_that_would_fill_the_memory() {
    for (kind, size) in [(b'L', 1 << 32), (b'x', 1 << 30), (b'g', 1 << 30), (b'K', 1 << 30)] {
        let error = refused(&[raw_entry(b"@", kind, b"", size, *b"ustar\x0000")]);
        assert!(matches!(error, ArchiveError::Limit { bound: Bound::HeaderBytes, .. }), "{error}");
    }
    let few = Limits { members: 10, ..limits() };
    let globals: Vec<_> = (0..20).map(|_| entry("g", b'g', &pax("comment", "x"))).collect();
    let error = refusal(&tar(&globals), ArchiveKind::Tar, few);
    assert!(matches!(error, ArchiveError::Limit { bound: Bound::Members, .. }), "{error}");
}

#[test]
fn broken_structure() {
    let good = || entry("a", b'0', b"x");
    let mut wrong_sum = good();
    wrong_sum[0] = b'b';
    let mut wrong_size = [0; 512];
    wrong_size.copy_from_slice(&good()[..512]);
    wrong_size[124..127].copy_from_slice(b"zzz");
    let cases: [(&str, Vec<u8>); 13] = [
        ("wrong checksum", tar(&[good(), wrong_sum])),
        ("size is no number", tar(&[sum(wrong_size).to_vec()])),
        ("does not follow", tar(&[entry("@", b'L', b"name\0")])),
        ("does not follow", tar(&[entry("@", b'x', &pax("mtime", "1"))])),
        ("two pax headers", tar(&[entry("@", b'x', b""), entry("@", b'x', b""), good()])),
        ("malformed", tar(&[entry("@", b'x', b"99 path=x\n"), good()])),
        ("malformed", tar(&[entry("@", b'x', b"path=x\n"), good()])),
        ("malformed", tar(&[entry("@", b'x', b"0 "), good()])),
        ("no number", tar(&[entry("@", b'x', &pax("size", "-1")), good()])),
        ("sets `path`", tar(&[entry("@", b'g', &pax("path", "x")), good()])),
        ("folder has content", tar(&[entry("d/", b'5', b"x")])),
        ("more content", [tar(&[good()]), tar(&[good()])].concat()),
        ("more content", [tar_open(&[good()]), vec![0; 512], good()].concat()),
    ];
    for (words, bytes) in cases {
        let error = refusal(&bytes, ArchiveKind::Tar, limits());
        assert!(matches!(error, ArchiveError::Corrupt { .. }), "{words}: {error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let endless = [tar(&[good()]), vec![0; 2 << 20]].concat();
    assert!(matches!(refusal(&endless, ArchiveKind::Tar, limits()), ArchiveError::Corrupt { .. }));
}

#[test]
fn a_skipped_member_counts_too() {
    let bytes = gz(&tar(&[entry("big", b'0', &[1; 5000]), entry("small", b'0', b"x")]));
    let tight = Limits { total_bytes: 4000, ..limits() };
    let result = crate::archive::list(std::io::Cursor::new(bytes), ArchiveKind::TarGz, &tight);
    assert!(matches!(result, Err(ArchiveError::Limit { bound: Bound::TotalBytes, .. })));
}
