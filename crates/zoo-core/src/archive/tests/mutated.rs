//! Whatever the bytes: no panic, nothing outside the folder, and what is reported as unpacked is really there.

use std::fs;
use std::io::Cursor;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{content, files_below, honest, options};
use crate::archive::{ArchiveKind, Limits, Select, extract, list};

const KINDS: [ArchiveKind; 4] = [ArchiveKind::Zip, ArchiveKind::Tar, ArchiveKind::TarGz, ArchiveKind::Gzip];

/// Unpacks into a folder of a folder, whose surroundings must stay as they are.
fn check(bytes: &[u8], kind: ArchiveKind) {
    let outer = tempfile::tempdir().unwrap();
    let dest = outer.path().join("in").join("side");
    fs::create_dir_all(&dest).unwrap();
    let limits = Limits { total_bytes: 1 << 16, ratio_grace: 1 << 14, members: 100, ..Limits::for_models() };
    let _ = ArchiveKind::sniff(bytes);
    let _ = list(Cursor::new(bytes), kind, &limits);
    let result = extract(Cursor::new(bytes), kind, &dest, &options(limits), &mut |_| Select::Extract);
    let files = files_below(outer.path());
    assert!(files.iter().all(|f| f.starts_with("in/side/")), "{files:?}");
    if let Ok(extracted) = result {
        assert_eq!(extracted.len(), files.len());
        for file in extracted {
            let bytes = content(&dest, file.path.as_str());
            assert_eq!(file.size, bytes.len() as u64);
            assert_eq!(file.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000), kind in 0..4_usize) {
        check(&bytes, KINDS[kind]);
    }

    #[test]
    fn random_bytes_with_a_true_beginning(
        which in 0..3_usize,
        keep in 0.0..1.0_f64,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (kind, archive) = honest().swap_remove(which);
        let kept = (archive.len() as f64 * keep) as usize;
        check(&[&archive[..kept], &bytes].concat(), kind);
    }

    #[test]
    fn changed_archives(
        which in 0..3_usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (kind, mut archive) = honest().swap_remove(which);
        for (at, value) in edits {
            let at = at.index(archive.len());
            archive[at] = value;
        }
        check(&archive, kind);
    }

    #[test]
    fn changed_tar_with_right_checksums(
        edits in proptest::collection::vec((0..512_usize, any::<u8>()), 1..6),
        entry in 0..5_usize,
    ) {
        // Edits that the checksum would catch reach the rest of the code only if the checksum is put right again.
        let (kind, mut archive) = honest().swap_remove(1);
        let starts = [0, 512, 1024, 2048, 4608];
        let block = &mut archive[starts[entry]..][..512];
        for (at, value) in edits {
            block[at] = value;
        }
        let fixed = super::pack::sum(block.try_into().unwrap());
        block.copy_from_slice(&fixed);
        check(&archive, kind);
        check(&super::pack::gz(&archive), ArchiveKind::TarGz);
    }
}
