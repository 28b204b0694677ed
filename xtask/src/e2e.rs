//! `cargo xtask e2e`: the main job for every ecosystem, from the embedded mirror, or with `--live` from the real hubs.
//!
//! The suites are a program of their own (`tests/e2e/`), so that xtask itself is built in seconds; here is what it needs
//! first: ONNX Runtime's library.

use std::ffi::OsString;

use anyhow::Result;

use crate::{setup, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Ecosystems to run; all if none is named.
    ecosystems: Vec<String>,
    /// Ask the real hubs instead of the embedded mirror.
    #[arg(long)]
    live: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let library = setup::ensure()?;
    let mut arguments: Vec<OsString> =
        ["run", "--quiet", "--package", "zoo-tests", "--bin", "zoo-e2e", "--", "--library"]
            .map(Into::into)
            .into();
    arguments.push(library.into());
    if args.live {
        arguments.push("--live".into());
    }
    arguments.extend(args.ecosystems.iter().map(Into::into));
    workspace::run(workspace::cargo().args(arguments))
}
