//! Everything that is printed goes through here: results to standard output, remarks, log lines and errors to standard
//! error.
//!
//! - What stands on standard output is the result and nothing else; with `--json` it is one JSON document.
//! - Whoever closes the pipe ends the command quietly: nothing here panics on a failed write, as `println!` would.
//! - Names, producers and messages come from files and servers. A terminal obeys control characters, so none is passed on.
//! - Bars are taken off the screen while something is printed.

use std::borrow::Cow;
use std::fmt::{Debug, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::Style;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use tracing::field::Field;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::env::Terminal;
use crate::exit::{Exit, Failure, Result};

/// Narrower than this, tables are unreadable however they are wrapped.
const MIN_WIDTH: u16 = 40;

/// Where and how to print.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    colour: Colour,
    /// Columns of the terminal that standard output is; none for a pipe or a file, where nothing is wrapped.
    width: Option<u16>,
    screen: MultiProgress,
}

/// Which streams show colours.
#[derive(Debug, Clone, Copy)]
struct Colour {
    out: bool,
    err: bool,
}

impl Output {
    /// For the streams of this process.
    pub(crate) fn new(terminal: Terminal, json: bool, quiet: bool) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let colour = Colour { out: out && terminal.colour, err: err && terminal.colour };
        console::set_colors_enabled_stderr(colour.err);
        let width = console::Term::stdout().size_checked().map(|(_, columns)| columns.max(MIN_WIDTH));
        let target = if err && terminal.cursor && !quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            json,
            quiet,
            colour,
            width: width.filter(|_| out),
            screen: MultiProgress::with_draw_target(target),
        }
    }

    /// Whether results are wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The part of the screen that bars are drawn on; hidden where there is none.
    pub(crate) fn screen(&self) -> &MultiProgress {
        &self.screen
    }

    /// Prints lines of a result.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        let mut text = plain(text).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.bytes(text.as_bytes())
    }

    /// Prints a path exactly, whatever characters it has: a script will open it.
    pub(crate) fn path(&self, path: &Path) -> Result<()> {
        let mut line = path.as_os_str().as_encoded_bytes().to_vec();
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Prints a JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        let failed = |e: serde_json::Error| Failure::new(Exit::Refused, format!("no JSON can be made: {e}"));
        let mut text = serde_json::to_string_pretty(value).map_err(failed)?;
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// Prints a table with its headings.
    pub(crate) fn table(&self, grid: &Grid) -> Result<()> {
        let text = grid.draw(self.width);
        let Some((headings, rows)) = text.split_once('\n').filter(|_| self.colour.out) else {
            return self.bytes(text.as_bytes());
        };
        let bold = Style::new().bold().force_styling(true);
        self.bytes(format!("{}\n{rows}", bold.apply_to(headings)).as_bytes())
    }

    /// Prints what is known of a thing, a line each. Nothing is wrapped: paths and digests are there to be copied.
    pub(crate) fn facts(&self, facts: &Grid) -> Result<()> {
        self.bytes(facts.draw(None).as_bytes())
    }

    /// Prints whether something holds, and what.
    pub(crate) fn verdict(&self, good: bool, text: &str) -> Result<()> {
        let (word, style) =
            if good { ("ok  ", Style::new().green()) } else { ("miss", Style::new().red().bold()) };
        let word = style.force_styling(self.colour.out).apply_to(word);
        self.bytes(format!("{word}  {}\n", plain(text)).as_bytes())
    }

    /// Prints raw bytes of a result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        };
        self.screen.suspend(write).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::pipe_closed(),
            _ => Failure {
                exit: Exit::Disk,
                error: anyhow::Error::new(error).context("cannot write the result"),
                hint: None,
            },
        })
    }

    /// Says something to the person, beside the result.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet {
            self.to_stderr(&format!("{}\n", plain(text)));
        }
    }

    /// Says why the command ends; the last thing that is printed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.exit == Exit::Ok {
            return;
        }
        let text =
            if self.json { format!("{}\n", failure.to_json()) } else { words(failure, self.colour.err) };
        self.to_stderr(&text);
    }

    /// Standard error gone is nothing that could be told anybody.
    fn to_stderr(&self, text: &str) {
        self.screen.suspend(|| {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        });
    }

    /// Sends log lines to standard error: warnings, more with each `-v`, or what `ZOO_LOG` says.
    pub(crate) fn start_logging(&self, filter: Option<&str>, verbosity: u8) -> Result<()> {
        let level = match (self.quiet, verbosity) {
            (true, _) => "off",
            (_, 0) => "warn",
            (_, 1) => "warn,zoo=info",
            (_, 2) => "info,zoo=debug",
            _ => "debug,zoo=trace",
        };
        let text = filter.unwrap_or(level);
        let filter: tracing_subscriber::EnvFilter = text.parse().map_err(|e| {
            Failure::usage(format!("ZOO_LOG is no log filter: {e}")).hint("such as `info,zoo_core=debug`")
        })?;
        let screen = self.screen.clone();
        // A second subscriber in one process (which only tests could make) is not worth an error.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(self.colour.err)
            .with_writer(move || LogWriter(screen.clone()))
            .fmt_fields(debug_fn(field))
            .event_format(LogLine)
            .try_init();
        Ok(())
    }
}

/// An error as people read it: what failed, on what, why, and what to do now.
fn words(failure: &Failure, colour: bool) -> String {
    let paint = |word: &str, style: Style| style.bold().force_styling(colour).apply_to(word).to_string();
    let mut text = paint("error:", Style::new().red());
    let _ = writeln!(text, " {}", plain(&failure.error.to_string()));
    for cause in failure.causes() {
        let _ = writeln!(text, "  {}", plain(&cause));
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{} {}", paint("hint:", Style::new().cyan()), plain(hint));
    }
    text
}

/// Text that a terminal shows and does not obey: control characters, and those that change the direction of writing,
/// are written as escapes. Line ends stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A table: headings and rows of text.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Columns of numbers.
    right: Vec<usize>,
}

impl Grid {
    /// A table with these headings.
    pub(crate) fn new(headings: impl IntoIterator<Item = &'static str>) -> Self {
        Self { headings: headings.into_iter().collect(), ..Self::default() }
    }

    /// With the columns aligned to the right.
    pub(crate) fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.right = columns.into_iter().collect();
        self
    }

    /// One more row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As lines. With a width, cells are wrapped to it; without one, every row is one line.
    pub(crate) fn draw(&self, width: Option<u16>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        // In a pipe a row is a line: a line end in a name would make two of it.
        let cell = |text: &str| plain(text).replace('\n', if width.is_some() { "\n" } else { " " });
        if !self.headings.is_empty() {
            table.set_header(self.headings.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
        }
        for row in &self.rows {
            table.add_row(row.iter().map(|text| cell(text)).collect::<Vec<_>>());
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A log line begins as an error does: with a word in lower case and a colon.
struct LogLine;

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let (word, style) = match *event.metadata().level() {
            tracing::Level::ERROR => ("error", Style::new().red()),
            tracing::Level::WARN => ("warning", Style::new().yellow()),
            tracing::Level::INFO => ("info", Style::new().green()),
            tracing::Level::DEBUG => ("debug", Style::new().dim()),
            tracing::Level::TRACE => ("trace", Style::new().dim()),
        };
        let style = style.force_styling(writer.has_ansi_escapes());
        write!(writer, "{} ", style.apply_to(format!("{word}:")))?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// `using the catalogue at hand: <error>`, and other fields by name.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let text = plain(&text);
    match field.name() {
        "message" => write!(writer, "{text}"),
        "error" => write!(writer, ": {text}"),
        name => write!(writer, " {name}={text}"),
    }
}

struct LogWriter(MultiProgress);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Grid {
        let mut grid = Grid::new(["HANDLE", "OPSET", "SIZE", "TAGS"]).right([1, 2]);
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        grid.row(row(["onnx:mnist-12", "12", "25.5 KiB", "vision, classification, mnist"]));
        grid.row(row(["onnx:bertsquad-8", "8", "416 MiB", "text"]));
        grid
    }

    #[test]
    fn a_table_in_a_pipe_has_one_line_per_row() {
        insta::assert_snapshot!(models().draw(None), @r"
        HANDLE            OPSET      SIZE  TAGS
        onnx:mnist-12        12  25.5 KiB  vision, classification, mnist
        onnx:bertsquad-8      8   416 MiB  text
        ");
        let mut grid = Grid::new(["A"]);
        grid.row(["two\nlines".to_owned()]);
        assert_eq!(grid.draw(None), "A\ntwo lines\n");
    }

    #[test]
    fn a_table_on_a_terminal_is_wrapped_to_its_width() {
        let text = models().draw(Some(50));
        assert!(text.lines().all(|line| line.len() <= 50), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(plain("a\u{1b}[31mb\r\nc\u{202e}"), "a\\u{1b}[31mb\\r\nc\\u{202e}");
        assert!(matches!(plain("harmless ü"), Cow::Borrowed(_)));
        let mut grid = Grid::new(["NAME"]);
        grid.row(["\u{1b}]0;owned\u{7}".to_owned()]);
        assert!(!grid.draw(None).contains('\u{1b}'));
    }

    #[test]
    fn an_error_says_what_why_and_what_now() {
        let error = zoo_core::fs::open(Path::new("no/such/file")).unwrap_err();
        let failure = Failure::from(error).hint("look again");
        let text = words(&failure, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "error: cannot open `no/such/file`");
        assert!(lines[1].starts_with("  ") && lines[2] == "hint: look again", "{text}");
        assert!(words(&failure, true).starts_with("\u{1b}["));
    }
}
