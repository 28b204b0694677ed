//! References that a framework itself makes at full size, one at a time: a script of `tests/python` that says where its files are and waits for
//! a line before it goes on, so that what was compared can be removed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;
use zoo_run::data::read;
use zoo_tensor::Tensor;

/// The script at work.
pub(crate) struct Script {
    child: Child,
    asks: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
}

impl Script {
    pub(crate) fn start(python: &Path, script: &str, folder: &Path, networks: &[String]) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(script).arg("--out").arg(folder);
        if networks.is_empty() {
            command.arg("--all")
        } else {
            command.args(networks)
        };
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("cannot start {}", python.display()))?;
        let asks = child.stdin.take();
        let says = BufReader::new(child.stdout.take().context("the script's output")?);
        Ok(Self { child, asks, says })
    }

    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let mut line = String::new();
        self.says.read_line(&mut line).context("the script's output")?;
        if line.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).with_context(|| format!("the script said {line:?}"))
    }

    pub(crate) fn go_on(&mut self) -> Result<()> {
        let asks = self.asks.as_mut().context("the script's input")?;
        // After its last network the script may be gone already.
        let _ = asks.write_all(b"\n").and_then(|()| asks.flush());
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<()> {
        self.asks.take();
        let status = self.child.wait().context("the script was lost")?;
        ensure!(status.success(), "the script ended with {status}");
        Ok(())
    }
}

/// The one array of a file.
pub(crate) fn tensor(path: &Path) -> Result<Tensor> {
    let (_, tensor) =
        read(path)?.into_iter().next().with_context(|| format!("{} is empty", path.display()))?;
    Ok(tensor)
}

/// The largest difference, and the standard deviation of what was expected. What is no number is infinitely far.
pub(crate) fn difference(expected: &Tensor, found: &Tensor) -> Result<(f64, f64)> {
    ensure!(expected.shape() == found.shape(), "shape {:?}, not {:?}", found.shape(), expected.shape());
    let (expected, found) = (expected.to_f64_vec()?, found.to_f64_vec()?);
    let count = expected.len() as f64;
    let mean = expected.iter().sum::<f64>() / count;
    let spread = (expected.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    let apart = |(a, b): (&f64, &f64)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() };
    Ok((found.iter().zip(&expected).map(apart).fold(0.0, f64::max), spread))
}
