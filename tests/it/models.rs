//! Every model of the transformers library that zoo builds, against what transformers itself computes.
//!
//! The fixtures are small models of the library's own classes, with all heads, and with the values of configurations that change what
//! is computed. Each is written as the repository that `save_pretrained` would write, staged, and run in ONNX Runtime on every input that
//! was recorded: batches with padding, several lengths, with and without what a decoder has cached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use zoo_core::stage::{StageOptions, Target, WeightPolicy};
use zoo_hf::stage::{Outcome, stage};
use zoo_run::Runner;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tests::models::{self, Case, Model};

use crate::support::library;

/// The largest difference allowed, as a part of the output's standard deviation.
const RELATIVE: f64 = 1e-3;

/// The largest difference allowed where outputs are of order 1.
const ABSOLUTE: f64 = 1e-4;

#[test]
fn every_model_computes_what_transformers_does() {
    let failures = in_two_halves(&models::all().unwrap(), |name| {
        let model = models::load(name).unwrap();
        misses(&model, &|_| {}).into_iter().map(|miss| format!("{name}: {miss}")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A class without a fixture is a claim that nobody checked.
#[test]
fn every_class_has_a_fixture() {
    let mut covered = BTreeSet::new();
    for name in models::all().unwrap() {
        let model = models::load(&name).unwrap();
        let model_type = model.config["model_type"].as_str().unwrap_or_default().to_owned();
        covered.insert((model_type, model.class));
    }
    let mut uncovered = Vec::new();
    for architecture in zoo_arch::transformers::architectures() {
        for class in architecture.classes {
            if !covered.contains(&(architecture.model_type.to_owned(), class.name.to_owned())) {
                uncovered.push(format!("{} {}", architecture.model_type, class.name));
            }
        }
    }
    assert!(uncovered.is_empty(), "{uncovered:#?}");
}

/// Models that are written in every way: of each kind one.
const WAYS: [&str; 8] = [
    "bert.masked_lm",
    "deberta_v2",
    "modernbert",
    "llama",
    "gpt2",
    "t5.generation",
    "vit.classification",
    "wav2vec2.ctc",
];

/// Every way to write the same model gives the same numbers.
#[test]
fn policies_and_operator_sets_do_not_change_what_is_computed() {
    type Way = (&'static str, fn(&mut StageOptions));
    let changes: [Way; 4] = [
        ("opset 17", |o| o.opset = Some(17)),
        ("opset 20", |o| o.opset = Some(20)),
        ("opset 24", |o| o.opset = Some(24)),
        ("packed", |o| o.weights = WeightPolicy::Packed),
    ];
    let failures = in_two_halves(&WAYS.map(str::to_owned), |name| {
        let model = models::load(name).unwrap();
        let told = |(way, change): &Way| {
            misses(&model, change)
                .into_iter()
                .map(|miss| format!("{name}, {way}: {miss}"))
                .collect::<Vec<_>>()
        };
        changes.iter().flat_map(told).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A head that a checkpoint lacks is an error, and what it has beyond the wanted one is left out.
#[test]
fn heads_are_never_made_up() {
    let folder = tempfile::tempdir().unwrap();
    models::load("bert.masked_lm").unwrap().write(folder.path()).unwrap();
    let mut options = StageOptions::to(Target::Onnx);
    options.class = Some("AutoModelForSequenceClassification".to_owned());
    let error = stage(folder.path(), folder.path(), &options).unwrap_err();
    assert!(error.to_string().contains("no head for text-classification"), "{error}");
    assert!(error.hint().unwrap().contains("BertForMaskedLM"), "{error:?}");
    options.class = Some("AutoModel".to_owned());
    let outcome = stage(folder.path(), folder.path(), &options).unwrap();
    assert_eq!((outcome.class, outcome.left_out), ("BertModel", vec!["cls".to_owned()]));
}

/// For TensorFlow, the variables are the checkpoint itself, and what is frozen holds a copy of it.
#[test]
fn encoders_are_staged_as_tensorflows_forms() {
    for name in ["bert.sequence", "distilbert", "roberta.masked_lm", "vit.classification"] {
        let folder = tempfile::tempdir().unwrap();
        let Ok(model) = models::load(name) else { panic!("there is no fixture {name}") };
        model.write(folder.path()).unwrap();
        let mut options = StageOptions::to(Target::SavedModel);
        options.class = Some(model.class.clone());
        let made = stage(folder.path(), folder.path(), &options).unwrap().tensorflow.unwrap();
        assert!(made.path.starts_with(folder.path()) && made.path.join("saved_model.pb").is_file(), "{name}");
        let variables = made.path.join("variables/variables.data-00000-of-00001");
        let checkpoint = folder.path().join("model.safetensors");
        let read = |path: &Path| zoo_core::fs::read_bounded(path, 1 << 24).unwrap();
        assert_eq!(read(&variables), read(&checkpoint), "{name}");
        assert!(
            made.written.outputs.iter().any(|port| port.name == "logits" || port.name == "last_hidden_state")
        );

        options.target = Target::FrozenGraph;
        let frozen = stage(folder.path(), folder.path(), &options).unwrap().tensorflow.unwrap();
        assert!(frozen.path.extension().is_some_and(|end| end == "pb"), "{name}");
        let graph = zoo_core::fs::file_len(&frozen.path).unwrap();
        assert!(graph > zoo_core::fs::file_len(&checkpoint).unwrap() / 2, "{name}: {graph} bytes");
    }
    let folder = tempfile::tempdir().unwrap();
    models::load("t5.generation").unwrap().write(folder.path()).unwrap();
    let mut options = StageOptions::to(Target::SavedModel);
    options.class = Some("T5ForConditionalGeneration".to_owned());
    let refused = stage(folder.path(), folder.path(), &options);
    assert!(refused.is_err());
    assert_eq!(zoo_core::fs::list_dir(folder.path()).unwrap().len(), 2, "nothing is left behind");
}

/// Stages the model, runs it, and tells what is not as transformers computed it.
fn misses(model: &Model, change: &dyn Fn(&mut StageOptions)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    model.write(folder.path()).unwrap();
    let mut options = model.stage_options().unwrap();
    change(&mut options);
    let outcome = match stage(folder.path(), folder.path(), &options) {
        Ok(outcome) => outcome,
        Err(error) => return vec![format!("{error} ({})", error.hint().unwrap_or_default())],
    };
    let tally = outcome.tally;
    assert_eq!(tally.used + tally.ignored, tally.all, "every tensor is used or declared unused");
    let mut runners = runners(&outcome, &options);
    model.cases.iter().flat_map(|case| differences(&mut runners, case)).collect()
}

/// A runner for each graph, by the name that the graph has without options.
fn runners(outcome: &Outcome, options: &StageOptions) -> BTreeMap<String, OrtRunner> {
    let ending = options.file_name("");
    let load = |path: &Path| {
        let options = OrtOptions { threads: Some(1), ..OrtOptions::default() };
        OrtRunner::load(&library(), path, &options).unwrap()
    };
    let named = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.strip_suffix(&ending).unwrap().to_owned()
    };
    outcome.graphs.iter().map(|graph| (named(&graph.path), load(&graph.path))).collect()
}

/// Runs the graphs that a case has inputs for. What a graph makes can be what another takes only where the fixture says so.
fn differences(runners: &mut BTreeMap<String, OrtRunner>, case: &Case) -> Vec<String> {
    let mut failures = Vec::new();
    let mut compared = 0;
    for (part, inputs) in case.inputs_by_graph() {
        let outputs = match runners.get_mut(part).map(|runner| runner.run(&inputs)) {
            Some(Ok(outputs)) => outputs,
            Some(Err(error)) => {
                failures.push(format!("{} {part}: {error}", case.name));
                continue;
            }
            None => {
                failures.push(format!("{}: there is no graph {part}", case.name));
                continue;
            }
        };
        for (key, expected) in case.outputs_of(part) {
            compared += 1;
            let Some((_, found)) = outputs.iter().find(|(name, _)| name == key) else {
                failures.push(format!("{}: there is no output {key}", case.name));
                continue;
            };
            match expected.difference(found) {
                Ok((difference, spread)) => {
                    let of_order_one = (0.3..3.0).contains(&spread);
                    if difference > RELATIVE * spread
                        || (of_order_one && difference > ABSOLUTE)
                        || spread == 0.0
                    {
                        failures.push(format!(
                            "{}: {key} differs by {difference:.2e} of a spread of {spread:.2e}",
                            case.name
                        ));
                    }
                }
                Err(error) => failures.push(format!("{}: {key}: {error:#}", case.name)),
            }
        }
    }
    if compared != case.outputs.len() {
        failures.push(format!("{}: {compared} of {} outputs were compared", case.name, case.outputs.len()));
    }
    failures
}

/// Does the work for every name on two threads, and collects what it says.
fn in_two_halves(names: &[String], work: impl Fn(&str) -> Vec<String> + Sync) -> Vec<String> {
    std::thread::scope(|scope| {
        let work = &work;
        let halves: Vec<Vec<String>> =
            (0..2).map(|half| names.iter().skip(half).step_by(2).cloned().collect()).collect();
        let threads: Vec<_> = halves
            .into_iter()
            .map(|half| scope.spawn(move || half.iter().flat_map(|name| work(name)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
