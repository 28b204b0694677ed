//! The mirror's process: started, told what to do, and gone with its owner. The program is `xtask/examples/mirror.rs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Where everything is.
#[derive(Debug, Deserialize)]
pub(crate) struct Places {
    pub(crate) hugging_face: String,
    pub(crate) raw: String,
    pub(crate) proxy: String,
    pub(crate) admin: String,
    /// Where torchvision's weights are.
    pub(crate) torch: String,
    /// What of them there is; none unless they were asked for.
    pub(crate) torch_catalog: Option<PathBuf>,
    /// The certificate of the proxy's authority, in PEM.
    pub(crate) authority: String,
    pub(crate) patterns: Vec<Pattern>,
}

/// A served file that means nothing.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pattern {
    /// Owner and name, with a `/` between.
    pub(crate) repository: String,
    pub(crate) file: String,
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// The running process. It ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    places: Places,
}

impl Server {
    /// Starts the program and waits until it serves.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the mirror could not be started")?;
        let commands = child.stdin.take();
        let answers = child.stdout.take().context("the mirror has no output")?;
        let mut answers = BufReader::new(answers);
        let mut line = String::new();
        answers.read_line(&mut line).context("the mirror does not say where it is")?;
        if line.is_empty() {
            bail!("the mirror did not start ({})", child.wait().context("the mirror was lost")?);
        }
        let places = serde_json::from_str(&line).context("the mirror does not say where it is")?;
        Ok(Self { child, commands, answers, places })
    }

    /// Where everything is.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// Limits every connection to so many bytes per second; 0 lifts the limit.
    pub(crate) fn pace(&mut self, bytes_per_second: u64) -> Result<()> {
        let answer = self.ask(&format!("pace {bytes_per_second}"))?;
        if answer != "ok" {
            bail!("the mirror answered `{answer}`");
        }
        Ok(())
    }

    /// How many requests came since this was last asked.
    pub(crate) fn requests(&mut self) -> Result<usize> {
        let answer = self.ask("requests")?;
        answer.parse().with_context(|| format!("the mirror answered `{answer}`"))
    }

    /// Waits until somebody ends it.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait().context("the mirror was lost")?;
        bail!("the mirror ended ({status})");
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        let commands = self.commands.as_mut().context("the mirror takes no commands")?;
        writeln!(commands, "{command}").context("the mirror takes no commands")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).context("the mirror does not answer")?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the end of the process.
        self.commands = None;
        let _ = self.child.wait();
    }
}
