//! From a checkpoint to ONNX, and what ONNX Runtime makes of it: zoo beside `torch.onnx.export`.
//!
//! Each network's checkpoint is made once. Then everybody who exports takes turns, as whole processes, and the graphs that they
//! left are compared in one process of ONNX Runtime. All files of a network are removed before the next one's turn.
#![expect(clippy::print_stderr, reason = "this is the edge: minutes pass, so it tells the user what it does")]

use std::path::Path;

use anyhow::Result;

use super::beside::{self, Beside};
use super::exporters::{self, COPY, DYNAMO, IN_PLACE, Job, PACKED, TORCHSCRIPT, Torch};
use super::rounds::{Row, settle, take_turns};
use crate::files;

/// The networks whose export is measured.
const EXPORTED: [&str; 2] = ["resnet50", "vit_b_16"];

/// The other networks, whose graphs alone are compared.
const COMPARED: [&str; 3] = ["mobilenet_v3_large", "swin_t", "convnext_tiny"];

/// Graphs that ONNX Runtime opens, and what the script calls them.
const GRAPHS: [(&str, &str); 3] = [(IN_PLACE, "zoo"), (TORCHSCRIPT, "torchscript"), (DYNAMO, "dynamo")];

/// What was measured.
pub(super) struct Staging {
    /// For each network from the checkpoint to ONNX, a row for everybody.
    pub(super) exports: Vec<(&'static str, Vec<Row>)>,
    /// For each network what ONNX Runtime makes of the graphs.
    pub(super) beside: Vec<Beside>,
}

/// Measures everything. Without a Python that has torch there is no checkpoint, and all rows say so.
pub(super) fn measure(
    zoo: &Path,
    torch: &Result<Torch, String>,
    folder: &Path,
    rounds: usize,
) -> Result<Staging> {
    let mut staging = Staging { exports: Vec::new(), beside: Vec::new() };
    for network in EXPORTED.into_iter().chain(COMPARED) {
        let counts = EXPORTED.contains(&network);
        files::remove_dir_all(folder)?;
        files::create_dir_all(folder)?;
        let job = Job { network, checkpoint: folder.join("checkpoint.pth"), folder: folder.to_owned() };
        let made = torch.clone().and_then(|torch| make(&torch, &job).map(|()| torch));
        let (rows, beside) = match &made {
            Ok(torch) => {
                let rows = export(zoo, torch, &job, if counts { rounds } else { 1 }, counts);
                let beside = compare(torch, &job, &rows);
                (rows, beside)
            }
            Err(reason) => (without(reason), compare_nothing(network, reason)),
        };
        if counts {
            staging.exports.push((network, rows));
        }
        staging.beside.push(beside);
    }
    files::remove_dir_all(folder)?;
    Ok(staging)
}

/// The checkpoint.
fn make(torch: &Torch, job: &Job) -> Result<(), String> {
    eprintln!("{}: making a checkpoint", job.network);
    let mut script = torch.script("torch_export.py");
    script.args(["make", job.network, "--out"]).arg(&job.checkpoint);
    let made = super::measure::run(vec![script]);
    made.map(|_| ()).map_err(|reason| format!("there is no checkpoint: {reason:#}"))
}

/// Everybody's turns; of a network whose export is not measured only the graphs are wanted.
fn export(zoo: &Path, torch: &Torch, job: &Job, rounds: usize, counts: bool) -> Vec<Row> {
    let mut players = vec![exporters::in_place(zoo, job)];
    if counts {
        players.extend([exporters::packed(zoo, job), exporters::copy(job)]);
    }
    players.extend([TORCHSCRIPT, DYNAMO].map(|name| exporters::torch(torch, job, name)));
    take_turns(&players, job.network, rounds, false)
}

/// What ONNX Runtime makes of the graphs that were left.
fn compare(torch: &Torch, job: &Job, rows: &[Row]) -> Beside {
    eprintln!("{}: the graphs in ONNX Runtime", job.network);
    let failed = |name: &str| match rows.iter().find(|row| row.name == name).map(|row| &row.outcome) {
        Some(Ok(_)) => None,
        Some(Err(reason)) => Some(reason.clone()),
        None => Some("never exported".to_owned()),
    };
    let mut script = torch.script("ort_beside.py");
    for (name, short) in GRAPHS.iter().filter(|(name, _)| failed(name).is_none()) {
        script.arg(format!("{short}={}", job.graph(name).display()));
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
    Beside { network: job.network, graphs: GRAPHS.map(graph).into() }
}

fn without(reason: &str) -> Vec<Row> {
    let names = [IN_PLACE, PACKED, COPY, TORCHSCRIPT, DYNAMO];
    names.map(|name| Row { name, outcome: Err(reason.to_owned()), written: 0 }).into()
}

fn compare_nothing(network: &'static str, reason: &str) -> Beside {
    Beside { network, graphs: GRAPHS.map(|(name, _)| (name, Err(reason.to_owned()))).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_torch_every_row_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let torch = Err("not installed".to_owned());
        let staging = measure(Path::new("zoo"), &torch, &dir.path().join("work"), 1).unwrap();
        assert_eq!(staging.exports.iter().map(|(network, _)| *network).collect::<Vec<_>>(), EXPORTED);
        let rows: Vec<_> = staging.exports.iter().flat_map(|(_, rows)| rows).collect();
        assert_eq!(rows.len(), 10);
        assert!(rows.iter().all(|row| row.outcome.as_ref().is_err_and(|reason| reason == "not installed")));
        assert_eq!(staging.beside.len(), 5);
        let graphs: Vec<_> = staging.beside.iter().flat_map(|beside| &beside.graphs).collect();
        assert!(
            graphs.iter().all(|(_, graph)| graph.as_ref().is_err_and(|reason| reason == "not installed"))
        );
    }
}
