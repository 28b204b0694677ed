//! What zoo promises of its speed and memory, each with what was measured.

use super::beside::{Beside, Graph};
use super::clients::{ARIA2C, CURL, ZOO};
use super::exporters::{COPY, DYNAMO, IN_PLACE, PACKED, TORCHSCRIPT};
use super::repositories::{self, Repositories};
use super::rounds::Row;
use super::stage::Staging;
use super::store;
use super::table;

/// Peak memory, whatever the size of the file.
const MEMORY: f64 = 64e6;
/// Seconds that a pull takes which finds everything in the store.
const FROM_STORE: f64 = 0.020;
/// Of the speed of aria2c with eight connections, when each of them is slow.
const OF_ARIA2C: f64 = 0.95;
/// How many times faster than the faster of torch's exporters a graph in place is made.
const THAN_TORCH: f64 = 500.0;
/// How many times faster than optimum a repository is staged in place.
const THAN_OPTIMUM: f64 = 1000.0;
/// Peak memory of staging in place, whatever the model.
const STAGING_MEMORY: f64 = 40e6;
/// Bytes that staging in place writes, whatever the model.
const WRITTEN: f64 = 2e6;
/// Of the time of `cp`, where the weights are copied.
const OF_COPY: f64 = 1.5;
/// Of the time of a run of torch's own graph: what exceeds it by less is within the noise.
const OF_RUN: f64 = 1.05;

/// The tables that were measured; an empty one was not asked for.
pub(super) struct Tables {
    pub(super) open: Vec<Row>,
    pub(super) paced: Vec<Row>,
    pub(super) stored: Vec<Row>,
}

/// An aim, and how it came out.
#[derive(Debug, PartialEq)]
pub(super) struct Aim {
    pub(super) what: String,
    pub(super) measured: String,
    /// `None` if it could not be measured.
    pub(super) met: Option<bool>,
}

/// Every aim that the tables have something to say about.
pub(super) fn judge(tables: &Tables) -> Vec<Aim> {
    let mut aims = Vec::new();
    if !tables.open.is_empty() {
        aims.push(compared(
            "no slower than curl on an open link, while zoo verifies and flushes and curl does neither",
            &tables.open,
            CURL,
            1.0,
        ));
    }
    if !tables.paced.is_empty() {
        aims.push(compared(
            "at least 0.95 of the speed of aria2c -x8 where each connection is slow",
            &tables.paced,
            ARIA2C,
            OF_ARIA2C,
        ));
        let peaks = [&tables.open, &tables.paced].map(|rows| find(rows, ZOO).and_then(Row::peak));
        let peak = peaks.into_iter().flatten().reduce(f64::max);
        aims.push(below("peak memory below 64 MB whatever the size", peak, MEMORY, |peak| {
            format!("{:.0} MB", peak / 1e6)
        }));
    }
    if !tables.stored.is_empty() {
        let wall = find(&tables.stored, store::STORED).and_then(Row::wall).map(|wall| wall.median);
        let what = "a pull that finds everything in the store: below 20 ms, with no request";
        aims.push(below(what, wall, FROM_STORE, |wall| format!("{:.1} ms", wall * 1e3)));
    }
    aims
}

fn find<'r>(rows: &'r [Row], name: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.name == name)
}

fn median(rows: &[Row], name: &str) -> Option<f64> {
    find(rows, name).and_then(Row::wall).map(|wall| wall.median)
}

/// zoo's speed is at least so much of another client's.
fn compared(what: &'static str, rows: &[Row], other: &'static str, least: f64) -> Aim {
    let speed = median(rows, ZOO).zip(median(rows, other)).map(|(zoo, time)| time / zoo);
    aim(what, speed, |speed| format!("{speed:.2} of its speed"), |speed| speed >= least)
}

fn below(what: &str, value: Option<f64>, limit: f64, show: impl Fn(f64) -> String) -> Aim {
    aim(what, value, show, |value| value < limit)
}

fn aim(what: &str, value: Option<f64>, show: impl Fn(f64) -> String, met: impl Fn(f64) -> bool) -> Aim {
    let measured = value.map_or_else(|| "not measured".to_owned(), show);
    Aim { what: what.to_owned(), measured, met: value.map(met) }
}

/// Every aim of staging.
pub(super) fn judge_staging(staging: &Staging) -> Vec<Aim> {
    let mut aims = Vec::new();
    for (network, rows) in &staging.exports {
        let torch = [TORCHSCRIPT, DYNAMO].into_iter().filter_map(|name| median(rows, name));
        let times = torch.reduce(f64::min).zip(median(rows, IN_PLACE)).map(|(torch, zoo)| torch / zoo);
        let what = format!(
            "{network} in place: at least {THAN_TORCH} times faster than the faster of torch's exporters (1000 is hoped for)"
        );
        aims.push(aim(&what, times, |times| format!("{times:.0} times"), |times| times >= THAN_TORCH));
    }
    let in_place = || staging.exports.iter().filter_map(|(_, rows)| find(rows, IN_PLACE));
    let written = in_place().filter(|row| row.wall().is_some()).map(|row| row.written as f64);
    let megabytes = |bytes: f64| format!("{:.2} MB", bytes / 1e6);
    aims.push(below("staging in place writes less than 2 MB", written.reduce(f64::max), WRITTEN, megabytes));
    let peak = in_place().filter_map(Row::peak).reduce(f64::max);
    aims.push(below("peak memory of staging in place: below 40 MB", peak, STAGING_MEMORY, |peak| {
        format!("{:.0} MB", peak / 1e6)
    }));
    for (network, rows) in &staging.exports {
        let ratio = median(rows, PACKED).zip(median(rows, COPY)).map(|(zoo, copy)| zoo / copy);
        let what = format!("{network} packed: no slower than {OF_COPY} times `cp` of the weights");
        aims.push(aim(&what, ratio, |ratio| format!("{ratio:.2} times"), |ratio| ratio <= OF_COPY));
    }
    let latency = worst(&staging.beside, |graph| Some(graph.cpu()?.median));
    aims.push(worst_aim(
        "a run takes no longer than one of torch's best graph (1.05 times is within the noise)",
        latency,
        |ratio| format!("{ratio:.2} times"),
        OF_RUN,
    ));
    let nodes = worst(&staging.beside, |graph| Some(graph.optimised as f64));
    aims.push(worst_aim(
        "no more nodes after ONNX Runtime's optimisation than torch's best graph",
        nodes,
        |ratio| format!("{ratio:.2} times as many"),
        1.0,
    ));
    aims
}

/// Every aim of staging repositories.
pub(super) fn judge_repositories(measured: &Repositories) -> Vec<Aim> {
    let mut aims = Vec::new();
    let rows = |name: &str| measured.exports.iter().find(|(own, _)| *own == name).map(|(_, rows)| rows);
    let times = rows("bert-base")
        .and_then(|rows| median(rows, repositories::OPTIMUM).zip(median(rows, repositories::IN_PLACE)))
        .map(|(optimum, zoo)| optimum / zoo);
    let what = format!("bert-base: at least {THAN_OPTIMUM} times faster than optimum");
    aims.push(aim(&what, times, |times| format!("{times:.0} times"), |times| times >= THAN_OPTIMUM));
    let llama = rows("llama-1.1b").and_then(|rows| find(rows, repositories::IN_PLACE));
    let wall = llama.and_then(Row::wall).map(|wall| wall.median);
    aims.push(below("llama-1.1b: below 0.1 s", wall, 0.1, |wall| format!("{:.1} ms", wall * 1e3)));
    let megabytes = |bytes: f64| format!("{:.2} MB", bytes / 1e6);
    aims.push(below("llama-1.1b: peak memory below 64 MB", llama.and_then(Row::peak), MEMORY, megabytes));
    let written = llama.filter(|row| row.wall().is_some()).map(|row| row.written as f64);
    aims.push(below("llama-1.1b: less than 5 MB written", written, 5e6, megabytes));
    let latency = worst(&measured.beside, |graph| Some(graph.cpu()?.median));
    aims.push(worst_aim(
        "a run takes no longer than one of the exporters' best graph (1.05 times is within the noise)",
        latency,
        |ratio| format!("{ratio:.2} times"),
        OF_RUN,
    ));
    aims
}

/// The network in which zoo's graph comes off worst against the best of torch's, and how many times as much it has.
fn worst(all: &[Beside], value: impl Fn(&Graph) -> Option<f64>) -> Option<(&'static str, f64)> {
    let ratio = |beside: &Beside| {
        let torch = beside.others(IN_PLACE).filter_map(&value).reduce(f64::min)?;
        Some((beside.network, value(beside.graph(IN_PLACE)?)? / torch))
    };
    all.iter().filter_map(ratio).max_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn worst_aim(
    what: &str,
    worst: Option<(&'static str, f64)>,
    show: impl Fn(f64) -> String,
    limit: f64,
) -> Aim {
    let network = worst.map_or("", |(network, _)| network);
    let ratio = worst.map(|(_, ratio)| ratio);
    aim(what, ratio, |ratio| format!("{} ({network})", show(ratio)), |ratio| ratio <= limit)
}

/// The aims as a table.
pub(super) fn shown(aims: &[Aim]) -> String {
    let line = |aim: &Aim| {
        let met = match aim.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "-",
        };
        vec![aim.what.clone(), aim.measured.clone(), met.to_owned()]
    };
    table::aligned(&["aim", "measured", ""], &aims.iter().map(line).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::measure::Sample;

    fn row(name: &'static str, millis: u64, megabytes: u64) -> Row {
        let wall = Duration::from_millis(millis);
        let sample = Sample { wall, cpu: wall, peak: megabytes * 1_000_000 };
        Row { name, outcome: Ok(vec![sample]), written: 1_999_999 }
    }

    fn met(tables: &Tables) -> Vec<Option<bool>> {
        judge(tables).iter().map(|aim| aim.met).collect()
    }

    #[test]
    fn aims_are_met_at_their_limits_and_missed_beyond() {
        let tables = |zoo: u64, memory: u64, stored: u64| Tables {
            open: vec![row(ZOO, zoo, memory), row(CURL, 1000, 1)],
            paced: vec![row(ZOO, zoo, 1), row(ARIA2C, 950, 1)],
            stored: vec![row(store::STORED, stored, 1)],
        };
        assert_eq!(met(&tables(1000, 63, 19)), [Some(true); 4]);
        assert_eq!(met(&tables(1001, 64, 20)), [Some(false); 4]);
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let absent = Row { name: CURL, outcome: Err("not installed".into()), written: 0 };
        let tables = Tables { open: vec![row(ZOO, 1, 1), absent], paced: vec![], stored: vec![] };
        assert_eq!(met(&tables), [None]);
        assert!(shown(&judge(&tables)).contains("| not measured |"));
    }

    /// The times of zoo in place, packed, of `cp` and of torch's exporters.
    fn exports(millis: [u64; 5], megabytes: u64) -> Vec<Row> {
        let names = [IN_PLACE, PACKED, COPY, TORCHSCRIPT, DYNAMO];
        names.into_iter().zip(millis).map(|(name, millis)| row(name, millis, megabytes)).collect()
    }

    fn beside(zoo: (u64, f64), torch: (u64, f64)) -> Beside {
        let graph = |(nodes, millis)| Ok(Graph::of(nodes, millis));
        let failed = Err("failed".to_owned());
        Beside {
            network: "net",
            graphs: vec![(IN_PLACE, graph(zoo)), (TORCHSCRIPT, failed), (DYNAMO, graph(torch))],
        }
    }

    fn staging_met(staging: &Staging) -> Vec<Option<bool>> {
        judge_staging(staging).iter().map(|aim| aim.met).collect()
    }

    #[test]
    fn staging_meets_its_aims_at_the_limits_and_misses_them_beyond() {
        let at = Staging {
            exports: vec![("net", exports([10, 15, 10, 9000, 5000], 39))],
            beside: vec![beside((9, 105.0), (9, 100.0))],
        };
        assert_eq!(staging_met(&at), [Some(true); 6]);
        assert_eq!(judge_staging(&at)[0].measured, "500 times");
        let mut rows = exports([10, 16, 10, 4999, 9000], 40);
        rows[0].written = 2_000_000;
        let beyond = Staging {
            exports: vec![("net", rows)],
            // One network that misses is enough.
            beside: vec![beside((10, 106.0), (9, 100.0)), beside((1, 1.0), (9, 9.0))],
        };
        assert_eq!(staging_met(&beyond), [Some(false); 6]);
        assert_eq!(judge_staging(&beyond)[4].measured, "1.06 times (net)");
    }

    #[test]
    fn staging_without_torch_is_neither_met_nor_missed() {
        let absent = |name| Row { name, outcome: Err("not installed".into()), written: 0 };
        let rows = [IN_PLACE, PACKED, COPY, TORCHSCRIPT, DYNAMO].map(absent).into();
        let staging = Staging { exports: vec![("net", rows)], beside: Vec::new() };
        assert_eq!(staging_met(&staging), [None; 6]);
    }
}
