//! Every network that zoo builds, against torch's own outputs.
//!
//! The fixtures hold every builder of torchvision's classifiers, segmentation and video networks, and timm's names of the families that
//! both have, with few channels and full depth. Each is written as the checkpoint that `torch.save` would write, staged, and run in
//! ONNX Runtime at every size and batch that was recorded.

use std::collections::BTreeSet;
use std::path::Path;

use zoo_core::stage::{FloatType, ImageSize, StageOptions, Target, WeightPolicy};
use zoo_run::Runner;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tests::networks::{self, Case, Network};
use zoo_torch::stage::{Outcome, stage};

use crate::support::library;

/// The largest difference allowed, as a part of the output's standard deviation.
const RELATIVE: f64 = 1e-3;

/// The largest difference allowed where outputs are of order 1.
const ABSOLUTE: f64 = 1e-4;

#[test]
fn every_network_computes_what_torch_does() {
    let failures: Vec<String> = in_two_halves(&networks::all().unwrap(), |name| {
        let network = networks::load(name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut options = StageOptions::to(Target::Onnx);
        options.arch = Some(network.builder().to_owned());
        misses(&network, folder.path(), &options, RELATIVE)
            .into_iter()
            .map(|miss| format!("{name}: {miss}"))
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A network without a fixture is a claim that nobody checked.
#[test]
fn every_network_has_a_fixture() {
    let network =
        |name: &String| zoo_torch::stage::network_name(networks::load(name).unwrap().builder()).unwrap();
    let covered: BTreeSet<&str> = networks::all().unwrap().iter().map(network).collect();
    let uncovered: Vec<&str> = zoo_arch::networks()
        .map(|network| network.name)
        .filter(|name| !covered.contains(name) && !name.ends_with("_untransformed"))
        .collect();
    assert!(uncovered.is_empty(), "{uncovered:?}");
}

/// What nobody names is recognised, or refused with the names that fit: never taken for another network.
#[test]
fn networks_are_recognised_by_their_tensors() {
    let failures: Vec<String> = in_two_halves(&networks::all().unwrap(), |name| {
        let network = networks::load(name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (pth, out) = (folder.path().join("w.pth"), folder.path().join("model.onnx"));
        network.write_pth(&pth).unwrap();
        let told = match stage(&pth, &out, &StageOptions::to(Target::Onnx), None) {
            Ok(Outcome { network, evidence, .. }) => format!("{} {evidence}", network.name),
            Err(error) => format!("{error} {}", error.hint().unwrap_or_default()),
        };
        let known = zoo_torch::stage::network_name(network.builder()).unwrap_or_else(|| network.builder());
        let names_it = told.contains(known)
            || (network.source() == "timm" && told.contains("does not say which network"));
        if names_it { vec![] } else { vec![format!("{name}: {told}")] }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whoever names the wrong network is told which it is, and nothing is written.
#[test]
fn a_wrong_network_is_refused_with_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let (pth, out) = (folder.path().join("w.pth"), folder.path().join("model.onnx"));
    networks::load("densenet121").unwrap().write_pth(&pth).unwrap();
    for (named, told) in [
        ("densenet169", "has no tensor \"features.denseblock3.denselayer25"),
        ("resnet18", "has no tensor \"conv1.weight\""),
        ("resnet1", "there is no network `resnet1`"),
    ] {
        let mut options = StageOptions::to(Target::Onnx);
        options.arch = Some(named.to_owned());
        let error = stage(&pth, &out, &options, None).unwrap_err();
        assert!(error.to_string().contains(told), "{named}: {error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("densenet121") || hint.contains("resnet18"), "{named}: {hint}");
        assert_eq!(zoo_core::fs::list_dir(folder.path()).unwrap().len(), 1, "nothing but the checkpoint");
    }
    // What does not fit is the wish here, not the checkpoint.
    let mut options = StageOptions::to(Target::Onnx);
    options.arch = Some("densenet121".to_owned());
    options.image_size = Some(ImageSize::Fixed { height: 1, width: 1 });
    let error = stage(&pth, &out, &options, None).unwrap_err();
    assert!(error.to_string().contains("does not fit"), "{error}");
}

/// Every way to write the same network gives the same numbers, the half types within their precision.
#[test]
fn policies_and_operator_sets_do_not_change_what_is_computed() {
    let plain = StageOptions::to(Target::Onnx);
    let with = |change: &dyn Fn(&mut StageOptions)| {
        let mut options = plain.clone();
        change(&mut options);
        options
    };
    let ways = [
        (with(&|o| o.opset = Some(17)), RELATIVE),
        (with(&|o| o.opset = Some(20)), RELATIVE),
        (with(&|o| o.opset = Some(24)), RELATIVE),
        (with(&|o| o.weights = WeightPolicy::Packed), RELATIVE),
        (with(&|o| o.fold = true), RELATIVE),
        (with(&|o| o.dtype = Some(FloatType::F32)), RELATIVE),
        // Eleven and eight bits of significand, through the whole depth.
        (with(&|o| o.dtype = Some(FloatType::F16)), 0.05),
        (with(&|o| o.dtype = Some(FloatType::Bf16)), 0.4),
    ];
    let names = [
        "resnet50",
        "vit_b_16",
        "convnext_tiny",
        "swin_t",
        "mobilenet_v3_large",
        "densenet121",
        "lraspp_mobilenet_v3_large",
    ];
    let failures: Vec<String> = in_two_halves(&names.map(str::to_owned), |name| {
        let network = networks::load(name).unwrap();
        let mut failures = Vec::new();
        for (options, tolerance) in &ways {
            let folder = tempfile::tempdir().unwrap();
            let mut options = options.clone();
            options.arch = Some(name.to_owned());
            let missed = misses(&network, folder.path(), &options, *tolerance);
            failures
                .extend(missed.into_iter().map(|miss| format!("{name} {:?}: {miss}", options.recorded())));
        }
        failures
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Of the four vectors of a batch norm, folding leaves the bias; the scaled weights are weights still.
#[test]
fn folding_leaves_one_value_of_four_per_channel() {
    let network = networks::load("resnet50").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pth = folder.path().join("w.pth");
    network.write_pth(&pth).unwrap();
    let parameters = |fold: bool| {
        let mut options = StageOptions::to(Target::Onnx);
        options.arch = Some("resnet50".to_owned());
        options.fold = fold;
        stage(&pth, &folder.path().join("model.onnx"), &options, None).unwrap().parameters
    };
    let norms = network.tensors().iter().filter(|(name, _)| name.ends_with("running_var"));
    let channels: usize = norms.map(|(_, tensor)| tensor.len()).sum();
    assert_eq!(parameters(false) - parameters(true), 3 * channels as u64);
}

/// One graph for every size of image, where a network does not depend on it.
#[test]
fn a_free_image_size_serves_every_image() {
    let names = [
        "resnet18",
        "mobilenet_v2",
        "densenet121",
        "efficientnet_b0",
        "fcn_resnet50",
        "regnet_y_400mf",
        "convnext_tiny",
        "r3d_18",
    ];
    let failures: Vec<String> = in_two_halves(&names.map(str::to_owned), |name| {
        let network = networks::load(name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (pth, out) = (folder.path().join("w.pth"), folder.path().join("model.onnx"));
        network.write_pth(&pth).unwrap();
        let mut options = StageOptions::to(Target::Onnx);
        options.arch = Some(name.to_owned());
        options.image_size = Some(ImageSize::Any);
        stage(&pth, &out, &options, None).unwrap();
        let mut runner = load(&out);
        network
            .cases()
            .iter()
            .flat_map(|case| differences(&mut runner, case, RELATIVE))
            .map(|miss| format!("{name}: {miss}"))
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The pure-Rust engine opens packed models and computes the same (`cargo test -p zoo-tests --features tract pure_rust`).
#[cfg(feature = "tract")]
#[test]
fn the_pure_rust_engine_runs_packed_models() {
    use zoo_run::tract::TractRunner;

    let mut failures = Vec::new();
    for name in ["resnet50", "mobilenet_v2", "vgg11_bn", "vit_b_16", "densenet121"] {
        let network = networks::load(name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pth = folder.path().join("w.pth");
        network.write_pth(&pth).unwrap();
        for case in network.cases() {
            let [.., height, width] = case.shape[..] else { panic!("an input without a size") };
            let mut options = StageOptions::to(Target::Onnx);
            options.arch = Some(name.to_owned());
            options.weights = WeightPolicy::Packed;
            options.image_size = Some(ImageSize::Fixed { height: height as u32, width: width as u32 });
            let out = folder.path().join(format!("{}.onnx", case.name));
            stage(&pth, &out, &options, None).unwrap();
            match TractRunner::load(&out) {
                Ok(mut runner) => failures.extend(
                    differences(&mut runner, case, RELATIVE)
                        .into_iter()
                        .map(|miss| format!("{name}: {miss}")),
                ),
                Err(error) => failures.push(format!("{name}: {error}")),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Stages the network at each size of its cases, runs them, and tells what is not as torch computed it.
fn misses(network: &Network, folder: &Path, options: &StageOptions, tolerance: f64) -> Vec<String> {
    let pth = folder.join("weights.pth");
    network.write_pth(&pth).unwrap();
    let mut failures = Vec::new();
    for case in network.cases() {
        let out = folder.join(format!("{}.onnx", case.name));
        let [.., height, width] = case.shape[..] else { panic!("an input without a size") };
        let mut options = options.clone();
        // Clips have a third size, which only a graph with free sizes leaves open.
        options.image_size = Some(match case.shape.len() {
            5 => ImageSize::Any,
            _ => ImageSize::Fixed { height: height as u32, width: width as u32 },
        });
        match stage(&pth, &out, &options, None) {
            Ok(outcome) => {
                let tally = outcome.tally;
                assert_eq!(tally.used + tally.ignored, tally.all, "every tensor is used or declared unused");
                failures.extend(differences(&mut load(&out), case, tolerance));
            }
            Err(error) => {
                failures.push(format!("{}: {error} ({})", case.name, error.hint().unwrap_or_default()));
                break;
            }
        }
    }
    failures
}

fn load(model: &Path) -> OrtRunner {
    let options = OrtOptions { threads: Some(1), ..OrtOptions::default() };
    OrtRunner::load(&library(), model, &options).unwrap()
}

fn differences(runner: &mut impl Runner, case: &Case, tolerance: f64) -> Vec<String> {
    let outputs = match runner.run(&[("input".to_owned(), case.input().unwrap())]) {
        Ok(outputs) => outputs,
        Err(error) => return vec![format!("{}: {error}", case.name)],
    };
    let mut failures = Vec::new();
    for (name, expected) in &case.outputs {
        let Some((_, found)) = outputs.iter().find(|(own, _)| own == name) else {
            failures.push(format!("{}: there is no output {name}", case.name));
            continue;
        };
        match expected.difference(found) {
            Ok((difference, spread)) => {
                let of_order_one = (0.3..3.0).contains(&spread) && tolerance <= RELATIVE;
                if difference > tolerance * spread || (of_order_one && difference > ABSOLUTE) || spread == 0.0
                {
                    failures.push(format!(
                        "{}: {name} differs by {difference:.2e} of a spread of {spread:.2e}",
                        case.name
                    ));
                }
            }
            Err(error) => failures.push(format!("{}: {name}: {error:#}", case.name)),
        }
    }
    failures
}

/// Does the work for every name on two threads, and collects what it says.
fn in_two_halves(names: &[String], work: impl Fn(&str) -> Vec<String> + Sync) -> Vec<String> {
    std::thread::scope(|scope| {
        let work = &work;
        let halves: Vec<Vec<String>> =
            (0..2).map(|half| names.iter().skip(half).step_by(2).cloned().collect()).collect();
        let threads: Vec<_> = halves
            .into_iter()
            .map(|half| scope.spawn(move || half.iter().flat_map(|name| work(name)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
