//! The torchvision zoo through the crate and the command: how weights are named, fetched, proved by the digits in their names,
//! adopted from torch's own cache, and what is said when any of it fails.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zoo_core::Zoo;
use zoo_core::error::ErrorKind;
use zoo_core::handle::Handle;
use zoo_core::stage::{StageOptions, Target};
use zoo_core::store::Store;
use zoo_mirror::{Content, Fault, FaultRule, Mirror, MirrorBuilder, Role};
use zoo_tests::{networks, zoo_config};
use zoo_torch::catalog::Catalog;
use zoo_torch::{Hub, Model, TorchConfig};

use crate::support::{Finished, run, zoo};

/// The catalogue compiled in, as text.
const CATALOG: &str = include_str!("../../crates/zoo-torch/catalog/torchvision.json");

/// Long enough to be cut in the middle.
const LARGE: u64 = 6 << 20;

/// The zoo with some weights of other content, under the names that belong to it, and all others as they really are called.
struct Zoos {
    catalog: Value,
    files: Vec<(String, Content)>,
}

impl Zoos {
    /// Two weights of one builder, a large one, and one without a digest.
    fn new() -> Self {
        Self { catalog: serde_json::from_str(CATALOG).unwrap(), files: Vec::new() }
            .with("resnet18", "IMAGENET1K_V1", checkpoint("resnet18"))
            .with("resnet50", "IMAGENET1K_V1", checkpoint("resnet50"))
            .with("resnet50", "IMAGENET1K_V2", b"other weights".to_vec().into())
            .with("vgg16", "IMAGENET1K_V1", Content::Pattern(LARGE))
            .with("fasterrcnn_resnet50_fpn", "COCO_V1", b"boxes".to_vec().into())
            .with_name("quantized_resnet18", "resnet18_fbgemm_16fa66dd.pth", b"integers".to_vec().into())
    }

    /// Gives weights a content, and the catalogue the name that it has then.
    fn with(mut self, model: &str, weights: &str, content: Content) -> Self {
        let name = zoo_mirror::torch_name(&format!("{model}-xxxxxxxx.pth"), &content).unwrap();
        let digits = name.rsplit_once('-').unwrap().1.trim_end_matches(".pth").to_owned();
        let models = self.catalog["models"].as_array_mut().unwrap();
        let model = models.iter_mut().find(|m| m["model"] == model).unwrap();
        let members = model["weights"].as_array_mut().unwrap();
        let member = members.iter_mut().find(|w| w["weights"] == weights).unwrap();
        member["path"] = format!("models/{name}").into();
        member["sha256"] = digits.into();
        self.files.push((name, content));
        self
    }

    /// Gives a content to weights whose file keeps its name.
    fn with_name(mut self, model: &str, file: &str, content: Content) -> Self {
        assert!(self.catalog.to_string().contains(&format!("models/quantized/{file}")), "{model}");
        self.files.push((format!("quantized/{file}"), content));
        self
    }

    fn serve(&self) -> MirrorBuilder {
        self.files
            .iter()
            .fold(Mirror::builder(), |mirror, (name, content)| mirror.torch_file(name, content.clone()))
    }

    fn config(&self, mirror: &Mirror) -> TorchConfig {
        let mut config = TorchConfig::default();
        config.endpoint = mirror.torch_endpoint().parse().unwrap();
        config.catalog = Catalog::parse(self.catalog.to_string().as_bytes()).unwrap();
        config
    }

    fn hub(&self, home: &Path, mirror: &Mirror) -> Hub {
        Hub::with(&Zoo::open(zoo_config(home)), self.config(mirror))
    }

    fn offline(&self, home: &Path, mirror: &Mirror) -> Hub {
        let mut config = zoo_config(home);
        config.offline = true;
        Hub::with(&Zoo::open(config), self.config(mirror))
    }

    /// The first name that begins so, with its digits.
    fn file(&self, start: &str) -> &str {
        &self.files.iter().find(|(name, _)| name.starts_with(start)).unwrap().0
    }

    /// Where the catalogue is, for the command.
    fn write_catalog(&self, folder: &Path) -> PathBuf {
        let path = folder.join("torchvision.json");
        zoo_core::fs::write_atomic(&path, self.catalog.to_string().as_bytes(), false).unwrap();
        path
    }

    /// `zoo` with this catalogue.
    fn zoo(&self, home: &Path, mirror: &Mirror, arguments: &[&str]) -> Finished {
        let mut command = zoo(home, Some(mirror));
        command.env("ZOO_TORCHVISION_CATALOG", self.write_catalog(home)).args(arguments);
        Finished::of(command)
    }
}

/// What `torch.save` writes of a narrow network.
fn checkpoint(name: &str) -> Content {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("{name}.pth"));
    networks::load(name).unwrap().write_pth(&path).unwrap();
    zoo_core::fs::read_bounded(&path, 64 << 20).unwrap().into()
}

fn handle(text: &str) -> Handle {
    format!("torchvision:{text}").parse().expect("a handle")
}

async fn pull(hub: &Hub, name: &str) -> Model {
    hub.pull(&handle(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn digest(path: &Path) -> String {
    zoo_core::store::hash_file(path, &[]).unwrap().sha256().hex()
}

#[test]
fn weights_arrive_proved_by_the_digits_in_their_name_and_described() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let model = pull(&zoos.hub(home.path(), &mirror), "resnet18").await;
        let manifest = model.manifest();
        assert_eq!(manifest.handle, "torchvision:resnet18@IMAGENET1K_V1");
        assert_eq!((manifest.ecosystem.as_str(), manifest.name.as_str()), ("pytorch", "resnet18"));
        let file = &manifest.files[0];
        let digits = manifest.revision.as_str();
        assert_eq!(file.published, [format!("sha256-prefix:{digits}").parse().unwrap()]);
        assert!(file.sha256.hex().starts_with(digits) && digits.len() == 8);
        assert_eq!(file.path.as_str(), format!("original/resnet18-{digits}.pth"));
        assert!(file.source.ends_with(&format!("/models/resnet18-{digits}.pth")), "{}", file.source);
        assert_eq!(digest(&model.checkpoint().unwrap()), file.sha256.hex());
        let facts = &manifest.model;
        assert_eq!((facts.licence.as_deref(), facts.parameters), (Some("unknown"), Some(11_689_512)));
        assert_eq!(facts.labels.as_ref().unwrap()["names"][281], "tabby");
        assert_eq!(facts.preprocessing.as_ref().unwrap()["steps"][1]["size"][0], 224);
        assert_eq!(facts.other["task"], "classification");
        assert!(Store::new(home.path()).verify(model.stored()).unwrap().is_good());

        let original = model.stage(&StageOptions::to(Target::Original)).await.unwrap();
        assert_eq!(original.path(), model.checkpoint().unwrap());
        assert_eq!(model.as_it_is().unwrap(), original);
    });
}

#[test]
fn default_and_pretrained_are_different_weights_and_every_name_finds_its_own() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = zoos.hub(home.path(), &mirror);
        let newest = pull(&hub, "resnet50@DEFAULT").await;
        let legacy = pull(&hub, "resnet50@pretrained").await;
        assert_eq!(newest.manifest().handle, "torchvision:resnet50@IMAGENET1K_V2");
        assert_eq!(legacy.manifest().handle, "torchvision:resnet50@IMAGENET1K_V1");
        assert_eq!(newest.manifest().asked_for, ["IMAGENET1K_V2", "DEFAULT"]);
        assert_eq!(legacy.manifest().asked_for, ["IMAGENET1K_V1", "pretrained"]);
        assert_ne!(newest.folder(), legacy.folder());

        mirror.clear_log();
        let offline = zoos.offline(home.path(), &mirror);
        let file = format!("models/{}", zoos.files[1].0);
        let names = [
            ("resnet50", &newest),
            ("RESNET50", &newest),
            ("torchvision.models.resnet50", &newest),
            ("ResNet50_Weights.DEFAULT", &newest),
            ("ResNet50_Weights.IMAGENET1K_V2", &newest),
            ("resnet50@IMAGENET1K_V1", &legacy),
            ("resnet50@ResNet50_Weights.IMAGENET1K_V1", &legacy),
            (&file, &legacy),
        ];
        for (name, expected) in names {
            assert_eq!(pull(&offline, name).await.folder(), expected.folder(), "{name}");
        }
        let url = format!("{}/{file}", mirror.torch_endpoint()).parse().unwrap();
        let named = offline.recognise(&url).unwrap();
        assert_eq!(offline.pull(&named).await.unwrap().folder(), legacy.folder());
        let digits = legacy.manifest().revision.as_str();
        assert_eq!(pull(&offline, &format!("resnet50@{digits}")).await.folder(), legacy.folder());
        assert!(mirror.log().is_empty());
    });
}

#[test]
fn content_that_is_not_what_the_name_says_is_refused() {
    run(async {
        let zoos = Zoos::new();
        let mirror =
            zoos.serve().fault(FaultRule::new("resnet18", Fault::FlipByte { at: 1000 })).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = zoos.hub(home.path(), &mirror);
        let error = hub.pull(&handle("resnet18")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Verification);
        let said = error.to_string();
        let digits = zoos.file("resnet18-").trim_start_matches("resnet18-").trim_end_matches(".pth");
        assert!(said.contains(&format!("the hub published sha256-prefix:{digits}")), "{said}");
        assert!(error.hint().unwrap().contains("do not use it"));
        assert!(Store::new(home.path()).models().unwrap().is_empty());
        assert_eq!(files_below(&home.path().join("models"), "pth"), Vec::<PathBuf>::new());

        mirror.clear_faults();
        pull(&hub, "resnet18").await;
    });
}

/// Files with this ending, at any depth.
fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in zoo_core::fs::list_dir(folder).unwrap() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found
}

#[test]
fn what_the_server_does_not_have_is_not_found_and_answered_with_what_there_may_be() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = zoos.hub(home.path(), &mirror);
        // In the catalogue, not on the mirror.
        let error = hub.pull(&handle("resnext50_32x4d@IMAGENET1K_V1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            format!(
                "{}/models/resnext50_32x4d-7cdf4587.pth is not there (the server answered 403)",
                mirror.torch_endpoint()
            )
        );
        assert!(error.hint().unwrap().contains("`torchvision:resnext50_32x4d@IMAGENET1K_V2`"), "{error:?}");
        // Not in the catalogue: no request is made.
        mirror.clear_log();
        let error = hub.pull(&handle("resnt50")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.hint().unwrap().contains("`torchvision:resnet50`"), "{error:?}");
        let error = hub.pull(&handle("resnet50@IMAGENET1K_V9")).await.unwrap_err();
        assert!(error.hint().unwrap().contains("`resnet50@IMAGENET1K_V2`"), "{error:?}");
        assert!(mirror.log().is_empty());
        // A refusal that is none of the store's is none of a missing file.
        mirror.fault(FaultRule::new("resnet18", Fault::Status { code: 500, retry_after: None }).everywhere());
        assert_eq!(hub.pull(&handle("resnet18")).await.unwrap_err().kind(), ErrorKind::Network);
    });
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    run(async {
        let zoos = Zoos::new();
        let cut = Fault::CutAfter { bytes: LARGE / 2 };
        let mirror = zoos.serve().fault(FaultRule::new("vgg16", cut).times(1)).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let model = pull(&zoos.hub(home.path(), &mirror), "vgg16").await;
        let ranges: Vec<String> = mirror.log().into_iter().filter_map(|l| l.range).collect();
        assert!(ranges.iter().any(|range| range != "bytes=0-"), "{ranges:?}");
        let sent: u64 = mirror.log().iter().map(|l| l.sent).sum();
        assert!(sent < LARGE + LARGE / 2, "{sent} bytes for {LARGE}");
        assert_eq!(model.manifest().size(), LARGE);
    });
}

#[test]
fn without_a_network_what_is_here_serves_and_the_rest_is_refused() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let model = pull(&zoos.hub(home.path(), &mirror), "resnet18").await;
        mirror.clear_log();
        let offline = zoos.offline(home.path(), &mirror);
        let error = offline.pull(&handle("resnet50")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Offline);
        assert_eq!(error.to_string(), "`torchvision:resnet50` is not in the store, and offline mode is on");
        assert!(error.hint().unwrap().contains("resnet18"), "{error:?}");
        assert_eq!(offline.pull(&handle("resnt18")).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(offline.list().await.unwrap().len(), 166);

        // The original is good and its manifest is lost: it is written anew, from what is on this machine.
        let manifest = model.folder().join("zoo.json");
        zoo_core::fs::remove_file(&manifest).unwrap();
        assert!(offline.find(&handle("resnet18")).await.unwrap().is_none());
        pull(&offline, "resnet18").await;
        assert!(manifest.is_file() && mirror.log().is_empty());

        // Stored weights of a catalogue that is not at hand are found by name, and by what they were asked for by.
        let other = Hub::with(&Zoo::open(zoo_config(home.path())), TorchConfig::default());
        assert!(other.find(&handle("resnet18")).await.unwrap().is_none(), "torchvision's own are others");
        let mut unknown = zoos.config(&mirror);
        unknown.catalog =
            Catalog::parse(br#"{"schema": 1, "source": "nothing", "models": [], "labels": {}}"#).unwrap();
        let unknown = Hub::with(&Zoo::open(zoo_config(home.path())), unknown);
        for name in ["resnet18", "resnet18@IMAGENET1K_V1"] {
            assert_eq!(pull(&unknown, name).await.folder(), model.folder());
        }
    });
}

#[test]
fn a_damaged_file_is_found_out_and_fetched_again() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = zoos.hub(home.path(), &mirror);
        let model = pull(&hub, "resnet50").await;
        let path = model.checkpoint().unwrap();
        zoo_core::fs::remove_file(&path).unwrap();
        zoo_core::fs::write_atomic(&path, b"OTHER weights", false).unwrap();
        assert!(!Store::new(home.path()).verify(model.stored()).unwrap().is_good());
        pull(&hub, "resnet50").await;
        assert_eq!(zoo_core::fs::read_bounded(&path, 20).unwrap(), b"other weights");
    });
}

#[test]
fn torchs_own_cache_is_proved_and_adopted_and_never_changed() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let config = || {
            let mut config = zoos.config(&mirror);
            config.caches.push(cache.path().to_owned());
            config
        };
        let at = |home: &Path, offline: bool| {
            let mut settings = zoo_config(home);
            settings.offline = offline;
            Hub::with(&Zoo::open(settings), config())
        };
        let name = zoos.files[2].0.clone();
        let path = cache.path().join(&name);
        zoo_core::fs::write_atomic(&path, b"other weights", false).unwrap();
        for offline in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let model = pull(&at(home.path(), offline), "resnet50").await;
            assert_eq!(Path::new(&model.manifest().files[0].source), path);
            assert!(mirror.log().is_empty());
        }
        // torch itself would take this one without looking.
        zoo_core::fs::write_atomic(&path, b"wrong weights", false).unwrap();
        let home = tempfile::tempdir().unwrap();
        let refused = at(home.path(), true).pull(&handle("resnet50")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Offline);
        let model = pull(&at(home.path(), false), "resnet50").await;
        assert!(model.manifest().files[0].source.starts_with("http"));
        assert_eq!(zoo_core::fs::read_bounded(&path, 20).unwrap(), b"wrong weights");
    });
}

#[test]
fn a_file_whose_name_has_no_digits_is_pinned_as_it_came() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = zoos.hub(home.path(), &mirror);
        let model = pull(&hub, "quantized_resnet18@IMAGENET1K_FBGEMM_V1").await;
        let manifest = model.manifest();
        assert_eq!(manifest.revision.as_str(), "resnet18_fbgemm_16fa66dd");
        assert!(manifest.files[0].published.is_empty() && manifest.files[0].sha256.hex().len() == 64);
        assert_eq!(manifest.model.other["quantized_for"], "fbgemm");
        mirror.clear_log();
        pull(&hub, "resnet18_fbgemm_16fa66dd.pth").await;
        assert!(mirror.log().is_empty());
    });
}

fn json(finished: Finished) -> Value {
    let printed = finished.done();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

#[test]
fn the_command_pulls_originals_shows_lists_and_removes_them() {
    let zoos = Zoos::new();
    let mirror = zoos.serve().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let zoo = |arguments: &[&str]| zoos.zoo(home.path(), &mirror, arguments);

    let before = json(zoo(&["show", "--json", "torchvision:resnet50@pretrained"]));
    assert_eq!((&before["stored"], &before["labels"]["set"]), (&false.into(), &"imagenet1k".into()));
    assert!(mirror.log().is_empty(), "the catalogue is at hand");
    let path = zoo(&["pull", "--to", "original", "torchvision:resnet50"]).done();
    assert!(
        path.trim_end().ends_with(zoos.files[2].0.as_str()) && Path::new(path.trim_end()).is_file(),
        "{path}"
    );
    mirror.clear_log();
    for name in
        ["torchvision:resnet50", "ResNet50_Weights.DEFAULT", "torchvision.models.resnet50", &zoos.files[2].0]
    {
        assert_eq!(zoo(&["pull", name, "--to", "original", "--offline"]).done(), path, "{name}");
    }
    let url = format!("{}/models/{}", mirror.torch_endpoint(), zoos.files[2].0);
    assert_eq!(zoo(&["pull", &url, "--to", "original"]).done(), path);
    assert!(mirror.log().is_empty());

    let shown = zoo(&["show", "torchvision:resnet50"]).done();
    for word in
        ["IMAGENET1K_V2", "classification", "unknown", "imagenet1k (1000)", "shorter side to 232", "softmax"]
    {
        assert!(shown.contains(word), "no {word} in\n{shown}");
    }
    let found = json(zoo(&["--json", "search", "resnet50", "imagenet1k"]));
    let stored = found.as_array().unwrap().iter().filter(|line| line["stored"] == true);
    let stored: Vec<&Value> = stored.map(|line| &line["handle"]).collect();
    assert_eq!(stored, ["torchvision:resnet50@IMAGENET1K_V2"]);
    assert_eq!(json(zoo(&["--json", "list", "torchvision"])).as_array().unwrap().len(), 166);
    assert_eq!(zoo(&["cache", "path", "torchvision:resnet50"]).done(), path);
    assert!(zoo(&["cache", "ls"]).done().contains("torchvision:resnet50@IMAGENET1K_V2"));
    assert!(zoo(&["check", "torchvision:vgg16"]).refused(3).contains("no test data are published"));

    assert!(zoo(&["pull", "torchvision:resnet51"]).refused(3).contains("`torchvision:resnet50`"));
    assert!(
        zoo(&["pull", "torchvison:resnet50"]).refused(2).contains("did you mean `torchvision:resnet50`?")
    );
    let gone = zoo(&["pull", "torchvision:alexnet", "--to", "original"]).refused(3);
    assert!(gone.contains("answered 403"), "{gone}");
    let options: [&[&str]; 4] =
        [&["--arch", "resnet18"], &["--task", "x"], &["--to", "keras"], &["--to", "original", "--fold"]];
    for option in options {
        let refused = zoo(&[&["stage", "torchvision:resnet50"], option].concat());
        assert!(matches!(refused.code, Some(2 | 7)), "{option:?}: {}", refused.stderr);
    }
    zoo(&["cache", "verify"]).done();
    zoo(&["cache", "rm", "torchvision:resnet50"]).done();
    assert!(!Path::new(path.trim_end()).exists());
}

#[test]
fn pulled_weights_are_staged_in_place_once_for_each_set_of_options() {
    let zoos = Zoos::new();
    let mirror = zoos.serve().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let zoo = |arguments: &[&str]| zoos.zoo(home.path(), &mirror, arguments);
    let path = zoo(&["pull", "torchvision:resnet18"]).done();
    let path = Path::new(path.trim_end());
    assert!(path.ends_with("model.onnx") && path.is_file(), "{}", path.display());
    let digests = || (digest(path), files_below(home.path(), "onnx").len());
    let first = digests();
    mirror.clear_log();
    for arguments in [&["pull", "torchvision:resnet18"][..], &["stage", "torchvision:resnet18", "--offline"]]
    {
        assert_eq!(Path::new(zoo(arguments).done().trim_end()), path);
    }
    assert!(mirror.log().is_empty() && digests() == first);

    let manifest =
        json(zoo(&["--json", "stage", "torchvision:resnet18", "--image-size", "64x96", "--opset", "17"]));
    let made = manifest["staged"][0]["path"].as_str().unwrap();
    assert!(made.ends_with("/model-opset17-64x96.onnx"), "{made}");
    assert_eq!(manifest["model"]["inputs"][0]["shape"][2], 64);
    assert_eq!(manifest["model"]["opsets"]["ai.onnx"], 17);
    assert_eq!(manifest["staged"][0]["options"]["image-size"], "64x96");
    let shown = json(zoo(&["--json", "show", "torchvision:resnet18"]));
    assert_eq!(shown["staged"].as_array().unwrap().len(), 2);
    assert_eq!(shown["model"]["inputs"][0]["shape"][2], 224, "the usual form is the one that is shown");
    assert_eq!(shown["staged"][0]["network"], "resnet18");
    assert_eq!(zoo(&["cache", "path", "torchvision:resnet18"]).done().trim_end(), path.to_str().unwrap());
    zoo(&["cache", "verify"]).done();

    // The graph is gone, and comes back from what is here.
    zoo_core::fs::remove_file(path).unwrap();
    assert_eq!(Path::new(zoo(&["pull", "torchvision:resnet18", "--offline"]).done().trim_end()), path);
    assert_eq!(digests(), (first.0, 2));
    assert!(mirror.log().is_empty());

    // What zoo does not build is pulled all the same, and refused by name when it is staged.
    let refused = zoo(&["pull", "torchvision:fasterrcnn_resnet50_fpn"]).refused(7);
    assert!(refused.contains("fasterrcnn_resnet50_fpn") && refused.contains("--to original"), "{refused}");
    zoo(&["pull", "torchvision:fasterrcnn_resnet50_fpn", "--to", "original", "--offline"]).done();
    // Content that is no checkpoint is refused by what it is.
    let refused = zoo(&["pull", "torchvision:resnet50"]).refused(7);
    assert!(refused.contains("it is text"), "{refused}");
}

#[test]
fn a_staged_folder_stands_alone_and_runs() {
    let zoos = Zoos::new();
    let mirror = zoos.serve().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    for (name, options, weights) in
        [("in-place", &[][..], true), ("folded", &["--fold"], false), ("half", &["--dtype", "f16"], false)]
    {
        let out = work.path().join(name);
        let mut arguments = vec!["stage", "torchvision:resnet18", "-o", out.to_str().unwrap()];
        arguments.extend(options);
        let printed = zoos.zoo(home.path(), &mirror, &arguments).done();
        assert_eq!(Path::new(printed.trim_end()), out.join("model.onnx"));
        assert_eq!(out.join("original").is_dir(), weights, "{name}");
        // Moved away, without the store, the catalogue or a network.
        let moved = work.path().join(format!("{name}-moved"));
        zoo_core::fs::rename(&out, &moved).unwrap();
        crate::support::zoo_command(nowhere.path(), None, &["run", moved.to_str().unwrap()]).done();
        let shown = json(crate::support::zoo_command(
            nowhere.path(),
            None,
            &["--json", "show", moved.to_str().unwrap()],
        ));
        assert_eq!(shown["handle"], "torchvision:resnet18@IMAGENET1K_V1");
        assert_eq!(shown["model"]["labels"]["set"], "imagenet1k");
    }
}

#[test]
fn a_checkpoint_of_ones_own_is_staged_beside_itself() {
    let home = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("best.pth.tar");
    networks::load("resnet18").unwrap().write_pth(&file).unwrap();
    let zoo = |arguments: &[&str]| crate::support::zoo_command(home.path(), None, arguments);
    let text = file.to_str().unwrap();
    let staged = zoo(&["stage", text, "--arch", "resnet18"]);
    assert_eq!(staged.stderr, "");
    let path = staged.done();
    assert_eq!(Path::new(path.trim_end()), work.path().join("best.onnx"));
    assert_eq!(zoo_core::fs::list_dir(work.path()).unwrap().len(), 2);
    assert!(zoo_core::fs::list_dir(home.path()).unwrap().is_empty(), "no store is needed");
    zoo(&["run", path.trim_end()]).done();
    let recognised = zoo(&["stage", text]);
    assert!(recognised.stderr.starts_with("resnet18: "), "{}", recognised.stderr);
    assert_eq!(recognised.done(), path);
    let wrong = zoo(&["stage", text, "--arch", "resnet50"]).refused(7);
    assert!(wrong.contains("layer"), "{wrong}");
    assert!(zoo(&["run", text]).refused(7).contains("weights and no graph"));
    let inspected = json(zoo(&["show", "--json", text]));
    assert_eq!((&inspected["taken"], &inspected["foreign"]), (&"".into(), &Value::Array(vec![])));
    zoo_core::fs::write_atomic(Path::new(path.trim_end()), b"mine", false).unwrap();
    assert!(zoo(&["stage", text]).refused(2).contains("zoo did not make it"));
}

#[test]
fn every_recipe_and_task_of_the_catalogue_is_understood_where_pictures_are_prepared() {
    for entry in Catalog::embedded().entries() {
        let (handle, Some(recipe)) = (entry.handle(), entry.transform().recipe()) else { continue };
        let json = serde_json::to_value(&recipe).unwrap();
        let read = zoo_run::image::Recipe::from_json(&json);
        let read = read.unwrap_or_else(|error| panic!("{handle}: {error}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), json, "{handle}");
        let is_read = entry.task().name().parse::<zoo_run::image::Task>().is_ok();
        assert_eq!(is_read, entry.task() != zoo_torch::catalog::Task::Detection, "{handle}");
    }
}

#[test]
fn a_catalogue_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    let catalog = home.path().join("none.json");
    let mut command = zoo(home.path(), None);
    command.env("ZOO_TORCHVISION_CATALOG", &catalog).args(["list", "torchvision"]);
    assert!(Finished::of(command).refused(8).contains("none.json"));
    zoo_core::fs::write_atomic(&catalog, b"[]", false).unwrap();
    let mut command = zoo(home.path(), None);
    command.env("ZOO_TORCHVISION_CATALOG", &catalog).args(["list", "torchvision"]);
    assert!(Finished::of(command).refused(2).contains("make_catalog.py"));
}

#[test]
fn the_store_is_asked_for_the_bytes_as_they_are_and_gets_no_token() {
    run(async {
        let zoos = Zoos::new();
        let mirror = zoos.serve().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        pull(&zoos.hub(home.path(), &mirror), "resnet18").await;
        let log = mirror.log();
        assert!(
            !log.is_empty() && log.iter().all(|l| l.role == Role::Torch && !l.had_authorization),
            "{log:?}"
        );
        assert!(log.iter().all(|l| l.accept_encoding.as_deref() == Some("identity")), "{log:?}");
    });
}
