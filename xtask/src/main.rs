//! zoo's own tools, run as `cargo xtask COMMAND`: what a shell script would do, but typed, tested, and the same on every
//! system.
//!
//! A subcommand is one file: an `Args` and a `run`, a variant of [`Command`] and a line in [`main`]. What several of
//! them need has a name of its own: [`workspace`] (where we are, how to call cargo), [`files`], [`python`],
//! [`programs`], and [`setup::ensure`], which any command that runs models calls first.
#![expect(clippy::print_stderr, reason = "the error that ends a command is printed here, and only here")]

mod bench;
mod e2e;
mod files;
mod mirror;
mod programs;
mod python;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "zoo's own tools")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure zoo beside the clients that people use today.
    Bench(bench::Args),
    /// Serve the hubs in small on this machine, to try the zoo command with no network.
    Mirror(mirror::Args),
    /// Pull, verify, stage, run and compare models of every ecosystem.
    E2e(e2e::Args),
    /// Provide what running models needs: ONNX Runtime's library, and on request the hubs' own Python clients.
    Setup(setup::Args),
    /// Check everything before a commit: format, clippy, tidy, documentation, tests.
    Test(test::Args),
    /// Check the architecture: which crate depends on which, manifests, source files.
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::E2e(args) => e2e::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Mirror(args) => mirror::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Test(args) => test::run(args),
        Command::Tidy(args) => tidy::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
