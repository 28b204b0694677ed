//! The `zoo` command, built beside the tests that run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    zoo_cli::main()
}
