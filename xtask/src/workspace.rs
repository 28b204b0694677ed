//! Where the workspace is, and how to call cargo in it.
#![expect(
    clippy::disallowed_methods,
    reason = "xtask may read the environment; cargo tells it where it is that way"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// The folder of the root manifest.
pub(crate) fn root() -> PathBuf {
    // Under cargo the variable is set anew for every run; the value from the build would be wrong after a move.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// The members' manifests as cargo understands them. Without the dependencies' own manifests: this needs no network, and
/// no crate that the host's build does not need either.
pub(crate) fn metadata() -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().context("`cargo metadata` could not read the workspace")
}

/// The cargo that runs this program, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    // `cargo run` describes the package it runs in these. Some build scripts (ring's) ask to be run again when they
    // change, so passing them on would rebuild half the workspace, and once more at the next plain `cargo build`.
    for (name, _) in std::env::vars_os().filter(|(name, _)| describes_a_package(name)) {
        command.env_remove(name);
    }
    command
}

fn describes_a_package(variable: &OsString) -> bool {
    variable.to_str().is_some_and(|name| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
            || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
    })
}

/// Runs a command in sight of the user: its output is the report, so the error says only which one it was.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default().to_string_lossy();
    let words = command.get_args().map(|word| word.to_string_lossy());
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().join("xtask").join("Cargo.toml").is_file());
        let metadata = metadata().unwrap();
        assert!(metadata.packages.iter().any(|p| p.name == "xtask"));
    }

    #[test]
    fn children_do_not_inherit_the_description_of_xtask() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "OUT_DIR"] {
            assert!(describes_a_package(&name.into()), "{name}");
        }
        for name in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "PATH"] {
            assert!(!describes_a_package(&name.into()), "{name}");
        }
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(cargo().arg("--no-such-option").stderr(Stdio::null())).unwrap_err().to_string();
        assert!(error.starts_with("`cargo --no-such-option` failed"), "{error}");
    }
}
