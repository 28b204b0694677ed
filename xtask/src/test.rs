//! `cargo xtask test`: everything that must hold before a commit, cheapest first, stopping at the first failure.
//!
//! It needs nothing but Rust, and a library for running models that [`setup`] provides. With cargo-nextest installed each
//! test gets a process of its own; without it the same tests run in cargo's own runner.
//!
//! Clippy looks at default features: zoo-run's `tract` alone would add eight minutes of building.
#![expect(
    clippy::print_stdout,
    reason = "this is the edge: it tells the user what ran, and how long it took"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "xtask may read the environment: it adds to RUSTDOCFLAGS, and asks where torch is"
)]

use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::{setup, tidy, workspace};

/// How tests learn where the Python with the hubs' own clients is.
const ZOO_PYTHON_CLIENTS: &str = "ZOO_PYTHON_CLIENTS";

/// Frameworks that are too large to install for one test. Whoever has one names its Python in a variable; the tests that need it are
/// known by the beginning of their names.
const FRAMEWORKS: &[Framework] = &[
    Framework { name: "torch", variable: "ZOO_TORCH_PYTHON", tests: "torch_hub_" },
    Framework { name: "TensorFlow", variable: "ZOO_TF_PYTHON", tests: "tensorflow_computes_" },
];

#[derive(Debug, PartialEq)]
struct Framework {
    name: &'static str,
    variable: &'static str,
    tests: &'static str,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only tests with one of these in their names. Everything else is checked all the same.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// A step by name. What one finds out for later ones is in the [`Context`].
type Step = (&'static str, fn(&mut Context) -> Result<()>);

const STEPS: &[Step] = &[
    ("format", |_| cargo(&["fmt", "--all", "--check"])),
    ("clippy", |_| cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("tidy", |_| tidy::run(&tidy::Args {})),
    ("documentation", |_| document()),
    ("setup", set_up),
    ("tests", |context| run_tests(context)),
    ("documentation tests", |context| run_doc_tests(context)),
];

#[derive(Default)]
struct Context {
    filter: Vec<String>,
    /// Variables for the tests.
    environment: Vec<(&'static str, OsString)>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let mut context = Context { filter: args.filter, ..Context::default() };
    let (times, result) = drive(STEPS, &mut context);
    println!("\n{}", summary(STEPS, &times, result.is_ok()));
    result
}

/// Runs the steps up to the first failure. The times are those of the steps that ran, a failing one last.
fn drive(steps: &[Step], context: &mut Context) -> (Vec<Duration>, Result<()>) {
    let mut times = Vec::new();
    for (name, step) in steps {
        println!("\n== {name}");
        let start = Instant::now();
        let result = step(context);
        times.push(start.elapsed());
        if result.is_err() {
            return (times, result.with_context(|| format!("step `{name}`")));
        }
    }
    (times, Ok(()))
}

/// One line per step: how it ended, and after how long.
fn summary(steps: &[Step], times: &[Duration], all_passed: bool) -> String {
    let mut lines = Vec::new();
    for (index, (name, _)) in steps.iter().enumerate() {
        let failed = !all_passed && index + 1 == times.len();
        let how = if failed { "FAILED" } else { "ok" };
        lines.push(match times.get(index) {
            Some(time) => format!("{how:<8}{name:<22}{:>7.1} s", time.as_secs_f64()),
            None => format!("not run {name}"),
        });
    }
    let total: Duration = times.iter().sum();
    lines.push(format!("{:<30}{:>7.1} s", "", total.as_secs_f64()));
    lines.join("\n")
}

fn cargo(arguments: &[&str]) -> Result<()> {
    workspace::run(workspace::cargo().args(arguments))
}

fn document() -> Result<()> {
    let mut flags = std::env::var_os("RUSTDOCFLAGS").unwrap_or_default();
    flags.push(" -D warnings");
    let mut cargo = workspace::cargo();
    workspace::run(cargo.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", flags))
}

/// Without ONNX Runtime's library this is a failure: tests that did not run must not look as if they had passed. The Python
/// clients are another matter, since zoo does without Python: without them their tests are ignored, and counted as such.
fn set_up(context: &mut Context) -> Result<()> {
    let library = setup::ensure()?;
    println!("ONNX Runtime: {}", library.display());
    context.environment.push((setup::ORT_DYLIB_PATH, library.into()));
    match setup::python_clients()? {
        Some(interpreter) => {
            println!("Python clients: {}", interpreter.display());
            context.environment.push((ZOO_PYTHON_CLIENTS, interpreter.into()));
        }
        None => println!("the tests of the hubs' own clients are ignored in this run"),
    }
    Ok(())
}

fn run_tests(context: &Context) -> Result<()> {
    let mut cargo = workspace::cargo();
    // The only ignored tests are those that need the clients.
    let clients = context.environment.iter().any(|(name, _)| *name == ZOO_PYTHON_CLIENTS);
    let lacking = |framework: &&Framework| std::env::var_os(framework.variable).is_none();
    let without: Vec<&Framework> = FRAMEWORKS.iter().filter(lacking).collect();
    for Framework { name, variable, .. } in without.iter().filter(|_| clients) {
        println!("the tests that need {name} are left out; {variable} would name a Python that has it");
    }
    let ignored = Ignored { clients, without };
    cargo.args(test_arguments(has_nextest(), &ignored, &context.filter));
    workspace::run(cargo.envs(context.environment.iter().cloned()))
}

fn run_doc_tests(context: &Context) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--workspace", "--doc", "--"]).args(&context.filter);
    workspace::run(cargo.envs(context.environment.iter().cloned()))
}

fn has_nextest() -> bool {
    let mut probe = workspace::cargo();
    let probe = probe.args(["nextest", "--version"]).stdin(Stdio::null()).stdout(Stdio::null());
    probe.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Which of the ignored tests run too.
#[derive(Debug, Clone, Default)]
struct Ignored {
    clients: bool,
    /// Those of these are left out among them.
    without: Vec<&'static Framework>,
}

fn test_arguments(nextest: bool, ignored: &Ignored, filter: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = if nextest {
        ["nextest", "run", "--workspace", "--no-fail-fast"].map(str::to_owned).into()
    } else {
        ["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--"]
            .map(str::to_owned)
            .into()
    };
    if ignored.clients {
        let all: &[&str] = if nextest { &["--run-ignored", "all"] } else { &["--include-ignored"] };
        arguments.extend(all.iter().map(|argument| (*argument).to_owned()));
        let tests = ignored.without.iter().map(|framework| framework.tests);
        if nextest && !ignored.without.is_empty() {
            let others: Vec<String> = tests.map(|tests| format!("not test({tests})")).collect();
            arguments.extend(["-E".to_owned(), others.join(" and ")]);
        } else {
            arguments.extend(tests.flat_map(|tests| ["--skip", tests]).map(str::to_owned));
        }
    }
    arguments.extend(filter.iter().cloned());
    arguments
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_first_failure_ends_the_run_and_names_its_step() {
        let steps: &[Step] = &[
            ("one", |context| {
                context.environment.push(("A", "b".into()));
                Ok(())
            }),
            ("two", |context| bail!("{} variable", context.environment.len())),
            ("three", |_| panic!("ran after a failure")),
        ];
        let (times, result) = drive(steps, &mut Context::default());
        assert_eq!(times.len(), 2);
        assert_eq!(format!("{:#}", result.unwrap_err()), "step `two`: 1 variable");
    }

    #[test]
    fn the_summary_tells_passed_failed_and_not_run_apart() {
        let steps: &[Step] = &[("one", |_| Ok(())), ("two", |_| Ok(())), ("three", |_| Ok(()))];
        let times = [Duration::from_millis(1500), Duration::from_secs(20)];
        let expected = "\
ok      one                       1.5 s
FAILED  two                      20.0 s
not run three
                                 21.5 s";
        assert_eq!(summary(steps, &times, false), expected);
        assert!(summary(steps, &[times[0]; 3], true).matches("ok").count() == 3);
    }

    #[test]
    fn both_runners_get_the_filter() {
        let filter = ["digest::".to_owned(), "fetch".to_owned()];
        assert_eq!(
            test_arguments(true, &Ignored::default(), &filter),
            ["nextest", "run", "--workspace", "--no-fail-fast", "digest::", "fetch"]
        );
        let plain = [
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--",
            "digest::",
            "fetch",
        ];
        assert_eq!(test_arguments(false, &Ignored::default(), &filter), plain);
    }

    #[test]
    fn with_the_clients_the_tests_that_need_them_run_too() {
        let clients = Ignored { clients: true, without: FRAMEWORKS.iter().collect() };
        assert_eq!(
            test_arguments(true, &clients, &[])[4..],
            ["--run-ignored", "all", "-E", "not test(torch_hub_) and not test(tensorflow_computes_)"]
        );
        assert_eq!(
            test_arguments(false, &clients, &[])[6..],
            ["--", "--include-ignored", "--skip", "torch_hub_", "--skip", "tensorflow_computes_"]
        );
        let all = Ignored { without: Vec::new(), ..clients };
        assert_eq!(test_arguments(true, &all, &[])[4..], ["--run-ignored", "all"]);
        assert_eq!(test_arguments(false, &all, &[])[6..], ["--", "--include-ignored"]);
    }
}
