//! Texts as the input of `zoo run`: which task it is, what it needs, and how its answers are told.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo_run::Runner;
use zoo_run::image::{self, Recipe};
use zoo_run::text::{
    Answer, CAPTION, Class, Features, Fill, Grouping, HYPOTHESIS, SentenceSettings, Span, TextModel,
    Tokenizer,
};

use crate::args::{Purpose, Run};
use crate::bars::time;
use crate::cmd::engine::Loader;
use crate::cmd::language::{Graphs, Language, TextTask};
use crate::cmd::{App, audio, blocking, generate, must_exist};
use crate::exit::{Exit, Failure, Result};
use crate::output::Grid;

/// How many classes and words are shown.
const TOP: usize = 5;

/// How many numbers of a vector are shown.
const FIRST: usize = 4;

/// Whether the command line names texts or sounds, or labels to choose from for pictures.
pub(super) fn are_wanted(args: &Run) -> bool {
    let zero_shot = args.pictures.task == Some(Purpose::Text(TextTask::ZeroShotImage));
    let chooses = args.pictures.labels.as_ref().is_some_and(|labels| {
        !args.pictures.images.is_empty() && labels.contains(',') && !PathBuf::from(labels).exists()
    });
    !args.texts.given.is_empty() || !args.texts.audio.is_empty() || zero_shot || chooses
}

/// What the command line says, apart from the app, so that it can go to another thread.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) texts: Vec<String>,
    pair: Option<String>,
    context: Option<String>,
    labels: Vec<String>,
    images: Vec<PathBuf>,
    recipe: Option<PathBuf>,
    top: Option<usize>,
    pub(super) audio: Vec<PathBuf>,
    pub(super) writing: generate::Wishes,
}

impl Asked {
    fn of(args: &Run) -> Result<Self> {
        let (texts, pictures) = (&args.texts, &args.pictures);
        for path in pictures.images.iter().chain(&pictures.recipe).chain(&texts.audio) {
            must_exist(path)?;
        }
        if args.out.is_some() || args.save.is_some() || args.expect.is_some() {
            return Err(Failure::usage(
                "texts and sounds have answers, and no outputs to be saved or compared",
            )
            .hint("feed tensors with --input for that"));
        }
        let labels = match &pictures.labels {
            None => Vec::new(),
            Some(words) => labels(words)?,
        };
        Ok(Self {
            texts: texts.given.clone(),
            pair: texts.text_pair.clone(),
            context: texts.context.clone(),
            labels,
            images: pictures.images.clone(),
            recipe: pictures.recipe.clone(),
            top: pictures.top.map(Into::into),
            audio: texts.audio.clone(),
            writing: generate::Wishes::of(args),
        })
    }

    pub(super) fn top(&self) -> usize {
        self.top.unwrap_or(TOP)
    }

    /// Fails for what a task lacks, and for options that would mean nothing for it.
    fn check(&self, task: TextTask) -> Result<()> {
        use TextTask::{
            AudioClassification, FillMask, QuestionAnswering, Speech, Text2Text, TextClassification,
            TextGeneration, ZeroShot, ZeroShotImage,
        };
        let name = task.name();
        let lacks = |what: &str, option: &str| {
            Err(Failure::usage(format!("{name} needs {what}")).hint(format!("give it with {option}")))
        };
        if task.hears() && self.audio.is_empty() {
            return lacks("a sound", "--audio FILE.wav");
        }
        if task == ZeroShotImage {
            if self.images.is_empty() {
                return lacks("a picture", "--image FILE");
            }
            if self.labels.is_empty() && self.texts.is_empty() {
                return lacks("texts to choose from", "--labels A,B or several --text");
            }
        } else if !task.hears() && self.texts.is_empty() {
            return lacks("a text", "--text TEXT");
        }
        if task == QuestionAnswering && self.context.is_none() {
            return lacks("a context, where the answer is to be found", "--context TEXT");
        }
        if task == ZeroShot && self.labels.is_empty() {
            return lacks("labels to choose from", "--labels A,B");
        }
        let writes = matches!(task, TextGeneration | Text2Text | Speech);
        let chooses = matches!(
            task,
            TextClassification
                | FillMask
                | QuestionAnswering
                | AudioClassification
                | ZeroShot
                | ZeroShotImage
        );
        let given = [
            ("--text-pair", self.pair.is_some() && task != TextClassification),
            ("--context", self.context.is_some() && task != QuestionAnswering),
            ("--labels", !self.labels.is_empty() && !matches!(task, ZeroShot | ZeroShotImage)),
            ("--image", !self.images.is_empty() && task != ZeroShotImage),
            ("--text", !self.texts.is_empty() && task.hears()),
            ("--audio", !self.audio.is_empty() && !task.hears()),
            ("--top", self.top.is_some() && !chooses),
            ("--max-new-tokens, --temperature, --top-k or --top-p", self.writing.any() && !writes),
        ];
        match given.into_iter().find(|(_, means_nothing)| *means_nothing) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::usage(format!("{option} does not apply to {name}"))
                .hint(format!("leave out {option}, or say with --task what the model is for"))),
        }
    }
}

/// Labels with commas between them, or in a file.
fn labels(words: &str) -> Result<Vec<String>> {
    let path = PathBuf::from(words);
    if path.is_file() {
        let file = zoo_core::fs::read_bounded(&path, 16 << 20)?;
        return Ok(image::Labels::parse(&file)?.names);
    }
    let labels: Vec<String> = words.split(',').map(|label| label.trim().to_owned()).collect();
    if labels.iter().any(String::is_empty) {
        return Err(Failure::usage(format!("`{words}` has an empty label")).hint("write --labels A,B"));
    }
    Ok(labels)
}

/// What came of it.
pub(super) struct Told {
    pub(super) engine: String,
    pub(super) results: Value,
    /// None: it was printed already.
    pub(super) grid: Option<Grid>,
    pub(super) notes: Vec<String>,
    pub(super) loading: Duration,
    pub(super) running: Duration,
    /// More about how fast it was.
    pub(super) speed: Option<String>,
}

pub(super) async fn run(args: &Run, app: &App) -> Result<Exit> {
    let asked = Asked::of(args)?;
    let wanted = match args.pictures.task {
        None => None,
        Some(Purpose::Text(task)) => Some(task),
        Some(Purpose::Picture(task)) => {
            return Err(
                Failure::usage(format!("`{task}` is a task of pictures")).hint("give a picture with --image")
            );
        }
    };
    let loader = Loader::new(args.engine, &app.settings)?;
    let language = Language::find(&args.model, app).await?;
    let task = match language.task(wanted).or_else(|| by_inputs(&asked)) {
        // Labels of one's own make a classifier of sentences that follow from each other one of anything.
        Some(TextTask::TextClassification) if !asked.labels.is_empty() => TextTask::ZeroShot,
        // Networks that classify sounds are of the same class as those that classify texts.
        Some(TextTask::TextClassification) if !asked.audio.is_empty() => TextTask::AudioClassification,
        Some(task) => task,
        None => by_outputs(&language)?,
    };
    asked.check(task)?;
    let name = language.name.clone();
    let told = match task {
        TextTask::TextGeneration | TextTask::Text2Text => generate::run(language, asked, loader, app).await?,
        TextTask::Speech | TextTask::AudioClassification => {
            audio::run(task, language, asked, loader, app).await?
        }
        task => blocking(move || answer(task, &language, &asked, &loader)).await?,
    };
    if app.out.is_json() {
        app.out.json(&json!({
            "model": name,
            "engine": told.engine,
            "task": task.name(),
            "load_seconds": told.loading.as_secs_f64(),
            "run_seconds": told.running.as_secs_f64(),
            "results": told.results,
            "notes": told.notes,
        }))?;
        return Ok(Exit::Ok);
    }
    if let Some(grid) = &told.grid {
        app.out.table(grid)?;
    }
    for note in &told.notes {
        app.out.remark(note);
    }
    let speed = told.speed.map(|speed| format!(", {speed}")).unwrap_or_default();
    app.out.remark(&format!(
        "{}: {}, loaded in {}, ran in {}{speed}",
        told.engine,
        task.name(),
        time(told.loading),
        time(told.running)
    ));
    Ok(Exit::Ok)
}

/// What the inputs alone say, where files do not.
fn by_inputs(asked: &Asked) -> Option<TextTask> {
    let zero_shot = !asked.images.is_empty();
    zero_shot.then_some(TextTask::ZeroShotImage)
}

/// What the names of a graph's outputs say, where nothing else does.
fn by_outputs(language: &Language) -> Result<TextTask> {
    let Graphs::One(path) = &language.graphs else { return Ok(TextTask::Text2Text) };
    let model = zoo_run::ort::outputs(path)?;
    let has = |name: &str| model.iter().any(|port| port.name == name);
    if has("start_logits") {
        return Ok(TextTask::QuestionAnswering);
    }
    if has("logits_per_image") {
        return Ok(TextTask::ZeroShotImage);
    }
    if has("sentence_embedding") {
        return Ok(TextTask::SentenceSimilarity);
    }
    if has("last_hidden_state") || has("token_embeddings") {
        return Ok(TextTask::FeatureExtraction);
    }
    let names: Vec<&str> = TextTask::ALL.map(TextTask::name).into();
    Err(Failure::usage(format!("nothing says what `{}` is for", language.name))
        .hint(format!("say it with --task: {}", names.join(", "))))
}

fn answer(task: TextTask, language: &Language, asked: &Asked, loader: &Loader) -> Result<Told> {
    let Graphs::One(path) = &language.graphs else {
        let message = format!("{} needs one graph, and `{}` has several", task.name(), language.name);
        return Err(Failure::usage(message).hint("leave out --task: it writes texts"));
    };
    // What is wrong with small files is told before a large one is loaded.
    let tokenizer = Tokenizer::from_folder(&language.files)?;
    let settings = SentenceSettings::from_folder(&language.files)?;
    let pixels = if task == TextTask::ZeroShotImage { Some(pictures(language, asked)?) } else { None };
    let (mut runner, loading) = loader.load(path)?;
    let began = Instant::now();
    let engine = runner.engine().to_owned();
    let mut model = TextModel::new(runner.as_mut() as &mut dyn Runner, &tokenizer, &language.config);
    let texts: Vec<&str> = asked.texts.iter().map(String::as_str).collect();
    let labels: Vec<&str> = asked.labels.iter().map(String::as_str).collect();
    let (results, grid) = match task {
        TextTask::TextClassification => {
            let pairs: Vec<_> = texts.iter().map(|text| (*text, asked.pair.as_deref())).collect();
            classes(&texts, model.classify(&pairs, None)?, asked.top())
        }
        TextTask::ZeroShot => {
            classes(&texts, model.zero_shot(&texts, &labels, HYPOTHESIS, false)?, asked.top())
        }
        TextTask::ZeroShotImage => {
            let pixels = pixels.ok_or_else(|| Failure::usage("there is no picture"))?;
            let captions: Vec<String> = if labels.is_empty() {
                asked.texts.clone()
            } else {
                labels.iter().map(|label| CAPTION.replace("{}", label)).collect()
            };
            let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
            let names = if labels.is_empty() { &texts } else { &labels };
            let images: Vec<String> = asked.images.iter().map(|path| path.display().to_string()).collect();
            let images: Vec<&str> = images.iter().map(String::as_str).collect();
            classes(&images, model.match_images(&pixels, &captions, names)?, asked.top())
        }
        TextTask::TokenClassification => spans(&texts, &model.spans(&texts, Grouping::Simple)?),
        TextTask::QuestionAnswering => {
            let context = asked.context.as_deref().unwrap_or_default();
            let all: Result<Vec<_>, _> =
                texts.iter().map(|text| model.answer(text, context, asked.top.unwrap_or(1), false)).collect();
            answers(&texts, &all?)
        }
        TextTask::FillMask => {
            let all: Result<Vec<_>, _> = texts.iter().map(|text| model.fill(text, asked.top())).collect();
            fills(&texts, &all?)
        }
        TextTask::SentenceSimilarity => vectors(&texts, &model.embed(&texts, &settings)?, &settings),
        _ if model.embeds(&settings) => vectors(&texts, &model.embed(&texts, &settings)?, &settings),
        _ => features(&texts, &model.features(&texts)?),
    };
    let notes = model.notes().to_vec();
    Ok(Told { engine, results, grid: Some(grid), notes, loading, running: began.elapsed(), speed: None })
}

/// The pictures as a tensor, by the recipe that an option or the manifest gives.
fn pictures(language: &Language, asked: &Asked) -> Result<zoo_tensor::Tensor> {
    let recipe = match (&asked.recipe, &language.facts.preprocessing) {
        (Some(path), _) => Recipe::parse(&zoo_core::fs::read_bounded(path, 16 << 20)?)?,
        (None, Some(json)) => Recipe::from_json(json)?,
        (None, None) => {
            return Err(Failure::usage(format!("nothing says how `{}` wants its pictures", language.name))
                .hint("give a recipe with --recipe FILE.json, as docs/cli.md shows"));
        }
    };
    let placed: Result<Vec<_>, zoo_run::Error> =
        asked.images.iter().map(|path| recipe.place(&image::read(path)?)).collect();
    Ok(recipe.tensor(&placed?, zoo_tensor::DType::F32)?)
}

/// A table with a column for the text where there are several.
fn grid(texts: &[&str], headings: impl IntoIterator<Item = &'static str>) -> Grid {
    Grid::new((texts.len() > 1).then_some("TEXT").into_iter().chain(headings))
}

fn row(grid: &mut Grid, texts: &[&str], place: usize, cells: impl IntoIterator<Item = String>) {
    let text = (texts.len() > 1).then(|| texts.get(place).map(|text| short(text)).unwrap_or_default());
    grid.row(text.into_iter().chain(cells));
}

/// A text's beginning.
fn short(text: &str) -> String {
    const MOST: usize = 32;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

pub(super) fn classes(texts: &[&str], all: Vec<Vec<Class>>, top: usize) -> (Value, Grid) {
    let mut table = grid(texts, ["SCORE", "LABEL"]).right([usize::from(texts.len() > 1)]);
    let mut results = Vec::new();
    for (place, mut classes) in all.into_iter().enumerate() {
        classes.truncate(top);
        for class in &classes {
            row(&mut table, texts, place, [format!("{:.4}", class.score), class.label.clone()]);
        }
        results.push(json!({ "text": texts.get(place), "classes": classes }));
    }
    (results.into(), table)
}

fn spans(texts: &[&str], all: &[Vec<Span>]) -> (Value, Grid) {
    let first = usize::from(texts.len() > 1);
    let mut table =
        grid(texts, ["SCORE", "LABEL", "START", "END", "WORD"]).right([first, first + 2, first + 3]);
    for (place, spans) in all.iter().enumerate() {
        for span in spans {
            let cells = [
                format!("{:.4}", span.score),
                span.label.clone(),
                span.start.to_string(),
                span.end.to_string(),
                span.word.clone(),
            ];
            row(&mut table, texts, place, cells);
        }
    }
    let results = texts.iter().zip(all).map(|(text, spans)| json!({ "text": text, "spans": spans }));
    (results.collect::<Vec<_>>().into(), table)
}

fn answers(texts: &[&str], all: &[Vec<Answer>]) -> (Value, Grid) {
    let first = usize::from(texts.len() > 1);
    let mut table = grid(texts, ["SCORE", "START", "END", "ANSWER"]).right(first..first + 3);
    for (place, answers) in all.iter().enumerate() {
        for answer in answers {
            let cells = [
                format!("{:.4}", answer.score),
                answer.start.to_string(),
                answer.end.to_string(),
                answer.answer.clone(),
            ];
            row(&mut table, texts, place, cells);
        }
    }
    let results =
        texts.iter().zip(all).map(|(text, answers)| json!({ "question": text, "answers": answers }));
    (results.collect::<Vec<_>>().into(), table)
}

fn fills(texts: &[&str], all: &[Vec<Vec<Fill>>]) -> (Value, Grid) {
    let first = usize::from(texts.len() > 1);
    let mut table = grid(texts, ["GAP", "SCORE", "WORD", "TEXT WITH IT"]).right(first..first + 2);
    for (place, gaps) in all.iter().enumerate() {
        for (gap, fills) in gaps.iter().enumerate() {
            for fill in fills {
                let cells = [
                    (gap + 1).to_string(),
                    format!("{:.4}", fill.score),
                    fill.token.clone(),
                    fill.text.clone(),
                ];
                row(&mut table, texts, place, cells);
            }
        }
    }
    let results = texts.iter().zip(all).map(|(text, gaps)| json!({ "text": text, "gaps": gaps }));
    (results.collect::<Vec<_>>().into(), table)
}

/// Vectors, and how close each is to the first where there are several.
fn vectors(texts: &[&str], all: &[Vec<f32>], settings: &SentenceSettings) -> (Value, Grid) {
    let closeness = |a: &[f32], b: &[f32]| settings.similarity.of(a, b);
    let several = all.len() > 1;
    let first = usize::from(several);
    let headings = several.then_some("TO THE FIRST").into_iter().chain(["WIDTH", "FIRST NUMBERS"]);
    let mut table = grid(texts, headings).right([first, first + first]);
    for (place, vector) in all.iter().enumerate() {
        let close = all.first().filter(|_| several).map(|one| format!("{:.4}", closeness(one, vector)));
        row(&mut table, texts, place, close.into_iter().chain([vector.len().to_string(), beginning(vector)]));
    }
    let results: Vec<Value> = texts
        .iter()
        .zip(all)
        .map(|(text, vector)| {
            let to: Vec<f64> = all.iter().map(|other| closeness(vector, other)).collect();
            json!({ "text": text, "embedding": vector, "similarities": to })
        })
        .collect();
    (results.into(), table)
}

fn features(texts: &[&str], all: &[Features]) -> (Value, Grid) {
    let first = usize::from(texts.len() > 1);
    let mut table = grid(texts, ["TOKENS", "WIDTH", "FIRST NUMBERS"]).right(first..first + 2);
    for (place, one) in all.iter().enumerate() {
        row(
            &mut table,
            texts,
            place,
            [one.tokens.to_string(), one.width.to_string(), beginning(&one.values)],
        );
    }
    let results = texts.iter().zip(all).map(|(text, features)| json!({ "text": text, "features": features }));
    (results.collect::<Vec<_>>().into(), table)
}

fn beginning(values: &[f32]) -> String {
    let mut words: Vec<String> = values.iter().take(FIRST).map(|value| format!("{value:.4}")).collect();
    if values.len() > FIRST {
        words.push("…".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            texts: vec!["a".into()],
            pair: None,
            context: None,
            labels: Vec::new(),
            images: Vec::new(),
            recipe: None,
            top: None,
            audio: Vec::new(),
            writing: generate::Wishes::default(),
        }
    }

    fn message(change: fn(&mut Asked), task: TextTask) -> String {
        let mut asked = asked();
        change(&mut asked);
        let failure = asked.check(task).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        format!("{}; {}", failure.error, failure.hint.unwrap_or_default())
    }

    #[test]
    fn what_a_task_lacks_is_told_in_a_sentence() {
        for task in TextTask::ALL {
            assert!(!message(|asked| asked.texts.clear(), task).is_empty(), "{task:?}");
        }
        let told = message(|_| {}, TextTask::QuestionAnswering);
        assert!(
            told.starts_with("question-answering needs a context") && told.contains("--context"),
            "{told}"
        );
        assert!(message(|_| {}, TextTask::ZeroShot).contains("--labels A,B"));
        assert!(message(|_| {}, TextTask::Speech).contains("--audio FILE.wav"));
        assert!(message(|_| {}, TextTask::ZeroShotImage).contains("--image FILE"));
        assert!(asked().check(TextTask::FillMask).is_ok());
    }

    #[test]
    fn what_would_mean_nothing_is_refused() {
        let told = message(|asked| asked.context = Some("x".into()), TextTask::FillMask);
        assert!(told.starts_with("--context does not apply to fill-mask"), "{told}");
        assert!(message(|asked| asked.top = Some(3), TextTask::TextGeneration).starts_with("--top does not"));
        let told = message(|asked| asked.writing.max_new_tokens = Some(3), TextTask::FillMask);
        assert!(told.starts_with("--max-new-tokens"), "{told}");
    }

    #[test]
    fn labels_are_words_or_a_file() {
        assert_eq!(labels("a, b c").unwrap(), ["a", "b c"]);
        assert!(labels("a,,b").is_err());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.txt");
        zoo_core::fs::write_atomic(&path, b"x\ny\n", false).unwrap();
        assert_eq!(labels(path.to_str().unwrap()).unwrap(), ["x", "y"]);
    }

    #[test]
    fn answers_are_tables() {
        let classes = |labels: [(&str, f64); 2]| -> Vec<Class> {
            serde_json::from_value::<Vec<(String, f64)>>(json!(labels))
                .unwrap()
                .into_iter()
                .map(|(label, score)| Class::new(label, score))
                .collect()
        };
        let all = vec![classes([("good", 0.75), ("bad", 0.25)]), classes([("bad", 0.5), ("good", 0.5)])];
        let (json, table) = super::classes(&["one text that is longer than what is shown", "two"], all, 1);
        assert_eq!(json[1]["classes"], json!([{"label": "bad", "score": 0.5}]));
        insta::assert_snapshot!(table.draw(None), @r"
        TEXT                               SCORE  LABEL
        one text that is longer than wh…  0.7500  good
        two                               0.5000  bad
        ");
        let (json, table) =
            vectors(&["a", "b"], &[vec![3.0, 4.0], vec![4.0, 3.0]], &SentenceSettings::default());
        assert!((json[0]["similarities"][1].as_f64().unwrap() - 0.96).abs() < 1e-9);
        insta::assert_snapshot!(table.draw(None), @r"
        TEXT  TO THE FIRST  WIDTH  FIRST NUMBERS
        a           1.0000      2  3.0000 4.0000
        b           0.9600      2  4.0000 3.0000
        ");
    }
}
