//! A Python interpreter of the machine. zoo itself needs none; it is how wheels are fetched, through whatever index and
//! proxy pip is configured for, and what the hubs' own clients run in.
#![expect(clippy::disallowed_methods, reason = "xtask may read the environment: ZOO_PYTHON")]

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

/// Prints the version, then those of the modules named as arguments that are missing.
const PROBE: &str = "import importlib.util as u, sys; \
    print(*sys.version_info[:2], *[m for m in sys.argv[1:] if u.find_spec(m) is None])";

/// An interpreter that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    /// How it is called.
    pub(crate) program: OsString,
    /// Major and minor version.
    pub(crate) version: (u32, u32),
}

/// The first interpreter that runs and has the modules: `ZOO_PYTHON` alone if it is set, else `python3`, else `python`.
pub(crate) fn find(modules: &[&str]) -> Result<Python> {
    match std::env::var_os("ZOO_PYTHON") {
        Some(program) => first_of(&[program], modules),
        None => first_of(&["python3".into(), "python".into()], modules),
    }
}

fn first_of(programs: &[OsString], modules: &[&str]) -> Result<Python> {
    let mut incomplete = None;
    for program in programs {
        let probe = Command::new(program).args(["-c", PROBE]).args(modules).stdin(Stdio::null()).output();
        // An interpreter that is not there, or does not know the probe's modules (Python 2), is not what was asked for.
        let Some(answer) = probe.ok().filter(|o| o.status.success()) else { continue };
        let (version, missing) = parse_probe(&String::from_utf8_lossy(&answer.stdout))?;
        if missing.is_empty() {
            return Ok(Python { program: program.clone(), version });
        }
        incomplete.get_or_insert_with(|| (program, missing.join(" and ")));
    }
    match incomplete {
        Some((program, missing)) => bail!(
            "`{}` has no {missing} (Debian and Ubuntu have it in `python3-pip` and `python3-venv`): install it, or set \
             ZOO_PYTHON to an interpreter that has it",
            program.display()
        ),
        None => {
            let tried: Vec<_> = programs.iter().map(|p| format!("`{}`", p.display())).collect();
            bail!("no Python 3 was found (tried {}): install one, or set ZOO_PYTHON to it", tried.join(", "))
        }
    }
}

fn parse_probe(answer: &str) -> Result<((u32, u32), Vec<String>)> {
    let mut words = answer.split_whitespace();
    let mut number = || words.next()?.parse().ok();
    let version =
        number().zip(number()).with_context(|| format!("Python answered `{answer}`, not its version"))?;
    Ok((version, words.map(ToOwned::to_owned).collect()))
}

/// pip of this interpreter, which asks nothing and tells nothing but errors.
pub(crate) fn pip(program: &Path, command: &str) -> Command {
    let mut pip = Command::new(program);
    pip.args(["-m", "pip", command, "--quiet", "--no-input", "--disable-pip-version-check"]);
    // What is fetched here is not installed into the user's interpreter, so a guard against that is beside the point.
    pip.env("PIP_REQUIRE_VIRTUALENV", "0");
    pip
}

/// Runs a command out of sight. Its failure is told by the most telling line that it printed.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("`{program}` could not be started"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(anyhow!("{}", telling_line(&said).map_or_else(|| output.status.to_string(), ToOwned::to_owned)))
}

/// pip says `ERROR:` in front of what matters, the cause before its consequences; a Python exception comes last.
fn telling_line(said: &str) -> Option<&str> {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.clone().find_map(|line| line.strip_prefix("ERROR: ")).or_else(|| lines.next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_an_interpreter() {
        assert_eq!(parse_probe("3 11\n").unwrap(), ((3, 11), vec![]));
        assert_eq!(parse_probe("3 12 pip venv\n").unwrap(), ((3, 12), vec!["pip".into(), "venv".into()]));
        for wrong in ["", "3", "three eleven", "3.11"] {
            assert!(parse_probe(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_interpreter_is_one_sentence_with_a_way_out() {
        let error = first_of(&["no-such-python".into()], &["pip"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no Python 3 was found (tried `no-such-python`): install one, or set ZOO_PYTHON to it"
        );
    }

    #[test]
    fn the_telling_line_is_the_first_error_or_the_last_word() {
        let pip =
            "WARNING: Retrying\nERROR: Could not find a version that satisfies it\nERROR: No matching one\n";
        assert_eq!(telling_line(pip), Some("Could not find a version that satisfies it"));
        let python =
            "Traceback (most recent call last):\n  File \"x\"\nModuleNotFoundError: No module named 'onnx'\n";
        assert_eq!(telling_line(python), Some("ModuleNotFoundError: No module named 'onnx'"));
        assert_eq!(telling_line("\n"), None);
    }
}
