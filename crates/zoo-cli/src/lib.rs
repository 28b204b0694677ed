//! The `zoo` command, as a library of one function, so that the end-to-end tests can build the command beside themselves.
//!
//! `args` is what can be typed, `env` what the environment says, `hubs` which ecosystems there are; `cmd` does the work, one
//! file per subcommand; `output` and `bars` print; `exit` says how it ends. Here they are put together.

mod args;
mod bars;
mod cmd;
mod env;
mod exit;
mod hubs;
mod output;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::bars::Bars;
use crate::cmd::App;
use crate::env::{Settings, Surroundings};
use crate::exit::{Exit, Failure, Result};
use crate::output::Output;

/// Threads that serve connections: enough to decrypt at line speed, few enough to start in no time.
const WORKERS: usize = 2;

/// How long an interrupted transfer may take to note down how far it is.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Does what this process's command line says.
pub fn main() -> ExitCode {
    let around = Surroundings::of_this_process();
    let exit = match Cli::try_parse() {
        Ok(cli) => obey(cli, &around),
        Err(error) => not_understood(&error, &around),
    };
    ExitCode::from(exit.code())
}

fn obey(cli: Cli, around: &Surroundings) -> Exit {
    let Cli { global, command } = cli;
    let out = Output::new(around.terminal(), global.json, global.quiet);
    let prepared = Settings::read(around, global.home.as_deref(), global.offline)
        .and_then(|settings| out.start_logging(settings.log.as_deref(), global.verbose).map(|()| settings));
    match prepared {
        Ok(settings) => {
            let bars = (!global.quiet).then(|| Arc::new(Bars::new(out.screen().clone())));
            start(&command, &App { settings, out, bars })
        }
        Err(failure) => {
            out.failure(&failure);
            failure.exit
        }
    }
}

/// Runs the command until it ends or Ctrl-C ends it.
fn start(command: &Command, app: &App) -> Exit {
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let failure = Failure::new(Exit::Refused, format!("the system gives no threads: {error}"));
                app.out.failure(&failure);
                return failure.exit;
            }
        };
    let result: Result<Exit> = runtime.block_on(async {
        tokio::select! {
            result = cmd::run(command, app) => result,
            Ok(()) = tokio::signal::ctrl_c() => Err(interrupted()),
        }
    });
    if let Some(bars) = &app.bars {
        bars.finish();
    }
    match result {
        Ok(exit) => {
            runtime.shutdown_background();
            exit
        }
        Err(failure) => {
            app.out.failure(&failure);
            end_at_the_next_interrupt();
            // The command is gone, but what writes to disk is still noting down how far it came.
            runtime.shutdown_timeout(LAST_WORDS);
            failure.exit
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted; what was fetched is kept, and the same command resumes")
}

/// Whoever presses Ctrl-C while the last words are written does not want to hear them.
fn end_at_the_next_interrupt() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    });
}

/// A command line that makes no sense, or a wish for help or the version, which clap hands over as an error too.
fn not_understood(error: &clap::Error, around: &Surroundings) -> Exit {
    let json = std::env::args_os().any(|word| word == "--json");
    if !json || !error.use_stderr() {
        // A closed pipe leaves nobody to tell.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
    }
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let failure = Failure::usage(message).hint("`zoo --help` tells what can be typed");
    Output::new(around.terminal(), json, false).failure(&failure);
    failure.exit
}
