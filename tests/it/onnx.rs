//! The ONNX Model Zoo through the crate: every way in which the hub serves a model, what the manifest then says, and what other
//! tools left on the machine.

use std::path::Path;

use zoo_core::Zoo;
use zoo_core::error::ErrorKind;
use zoo_core::handle::Handle;
use zoo_core::stage::{StageOptions, Target};
use zoo_mirror::{Fault, FaultRule, Mirror, Role};
use zoo_onnx::{Hub, Model, OnnxConfig};
use zoo_tests::{onnx_config, onnx_hub, zoo_config};

use crate::support::run;

fn handle(name: &str) -> Handle {
    format!("onnx:{name}").parse().expect("a handle")
}

async fn pull(hub: &Hub, name: &str) -> Model {
    hub.pull(&handle(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The paths that were asked of an origin.
fn asked(mirror: &Mirror, role: Role) -> Vec<String> {
    mirror.log().into_iter().filter(|l| l.role == role).map(|l| l.path).collect()
}

#[test]
fn every_model_of_the_zoo_arrives_proved_and_described() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = onnx_hub(home.path(), &mirror);
        let names = [
            "mnist-7",
            "mnist-8",
            "mnist-12",
            "squeezenet1.0-9",
            "shufflenet-9",
            "resnet50-caffe2-v1-9",
            "inception-v1-9",
            "resnet18-v1-7",
            "super-resolution-10",
            "roberta-base-11",
            "bertsquad-12",
            "resnet18_Opset18_timm",
            "densenet121_Opset17_timm",
            "densenet121_Opset17_torch_hub",
            "mobilenet_v3_small_Opset17",
        ];
        for name in names {
            let model = pull(&hub, name).await;
            let manifest = model.manifest();
            assert_eq!(manifest.handle, format!("onnx:{name}"));
            assert!(
                manifest
                    .files
                    .iter()
                    .all(|f| !f.published.is_empty() || f.path.as_str().contains("test_data")),
                "{name}"
            );
            assert!(!manifest.model.inputs.is_empty() && !manifest.model.outputs.is_empty(), "{name}");
            assert!(
                manifest.model.opsets.contains_key("ai.onnx") && manifest.model.ir_version.is_some(),
                "{name}"
            );
            assert!(model.path().is_file(), "{name}");
            let staged = model.stage(&StageOptions::to(Target::Onnx)).unwrap();
            assert_eq!(staged.path(), model.path());
        }
        let store = zoo_core::store::Store::new(home.path());
        let models = store.models().unwrap();
        assert_eq!(models.len(), names.len());
        assert!(models.iter().all(|model| store.verify(model).unwrap().is_good()));
    });
}

#[test]
fn each_kind_of_source_is_used_where_it_is_the_one() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = onnx_hub(home.path(), &mirror);

        pull(&hub, "mnist-8").await;
        assert!(
            asked(&mirror, Role::HuggingFace)
                .contains(&"/onnxmodelzoo/mnist-8/resolve/main/mnist-8.onnx".to_owned())
        );
        mirror.clear_log();

        let small = pull(&hub, "mnist-7").await;
        assert!(
            asked(&mirror, Role::HuggingFaceContent).is_empty(),
            "a small file comes from the hub itself"
        );
        assert_eq!(
            small.manifest().files[0].published.len(),
            2,
            "SHA-256 of the manifest, blob id of the header"
        );
        mirror.clear_log();

        let legacy = pull(&hub, "shufflenet-9").await;
        assert!(
            legacy.manifest().files[0].source.contains("/onnxmodelzoo/legacy_models/resolve/main/validated/")
        );

        let archived = pull(&hub, "inception-v1-9").await;
        assert!(archived.manifest().files[0].source.ends_with("(in inception-v1-9.tar.gz)"));
        assert!(archived.path().ends_with("original/inception-v1-9.onnx"));

        let external = pull(&hub, "resnet18-v1-7").await;
        let paths: Vec<&str> = external.manifest().files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["original/resnet18-v1-7.onnx", "original/resnet18-v1-7.onnx.data"]);
        assert_eq!(
            external.manifest().staged("onnx").unwrap().with[0].as_str(),
            "original/resnet18-v1-7.onnx.data"
        );
        mirror.clear_log();

        let export = pull(&hub, "resnet18_Opset18_timm").await;
        let pointer = "/onnx/models/main/Computer_Vision/resnet18_Opset18_timm/resnet18_Opset18.onnx";
        assert!(
            asked(&mirror, Role::GitHubRaw).contains(&pointer.to_owned()),
            "its digest is in the pointer"
        );
        assert_eq!(export.manifest().model.opsets["ai.onnx"], 18);
    });
}

#[test]
fn the_manifest_says_what_the_model_wants() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let model = pull(&onnx_hub(home.path(), &mirror), "bertsquad-12").await;
        let facts = &model.manifest().model;
        let names: Vec<&str> = facts.inputs.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(names, ["unique_ids_raw_output___9:0", "segment_ids:0", "input_mask:0", "input_ids:0"]);
        assert_eq!(
            serde_json::to_value(&facts.inputs[1].shape).unwrap(),
            serde_json::json!(["unk__493", 32])
        );
        assert_eq!(facts.inputs[1].dtype, "i64");
        assert_eq!(facts.opsets["ai.onnx"], 12);
        assert_eq!(facts.licence.as_deref(), Some("Apache-2.0"));
        assert_eq!(facts.tags, ["text", "machine comprehension", "bert-squad"]);
        assert!(
            facts
                .documentation
                .as_deref()
                .unwrap()
                .ends_with("validated/text/machine_comprehension/bert-squad")
        );
        assert!(facts.parameters.unwrap() > 20_000);
    });
}

#[test]
fn a_stored_model_answers_without_a_network_by_every_name() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        pull(&onnx_hub(home.path(), &mirror), "mnist-12").await;
        mirror.clear_log();
        let mut config = zoo_config(home.path());
        config.offline = true;
        let hub = Hub::with(&Zoo::open(config), onnx_config(&mirror));
        for name in ["mnist-12", "MNIST-12", "mnist-12@12", "mnist-12@main", "onnxmodelzoo/mnist-12"] {
            assert_eq!(pull(&hub, name).await.manifest().name.as_str(), "mnist-12");
        }
        assert!(mirror.log().is_empty());
        let error = hub.pull(&handle("mnist-8")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Offline);
        assert!(error.hint().unwrap().contains("onnx:mnist-12"), "{:?}", error.hint());
        assert_eq!(hub.pull(&handle("mnits-8")).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_damaged_model_is_repaired_with_what_is_wrong_alone() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = onnx_hub(home.path(), &mirror);
        let model = pull(&hub, "resnet18-v1-7").await;
        let data = model.folder().join("original/resnet18-v1-7.onnx.data");
        zoo_core::fs::remove_file(&data).unwrap();
        mirror.clear_log();
        let again = pull(&hub, "resnet18-v1-7").await;
        assert!(data.is_file());
        assert_eq!(again.manifest().files, {
            let mut files = model.manifest().files.clone();
            files[1].mtime_ns = again.manifest().files[1].mtime_ns;
            files
        });
        let content = asked(&mirror, Role::HuggingFaceContent);
        assert_eq!(content.len(), 1, "{content:?}");
    });
}

#[test]
fn test_data_is_fetched_when_asked_for_and_kept() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = onnx_hub(home.path(), &mirror);
        for (name, sets) in [("mnist-12", 2), ("squeezenet1.0-9", 1), ("inception-v1-9", 1)] {
            let model = pull(&hub, name).await;
            let folders = hub.test_data(&model).await.unwrap();
            assert_eq!(folders.len(), sets, "{name}");
            assert!(
                folders.iter().all(|f| f.join("input_0.pb").is_file() && f.join("output_0.pb").is_file())
            );
            mirror.clear_log();
            let model = pull(&hub, name).await;
            assert_eq!(hub.test_data(&model).await.unwrap(), folders);
            assert!(mirror.log().is_empty(), "{name}: it was here already");
            assert!(zoo_core::store::Store::new(home.path()).verify(model.stored()).unwrap().is_good());
        }
        let export = pull(&hub, "densenet121_Opset17_timm").await;
        assert_eq!(hub.test_data(&export).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn copies_of_other_tools_are_proved_and_adopted() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let fixture =
            zoo_tests::fixtures().join("onnx/validated/vision/classification/mnist/model/mnist-12.onnx");
        let digest = zoo_core::store::hash_file(&fixture, &[]).unwrap().sha256().hex();
        let bytes = zoo_core::fs::read_bounded(&fixture, 1 << 20).unwrap();
        let places = [
            format!("onnx/validated/vision/classification/mnist/model/{digest}_mnist-12.onnx"),
            format!("onnx/vision/classification/mnist/model/{digest}_mnist-12.onnx"),
            format!("hf/models--onnxmodelzoo--mnist-12/blobs/{digest}"),
        ];
        for (i, place) in places.iter().enumerate() {
            let cache = tempfile::tempdir().unwrap();
            let home = tempfile::tempdir().unwrap();
            let path = cache.path().join(place);
            zoo_core::fs::create_parent(&path).unwrap();
            zoo_core::fs::write_atomic(&path, &bytes, false).unwrap();
            let model = pull(&hub_with_caches(home.path(), &mirror, cache.path()), "mnist-12").await;
            assert!(asked(&mirror, Role::HuggingFace).is_empty(), "{place}");
            assert_eq!(Path::new(&model.manifest().files[0].source), path);

            // It needs no network, as long as the catalogue is at hand.
            zoo_core::store::Store::new(home.path()).remove(model.stored()).unwrap();
            let hub = offline_hub_with_caches(home.path(), &mirror, cache.path());
            assert_eq!(pull(&hub, "mnist-12").await.manifest().files[0].sha256.hex(), digest);

            // One of these caches is damaged: the hub is asked instead, and the cache left as it was.
            if i == 0 {
                let home = tempfile::tempdir().unwrap();
                zoo_core::fs::write_atomic(&path, &[&bytes[1..], b"x"].concat(), false).unwrap();
                let model = pull(&hub_with_caches(home.path(), &mirror, cache.path()), "mnist-12").await;
                assert!(model.manifest().files[0].source.starts_with("http"));
                assert!(path.is_file());
                mirror.clear_log();
            }
        }
    });
}

fn with_caches(mirror: &Mirror, cache: &Path) -> OnnxConfig {
    let mut config = onnx_config(mirror);
    config.caches.push(cache.join("onnx"));
    config.hf_caches.push(cache.join("hf"));
    config
}

fn hub_with_caches(home: &Path, mirror: &Mirror, cache: &Path) -> Hub {
    Hub::with(&Zoo::open(zoo_config(home)), with_caches(mirror, cache))
}

fn offline_hub_with_caches(home: &Path, mirror: &Mirror, cache: &Path) -> Hub {
    let mut config = zoo_config(home);
    config.offline = true;
    Hub::with(&Zoo::open(config), with_caches(mirror, cache))
}

#[test]
fn a_damaged_manifest_is_written_anew_and_a_repair_keeps_what_else_is_there() {
    run(async {
        let mirror = zoo_tests::mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = onnx_hub(home.path(), &mirror);
        let model = pull(&hub, "mnist-12").await;
        hub.test_data(&model).await.unwrap();
        let stored = |model: &Model| model.manifest().files.len();
        assert_eq!(stored(&pull(&hub, "mnist-12").await), 5);

        zoo_core::fs::remove_file(&model.path()).unwrap();
        let repaired = pull(&hub, "mnist-12").await;
        assert_eq!(stored(&repaired), 5, "the test data is still listed");
        mirror.clear_log();
        assert_eq!(hub.test_data(&repaired).await.unwrap().len(), 2);
        assert!(mirror.log().is_empty());

        let manifest = model.folder().join("zoo.json");
        zoo_core::fs::write_atomic(&manifest, b"{ cut", false).unwrap();
        let again = pull(&hub, "mnist-12").await;
        assert_eq!(again.manifest().files[0], repaired.manifest().files[0]);
        assert!(asked(&mirror, Role::HuggingFaceContent).is_empty(), "the file itself was good");

        zoo_core::fs::write_atomic(&manifest, b"{\"schema\": 99}", false).unwrap();
        let error = hub.pull(&handle("mnist-12")).await.unwrap_err();
        assert!(error.to_string().contains("newer zoo") && error.hint().is_some(), "{error}");
    });
}

#[test]
fn the_catalogue_is_the_hubs_and_the_copy_at_hand_serves_without_it() {
    run(async {
        let mirror =
            zoo_tests::mirror().onnx_entry(zoo_tests::linear_model("only-here-17", 8)).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = onnx_hub(home.path(), &mirror);
        let found = hub.search("ONLY-HERE zoo-tests").await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].handle.as_str(), found[0].opset, found[0].has_test_data),
            ("onnx:only-here-17", Some(17), true)
        );
        hub.list().await.unwrap();
        assert_eq!(asked(&mirror, Role::GitHubRaw).len(), 1, "the manifest is kept for a day");
        let all = hub.list().await.unwrap();
        assert_eq!(
            all.iter()
                .filter(|l| !l.tags.contains(&"computer vision".to_owned()) && l.opset == Some(12))
                .count(),
            2
        );

        // Another home and a dead hub: the catalogue compiled in knows the real zoo.
        let home = tempfile::tempdir().unwrap();
        mirror.fault(FaultRule::new("", Fault::DropConnection).everywhere());
        let listed = onnx_hub(home.path(), &mirror).list().await.unwrap();
        assert!(listed.len() > 2000, "{}", listed.len());
    });
}

#[test]
fn a_graph_that_is_not_valid_is_refused_and_not_kept() {
    run(async {
        let mut entry = zoo_tests::linear_model("broken-17", 8);
        entry.content = zoo_mirror::Content::from(b"this is no model".to_vec());
        let mirror = zoo_tests::mirror().onnx_entry(entry).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let error = onnx_hub(home.path(), &mirror).pull(&handle("broken-17")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(zoo_core::store::Store::new(home.path()).models().unwrap().is_empty());
    });
}
