//! What zoo promises of its speed and memory, each with what was measured.

use super::clients::{ARIA2C, CURL, ZOO};
use super::rounds::Row;
use super::store;
use super::table;

/// Peak memory, whatever the size of the file.
const MEMORY: f64 = 64e6;
/// Seconds that a pull takes which finds everything in the store.
const FROM_STORE: f64 = 0.020;
/// Of the speed of aria2c with eight connections, when each of them is slow.
const OF_ARIA2C: f64 = 0.95;

/// The tables that were measured; an empty one was not asked for.
pub(super) struct Tables {
    pub(super) open: Vec<Row>,
    pub(super) paced: Vec<Row>,
    pub(super) stored: Vec<Row>,
}

/// An aim, and how it came out.
#[derive(Debug, PartialEq)]
pub(super) struct Aim {
    pub(super) what: &'static str,
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
    match (median(rows, ZOO), median(rows, other)) {
        (Some(zoo), Some(time)) => {
            let speed = time / zoo;
            Aim { what, measured: format!("{speed:.2} of its speed"), met: Some(speed >= least) }
        }
        _ => Aim { what, measured: "not measured".to_owned(), met: None },
    }
}

fn below(what: &'static str, value: Option<f64>, limit: f64, show: impl Fn(f64) -> String) -> Aim {
    let measured = value.map_or_else(|| "not measured".to_owned(), show);
    Aim { what, measured, met: value.map(|value| value < limit) }
}

/// The aims as a table.
pub(super) fn shown(aims: &[Aim]) -> String {
    let line = |aim: &Aim| {
        let met = match aim.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "-",
        };
        vec![aim.what.to_owned(), aim.measured.clone(), met.to_owned()]
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
        Row { name, outcome: Ok(vec![Sample { wall, cpu: wall, peak: megabytes * 1_000_000 }]) }
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
        let absent = Row { name: CURL, outcome: Err("not installed".into()) };
        let tables = Tables { open: vec![row(ZOO, 1, 1), absent], paced: vec![], stored: vec![] };
        assert_eq!(met(&tables), [None]);
        assert!(shown(&judge(&tables)).contains("| not measured |"));
    }
}
