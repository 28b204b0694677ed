//! The torchvision zoo: every network that zoo builds, pulled from the mirror, staged in place, and run.
//!
//! The mirror serves the fixtures' narrow networks under published names; what they have to compute, torch recorded. With `--full` the
//! networks have their real size and torch itself computes beside zoo ([`crate::torch_full`]).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use zoo_core::Zoo;
use zoo_core::handle::Handle;
use zoo_core::stage::{ImageSize, StageOptions, Target};
use zoo_run::Runner as _;
use zoo_run::ort::{OrtOptions, OrtRunner};
use zoo_tests::networks::{self, Case, Network};
use zoo_tests::torchvision::TorchZoo;
use zoo_torch::{Hub, Model};

use crate::report::{Report, Row};
use crate::{Setting, torch_full};

/// What staging in place may write.
const MOST_WRITTEN: u64 = 2_000_000;

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    if setting.full {
        return torch_full::run(setting, report);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let mut networks = Vec::new();
    for name in networks::all()? {
        let network = networks::load(&name)?;
        // Variants and timm's names are no handles of this hub; `tests/it/networks.rs` has them.
        if network.source() == "torchvision" && !name.contains('.') {
            networks.push(network);
        }
    }
    let mut checkpoints = Vec::new();
    for network in &networks {
        let path = scratch.path().join(format!("{}.pth", network.builder()));
        network.write_pth(&path)?;
        checkpoints.push((network.builder(), path));
    }
    let served = TorchZoo::new(scratch.path(), &checkpoints)?;
    let mirror = served.serve(zoo_tests::mirror())?.start()?;
    let home = tempfile::tempdir().context("a temporary home")?;
    let zoo = Zoo::open(zoo_tests::zoo_config(home.path()));
    let hub = served.hub(&zoo, &mirror)?;
    for network in &networks {
        let handle = format!("torchvision:{}", network.builder());
        println!("{handle}");
        let mut row = Row { handle: handle.clone(), way: "ranges; digest in the name", ..Row::default() };
        if let Err(error) = runtime.block_on(one(&hub, &zoo, &handle, network, setting, &mut row)) {
            row.misses.push(format!("{error:#}"));
        }
        report.add(row);
    }
    mirror.clear_log();
    for network in &networks {
        let handle: Handle = format!("torchvision:{}", network.builder()).parse()?;
        if let Err(error) = runtime.block_on(hub.pull(&handle)) {
            report.miss(network.builder(), &format!("the stored model was not found again: {error}"));
        }
    }
    if !mirror.log().is_empty() {
        report.miss("torch", "stored models were asked for on the network");
    }
    Ok(())
}

/// Pull, verify, stage in place, and run every recorded case.
async fn one(
    hub: &Hub,
    zoo: &Zoo,
    handle: &str,
    network: &Network,
    setting: &Setting,
    row: &mut Row,
) -> Result<()> {
    let start = Instant::now();
    let model = hub.pull(&handle.parse::<Handle>()?).await.context("pull")?;
    row.pull = start.elapsed();
    row.files = model.manifest().files.len();
    row.bytes = model.manifest().size();
    let verified = zoo.store().verify(model.stored()).context("verify")?;
    ensure!(verified.is_good(), "verification found {:?}", verified.files);
    let usual = model.stage(&StageOptions::to(Target::Onnx)).await.context("stage")?;
    let written = zoo_core::fs::file_len(&usual.path()).unwrap_or(0);
    ensure!(written < MOST_WRITTEN, "staging in place wrote {written} bytes");
    let external = &usual.staged().with;
    ensure!(
        external.len() == 1 && external[0].as_str().starts_with("original/"),
        "weights are in {external:?}"
    );
    for case in network.cases() {
        run_case(&model, case, setting, row).await.with_context(|| case.name.clone())?;
    }
    Ok(())
}

async fn run_case(model: &Model, case: &Case, setting: &Setting, row: &mut Row) -> Result<()> {
    let [.., height, width] = case.shape[..] else { anyhow::bail!("an input without a size") };
    let mut options = StageOptions::to(Target::Onnx);
    options.image_size = Some(match case.shape.len() {
        // Clips have a third size, which only a graph with free sizes leaves open.
        5 => ImageSize::Any,
        _ => ImageSize::Fixed { height: u32::try_from(height)?, width: u32::try_from(width)? },
    });
    let staged = model.stage(&options).await.context("stage")?;
    let (outputs, time) = execute(&staged.path(), case.input()?, setting)?;
    row.run += time;
    row.data_sets += 1;
    for (name, expected) in &case.outputs {
        let found = outputs.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
        let (difference, spread) =
            expected.difference(found.with_context(|| format!("there is no output {name}"))?)?;
        row.judge(name, difference, spread);
    }
    Ok(())
}

/// Runs a staged graph on one image tensor, and tells how long that took.
pub(crate) fn execute(
    model: &Path,
    input: zoo_tensor::Tensor,
    setting: &Setting,
) -> Result<(Vec<zoo_run::Named>, Duration)> {
    let mut runner = OrtRunner::load(&setting.library, model, &OrtOptions::default()).context("load")?;
    let start = Instant::now();
    let outputs = runner.run(&[("input".to_owned(), input)]).context("run")?;
    Ok((outputs, start.elapsed()))
}
