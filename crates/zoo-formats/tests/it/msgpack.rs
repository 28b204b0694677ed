//! msgpack files that Flax wrote, compared with what Flax reads from them; and files that are damaged or refused.

use std::path::{Path, PathBuf};

use crate::support::{OneFile, hex, unopened, untaken, use_up};
use zoo_formats::{Container, Looks, Sniffed, open, sniff};

/// A file of `tests/fixtures/msgpack`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/msgpack").join(name)
}

#[expect(clippy::disallowed_methods, reason = "a file of this repository")]
fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

#[test]
fn every_byte_is_flaxs() {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let notes: serde_json::Value = serde_json::from_str(&text).unwrap();
    let files = notes["files"].as_object().unwrap();
    assert_eq!(files.len(), 3, "a file was added or lost");
    for (file, arrays) in files {
        let arrays = arrays.as_array().unwrap();
        let checkpoint = open(&fixture(file)).unwrap();
        assert_eq!(checkpoint.container(), Container::Msgpack);
        let weights = checkpoint.state_dict().unwrap();
        let names: Vec<_> = arrays.iter().map(|array| array["name"].as_str().unwrap()).collect();
        assert_eq!(weights.names().collect::<Vec<_>>(), names, "{file}");
        for array in arrays {
            let name = array["name"].as_str().unwrap();
            let weight = weights.get(name).unwrap();
            let shape: Vec<usize> = serde_json::from_value(array["shape"].clone()).unwrap();
            let dtype = array["dtype"].as_str().unwrap();
            assert_eq!((weight.dtype().name(), weight.shape()), (dtype, &shape[..]), "{file}: {name}");
            let read = hex(weight.to_tensor().unwrap().bytes().unwrap());
            assert_eq!(read, array["bytes"].as_str().unwrap(), "{file}: {name}");
            assert_eq!(weight.in_place().is_none(), name == "inner.chunked", "{file}: {name}");
        }
    }
}

#[test]
fn what_is_no_array_is_listed() {
    let checkpoint = open(&fixture("nested.msgpack")).unwrap();
    let [dictionary] = checkpoint.dictionaries() else { panic!() };
    let skipped: Vec<_> = dictionary.skipped.iter().map(|it| format!("{}: {}", it.name, it.what)).collect();
    assert_eq!(
        skipped,
        [
            "bytes: bytes",
            "complex: a complex number",
            "flag: a truth value",
            "name: text",
            "nothing: nil",
            "rate: a float",
            "step: an integer",
        ]
    );
    assert_eq!((dictionary.others, dictionary.path.as_str()), (7, ""));
}

/// `{"a": [[3], "float32", 12 bytes]}`, of which each part can be another one.
fn array(shape: &[u8], dtype: &[u8], elements: &[u8]) -> Vec<u8> {
    let payload = [&b"\x93"[..], shape, dtype, elements].concat();
    [b"\x81\xa1a\xc7", &[payload.len() as u8, 1][..], &payload].concat()
}

const SHAPE: &[u8] = b"\x91\x03";
const F32: &[u8] = b"\xa7float32";
const TWELVE: &[u8] = b"\xc4\x0c............";

#[test]
fn the_assembler_makes_good_files() {
    let file = OneFile::of(&array(SHAPE, F32, TWELVE));
    assert_eq!(file.open().unwrap().state_dict().unwrap().get("a").unwrap().shape(), [3]);
}

#[test]
fn what_contradicts_itself() {
    for (bytes, message) in [
        (array(b"\x91\x04", F32, TWELVE), "an array of type f32 and shape [4] has 12 bytes"),
        (array(b"\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x02", F32, TWELVE), "has 12 bytes"),
        (array(b"\xc0", F32, TWELVE), "the shape of an array is no list"),
        (array(b"\x91\xff", F32, TWELVE), "a size of an array is no number"),
        (array(b"\xdc\xff\xff", F32, TWELVE), "an array has 65535 axes"),
        (array(SHAPE, b"\xc0", TWELVE), "the type of an array is nil"),
        (array(SHAPE, F32, b"\xc0"), "the elements of an array are no bytes"),
        (array(SHAPE, F32, &[TWELVE, b"x"].concat()), "something follows the elements of an array"),
        (
            array(SHAPE, F32, b"\xc6\xff\xff\xff\xff"),
            "a value of 4294967295 bytes begins 0 bytes before the end",
        ),
        ([&array(SHAPE, F32, TWELVE)[..], b"x"].concat(), "1 bytes follow the outermost map"),
        (b"\x82\xa1a\x01".to_vec(), "a value of 1 bytes begins 0 bytes before the end"),
        (b"\x82\xa1a\x01\x05\x01".to_vec(), "an integer is the key of a map"),
        (b"\x82\xa1a\x01\xa1\xff\x01".to_vec(), "a key is no UTF-8"),
        (b"\x82\xa1a\x01\xa1b\xc1".to_vec(), "0xc1 begins no value"),
        (
            [b"\x82", &array(SHAPE, F32, TWELVE)[1..], &array(SHAPE, F32, TWELVE)[1..]].concat(),
            "two arrays are called \"a\"",
        ),
        (b"\x82\xa1a\x01\xb9__msgpack_chunked_array__\xc3".to_vec(), "is described by another map"),
    ] {
        let error = unopened(&bytes);
        assert!(error.starts_with("x.pth is a damaged msgpack file: ") && error.contains(message), "{error}");
    }
    assert_eq!(
        untaken(&array(SHAPE, b"\xa4int4", TWELVE)),
        "1 tensor cannot be taken from x.pth: \"a\" is of type int4, which zoo has no name for"
    );
}

/// A map with one entry is two bytes: without a bound, a megabyte would be half a million maps inside each other.
#[test]
fn nesting_is_bounded() {
    let error = unopened(&b"\x81\xa1a".repeat(1000));
    assert_eq!(error, "x.pth has 201 maps inside each other, beyond the limit of 200");
}

#[test]
fn truncated_at_every_byte() {
    for name in ["chunked.msgpack", "nested.msgpack"] {
        let bytes = bytes_of(name);
        let file = OneFile::of(&bytes);
        use_up(&file.path()).unwrap();
        let handle = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        for length in (0..bytes.len() as u64).rev() {
            handle.set_len(length).unwrap();
            assert!(use_up(&file.path()).is_err(), "{name} is read with {length} bytes");
        }
    }
}

#[test]
fn flipped_bytes() {
    for name in ["chunked.msgpack", "types.msgpack"] {
        let mut bytes = bytes_of(name);
        for at in 0..bytes.len() {
            let original = bytes[at];
            for changed in [original ^ 1, original ^ 0x80, 0xff] {
                bytes[at] = changed;
                let _ = use_up(&OneFile::of(&bytes).path());
            }
            bytes[at] = original;
        }
    }
}

#[test]
fn what_looks_like_it() {
    let looks = |bytes: &[u8]| sniff(&OneFile::of(bytes).path()).unwrap();
    let msgpack = Sniffed::Container(Container::Msgpack);
    assert_eq!(looks(&array(SHAPE, F32, TWELVE)), msgpack);
    assert_eq!(looks(&array(SHAPE, F32, TWELVE)[..10]), msgpack, "its reader will say what is missing");
    assert_eq!(looks(b"\xde\x00\x01\xa1a\x05"), msgpack);
    assert_eq!(looks(b"\x81\xa1a\x81\xa1b\xc4\x01x"), Sniffed::Other(Looks::Unknown), "not what Flax writes");
    assert_eq!(looks(b"\x81\xa1\xff\x05"), Sniffed::Other(Looks::Unknown));
    assert_eq!(looks(b"\x80"), Sniffed::Other(Looks::Pickle));
}
