//! The third table: a pull that finds everything in the store, as the user sees it: the `zoo` command from its start to its
//! end, and no request to anybody.
#![expect(clippy::print_stderr, reason = "this is the edge: it tells the user what it does")]

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::clients;
use super::measure;
use super::rounds::{self, Row};
use crate::files;
use crate::mirror::Server;

/// The model that is pulled, once for real.
pub(super) const HANDLE: &str = "onnx:mnist-12";

pub(super) const STORED: &str = "stored";
const OFFLINE: &str = "stored, --offline";

/// Measures `runs` pulls of each kind. `program` is the zoo command, or the reason why there is none.
pub(super) fn measure(
    program: &Result<std::path::PathBuf>,
    server: &mut Server,
    folder: &Path,
    runs: usize,
) -> Result<Vec<Row>> {
    let measured = match program {
        Ok(program) => timed(program, server, folder, runs),
        Err(reason) => bail_with(reason),
    };
    let rows = match measured {
        Ok(rows) => rows,
        Err(reason) => {
            let failed = |name| Row { name, outcome: Err(format!("failed: {reason:#}")), written: 0 };
            vec![failed(STORED), failed(OFFLINE)]
        }
    };
    files::remove_dir_all(folder)?;
    Ok(rows)
}

fn bail_with<T>(reason: &anyhow::Error) -> Result<T> {
    bail!("the zoo command was not built: {reason:#}")
}

fn timed(program: &Path, server: &mut Server, folder: &Path, runs: usize) -> Result<Vec<Row>> {
    eprintln!("pulling {HANDLE} once, then {runs} times from the store");
    files::remove_dir_all(folder)?;
    files::create_dir_all(folder)?;
    let (hub, raw) = (server.places().hugging_face.clone(), server.places().raw.clone());
    let pull = |more: &[&str]| {
        let mut zoo = clients::clean(program, folder);
        zoo.arg("--home").arg(folder.join("home")).args(["pull", HANDLE]).args(more);
        zoo.env("HF_ENDPOINT", &hub).env("ZOO_ONNX_ENDPOINT", &raw);
        zoo
    };
    server.requests()?;
    measure::run(vec![pull(&[])]).context("the first pull")?;
    if server.requests()? == 0 {
        bail!("the first pull asked nobody, so what follows would prove nothing");
    }
    rounds::settle();
    let kinds: [(&str, &[&str]); 2] = [(STORED, &[]), (OFFLINE, &["--offline"])];
    let mut rows: Vec<Row> =
        kinds.iter().map(|(name, _)| Row { name, outcome: Ok(Vec::new()), written: 0 }).collect();
    for run in 0..=runs {
        for ((_, more), row) in kinds.iter().zip(&mut rows) {
            let sample = measure::run(vec![pull(more)])?;
            // The first of each kind warms up.
            if let (Ok(samples), 1..) = (&mut row.outcome, run) {
                samples.push(sample);
            }
        }
    }
    match server.requests()? {
        0 => Ok(rows),
        count => bail!("{count} requests were made although everything was in the store"),
    }
}
