//! The torchvision zoo at full size: torch makes a network, computes with it and saves it; zoo stages the file, and ONNX Runtime has to
//! compute the same.
//!
//! Needs a Python with torch and torchvision. One network is on the disk at a time: the script that makes them waits for a line before
//! it goes on, and what was compared is removed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use zoo_core::stage::{ImageSize, StageOptions, Target};
use zoo_torch::stage::stage;

use crate::Setting;
use crate::references::{Script, difference, tensor};
use crate::report::{Report, Row};
use crate::torch::execute;

/// The script that makes the references.
const SCRIPT: &str = "tests/python/torch_reference.py";

/// What the script says of a network.
#[derive(Debug, Deserialize)]
struct Made {
    builder: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    weights: PathBuf,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    shape: Vec<usize>,
    input: PathBuf,
    outputs: BTreeMap<String, Output>,
}

#[derive(Debug, Deserialize)]
struct Output {
    file: PathBuf,
}

pub(crate) fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let python = setting.torch_python.as_ref().context(
        "--full needs a Python with torch and torchvision: `ZOO_TORCH_PYTHON` names it to `cargo xtask e2e`",
    )?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let mut script = Script::start(python, SCRIPT, scratch.path(), &setting.networks)?;
    while let Some(made) = script.next::<Made>()? {
        println!("torchvision:{}", made.builder);
        let mut row = Row {
            handle: format!("torchvision:{}", made.builder),
            way: "from torch itself",
            files: 1,
            bytes: made.bytes,
            ..Row::default()
        };
        if let Err(error) = one(&made, scratch.path(), setting, &mut row) {
            row.misses.push(format!("{error:#}"));
        }
        report.add(row);
        let folder = scratch.path().join(&made.builder);
        if folder.is_dir() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        script.go_on()?;
    }
    script.end()
}

fn one(made: &Made, scratch: &Path, setting: &Setting, row: &mut Row) -> Result<()> {
    if let Some(error) = &made.error {
        bail!("torch: {error}");
    }
    ensure!(!made.cases.is_empty(), "there is nothing to compare");
    for case in &made.cases {
        let [.., height, width] = case.shape[..] else { bail!("an input without a size") };
        let mut options = StageOptions::to(Target::Onnx);
        options.arch = Some(made.builder.clone());
        options.image_size = Some(match case.shape.len() {
            5 => ImageSize::Any,
            _ => ImageSize::Fixed { height: u32::try_from(height)?, width: u32::try_from(width)? },
        });
        let onnx = scratch.join(&made.builder).join(format!("{}.onnx", case.name));
        let start = Instant::now();
        let outcome = stage(&made.weights, &onnx, &options, None).with_context(|| case.name.clone())?;
        row.pull += start.elapsed();
        let tally = outcome.tally;
        ensure!(tally.used + tally.ignored == tally.all, "{tally:?}");
        let (outputs, time) = execute(&onnx, tensor(&case.input)?, setting)?;
        row.run += time;
        row.data_sets += 1;
        for (name, expected) in &case.outputs {
            let found = outputs.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
            let found = found.with_context(|| format!("there is no output {name}"))?;
            let (difference, spread) = difference(&tensor(&expected.file)?, found)?;
            row.judge(name, difference, spread);
        }
    }
    Ok(())
}
