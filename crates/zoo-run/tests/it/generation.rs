//! Texts written on by small networks, token for token as transformers' `generate` writes them.

use serde_json::Value;
use zoo_run::ModelConfig;
use zoo_run::generate::{
    CausalModel, Decoder, End, GenerationSettings, Sampling, Seq2SeqModel, TextStream, write,
};
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_run::text::{Cut, Tokenizer};

use crate::support::{Running, search};

fn load(fixture: &Running, name: &str) -> OrtRunner {
    OrtRunner::load(&search(), &fixture.root().join(name), &OrtOptions::default()).unwrap()
}

fn list(json: &Value) -> Vec<i64> {
    serde_json::from_value(json.clone()).unwrap()
}

fn settings(fixture: &Running) -> GenerationSettings {
    let config = ModelConfig::from_folder(&fixture.original()).unwrap();
    let mut settings = GenerationSettings::from_folder(&fixture.original(), &config).unwrap();
    settings.max_new_tokens = Some(24);
    settings
}

/// A way of writing: what transformers calls it in the fixtures, and what it changes.
type Way = (&'static str, fn(&mut GenerationSettings));

/// The ways in which transformers wrote.
const WAYS: [Way; 8] = [
    ("greedy", |_| {}),
    ("penalty", |s| s.repetition_penalty = 1.3),
    ("ngram", |s| s.no_repeat_ngram = 2),
    ("short", |s| s.max_new_tokens = Some(5)),
    ("min_new", |s| s.min_new_tokens = 15),
    ("suppressed", |s| (s.suppress, s.begin_suppress) = (vec![5, 300], vec![100])),
    ("bad", |s| s.bad_words = vec![vec![260], vec![70, 71]]),
    ("forced_eos", |s| (s.forced_eos, s.max_new_tokens) = (vec![7], Some(6))),
];

/// Compares with everything that transformers wrote. `start` gives the model a prompt, and says what it begins with.
fn compare<D: Decoder>(
    fixture: &Running,
    model: &mut D,
    start: impl Fn(&mut D, &[i64], &GenerationSettings) -> Vec<i64>,
) {
    let tokenizer = Tokenizer::from_folder(&fixture.original()).unwrap();
    for row in fixture.expected.as_array().unwrap() {
        let prompt = tokenizer.encode(row["text"].as_str().unwrap(), None, Cut::Never).unwrap().ids;
        assert_eq!(prompt, list(&row["prompt"]));
        for (way, change) in WAYS.into_iter().filter(|(way, _)| row.get(way).is_some()) {
            let mut settings = settings(fixture);
            change(&mut settings);
            let given = start(model, &prompt, &settings);
            let mut stream = TextStream::new(&tokenizer, &given, true);
            let mut text = String::new();
            let mut each = |token| {
                text.push_str(&stream.push(token)?);
                Ok(true)
            };
            let written = write(model, &given, &settings, None, 0, &mut each).unwrap();
            let all = [given.clone(), written.ids.clone()].concat();
            assert_eq!(all, list(&row[way]), "{way} of {}", row["text"]);
            assert_eq!(written.end == End::Token, settings.eos.contains(all.last().unwrap()));
            // What came bit by bit is what all tokens together are.
            text.push_str(&stream.finish().unwrap());
            let (whole, before) =
                (tokenizer.decode(&all, true).unwrap(), tokenizer.decode(&given, true).unwrap());
            assert_eq!(format!("{before}{text}"), whole, "{way} of {}", row["text"]);
            if way == "greedy" {
                assert_eq!(whole, row["decoded"].as_str().unwrap());
            }
        }
    }
}

fn causal(name: &str) {
    let fixture = Running::unpack(name);
    let mut model = CausalModel::new(load(&fixture, "model.onnx")).unwrap();
    compare(&fixture, &mut model, |model, prompt, _| {
        model.restart();
        prompt.to_vec()
    });
}

/// Reads a prompt, and begins with the token that decoders begin with.
fn read(model: &mut Seq2SeqModel, prompt: &[i64], settings: &GenerationSettings) -> Vec<i64> {
    model.read(prompt).unwrap();
    vec![settings.decoder_start.unwrap()]
}

fn seq2seq(name: &str) {
    let fixture = Running::unpack(name);
    let [encoder, decoder, with_past] =
        ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"]
            .map(|name| load(&fixture, name));
    let mut model = Seq2SeqModel::new(encoder, decoder, Some(with_past)).unwrap();
    compare(&fixture, &mut model, read);
}

#[test]
fn gpt2_writes_the_same() {
    causal("gpt2");
}

#[test]
fn llama_writes_the_same() {
    causal("llama");
}

#[test]
fn t5_writes_the_same() {
    seq2seq("t5");
}

#[test]
fn bart_writes_the_same() {
    seq2seq("bart");
}

#[test]
fn marian_writes_the_same() {
    seq2seq("marian");
}

/// Without a memory of its own for later steps, a decoder reads everything again, and writes the same.
#[test]
fn a_decoder_without_memory_writes_the_same() {
    let fixture = Running::unpack("t5");
    let [encoder, decoder] = ["encoder_model.onnx", "decoder_model.onnx"].map(|name| load(&fixture, name));
    let mut model = Seq2SeqModel::new(encoder, decoder, None).unwrap();
    compare(&fixture, &mut model, read);
}

#[test]
fn lots_are_drawn_by_seed() {
    let fixture = Running::unpack("gpt2");
    let mut settings = settings(&fixture);
    settings.sampling = Some(Sampling::default());
    let run = |seed| {
        let mut model = CausalModel::new(load(&fixture, "model.onnx")).unwrap();
        write(&mut model, &[83, 70], &settings, None, seed, &mut |_| Ok(true)).unwrap().ids
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn what_cannot_be_written_is_told() {
    let classifier = Running::unpack("question-answering");
    let error = CausalModel::new(load(&classifier, "model.onnx")).unwrap_err();
    assert!(
        error.to_string().contains("no output \"logits\"; it has \"start_logits\", \"end_logits\""),
        "{error}"
    );
    let speech = Running::unpack("whisper");
    let error = CausalModel::new(load(&speech, "encoder_model.onnx")).unwrap_err();
    assert!(error.to_string().contains("no input \"input_ids\""), "{error}");
    let gpt2 = Running::unpack("gpt2");
    let mut model = CausalModel::new(load(&gpt2, "model.onnx")).unwrap();
    let error = model.next(&[100_000]).unwrap_err();
    assert!(error.to_string().contains("out of data bounds"), "{error}");
    let mut model = CausalModel::new(load(&gpt2, "model.onnx")).unwrap();
    let error = write(&mut model, &[], &settings(&gpt2), None, 0, &mut |_| Ok(true)).unwrap_err();
    assert!(error.to_string().contains("nothing to write on"), "{error}");
}
