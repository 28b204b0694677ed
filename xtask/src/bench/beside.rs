//! The graphs of zoo and of torch's exporters beside each other in ONNX Runtime, by `tests/python/ort_beside.py`.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::measure::Spread;

/// A network, and its graphs by who wrote them: zoo's is the first. Or why there are none.
pub(super) struct Beside {
    pub(super) network: &'static str,
    pub(super) graphs: Vec<(&'static str, Result<Graph, String>)>,
}

/// What ONNX Runtime makes of a graph.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub(super) struct Graph {
    /// As they stand in the file.
    pub(super) nodes: u64,
    /// After the optimisation that happens by default.
    pub(super) optimised: u64,
    /// Milliseconds that sessions took to come into being.
    session: Vec<f64>,
    /// Milliseconds of runs on one thread, by the clock.
    wall: Vec<f64>,
    /// Milliseconds of the processor in the same runs.
    cpu: Vec<f64>,
}

impl Graph {
    pub(super) fn session(&self) -> Option<Spread> {
        Spread::of(self.session.iter().copied())
    }

    pub(super) fn wall(&self) -> Option<Spread> {
        Spread::of(self.wall.iter().copied())
    }

    pub(super) fn cpu(&self) -> Option<Spread> {
        Spread::of(self.cpu.iter().copied())
    }

    #[cfg(test)]
    pub(super) fn of(optimised: u64, millis: f64) -> Self {
        let times = vec![millis];
        Self { nodes: optimised * 2, optimised, session: times.clone(), wall: times.clone(), cpu: times }
    }
}

impl Beside {
    /// Somebody's graph.
    pub(super) fn graph(&self, name: &str) -> Option<&Graph> {
        let found = self.graphs.iter().find(|(who, _)| *who == name);
        found.and_then(|(_, graph)| graph.as_ref().ok())
    }

    /// Those of the others.
    pub(super) fn others(&self, name: &str) -> impl Iterator<Item = &Graph> {
        let others = self.graphs.iter().filter(move |(who, _)| *who != name);
        others.filter_map(|(_, graph)| graph.as_ref().ok())
    }
}

/// Runs the script with all of its arguments, and reads what it measured of the graphs, by their names.
pub(super) fn run(mut script: Command) -> Result<BTreeMap<String, Graph>> {
    let said = script.stdin(Stdio::null()).output().context("Python could not be started")?;
    if !said.status.success() {
        let errors = String::from_utf8_lossy(&said.stderr);
        bail!("{}", errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed"));
    }
    read(&String::from_utf8_lossy(&said.stdout))
}

/// Nothing but whole measurements: a graph without samples was not measured.
fn read(line: &str) -> Result<BTreeMap<String, Graph>> {
    let graphs: BTreeMap<String, Graph> = serde_json::from_str(line).context("it printed no measurements")?;
    for (name, graph) in &graphs {
        if graph.session.is_empty() || graph.wall.is_empty() || graph.cpu.is_empty() {
            bail!("it measured nothing of {name}");
        }
    }
    Ok(graphs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_line_is_read() {
        let line = r#"{"zoo": {"nodes": 9, "optimised": 4, "session": [3.0], "wall": [1.0, 2.0], "cpu": [1.0, 1.5], "apart": 0.0}}"#;
        let graphs = read(line).unwrap();
        let zoo = graphs.get("zoo").unwrap();
        assert_eq!((zoo.nodes, zoo.optimised), (9, 4));
        assert_eq!(zoo.wall().map(|wall| wall.median), Some(1.5));
        assert_eq!(zoo.cpu().map(|cpu| cpu.median), Some(1.25));
        assert_eq!(zoo.session().map(|session| session.median), Some(3.0));
    }

    #[test]
    fn a_line_without_measurements_is_an_error() {
        assert_eq!(read("oh").unwrap_err().to_string(), "it printed no measurements");
        let empty = r#"{"zoo": {"nodes": 9, "optimised": 4, "session": [3.0], "wall": [], "cpu": []}}"#;
        assert_eq!(read(empty).unwrap_err().to_string(), "it measured nothing of zoo");
    }
}
