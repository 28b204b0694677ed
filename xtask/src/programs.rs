//! Building programs of this workspace and finding out where cargo put them.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;

/// The programs that a build made, by the names of their targets.
pub(crate) struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Runs `cargo build`, given with all of its arguments. What it prints goes to the user; the paths come from its messages, since
    /// only cargo knows what the folder of a profile, a target and a configuration is.
    pub(crate) fn build(cargo: &mut Command) -> Result<Self> {
        let mut child = cargo
            .arg("--message-format=json-render-diagnostics")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cargo could not be started")?;
        let messages = child.stdout.take().context("cargo has no output")?;
        let mut programs = BTreeMap::new();
        for message in Message::parse_stream(BufReader::new(messages)) {
            if let Message::CompilerArtifact(artifact) = message.context("cargo's messages cannot be read")?
                && let Some(path) = artifact.executable
            {
                programs.insert(artifact.target.name, path.into_std_path_buf());
            }
        }
        let status = child.wait().context("cargo was lost")?;
        if !status.success() {
            bail!("the build failed ({status})");
        }
        Ok(Self(programs))
    }

    /// Where a program is.
    pub(crate) fn get(&self, name: &str) -> Result<PathBuf> {
        self.0.get(name).cloned().with_context(|| format!("cargo built no program `{name}`"))
    }
}
