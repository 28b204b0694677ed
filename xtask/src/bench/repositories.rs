//! From a repository of Hugging Face to ONNX, and what ONNX Runtime makes of it: zoo beside optimum and torch's exporter.
//!
//! Each repository is made once: a published shape with seeded weights. Then everybody takes turns, as whole processes, and the graphs
//! that they left are compared in one process of ONNX Runtime. A model of a billion parameters takes optimum minutes and most of the
//! machine's memory, so it runs in one round only, and its graphs are not compared.
#![expect(clippy::print_stderr, reason = "this is the edge: minutes pass, so it tells the user what it does")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::beside::{self, Beside};
use super::clients;
use super::exporters::{TIMES, Torch};
use super::rounds::{Player, Row, regular_files, settle, take_turns};
use crate::files;

pub(super) const IN_PLACE: &str = "zoo stage";
pub(super) const OPTIMUM: &str = "optimum";
pub(super) const DYNAMO: &str = "torch.onnx.export, dynamo";

/// A published shape.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// What optimum is asked for; zoo takes it from the configuration.
    task: &'static str,
    /// Whether the exporters are measured in every round, and their graphs compared.
    small: bool,
}

pub(super) const SHAPES: [Shape; 2] = [
    Shape { name: "bert-base", task: "feature-extraction", small: true },
    Shape { name: "llama-1.1b", task: "text-generation-with-past", small: false },
];

/// What was measured.
pub(super) struct Repositories {
    /// For each repository a row for everybody.
    pub(super) exports: Vec<(&'static str, Vec<Row>)>,
    /// For each that is small enough what ONNX Runtime makes of the graphs.
    pub(super) beside: Vec<Beside>,
}

/// Measures everything. Without a Python that has torch there is no repository, and all rows say so.
pub(super) fn measure(
    zoo: &Path,
    torch: &Result<Torch, String>,
    folder: &Path,
    rounds: usize,
) -> Result<Repositories> {
    let mut measured = Repositories { exports: Vec::new(), beside: Vec::new() };
    for shape in &SHAPES {
        files::remove_dir_all(folder)?;
        files::create_dir_all(folder)?;
        let job = Job { shape, folder: folder.to_owned() };
        let made = torch.clone().and_then(|torch| make(&torch, &job).map(|()| torch));
        let rows = match &made {
            Ok(torch) => {
                let players =
                    [in_place(zoo, &job), exporter(torch, &job, OPTIMUM), exporter(torch, &job, DYNAMO)];
                let taking_part = if shape.small { 3 } else { 2 };
                let rounds = if shape.small { rounds } else { 1 };
                take_turns(&players[..taking_part], shape.name, rounds, false)
            }
            Err(reason) => {
                [IN_PLACE, OPTIMUM].map(|name| Row { name, outcome: Err(reason.clone()), written: 0 }).into()
            }
        };
        if let (Ok(torch), true) = (&made, shape.small) {
            measured.beside.push(compare(torch, &job, &rows));
        }
        measured.exports.push((shape.name, rows));
    }
    files::remove_dir_all(folder)?;
    Ok(measured)
}

/// A repository, and where everybody writes.
struct Job {
    shape: &'static Shape,
    /// With a folder in it for everybody.
    folder: PathBuf,
}

impl Job {
    fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.join(match name {
            IN_PLACE => "zoo",
            OPTIMUM => "optimum",
            _ => "dynamo",
        })
    }

    /// Somebody's folder, empty.
    fn emptied(&self, name: &str) -> Result<PathBuf> {
        let folder = self.of(name);
        files::remove_dir_all(&folder)?;
        files::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The bytes in somebody's folder, without the repository's own files that zoo found there.
    fn written(&self, name: &str) -> Result<u64> {
        let found = regular_files(&self.of(name))?;
        let graph = self.of(name).join("model.onnx");
        ensure!(
            found.iter().any(|(path, _)| *path == graph),
            "it says that it succeeded, and there is no model.onnx"
        );
        let was_there = |path: &Path| {
            let own = path.file_name().map(|name| self.repository().join(name));
            name == IN_PLACE && own.is_some_and(|own| own.is_file())
        };
        Ok(found.iter().filter(|(path, _)| !was_there(path)).map(|(_, length)| length).sum())
    }
}

/// The repository.
fn make(torch: &Torch, job: &Job) -> Result<(), String> {
    eprintln!("{}: making a repository", job.shape.name);
    let mut script = torch.script("hf_export.py");
    script.args(["make", job.shape.name, "--out"]).arg(job.repository());
    let made = super::measure::run(vec![script]);
    made.map(|_| ()).map_err(|reason| format!("there is no repository: {reason:#}"))
}

fn in_place<'a>(program: &'a Path, job: &'a Job) -> Player<'a> {
    let prepare = move || {
        let folder = job.emptied(IN_PLACE)?;
        // The graph is written beside the weights, so there are names for the repository's files in this folder.
        for (path, _) in regular_files(&job.repository())? {
            let name = path.file_name().context("a file without a name")?;
            std::fs::hard_link(&path, folder.join(name))
                .with_context(|| format!("cannot link `{}`", path.display()))?;
        }
        let home = job.folder.join("home");
        let mut zoo = clients::clean(program, &home);
        zoo.arg("--home").arg(&home).arg("stage").arg(&folder);
        Ok(vec![zoo])
    };
    Player {
        name: IN_PLACE,
        times: TIMES,
        prepare: Ok(Box::new(prepare)),
        check: Box::new(move || job.written(IN_PLACE)),
    }
}

fn exporter<'a>(torch: &'a Torch, job: &'a Job, name: &'static str) -> Player<'a> {
    let prepare = move || {
        let out = job.emptied(name)?;
        let mut export = torch.script("hf_export.py");
        export.arg("export").arg(job.repository());
        let exporter = if name == OPTIMUM { "optimum" } else { "dynamo" };
        export.args(["--exporter", exporter, "--task", job.shape.task, "--out"]).arg(out);
        Ok(vec![export])
    };
    Player { name, times: 1, prepare: Ok(Box::new(prepare)), check: Box::new(move || job.written(name)) }
}

/// What ONNX Runtime makes of the graphs that were left.
fn compare(torch: &Torch, job: &Job, rows: &[Row]) -> Beside {
    eprintln!("{}: the graphs in ONNX Runtime", job.shape.name);
    let failed = |name: &str| match rows.iter().find(|row| row.name == name).map(|row| &row.outcome) {
        Some(Ok(_)) => None,
        Some(Err(reason)) => Some(reason.clone()),
        None => Some("never exported".to_owned()),
    };
    let names = [(IN_PLACE, "zoo"), (OPTIMUM, "optimum"), (DYNAMO, "dynamo")];
    let mut script = torch.script("ort_beside.py");
    script.args(["--tokens", "128"]);
    for (name, short) in names.iter().filter(|(name, _)| failed(name).is_none()) {
        script.arg(format!("{short}={}", job.of(name).join("model.onnx").display()));
    }
    settle();
    let measured = beside::run(script).map_err(|reason| format!("failed: {reason:#}"));
    let graph = |(name, short): (&'static str, &str)| {
        let graph = match (failed(name), &measured) {
            (Some(reason), _) => Err(reason),
            (None, Err(reason)) => Err(reason.clone()),
            (None, Ok(graphs)) => graphs.get(short).cloned().ok_or_else(|| "never measured".to_owned()),
        };
        (name, graph)
    };
    Beside { network: job.shape.name, graphs: names.map(graph).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zoo_writes_is_counted_without_the_repositorys_files() {
        let dir = tempfile::tempdir().unwrap();
        let job = Job { shape: &SHAPES[0], folder: dir.path().to_owned() };
        files::create_dir_all(&job.repository()).unwrap();
        files::write_atomic(&job.repository().join("model.safetensors"), &b"weights"[..], 7).unwrap();
        let player = in_place(Path::new("zoo"), &job);
        player.prepare.unwrap()().unwrap();
        assert!((player.check)().unwrap_err().to_string().contains("there is no model.onnx"));
        files::write_atomic(&job.of(IN_PLACE).join("model.onnx"), &b"abc"[..], 3).unwrap();
        assert_eq!((player.check)().unwrap(), 3);
    }
}
