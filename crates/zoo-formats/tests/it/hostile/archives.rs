//! Archives that show two faces, or promise what they do not hold.

use super::*;

fn broken(change: impl FnOnce(&mut Zip)) -> String {
    let mut zip = good();
    change(&mut zip);
    let error = unopened(&zip.write());
    error.strip_prefix("x.pth is a damaged archive: ").unwrap_or(&error).to_owned()
}

#[test]
fn sizes_that_lie() {
    // In the table of contents only, in the header only, and in both.
    let table = |zip: &mut Zip| (zip.member("x/data/0").size, zip.member("x/data/0").packed) = (20, 20);
    assert!(broken(table).contains("\"x/data/0\": its own header has another size or checksum"));
    let header = |zip: &mut Zip| zip.member("x/data/0").local_size = 20;
    assert!(broken(header).contains("\"x/data/0\": its own header has another size or checksum"));
    let both = |zip: &mut Zip| {
        let member = zip.member("x/data/0");
        (member.size, member.packed, member.local_size) = (1 << 30, 1 << 30, 1 << 30);
    };
    assert!(broken(both).contains("\"x/data/0\": it lies outside of the archive"), "{}", broken(both));
    let over_the_next = |zip: &mut Zip| {
        let member = zip.member("x/data/0");
        (member.size, member.packed, member.local_size) = (30, 30, 30);
    };
    assert!(broken(over_the_next).contains("two members overlap"), "{}", broken(over_the_next));
    let two = |zip: &mut Zip| zip.member("x/data/0").size = 20;
    assert!(broken(two).contains("\"x/data/0\" is stored and has two sizes"));
}

#[test]
fn a_wrong_checksum_is_a_warning() {
    let mut zip = good();
    for name in ["x/data.pkl", "x/data/0"] {
        (zip.member(name).crc, zip.member(name).local_crc) = (7, 7);
    }
    let file = OneFile::of(&zip.write());
    let checkpoint = file.open().unwrap();
    let shown = |warnings: &[zoo_formats::Warning]| {
        warnings
            .iter()
            .map(|warning| warning.to_string().split(" is ").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(checkpoint.warnings()), ["the checksum of \"x/data.pkl\""]);
    let all = ["the checksum of \"x/data.pkl\"", "the checksum of \"x/data/0\""];
    assert_eq!(shown(&checkpoint.check().unwrap()), all);
    assert!(OneFile::of(&good().write()).open().unwrap().check().unwrap().is_empty());
    // Bytes that were inflated wrongly are wrong.
    let mut zip = good();
    zip.members[0] = Member { crc: 7, local_crc: 7, ..Member::deflated("x/data.pkl", &one_tensor(&SIX)) };
    assert!(unopened(&zip.write()).contains("the checksum of \"x/data.pkl\" is wrong"));
}

#[test]
fn one_name_for_two_members() {
    let twice = broken(|zip| zip.members.push(Member::new("x/data.pkl", b"\x80\x02N.")));
    assert!(twice.starts_with("two members are called \"x/data.pkl\""), "{twice}");
}

#[test]
fn two_names_for_one_member() {
    let header = broken(|zip| zip.member("x/data.pkl").local_name = b"x/data.pkk".to_vec());
    assert!(header.starts_with("\"x/data.pkl\": its own header calls it \"x/data.pkk\""), "{header}");
    let shared = broken(|zip| {
        let mut second = Member::new("x/data/0", b"");
        (second.header, second.name) = (Some(0), b"x/data/9".to_vec());
        zip.members.push(second);
    });
    assert!(shared.starts_with("\"x/data/9\": its own header calls it \"x/data.pkl\""), "{shared}");
}

#[test]
fn members_inside_of_members() {
    let inner = Zip { members: vec![Member::new("x/data/1", b"inner")], ..Zip::default() }.write();
    let mut zip = good();
    zip.members.push(Member::new("x/data/2", &inner));
    let whole = zip.write();
    let at = whole.windows(inner.len()).position(|window| window == inner).unwrap();
    let inside = Member { header: Some(at as u32), ..Member::new("x/data/1", b"inner") };
    zip.members.push(inside);
    let error = unopened(&zip.write());
    assert!(error.contains("two members overlap"), "{error}");
}

#[test]
fn flags() {
    for flag in [1, 1 << 6, 1 << 13] {
        let error = broken(|zip| (zip.members[0].flags, zip.members[0].local_flags) = (flag, flag));
        assert!(error.starts_with("\"x/data.pkl\" is encrypted"), "{error}");
    }
    let error = broken(|zip| zip.members[0].local_flags = 1);
    assert!(error.starts_with("\"x/data.pkl\": its own header has other flags"), "{error}");
    let error = broken(|zip| zip.members[0].method = 12);
    assert!(error.starts_with("\"x/data.pkl\" is compressed by method 12"), "{error}");
}

#[test]
fn names_that_are_no_text_and_folders() {
    let error = broken(|zip| {
        (zip.members[2].name, zip.members[2].local_name) = (b"x/\xff".to_vec(), b"x/\xff".to_vec());
    });
    assert!(error.starts_with("the name of a member is not UTF-8"), "{error}");
    let mut zip = good();
    zip.members.insert(0, Member::new("x/", b""));
    assert_eq!(read(&zip.write()).len(), 6, "folders are no members");
    zip.members.push(Member::new("y/data", b""));
    assert_eq!(unopened(&zip.write()), "x.pth: its members do not share one folder");
}

#[test]
fn compressed_records() {
    let mut zip = good();
    zip.members[0] = Member::deflated("x/data.pkl", &one_tensor(&SIX));
    zip.members[1] = Member::deflated("x/data/0", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(read(&zip.write()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // A promise that the stream does not keep, in both directions.
    for wrong in [20, 28] {
        let mut zip = zip.clone();
        (zip.members[1].size, zip.members[1].local_size) = (wrong, wrong);
        let view = View { count: 5, size: &[5], stride: &[1], ..SIX };
        zip.members[0] = Member::new("x/data.pkl", &one_tensor(&view));
        let error = untaken(&zip.write());
        assert!(error.contains("\"x/data/0\" has another size than promised"), "{error}");
    }
    zip.members[1].data[3] ^= 0x55;
    let error = untaken(&zip.write());
    assert!(error.contains("x/data/0"), "{error}");
}

#[test]
fn bombs() {
    // 80 MB of zeros in 80 KB: more than 64 MiB and eight times the file.
    let zeros = vec![0; 80 << 20];
    let mut zip = good();
    zip.members[0] = Member::deflated("x/data.pkl", &zeros);
    let error = unopened(&zip.write());
    assert!(error.starts_with("x/data.pkl in x.pth has 83886080 bytes, beyond the limit of"), "{error}");
    let view = View { class: "ByteStorage", count: 80 << 20, size: &[80 << 20], stride: &[1], ..SIX };
    let mut zip = good();
    zip.members[0] = Member::new("x/data.pkl", &one_tensor(&view));
    zip.members[1] = Member::deflated("x/data/0", &zeros);
    let error = untaken(&zip.write());
    assert!(
        error.ends_with("\"w\" needs 83886080 bytes of memory, more than the file's length justifies"),
        "{error}"
    );
}

#[test]
fn long_sizes_that_nobody_asked_for() {
    let extra = |values: &[u64]| {
        let body: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [1_u16.to_le_bytes().to_vec(), (body.len() as u16).to_le_bytes().to_vec(), body].concat()
    };
    let error = broken(|zip| zip.members[0].extra = extra(&[5]));
    assert!(
        error.starts_with("\"x/data.pkl\": it has 64-bit sizes that its entry does not ask for"),
        "{error}"
    );
    let error = broken(|zip| zip.members[0].local_extra = extra(&[5]));
    assert!(
        error.starts_with("\"x/data.pkl\": it has 64-bit sizes that its entry does not ask for"),
        "{error}"
    );
    let error = broken(|zip| zip.members[0].size = u32::MAX);
    assert!(error.starts_with("\"x/data.pkl\": its 64-bit sizes are missing"), "{error}");
    let error = broken(|zip| {
        zip.members[0].size = u32::MAX;
        zip.members[0].extra = [extra(&[5]), extra(&[6])].concat();
    });
    assert!(error.starts_with("\"x/data.pkl\": it has two sets of 64-bit sizes"), "{error}");
    let error = broken(|zip| zip.members[0].extra = b"FB\xff\xffZZ".to_vec());
    assert!(error.starts_with("\"x/data.pkl\": its extra fields are cut short"), "{error}");
    let error = broken(|zip| {
        let real = u64::from(zip.members[0].size);
        (zip.members[0].size, zip.members[0].packed) = (u32::MAX, u32::MAX);
        zip.members[0].extra = extra(&[real, u64::MAX]);
    });
    assert!(error.starts_with("\"x/data.pkl\" is stored and has two sizes"), "{error}");
    let error = broken(|zip| {
        (zip.members[0].size, zip.members[0].packed) = (u32::MAX, u32::MAX);
        zip.members[0].extra = extra(&[u64::MAX, u64::MAX]);
    });
    assert!(error.starts_with("\"x/data.pkl\": it lies outside of the archive"), "{error}");
    // The honest form: sizes of 64 bits that are the right ones.
    let mut zip = good();
    let real = u64::from(zip.members[0].size);
    (zip.members[0].size, zip.members[0].packed) = (u32::MAX, u32::MAX);
    zip.members[0].extra = extra(&[real, real]);
    assert_eq!(read(&zip.write()).len(), 6);
}

#[test]
fn two_ends_that_contradict_each_other() {
    let zip = Zip { long: true, ..good() };
    let whole = zip.write();
    let end = whole.len() - 22;
    // Counts and places of the short end, one byte each.
    for (at, problem) in [
        (end + 4, "its two end records contradict each other"),
        (end + 8, "its two end records contradict each other"),
        (end + 12, "its two end records contradict each other"),
        (end + 16, "its two end records contradict each other"),
        (end + 20, "the comment at its end has another length than promised"),
        (end - 12, "its ZIP64 end record is not where its locator says"),
        (end - 16, "it is one part of a split archive"),
        (end - 4, "it is one part of a split archive"),
        (end - 20 - 56 + 4, "its ZIP64 end record has a length that nothing writes"),
        (end - 20 - 56, "its ZIP64 end record is not where its locator says"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        let error = unopened(&bytes);
        assert!(error.contains(problem), "byte {at}: {error}");
    }
    let mut bytes = whole.clone();
    bytes.truncate(end);
    assert!(unopened(&bytes).contains("its end is missing"));
}

#[test]
fn a_table_that_hides_something() {
    let whole = good().write();
    let table = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut bytes = whole.clone();
    bytes.splice(table..table, *b"hidden bytes");
    let error = unopened(&bytes);
    assert!(error.contains("its table of contents does not end where its end record begins"), "{error}");
    // Fewer members than the table has room for.
    let mut bytes = whole.clone();
    let end = bytes.len() - 22;
    (bytes[end + 8], bytes[end + 10]) = (2, 2);
    let error = unopened(&bytes);
    assert!(error.contains("its table of contents is longer than its members need"), "{error}");
    (bytes[end + 8], bytes[end + 10]) = (200, 200);
    let error = unopened(&bytes);
    assert!(error.contains("its table of contents is cut short"), "{error}");
}

#[test]
fn versions_and_byte_orders_that_are_not_known() {
    let with = |name: &str, content: &[u8]| {
        let mut zip = good();
        zip.members.retain(|member| member.name != name.as_bytes());
        zip.members.push(Member::new(name, content));
        zip.write()
    };
    assert_eq!(unopened(&with("x/version", b"11\n")), "x.pth: version \"11\" of the format is not known");
    assert_eq!(unopened(&with("x/byteorder", b"middle")), "x.pth: the byte order \"middle\" is not known");
    assert_eq!(read(&with("x/byteorder", b"little")).len(), 6);
    let error = unopened(&with("x/version", &[b'3'; 65]));
    assert_eq!(error, "x/version in x.pth has 65 bytes, beyond the limit of 64");
}

/// A member beyond 4 GiB and one behind it, laid out as PyTorch does: sizes follow the bytes, and the extra fields of a
/// member's own header hold an offset, or a size and a zero. The bytes between are a hole in the file.
#[cfg(unix)]
#[test]
fn members_beyond_four_gigabytes() {
    use std::io::{Seek as _, SeekFrom, Write as _};

    const LARGE: u64 = 5_000_000_000;
    let long = |values: &[u64]| {
        let body: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        [1_u16.to_le_bytes().to_vec(), (body.len() as u16).to_le_bytes().to_vec(), body].concat()
    };
    let header = |name: &str, extra: &[u8]| {
        let mut bytes = b"PK\x03\x04\0\0\x08\0\0\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(extra.len() as u16).to_le_bytes());
        [&bytes, name.as_bytes(), extra].concat()
    };
    let entry = |name: &str, size: u32, offset: u32, extra: &[u8]| {
        let mut bytes = b"PK\x01\x02\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(&[size.to_le_bytes(), size.to_le_bytes()].concat());
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(extra.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(&offset.to_le_bytes());
        [&bytes, name.as_bytes(), extra].concat()
    };
    let large =
        View { class: "ByteStorage", count: LARGE as i64, size: &[LARGE as i64], stride: &[1], ..SIX };
    let pickle = Pickle::new().raw("}").text("large").tensor(&large).raw("s");
    let pickle = pickle.text("w").tensor(&View { key: "1", ..SIX }).raw("s").stop();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&[header("x/data.pkl", b""), pickle.clone()].concat()).unwrap();
    let first = file.stream_position().unwrap();
    file.write_all(&header("x/data/0", &long(&[LARGE, 0]))).unwrap();
    let place = file.stream_position().unwrap();
    let second = file.seek(SeekFrom::Current(LARGE as i64)).unwrap();
    file.write_all(&header("x/data/1", &long(&[second]))).unwrap();
    file.write_all(&floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    let table = file.stream_position().unwrap();
    file.write_all(&entry("x/data.pkl", pickle.len() as u32, 0, b"")).unwrap();
    file.write_all(&entry("x/data/0", u32::MAX, first as u32, &long(&[LARGE, LARGE]))).unwrap();
    file.write_all(&entry("x/data/1", 24, u32::MAX, &long(&[second]))).unwrap();
    let end = file.stream_position().unwrap();
    let mut record = b"PK\x06\x06\x2c\0\0\0\0\0\0\0".to_vec();
    record.extend_from_slice(&[0; 12]);
    for field in [3, 3, end - table, table] {
        record.extend_from_slice(&field.to_le_bytes());
    }
    record.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    record.extend_from_slice(&end.to_le_bytes());
    record.extend_from_slice(b"\x01\0\0\0PK\x05\x06\0\0\0\0\x03\0\x03\0");
    record.extend_from_slice(&((end - table) as u32).to_le_bytes());
    record.extend_from_slice(b"\xff\xff\xff\xff\0\0");
    file.write_all(&record).unwrap();

    let checkpoint = zoo_formats::open(&path).unwrap();
    let weights = checkpoint.state_dict().unwrap();
    let large = weights.get("large").unwrap();
    assert_eq!((large.shape(), large.in_place().unwrap().offset), (&[LARGE as usize][..], place));
    let last = weights.get("w").unwrap();
    assert_eq!(last.in_place().unwrap().offset, table - 24);
    assert_eq!(last.to_tensor().unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}
