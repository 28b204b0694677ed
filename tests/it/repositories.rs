//! Local repositories that are broken or hostile: each is refused in one sentence that names what is wrong, nothing is left behind, and nothing is
//! allocated because a file promises it.

use std::path::Path;

use serde_json::{Value, json};
use zoo_core::stage::{StageOptions, Target};
use zoo_hf::stage::stage;
use zoo_tests::models;

/// A small BERT with a masked-language head, changed by `change`, and what staging it says.
fn refused(class: Option<&str>, change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    models::load("bert.masked_lm").unwrap().write(folder.path()).unwrap();
    change(folder.path());
    let before = zoo_core::fs::list_dir(folder.path()).unwrap().len();
    let mut options = StageOptions::to(Target::Onnx);
    options.class = class.map(str::to_owned);
    let error = stage(folder.path(), folder.path(), &options).unwrap_err();
    assert_eq!(zoo_core::fs::list_dir(folder.path()).unwrap().len(), before, "nothing is left behind");
    let told = format!("{error} *{}*", error.hint().unwrap_or_default());
    assert!(!told.contains('\n'), "{told}");
    told
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    zoo_core::fs::write_atomic(&folder.join(name), bytes, false).unwrap();
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    zoo_core::fs::read_bounded(&folder.join(name), 1 << 24).unwrap()
}

fn with_config(change: impl FnOnce(&mut Value)) -> impl FnOnce(&Path) {
    move |folder| {
        let mut config = serde_json::from_slice(&read(folder, "config.json")).unwrap();
        change(&mut config);
        put(folder, "config.json", config.to_string().as_bytes());
    }
}

#[test]
fn configurations_that_promise_too_much_or_nothing_are_refused() {
    let told = refused(None, with_config(|c| c["num_hidden_layers"] = json!(2_000_000_000)));
    assert!(told.contains("encoder.layer.2.attention.self.query.weight"), "{told}");
    let told = refused(None, with_config(|c| c["num_hidden_layers"] = json!(1e300)));
    assert!(told.contains("`num_hidden_layers`") && told.contains("2^31"), "{told}");
    let told = refused(None, with_config(|c| c["num_attention_heads"] = json!(0)));
    assert!(told.contains("heads") || told.contains("Reshape"), "{told}");
    let told = refused(None, with_config(|c| c["num_attention_heads"] = json!(7)));
    assert!(told.contains("Reshape") || told.contains("heads"), "{told}");
    let told = refused(None, with_config(|c| c["hidden_act"] = json!("xielu")));
    assert!(told.contains("`xielu`") && told.contains("optimum"), "{told}");
    let told = refused(None, with_config(|c| c["model_type"] = json!("reformer")));
    assert!(told.contains("`reformer`") && told.contains("optimum-cli export onnx"), "{told}");
    let told = refused(None, with_config(|c| c["quantization_config"] = json!({"quant_method": "gptq"})));
    assert!(told.contains("quantization_config"), "{told}");
    for text in [&b"{"[..], b"[]", b"\xff"] {
        let told = refused(None, |folder| put(folder, "config.json", text));
        assert!(told.contains("no JSON object"), "{told}");
    }
    let told = refused(None, |folder| zoo_core::fs::remove_file(&folder.join("config.json")).unwrap());
    assert!(told.contains("has no config.json"), "{told}");
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let told = refused(None, with_config(|c| c["num_hidden_layers"] = json!(1)));
    assert!(told.contains("bert.encoder.layer.1.") && told.contains("no place"), "{told}");
    let told = refused(None, |folder| {
        let shorter = models::load("bert.masked_lm").unwrap();
        let bytes = read(folder, "model.safetensors");
        assert!(shorter.tensors.len() > 3);
        put(folder, "model.safetensors", &bytes[..bytes.len() / 2]);
    });
    assert!(told.contains("model.safetensors"), "{told}");
    let told = refused(None, |folder| {
        put(folder, "model.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    });
    assert!(told.contains("model.safetensors"), "{told}");
    let told = refused(Some("AutoModelForTokenClassification"), |_| {});
    assert!(told.contains("no head for token-classification") && told.contains("BertForMaskedLM"), "{told}");
    let told = refused(None, |folder| zoo_core::fs::remove_file(&folder.join("model.safetensors")).unwrap());
    assert!(told.contains("has no weights"), "{told}");
}

#[test]
fn an_index_that_lies_is_refused() {
    let sharded = |map: Value| {
        move |folder: &Path| {
            let bytes = read(folder, "model.safetensors");
            put(folder, "model-00001-of-00001.safetensors", &bytes);
            zoo_core::fs::remove_file(&folder.join("model.safetensors")).unwrap();
            put(folder, "model.safetensors.index.json", json!({"weight_map": map}).to_string().as_bytes());
        }
    };
    let told = refused(None, sharded(json!({"a": "../model.safetensors"})));
    assert!(told.contains("not beside it"), "{told}");
    let told = refused(None, sharded(json!({"a": "model-00002-of-00002.safetensors"})));
    assert!(told.contains("which is not there"), "{told}");
    let told = refused(None, sharded(json!({"a": "model-00001-of-00001.safetensors"})));
    assert!(told.contains("has a tensor `a`, which it has not"), "{told}");
    let told = refused(None, sharded(json!({})));
    assert!(told.contains("names no file"), "{told}");
    let told = refused(None, sharded(json!(3)));
    assert!(told.contains("has no `weight_map`"), "{told}");
}

#[test]
fn bombs_of_other_frameworks_are_refused() {
    let instead = |name: &'static str, bytes: Vec<u8>| {
        move |folder: &Path| {
            zoo_core::fs::remove_file(&folder.join("model.safetensors")).unwrap();
            put(folder, name, &bytes);
        }
    };
    // An array of 2^62 elements, a map of 2^32 entries, and ten thousand maps in each other.
    let array =
        [&b"\x81\xa1a\xc9\xff\xff\xff\xff\x01"[..], b"\x93\x91\xcf\x40\0\0\0\0\0\0\0\xa7float32\xc4\0"]
            .concat();
    let nested = b"\x81\xa1a".repeat(10_000);
    for bytes in [array, b"\xdf\xff\xff\xff\xff\xa1a".to_vec(), nested] {
        let told = refused(None, instead("flax_model.msgpack", bytes));
        assert!(told.contains("flax_model.msgpack"), "{told}");
    }
    let told = refused(None, instead("tf_model.h5", b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0".repeat(40)));
    assert!(told.contains("tf_model.h5"), "{told}");
    let told =
        refused(None, instead("pytorch_model.bin", b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.".to_vec()));
    assert!(told.contains("pytorch_model.bin"), "{told}");
}

#[test]
fn modules_of_sentences_stay_inside_and_are_known() {
    let with_modules = |text: &'static str| move |folder: &Path| put(folder, "modules.json", text.as_bytes());
    let transformer = r#"{"type": "sentence_transformers.models.Transformer", "path": ""}"#;
    for (text, expected) in [
        (
            format!(r#"[{transformer}, {{"type": "x.Pooling", "path": "../../etc"}}]"#),
            "not inside the repository",
        ),
        (format!(r#"[{transformer}, {{"type": "x.StaticEmbedding", "path": "1"}}]"#), "`StaticEmbedding`"),
        (r#"[{"type": "x.CLIPModel", "path": ""}]"#.to_owned(), "`CLIPModel`"),
        ("[]".to_owned(), "lists nothing"),
        ("{}".to_owned(), "is no list"),
    ] {
        let told = refused(None, with_modules(Box::leak(text.into_boxed_str())));
        assert!(told.contains(expected), "{told}");
    }
}

/// Somebody else's exports lie in the folder: none of them is replaced, whichever part of a model or target they would be.
#[test]
fn what_somebody_else_made_stays() {
    let cases = [
        ("bert.masked_lm", Target::Onnx, "model.onnx"),
        ("t5.generation", Target::Onnx, "decoder_model_merged.onnx"),
        ("bert.masked_lm", Target::FrozenGraph, "model.pb"),
        ("bert.masked_lm", Target::SavedModel, "saved_model/1/saved_model.pb"),
    ];
    for (name, target, theirs) in cases {
        let folder = tempfile::tempdir().unwrap();
        models::load(name).unwrap().write(folder.path()).unwrap();
        zoo_core::fs::create_parent(&folder.path().join(theirs)).unwrap();
        put(folder.path(), theirs, b"theirs");
        let mut options = zoo_hf::local::LocalOptions::default();
        options.stage = StageOptions::to(target);
        let told = zoo_hf::local::stage(folder.path(), &options).unwrap_err().to_string();
        assert!(told.contains("is there already"), "{theirs}: {told}");
        assert_eq!(read(folder.path(), theirs), b"theirs");
        // What zoo made itself is made again.
        zoo_core::fs::remove_file(&folder.path().join(theirs)).unwrap();
        if target == Target::Onnx {
            for _ in 0..2 {
                assert!(zoo_hf::local::stage(folder.path(), &options).unwrap().path().is_file());
            }
        }
    }
}
