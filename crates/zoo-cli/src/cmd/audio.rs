//! Sounds as the input of `zoo run`: which class each is of, and what is said in it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo_run::audio::{AudioSettings, CtcVocabulary, Sound, SpeechTokens, classify, read, spell};
use zoo_run::generate::GenerationSettings;
use zoo_run::text::Tokenizer;

use crate::cmd::engine::Loader;
use crate::cmd::language::{Graphs, Language, TextTask};
use crate::cmd::texts::{Asked, Told};
use crate::cmd::{App, generate};
use crate::exit::{Failure, Result};
use crate::output::Grid;

pub(super) async fn run(
    task: TextTask,
    language: Language,
    asked: Asked,
    loader: Loader,
    app: &App,
) -> Result<Told> {
    generate::live(app, move |live| {
        let settings = AudioSettings::from_folder(&language.files)?;
        // A broken sound is found before a large model is loaded for it.
        let sounds: Result<Vec<Sound>, zoo_run::Error> = asked.audio.iter().map(|path| read(path)).collect();
        let sounds = sounds?;
        match (task, &language.graphs) {
            (TextTask::AudioClassification, Graphs::One(path)) => {
                let (mut runner, loading) = loader.load(path)?;
                let began = Instant::now();
                let all: Result<Vec<_>, _> = sounds
                    .iter()
                    .map(|sound| classify(runner.as_mut(), &settings, &language.config, sound))
                    .collect();
                let names: Vec<&str> = sounds.iter().map(Sound::name).collect();
                let (results, grid) = super::texts::classes(&names, all?, asked.top());
                Ok(told(runner.engine(), results, Some(grid), loading, began))
            }
            (_, Graphs::One(path)) => {
                if asked.writing.any() {
                    return Err(Failure::usage(
                        "this model hears letter by letter, and writes nothing by choice",
                    )
                    .hint("leave out --max-new-tokens, --temperature, --top-k and --top-p"));
                }
                let vocabulary = CtcVocabulary::from_folder(&language.files)?;
                let (mut runner, loading) = loader.load(path)?;
                let began = Instant::now();
                let mut grid = Grid::new((sounds.len() > 1).then_some("SOUND").into_iter().chain(["TEXT"]));
                let mut results = Vec::new();
                for sound in &sounds {
                    let text = spell(runner.as_mut(), &settings, &vocabulary, sound)?;
                    let name = (sounds.len() > 1).then(|| sound.name().to_owned());
                    grid.row(name.into_iter().chain([text.clone()]));
                    results
                        .push(json!({ "sound": sound.name(), "seconds": sound.seconds(), "written": text }));
                }
                Ok(told(runner.engine(), results.into(), Some(grid), loading, began))
            }
            (_, Graphs::Two { .. }) => write(&language, &asked, &loader, &settings, &sounds, &live),
        }
    })
    .await
}

fn told(engine: &str, results: Value, grid: Option<Grid>, loading: Duration, began: Instant) -> Told {
    Told {
        engine: engine.to_owned(),
        results,
        grid,
        notes: Vec::new(),
        loading,
        running: began.elapsed(),
        speed: None,
    }
}

/// What is said, written by an encoder and a decoder.
fn write(
    language: &Language,
    asked: &Asked,
    loader: &Loader,
    audio: &AudioSettings,
    sounds: &[Sound],
    live: &generate::Live,
) -> Result<Told> {
    let tokenizer = Tokenizer::from_folder(&language.files)?;
    let mut settings = GenerationSettings::from_folder(&language.files, &language.config)?;
    asked.writing.apply(&mut settings);
    let tokens = SpeechTokens::from_folder(&language.files, generate::start(&settings)?)?;
    let positions = generate::positions(language);
    let began = Instant::now();
    let (mut model, engine, starting) = generate::seq2seq(&language.graphs, loader)?;
    let loading = began.elapsed().saturating_sub(starting);
    let began = Instant::now();
    let mut results = Vec::new();
    let mut speed = None;
    for sound in sounds {
        let reads = Instant::now();
        let features = audio.features(sound)?;
        model.read_tensor(audio.input(), &features)?;
        let given = tokens.beginning(&mut model, asked.writing.language.as_deref())?;
        model.restart();
        let reading = reads.elapsed();
        let (mut written, text) =
            generate::stream(&mut model, &tokenizer, &given, &settings, positions, asked.writing.seed, live)?;
        written.reading += reading;
        speed = Some(generate::speed(&given, &written));
        results.push(json!({
            "sound": sound.name(),
            "seconds": sound.seconds(),
            "written": text.trim(),
            "ids": written.ids,
            "end": written.end,
            "tokens_per_second": written.speed(),
        }));
    }
    let mut told = told(&engine, results.into(), None, loading, began);
    told.notes = generate::beams(&settings);
    told.speed = speed;
    Ok(told)
}
