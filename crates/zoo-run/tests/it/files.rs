//! Files that numpy wrote, files that nobody should have written, and files that zoo writes.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use half::bf16;
use proptest::prelude::*;
use zoo_run::data::{read, read_data_set, write_npy, write_npz};
use zoo_run::{Error, Named};
use zoo_tensor::{DType, Tensor};

use crate::support::{fixture, unpack};

/// `make_npy.py`'s rules: element `i` is `i / 2 - 1`, `i - 3`, or whether `i % 3 == 0`.
fn floats(count: i16) -> Vec<f64> {
    (0..count).map(|i| f64::from(i) / 2.0 - 1.0).collect()
}

fn integers(count: i64) -> Vec<i64> {
    (0..count).map(|i| i - 3).collect()
}

fn one(name: &str) -> Named {
    let mut tensors = read(&fixture("npy").join(name)).unwrap();
    assert_eq!(tensors.len(), 1);
    tensors.remove(0)
}

#[test]
fn arrays_that_numpy_wrote() {
    for (name, dtype, shape) in [
        ("f32", DType::F32, &[2, 3, 4][..]),
        ("f16", DType::F16, &[2, 3]),
        ("f32_big_endian", DType::F32, &[2, 3]),
        ("f32_fortran", DType::F32, &[2, 3]),
        ("f32_v2", DType::F32, &[2, 3]),
        ("f32_scalar", DType::F32, &[]),
        ("f32_empty", DType::F32, &[0, 3]),
    ] {
        let (found, tensor) = one(&format!("{name}.npy"));
        assert_eq!((found.as_str(), tensor.dtype(), tensor.shape()), (name, dtype, shape));
        let count = i16::try_from(tensor.len()).unwrap();
        assert_eq!(tensor.to_f64_vec().unwrap(), floats(count), "{name}");
    }
    let (_, tensor) = one("i64.npy");
    assert_eq!((tensor.dtype(), tensor.to_i64_vec().unwrap()), (DType::I64, integers(6)));
    let (_, tensor) = one("bool.npy");
    assert_eq!((tensor.dtype(), tensor.to_i64_vec().unwrap()), (DType::Bool, vec![1, 0, 0, 1, 0, 0]));
}

#[test]
fn archives_that_numpy_wrote() {
    for name in ["named.npz", "named_deflated.npz"] {
        let tensors = read(&fixture("npy").join(name)).unwrap();
        let names: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape())).collect();
        assert_eq!(names, [("Input3", &[1, 2, 2][..]), ("ids", &[4]), ("mask", &[2, 3])]);
        assert_eq!(tensors[0].1.to_f64_vec().unwrap(), floats(4));
        assert_eq!(tensors[1].1.to_i64_vec().unwrap(), integers(4));
        assert_eq!(tensors[2].1.to_i64_vec().unwrap(), [1, 0, 0, 1, 0, 0]);
    }
    let names: Vec<_> =
        read(&fixture("npy/positional.npz")).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["arr_0", "arr_1"]);
}

#[test]
fn pickles_and_structures_are_refused() {
    let error = read(&fixture("npy/object.npy")).unwrap_err();
    assert!(
        matches!(error, Error::Pickle { .. }) && error.to_string().contains("is a Python pickle"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("astype"));
    let error = read(&fixture("npy/structured.npy")).unwrap_err();
    assert!(error.to_string().ends_with("its elements are structures of several fields"), "{error}");
}

#[test]
fn what_zoo_writes_is_what_numpy_writes() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f32", "f16", "i64", "bool", "f32_scalar", "f32_empty"] {
        let file = format!("{name}.npy");
        let path = dir.path().join(&file);
        write_npy(&path, &one(&file).1).unwrap();
        assert_eq!(bytes(&path), bytes(&fixture("npy").join(&file)), "{name}");
    }
}

#[test]
fn archives_come_back_as_they_went() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outputs.npz");
    let strings = vec!["zoo".to_owned(), String::new(), "größer 🦓".to_owned()];
    let tensors = vec![
        ("unstack:1".to_owned(), Tensor::from_slice([2, 2], &[1.5_f32, -2.0, f32::NAN, 0.0]).unwrap()),
        ("a/b".to_owned(), Tensor::from_slice([3], &[u64::MAX, 0, 1]).unwrap()),
        ("text".to_owned(), Tensor::from_strings([3], strings).unwrap()),
        (String::new(), Tensor::from_slice([], &[true]).unwrap()),
        ("empty".to_owned(), Tensor::from_slice::<i8>([0, 2], &[]).unwrap()),
    ];
    write_npz(&path, &tensors).unwrap();
    let back = read(&path).unwrap();
    let names: Vec<_> = back.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["unstack:1", "a/b", "text", "arr_3", "empty"]);
    for ((_, wrote), (name, found)) in tensors.iter().zip(&back) {
        assert_eq!((wrote.dtype(), wrote.shape()), (found.dtype(), found.shape()), "{name}");
        assert_eq!((wrote.bytes(), wrote.strings()), (found.bytes(), found.strings()), "{name}");
    }
    let first = bytes(&path);
    write_npz(&path, &tensors).unwrap();
    assert_eq!(bytes(&path), first, "the same tensors are the same bytes");
}

#[test]
fn what_numpy_cannot_hold_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npz");
    let named = |name: &str, tensor: Tensor| (name.to_owned(), tensor);
    let brain = Tensor::from_slice([1], &[bf16::ONE]).unwrap();
    let packed = Tensor::from_bytes(DType::I4, [3], Bytes::from_static(&[1, 2])).unwrap();
    let ends = Tensor::from_strings([1], vec!["a\0".to_owned()]).unwrap();
    for (tensor, problem) in [
        (&brain, "cannot write \"x\" as a numpy array: numpy has no bf16"),
        (&packed, "cannot write \"x\" as a numpy array: numpy has no i4"),
        (&ends, "cannot write \"x\" as a numpy array: a text that ends in NUL would lose it"),
    ] {
        let error = write_npz(&path, &[named("x", tensor.clone())]).unwrap_err();
        assert_eq!(error.to_string(), problem);
        assert!(write_npy(&path, tensor).is_err());
    }
    let one = || Tensor::from_slice([1], &[1_i8]).unwrap();
    let error = write_npz(&path, &[named("arr_1", one()), named("", one())]).unwrap_err();
    assert!(error.to_string().contains("another tensor has the same name"));
    let long = Tensor::from_strings([2000], [vec!["x".repeat(1 << 20)], vec![String::new(); 1999]].concat())
        .unwrap();
    assert!(matches!(write_npz(&path, &[named("x", long)]), Err(Error::TooMuch { .. })));
    assert!(!path.exists(), "nothing is written");
    assert!(
        write_npy(&dir.path().join("absent/x.npy"), &one())
            .unwrap_err()
            .to_string()
            .contains("cannot create")
    );
}

#[test]
fn what_holds_no_tensors_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str, content: &[u8]| {
        let path = put(dir.path(), name, content);
        let error = read(&path).unwrap_err();
        (error.to_string().replace(&path.display().to_string(), "FILE"), error.hint())
    };
    assert_eq!(message("x.npy", b"").0, "FILE holds no tensors: it looks like an empty file");
    let (page, hint) = message("x.npz", b"<!DOCTYPE html><html></html>");
    assert_eq!(page, "FILE holds no tensors: it looks like a web page");
    assert!(hint.unwrap().contains(".npz"));
    let model = read(&fixture("onnx/validated/vision/classification/mnist/model/mnist-12.onnx")).unwrap_err();
    assert!(matches!(model, Error::IsModel { .. }), "{model}");
    assert!(read(dir.path()).unwrap_err().to_string().contains("not a regular file"));
    assert!(read(&dir.path().join("absent")).unwrap_err().hint().is_some());
}

#[test]
fn archives_of_other_things_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = |members: &[(&str, &[u8])]| {
        let path = dir.path().join("x.npz");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (name, content) in members {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, content).unwrap();
        }
        zip.finish().unwrap();
        read(&path).unwrap_err().to_string().replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(
        archive(&[("archive/data.pkl", b"\x80\x02.")]),
        "cannot read FILE as .npz: its member \"archive/data.pkl\" is no .npy file"
    );
    assert_eq!(
        archive(&[("x.npy", b"oops")]),
        "array \"x\" in FILE: it is no numpy array: the first bytes are wrong"
    );
    let object = bytes(&fixture("npy/object.npy"));
    let pickle = archive(&[("inputs.npy", &object)]);
    assert_eq!(pickle, "array \"inputs\" in FILE is a Python pickle, and no code from a file is run");
}

/// A deflated array of zeros is a thousandth of its size; a header may claim any size. Neither may take memory that is not
/// backed: this test would be killed.
#[test]
fn claims_take_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut claim = bytes(&fixture("npy/f32.npy"));
    let at = claim.windows(9).position(|text| text == b"(2, 3, 4)").unwrap();
    claim[at..at + 18].copy_from_slice(b"(99999999999, 10)}");
    let path = put(dir.path(), "x.npy", &claim);
    assert!(
        read(&path)
            .unwrap_err()
            .to_string()
            .ends_with("it is truncated: 3999999999960 bytes are promised and 96 are there")
    );

    let path = dir.path().join("x.npz");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, &claim).unwrap();
    zip.finish().unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("it is truncated: 3999999999960 bytes"));
}

#[test]
fn data_sets_are_read_by_number() {
    let unpacked =
        unpack(&fixture("onnx/validated/text/machine_comprehension/bert-squad/model/bertsquad-12.tar.gz"));
    let set = read_data_set(&unpacked.data_sets[0]).unwrap();
    let names = |tensors: &[Named]| tensors.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(set.name, "test_data_set_0");
    assert_eq!(
        names(&set.inputs),
        ["unique_ids_raw_output___9:0", "segment_ids:0", "input_mask:0", "input_ids:0"]
    );
    assert_eq!(names(&set.outputs), ["unstack:1", "unstack:0", "unique_ids:0"]);

    // Ten files or more: by number, not by name.
    let dir = tempfile::tempdir().unwrap();
    for number in 0..11_u8 {
        put(dir.path(), &format!("input_{number}.pb"), &pb(number));
    }
    for stray in ["._input_0.pb", "input_01.pb", "input_.pb", "input_99.txt", "output_x.pb"] {
        put(dir.path(), stray, b"\xff");
    }
    let set = read_data_set(dir.path()).unwrap();
    let values: Vec<i64> = set.inputs.iter().flat_map(|(_, tensor)| tensor.to_i64_vec().unwrap()).collect();
    assert_eq!(values, (0..11).collect::<Vec<_>>());
    assert_eq!(set.outputs, []);

    std::fs::remove_file(dir.path().join("input_9.pb")).unwrap();
    let error = read_data_set(dir.path()).unwrap_err();
    assert!(error.to_string().ends_with("is no test data set: input_9.pb is missing"), "{error}");
    assert!(error.hint().is_some());
}

/// An ONNX tensor of one byte.
fn pb(value: u8) -> Vec<u8> {
    use prost::Message as _;
    let tensor = zoo_graph::proto::TensorProto {
        dims: vec![1],
        data_type: Some(DType::U8.onnx_code()),
        raw_data: Some(vec![value].into()),
        ..Default::default()
    };
    tensor.encode_to_vec()
}

#[test]
fn data_sets_of_numpy_archives() {
    let dir = tempfile::tempdir().unwrap();
    let named = |name: &str, tensor: Tensor| (name.to_owned(), tensor);
    let stacked = Tensor::from_slice([2, 3], &[1_i32, 2, 3, 4, 5, 6]).unwrap();
    let texts = Tensor::from_strings([1, 2], vec!["a".into(), "b".into()]).unwrap();
    let old = dir.path().join("test_data_0.npz");
    write_npz(&old, &[named("inputs", stacked.clone()), named("outputs", texts)]).unwrap();
    let set = read_data_set(&old).unwrap();
    assert_eq!(set.name, "test_data_0");
    let inputs: Vec<_> =
        set.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.to_i64_vec().unwrap())).collect();
    assert_eq!(inputs, [("", vec![1, 2, 3]), ("", vec![4, 5, 6])]);
    assert_eq!(set.inputs[0].1.shape(), [3]);
    assert_eq!(set.outputs[0].1.strings().unwrap(), ["a", "b"]);

    let folder = dir.path().join("set");
    std::fs::create_dir(&folder).unwrap();
    let empty = read_data_set(&folder).unwrap_err();
    assert!(empty.to_string().ends_with("it has neither input_0.pb nor inputs.npz"), "{empty}");
    write_npz(&folder.join("inputs.npz"), &[named("x", stacked.clone())]).unwrap();
    write_npz(&folder.join("outputs.npz"), &[named("y", stacked.clone())]).unwrap();
    let set = read_data_set(&folder).unwrap();
    assert_eq!(
        (set.inputs, set.outputs),
        (vec![named("x", stacked.clone())], vec![named("y", stacked.clone())])
    );

    for (tensors, problem) in [
        (vec![named("x", stacked.clone())], "it has an array \"x\""),
        (vec![], "it has no arrays \"inputs\" and \"outputs\""),
        (vec![named("inputs", Tensor::from_slice([], &[1_i32]).unwrap())], "has no axis to count along"),
    ] {
        write_npz(&old, &tensors).unwrap();
        let error = read_data_set(&old).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    assert!(read_data_set(&dir.path().join("absent")).is_err());
}

fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::open(path).unwrap(), &mut bytes).unwrap();
    bytes
}

#[expect(clippy::disallowed_methods, reason = "a file in a temporary folder")]
fn put(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// Every kind of file, damaged: what is read is read, and what is not is an error.
fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<Vec<u8>> =
        ["f32.npy", "f32_fortran.npy", "f32_v2.npy", "object.npy", "named.npz", "named_deflated.npz"]
            .iter()
            .map(|name| bytes(&fixture("npy").join(name)))
            .collect();
    let unpacked = unpack(&fixture("onnx/validated/vision/classification/mnist/model/mnist-12.tar.gz"));
    samples.push(bytes(&unpacked.data_sets[0].join("output_0.pb")));
    samples
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        which in 0_usize..7,
        keep in 0.0_f64..=1.0,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let mut content = SAMPLES.get_or_init(samples)[which].clone();
        if damage.len() % 2 == 0 {
            content.truncate((content.len() as f64 * keep) as usize);
        }
        for (at, value) in damage {
            if !content.is_empty() {
                let at = at.index(content.len());
                content[at] = value;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = put(dir.path(), "damaged", &content);
        let _ = (read(&path), read_data_set(&path));
    }
}
