//! Sounds in, as transformers' extractors take them, and what small networks hear in them, as its pipelines say it.

use serde_json::Value;
use zoo_run::ModelConfig;
use zoo_run::audio::{AudioSettings, CtcVocabulary, SpeechTokens, classify, read, spell};
use zoo_run::generate::{GenerationSettings, Seq2SeqModel, write};
use zoo_run::ort::{OrtOptions, OrtRunner};

use crate::support::{Running, search};

fn load(fixture: &Running, name: &str) -> OrtRunner {
    OrtRunner::load(&search(), &fixture.root().join(name), &OrtOptions::default()).unwrap()
}

fn list(json: &Value) -> Vec<i64> {
    serde_json::from_value(json.clone()).unwrap()
}

fn floats(json: &Value) -> Vec<f32> {
    serde_json::from_value(json.clone()).unwrap()
}

fn same(found: impl IntoIterator<Item = f32>, expected: &[f32]) {
    let found: Vec<f32> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-4, "{place}: {a} {b}");
    }
}

#[test]
fn letters_are_heard() {
    let fixture = Running::unpack("wav2vec2");
    let expected = &fixture.expected;
    let sound = read(&fixture.root().join("sound.wav")).unwrap();
    let settings = AudioSettings::from_folder(&fixture.original()).unwrap();
    let values = settings.features(&sound).unwrap().to_f32_vec().unwrap();
    same(values.into_iter().take(50), &floats(&expected["first"]));
    let vocabulary = CtcVocabulary::from_folder(&fixture.original()).unwrap();
    let mut runner = load(&fixture, "model.onnx");
    assert_eq!(
        spell(&mut runner, &settings, &vocabulary, &sound).unwrap(),
        expected["text"].as_str().unwrap()
    );
    for pair in expected["decode"].as_array().unwrap() {
        assert_eq!(vocabulary.decode(&list(&pair[0])), pair[1].as_str().unwrap());
    }
}

#[test]
fn sounds_are_classified() {
    let fixture = Running::unpack("audio-classification");
    let sound = read(&fixture.root().join("sound.wav")).unwrap();
    let settings = AudioSettings::from_folder(&fixture.original()).unwrap();
    let config = ModelConfig::from_folder(&fixture.original()).unwrap();
    let classes = classify(&mut load(&fixture, "model.onnx"), &settings, &config, &sound).unwrap();
    for (found, expected) in classes.iter().zip(fixture.expected.as_array().unwrap()) {
        assert_eq!(found.label, expected["label"].as_str().unwrap());
        assert!((found.score - expected["score"].as_f64().unwrap()).abs() < 1e-4, "{found:?} {expected}");
    }
}

/// Every `step`th number of every `row`th row.
fn thinned(values: &[f32], width: usize, row: usize, step: usize) -> Vec<f32> {
    values.chunks(width).step_by(row).flat_map(|line| line.iter().step_by(step).copied()).collect()
}

#[test]
fn whisper_sees_and_writes_the_same() {
    let fixture = Running::unpack("whisper");
    let expected = &fixture.expected;
    let sound = read(&fixture.root().join("sound.wav")).unwrap();
    let audio = AudioSettings::from_folder(&fixture.original()).unwrap();
    let features = audio.features(&sound).unwrap();
    assert_eq!(features.shape(), [1, 80, 200]);
    let rows: Vec<Vec<f32>> = serde_json::from_value(expected["features"].clone()).unwrap();
    same(thinned(&features.to_f32_vec().unwrap(), 200, 8, 10), &rows.concat());

    let path = fixture.root().join("wide.json");
    std::io::Write::write_all(
        &mut std::fs::File::create(path.with_file_name("preprocessor_config.json")).unwrap(),
        br#"{"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128, "chunk_length": 1}"#,
    )
    .unwrap();
    let wide = AudioSettings::from_folder(fixture.root()).unwrap().features(&sound).unwrap();
    let rows: Vec<Vec<f32>> = serde_json::from_value(expected["wide"].clone()).unwrap();
    same(thinned(&wide.to_f32_vec().unwrap(), 100, 16, 10), &rows.concat());

    let config = ModelConfig::from_folder(&fixture.original()).unwrap();
    let settings = GenerationSettings::from_folder(&fixture.original(), &config).unwrap();
    let tokens = SpeechTokens::from_folder(&fixture.original(), settings.decoder_start.unwrap()).unwrap();
    let mut model = Seq2SeqModel::new(
        load(&fixture, "encoder_model.onnx"),
        load(&fixture, "decoder_model.onnx"),
        Some(load(&fixture, "decoder_with_past_model.onnx")),
    )
    .unwrap();
    for (language, key) in [(Some("en"), "english"), (None, "detected")] {
        model.read_tensor(audio.input(), &features).unwrap();
        let given = tokens.beginning(&mut model, language).unwrap();
        assert_eq!(given.len(), 4);
        model.restart();
        let mut written = write(&mut model, &given, &settings, None, 0, &mut |_| Ok(true)).unwrap().ids;
        written.retain(|id| !settings.eos.contains(id));
        assert_eq!(written, list(&expected[key]), "{key}");
    }
    let error = tokens.beginning(&mut model, Some("xx")).unwrap_err();
    assert!(error.to_string().contains("no language `xx`; it knows de, en"), "{error}");
}
