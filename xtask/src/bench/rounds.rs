//! Interleaved rounds: everybody once, in a new order, then everybody again. What slows the machine for a while then slows
//! all of them, and nobody always runs after the same neighbour.
#![expect(clippy::print_stderr, reason = "this is the edge: minutes pass, so it tells the user what it does")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::clients::{Client, Job};
use super::measure::{self, Sample};
use crate::files;
use crate::mirror::Pattern;

/// A client's row: its samples, or why there are none.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) outcome: Result<Vec<Sample>, String>,
}

/// Measures the clients `rounds` times each, after runs that do not count if there is to be a warm-up. Every file that
/// arrives is checked, outside of the time. A client that fails once is out, and its row says why.
pub(super) fn measure(
    clients: &[&Client],
    endpoint: &str,
    pattern: &Pattern,
    folder: &Path,
    rounds: usize,
    warm_up: bool,
) -> Result<Vec<Row>> {
    let begin = |client: &&Client| Row {
        name: client.name,
        outcome: client.commands.as_ref().map(|_| Vec::new()).map_err(Clone::clone),
    };
    let mut rows: Vec<Row> = clients.iter().map(begin).collect();
    for round in usize::from(!warm_up)..=rounds {
        match round {
            0 => eprintln!("{}: warming up", pattern.file),
            _ => eprintln!("{}: round {round} of {rounds}", pattern.file),
        }
        let mut order: Vec<usize> = (0..clients.len()).collect();
        fastrand::shuffle(&mut order);
        for index in order {
            let (Some(client), Some(row)) = (clients.get(index), rows.get_mut(index)) else { continue };
            let (Ok(commands), Ok(samples)) = (&client.commands, &mut row.outcome) else { continue };
            files::remove_dir_all(folder)?;
            files::create_dir_all(folder)?;
            settle();
            let job = Job { endpoint, pattern, folder };
            match measure::run(commands(&job)).and_then(|sample| check(pattern, folder).map(|()| sample)) {
                Ok(sample) if round > 0 => samples.push(sample),
                Ok(_) => {}
                Err(reason) => row.outcome = Err(format!("failed: {reason:#}")),
            }
        }
    }
    files::remove_dir_all(folder)?;
    Ok(rows)
}

/// Leaves the disk nothing to do: bytes that one client did not flush must not be written in the next one's time.
pub(super) fn settle() {
    #[cfg(unix)]
    rustix::fs::sync();
}

/// Whether the file is there, whole. Wherever the client put it: it is the largest one.
fn check(pattern: &Pattern, folder: &Path) -> Result<()> {
    let (path, length) = largest(folder)?.context("it says that it succeeded, and there is no file")?;
    if length != pattern.size {
        bail!("the file has {length} bytes and not {}", pattern.size);
    }
    if files::sha256(&path)? != pattern.sha256 {
        bail!("the file is not the one that was served");
    }
    Ok(())
}

/// The largest regular file below a folder.
fn largest(folder: &Path) -> Result<Option<(PathBuf, u64)>> {
    let mut found: Option<(PathBuf, u64)> = None;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let listing = std::fs::read_dir(&folder);
        for entry in listing.with_context(|| format!("cannot list `{}`", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot list `{}`", folder.display()))?;
            // Of the link itself: a cache may well link to the file, which is then found by its own name.
            let meta =
                entry.metadata().with_context(|| format!("cannot look at `{}`", entry.path().display()))?;
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.is_file() && found.as_ref().is_none_or(|(_, length)| meta.len() > *length) {
                found = Some((entry.path(), meta.len()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// SHA-256 of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn pattern() -> Pattern {
        let text = String::new;
        Pattern { repository: text(), file: text(), url: text(), size: 3, sha256: ABC.to_owned() }
    }

    #[test]
    fn only_the_file_that_was_served_passes() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a").join("b");
        let wrong = || check(&pattern(), dir.path()).unwrap_err().to_string();
        files::create_dir_all(&deep).unwrap();
        assert!(wrong().contains("there is no file"));
        files::write_atomic(&dir.path().join("note"), &b"x"[..], 9).unwrap();
        assert!(wrong().contains("1 bytes and not 3"));
        files::write_atomic(&deep.join("file"), &b"abd"[..], 9).unwrap();
        assert!(wrong().contains("not the one that was served"));
        files::write_atomic(&deep.join("file"), &b"abc"[..], 9).unwrap();
        check(&pattern(), dir.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn who_fails_or_is_missing_keeps_a_row_that_says_so() {
        let shell = |script: &'static str| {
            let commands = move |job: &Job<'_>| {
                let mut shell = Command::new("sh");
                shell.args(["-c", script]).current_dir(job.folder);
                vec![shell]
            };
            Client { name: "shell", versions: Vec::new(), commands: Ok(Box::new(commands)) }
        };
        let missing = Client { name: "other", versions: Vec::new(), commands: Err("not installed".into()) };
        let clients =
            [shell("printf abc > file"), shell("printf ab > file"), shell("echo oh >&2; exit 1"), missing];
        let dir = tempfile::tempdir().unwrap();
        let clients: Vec<&Client> = clients.iter().collect();
        let rows = measure(&clients, "", &pattern(), &dir.path().join("work"), 2, true).unwrap();
        let outcomes: Vec<_> = rows.into_iter().map(|row| row.outcome.map(|samples| samples.len())).collect();
        let failed = |reason: &str| Err(reason.to_owned());
        assert_eq!(
            outcomes,
            [
                Ok(2),
                failed("failed: the file has 2 bytes and not 3"),
                failed("failed: oh"),
                failed("not installed"),
            ]
        );
    }
}
