//! Repositories in memory: what is selected of them, what is asked for to decide, and what is refused.

use serde_json::json;

use super::*;
use crate::listing::tests::files;

/// A repository in memory: files with content are small ones that may be read.
struct Repo {
    files: Files,
    contents: Vec<(&'static str, String)>,
}

fn repo(paths: &[&str]) -> Repo {
    Repo { files: files(paths), contents: Vec::new() }
}

impl Repo {
    fn with(mut self, path: &'static str, content: impl Into<String>) -> Self {
        if self.files.path(path).is_none() {
            let paths: Vec<String> = self.files.paths().map(ToString::to_string).collect();
            let paths: Vec<&str> = paths.iter().map(String::as_str).chain([path]).collect();
            self.files = files(&paths);
        }
        self.contents.push((path, content.into()));
        self
    }

    /// Goes on until all is read, and tells which files that were.
    fn run(&self, wanted: &Wanted, knows: Option<Knows<'_>>) -> (Result<Selection, Refusal>, Vec<String>) {
        let mut small = Small::new();
        for _ in 0..8 {
            match select(&self.files, &small, wanted, knows) {
                Ok(Step::Done(selection)) => return (Ok(selection), read(&small)),
                Err(refusal) => return (Err(refusal), read(&small)),
                Ok(Step::Read(paths)) => {
                    for path in paths {
                        let content = self.contents.iter().find(|(name, _)| *name == path.as_str());
                        let content = content.map_or("{}", |(_, content)| content);
                        assert!(small.insert(path.clone(), content.into()).is_none(), "{path} is read twice");
                    }
                }
            }
        }
        panic!("it never ends")
    }

    fn selected(&self, wanted: &Wanted) -> Selection {
        self.run(wanted, None).0.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    fn refused(&self, wanted: &Wanted) -> Refusal {
        self.run(wanted, None).0.unwrap_err()
    }
}

fn read(small: &Small) -> Vec<String> {
    small.keys().map(ToString::to_string).collect()
}

fn names(paths: &[EntryPath]) -> Vec<&str> {
    paths.iter().map(EntryPath::as_str).collect()
}

fn wanted(framework: Option<Framework>) -> Wanted {
    Wanted { framework, ..Wanted::default() }
}

fn onnx(suffix: Option<&str>) -> Wanted {
    Wanted { onnx: Some(OnnxFiles::new(suffix.map(str::to_owned))), ..Wanted::default() }
}

const EVERY_FORM: [&str; 15] = [
    ".gitattributes",
    "README.md",
    "config.json",
    "coreml/model.mlmodel",
    "flax_model.msgpack",
    "model.safetensors",
    "onnx/model.onnx",
    "openvino/openvino_model.bin",
    "optimizer.pt",
    "pytorch_model.bin",
    "rust_model.ot",
    "tf_model.h5",
    "tokenizer.json",
    "training_args.bin",
    "vocab.txt",
];

#[test]
fn weights_are_taken_once_in_the_form_that_the_framework_prefers() {
    let repo = repo(&EVERY_FORM);
    for (framework, form, file) in [
        (None, Form::SafeTensors, "model.safetensors"),
        (Some(Framework::Pt), Form::SafeTensors, "model.safetensors"),
        (Some(Framework::Tf), Form::Hdf5, "tf_model.h5"),
        (Some(Framework::Flax), Form::MessagePack, "flax_model.msgpack"),
    ] {
        let selection = repo.selected(&wanted(framework));
        let weights = selection.weights.unwrap();
        assert_eq!((weights.form, names(&weights.files), weights.index), (form, vec![file], None));
        let mut expected = vec!["README.md", "config.json", "tokenizer.json", "vocab.txt", file];
        expected.sort_unstable();
        assert_eq!(names(&selection.files), expected, "{framework:?}");
    }
}

#[test]
fn without_the_preferred_form_the_next_one_is_taken() {
    let form = |paths: &[&str], framework| repo(paths).selected(&wanted(framework)).weights.unwrap().form;
    assert_eq!(form(&["config.json", "pytorch_model.bin", "tf_model.h5"], None), Form::Pickle);
    assert_eq!(form(&["config.json", "tf_model.h5", "flax_model.msgpack"], Some(Framework::Pt)), Form::Hdf5);
    assert_eq!(form(&["flax_model.msgpack"], None), Form::MessagePack);
    assert_eq!(form(&["model.safetensors", "pytorch_model.bin"], Some(Framework::Tf)), Form::SafeTensors);
    assert_eq!(form(&["pytorch_model.bin", "tf_model.h5"], Some(Framework::Flax)), Form::Pickle);
    // In a folder it belongs to something else.
    let refusal =
        repo(&["config.json", "tf/tf_model.h5", "original/consolidated.00.pth"]).refused(&Wanted::default());
    assert!(matches!(&refusal, Refusal::NoWeights { found } if found.len() == 2), "{refusal}");
    assert!(refusal.to_string().contains("`tf/tf_model.h5`"), "{refusal}");
}

const INDEX: &str = r#"{"metadata": {"total_size": 9}, "weight_map":
    {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}"#;

#[test]
fn shards_are_those_that_the_index_names() {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let sharded = repo(
        &[&["config.json", "model-00003-of-00003.safetensors", "pytorch_model.bin"], &shards[..]].concat(),
    )
    .with("model.safetensors.index.json", INDEX);
    let (selection, seen) = sharded.run(&Wanted::default(), None);
    let selection = selection.unwrap();
    assert_eq!(seen, ["config.json", "model.safetensors.index.json"]);
    let weights = selection.weights.unwrap();
    assert_eq!(names(&weights.files), shards);
    assert_eq!(weights.index.unwrap().as_str(), "model.safetensors.index.json");
    assert!(!names(&selection.files).contains(&"model-00003-of-00003.safetensors"));
    assert!(names(&selection.files).contains(&"model.safetensors.index.json"));
    // The whole file goes before its shards.
    let whole = repo(&["model.safetensors", "model.safetensors.index.json"]).selected(&Wanted::default());
    assert_eq!(names(&whole.files), ["model.safetensors"]);
}

#[test]
fn an_index_that_leads_elsewhere_is_refused() {
    let with = |shard: &str| {
        let index = json!({"weight_map": {"a": shard}}).to_string();
        repo(&["x/y", "model.bin"]).with("model.safetensors.index.json", index).refused(&Wanted::default())
    };
    for shard in ["../model.safetensors", "/etc/passwd", "x/y", "a\\b", "", ".."] {
        assert!(matches!(with(shard), Refusal::Broken { .. }), "{shard}: {}", with(shard));
    }
    let missing = with("model-00001-of-00001.safetensors");
    assert!(
        matches!(&missing, Refusal::ShardMissing { shard, .. } if shard.starts_with("model-00001")),
        "{missing}"
    );
    assert!(missing.hint().unwrap().contains("not complete"));
    for index in ["{}", "[]", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 1}}"#] {
        let broken = repo(&[]).with("pytorch_model.bin.index.json", index).refused(&Wanted::default());
        assert!(matches!(broken, Refusal::Broken { .. }), "{index}");
    }
}

#[test]
fn the_configuration_may_name_the_weights() {
    let named = |name: &str| {
        let config = json!({ "transformers_weights": name });
        repo(&["model.safetensors", "other.safetensors"])
            .with("config.json", config.to_string())
            .run(&Wanted::default(), None)
            .0
    };
    assert_eq!(names(&named("other.safetensors").unwrap().weights.unwrap().files), ["other.safetensors"]);
    for bad in ["none.safetensors", "../model.safetensors", "other.txt"] {
        assert!(matches!(named(bad), Err(Refusal::Broken { .. })), "{bad}");
    }
}

#[test]
fn modules_of_sentence_transformers_bring_their_folders() {
    let modules = json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.sentence_transformer.modules.Dense"},
        {"idx": 3, "name": "3", "path": "3_Normalize", "type": "x.Normalize"},
    ]);
    let paths = [
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "2_Dense/pytorch_model.bin",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "onnx/model.onnx",
        "sentence_bert_config.json",
    ];
    let selection = repo(&paths).with("modules.json", modules.to_string()).selected(&Wanted::default());
    let expected = [
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
    ];
    assert_eq!((names(&selection.files), selection.root.as_str()), (expected.to_vec(), ""));

    let old = json!([
        {"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]);
    let paths = [
        "0_Transformer/config.json",
        "0_Transformer/pytorch_model.bin",
        "0_Transformer/vocab.txt",
        "1_Pooling/config.json",
        "2_Other/x.json",
    ];
    let selection = repo(&paths).with("modules.json", old.to_string()).selected(&Wanted::default());
    assert_eq!(selection.root, "0_Transformer/");
    assert_eq!(names(&selection.weights.unwrap().files), ["0_Transformer/pytorch_model.bin"]);
    assert_eq!(
        names(&selection.files),
        [
            "0_Transformer/config.json",
            "0_Transformer/pytorch_model.bin",
            "0_Transformer/vocab.txt",
            "1_Pooling/config.json",
            "modules.json"
        ]
    );

    for bad in [
        json!([{"path": "../x", "type": "a"}]),
        json!([{"path": "a"}]),
        json!({}),
        json!(vec![json!({"type": "a"}); 65]),
    ] {
        let broken =
            repo(&["model.safetensors"]).with("modules.json", bad.to_string()).refused(&Wanted::default());
        assert!(matches!(broken, Refusal::Broken { .. }), "{broken}");
    }
}

#[test]
fn what_cannot_be_built_is_refused_before_its_weights_are_needed() {
    let of = |config: Value, knows: Option<Knows<'_>>| {
        repo(&["model.safetensors"]).with("config.json", config.to_string()).run(&Wanted::default(), knows).0
    };
    let bert: Knows<'_> = &|model_type: &str| model_type == "bert";
    assert!(of(json!({"model_type": "bert"}), Some(bert)).is_ok());
    assert!(of(json!({"model_type": "new"}), None).is_ok());
    assert!(of(json!({"architecture": "resnet18"}), Some(bert)).is_ok(), "a repository of timm has no type");
    let unknown = of(json!({"model_type": "new"}), Some(bert)).unwrap_err();
    assert_eq!(unknown, Refusal::UnknownType { model_type: "new".into() });

    let auto = json!({"AutoModel": "org/other--modeling_x.XModel"});
    let own = of(json!({"model_type": "x", "auto_map": auto}), None).unwrap_err();
    assert!(own.to_string().contains("x, org/other--modeling_x.XModel"), "{own}");
    assert!(matches!(
        of(json!({"auto_map": auto}), Some(bert)),
        Err(Refusal::CustomCode { model_type: None, .. })
    ));
    assert!(of(json!({"model_type": "bert", "auto_map": auto}), Some(bert)).is_ok(), "zoo has it natively");

    let quantised =
        of(json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}), None).unwrap_err();
    assert_eq!(quantised, Refusal::Quantised { method: "gptq".into() });
    assert!(of(json!({"quantization_config": null}), None).is_ok());
    assert_eq!(of(json!({"_diffusers_version": "0.1"}), None), Err(Refusal::Diffusers));
    assert!(of(json!("{"), None).is_ok(), "no object says nothing");
    let broken = repo(&["model.safetensors"]).with("config.json", "{").refused(&Wanted::default());
    assert!(matches!(broken, Refusal::Broken { .. }), "{broken}");
}

#[test]
fn what_is_no_whole_model_is_named() {
    let adapter = json!({"peft_type": "LORA", "base_model_name_or_path": "org/base"});
    let refusal = repo(&["adapter_model.safetensors"])
        .with("adapter_config.json", adapter.to_string())
        .refused(&Wanted::default());
    assert_eq!(refusal, Refusal::Adapter { method: "LORA".into(), base: Some("org/base".into()) });
    assert!(refusal.hint().unwrap().contains("`hf:org/base`"));
    let local = json!({"base_model_name_or_path": "/mine/base"});
    let refusal = repo(&["adapter_model.bin"])
        .with("adapter_config.json", local.to_string())
        .refused(&Wanted::default());
    assert_eq!(refusal, Refusal::Adapter { method: "unnamed".into(), base: None });
    // A whole model beside an adapter is one.
    let merged = repo(&["adapter_model.safetensors", "model.safetensors"])
        .with("adapter_config.json", adapter.to_string());
    assert_eq!(names(&merged.selected(&Wanted::default()).files), ["model.safetensors"]);

    let refused = |paths: &[&str]| repo(paths).refused(&Wanted::default());
    assert_eq!(
        refused(&["model_index.json", "unet/diffusion_pytorch_model.safetensors"]),
        Refusal::Diffusers
    );
    assert_eq!(refused(&["model_index.json", "model.safetensors"]), Refusal::Diffusers);
    assert!(
        matches!(refused(&["model-q4_k_m.gguf", "README.md"]), Refusal::GgufOnly { files } if files.len() == 1)
    );
    assert_eq!(refused(&["config.json", "onnx/model.onnx"]), Refusal::OnnxOnly);
    assert!(
        matches!(refused(&["saved_model.pb", "variables/x"]), Refusal::NoWeights { found } if found == ["saved_model.pb"])
    );
    assert!(matches!(refused(&["README.md"]), Refusal::NoWeights { found } if found.is_empty()));
    assert!(matches!(refused(&[]), Refusal::NoWeights { .. }));
}

#[test]
fn onnx_files_are_chosen_by_suffix_with_their_data() {
    let published = repo(&[
        "config.json",
        "onnx/decoder_model_merged.onnx",
        "onnx/decoder_model_merged_q4f16.onnx",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "onnx/model.onnx_data_1",
        "onnx/model_O4.onnx",
        "onnx/model_fp16.onnx",
        "onnx/model_fp16.onnx.data",
        "onnx/model_qint8_avx512.onnx",
        "other/model.onnx",
        "model.onnx",
        "model.safetensors",
        "tokenizer.json",
    ]);
    let chosen = |suffix| {
        let selection = published.selected(&onnx(suffix));
        assert!(selection.weights.is_none());
        assert!(
            names(&selection.files).contains(&"tokenizer.json")
                && !names(&selection.files).contains(&"model.safetensors")
        );
        selection.onnx.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        chosen(None),
        [
            "onnx/decoder_model_merged.onnx",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx_data_1"
        ]
    );
    assert_eq!(chosen(Some("fp16")), ["onnx/model_fp16.onnx", "onnx/model_fp16.onnx.data"]);
    assert_eq!(chosen(Some("q4f16")), ["onnx/decoder_model_merged_q4f16.onnx"]);
    assert_eq!(chosen(Some("qint8_avx512")), ["onnx/model_qint8_avx512.onnx"]);
    let refusal = published.refused(&onnx(Some("bnb4")));
    assert!(refusal.hint().unwrap().contains("--onnx-files=fp16"), "{:?}", refusal.hint());
    let none = repo(&["model.safetensors"]).refused(&onnx(None));
    assert!(none.to_string().ends_with("no ONNX files") && none.hint().unwrap().contains("leave out"));
    assert_eq!(names(&repo(&["model.onnx", "config.json"]).selected(&onnx(None)).onnx), ["model.onnx"]);
}

#[test]
fn everything_and_extra_files_are_taken_if_their_paths_are_safe() {
    let all = Wanted { all: true, ..Wanted::default() };
    assert_eq!(repo(&EVERY_FORM).selected(&all).files.len(), EVERY_FORM.len());
    assert_eq!(repo(&["model-q4.gguf"]).selected(&all).files.len(), 1);
    let tricked = repo(&["model.safetensors", "../x"]);
    assert!(matches!(tricked.refused(&all), Refusal::UnsafePath { path } if path == "../x"));
    assert_eq!(names(&tricked.selected(&Wanted::default()).files), ["model.safetensors"]);

    let extra = |path: &str| Wanted { extra: vec![EntryPath::new(path).unwrap()], ..Wanted::default() };
    let every = repo(&EVERY_FORM);
    assert!(
        names(&every.selected(&extra("openvino/openvino_model.bin")).files)
            .contains(&"openvino/openvino_model.bin")
    );
    let refusal = every.refused(&extra("onnx/model2.onnx"));
    assert!(refusal.hint().unwrap().contains("`onnx/model.onnx`"), "{refusal}");

    // Nothing is to be made of it: what would be refused is taken whole.
    let as_it_is = Wanted { as_it_is: true, ..Wanted::default() };
    assert_eq!(repo(&["a.gguf", "README.md"]).selected(&as_it_is).files.len(), 2);
    assert_eq!(every.selected(&as_it_is).files.len(), 5);
}

#[test]
fn wishes_that_select_the_same_have_one_name() {
    assert_eq!(wanted(None).key(), wanted(Some(Framework::Pt)).key());
    let keys = [
        wanted(None),
        wanted(Some(Framework::Tf)),
        wanted(Some(Framework::Flax)),
        onnx(None),
        onnx(Some("fp16")),
        Wanted { all: true, ..onnx(None) },
    ];
    assert_eq!(keys.map(|wanted| wanted.key()), ["pt", "tf", "flax", "onnx", "onnx=fp16", "all"]);
    assert_eq!(Wanted { as_it_is: true, ..wanted(Some(Framework::Tf)) }.key(), "tf as it is");
    assert_eq!("tf".parse(), Ok(Framework::Tf));
    assert!("jax".parse::<Framework>().unwrap_err().to_string().contains("`flax`"));
}

#[test]
fn a_selection_is_read_back_as_it_was_written() {
    let selection =
        repo(&["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
            .with("model.safetensors.index.json", INDEX)
            .selected(&Wanted::default());
    let json = serde_json::to_value(&selection).unwrap();
    assert_eq!(json["weights"]["form"], "safetensors");
    assert_eq!(serde_json::from_value::<Selection>(json).unwrap(), selection);
}

proptest::proptest! {
    #[test]
    fn any_index_is_refused_or_names_plain_files(bytes: Vec<u8>, names in proptest::collection::vec(".*", 0..4)) {
        let _ = weights::shards(&bytes);
        let map: BTreeMap<String, &String> = names.iter().enumerate().map(|(i, n)| (i.to_string(), n)).collect();
        if let Ok(shards) = weights::shards(json!({ "weight_map": map }).to_string().as_bytes()) {
            for shard in shards {
                proptest::prop_assert!(EntryPath::new(shard.as_str()).is_ok() && !shard.contains('/'));
            }
        }
    }
}
