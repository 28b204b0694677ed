//! The table at the end.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use zoo_core::error::human;

/// The largest difference allowed, as a part of the spread of what was expected.
const RELATIVE: f64 = 1e-3;

/// The largest difference allowed where outputs are of order 1.
const ABSOLUTE: f64 = 1e-4;

/// What became of one model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) handle: String,
    /// What is special about how it is served.
    pub(crate) way: &'static str,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    pub(crate) pull: Duration,
    pub(crate) run: Duration,
    /// How many published data sets were compared.
    pub(crate) data_sets: usize,
    /// The largest difference, as a part of the spread of the expected output.
    pub(crate) largest: Option<f64>,
    /// The largest difference itself.
    pub(crate) absolute: Option<f64>,
    /// What was missed; nothing if all is well.
    pub(crate) misses: Vec<String>,
}

impl Row {
    /// Notes how far an output is from what a framework computed, and misses it where that is too far.
    pub(crate) fn judge(&mut self, output: &str, difference: f64, spread: f64) {
        let relative = difference / spread;
        self.largest = Some(self.largest.unwrap_or(0.0).max(relative));
        self.absolute = Some(self.absolute.unwrap_or(0.0).max(difference));
        let of_order_one = (0.3..3.0).contains(&spread);
        // Whatever is no number is no match either.
        let far = |value: f64, limit: f64| value.is_nan() || value > limit;
        if far(relative, RELATIVE) || (of_order_one && far(difference, ABSOLUTE)) {
            self.misses
                .push(format!("{output} differs by {difference:.1e}, where outputs spread by {spread:.1e}"));
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Takes over the rows of one suite.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
    }

    /// Something that belongs to no model.
    pub(crate) fn miss(&mut self, what: &str, reason: &str) {
        self.add(Row { handle: what.to_owned(), misses: vec![reason.to_owned()], ..Row::default() });
    }

    /// A run without a single row proved nothing.
    pub(crate) fn is_good(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.misses.is_empty())
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "model",
            "served",
            "files",
            "bytes",
            "pull",
            "run",
            "data sets",
            "difference",
            "result",
        ]);
        for row in &self.rows {
            let millis = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
            let result = if row.misses.is_empty() { "ok".to_owned() } else { row.misses.join("\n") };
            table.add_row([
                row.handle.clone(),
                row.way.to_owned(),
                row.files.to_string(),
                human(row.bytes),
                millis(row.pull),
                millis(row.run),
                row.data_sets.to_string(),
                row.largest.map_or_else(|| "-".to_owned(), |d| format!("{d:.1e}")),
                result,
            ]);
        }
        for column in table.column_iter_mut().skip(2).take(6) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// What `docs/support.md` says: the same, without what differs from machine to machine.
    pub(crate) fn support(&self) -> String {
        let mut text =
            String::from("| Model | Served | Data sets | Largest difference |\n|---|---|---|---|\n");
        for row in &self.rows {
            let difference = match row.largest {
                _ if !row.misses.is_empty() => "**missed**",
                None => "runs; nothing is published to compare with",
                Some(d) if d < 1e-5 => "below 0.00001 of the spread",
                Some(d) if d < 1e-4 => "below 0.0001 of the spread",
                Some(_) => "below 0.001 of the spread",
            };
            let _ = writeln!(text, "| `{}` | {} | {} | {difference} |", row.handle, row.way, row.data_sets);
        }
        text
    }

    /// The figures of a run at full size, on one machine.
    pub(crate) fn measured(&self) -> String {
        let mut text = String::from(
            "| Model | Checkpoint | Inputs compared | Largest difference | Of the spread |\n|---|--:|--:|--:|--:|\n",
        );
        for row in &self.rows {
            let number =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
            let (absolute, mut relative) = (number(row.absolute), number(row.largest));
            if !row.misses.is_empty() {
                relative.push_str(" (**missed**)");
            }
            let (handle, size) = (&row.handle, human(row.bytes));
            let _ = writeln!(text, "| `{handle}` | {size} | {} | {absolute} | {relative} |", row.data_sets);
        }
        text
    }

    /// One line that continuous integration understands.
    pub(crate) fn summary(&self) -> String {
        let failed = self.rows.iter().filter(|row| !row.misses.is_empty()).count();
        format!("{} passed, {failed} failed", self.rows.len() - failed)
    }
}
