//! The table in `docs/architecture.md`: which crate may depend on which.
//!
//! It is a table for people first, so it says `core` for `zoo-core`, and may put several crates of one kind in a row. What
//! it may say is still a closed list: a cell that is not understood is a violation, never a permission.

use super::model::Crate;

const BEGIN: &str = "<!-- crates:begin -->";
const END: &str = "<!-- crates:end -->";

/// The table, with what could not be read of it.
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) problems: Vec<String>,
}

/// A row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Crates by name, or folders by name and `/`.
    pub(super) names: Vec<String>,
    pub(super) may: May,
}

/// What the crates in a row may depend on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Any crate of the workspace.
    All,
    /// The crates in the rows above.
    Above,
    /// These crates, by full name.
    These(Vec<String>),
}

impl Table {
    /// Reads the table out of the document.
    pub(super) fn read(document: &str) -> Self {
        let mut table = Self { rows: Vec::new(), problems: Vec::new() };
        let between = document.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let Some((text, _)) = between else {
            table.problems.push(format!("has no table between `{BEGIN}` and `{END}`"));
            return table;
        };
        let mut rows = text.lines().filter_map(cells);
        let header = rows.next().unwrap_or_default();
        let column = |title: &str| header.iter().position(|cell| cell == title);
        let (Some(name), Some(may)) = (column("Crate"), column("May depend on")) else {
            table.problems.push("has a table without the columns `Crate` and `May depend on`".into());
            return table;
        };
        for row in rows.filter(|row| !is_rule(row)) {
            table.add(row.get(name).map_or("", String::as_str), row.get(may).map_or("", String::as_str));
        }
        table.check_names();
        table
    }

    fn add(&mut self, names: &str, may: &str) {
        match parse_may(may) {
            Some(may) => self.rows.push(Row { names: list(names), may }),
            None => self.problems.push(format!(
                "says that {names} may depend on `{may}`; say `no sibling`, `all`, `everything above`, or the crates' \
                 names, separated by commas"
            )),
        }
    }

    fn check_names(&mut self) {
        let all: Vec<&String> = self.rows.iter().flat_map(|row| &row.names).collect();
        for (index, name) in all.iter().enumerate() {
            if all.iter().take(index).any(|earlier| earlier == name) {
                self.problems.push(format!("has two rows for `{name}`"));
            }
        }
        for row in &self.rows {
            let May::These(allowed) = &row.may else { continue };
            for unknown in allowed.iter().filter(|name| !all.contains(name)) {
                let names = row.names.join(", ");
                self.problems.push(format!("allows {names} to depend on `{unknown}`, which has no row"));
            }
        }
    }

    /// The row of a crate.
    pub(super) fn row(&self, member: &Crate) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_about(member))
    }

    /// Whether the table lets `from` depend on `to`; `None` if it has no row for `from`.
    pub(super) fn allows(&self, from: &Crate, to: &Crate) -> Option<bool> {
        let index = self.rows.iter().position(|row| row.is_about(from))?;
        Some(match &self.rows.get(index)?.may {
            May::All => true,
            May::Above => self.rows.iter().take(index).any(|row| row.is_about(to)),
            May::These(names) => names.contains(&to.name),
        })
    }
}

impl Row {
    /// Whether the row is the member's: it has its name, or its folder's with a `/` behind.
    pub(super) fn is_about(&self, member: &Crate) -> bool {
        self.names.iter().any(|name| *name == member.name || name.strip_suffix('/') == Some(&member.folder))
    }
}

/// The cells of a line of a table, without the marks of code. `\|` is a bar within a cell.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let kept = inner.replace("\\|", "\0");
    Some(kept.split('|').map(|cell| cell.replace('`', "").replace('\0', "|").trim().to_owned()).collect())
}

/// Whether this is the line between the header and the rows.
fn is_rule(row: &[String]) -> bool {
    row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
}

fn parse_may(cell: &str) -> Option<May> {
    match cell {
        "no sibling" => Some(May::These(Vec::new())),
        "all" | "everything" => Some(May::All),
        "all above" | "everything above" => Some(May::Above),
        names => {
            let names = list(names);
            let is_name = |name: &String| {
                !name.is_empty()
                    && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            };
            let full = |name: &String| match name.as_str() {
                name if name.starts_with("zoo-") => name.to_owned(),
                short => format!("zoo-{short}"),
            };
            names.iter().all(is_name).then(|| May::These(names.iter().map(full).collect()))
        }
    }
}

fn list(cell: &str) -> Vec<String> {
    cell.split(',').map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> Table {
        Table::read(&format!(
            "{BEGIN}\n| Crate | Does | May depend on | Must never know |\n|---|:-:|---|--:|\n{rows}\n{END}\n"
        ))
    }

    #[test]
    fn every_way_to_say_it() {
        let table = table(
            "| `zoo-core` | fetches `a\\|b` | no sibling | |\n| `zoo-graph` | | core, zoo-core | |\n\
             | zoo-cli | | everything above | |\n| `tests/`, `fuzz/` | | all | |",
        );
        assert_eq!(table.problems, Vec::<String>::new());
        let row = |names: &[&str], may| Row { names: names.iter().map(ToString::to_string).collect(), may };
        assert_eq!(
            table.rows,
            [
                row(&["zoo-core"], May::These(vec![])),
                row(&["zoo-graph"], May::These(vec!["zoo-core".into(), "zoo-core".into()])),
                row(&["zoo-cli"], May::Above),
                row(&["tests/", "fuzz/"], May::All),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_a_problem_and_no_permission() {
        for cell in ["", "core graph", "core and graph", "Core", "core,, graph", "most of them"] {
            let table = table(&format!("| zoo-core | | no sibling | |\n| zoo-graph | | {cell} | |"));
            assert_eq!(table.rows.len(), 1, "`{cell}`");
            assert!(table.problems[0].contains("zoo-graph may depend on"), "{:?}", table.problems);
        }
    }

    #[test]
    fn unknown_and_repeated_names_are_problems() {
        let table = table("| zoo-core | | no sibling | |\n| zoo-core | | grahp | |");
        assert_eq!(
            table.problems,
            ["has two rows for `zoo-core`", "allows zoo-core to depend on `zoo-grahp`, which has no row"]
        );
    }

    #[test]
    fn a_document_without_the_table_or_its_columns() {
        assert!(Table::read("# Architecture\n").problems[0].starts_with("has no table between"));
        let other = format!("{BEGIN}\n| Crate | Uses |\n|---|---|\n{END}");
        assert!(Table::read(&other).problems[0].contains("without the columns"));
    }
}
