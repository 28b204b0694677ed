//! From a text or a sound to its answer, through the `zoo` command: a folder with a graph and the repository's files, as an exporter
//! leaves it and as zoo's store has it.
//!
//! What transformers makes of the same networks is in `fixtures/huggingface/running`; that every number is the same, `zoo-run`'s own
//! tests show.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{self, Finished};

/// A network of the fixtures, unpacked.
struct Running {
    dir: TempDir,
    home: TempDir,
    expected: Value,
}

impl Running {
    fn unpack(name: &str) -> Self {
        let (dir, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let archive = zoo_tests::fixtures().join(format!("huggingface/running/{name}.tar.gz"));
        let file = std::fs::File::open(archive).unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(dir.path()).unwrap();
        let expected = zoo_core::fs::read_bounded(&dir.path().join("expected.json"), 1 << 20).unwrap();
        Self { expected: serde_json::from_slice(&expected).unwrap(), dir, home }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn original(&self) -> PathBuf {
        self.root().join("original")
    }

    fn run_on(&self, what: &Path, arguments: &[&str]) -> Finished {
        let mut all = vec!["run", what.to_str().unwrap()];
        all.extend(arguments);
        support::zoo_command(self.home.path(), None, &all)
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.run_on(self.root(), arguments)
    }

    /// The answers, and the task that was found.
    fn json(&self, arguments: &[&str]) -> (Value, String) {
        let told = self.run(&[&["--json"], arguments].concat()).done();
        let mut told: Value = serde_json::from_str(&told).unwrap();
        (told["results"].take(), told["task"].as_str().unwrap().to_owned())
    }
}

#[track_caller]
fn near(found: &Value, expected: &Value) {
    let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
    assert!(difference.abs() < 1e-4, "{found} {expected}");
}

#[test]
fn a_text_gets_its_label() {
    let network = Running::unpack("text-classification");
    let text = "this movie was great";
    let (results, task) = network.json(&["--text", text]);
    assert_eq!(task, "text-classification");
    let expected = &network.expected["single"][0];
    for (found, expected) in
        results[0]["classes"].as_array().unwrap().iter().zip(expected.as_array().unwrap())
    {
        assert_eq!(found["label"], expected["label"]);
        near(&found["score"], &expected["score"]);
    }
    let told = network.run(&["--text", text, "--text", "the end was sad", "--top", "1"]).done();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0].starts_with("TEXT") && lines[1].starts_with(text), "{told}");

    // The graph's own file, its folder as an exporter leaves it, and a pair.
    let flat = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::io::copy(
            &mut std::fs::File::open(network.original().join(name)).unwrap(),
            &mut std::fs::File::create(flat.path().join(name)).unwrap(),
        )
        .unwrap();
    }
    let graph = flat.path().join("renamed.onnx");
    std::io::copy(
        &mut std::fs::File::open(network.root().join("model.onnx")).unwrap(),
        &mut std::fs::File::create(&graph).unwrap(),
    )
    .unwrap();
    let one = network.run_on(&graph, &["--text", text]).done();
    assert_eq!(one, network.run_on(flat.path(), &["--text", text]).done());
    let pair = network.run_on(&graph, &["--text", text, "--text-pair", "the end was sad"]).done();
    assert_ne!(one, pair);
}

#[test]
fn every_task_is_found_by_itself() {
    let network = Running::unpack("token-classification");
    let (results, task) = network.json(&["--text", "Anna works in Berlin"]);
    assert_eq!(task, "token-classification");
    let (found, expected) =
        (results[0]["spans"].as_array().unwrap(), network.expected["simple"][0].as_array().unwrap());
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(
            (&found["label"], &found["start"], &found["word"]),
            (&expected["entity_group"], &expected["start"], &expected["word"])
        );
    }

    let network = Running::unpack("question-answering");
    let case = &network.expected[0];
    let (results, task) = network.json(&[
        "--text",
        case["question"].as_str().unwrap(),
        "--context",
        case["context"].as_str().unwrap(),
    ]);
    assert_eq!(
        (task.as_str(), &results[0]["answers"][0]["answer"]),
        ("question-answering", &case["best"]["answer"])
    );
    near(&results[0]["answers"][0]["score"], &case["best"]["score"]);

    let network = Running::unpack("fill-mask");
    let text = network.expected["texts"][1].as_str().unwrap();
    let (results, task) = network.json(&["--text", text]);
    assert_eq!((task.as_str(), results[0]["gaps"].as_array().unwrap().len()), ("fill-mask", 2));
    assert_eq!(results[0]["gaps"][1][0]["text"], network.expected["results"][1][1][0]["sequence"]);

    let network = Running::unpack("zero-shot");
    let (results, task) =
        network.json(&["--text", "this movie was great", "--labels", "music, the sea,a city"]);
    assert_eq!(task, "zero-shot-classification");
    assert_eq!(results[0]["classes"][0]["label"], network.expected["single"][0]["labels"][0]);

    let network = Running::unpack("sentences");
    let texts: Vec<&str> =
        network.expected["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    let (results, task) = network.json(&["--text", texts[0], "--text", texts[1], "--text", texts[3]]);
    assert_eq!(task, "feature-extraction");
    near(&results[0]["similarities"][2], &network.expected["cosine"][0][3]);
    let told = network.run(&["--text", texts[0], "--text", texts[1]]).done();
    assert!(told.contains("TO THE FIRST") && told.contains("1.0000"), "{told}");
}

#[test]
fn a_text_is_written_on_as_it_comes() {
    let network = Running::unpack("gpt2");
    let row = &network.expected[0];
    let (text, whole) = (row["text"].as_str().unwrap(), row["decoded"].as_str().unwrap());
    // What a terminal would obey is shown instead.
    let shown: String = whole
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() })
        .collect();
    let finished = network.run(&["--text", text, "--max-new-tokens", "24"]);
    assert!(finished.stderr.contains("tokens/s"), "{}", finished.stderr);
    assert_eq!(format!("{text}{}", finished.done()), format!("{shown}\n"));

    let (results, task) = network.json(&["--text", text, "--max-new-tokens", "24"]);
    let ids: Vec<i64> = serde_json::from_value(results[0]["ids"].clone()).unwrap();
    let expected: Vec<i64> = serde_json::from_value(row["greedy"].clone()).unwrap();
    assert_eq!((task.as_str(), ids.as_slice()), ("text-generation", &expected[expected.len() - ids.len()..]));

    let drawn = |seed: &str| {
        network.run(&["--text", text, "--max-new-tokens", "9", "--temperature", "1.5", "--seed", seed]).done()
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    let (results, _) = network.json(&["--text", text, "--max-new-tokens", "500", "--top-k", "50"]);
    assert!(matches!(results[0]["end"].as_str(), Some("full" | "token")), "{results}");
}

#[test]
fn an_encoder_and_a_decoder_answer() {
    let network = Running::unpack("bart");
    let (results, task) =
        network.json(&["--text", "the cat", "--text", "Anna works at the river", "--max-new-tokens", "24"]);
    assert_eq!(task, "text2text-generation");
    for (found, expected) in results.as_array().unwrap().iter().zip(network.expected.as_array().unwrap()) {
        let ids: Vec<i64> = serde_json::from_value(found["ids"].clone()).unwrap();
        let expected: Vec<i64> = serde_json::from_value(expected["greedy"].clone()).unwrap();
        assert_eq!(ids, expected[1..]);
    }
}

#[test]
fn sounds_are_heard() {
    let network = Running::unpack("wav2vec2");
    let sound = network.root().join("sound.wav");
    let sound = sound.to_str().unwrap();
    assert_eq!(
        network.run(&["--audio", sound]).done(),
        format!("TEXT\n{}\n", network.expected["text"].as_str().unwrap())
    );

    let network = Running::unpack("audio-classification");
    let own = network.root().join("sound.wav");
    let (results, task) = network.json(&["--audio", own.to_str().unwrap()]);
    assert_eq!(
        (task.as_str(), &results[0]["classes"][0]["label"]),
        ("audio-classification", &network.expected[0]["label"])
    );

    let network = Running::unpack("whisper");
    let own = network.root().join("sound.wav");
    let (results, task) = network.json(&["--audio", own.to_str().unwrap(), "--language", "en"]);
    assert_eq!(
        (task.as_str(), &results[0]["ids"]),
        ("automatic-speech-recognition", &network.expected["english"])
    );

    // A sound that is cut, and one that is none.
    let cut = network.root().join("cut.wav");
    let whole = zoo_core::fs::read_bounded(&own, 1 << 20).unwrap();
    zoo_core::fs::write_atomic(&cut, &whole[..whole.len() / 2], false).unwrap();
    let told = network.run(&["--audio", cut.to_str().unwrap()]).refused(7);
    assert!(told.contains("as a sound"), "{told}");
    let told =
        network.run(&["--audio", network.root().join("encoder_model.onnx").to_str().unwrap()]).refused(7);
    assert!(told.contains("it is no WAV file"), "{told}");
    let told = network.run(&["--audio", own.to_str().unwrap(), "--language", "xx"]).refused(7);
    assert!(told.contains("no language `xx`"), "{told}");
}

#[test]
fn pictures_and_texts_are_matched() {
    let network = Running::unpack("clip");
    let recipe = network.root().join("recipe.json");
    let steps = r#"{"kind": "image", "layout": "NCHW", "channels": "RGB", "input": "pixel_values", "steps": [
        {"op": "resize", "size": 32, "rule": "shorter_side", "filter": "bicubic", "antialias": true},
        {"op": "center_crop", "size": [32, 32]}, {"op": "rescale", "factor": 0.00392156862745098},
        {"op": "normalize", "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}]}"#;
    zoo_core::fs::write_atomic(&recipe, steps.as_bytes(), false).unwrap();
    let picture = zoo_tests::fixtures().join("images/photo.jpg");
    let all = ["--image", picture.to_str().unwrap(), "--recipe", recipe.to_str().unwrap()];
    let labels = "a cat,the river bank in Berlin,loud music";
    let (results, task) = network.json(&[&all[..], &["--labels", labels]].concat());
    assert_eq!(task, "zero-shot-image-classification");
    assert_eq!(results[0]["classes"][0]["label"], network.expected["templated"][0]["label"]);
    let texts = ["--text", "a cat", "--text", "the river bank in Berlin", "--text", "loud music"];
    let (results, _) = network.json(&[&all[..], &texts].concat());
    assert_eq!(results[0]["classes"][0]["label"], network.expected["plain"][0]["label"]);
}

#[test]
fn what_is_lacking_is_told_in_a_sentence() {
    let network = Running::unpack("question-answering");
    let told = network.run(&["--text", "who?"]).refused(2);
    assert_eq!(
        told,
        "question-answering needs a context, where the answer is to be found *hint: give it with --context TEXT*"
    );
    let told = network.run(&["--text", "who?", "--context", "Anna", "--labels", "a,b"]).refused(2);
    assert!(told.contains("--labels does not apply to question-answering"), "{told}");
    let told = network.run(&["--audio", network.root().join("none.wav").to_str().unwrap()]).refused(3);
    assert!(told.contains("there is no file"), "{told}");
    let told = network.run(&["--task", "fill-mask", "--text", "a [MASK] b"]).refused(7);
    assert!(told.contains("none is called \"logits\""), "{told}");
    let told = network.run(&["--task", "text-generation", "--text", "a"]).refused(7);
    assert!(told.contains("no output \"logits\""), "{told}");
    let told = network.run(&["--text", "who?", "--context", "Anna", "--save", "x"]).refused(2);
    assert!(told.contains("have answers, and no outputs"), "{told}");

    // Files that are broken, and files that are missing.
    let broken = network.original().join("tokenizer.json");
    for content in [&b"no JSON"[..], b"", b"{\"model\": {}}"] {
        zoo_core::fs::write_atomic(&broken, content, false).unwrap();
        let told = network.run(&["--text", "who?", "--context", "Anna"]).refused(7);
        assert!(told.contains("no tokenizer can be made of"), "{told}");
    }
    std::fs::remove_file(&broken).unwrap();
    std::fs::remove_file(network.original().join("vocab.txt")).unwrap();
    let told = network.run(&["--text", "who?", "--context", "Anna"]).refused(7);
    assert!(told.contains("neither tokenizer.json nor vocab.txt"), "{told}");
    std::fs::remove_file(network.original().join("config.json")).unwrap();
    let told = network.run(&["--text", "who?", "--context", "Anna"]).refused(7);
    assert!(told.contains("has no config.json"), "{told}");
}
