//! The mirror's honesty: the hubs' own clients, unmodified, download from it; and what they leave on the machine serves zoo.
//!
//! They need Python packages, so they are ignored unless `cargo xtask test` found a Python to install these for; it then
//! names the interpreter in `ZOO_PYTHON_CLIENTS` and runs the ignored tests too. torch is too large to install for one test:
//! whoever has it names a Python with it in `ZOO_TORCH_PYTHON`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use zoo_core::Zoo;
use zoo_core::stage::{StageOptions, Target, WeightPolicy};
use zoo_mirror::{Fault, FaultRule, Mirror, Role};
use zoo_onnx::Hub;
use zoo_tests::torchvision::TorchZoo;
use zoo_tests::{networks, onnx_config, zoo_config};
use zoo_torch::TorchConfig;
use zoo_torch::catalog::Catalog;

use crate::support::{Finished, run};

/// The Python that a variable names.
fn interpreter(variable: &str) -> OsString {
    #[expect(
        clippy::disallowed_methods,
        reason = "where `cargo xtask`, or a person, says that the clients are"
    )]
    let interpreter = std::env::var_os(variable);
    interpreter.unwrap_or_else(|| panic!("{variable} has to name a Python with this test's client"))
}

/// Runs one of the scripts beside this file with nothing of this process's environment but what it is given.
fn python(script: &str, home: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Value {
    python_of("ZOO_PYTHON_CLIENTS", script, home, arguments, environment)
}

pub(crate) fn python_of(
    variable: &str,
    script: &str,
    home: &Path,
    arguments: &[&str],
    environment: &[(&str, String)],
) -> Value {
    let interpreter = interpreter(variable);
    let mut command = Command::new(interpreter);
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("it/clients").join(script)).args(arguments);
    // `onnx.hub` tells on standard output what it does; the report is the last line.
    let printed = Finished::of(command).done();
    let report = printed.lines().last().unwrap_or_default();
    serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

fn sha256(path: &Path) -> String {
    zoo_core::store::hash_file(path, &[]).expect("a readable file").sha256().hex()
}

/// The proxy, and the authority that signs for the real hosts' names.
fn through_the_proxy(mirror: &Mirror, home: &Path) -> [(&'static str, String); 2] {
    let authority = home.join("authority.pem");
    zoo_core::fs::write_atomic(&authority, mirror.authority_pem().as_bytes(), false).unwrap();
    [("HTTPS_PROXY", mirror.proxy_url()), ("SSL_CERT_FILE", authority.display().to_string())]
}

#[test]
#[ignore = "needs huggingface_hub; `cargo xtask test` installs it and runs this"]
fn huggingface_hub_finds_nothing_missing() {
    let mirror = zoo_tests::mirror().page_size(3).start().unwrap();
    let home = tempfile::tempdir().unwrap();
    // The client takes an anonymous 401 for a missing repository only from https.
    let endpoint = vec![("HF_ENDPOINT", mirror.hf_endpoint())];
    hugging_face(&mirror, home.path(), "by-endpoint", endpoint, "HfHubHTTPError");
    let proxied = through_the_proxy(&mirror, home.path()).to_vec();
    hugging_face(&mirror, home.path(), "by-proxy", proxied, "RepositoryNotFoundError");
}

/// Everything that the client's cache has of the everyday repository, and which paths the hub was asked for.
async fn adopted(home: &Path, mirror: &Mirror, cache: &Path, offline: bool) -> (zoo_hf::Model, Vec<String>) {
    mirror.clear_log();
    let mut zoo = zoo_config(home);
    zoo.offline = offline;
    let mut config = zoo_hf::HfConfig::default();
    config.endpoint = mirror.hf_endpoint().parse().unwrap();
    config.caches.push(cache.to_owned());
    let mut wanted = zoo_hf::select::Wanted::default();
    wanted.all = true;
    let hub = zoo_hf::Hub::with(&Zoo::open(zoo), config);
    let model = hub.pull(&"hf:zoo-tests/everyday".parse().unwrap(), &wanted).await.unwrap();
    (model, mirror.log().into_iter().map(|l| l.path).collect())
}

fn hugging_face(mirror: &Mirror, home: &Path, cache: &str, environment: Vec<(&str, String)>, missing: &str) {
    let mut environment = environment;
    environment.extend(["HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET"].map(|name| (name, "1".to_owned())));
    let cache = home.join(cache).display().to_string();
    let report = python("hugging_face.py", home, &[&cache], &environment);

    let files = ["config.json", "empty.txt", "folder/a b+ü#%.txt", "folder/large.bin", "weights.bin"];
    assert_eq!(report["files"], json!(files));
    let digests = report["digests"].as_object().unwrap();
    assert_eq!(digests.keys().collect::<Vec<_>>(), files);
    for (path, digest) in report["lfs"].as_object().unwrap() {
        assert_eq!(&digests[path], digest, "{path}");
    }
    assert_eq!(report["sizes"]["folder/large.bin"], (9 << 20) + 5);
    assert_eq!(report["tree"], json!(["config.json", "empty.txt", "folder", "weights.bin"]));
    assert_eq!(report["paths"], json!(["config.json", "weights.bin"]));
    assert_eq!(report["found"], json!(["zoo-tests/everyday"]));
    assert_eq!(
        report["by_author"],
        json!(["onnxmodelzoo/bertsquad-12", "onnxmodelzoo/densenet121_Opset17_timm"])
    );
    assert_eq!(report["branches"], json!(["main"]));
    let references =
        json!({ "branches": ["refs/heads/main"], "tags": ["refs/tags/v1"], "pull_requests": ["refs/pr/1"] });
    assert_eq!(report["references"], references);
    assert_eq!((&report["of_a_pull_request"], &report["expanded"]), (&json!("of a request"), &json!(1000)));
    assert_eq!(report["owner_at_last"], "zoo-tests/everyday");
    for yes in ["commit_is_folder", "same_file"] {
        assert_eq!(report[yes], true, "{yes}");
    }
    assert_eq!(report["exists"], json!([true, false]));
    assert_eq!(report["renamed"], "zoo-tests/everyday");
    for (refused, with) in [
        ("gated_without_token", "GatedRepoError"),
        ("gated_for_strangers", "GatedRepoError"),
        ("private", missing),
        ("no_repo", missing),
        ("no_revision", "RevisionNotFoundError"),
    ] {
        assert_eq!(report[refused], with, "{refused}");
    }
    assert!(report["no_file"].as_str().unwrap().ends_with("EntryNotFoundError"), "{report}");
    assert_eq!(report["disabled"], "DisabledRepoError");
    assert_eq!((&report["gated_for_members"], &report["who"]), (&json!("for members"), &json!("zoo-keeper")));
    let leaked = mirror.log().into_iter().any(|l| l.role == Role::HuggingFaceContent && l.had_authorization);
    assert!(!leaked, "the client itself sent its token to the content network");

    // The cache that the client wrote, as zoo finds it: proved, and nothing is fetched again, with a network and without.
    mirror.clear_log();
    let root = PathBuf::from(cache);
    for (offline, store) in [(false, "online"), (true, "offline")] {
        let (model, log) = run(adopted(&home.join(store), mirror, &root, offline));
        assert_eq!(model.manifest().files.len(), files.len());
        for file in &model.manifest().files {
            let path = file.path.as_str().strip_prefix("original/").unwrap();
            assert_eq!(digests[path], file.sha256.hex(), "{path}");
        }
        assert!(log.iter().all(|path| path.starts_with("/api/")) && log.is_empty() == offline, "{log:?}");
    }
}

#[test]
#[ignore = "needs onnx 1.20; `cargo xtask test` installs it and runs this"]
fn onnx_hub_loads_from_the_fork_and_its_cache_serves_zoo() {
    let mirror = zoo_tests::mirror().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let onnx_home = home.path().join("onnx");
    let mut environment = through_the_proxy(&mirror, home.path()).to_vec();
    environment.push(("ONNX_HOME", onnx_home.display().to_string()));
    let report = python("onnx_hub.py", home.path(), &[], &environment);
    assert_eq!(report["models"], 11);
    assert_eq!((&report["nodes"], &report["opset"]), (&json!(8), &json!(8)));
    let fixtures = zoo_tests::fixtures().join("onnx/validated/vision/classification/mnist/model");
    assert_eq!(report["digest"], sha256(&fixtures.join("mnist-8.onnx")));
    assert!(Path::new(report["folder"].as_str().unwrap()).join("test_data_set_1").is_dir(), "{report}");
    assert_eq!(report["gone"], "HTTP 404", "the real zoo's media are gone, and onnx.hub says so");

    // The same cache, as zoo finds it: proved, and not fetched again.
    mirror.clear_log();
    let model = run(pull_from_cache(&home.path().join("zoo"), &mirror, &onnx_home.join("hub")));
    assert_eq!(sha256(&model), sha256(&fixtures.join("mnist-8.onnx")));
    assert!(mirror.log().iter().all(|l| l.role == Role::GitHubRaw), "only the manifest was asked for");
}

async fn pull_from_cache(home: &Path, mirror: &Mirror, cache: &Path) -> PathBuf {
    let mut config = onnx_config(mirror);
    config.caches.push(cache.to_owned());
    let hub = Hub::with(&Zoo::open(zoo_config(home)), config);
    hub.pull(&"onnx:mnist-8".parse().unwrap()).await.unwrap().path()
}

#[test]
#[ignore = "needs torch: name a Python that has it in ZOO_TORCH_PYTHON"]
fn torch_hub_loads_a_checkpoint_and_its_cache_serves_zoo() {
    let home = tempfile::tempdir().unwrap();
    let mut checkpoints = Vec::new();
    for builder in ["resnet18", "resnet34"] {
        let path = home.path().join(format!("{builder}.pth"));
        networks::load(builder).unwrap().write_pth(&path).unwrap();
        checkpoints.push((builder, path));
    }
    let served = TorchZoo::new(home.path(), &checkpoints).unwrap();
    let flip = FaultRule::new("resnet34", Fault::FlipByte { at: 5000 });
    let mirror = served.serve(Mirror::builder()).unwrap().fault(flip).start().unwrap();
    let catalog = Catalog::read(served.catalog()).unwrap();
    let file = |builder| catalog.find(builder, None).unwrap().file_name().to_owned();
    let (good, wrong) = (file("resnet18"), file("resnet34"));

    let torch_home = home.path().join("torch");
    let mut environment = through_the_proxy(&mirror, home.path()).to_vec();
    environment.push(("TORCH_HOME", torch_home.display().to_string()));
    let report = python_of("ZOO_TORCH_PYTHON", "torch_hub.py", home.path(), &[&good, &wrong], &environment);
    assert_eq!(report["names"], networks::load("resnet18").unwrap().tensors().len());
    assert_eq!(report["first"][0], "conv1.weight");
    assert_eq!(report["folder"], torch_home.join("hub").display().to_string());
    assert!(report["wrong"].as_str().unwrap().starts_with("invalid hash value"), "{report}");
    assert!(report["missing"].as_str().unwrap().contains("403"), "{report}");
    assert!(mirror.log().iter().all(|l| l.role == Role::Torch), "{:?}", mirror.log());

    // The same cache, as zoo finds it: proved, and not fetched again.
    mirror.clear_log();
    let mut config = TorchConfig::default();
    config.endpoint = mirror.torch_endpoint().parse().unwrap();
    config.catalog = catalog;
    config.caches.push(torch_home.join("hub").join("checkpoints"));
    let hub = zoo_torch::Hub::with(&Zoo::open(zoo_config(&home.path().join("zoo"))), config);
    let model = run(hub.pull(&"torchvision:resnet18".parse().unwrap())).unwrap();
    assert_eq!(sha256(&model.checkpoint().unwrap()), sha256(&checkpoints[0].1));
    assert!(mirror.log().is_empty());
}

/// What zoo stages passes `onnx`'s own checker with full shape inference, in place and packed.
#[test]
#[ignore = "needs onnx: run `cargo xtask test`, or name a Python that has it in ZOO_PYTHON_CLIENTS"]
fn staged_graphs_pass_the_checker_of_onnx() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut models = Vec::new();
    for name in ["resnet50", "vit_b_16", "swin_v2_t", "maxvit_t", "googlenet", "deeplabv3_resnet50", "s3d"] {
        let network = networks::load(name).expect("a fixture");
        let pth = folder.path().join(format!("{name}.pth"));
        network.write_pth(&pth).expect("a checkpoint");
        for (way, policy) in [("in-place", WeightPolicy::InPlace), ("packed", WeightPolicy::Packed)] {
            let mut options = StageOptions::to(Target::Onnx);
            options.arch = Some(name.to_owned());
            options.weights = policy;
            let onnx = folder.path().join(format!("{name}-{way}.onnx"));
            zoo_torch::stage::stage(&pth, &onnx, &options, None).expect("a staged network");
            models.push(onnx.to_str().expect("a path that is text").to_owned());
        }
    }
    let paths: Vec<&str> = models.iter().map(String::as_str).collect();
    let report = python("onnx_checker.py", folder.path(), &paths, &[]);
    for path in &models {
        let outputs = report[path].as_object().expect("outputs");
        assert!(outputs.values().all(|dims| dims[0] == json!("batch")), "{path}: {outputs:?}");
    }
}
