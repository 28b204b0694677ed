//! `cargo xtask e2e`: the main job for every ecosystem, from the embedded mirror, or with `--live` from the real hubs.
//!
//! The suites are a program of their own (`tests/e2e/`), so that xtask itself is built in seconds; here is what it needs
//! first: ONNX Runtime's library, and a real model.

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
    /// Compare networks of full size with the framework itself: `ZOO_TORCH_PYTHON` names a Python that has torch, and torchvision or
    /// transformers.
    #[arg(long, conflicts_with = "live")]
    full: bool,
    /// With `--full`, only these networks.
    #[arg(long, requires = "full", value_name = "NAME,…", value_delimiter = ',')]
    networks: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let library = setup::ensure()?;
    let mut arguments: Vec<OsString> =
        ["run", "--quiet", "--package", "zoo-tests", "--bin", "zoo-e2e"].map(Into::into).into();
    arguments.extend(["--".into(), "--library".into(), library.into()]);
    if args.live {
        arguments.push("--live".into());
    }
    if args.full {
        arguments.push("--full".into());
        arguments.extend(torch_python().into_iter().flat_map(|python| ["--torch-python".into(), python]));
        arguments.extend(args.networks.iter().flat_map(|name| ["--networks".into(), name.into()]));
    }
    if !args.live
        && !args.full
        && (args.ecosystems.is_empty() || args.ecosystems.iter().any(|name| name == "hf"))
    {
        arguments.extend(["--minilm".into(), setup::minilm()?.into()]);
    }
    arguments.extend(args.ecosystems.iter().map(Into::into));
    workspace::run(workspace::cargo().args(arguments))
}

/// The Python that has torch, if somebody named one.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is told so by the environment, as it is of other interpreters"
)]
fn torch_python() -> Option<OsString> {
    std::env::var_os("ZOO_TORCH_PYTHON")
}
