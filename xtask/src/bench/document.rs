//! `docs/benchmarks.md`: the tables, with everything that one needs to know to read or repeat them.

use super::aims::{self, Aim};

/// What goes into the document.
pub(super) struct Report<'a> {
    /// The command that made it, to be repeated.
    pub(super) command: &'a str,
    pub(super) date: &'a str,
    pub(super) machine: &'a [String],
    pub(super) versions: &'a [String],
    pub(super) aims: &'a [Aim],
    /// Each with its heading and what it shows.
    pub(super) tables: &'a [Section],
}

/// A table under its heading.
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) about: String,
    pub(super) table: String,
}

impl Report<'_> {
    /// The document.
    pub(super) fn text(&self) -> String {
        let mut machine = String::new();
        for fact in self.machine {
            machine += "- ";
            machine += fact;
            machine += "\n";
        }
        let mut tables = String::new();
        for Section { heading, about, table } in self.tables {
            tables += &["## ", heading, "\n\n", about, "\n\n", table, "\n"].concat();
        }
        format!(
            "\
# Benchmarks

Made by `{command}` on {date}. Do not edit: run it.

{machine}
Clients: {versions}.

## Aims

{aims}
{tables}{reading}",
            command = self.command,
            date = self.date,
            versions = self.versions.join("; "),
            aims = aims::shown(self.aims),
            reading = READING,
        )
    }
}

const READING: &str = "\
## How to read them

- Everything happens on one machine, over loopback, by plain HTTP. The server is a process of its own and shares the
  processor's cores with the client: with two cores each has about one. There is no TLS, no latency and no loss. So these are
  the clients' own costs, a ceiling and no forecast of what a network gives.
- Every run is a whole process, from its start to its end, with an empty home. Rounds are interleaved: everybody once in a new
  order, then everybody again. After every run the file's length and SHA-256 are checked, outside of the time, and before
  the next the disk is left to settle.
- zoo is `crates/zoo-core/examples/fetch.rs`. When it ends, the SHA-256 was compared with the published one and the file flushed
  to disk. curl, aria2c, hf-hub and huggingface_hub do neither; \"curl, then sha256sum, then sync\" is what gives as much by hand.
- aria2c runs with `--file-allocation=none`, its fastest. huggingface_hub's time includes the start of Python.
- Everybody asks the same Hugging Face style repository for the file, and follows its redirect to another origin.
- GB is 10^9 bytes. CPU is user and system time of the client alone, by `wait4`; peak is its largest resident set, the greatest
  of all runs. Linux counts in a child what its parent had before the child's program started, so nothing below some ten
  megabytes can be told apart.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_what_it_takes_to_repeat_it() {
        let tables =
            [Section { heading: "Open".into(), about: "All.".into(), table: "| a |\n|---|\n".into() }];
        let aims = [Aim { what: "fast", measured: "1 s".into(), met: Some(false) }];
        let report = Report {
            command: "cargo xtask bench all",
            date: "2000-01-01",
            machine: &["processor: 2 cores".into()],
            versions: &["curl 8".into(), "aria2c 1".into()],
            aims: &aims,
            tables: &tables,
        };
        let text = report.text();
        for part in [
            "Made by `cargo xtask bench all` on 2000-01-01.",
            "- processor: 2 cores\n\nClients: curl 8; aria2c 1.",
            "**missed** |",
            "## Open\n\nAll.\n\n| a |\n|---|\n",
            "## How to read them",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
