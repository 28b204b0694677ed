//! Hugging Face: every model and head that zoo builds, pulled from the mirror as a repository, staged in place, and run; and a real,
//! trained model with its real tokenizer.
//!
//! The repositories are the fixtures' small models, as `save_pretrained` writes them; what they have to compute, transformers recorded.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use zoo_core::handle::Handle;
use zoo_core::stage::{StageOptions, Target};
use zoo_core::{Zoo, ZooConfig};
use zoo_hf::select::Wanted;
use zoo_hf::{HfConfig, Hub, Model};
use zoo_mirror::Mirror;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_run::text::{SentenceSettings, TextModel, Tokenizer};
use zoo_run::{ModelConfig, Runner as _};
use zoo_tests::models::{self, Case};

use crate::report::{Report, Row};
use crate::{Setting, frameworks, hf_full};

/// What staging in place may write for a small model, all its graphs together.
const MOST_WRITTEN: u64 = 2_000_000;

/// The trained model.
const MINILM: &str = "sentence-transformers/all-MiniLM-L6-v2";

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    if setting.full {
        return hf_full::run(setting, report);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let names = models::all()?;
    let mut mirror = zoo_tests::mirror();
    let mut known = Vec::new();
    for name in &names {
        let model = models::load(name)?;
        let folder = scratch.path().join(name);
        zoo_core::fs::create_dir_all(&folder)?;
        model.write(&folder)?;
        mirror = mirror.hf_repo_from_folder(&format!("zoo-tests/{name}"), &folder);
        known.push((name, model));
    }
    if let Some(folder) = &setting.minilm {
        mirror = mirror.hf_repo_from_folder(MINILM, folder);
    }
    let mirror = mirror.start()?;
    let home = tempfile::tempdir().context("a temporary home")?;
    let config: ZooConfig = zoo_tests::zoo_config(home.path());
    let zoo = Zoo::open(config);
    let hub = hub(&zoo, &mirror)?;
    for (name, model) in &known {
        let id = format!("hf:zoo-tests/{name}");
        println!("{id}");
        let handle = format!("{} {}", model.config["model_type"].as_str().unwrap_or_default(), model.class);
        let mut row = Row { handle: format!("{handle} ({name})"), way: "pt", ..Row::default() };
        if let Err(error) = runtime.block_on(one(&hub, &zoo, &id, model, setting, &mut row)) {
            row.misses.push(format!("{error:#}"));
        }
        report.add(row);
    }
    for name in frameworks::all()? {
        println!("weights of other frameworks: {name}");
        frameworks::rows(&name, setting, report)?;
    }
    match &setting.minilm {
        Some(_) => {
            println!("hf:{MINILM}");
            let mut row = Row { handle: format!("hf:{MINILM}"), way: "trained", ..Row::default() };
            if let Err(error) = runtime.block_on(sentences(&hub, setting, &mut row)) {
                row.misses.push(format!("{error:#}"));
            }
            report.add(row);
        }
        None => report.miss("hf", "the trained model was not given (--minilm)"),
    }
    Ok(())
}

fn hub(zoo: &Zoo, mirror: &Mirror) -> Result<Hub> {
    let mut config = HfConfig::default();
    config.endpoint = mirror.hf_endpoint().parse()?;
    Ok(Hub::with(zoo, config))
}

/// Pull, verify, stage in place, and run every recorded case.
async fn one(
    hub: &Hub,
    zoo: &Zoo,
    id: &str,
    fixture: &models::Model,
    setting: &Setting,
    row: &mut Row,
) -> Result<()> {
    let model = pulled(hub, id, row).await?;
    let verified = zoo.store().verify(model.stored()).context("verify")?;
    ensure!(verified.is_good(), "verification found {:?}", verified.files);
    let options = fixture.stage_options()?;
    let staged = model.stage(&options).await.context("stage")?;
    let graphs = std::iter::once(&staged.staged().path).chain(&staged.staged().with);
    let paths = graphs.map(|path| path.under(staged.folder()));
    let paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "onnx")).collect();
    let written: u64 = paths.iter().filter_map(|path| zoo_core::fs::file_len(path)).sum();
    ensure!(written < MOST_WRITTEN, "staging in place wrote {written} bytes");
    let ending = options.file_name("");
    for case in &fixture.cases {
        for path in &paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let graph = name.strip_suffix(&ending).unwrap_or(&name);
            compare(path, graph, case, setting, row).with_context(|| case.name.clone())?;
        }
        row.data_sets += 1;
    }
    Ok(())
}

async fn pulled(hub: &Hub, id: &str, row: &mut Row) -> Result<Model> {
    let start = Instant::now();
    let model = hub.pull(&id.parse::<Handle>()?, &Wanted::default()).await.context("pull")?;
    row.pull = start.elapsed();
    row.files = model.manifest().files.len();
    row.bytes = model.manifest().size();
    Ok(model)
}

/// Runs one graph on what the case has for it.
fn compare(path: &Path, graph: &str, case: &Case, setting: &Setting, row: &mut Row) -> Result<()> {
    let Some(inputs) = case.inputs_by_graph().remove(graph) else { return Ok(()) };
    let mut runner = OrtRunner::load(&setting.library, path, &OrtOptions::default()).context("load")?;
    let start = Instant::now();
    let outputs = runner.run(&inputs).context("run")?;
    row.run += start.elapsed();
    for (name, expected) in case.outputs_of(graph) {
        let found = outputs.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
        let (difference, spread) =
            expected.difference(found.with_context(|| format!("there is no output {name}"))?)?;
        row.judge(name, difference, spread);
    }
    Ok(())
}

/// Sentences, and the cosines between their vectors: [0·1, 0·2, 1·2], as transformers 4.57 with mean pooling and torch 2.15 computes them.
const SENTENCES: [&str; 3] =
    ["A man is eating food.", "A man eats a piece of bread.", "The girl is carrying a baby."];
const COSINES: [f64; 3] = [0.737_412_2, -0.104_958_5, -0.071_100_5];

/// The trained model: its own tokenizer, its own pooling, in the graph.
async fn sentences(hub: &Hub, setting: &Setting, row: &mut Row) -> Result<()> {
    let model = pulled(hub, &format!("hf:{MINILM}"), row).await?;
    let staged = model.stage(&StageOptions::to(Target::Onnx)).await.context("stage")?;
    let written = zoo_core::fs::file_len(&staged.path()).unwrap_or(0);
    ensure!(written < 100_000, "staging in place wrote {written} bytes");
    let tokenizer = Tokenizer::from_folder(&model.originals()).context("the tokenizer")?;
    let config = ModelConfig::from_folder(&model.originals()).context("the configuration")?;
    let pooling = SentenceSettings::from_folder(&model.originals()).context("the settings of sentences")?;
    let mut runner =
        OrtRunner::load(&setting.library, &staged.path(), &OrtOptions::default()).context("load")?;
    let start = Instant::now();
    let vectors =
        TextModel::new(&mut runner, &tokenizer, &config).embed(&SENTENCES, &pooling).context("run")?;
    row.run = start.elapsed();
    row.data_sets = 1;
    let cosine = |a: usize, b: usize| {
        vectors[a].iter().zip(&vectors[b]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    for ((a, b), expected) in [(0, 1), (0, 2), (1, 2)].into_iter().zip(COSINES) {
        row.judge(&format!("cosine {a}·{b}"), (cosine(a, b) - expected).abs(), 0.4);
    }
    Ok(())
}
