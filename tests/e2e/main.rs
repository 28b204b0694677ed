//! The main job, end to end, for every ecosystem: models are pulled, verified, staged, run in ONNX Runtime, and their outputs
//! compared with the published ones. `cargo xtask e2e` calls this with the library it provided.
//!
//! By default the hubs are played by `zoo-mirror` from the fixtures; with `--live` they are the real ones. A suite is one file
//! and a line in [`SUITES`]. Whatever misses is a row that says so, and a failing exit.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

mod frameworks;
mod hf;
mod hf_full;
mod onnx;
mod references;
mod report;
mod torch;
mod torch_full;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use zoo_run::ort::LibrarySearch;

use crate::report::Report;
use zoo_tests::documents::{accepting, generated};

/// What was run is written there, one part per ecosystem.
const SUPPORT: &str = "docs/support.md";

/// Runs the end-to-end suites.
#[derive(Parser)]
struct Args {
    /// Ecosystems to run; all if none is named.
    ecosystems: Vec<String>,
    /// Ask the real hubs instead of the mirror. Needs a network; keeps what it fetched for the next time.
    #[arg(long)]
    live: bool,
    /// Compare networks of full size with the framework itself, which has to be installed. For PyTorch and Hugging Face.
    #[arg(long, conflicts_with = "live")]
    full: bool,
    /// With `--full`, the Python that has torch and torchvision.
    #[arg(long, value_name = "FILE")]
    torch_python: Option<PathBuf>,
    /// With `--full`, only these networks.
    #[arg(long, requires = "full", value_name = "NAME", value_delimiter = ',')]
    networks: Vec<String>,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    library: PathBuf,
    /// The folder with the files of `sentence-transformers/all-MiniLM-L6-v2`.
    #[arg(long, value_name = "DIR")]
    minilm: Option<PathBuf>,
    /// Where `--live` keeps its models.
    #[arg(long, default_value = "target/e2e-live", value_name = "DIR")]
    live_home: PathBuf,
}

/// What every suite is given.
struct Setting {
    live: bool,
    live_home: PathBuf,
    full: bool,
    torch_python: Option<PathBuf>,
    networks: Vec<String>,
    library: LibrarySearch,
    minilm: Option<PathBuf>,
}

type Suite = fn(&Setting, &mut Report) -> anyhow::Result<()>;

/// Every ecosystem that has a suite.
const SUITES: &[(&str, Suite)] = &[("onnx", onnx::run), ("torch", torch::run), ("hf", hf::run)];

/// Those whose real hub serves something to compare with.
const LIVE: &[&str] = &["onnx"];

/// Those that can be run at full size.
const FULL: &[&str] = &["torch", "hf"];

fn main() -> ExitCode {
    let args = Args::parse();
    let known = || SUITES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = args.ecosystems.iter().find(|e| !SUITES.iter().any(|(name, _)| name == e)) {
        println!("there is no suite `{unknown}`; there are: {}", known());
        return ExitCode::from(2);
    }
    let mut library = LibrarySearch::default();
    library.explicit = Some(args.library);
    let asked = |name: &str| {
        let named = args.ecosystems.is_empty() || args.ecosystems.iter().any(|e| e == name);
        named && (!args.full || FULL.contains(&name)) && (!args.live || LIVE.contains(&name))
    };
    let suites: Vec<_> = SUITES.iter().filter(|(name, _)| asked(name)).collect();
    let way = match (args.live, args.full) {
        (true, _) => " (live)",
        (_, true) => " (full)",
        _ => "",
    };
    let setting = Setting {
        live: args.live,
        live_home: args.live_home,
        full: args.full,
        torch_python: args.torch_python,
        networks: args.networks,
        library,
        minilm: args.minilm,
    };
    let mut report = Report::default();
    for (name, suite) in suites {
        println!("\n== {name}{way}");
        let mut own = Report::default();
        if let Err(error) = suite(&setting, &mut own) {
            own.miss(name, &format!("the suite ended: {error:#}"));
        }
        if setting.full {
            // Its figures are those of one machine, so that they are written on demand and never compared.
            if accepting()
                && let Err(problem) = generated(SUPPORT, &format!("{name}-full"), &own.measured(), true)
            {
                own.miss(name, &problem);
            }
        } else if !setting.live
            && let Err(outdated) = generated(SUPPORT, name, &own.support(), accepting())
        {
            own.miss(name, &outdated);
        }
        report.append(own);
    }
    println!("\n{}", report.table());
    println!("{}", report.summary());
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
