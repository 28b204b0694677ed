//! From a name on the hub to how alike two sentences are, by the `zoo` command alone: pull, stage, tokenize, run. The trained model goes the same
//! way in `cargo xtask e2e hf`; here it is a small one, of which transformers said what comes out.

use std::path::Path;

use serde_json::Value;
use zoo_run::Runner as _;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tensor::Tensor;
use zoo_tests::models;

use crate::support::{library, zoo_command};

/// The small model's vocabulary: special tokens, a few words, and what nobody says.
fn vocabulary() -> String {
    let known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "sleeps", "runs"];
    let rest = (known.len()..53).map(|number| format!("word{number}"));
    let words: Vec<String> = known.iter().map(|word| (*word).to_owned()).chain(rest).collect();
    words.join("\n") + "\n"
}

#[test]
fn sentences_of_a_repository_are_compared() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    models::load("sentence.mean").unwrap().write(folder.path()).unwrap();
    let put = |name: &str, text: &str| {
        zoo_core::fs::write_atomic(&folder.path().join(name), text.as_bytes(), false).unwrap();
    };
    put("vocab.txt", &vocabulary());
    put("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer", "do_lower_case": true}"#);
    put("README.md", "---\nlicense: apache-2.0\npipeline_tag: sentence-similarity\n---\n");
    let mirror =
        zoo_tests::mirror().hf_repo_from_folder("zoo-tests/sentences", folder.path()).start().unwrap();

    let pulled = zoo_command(home.path(), Some(&mirror), &["pull", "hf:zoo-tests/sentences"]).done();
    let graph = Path::new(pulled.trim());
    assert!(graph.ends_with("model.onnx") && graph.is_file(), "{pulled}");
    let shown = zoo_command(home.path(), None, &["show", "hf:zoo-tests/sentences"]).done();
    assert!(shown.contains("apache-2.0") && shown.contains("sentence_embedding"), "{shown}");

    let texts = ["--text", "A cat sleeps", "--text", "a dog runs"];
    let run = [&["run", "hf:zoo-tests/sentences", "--json"][..], &texts].concat();
    let told: Value = serde_json::from_str(&zoo_command(home.path(), None, &run).done()).unwrap();
    let said = told["results"].to_string();
    // [CLS] a cat sleeps [SEP] and [CLS] a dog runs [SEP], by hand.
    let mut runner = OrtRunner::load(&library(), graph, &OrtOptions::default()).unwrap();
    let ids = Tensor::from_slice([2, 5], &[2_i64, 5, 6, 8, 3, 2, 5, 7, 9, 3]).unwrap();
    let same = |value: i64| Tensor::from_slice([2, 5], &[value; 10]).unwrap();
    let inputs = [("input_ids", ids), ("attention_mask", same(1)), ("token_type_ids", same(0))]
        .map(|(name, tensor)| (name.to_owned(), tensor));
    let outputs = runner.run(&inputs).unwrap();
    let (_, vectors) = outputs.iter().find(|(name, _)| name == "sentence_embedding").unwrap();
    let vectors = vectors.to_f64_vec().unwrap();
    let (a, b) = vectors.split_at(vectors.len() / 2);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    assert!((-1.0..0.999).contains(&cosine), "{cosine}");
    let similar = numbers(&told["results"]);
    assert!(similar.iter().any(|found| (found - cosine).abs() < 1e-5), "{cosine} is not in {said}");
}

/// Every number in a document.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        Value::Object(all) => all.values().flat_map(numbers).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}
