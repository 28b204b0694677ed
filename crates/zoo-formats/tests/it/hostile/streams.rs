//! Legacy streams whose parts contradict each other.

use super::*;

fn pickle(count: i64, view: Option<[i64; 2]>, size: i64) -> Vec<u8> {
    let start = Pickle::new().raw("}").text("w").global("torch._utils", "_rebuild_tensor").raw("(");
    legacy_storage(start, "FloatStorage", "0", count, view).int(0).tuple([size]).tuple([1]).raw("tRs").stop()
}

#[test]
fn storages_and_views_of_them() {
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(read(&legacy(&pickle(4, None, 4), &["0"], &[(4, &data)])), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(read(&legacy(&pickle(4, Some([1, 2]), 2), &["0"], &[(4, &data)])), [2.0, 3.0]);
    let error = untaken(&legacy(&pickle(4, Some([1, 2]), 3), &["0"], &[(4, &data)]));
    assert!(error.ends_with("ends at element 2 of its storage \"0\", which has 2"), "{error}");
    for view in [[3, 2], [i64::MAX, 1], [1, i64::MAX], [1 << 62, 1 << 62]] {
        let error = untaken(&legacy(&pickle(4, Some(view), 1), &["0"], &[(4, &data)]));
        assert!(error.ends_with("the view of its storage \"0\" reaches beyond it"), "{error}");
    }
}

#[test]
fn counts_that_lie() {
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    for (count, found) in [(5, "5"), (-4, "-4"), (i64::MAX, "9223372036854775807")] {
        let error = unopened(&legacy(&pickle(4, None, 4), &["0"], &[(count, &data)]));
        assert!(
            error.contains(&format!("storage \"0\" has {found} elements here and 4 by the pickle")),
            "{error}"
        );
    }
    let error = unopened(&legacy(&pickle(1 << 40, None, 4), &["0"], &[(1 << 40, &data)]));
    assert!(error.contains("storage \"0\" needs 4398046511104 bytes and the file ends before"), "{error}");
    let error = unopened(&legacy(&pickle(4, None, 4), &["0"], &[]));
    assert!(error.contains("the file ends before storage \"0\""), "{error}");
}

#[test]
fn keys_that_lie() {
    let data = floats(&[1.0, 2.0, 3.0, 4.0]);
    let error = unopened(&legacy(&pickle(4, None, 4), &["1"], &[(4, &data)]));
    assert!(error.contains("storage \"1\" is listed and no tensor mentions it"), "{error}");
    let error = unopened(&legacy(&pickle(4, None, 4), &["0", "0"], &[(4, &data), (4, &data)]));
    assert!(error.contains("storage \"0\" is listed twice"), "{error}");
    let error = untaken(&legacy(&pickle(4, None, 4), &[], &[]));
    assert!(error.ends_with("its storage \"0\" is not in the file"), "{error}");
}

#[test]
fn what_follows_the_last_storage_is_a_warning() {
    let mut bytes = legacy(&pickle(1, None, 1), &["0"], &[(1, &floats(&[1.0]))]);
    let end = bytes.len();
    bytes.extend_from_slice(b"more");
    let checkpoint = OneFile::of(&bytes).open().unwrap();
    let shown: Vec<_> = checkpoint.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(shown, [format!("4 bytes follow the last storage, from byte {end} on")]);
}

#[test]
fn storages_of_two_lengths() {
    let one = legacy_storage(Pickle::new().raw("("), "FloatStorage", "0", 4, None);
    let two = legacy_storage(one, "FloatStorage", "0", 5, None).raw("t").stop();
    assert_eq!(unopened(&legacy(&two, &[], &[])), "x.pth: storage \"0\" has two different lengths");
    // As bytes and as floats it is the same one: PyTorch writes that.
    let one = legacy_storage(Pickle::new().raw("("), "ByteStorage", "0", 16, None);
    let two = legacy_storage(one, "FloatStorage", "0", 4, None).raw("t").stop();
    assert!(OneFile::of(&legacy(&two, &["0"], &[(16, &[0; 16])])).open().is_ok());
}

#[test]
fn numbers_that_are_not_the_formats() {
    // The version is 1001: bytes e9 03.
    let mut bytes = legacy(&pickle(1, None, 1), &["0"], &[(1, &floats(&[1.0]))]);
    bytes[18] ^= 1;
    assert!(unopened(&bytes).contains("the version of the format is not known"), "{}", unopened(&bytes));
}

/// Python 2 wrote text as bytes and long numbers as keys; torch 0.1 named the storages of a GPU by their own module.
#[test]
fn files_of_python_2() {
    let storage = Pickle::default()
        .raw("(U\x07storage")
        .global("torch.cuda", "FloatStorage")
        .raw([0x8a, 5, 0x78, 0x56, 0x34, 0x12, 0x00])
        .raw("U\x06cuda:0")
        .int(2)
        .raw("NtQ");
    let tensor = Pickle::default().global("torch._utils", "_rebuild_tensor").raw("(").raw(storage.0);
    let tensor = tensor.int(0).tuple([2]).tuple([1]).raw("tR");
    let object = Pickle::new().raw("}U\x01w").raw(tensor.0).raw("s").stop();
    let start = legacy(&object, &[], &[]);
    let start = start.strip_suffix(b"\x80\x02](e.").unwrap();
    let keys = b"\x80\x02]\x8a\x05\x78\x56\x34\x12\x00a.";
    let bytes = [start, keys, &2_i64.to_le_bytes(), &floats(&[1.0, 2.0])].concat();
    assert_eq!(read(&bytes), [1.0, 2.0]);
}
