//! `zoo completions`: a script for a shell, made from the definitions of the command line.

use clap::CommandFactory as _;

use crate::args::{Cli, Completions};
use crate::cmd::App;
use crate::exit::{Exit, Result};

pub(super) fn run(args: &Completions, app: &App) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "zoo", &mut script);
    app.out.bytes(&script)?;
    Ok(Exit::Ok)
}
