//! Every file that PyTorch wrote, read by zoo, compared with what PyTorch reads from it: names in order, types, shapes, and
//! every byte. And what zoo says of each file.

use std::fmt::Write as _;

use crate::support::{bytes_of, expected, fixture, hex};
use zoo_formats::{Container, Error, Looks, Quantizer, Sniffed, StateDict, open, sniff};
use zoo_tensor::Weight;

/// Compares a state dict with what PyTorch reads.
fn assert_same(file: &str, weights: &StateDict, expected: &[serde_json::Value]) {
    let names: Vec<_> = expected.iter().map(|tensor| tensor["name"].as_str().unwrap()).collect();
    assert_eq!(weights.names().collect::<Vec<_>>(), names, "{file}");
    for tensor in expected {
        let name = tensor["name"].as_str().unwrap();
        let weight = weights.get(name).unwrap();
        let sizes = tensor["shape"].as_array().unwrap().iter();
        let shape: Vec<usize> = sizes.map(|size| size.as_u64().unwrap() as usize).collect();
        let dtype = tensor["dtype"].as_str().unwrap();
        assert_eq!((weight.dtype().name(), weight.shape()), (dtype, shape.as_slice()), "{file}: {name}");
        let read = weight.to_tensor().unwrap();
        assert_eq!(hex(read.bytes().unwrap()), tensor["bytes"].as_str().unwrap(), "{file}: {name}");
        let quantized = tensor.get("dequantised").map(|bytes| bytes.as_str().unwrap());
        assert_eq!(weights.quantizer(name).is_some(), quantized.is_some(), "{file}: {name}");
        if let Some(numbers) = quantized {
            let read = weights.dequantised(name).unwrap().unwrap().to_tensor().unwrap();
            assert_eq!(hex(read.bytes().unwrap()), numbers, "{file}: {name}");
        }
    }
}

#[test]
fn every_byte_is_pytorchs() {
    let expected = expected();
    assert_eq!(expected.len(), 29, "a file was added or lost");
    for (file, tensors) in &expected {
        let checkpoint = open(&fixture(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let weights = checkpoint.state_dict().unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_same(file, weights, tensors);
    }
}

/// What is said of every file: kind, origin, other dictionaries, foreign names, warnings, or the refusal and what to do.
#[test]
fn what_is_said_of_each_file() {
    let mut files: Vec<_> =
        std::fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort_unstable();
    let mut text = String::new();
    for file in files {
        let file = file.to_str().unwrap();
        writeln!(text, "{file}").unwrap();
        let error = match open(&fixture(file)) {
            Err(error) => Some(error),
            Ok(checkpoint) => {
                writeln!(text, "  {}: {}", checkpoint.container(), checkpoint.origin()).unwrap();
                let taken = checkpoint.origin().taken.as_ref();
                for dictionary in checkpoint.dictionaries().iter().filter(|other| Some(*other) != taken) {
                    writeln!(text, "  also: {dictionary}").unwrap();
                }
                for dictionary in checkpoint.dictionaries() {
                    for skipped in &dictionary.skipped {
                        writeln!(text, "  no tensor: \"{}\", {}", skipped.name, skipped.what).unwrap();
                    }
                }
                for global in checkpoint.foreign_globals() {
                    writeln!(text, "  foreign: {global}").unwrap();
                }
                for warning in checkpoint.warnings() {
                    writeln!(text, "  warning: {warning}").unwrap();
                }
                checkpoint.state_dict().err()
            }
        };
        if let Some(error) = error {
            let shown = error
                .to_string()
                .replace(&format!("{}/", fixture("").display()), "")
                .replace(fixture("").to_str().unwrap(), "");
            writeln!(text, "  error: {shown}").unwrap();
            if let Some(hint) = error.hint() {
                writeln!(text, "  hint: {hint}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn weights_lie_where_the_file_has_them() {
    for (file, aligned) in
        [("plain.pth", true), ("legacy.pth", false), ("weights.safetensors", false), ("module.pth", true)]
    {
        let bytes = bytes_of(file);
        let checkpoint = open(&fixture(file)).unwrap();
        for (name, weight) in checkpoint.state_dict().unwrap().iter() {
            let place = weight.in_place().unwrap_or_else(|| panic!("{file}: {name} is not in place"));
            let there = &bytes[place.offset as usize..(place.offset + place.length) as usize];
            assert_eq!(there, &weight.to_tensor().unwrap().bytes().unwrap()[..], "{file}: {name}");
            assert!(!aligned || place.offset % 64 == 0, "{file}: {name} begins at {}", place.offset);
        }
    }
}

#[test]
fn layouts_are_kept() {
    for file in ["views.pth", "legacy_views.pth"] {
        let checkpoint = open(&fixture(file)).unwrap();
        let weights = checkpoint.state_dict().unwrap();
        let strides = |name: &str| weights.get(name).unwrap().place().unwrap().strides.clone();
        for (name, expected) in [
            ("every_third", vec![3]),
            ("transposed", vec![1, 2]),
            ("channels_last", vec![12, 1, 6, 3]),
            ("permuted", vec![2, 12, 1, 4]),
            ("expanded", vec![1, 0]),
            ("expanded_scalar", vec![0, 0]),
            ("column", vec![3, 1]),
            ("diagonal", vec![4]),
        ] {
            assert_eq!(strides(name), Some(expected), "{file}: {name}");
            assert!(weights.get(name).unwrap().in_place().is_none(), "{file}: {name}");
        }
        for name in ["first", "rest", "scalar", "scalar_of_vector", "empty", "empty_view", "ones"] {
            assert!(weights.get(name).unwrap().in_place().is_some(), "{file}: {name}");
        }
        // Two names of one tensor, and two views of one storage.
        let place = |name: &str| weights.get(name).and_then(Weight::place).unwrap();
        assert_eq!(place("rest"), place("again"), "{file}");
        assert_eq!(place("rest").offset, place("first").offset + 20, "{file}");
    }
}

#[test]
fn big_endian_elements_are_marked() {
    let checkpoint = open(&fixture("big_endian.pth")).unwrap();
    for (name, weight) in checkpoint.state_dict().unwrap().iter() {
        assert_eq!(weight.place().unwrap().big_endian, name != "u8", "{name}");
    }
}

#[test]
fn a_dictionary_can_be_named() {
    let checkpoint = open(&fixture("training.pth")).unwrap();
    let paths: Vec<_> = checkpoint.dictionaries().iter().map(|dictionary| dictionary.path.as_str()).collect();
    assert_eq!(paths, ["state_dict", "model_ema.module"]);
    let weights = checkpoint.state_dict().unwrap();
    let average = checkpoint.state_dict_at("model_ema.module").unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), average.names().collect::<Vec<_>>());
    let first = |weights: &StateDict| {
        weights.get("conv.weight").unwrap().to_tensor().unwrap().to_vec::<f32>().unwrap()[3]
    };
    assert_eq!((first(weights), first(&average)), (2.5, 5.0), "the average was made twice as large");
    let error = checkpoint.state_dict_at("model").unwrap_err();
    assert!(matches!(error, Error::NoSuchDictionary { .. }));
    assert_eq!(error.hint().unwrap(), "it holds: \"state_dict\", \"model_ema.module\"");

    let two = open(&fixture("two_networks.pth")).unwrap();
    assert!(matches!(two.state_dict(), Err(Error::Ambiguous { .. })));
    assert_eq!(two.state_dict_at("decoder_net").unwrap().get("a").unwrap().shape(), [3]);
}

#[test]
fn quantizers() {
    let checkpoint = open(&fixture("quantized.pth")).unwrap();
    let weights = checkpoint.state_dict().unwrap();
    assert_eq!(weights.quantizer("qint8"), Some(&Quantizer::PerTensor { scale: 0.05, zero_point: 3 }));
    assert_eq!(weights.quantizer("qint32"), Some(&Quantizer::PerTensor { scale: 0.001, zero_point: -7 }));
    let Some(Quantizer::PerChannel { scales, zero_points, axis: 1 }) = weights.quantizer("columns") else {
        panic!()
    };
    let scales = scales.to_tensor().unwrap().to_f64_vec().unwrap();
    assert_eq!(scales.iter().map(|&scale| scale as f32).collect::<Vec<_>>(), [0.1, 0.2, 0.3, 0.7]);
    assert_eq!(zero_points.to_tensor().unwrap().to_i64_vec().unwrap(), [5, 0, 0, 9]);
    assert_eq!(weights.quantizer("plain"), None);
    assert!(weights.get("qint8").unwrap().in_place().is_some(), "the integers stay in the file");
}

#[test]
fn metadata_of_safetensors() {
    let checkpoint = open(&fixture("weights.safetensors")).unwrap();
    let metadata = checkpoint.state_dict().unwrap().metadata();
    assert_eq!(metadata.iter().collect::<Vec<_>>(), [(&"format".to_owned(), &"pt".to_owned())]);
    assert!(open(&fixture("plain.pth")).unwrap().state_dict().unwrap().metadata().is_empty());
}

#[test]
fn kinds_are_told_by_bytes() {
    for (file, kind) in [
        ("plain.pth", Sniffed::Container(Container::TorchZip)),
        ("lightning.ckpt", Sniffed::Container(Container::TorchZip)),
        ("legacy_protocol4.pth", Sniffed::Container(Container::TorchLegacy)),
        ("weights.safetensors", Sniffed::Container(Container::Safetensors)),
        ("script.pt", Sniffed::Other(Looks::TorchScript)),
        ("lite.ptl", Sniffed::Other(Looks::TorchScript)),
        ("exported.pt2", Sniffed::Other(Looks::TorchExport)),
        ("package.pt", Sniffed::Other(Looks::TorchPackage)),
        ("bare.pkl", Sniffed::Other(Looks::Pickle)),
        ("text.pkl", Sniffed::Other(Looks::TextPickle)),
        ("expected.json", Sniffed::Other(Looks::Json)),
    ] {
        assert_eq!(sniff(&fixture(file)).unwrap(), kind, "{file}");
    }
}

#[test]
fn what_is_no_file_is_an_error_with_a_path() {
    let error = open(&fixture("absent.pth")).unwrap_err();
    assert!(error.to_string().contains("absent.pth"), "{error}");
    assert!(error.hint().is_some());
    assert!(open(&fixture("")).unwrap_err().to_string().contains("is not a regular file"));
}
