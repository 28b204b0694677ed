//! Texts in, as transformers takes them, and what comes out, as transformers says it.
//!
//! The networks and what transformers made of them are `tests/fixtures/huggingface/running`, written by `make_running.py`.

use serde_json::Value;
use zoo_run::text::{Cut, Encoded, Tokenizer};

use crate::support::Running;

/// The texts of a fixture as this crate's tokenizer has them, each beside what transformers said.
fn compare(tokenizer: &Tokenizer, rows: &Value, cut: Cut, name: &str) {
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 15);
    for row in rows {
        let texts: Vec<&str> = row["text"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
        let encoded = tokenizer.encode(texts[0], texts.get(1).copied(), cut).unwrap();
        let Encoded { ids, types, offsets, special, .. } = &encoded;
        let list = |key: &str| -> Vec<i64> { serde_json::from_value(row[key].clone()).unwrap() };
        assert_eq!(*ids, list("ids"), "{name}: ids of {texts:?}");
        assert_eq!(*types, list("types"), "{name}: types of {texts:?}");
        let expected: Vec<(usize, usize)> = serde_json::from_value(row["offsets"].clone()).unwrap();
        assert_eq!(*offsets, expected, "{name}: offsets of {texts:?}");
        let special: Vec<i64> = special.iter().map(|&is| i64::from(is)).collect();
        assert_eq!(special, list("special"), "{name}: special tokens of {texts:?}");
        assert_eq!(
            tokenizer.decode(ids, true).unwrap(),
            row["decoded"].as_str().unwrap(),
            "{name}: {texts:?}"
        );
    }
}

#[test]
fn tokens_are_those_of_transformers() {
    let fixture = Running::unpack("tokenizers");
    let every = fixture.expected.as_object().unwrap();
    assert_eq!(every.len(), 11);
    for (name, rows) in every.iter().filter(|(name, _)| *name != "cut") {
        let tokenizer = Tokenizer::from_folder(&fixture.root().join(name)).unwrap();
        compare(&tokenizer, rows, Cut::Never, name);
    }
    let tokenizer = Tokenizer::from_folder(&fixture.root().join("wordpiece")).unwrap();
    assert_eq!(tokenizer.max_length(), Some(64));
    compare(&tokenizer, &fixture.expected["cut"], Cut::Longest(12), "cut");
}

/// A fixture with its graph loaded.
#[cfg(feature = "ort")]
mod networks {
    use serde_json::Value;
    use zoo_run::ModelConfig;
    use zoo_run::ort::{OrtOptions, OrtRunner};
    use zoo_run::text::{
        Answer, Apply, Class, Grouping, HYPOTHESIS, Pooling, SentenceSettings, Similarity, Span, TextModel,
        Tokenizer,
    };

    use crate::support::{Running, search};

    struct Loaded {
        expected: Value,
        original: std::path::PathBuf,
        runner: OrtRunner,
        tokenizer: Tokenizer,
        config: ModelConfig,
        _fixture: Running,
    }

    impl Loaded {
        fn new(name: &str) -> Self {
            let fixture = Running::unpack(name);
            let original = fixture.original();
            Self {
                expected: fixture.expected.clone(),
                runner: OrtRunner::load(
                    &search(),
                    &fixture.root().join("model.onnx"),
                    &OrtOptions::default(),
                )
                .unwrap(),
                tokenizer: Tokenizer::from_folder(&original).unwrap(),
                config: ModelConfig::from_folder(&original).unwrap(),
                original,
                _fixture: fixture,
            }
        }

        fn model(&mut self) -> TextModel<'_> {
            TextModel::new(&mut self.runner, &self.tokenizer, &self.config)
        }
    }

    fn near(found: f64, expected: &Value) -> bool {
        (found - expected.as_f64().unwrap()).abs() < 1e-4
    }

    fn texts(json: &Value) -> Vec<&str> {
        json.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    }

    /// Classes are those of a pipeline: `[{"label", "score"}]`.
    fn same(found: &[Class], expected: &Value) {
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.label == expected["label"] && near(found.score, &expected["score"]),
                "{found:?} {expected}"
            );
        }
    }

    /// Classes are those of a pipeline: `{"labels", "scores"}`.
    fn same_lists(found: &[Class], expected: &Value) {
        let (labels, scores) =
            (expected["labels"].as_array().unwrap(), expected["scores"].as_array().unwrap());
        assert_eq!(found.len(), labels.len());
        for ((found, label), score) in found.iter().zip(labels).zip(scores) {
            assert!(found.label == *label && near(found.score, score), "{found:?} {expected}");
        }
    }

    const SENTENCES: [&str; 3] =
        ["this movie was great", "the end was sad and the music too loud!", "Die Katze schläft"];

    #[test]
    fn text_classification() {
        let mut loaded = Loaded::new("text-classification");
        let expected = loaded.expected.clone();
        let all = SENTENCES.map(|text| (text, None));
        for (apply, key) in
            [(None, "single"), (Some(Apply::Sigmoid), "sigmoid"), (Some(Apply::Nothing), "none")]
        {
            // Together they are padded, alone they are not.
            let together = loaded.model().classify(&all, apply).unwrap();
            for (place, found) in together.iter().enumerate() {
                same(found, &expected[key][place]);
                same(&loaded.model().classify(&all[place..=place], apply).unwrap()[0], &expected[key][place]);
            }
        }
        let pair = loaded.model().classify(&[(SENTENCES[0], Some(SENTENCES[1]))], None).unwrap();
        same(&pair[0], &expected["pair"]);

        let long = "a cat ".repeat(100);
        let mut model = loaded.model();
        model.classify(&[(&long, None)], None).unwrap();
        assert!(model.notes()[0].contains("was cut to 64 tokens"), "{:?}", model.notes());
    }

    #[test]
    fn token_classification() {
        let mut loaded = Loaded::new("token-classification");
        let expected = loaded.expected.clone();
        let texts = texts(&expected["texts"]);
        let check = |found: &[Vec<Span>], expected: &Value, label: &str| {
            for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
                let expected = expected.as_array().unwrap();
                assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        found.label == expected[label] && near(found.score, &expected["score"]),
                        "{found:?} {expected}"
                    );
                    assert_eq!(found.word, expected["word"].as_str().unwrap());
                    assert_eq!(
                        (found.start, found.end),
                        (
                            expected["start"].as_u64().unwrap() as usize,
                            expected["end"].as_u64().unwrap() as usize,
                        )
                    );
                }
            }
        };
        check(&loaded.model().spans(&texts, Grouping::Tokens).unwrap(), &expected["none"], "entity");
        check(&loaded.model().spans(&texts, Grouping::Simple).unwrap(), &expected["simple"], "entity_group");
    }

    #[test]
    fn question_answering() {
        let mut loaded = Loaded::new("question-answering");
        for case in loaded.expected.clone().as_array().unwrap() {
            let (question, context) = (case["question"].as_str().unwrap(), case["context"].as_str().unwrap());
            let check = |found: &Answer, expected: &Value| {
                assert!(near(found.score, &expected["score"]), "{found:?} {expected}");
                assert_eq!(found.answer, expected["answer"].as_str().unwrap());
                assert_eq!(found.start as u64, expected["start"].as_u64().unwrap(), "{found:?}");
                assert_eq!(found.end as u64, expected["end"].as_u64().unwrap(), "{found:?}");
            };
            let best = loaded.model().answer(question, context, 1, false).unwrap();
            check(&best[0], &case["best"]);
            let three = loaded.model().answer(question, context, 3, false).unwrap();
            for (found, expected) in three.iter().zip(case["three"].as_array().unwrap()) {
                check(found, expected);
            }
            check(&loaded.model().answer(question, context, 1, true).unwrap()[0], &case["impossible"]);
        }
        let error = loaded.model().answer("", "x", 1, false).unwrap_err();
        assert!(error.to_string().contains("one is empty"), "{error}");
        let error = loaded.model().answer(&"who ".repeat(90), "x", 1, false).unwrap_err();
        assert!(error.to_string().starts_with("the texts cannot be used"), "{error}");
    }

    #[test]
    fn fill_mask() {
        let mut loaded = Loaded::new("fill-mask");
        let expected = loaded.expected.clone();
        for (text, expected) in
            texts(&expected["texts"]).into_iter().zip(expected["results"].as_array().unwrap())
        {
            let found = loaded.model().fill(text, 5).unwrap();
            // The pipeline gives one list for one gap, a list of lists for several.
            let expected =
                if found.len() == 1 { Value::from(vec![expected.clone()]) } else { expected.clone() };
            for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
                assert_eq!(found.len(), 5);
                for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
                    assert!(
                        near(found.score, &expected["score"]) && found.id == expected["token"],
                        "{found:?} {expected}"
                    );
                    assert_eq!(found.token, expected["token_str"].as_str().unwrap());
                    assert_eq!(found.text, expected["sequence"].as_str().unwrap());
                }
            }
        }
        let error = loaded.model().fill("no gap", 5).unwrap_err();
        assert!(error.to_string().contains("<mask> stands for one"), "{error}");
    }

    #[test]
    fn zero_shot_classification() {
        let mut loaded = Loaded::new("zero-shot");
        let expected = loaded.expected.clone();
        let labels = texts(&expected["labels"]);
        for (several, key) in [(false, "single"), (true, "multi")] {
            let found = loaded.model().zero_shot(&SENTENCES, &labels, HYPOTHESIS, several).unwrap();
            for (found, expected) in found.iter().zip(expected[key].as_array().unwrap()) {
                same_lists(found, expected);
            }
        }
        let hypothesis = "the text is about {}, no?";
        let found = loaded.model().zero_shot(&SENTENCES[..1], &labels, hypothesis, false).unwrap();
        same_lists(&found[0], &expected["template"]);
        let mut message = |labels: &[&str], hypothesis| {
            loaded.model().zero_shot(&SENTENCES, labels, hypothesis, false).unwrap_err().to_string()
        };
        assert!(message(&[], HYPOTHESIS).contains("no labels"));
        assert!(message(&["a"], "about").contains("no {} where"));
        let mut other = Loaded::new("text-classification");
        let error = other.model().zero_shot(&SENTENCES, &["a"], HYPOTHESIS, false).unwrap_err();
        assert!(error.to_string().contains("begins with \"entail\"; it has bad, middling, good"), "{error}");
    }

    #[test]
    fn sentences_become_vectors() {
        let mut loaded = Loaded::new("sentences");
        let expected = loaded.expected.clone();
        let texts = texts(&expected["texts"]);
        let mut settings = SentenceSettings::from_folder(&loaded.original).unwrap();
        assert_eq!((settings.poolings.as_slice(), settings.normalize), (&[Pooling::Mean][..], true));
        let unit = loaded.model().embed(&texts, &settings).unwrap();
        let check = |found: &[Vec<f32>], expected: &Value| {
            for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
                let expected = expected.as_array().unwrap();
                assert_eq!(found.len(), expected.len());
                assert!(
                    found.iter().zip(expected).all(|(a, b)| near(f64::from(*a), b)),
                    "{found:?} {expected:?}"
                );
            }
        };
        check(&unit, &expected["unit"]);
        for (a, row) in unit.iter().zip(expected["cosine"].as_array().unwrap()) {
            for (b, expected) in unit.iter().zip(row.as_array().unwrap()) {
                assert!(near(Similarity::Cosine.of(a, b), expected));
            }
        }
        settings.normalize = false;
        for (pooling, key) in [(Pooling::Mean, "mean"), (Pooling::Largest, "max"), (Pooling::First, "cls")] {
            settings.poolings = vec![pooling];
            check(&loaded.model().embed(&texts, &settings).unwrap(), &expected[key]);
        }
        let features = loaded.model().features(&SENTENCES[..1]).unwrap();
        let rows: Vec<Vec<f32>> = features[0].values.chunks(16).map(<[f32]>::to_vec).collect();
        assert_eq!((features[0].tokens, features[0].width), (rows.len(), 16));
        check(&rows, &expected["features"][0]);

        let error = loaded.model().embed(&texts, &SentenceSettings::default()).unwrap_err();
        assert!(error.to_string().contains("no modules.json says"), "{error}");
        settings.beyond = Some("Dense".to_owned());
        let error = loaded.model().embed(&texts, &settings).unwrap_err();
        assert!(error.to_string().contains("a part of kind Dense"), "{error}");
    }

    #[cfg(feature = "image")]
    #[test]
    fn pictures_are_matched_with_texts() {
        use serde_json::json;
        use zoo_run::image::Recipe;
        use zoo_run::text::CAPTION;
        let mut loaded = Loaded::new("clip");
        let expected = loaded.expected.clone();
        let labels = texts(&expected["labels"]);
        let recipe = Recipe::from_json(&json!({"kind": "image", "layout": "NCHW", "channels": "RGB", "input": "pixel_values", "steps": [
            {"op": "resize", "size": 32, "rule": "shorter_side", "filter": "bicubic", "antialias": true},
            {"op": "center_crop", "size": [32, 32]},
            {"op": "rescale", "factor": 1.0 / 255.0},
            {"op": "normalize", "mean": [0.481_454_66, 0.457_827_5, 0.408_210_73], "std": [0.268_629_54, 0.261_302_58, 0.275_777_11]},
        ]}))
        .unwrap();
        let picture = zoo_run::image::read(&crate::support::fixture("images/photo.jpg")).unwrap();
        let pixels = recipe.tensor(&[recipe.place(&picture).unwrap()], zoo_tensor::DType::F32).unwrap();
        for (template, key) in [("{}", "plain"), (CAPTION, "templated")] {
            let captions: Vec<String> = labels.iter().map(|label| template.replace("{}", label)).collect();
            let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
            let found = loaded.model().match_images(&pixels, &captions, &labels).unwrap();
            let by_label = |label: &Value| found[0].iter().find(|class| class.label == *label).unwrap().score;
            for expected in expected[key].as_array().unwrap() {
                // The decoder of JPEG leaves samples open by some levels.
                let difference = by_label(&expected["label"]) - expected["score"].as_f64().unwrap();
                assert!(difference.abs() < 5e-3, "{found:?} {expected}");
            }
        }
    }

    #[test]
    fn what_the_graph_cannot_do_is_told() {
        let mut loaded = Loaded::new("text-classification");
        let error = loaded.model().spans(&["x"], Grouping::Simple).unwrap_err();
        assert!(error.to_string().contains("[texts, tokens, numbers] is needed"), "{error}");
        let error = loaded.model().answer("a", "b", 1, false).unwrap_err();
        assert!(error.to_string().contains("none is called \"start_logits\""), "{error}");
        // One token more than the network was made for: a number beyond the end of its table.
        let path = loaded.original.join("tokenizer_config.json");
        let mut settings: Value = serde_json::from_reader(std::fs::File::open(&path).unwrap()).unwrap();
        settings["additional_special_tokens"] = Value::from(vec!["<new>"]);
        serde_json::to_writer(std::fs::File::create(&path).unwrap(), &settings).unwrap();
        loaded.tokenizer = Tokenizer::from_folder(&loaded.original).unwrap();
        let error = loaded.model().classify(&[("a <new> cat", None)], None).unwrap_err();
        assert!(matches!(error, zoo_run::Error::Run { .. }), "{error}");
        assert!(error.to_string().contains("out of data bounds"), "{error}");
        let small = Running::unpack("gpt2");
        loaded.runner =
            OrtRunner::load(&search(), &small.root().join("model.onnx"), &OrtOptions::default()).unwrap();
        let error = loaded.model().classify(&[("x", None)], None).unwrap_err();
        assert!(error.to_string().contains("nothing is given for \"past_key_values.0.key\""), "{error}");
    }
}
