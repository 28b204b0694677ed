//! Files that were cut, changed, or promise what they do not hold.

use super::fixture;
use crate::support::{OneFile, use_up};
use zoo_formats::hdf5::{Child, File, Group};

#[expect(clippy::disallowed_methods, reason = "a file of this repository")]
fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// Reads everything there is below a group: attributes, and the elements of datasets.
fn read_all(group: &Group, depth: usize) -> Result<(), zoo_formats::Error> {
    for attribute in group.attributes()? {
        let _ = attribute.value();
    }
    for child in group.children()? {
        match child {
            Child::Group(group) if depth > 0 => read_all(&group, depth - 1)?,
            Child::Dataset(dataset) => {
                for attribute in dataset.attributes()? {
                    let _ = attribute.value();
                }
                if let Ok(weight) = dataset.weight() {
                    weight.to_tensor()?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_file(file: &OneFile) -> Result<(), zoo_formats::Error> {
    read_all(&File::open(&file.path())?.root()?, 3)
}

/// A file that was cut off is an error, or what is missing is no part of it.
#[test]
fn truncated() {
    for name in ["layers.h5", "types_latest.h5", "user_block.h5"] {
        let bytes = bytes_of(name);
        let file = OneFile::of(&bytes);
        read_file(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let handle = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        for length in (0..bytes.len() as u64).rev().step_by(if bytes.len() > 10_000 { 23 } else { 1 }) {
            handle.set_len(length).unwrap();
            let _ = read_file(&file);
            assert!(
                use_up(&file.path()).is_err() || length + 4096 > bytes.len() as u64,
                "{name} with {length} bytes"
            );
        }
    }
}

/// Bytes changed in three ways: no panic, and no place outside of the file.
#[test]
fn flipped_bytes() {
    for (name, step) in
        [("user_block.h5", 1), ("layouts_latest.h5", 61), ("groups_latest.h5", 499), ("types_latest.h5", 53)]
    {
        let bytes = bytes_of(name);
        let file = OneFile::of(&bytes);
        let handle = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            for changed in [bytes[at] ^ 1, 0xff, 0] {
                use std::io::{Seek as _, Write as _};
                let mut handle = &handle;
                handle.seek(std::io::SeekFrom::Start(at as u64)).unwrap();
                handle.write_all(&[changed]).unwrap();
                let _ = read_file(&file);
                handle.seek(std::io::SeekFrom::Start(at as u64)).unwrap();
                handle.write_all(&bytes[at..=at]).unwrap();
            }
            at += step;
        }
    }
}

/// The place of the only occurrence of some bytes.
fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut found = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    let (at, _) = found.next().unwrap();
    assert!(found.next().is_none());
    at
}

fn error_of(bytes: &[u8]) -> String {
    let file = OneFile::of(bytes);
    let error = use_up(&file.path()).expect_err("it is refused");
    file.shown(&error)
}

#[test]
fn a_tree_that_leads_into_itself() {
    let mut bytes = bytes_of("layers.h5");
    // The root group's tree: make its first child the tree itself, one level up.
    let tree = bytes.windows(4).position(|window| window == b"TREE").unwrap();
    bytes[tree + 5] = 1;
    let own = (tree as u64).to_le_bytes();
    bytes[tree + 32..tree + 40].copy_from_slice(&own);
    assert!(error_of(&bytes).contains("a B-tree leads into itself"), "{}", error_of(&bytes));
}

#[test]
fn a_header_that_continues_in_itself() {
    let mut bytes = bytes_of("user_block.h5");
    // The root group's only message becomes a continuation at its own place.
    let root = 512 + u64::from_le_bytes(bytes[512 + 64..512 + 72].try_into().unwrap()) as usize;
    bytes[root + 16] = 0x10;
    bytes[root + 24..root + 32].copy_from_slice(&((root - 512 + 16) as u64).to_le_bytes());
    bytes[root + 32..root + 40].copy_from_slice(&24_u64.to_le_bytes());
    // A user block hides the signature from `open`, which looks at the first byte only.
    let file = OneFile::of(&bytes);
    let error = File::open(&file.path()).unwrap().root().unwrap_err().to_string();
    assert!(error.contains("an object header continues in itself"), "{error}");
}

/// A shape of many terabytes with a chunk of a few bytes.
#[test]
fn a_shape_that_is_not_there() {
    let mut bytes = bytes_of("layouts_earliest.h5");
    // Dimensions and largest dimensions of the dataset `room`.
    let shape: Vec<u8> = [5_u64, 7, 9, 20].iter().flat_map(|size| size.to_le_bytes()).collect();
    let at = find(&bytes, &shape);
    bytes[at..at + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    bytes[at + 16..at + 24].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let error = error_of(&bytes);
    assert!(
        error.contains("the dataset \"room\"") && error.contains("bytes that are not in the file"),
        "{error}"
    );
    bytes[at..at + 16].fill(0xfe);
    assert!(error_of(&bytes).contains("has a shape whose size overflows"), "{}", error_of(&bytes));
}

#[test]
fn checksums_are_compared() {
    let mut bytes = bytes_of("layouts_latest.h5");
    let at = bytes.windows(4).position(|window| window == b"OHDR").unwrap();
    bytes[at + 20] ^= 0x40;
    assert!(error_of(&bytes).contains("the checksum of an object header is wrong"), "{}", error_of(&bytes));
    let mut bytes = bytes_of("layouts_latest.h5");
    bytes[40] ^= 1;
    assert!(error_of(&bytes).contains("the checksum of the superblock is wrong"));
    // The elements of `only_checked`: rows of bytes 0, 0, 1, 1, … with a checksum behind them.
    let mut bytes = bytes_of("layouts_latest.h5");
    let at = find(&bytes, &[0, 0, 1, 1, 2, 2, 3, 3, 4]);
    bytes[at + 1] = 9;
    assert!(
        error_of(&bytes).contains("a chunk of \"only_checked\" does not have its checksum"),
        "{}",
        error_of(&bytes)
    );
}
