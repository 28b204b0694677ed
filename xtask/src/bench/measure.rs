//! One measured run of a client: processes one after another, from before the first starts to after the last ended.
//!
//! CPU time and peak memory are the kernel's own count for exactly that child, which only `wait4` returns. It is unsafe to
//! call; the crate of that name is a small and safe wrapper around it, and around what other systems have instead.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wait4::Wait4 as _;

/// The end of what a failed client printed that is kept.
const LAST_WORDS: u64 = 64 << 10;

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// From start to end.
    pub(super) wall: Duration,
    /// User and system time of all processes.
    pub(super) cpu: Duration,
    /// The largest resident set of any of the processes, in bytes.
    pub(super) peak: u64,
}

/// Runs the commands; one that fails ends the run with what it said.
pub(super) fn run(commands: Vec<Command>) -> Result<Sample> {
    let mut total = Sample { wall: Duration::ZERO, cpu: Duration::ZERO, peak: 0 };
    for mut command in commands {
        // To a file, since nobody reads a pipe while the child is being waited for.
        let mut said = tempfile::tempfile().context("cannot make a temporary file")?;
        let errors = said.try_clone().context("cannot make a temporary file")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let name = command.get_program().display().to_string();
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| format!("`{name}` could not be started"))?;
        let ended = child.wait4().with_context(|| format!("`{name}` was lost"))?;
        total.wall += start.elapsed();
        total.cpu += ended.rusage.utime + ended.rusage.stime;
        total.peak = total.peak.max(ended.rusage.maxrss);
        if !ended.status.success() {
            let length = said.metadata().map_or(0, |m| m.len());
            let mut text = Vec::new();
            let from = std::io::SeekFrom::Start(length.saturating_sub(LAST_WORDS));
            let read = said.seek(from).and_then(|_| said.read_to_end(&mut text));
            read.context("cannot read what a client said")?;
            let text = String::from_utf8_lossy(&text);
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
            bail!("{}", last.map_or_else(|| ended.status.to_string(), ToOwned::to_owned));
        }
    }
    Ok(total)
}

/// The least, the median and the greatest of some values; of an even number of them the median is between two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) greatest: f64,
}

impl Spread {
    /// `None` if there are no values.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { least, median: low.midpoint(*high), greatest })
    }

    /// In another unit.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { least: self.least * factor, median: self.median * factor, greatest: self.greatest * factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { least: 1.0, median: 2.0, greatest: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 3.0, 2.0]), Some(Spread { least: 1.0, median: 2.5, greatest: 4.0 }));
        assert_eq!(spread(&[]), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_runs_of_a_client_add_up_and_memory_does_not() {
        let sleep = || {
            let mut sleep = Command::new("sleep");
            sleep.arg("0.05");
            sleep
        };
        let sample = run(vec![sleep(), sleep()]).unwrap();
        assert!(sample.wall >= Duration::from_millis(100), "{sample:?}");
        assert!(sample.cpu < Duration::from_millis(100), "{sample:?}");
        assert!((1 << 16..1 << 30).contains(&sample.peak), "{sample:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_is_told_by_the_clients_last_word() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo first >&2; echo 'no such host' >&2; exit 3"]);
        assert_eq!(run(vec![shell]).unwrap_err().to_string(), "no such host");
        assert!(
            run(vec![Command::new("no-such-program")]).unwrap_err().to_string().contains("no-such-program")
        );
    }
}
