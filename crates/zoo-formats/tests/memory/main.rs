//! How much memory files get that promise a lot, and files that are changed at random. One test, because what is measured is
//! the whole process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../it/assemble.rs"]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod assemble;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod support;

use std::path::Path;

use assemble::{Member, Pickle, SIX, View, Zip, floats, legacy, one_tensor};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::{OneFile, bytes_of, use_up};

/// What a file of a few kilobytes may cost: the 64 MiB that unpacked members may take, and a little for everything else.
const ALLOWED: u64 = 96 << 20;

/// Real files that are changed.
const FILES: &[&str] = &[
    "plain.pth",
    "protocol4.pth",
    "views.pth",
    "types.pth",
    "parameters.pth",
    "quantized.pth",
    "arrays.pth",
    "arrays_protocol5.pth",
    "training.pth",
    "module.pth",
    "deflated.pth",
    "refused.pth",
    "legacy.pth",
    "legacy_protocol4.pth",
    "legacy_views.pth",
    "legacy_module.pth",
    "weights.safetensors",
    "../../hdf5/layers.h5",
    "../../hdf5/types_latest.h5",
    "../../hdf5/layouts_earliest.h5",
    "../../hdf5/layouts_latest.h5",
    "../../hdf5/groups_latest.h5",
    "../../hdf5/paged.h5",
    "../../msgpack/chunked.msgpack",
    "../../msgpack/nested.msgpack",
];

/// One change of a file.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    /// Four or eight bytes that say "very much".
    Huge(prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..40_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..40_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        (at(), prop_oneof![Just(4_usize), Just(8)]).prop_map(|(at, count)| Change::Huge(at, count)),
        (at(), at()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    let range = |at: usize, count: usize| at..(at + count).min(length);
    match change {
        Change::Set(at, byte) => bytes[at.index(length)] = *byte,
        Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Change::Insert(at, new) => {
            drop(bytes.splice(at.index(length)..at.index(length), new.iter().copied()));
        }
        Change::Remove(at, count) => drop(bytes.drain(range(at.index(length), *count))),
        Change::Repeat(at, count) => {
            let part = bytes[range(at.index(length), *count)].to_vec();
            drop(bytes.splice(at.index(length)..at.index(length), part));
        }
        Change::Huge(at, count) => {
            for place in range(at.index(length), *count) {
                bytes[place] = if place + 1 == at.index(length) + count { 0x7f } else { 0xff };
            }
        }
        Change::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
    }
}

/// The same change inside of the pickle, in an archive that is otherwise right.
fn with_pickle_changed(bytes: &[u8], changes: &[Change]) -> Option<Vec<u8>> {
    let start = bytes.windows(3).position(|window| window == b"\x80\x02}")?;
    let end = start + bytes[start..].windows(4).position(|window| window == b"PK\x07\x08")?;
    let mut pickle = bytes[start..end].to_vec();
    for change in changes {
        apply(&mut pickle, change);
    }
    let storage = [1_u8; 128];
    Some(Zip::checkpoint(&pickle, &[&storage, &storage, &storage]).write())
}

fn promises() -> Vec<Vec<u8>> {
    let huge = |opcode: u8, length: &[u8]| Pickle::new().raw([opcode]).raw(length).raw("abc").stop();
    let mut files: Vec<_> = [
        huge(b'X', &[0xff; 4]),
        huge(b'B', &[0xff; 4]),
        huge(b'T', &[0xff, 0xff, 0xff, 0x7f]),
        huge(0x8b, &[0xff, 0xff, 0xff, 0x7f]),
        huge(0x8d, &[0xff; 8]),
        huge(0x8e, &[0xff; 8]),
        huge(0x96, &[0xff; 8]),
        huge(0x95, &[0xff; 8]),
        Pickle::new().raw("Nr").raw([0xff; 4]).stop(),
        one_tensor(&View { count: i64::MAX / 4, ..SIX }),
        one_tensor(&View { size: &[1 << 30, 1 << 30], stride: &[0, 0], ..SIX }),
        one_tensor(&View { size: &[1 << 33], stride: &[0], ..SIX }),
    ]
    .iter()
    .flat_map(|pickle| {
        [
            Zip::checkpoint(pickle, &[&floats(&[0.0; 6])]).write(),
            legacy(pickle, &["0"], &[(6, &floats(&[0.0; 6]))]),
        ]
    })
    .collect();
    // A member that says it is large, in a table that says so too.
    let mut zip = Zip::checkpoint(&one_tensor(&SIX), &[&floats(&[0.0; 6])]);
    zip.members[0] = Member { size: 1 << 30, local_size: 1 << 30, ..Member::deflated("x/data.pkl", b"N.") };
    files.push(zip.write());
    // Many views that repeat their elements, of a storage that has to be inflated.
    let mut pickle = Pickle::new().raw("}");
    let view = View { class: "DoubleStorage", count: 512, size: &[4096, 512], stride: &[0, 1], ..SIX };
    for index in 0..200 {
        pickle = pickle.text(&index.to_string()).tensor(&view).raw("s");
    }
    let mut zip = Zip::checkpoint(&pickle.stop(), &[&[0]]);
    zip.members[1] = Member::deflated("x/data/0", &[0; 4096]);
    files.push(zip.write());
    // Lengths of msgpack that nobody keeps, and a chunk of 256 MB.
    files.extend(
        [
            &b"\xde\xff\xff\xa1a\xdd\xff\xff\xff\xff"[..],
            b"\x81\xa1a\xc6\xff\xff\xff\xff",
            b"\x81\xdb\xff\xff\xff\xff",
        ]
        .map(<[u8]>::to_vec),
    );
    files.extend([deflated_chunk(1 << 28), deflated_chunk(1 << 40)]);
    // A safetensors header of 90 MB in a file of eleven bytes.
    files.push([90_000_000_u64.to_le_bytes().as_slice(), b"{}"].concat());
    files
}

/// An HDF5 file whose dataset `one_large_chunk`, as large as its only chunk, has so many rows.
fn deflated_chunk(rows: u64) -> Vec<u8> {
    let mut bytes = bytes_of("../../hdf5/layouts_earliest.h5");
    let old: Vec<u8> = [3_u64, 4, 4, 5].iter().flat_map(|size| size.to_le_bytes()).collect();
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    for place in [at, at + 16] {
        bytes[place..place + 8].copy_from_slice(&rows.to_le_bytes());
    }
    // The layout: version 3, chunked, three axes, an address; rows, columns, bytes of an element.
    let layout = bytes.windows(23).position(|window| {
        window[..3] == [3, 2, 3] && window[11..15] == [4, 0, 0, 0] && window[15..19] == [5, 0, 0, 0]
    });
    let layout = layout.unwrap();
    bytes[layout + 11..layout + 15].copy_from_slice(&(rows as u32).to_le_bytes());
    bytes
}

#[expect(clippy::disallowed_methods, reason = "a file in a temporary folder")]
fn use_bytes(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let _ = use_up(path);
}

#[test]
fn what_is_not_there_is_not_reserved() {
    let before = peak();
    for bytes in promises() {
        let file = OneFile::of(&bytes);
        // The pickle's FRAME and memo index are the two promises that nobody has to keep.
        let _ = use_up(&file.path());
    }
    let changed = (prop::sample::select(FILES), prop::collection::vec(change(), 1..6));
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    let result = runner.run(&changed, |(name, changes)| {
        let original = bytes_of(name);
        let mut bytes = original.clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        use_bytes(&path, &bytes);
        if let Some(bytes) = with_pickle_changed(&original, &changes) {
            use_bytes(&path, &bytes);
        }
        Ok(())
    });
    result.unwrap();
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < ALLOWED, "{} MB", (after - before) >> 20);
    }
}

/// The most memory that this process has had, in bytes; none where the system does not say.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
