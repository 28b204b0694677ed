//! Samples as tables of Markdown, which are also what the terminal shows: columns are padded.

use super::beside::Beside;
use super::measure::Spread;
use super::rounds::Row;

/// The table of downloads of `size` bytes. Rows are compared with the first one.
pub(super) fn of_downloads(rows: &[Row], size: u64) -> String {
    let zoo = rows.first().and_then(Row::wall).map(|wall| wall.median);
    let header = ["client", "wall s: median [min, max]", "GB/s", "CPU s", "peak MB", "time, in zoo's"];
    let cells = |row: &Row| {
        let (wall, cpu, peak) = (row.wall()?, row.cpu()?, row.peak()?);
        Some(vec![
            row.name.to_owned(),
            format!("{:.2} [{:.2}, {:.2}]", wall.median, wall.least, wall.greatest),
            format!("{:.2}", size as f64 / 1e9 / wall.median),
            format!("{:.2}", cpu.median),
            format!("{:.0}", peak / 1e6),
            zoo.map_or_else(|| "-".to_owned(), |zoo| format!("{:.2}", wall.median / zoo)),
        ])
    };
    table(&header, rows, cells)
}

/// The table of pulls that download nothing.
pub(super) fn of_stored(rows: &[Row]) -> String {
    let header = ["pull", "wall ms: median [min, max]", "CPU ms", "peak MB", "requests"];
    let cells = |row: &Row| {
        let (wall, cpu, peak) = (row.wall()?, row.cpu()?, row.peak()?);
        Some(vec![
            row.name.to_owned(),
            format!("{:.1} [{:.1}, {:.1}]", wall.median * 1e3, wall.least * 1e3, wall.greatest * 1e3),
            format!("{:.1}", cpu.median * 1e3),
            format!("{:.0}", peak / 1e6),
            // Whoever asked anybody is not in the table but an error.
            "0".to_owned(),
        ])
    };
    table(&header, rows, cells)
}

/// The table of exports of one checkpoint. Rows are compared with the first one.
pub(super) fn of_exports(rows: &[Row]) -> String {
    let zoo = rows.first().and_then(Row::wall).map(|wall| wall.median);
    let header =
        ["export", "wall ms: median [min, max]", "CPU ms", "peak MB", "MB written", "time, in zoo's"];
    let cells = |row: &Row| {
        let (wall, cpu, peak) = (row.wall()?, row.cpu()?, row.peak()?);
        Some(vec![
            row.name.to_owned(),
            in_millis(wall.scaled(1e3)),
            millis(cpu.median * 1e3),
            format!("{:.0}", peak / 1e6),
            format!("{:.2}", row.written as f64 / 1e6),
            zoo.map_or_else(|| "-".to_owned(), |zoo| format!("{:.1}", wall.median / zoo)),
        ])
    };
    table(&header, rows, cells)
}

/// The table of what ONNX Runtime makes of graphs. The processor's time is compared with that of the first graph of a network.
pub(super) fn of_graphs(all: &[Beside]) -> String {
    let header = [
        "network, exported by",
        "session ms: median [min, max]",
        "run ms: median [min, max]",
        "CPU ms",
        "CPU, in zoo's",
        "nodes",
        "optimised",
    ];
    let mut lines = Vec::new();
    for beside in all {
        let first = beside.graphs.first().and_then(|(_, graph)| graph.as_ref().ok()?.cpu());
        for (name, graph) in &beside.graphs {
            let title = format!("{}, {name}", beside.network);
            let cells = graph.as_ref().map(|graph| {
                let spread = |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), in_millis);
                let cpu = graph.cpu().map(|cpu| cpu.median);
                let ratio = cpu.zip(first).map(|(cpu, first)| cpu / first.median);
                vec![
                    title.clone(),
                    spread(graph.session()),
                    spread(graph.wall()),
                    cpu.map_or_else(|| "-".to_owned(), millis),
                    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
                    graph.nodes.to_string(),
                    graph.optimised.to_string(),
                ]
            });
            lines.push(cells.unwrap_or_else(|reason| vec![title, escaped(reason)]));
        }
    }
    aligned(&header, &lines)
}

fn in_millis(spread: Spread) -> String {
    format!("{} [{}, {}]", millis(spread.median), millis(spread.least), millis(spread.greatest))
}

/// Three digits say what can be said, whether of a graph that is written or of a Python that starts.
fn millis(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

impl Row {
    /// Seconds from start to end.
    pub(super) fn wall(&self) -> Option<Spread> {
        self.spread(|sample| sample.wall.as_secs_f64())
    }

    fn cpu(&self) -> Option<Spread> {
        self.spread(|sample| sample.cpu.as_secs_f64())
    }

    /// The largest peak of memory of any run, in bytes.
    pub(super) fn peak(&self) -> Option<f64> {
        self.spread(|sample| sample.peak as f64).map(|peak| peak.greatest)
    }

    fn spread(&self, value: impl Fn(&super::measure::Sample) -> f64) -> Option<Spread> {
        self.outcome.as_ref().ok().and_then(|samples| Spread::of(samples.iter().map(value)))
    }
}

/// A row without samples says why in its second cell.
fn table(header: &[&str], rows: &[Row], cells: impl Fn(&Row) -> Option<Vec<String>>) -> String {
    let line = |row: &Row| {
        let reason = row.outcome.as_ref().err().map_or("never measured", String::as_str);
        cells(row).unwrap_or_else(|| vec![row.name.to_owned(), escaped(reason)])
    };
    aligned(header, &rows.iter().map(line).collect::<Vec<_>>())
}

/// A bar would end the cell.
fn escaped(reason: &str) -> String {
    reason.replace('|', "\\|")
}

/// A table of Markdown, its first column to the left, the others to the right. Cells that a line does not have are empty.
pub(super) fn aligned(header: &[&str], lines: &[Vec<String>]) -> String {
    let title = header.iter().map(|cell| (*cell).to_owned()).collect();
    let mut all = vec![title];
    all.extend_from_slice(lines);
    let width = |column: usize| {
        all.iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let rule = |column: usize, width: &usize| {
        let end = if column == 0 { '-' } else { ':' };
        format!("|{}{end}", "-".repeat(width + 1))
    };
    let mut text = String::new();
    for (number, line) in all.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = line.get(column).map_or("", String::as_str);
            let padding = " ".repeat(width - cell.chars().count());
            let (before, after) = if column == 0 { ("", &*padding) } else { (&*padding, "") };
            text += &["| ", before, cell, after, " "].concat();
        }
        text += "|\n";
        if number == 0 {
            text.extend(widths.iter().enumerate().map(|(column, width)| rule(column, width)));
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::beside::Graph;
    use crate::bench::measure::Sample;

    fn row(name: &'static str, seconds: &[u64]) -> Row {
        let sample = |s: &u64| {
            let wall = Duration::from_secs(*s);
            Sample { wall, cpu: wall / 2, peak: s * 1_000_000 }
        };
        Row { name, outcome: Ok(seconds.iter().map(sample).collect()), written: 1_500_000 }
    }

    #[test]
    fn downloads_are_compared_with_the_first_row() {
        let missing = Row { name: "c", outcome: Err("not | installed".into()), written: 0 };
        let rows = [row("zoo", &[2, 1, 3]), row("b", &[3]), missing];
        assert_eq!(
            of_downloads(&rows, 4_000_000_000),
            "\
| client | wall s: median [min, max] | GB/s | CPU s | peak MB | time, in zoo's |
|--------|--------------------------:|-----:|------:|--------:|---------------:|
| zoo    |         2.00 [1.00, 3.00] | 2.00 |  1.00 |       3 |           1.00 |
| b      |         3.00 [3.00, 3.00] | 1.33 |  1.50 |       3 |           1.50 |
| c      |          not \\| installed |      |       |         |                |
"
        );
    }

    #[test]
    fn stored_pulls_are_told_in_milliseconds() {
        let table = of_stored(&[row("stored", &[1])]);
        assert!(
            table.ends_with("| stored |    1000.0 [1000.0, 1000.0] |  500.0 |       1 |        0 |\n"),
            "{table}"
        );
    }

    #[test]
    fn exports_are_told_in_milliseconds_of_three_digits() {
        let quick = Row {
            outcome: Ok(vec![Sample { wall: Duration::from_micros(8_040), ..sample() }]),
            ..row("zoo", &[])
        };
        assert_eq!(
            of_exports(&[quick, row("torch", &[4])]),
            "\
| export | wall ms: median [min, max] | CPU ms | peak MB | MB written | time, in zoo's |
|--------|---------------------------:|-------:|--------:|-----------:|---------------:|
| zoo    |             8.0 [8.0, 8.0] |    5.0 |       9 |       1.50 |            1.0 |
| torch  |          4000 [4000, 4000] |   2000 |       4 |       1.50 |          497.5 |
"
        );
    }

    fn sample() -> Sample {
        Sample { wall: Duration::ZERO, cpu: Duration::from_millis(5), peak: 9_000_000 }
    }

    #[test]
    fn graphs_are_compared_with_the_first_of_their_network() {
        let graphs = vec![
            ("zoo", Ok(Graph::of(10, 40.0))),
            ("torch", Ok(Graph::of(11, 50.0))),
            ("other", Err("failed: a|b".to_owned())),
        ];
        assert_eq!(
            of_graphs(&[Beside { network: "net", graphs }]),
            "\
| network, exported by | session ms: median [min, max] | run ms: median [min, max] | CPU ms | CPU, in zoo's | nodes | optimised |
|----------------------|------------------------------:|--------------------------:|-------:|--------------:|------:|----------:|
| net, zoo             |             40.0 [40.0, 40.0] |         40.0 [40.0, 40.0] |   40.0 |          1.00 |    20 |        10 |
| net, torch           |             50.0 [50.0, 50.0] |         50.0 [50.0, 50.0] |   50.0 |          1.25 |    22 |        11 |
| net, other           |                  failed: a\\|b |                           |        |               |       |           |
"
        );
    }
}
