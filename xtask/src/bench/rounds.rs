//! Interleaved rounds: everybody once, in a new order, then everybody again. What slows the machine for a while then slows
//! all of them, and nobody always runs after the same neighbour.
#![expect(clippy::print_stderr, reason = "this is the edge: minutes pass, so it tells the user what it does")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::clients::{Client, Job};
use super::measure::{self, Sample};
use crate::files;
use crate::mirror::Pattern;

/// A row: the samples of who took part, or why there are none.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) outcome: Result<Vec<Sample>, String>,
    /// The bytes that a run leaves behind; the greatest number of all runs.
    pub(super) written: u64,
}

/// Makes a run's commands, in a folder that it prepares for them.
type Prepare<'a> = Box<dyn Fn() -> Result<Vec<Command>> + 'a>;

/// Somebody who is measured in turns with others.
pub(super) struct Player<'a> {
    pub(super) name: &'static str,
    /// Runs in each round: what takes milliseconds can run more often than what takes a minute.
    pub(super) times: usize,
    /// Outside of the time; or why there are no runs.
    pub(super) prepare: Result<Prepare<'a>, String>,
    /// Whether a run did what it should, and how many bytes it left; outside of the time.
    pub(super) check: Box<dyn Fn() -> Result<u64> + 'a>,
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
    let player = |client| player(client, endpoint, pattern, folder);
    let players: Vec<Player<'_>> = clients.iter().copied().map(player).collect();
    let rows = take_turns(&players, &pattern.file, rounds, warm_up);
    files::remove_dir_all(folder)?;
    Ok(rows)
}

fn player<'a>(client: &'a Client, endpoint: &'a str, pattern: &'a Pattern, folder: &'a Path) -> Player<'a> {
    let prepare = match &client.commands {
        Ok(commands) => Ok(Box::new(move || {
            files::remove_dir_all(folder)?;
            files::create_dir_all(folder)?;
            Ok(commands(&Job { endpoint, pattern, folder }))
        }) as Prepare<'a>),
        Err(reason) => Err(reason.clone()),
    };
    let check = move || check(pattern, folder).map(|()| pattern.size);
    Player { name: client.name, times: 1, prepare, check: Box::new(check) }
}

/// Lets everybody run, round by round, each round in a new order. Who fails once is out, and the row says why.
pub(super) fn take_turns(players: &[Player<'_>], title: &str, rounds: usize, warm_up: bool) -> Vec<Row> {
    let begin = |player: &Player<'_>| Row {
        name: player.name,
        outcome: player.prepare.as_ref().map(|_| Vec::new()).map_err(Clone::clone),
        written: 0,
    };
    let mut rows: Vec<Row> = players.iter().map(begin).collect();
    for round in usize::from(!warm_up)..=rounds {
        match round {
            0 => eprintln!("{title}: warming up"),
            _ => eprintln!("{title}: round {round} of {rounds}"),
        }
        // Everybody as often as wanted, and nobody's runs together.
        let mut order: Vec<usize> = Vec::new();
        for (index, player) in players.iter().enumerate() {
            order.extend(std::iter::repeat_n(index, player.times));
        }
        fastrand::shuffle(&mut order);
        for index in order {
            let (Some(player), Some(row)) = (players.get(index), rows.get_mut(index)) else { continue };
            let (Ok(prepare), Ok(samples)) = (&player.prepare, &mut row.outcome) else { continue };
            match one(prepare, &player.check) {
                Ok((sample, written)) => {
                    row.written = row.written.max(written);
                    if round > 0 {
                        samples.push(sample);
                    }
                }
                Err(reason) => row.outcome = Err(format!("failed: {reason:#}")),
            }
        }
    }
    rows
}

fn one(prepare: &Prepare<'_>, check: &dyn Fn() -> Result<u64>) -> Result<(Sample, u64)> {
    let commands = prepare()?;
    settle();
    let sample = measure::run(commands)?;
    Ok((sample, check()?))
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
    Ok(regular_files(folder)?.into_iter().max_by_key(|(_, length)| *length))
}

/// Every regular file below a folder, with its length.
pub(super) fn regular_files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
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
            } else if meta.is_file() {
                found.push((entry.path(), meta.len()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
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
    #[cfg(unix)]
    #[test]
    fn players_run_as_often_as_wanted_and_what_they_leave_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let player = |name, times, script: &'static str| {
            let folder = dir.path().to_owned();
            let prepare = move || {
                let mut shell = Command::new("sh");
                shell.args(["-c", script]).current_dir(&folder);
                Ok(vec![shell])
            };
            let check = || Ok(regular_files(dir.path())?.iter().map(|(_, length)| length).sum());
            Player { name, times, prepare: Ok(Box::new(prepare) as Prepare<'_>), check: Box::new(check) }
        };
        let players = [player("often", 3, "printf a >> file"), player("once", 1, "true")];
        let rows = take_turns(&players, "", 2, false);
        let counts: Vec<_> = rows.iter().map(|row| row.outcome.as_ref().unwrap().len()).collect();
        assert_eq!(counts, [6, 2]);
        assert_eq!(files::read(&file).unwrap(), b"aaaaaa");
        assert_eq!(rows[0].written, 6);
    }
}
