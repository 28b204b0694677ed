//! `docs/benchmarks.md`: the tables, with everything that one needs to know to read or repeat them.
//!
//! The document has a part for each kind of measurement, between markers, so that one is renewed without the others.

use anyhow::{Context as _, Result};

use super::aims::{self, Aim};

/// A part of the document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// Downloads, and pulls that find everything in the store.
    Fetch,
    /// From checkpoints to ONNX.
    Stage,
    /// From repositories of Hugging Face to ONNX.
    Hf,
}

impl Part {
    /// What its markers are called.
    fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Stage => "stage",
            Self::Hf => "hf",
        }
    }

    fn reading(self) -> &'static str {
        match self {
            Self::Fetch => FETCH,
            Self::Stage => STAGE,
            Self::Hf => HF,
        }
    }

    /// The document with this part renewed, and everything else as it was.
    pub(super) fn put(self, document: &str, text: &str) -> Result<String> {
        let name = self.name();
        let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
        let parts = document.split_once(&begin).and_then(|(head, rest)| {
            let (_, tail) = rest.split_once(&end)?;
            Some((head, tail))
        });
        let (head, tail) =
            parts.with_context(|| format!("there is no part between `{}` and `{end}`", begin.trim_end()))?;
        Ok([head, &begin, text, &end, tail].concat())
    }
}

/// What goes into a part of the document.
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
    /// A part of the document, without its markers.
    pub(super) fn text(&self, part: Part) -> String {
        let mut machine = String::new();
        for fact in self.machine {
            machine += "- ";
            machine += fact;
            machine += "\n";
        }
        let mut tables = String::new();
        for Section { heading, about, table } in self.tables {
            tables += &["### ", heading, "\n\n", about, "\n\n", table, "\n"].concat();
        }
        format!(
            "\
Made by `{command}` on {date}. Do not edit: run it.

{machine}
Clients: {versions}.

### Aims

{aims}
{tables}{reading}",
            command = self.command,
            date = self.date,
            versions = self.versions.join("; "),
            aims = aims::shown(self.aims),
            reading = part.reading(),
        )
    }
}

const FETCH: &str = "\
### How to read them

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

const STAGE: &str = "\
### How to read them

- Checkpoints have torchvision's own initialisation from a fixed seed, and are read from the page cache. Every run is a whole
  process, from its start to its end. Rounds are interleaved, each in a new order; in a round torch exports once, zoo and cp run
  five times. Before each run the folder is emptied and the disk left to settle, outside of the time.
- The weights stay in the checkpoint when zoo stages in place: what is written is the graph. torch's exporters write the weights
  again, as zoo does with `--packed`; cp copies the checkpoint. Nobody flushes to disk. torch's time includes the start of Python
  and the import of torch and torchvision, without which nobody exports.
- MB is 10^6 bytes. CPU is user and system time of the process alone, by `wait4`; peak is its largest resident set, the greatest of all
  runs. Linux counts in a child what its parent had before the child's program started, so nothing below some ten megabytes can be
  told apart.
- The graphs run in one process of ONNX Runtime, a session each, one thread, batch 1 of 224 by 224, in turns. All get the same
  input, and outputs that differ by more than rounding end the comparison. \"optimised\" counts the nodes that are left after the
  optimisation that happens by default, which also rearranges data for the processor.
- Runs are judged by the processor's time of the one thread, not by the clock: it is the same on an idle machine, and other work does not
  lengthen it.
";

const HF: &str = "\
### How to read them

- Repositories have the shapes of published models and transformers' own initialisation from a fixed seed, in single precision, and are read
  from the page cache. Every run is a whole process, from its start to its end, in interleaved rounds; in a round the exporters run
  once and zoo five times. llama-1.1b takes optimum minutes, so there is one round of it, and its graphs are not compared.
- zoo finds the repository's files in its folder and writes the graph beside them. The exporters write the weights again. Their time
  includes the start of Python and its imports. optimum runs without its validation of the result; dynamo exports two of BERT's three inputs.
- MB is 10^6 bytes; CPU and peak are the process's own, by `wait4`.
- The graphs run in one process of ONNX Runtime, a session each, one thread, one text of 128 tokens, in turns. All get the same input, and
  outputs that differ by more than rounding end the comparison.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_what_it_takes_to_repeat_it() {
        let tables =
            [Section { heading: "Open".into(), about: "All.".into(), table: "| a |\n|---|\n".into() }];
        let aims = [Aim { what: "fast".into(), measured: "1 s".into(), met: Some(false) }];
        let report = Report {
            command: "cargo xtask bench all",
            date: "2000-01-01",
            machine: &["processor: 2 cores".into()],
            versions: &["curl 8".into(), "aria2c 1".into()],
            aims: &aims,
            tables: &tables,
        };
        for (part, own) in [(Part::Fetch, "aria2c runs with"), (Part::Stage, "one process of ONNX Runtime")] {
            let text = report.text(part);
            for expected in [
                "Made by `cargo xtask bench all` on 2000-01-01.",
                "- processor: 2 cores\n\nClients: curl 8; aria2c 1.",
                "**missed** |",
                "### Open\n\nAll.\n\n| a |\n|---|\n",
                "### How to read them",
                own,
            ] {
                assert!(text.contains(expected), "{expected}\n{text}");
            }
        }
    }

    #[test]
    fn a_part_is_renewed_and_everything_else_stays() {
        let before = "# B\n<!-- fetch:begin -->\nold\n<!-- fetch:end -->\n\n<!-- stage:begin -->\n<!-- stage:end -->\nend\n";
        let after = Part::Stage.put(before, "new\n").unwrap();
        assert_eq!(
            after,
            "# B\n<!-- fetch:begin -->\nold\n<!-- fetch:end -->\n\n<!-- stage:begin -->\nnew\n<!-- stage:end -->\nend\n"
        );
        assert_eq!(Part::Stage.put(&after, "").unwrap(), before);
        assert!(Part::Fetch.put(&after, "x\n").unwrap().contains("begin -->\nx\n<!-- fetch:end -->\n\n"));
    }

    #[test]
    fn a_document_without_the_markers_is_left_alone() {
        for document in ["", "<!-- fetch:begin -->\n", "<!-- fetch:end -->\n<!-- fetch:begin -->\n"] {
            let error = Part::Fetch.put(document, "x").unwrap_err().to_string();
            assert_eq!(error, "there is no part between `<!-- fetch:begin -->` and `<!-- fetch:end -->`");
        }
    }

    #[test]
    fn the_document_of_this_checkout_has_all_parts() {
        let path = crate::workspace::root().join("docs").join("benchmarks.md");
        let document = String::from_utf8(crate::files::read(&path).unwrap()).unwrap();
        for part in [Part::Fetch, Part::Stage, Part::Hf] {
            part.put(&document, "").unwrap();
        }
    }
}
