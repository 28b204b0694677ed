//! From a picture to its label, through everything: a hub, a checkpoint, a graph that points into it, the picture's preparation, the
//! engine, and the words at the end.
//!
//! The network is a narrow ResNet-50 whose last layer was made to know two pictures: what the layers before it make of each is
//! measured once, and the classifier's rows are set to tell the two apart.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zoo_core::stage::{StageOptions, Target};
use zoo_run::Runner as _;
use zoo_run::image::{Recipe, read};
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tensor::{DType, Tensor};
use zoo_tests::networks::{self, Network};
use zoo_tests::torchvision::TorchZoo;

use crate::support::{self, Finished};

/// The pictures, and the classes of ImageNet that they are to be.
const KNOWN: [(&str, usize, &str); 2] = [("photo.jpg", 281, "tabby"), ("noise.png", 207, "golden retriever")];

/// As in `ResNet50_Weights.DEFAULT`.
fn recipe() -> Recipe {
    let steps = json!([
        {"op": "resize", "size": 232, "rule": "shorter_side", "filter": "bilinear", "antialias": true},
        {"op": "center_crop", "size": [224, 224]},
        {"op": "rescale", "factor": 1.0 / 255.0},
        {"op": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    ]);
    Recipe::from_json(
        &json!({"kind": "image", "steps": steps, "layout": "NCHW", "channels": "RGB", "input": "input"}),
    )
    .unwrap()
}

fn picture(name: &str) -> PathBuf {
    zoo_tests::fixtures().join("images").join(name)
}

/// What the layers before the classifier make of a picture.
fn features(network: &mut Network, folder: &Path, name: &str) -> Vec<f32> {
    let width = network.tensors().iter().find(|(own, _)| own == "fc.weight").unwrap().1.shape()[1];
    let mut identity = vec![0.0_f32; width * width];
    identity.iter_mut().step_by(width + 1).for_each(|diagonal| *diagonal = 1.0);
    network.replace("fc.weight", Tensor::from_slice([width, width], &identity).unwrap()).unwrap();
    network.replace("fc.bias", Tensor::from_slice([width], &vec![0.0_f32; width]).unwrap()).unwrap();
    let (pth, onnx) = (folder.join("features.pth"), folder.join("features.onnx"));
    network.write_pth(&pth).unwrap();
    let mut options = StageOptions::to(Target::Onnx);
    options.arch = Some("resnet50".to_owned());
    zoo_torch::stage::stage(&pth, &onnx, &options, None).unwrap();
    let recipe = recipe();
    let placed = recipe.place(&read(&picture(name)).unwrap()).unwrap();
    let input = recipe.tensor(&[placed], DType::F32).unwrap();
    let mut runner = OrtRunner::load(&support::library(), &onnx, &OrtOptions::default()).unwrap();
    runner.run(&[("input".to_owned(), input)]).unwrap()[0].1.to_f32_vec().unwrap()
}

/// A checkpoint of a ResNet-50 that knows the two pictures.
fn knowing(folder: &Path) -> PathBuf {
    let mut network = networks::load("resnet50").unwrap();
    let [a, b] = KNOWN.map(|(name, ..)| features(&mut network, folder, name));
    let apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let square: f32 = apart.iter().map(|d| d * d).sum();
    assert!(square > 0.0, "the network sees a difference");
    let middle: f32 = a.iter().zip(&b).zip(&apart).map(|((a, b), d)| (a + b) / 2.0 * d).sum();
    // At the one picture a row gives +12, at the other -12; all other classes stay at 0.
    let gain = 24.0 / square;
    let (mut weight, mut bias) = (vec![0.0_f32; 1000 * a.len()], vec![0.0_f32; 1000]);
    for ((_, class, _), sign) in KNOWN.into_iter().zip([1.0, -1.0]) {
        let row = &mut weight[class * a.len()..(class + 1) * a.len()];
        row.iter_mut().zip(&apart).for_each(|(w, d)| *w = sign * gain * d);
        bias[class] = -sign * gain * middle;
    }
    network.replace("fc.weight", Tensor::from_slice([1000, a.len()], &weight).unwrap()).unwrap();
    network.replace("fc.bias", Tensor::from_slice([1000], &bias).unwrap()).unwrap();
    let path = folder.join("knowing.pth");
    network.write_pth(&path).unwrap();
    path
}

#[test]
fn a_picture_gets_its_label() {
    let scratch = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let served = TorchZoo::new(scratch.path(), &[("resnet50", knowing(scratch.path()))]).unwrap();
    let mirror = served.serve(zoo_tests::mirror()).unwrap().start().unwrap();
    let zoo = |arguments: &[&str]| {
        let mut command = support::zoo(home.path(), Some(&mirror));
        command
            .env("ZOO_TORCHVISION_CATALOG", served.catalog())
            .env("ZOO_TORCH_ENDPOINT", mirror.torch_endpoint());
        command.args(arguments);
        Finished::of(command)
    };

    let path = zoo(&["pull", "torchvision:resnet50"]).done();
    assert!(path.trim().ends_with("model.onnx"), "{path}");
    let graph = zoo_core::fs::file_len(path.trim().as_ref()).unwrap();
    assert!(graph < 2_000_000, "a graph of {graph} bytes");

    for (name, class, label) in KNOWN {
        let file = picture(name);
        let file = file.to_str().unwrap();
        let told = zoo(&["run", "torchvision:resnet50", "--image", file]).done();
        let labels: Vec<&str> =
            told.lines().skip_while(|line| !line.contains("PROBABILITY")).skip(1).collect();
        assert_eq!(labels.iter().filter(|line| line.contains('.')).count(), 5, "the five likeliest: {told}");
        assert!(labels[0].contains(label) && labels[0].contains("0.99"), "{name}: {told}");

        let told: Value =
            serde_json::from_str(&zoo(&["--json", "run", "torchvision:resnet50", "--image", file]).done())
                .unwrap();
        let first = &told["results"][0]["classes"][0];
        assert_eq!((&first["class"], &first["label"]), (&json!(class), &json!(label)), "{told}");
    }
}
