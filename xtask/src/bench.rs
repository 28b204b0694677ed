//! `cargo xtask bench`: zoo beside the programs that people use today, in one run, on one machine.
//!
//! Downloads come from one server: [`clients`] says who is measured, and [`store`] measures the pull that has nothing to do. [`stage`]
//! measures the way from a checkpoint to ONNX, whose [`exporters`] are zoo and torch, and what ONNX Runtime makes of the graphs
//! ([`beside`]); [`mod@repositories`] does the same for repositories of Hugging Face, beside optimum. [`rounds`] runs everybody in turns, [`measure`] runs one; [`aims`] compares the outcome with what zoo promises,
//! and [`document`] writes a part of `docs/benchmarks.md`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the edge: tables are for the user")]

mod aims;
mod beside;
mod clients;
mod document;
mod exporters;
mod machine;
mod measure;
mod repositories;
mod rounds;
mod stage;
mod store;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use self::aims::{Aim, Tables};
use self::clients::{ARIA2C, CURL, Client};
use self::document::{Part, Report, Section};
use self::exporters::Torch;
use crate::mirror::{PROGRAM, Pattern, Server};
use crate::programs::Programs;
use crate::{files, workspace};

/// The pace of the second table, in bytes per second and connection: a fast host that does not want to be a faster one.
const PACE: u64 = 50_000_000;

/// The most that the second table downloads: with a single connection it takes eleven seconds.
const PACED_MIB: u64 = 512;

/// Runs of a pull that finds everything in the store.
const STORED_RUNS: usize = 20;

/// The clients of the second table, beside zoo: those that differ by their connections.
const PACED: &[&str] = &[clients::ZOO, ARIA2C, CURL, clients::HF_HUB, clients::HUGGINGFACE_HUB];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// Size of the file that is downloaded. On slowed connections it is 512 at most.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..1 << 20))]
    size: u64,
    /// How often each client is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Write this part of `docs/benchmarks.md`.
    #[arg(long)]
    write: bool,
    /// A Python with torch, torchvision, onnx, onnxscript and onnxruntime, for `stage` [default: what `ZOO_TORCH_PYTHON` names].
    #[arg(long, value_name = "PROGRAM")]
    torch_python: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Downloads, on an open link and on slow connections.
    Fetch,
    /// A pull that finds everything in the store.
    Store,
    /// Both of these.
    All,
    /// From a checkpoint to ONNX, beside torch's exporters.
    Stage,
    /// From a repository of Hugging Face to ONNX, beside optimum and torch's exporter.
    Hf,
}

impl Args {
    /// The command line that does the same again.
    fn command(&self) -> String {
        let what = match self.what {
            What::Fetch => "fetch",
            What::Store => "store",
            What::All => "all",
            What::Stage => "stage",
            What::Hf => "hf",
        };
        let write = if self.write { " --write" } else { "" };
        // Staging downloads nothing.
        let downloads = !matches!(self.what, What::Stage | What::Hf);
        let size = if downloads { format!(" --size {}", self.size) } else { String::new() };
        format!("cargo xtask bench {what}{size} --rounds {}{write}", self.rounds)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    let folder = target.join("bench");
    match args.what {
        What::Stage => staging(args, &folder),
        What::Hf => repositories(args, &folder),
        What::Fetch | What::Store | What::All => fetching(args, &folder),
    }
}

/// From checkpoints to ONNX.
fn staging(args: &Args, folder: &Path) -> Result<()> {
    let zoo = command()?;
    let torch = Torch::find(args.torch_python.as_deref());
    let mut versions = vec![format!("zoo {}", env!("CARGO_PKG_VERSION"))];
    versions.extend(torch.iter().flat_map(|torch| torch.versions.clone()));
    files::create_dir_all(folder)?;
    let mut machine = machine::facts(folder, "models");
    if let Some(load) = machine::load() {
        machine.push(format!("load average when it began: {load}"));
    }
    let rounds = usize::from(args.rounds);
    let measured = stage::measure(&zoo, &torch, folder, rounds)?;
    let of_network = |(network, rows): &(&str, Vec<rounds::Row>)| Section {
        heading: format!("`{network}.pth` to ONNX"),
        about: format!("{rounds} rounds; zoo and cp ran {} times in each.", exporters::TIMES),
        table: table::of_exports(rows),
    };
    let mut sections: Vec<Section> = measured.exports.iter().map(of_network).collect();
    sections.push(Section {
        heading: "The graphs in ONNX Runtime".to_owned(),
        about: "Sessions, runs on one thread, and nodes before and after optimisation.".to_owned(),
        table: table::of_graphs(&measured.beside),
    });
    report(args, Part::Stage, &machine, &versions, &aims::judge_staging(&measured), &sections)
}

/// From repositories to ONNX.
fn repositories(args: &Args, folder: &Path) -> Result<()> {
    let zoo = command()?;
    let torch = Torch::find(args.torch_python.as_deref()).and_then(Torch::with_optimum);
    let mut versions = vec![format!("zoo {}", env!("CARGO_PKG_VERSION"))];
    versions.extend(torch.iter().flat_map(|torch| torch.versions.clone()));
    files::create_dir_all(folder)?;
    let mut machine = machine::facts(folder, "models");
    if let Some(load) = machine::load() {
        machine.push(format!("load average when it began: {load}"));
    }
    let rounds = usize::from(args.rounds);
    let measured = repositories::measure(&zoo, &torch, folder, rounds)?;
    let of_shape = |(name, rows): &(&str, Vec<rounds::Row>)| Section {
        heading: format!("a repository of the shape {name} to ONNX"),
        about: format!("Up to {rounds} rounds; zoo ran {} times in each.", exporters::TIMES),
        table: table::of_exports(rows),
    };
    let mut sections: Vec<Section> = measured.exports.iter().map(of_shape).collect();
    sections.push(Section {
        heading: "The graphs of repositories in ONNX Runtime".to_owned(),
        about: "Sessions, runs on one thread, and nodes before and after optimisation.".to_owned(),
        table: table::of_graphs(&measured.beside),
    });
    report(args, Part::Hf, &machine, &versions, &aims::judge_repositories(&measured), &sections)
}

/// Downloads, and pulls from the store.
fn fetching(args: &Args, folder: &Path) -> Result<()> {
    eprintln!("building the mirror and the programs that are measured, with optimisation …");
    let programs = release(&[
        "--package",
        "zoo-core",
        "--package",
        "xtask",
        "--example",
        "fetch",
        "--example",
        PROGRAM,
    ])?;
    let mut tables = Tables { open: Vec::new(), paced: Vec::new(), stored: Vec::new() };
    let mut sections = Vec::new();
    let mut versions = vec![format!("zoo {}", env!("CARGO_PKG_VERSION"))];
    let paced_size = args.size.min(PACED_MIB);
    let mut server = Command::new(programs.get(PROGRAM)?);
    if args.what != What::Store {
        server.args(["--pattern", &args.size.to_string(), "--pattern", &paced_size.to_string()]);
    }
    let fetched = if args.what == What::Store { None } else { Some(clients::all(&programs)?) };
    let zoo = if args.what == What::Fetch { None } else { Some(command()) };
    let mut server = Server::start(&mut server)?;
    if let Some(clients) = &fetched {
        versions.extend(clients.iter().flat_map(|client| client.versions.clone()));
        let rounds = usize::from(args.rounds);
        let (open, paced) = downloads(clients, &mut server, folder, rounds)?;
        sections.push(Section {
            heading: format!("A file of {} MiB, as fast as it comes", args.size),
            about: format!("{rounds} rounds, after one that does not count."),
            table: table::of_downloads(&open, args.size << 20),
        });
        sections.push(Section {
            heading: format!("A file of {paced_size} MiB at {} MB/s per connection", PACE / 1_000_000),
            about: format!(
                "{rounds} rounds. zoo begins with one connection and takes more when it finds that one slow; aria2c \
                 begins with eight."
            ),
            table: table::of_downloads(&paced, paced_size << 20),
        });
        (tables.open, tables.paced) = (open, paced);
    }
    if let Some(zoo) = zoo {
        tables.stored = store::measure(&zoo, &mut server, folder, STORED_RUNS)?;
        sections.push(Section {
            heading: format!("`zoo pull {}`, with everything in the store", store::HANDLE),
            about: format!("{STORED_RUNS} runs of the whole command."),
            table: table::of_stored(&tables.stored),
        });
    }
    drop(server);
    let machine = machine::facts(folder, "downloads");
    report(args, Part::Fetch, &machine, &versions, &aims::judge(&tables), &sections)
}

fn downloads(
    clients: &[Client],
    server: &mut Server,
    folder: &Path,
    rounds: usize,
) -> Result<(Vec<rounds::Row>, Vec<rounds::Row>)> {
    let endpoint = server.places().hugging_face.clone();
    let pattern = |server: &Server, at: usize| -> Result<Pattern> {
        server.places().patterns.get(at).cloned().context("the mirror does not serve the file")
    };
    let (large, small) = (pattern(server, 0)?, pattern(server, 1)?);
    let everybody: Vec<&Client> = clients.iter().collect();
    let open = rounds::measure(&everybody, &endpoint, &large, folder, rounds, true)?;
    server.pace(PACE)?;
    let some: Vec<&Client> = clients.iter().filter(|client| PACED.contains(&client.name)).collect();
    let paced = rounds::measure(&some, &endpoint, &small, folder, rounds, false)?;
    server.pace(0)?;
    Ok((open, paced))
}

fn release(arguments: &[&str]) -> Result<Programs> {
    Programs::build(workspace::cargo().args(["build", "--release"]).args(arguments))
}

/// The zoo command.
fn command() -> Result<PathBuf> {
    eprintln!("building the zoo command, with optimisation …");
    release(&["--package", "zoo-cli", "--bin", "zoo"])?.get("zoo")
}

fn report(
    args: &Args,
    part: Part,
    machine: &[String],
    versions: &[String],
    aims: &[Aim],
    sections: &[Section],
) -> Result<()> {
    let mut versions = versions.to_vec();
    // A tool in several rows says its version in each.
    let mut seen = std::collections::BTreeSet::new();
    versions.retain(|version| seen.insert(version.clone()));
    for section in sections {
        println!("\n{}. {}\n\n{}", section.heading, section.about, section.table);
    }
    println!("{}", aims::shown(aims));
    if args.write {
        let report = Report {
            command: &args.command(),
            date: &jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            machine,
            versions: &versions,
            aims,
            tables: sections,
        };
        let path = workspace::root().join("docs").join("benchmarks.md");
        let before = String::from_utf8(files::read(&path)?).context("docs/benchmarks.md is not text")?;
        let text = part.put(&before, &report.text(part)).context("docs/benchmarks.md cannot be renewed")?;
        files::write_atomic(&path, text.as_bytes(), text.len() as u64)?;
        println!("wrote docs/benchmarks.md");
    }
    Ok(())
}
