//! Pictures against what Pillow and torchvision make of them: see `tests/fixtures/make_images.py`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zoo_run::data;
use zoo_run::image::{Picture, Recipe, decode, read};
use zoo_tensor::{DType, Tensor};

use crate::support::fixture;

fn images(name: &str) -> PathBuf {
    fixture("images").join(name)
}

fn arrays(name: &str) -> BTreeMap<String, Tensor> {
    let arrays: BTreeMap<String, Tensor> = data::read(&images(name)).unwrap().into_iter().collect();
    assert!(!arrays.is_empty());
    arrays
}

fn table(name: &str) -> Value {
    let file = zoo_tensor::map::map_file(&images(name)).unwrap();
    serde_json::from_slice(&file).unwrap()
}

/// How samples differ from those that are expected.
#[derive(Debug)]
struct Difference {
    largest: u8,
    mean: f64,
    count: usize,
}

/// The difference between a picture and an array of height x width x 3 bytes.
fn difference(name: &str, picture: &Picture, expected: &Tensor) -> Difference {
    assert_eq!(expected.shape(), [picture.height(), picture.width(), 3], "{name}");
    let pairs = picture.samples().iter().zip(expected.bytes().unwrap());
    let levels: Vec<u8> = pairs.map(|(found, expected)| found.abs_diff(*expected)).collect();
    Difference {
        largest: levels.iter().copied().max().unwrap(),
        mean: levels.iter().map(|&level| f64::from(level)).sum::<f64>() / levels.len() as f64,
        count: levels.iter().filter(|&&level| level > 0).count(),
    }
}

/// How far a JPEG may be from Pillow's, and its samples on average: decoders are free to round, and to interpolate colours
/// that are stored at half the size. These are what was measured, rounded up.
fn tolerance(name: &str) -> (u8, f64) {
    match name {
        "photo.jpg" => (6, 0.4),
        "turned.jpg" | "progressive.jpg" => (3, 0.4),
        "grey.jpg" | "cmyk.jpg" => (1, 0.02),
        _ => (0, 0.0),
    }
}

#[test]
fn pictures_are_decoded_as_by_pillow() {
    let decoded = arrays("decoded.npz");
    assert_eq!(decoded.len(), 32);
    for (name, expected) in &decoded {
        let found = difference(name, &read(&images(name)).unwrap(), expected);
        let (largest, mean) = tolerance(name);
        assert!(found.largest <= largest && found.mean <= mean, "{name}: {found:?}");
    }
}

#[test]
fn what_is_no_picture_is_named() {
    let message = |path: PathBuf| read(&path).unwrap_err().to_string();
    assert!(message(images("decoded.npz")).ends_with("it is no picture but looks like a zip archive"));
    assert!(message(fixture("make_images.py")).contains("no picture but looks like text"));
    assert!(message(images("none.png")).contains("none.png"));
    assert!(decode("x", b"\x01\x02").unwrap_err().to_string().contains("none of JPEG, PNG"));
    assert!(decode("x", b"").unwrap_err().to_string().contains("cannot read x as a picture"));
}

/// A header can promise more than any memory holds; nothing is reserved for it.
#[test]
fn sizes_are_bounded_before_memory_is_reserved() {
    let promise = |name: &str, at: usize, width: &[u8], height: &[u8]| {
        let mut file = zoo_tensor::map::map_file(&images(name)).unwrap().to_vec();
        file[at..at + width.len()].copy_from_slice(width);
        file[at + width.len()..at + width.len() + height.len()].copy_from_slice(height);
        if file.starts_with(b"\x89PNG") {
            // The header's checksum, without which it would not be believed.
            let sum = checksum(&file[12..29]);
            file[29..33].copy_from_slice(&sum.to_be_bytes());
        }
        decode(name, &file).unwrap_err().to_string()
    };
    let large = 65_535_u32;
    let png = promise("rgb.png", 16, &large.to_be_bytes(), &large.to_be_bytes());
    assert!(
        png.contains("rgb.png: a picture of 65535 by 65535 pixels goes beyond the limit of 89478485 pixels"),
        "{png}"
    );
    let long = promise("rgb.png", 16, &(1_u32 << 30).to_be_bytes(), &1_u32.to_be_bytes());
    assert!(long.contains("rgb.png"), "{long}");
    let gif = promise("palette.gif", 6, &[0xff; 2], &[0xff; 2]);
    assert!(gif.contains("palette.gif: a picture of 65535 by 65535 pixels"), "{gif}");
    let bmp = promise("rgb.bmp", 18, &large.to_le_bytes(), &large.to_le_bytes());
    assert!(bmp.contains("rgb.bmp"), "{bmp}");
}

/// CRC-32 as PNG and zip have it, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is done to a file, reading it ends in a picture or an error.
    #[test]
    fn damaged_files_are_refused_or_read(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6), cut: u16) {
        for name in ["rgb.png", "rgba_16.png", "turned.jpg", "partial.gif", "palette.bmp", "lossy.webp", "lzw.tif"] {
            let mut file = zoo_tensor::map::map_file(&images(name)).unwrap().to_vec();
            let length = file.len();
            for (place, value) in &changes {
                file[usize::from(*place) % length] = *value;
            }
            let _ = decode(name, &file);
            let _ = decode(name, &file[..usize::from(cut) % length]);
        }
    }
}

/// Pillow computes with whole numbers, which leave no choice. PyTorch computes with floats, whose last bit depends on the
/// processor, and rounds them: a sample in some thousands, nearly halfway between two levels, may go to the other.
#[test]
fn resizing_is_pillows_and_pytorchs() {
    let sources: BTreeMap<&str, Picture> =
        ["noise", "checks"].map(|name| (name, read(&images(&format!("{name}.png"))).unwrap())).into();
    let resized = arrays("resized.npz");
    assert_eq!(resized.len(), 2 * 8 * 7);
    let mut halfway = 0;
    for (name, expected) in &resized {
        let [source, _, filter, whose] = name.split('/').collect::<Vec<_>>().try_into().unwrap();
        let recipe = json!({
            "kind": "image", "layout": "NHWC", "channels": "RGB",
            "steps": [{
                "op": "resize", "rule": "exact", "size": expected.shape()[..2],
                "filter": filter, "antialias": whose == "pillow",
            }],
        });
        let placed = Recipe::from_json(&recipe).unwrap().place(&sources[source]).unwrap();
        let found = difference(name, &placed, expected);
        match whose {
            "pillow" => assert_eq!(found.count, 0, "{name}: {found:?}"),
            _ => assert!(found.largest <= 1, "{name}: {found:?}"),
        }
        halfway += found.count;
    }
    assert!(halfway <= 4, "{halfway} samples differ from PyTorch's");
}

#[test]
fn presets_are_torchvisions_to_the_last_bit() {
    let presets = table("presets.json");
    assert_eq!(presets.as_array().unwrap().len(), 3 * 6);
    for preset in presets.as_array().unwrap() {
        let name = format!("{} of {}", preset["weights"], preset["source"]);
        let recipe = Recipe::from_json(&preset["recipe"]).unwrap();
        let picture = read(&images(preset["source"].as_str().unwrap())).unwrap();
        let tensor = recipe.tensor(&[recipe.place(&picture).unwrap()], DType::F32).unwrap();
        assert_eq!(json!(tensor.shape()), preset["shape"], "{name}");
        let every = preset["every"].as_u64().unwrap() as usize;
        let samples: Vec<f32> = tensor.to_vec::<f32>().unwrap().into_iter().step_by(every).collect();
        let expected: Vec<f32> = serde_json::from_value(preset["samples"].clone()).unwrap();
        assert_eq!(samples, expected, "{name}");
        let digest = Sha256::digest(tensor.bytes().unwrap());
        let hex = preset["sha256"].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        assert_eq!(digest.to_vec(), (0..hex.len() / 2).map(byte).collect::<Vec<_>>(), "{name}");
    }
}

/// Frames are tensors before they are resized, and become one tensor.
#[test]
fn videos_are_prepared_as_by_torchvision() {
    let frames = [0, 1].map(|index| read(&images(&format!("frame_{index}.png"))).unwrap());
    let recipes = table("video.json");
    let expected = arrays("video.npz");
    assert_eq!(expected.len(), 2);
    for (name, expected) in &expected {
        let recipe = Recipe::from_json(&recipes[name]).unwrap();
        let placed = frames.each_ref().map(|frame| recipe.place(frame).unwrap());
        let tensor = recipe.tensor(&placed, DType::F32).unwrap();
        let &[1, 3, 2, height, width] = tensor.shape() else { panic!("{:?}", tensor.shape()) };
        assert_eq!(expected.shape(), [1, 3, 2, height.div_ceil(4), width.div_ceil(4)], "{name}");
        let values = tensor.to_vec::<f32>().unwrap();
        let kept: Vec<f32> = values
            .chunks_exact(width)
            .enumerate()
            .filter(|(row, _)| row % height % 4 == 0)
            .flat_map(|(_, row)| row.iter().copied().step_by(4))
            .collect();
        assert_eq!(kept, expected.to_vec::<f32>().unwrap(), "{name}");
    }
}
