//! The ONNX Model Zoo: models through every kind of source, with test data, and the same again without a network.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use zoo_core::handle::Handle;
use zoo_core::stage::{StageOptions, Target};
use zoo_core::{Zoo, ZooConfig};
use zoo_mirror::{Mirror, Role};
use zoo_onnx::{Hub, Model, OnnxConfig};
use zoo_run::Runner as _;
use zoo_run::compare::{Tolerance, compare_all};
use zoo_run::data::{Generate, assign, generate, read_data_set};
use zoo_run::ort::{OrtOptions, OrtRunner};

use crate::Setting;
use crate::report::{Report, Row};

/// Bytes per second and connection for the large model: slow enough that one connection gets company.
const PACE: u64 = 16 << 20;

/// Models of the mirror, each with what is special about it.
const MODELS: &[(&str, &str)] = &[
    ("mnist-12", "large-file object: absolute redirect"),
    ("mnist-7", "ordinary git file: relative redirect"),
    ("MNIST@8", "by the manifest's name and an opset"),
    ("squeezenet1.0-9", "archive members begin with ./"),
    ("shufflenet-9", "only in the whole-zoo repository"),
    ("inception-v1-9", "only inside its archive"),
    ("resnet18-v1-7", "external data"),
    ("resnet50-caffe2-v1-9", "initializers are inputs too"),
    ("super-resolution-10", "two data sets of different sizes"),
    ("roberta-base-11", "dynamic axes"),
    ("bertsquad-12", "four inputs, three outputs"),
    ("resnet18_Opset18_timm", "export of 2023"),
    ("mobilenet_v3_small_Opset17", "export below skip/"),
    (zoo_tests::LARGE, "48 MiB in ranges"),
];

/// Small models of the real hub, one of each kind.
const LIVE: &[(&str, &str)] = &[
    ("mnist-8", "validated"),
    ("mnist-12", "validated"),
    ("super-resolution-10", "validated"),
    ("squeezenet1.0-12", "validated"),
    ("mobilenetv2-7", "validated"),
    ("resnet18_Opset18_timm", "export of 2023"),
];

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if setting.live {
        let zoo = Zoo::open(ZooConfig::new(&setting.live_home));
        let hub = Hub::with(&zoo, OnnxConfig::default());
        return runtime.block_on(all(&hub, &zoo, LIVE, None, setting, report));
    }
    let mirror = zoo_tests::mirror().onnx_entry(zoo_tests::large_model()).start()?;
    let home = tempfile::tempdir().context("a temporary home")?;
    let zoo = Zoo::open(zoo_tests::zoo_config(home.path()));
    let hub = Hub::with(&zoo, zoo_tests::onnx_config(&mirror));
    runtime.block_on(all(&hub, &zoo, MODELS, Some(&mirror), setting, report))
}

async fn all(
    hub: &Hub,
    zoo: &Zoo,
    models: &[(&str, &'static str)],
    mirror: Option<&Mirror>,
    setting: &Setting,
    report: &mut Report,
) -> Result<()> {
    for (name, way) in models {
        println!("onnx:{name}");
        let mut row = Row { handle: format!("onnx:{name}"), way, ..Row::default() };
        if let Err(error) = one(hub, zoo, name, mirror, setting, &mut row).await {
            row.misses.push(format!("{error:#}"));
        }
        report.add(row);
    }
    if let Some(mirror) = mirror {
        mirror.clear_log();
        for (name, _) in models {
            let model = hub.pull(&handle(name)?).await;
            if let Err(error) = model {
                report.miss(name, &format!("the stored model was not found again: {error}"));
            }
        }
        if !mirror.log().is_empty() {
            report.miss("onnx", "stored models were asked for on the network");
        }
    }
    Ok(())
}

fn handle(name: &str) -> Result<Handle> {
    Ok(format!("onnx:{name}").parse()?)
}

/// Pull, verify, stage, run, compare.
async fn one(
    hub: &Hub,
    zoo: &Zoo,
    name: &str,
    mirror: Option<&Mirror>,
    setting: &Setting,
    row: &mut Row,
) -> Result<()> {
    let is_large = name == zoo_tests::LARGE;
    if let Some(mirror) = mirror.filter(|_| is_large) {
        mirror.pace(Some(PACE));
        mirror.clear_log();
    }
    let start = Instant::now();
    let model = hub.pull(&handle(name)?).await.context("pull")?;
    row.pull = start.elapsed();
    if let Some(mirror) = mirror.filter(|_| is_large) {
        mirror.pace(None);
        let log = mirror.log();
        let ranges = log.iter().filter(|l| l.role == Role::HuggingFaceContent && l.range.is_some()).count();
        ensure!(ranges >= 3, "48 MiB at {PACE} bytes a second and connection took {ranges} ranges");
    }
    row.files = model.manifest().files.len();
    row.bytes = model.manifest().size();
    let verified = zoo.store().verify(model.stored()).context("verify")?;
    ensure!(verified.is_good(), "verification found {:?}", verified.files);
    let staged = model.stage(&StageOptions::to(Target::Onnx)).context("stage")?;
    ensure!(!staged.manifest().model.inputs.is_empty(), "the manifest names no input");
    let sets =
        if mirror.is_none() || has_test_data(&model) { hub.test_data(&model).await } else { Ok(Vec::new()) };
    let sets = match sets {
        Err(error) if error.kind() == zoo_core::error::ErrorKind::NotFound => Vec::new(),
        other => other.context("test data")?,
    };
    execute(&staged.path(), &sets, setting, row)
}

/// Exports have none; everything else must, so that a model without data cannot pass unnoticed.
fn has_test_data(model: &Model) -> bool {
    !model.manifest().name.as_str().contains("_Opset")
}

fn execute(path: &Path, sets: &[std::path::PathBuf], setting: &Setting, row: &mut Row) -> Result<()> {
    let mut runner = OrtRunner::load(&setting.library, path, &OrtOptions::default()).context("load")?;
    if sets.is_empty() {
        // Nothing is published to compare with: it must run, and what comes out must be numbers.
        let inputs = generate(runner.inputs(), &Generate::default()).context("inputs")?;
        let start = Instant::now();
        let outputs = runner.run(&inputs).context("run")?;
        row.run = start.elapsed();
        for (name, tensor) in &outputs {
            let finite = tensor.to_f64_vec().map_or(true, |values| values.iter().all(|v| v.is_finite()));
            ensure!(finite, "output `{name}` holds NaN or infinities");
        }
        return Ok(());
    }
    for set in sets {
        let data = read_data_set(set).context("read the test data")?;
        let inputs = assign(data.inputs, runner.inputs()).context("assign")?;
        let start = Instant::now();
        let outputs = runner.run(&inputs).context("run")?;
        row.run += start.elapsed();
        row.data_sets += 1;
        ensure!(!data.outputs.is_empty(), "{} publishes no output", data.name);
        for comparison in compare_all(&data.outputs, &outputs, &Tolerance::default()) {
            row.largest = Some(row.largest.unwrap_or(0.0).max(comparison.relative));
            if !comparison.equal {
                row.misses.push(format!("{}: {comparison}", data.name));
            }
        }
    }
    Ok(())
}
