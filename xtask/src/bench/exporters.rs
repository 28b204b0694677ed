//! Who takes a checkpoint to ONNX, and how each is called: zoo, `cp` (the least that a copy of the weights can cost) and both
//! exporters of torch, which run in a Python that the user names.
#![expect(clippy::disallowed_methods, reason = "xtask may read the environment: ZOO_TORCH_PYTHON")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::clients;
use super::rounds::{Player, regular_files};
use crate::{files, workspace};

/// zoo, leaving the weights where they are; everybody else is compared with it.
pub(super) const IN_PLACE: &str = "zoo stage";
pub(super) const PACKED: &str = "zoo stage --packed";
pub(super) const COPY: &str = "cp of the weights";
pub(super) const DYNAMO: &str = "torch.onnx.export, dynamo";
pub(super) const TORCHSCRIPT: &str = "torch.onnx.export, TorchScript";

/// What names the Python.
const VARIABLE: &str = "ZOO_TORCH_PYTHON";

/// Prints a line for each package that matters, and fails if one is missing.
const PROBE: &str = "import importlib.metadata as m, platform
for name in ('torch', 'torchvision', 'onnx', 'onnxscript', 'onnxruntime'): print(name, m.version(name))
print('Python', platform.python_version())";

/// A Python that has torch.
#[derive(Debug, Clone)]
pub(super) struct Torch {
    program: OsString,
    /// Of it and its packages.
    pub(super) versions: Vec<String>,
}

impl Torch {
    /// The Python that was named, or that the environment names; the reason if there is none that will do.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, String> {
        let program = named.map(|path| path.as_os_str().to_owned()).or_else(|| std::env::var_os(VARIABLE));
        let program = program.ok_or_else(|| {
            format!("not installed (`{VARIABLE}` or `--torch-python` names a Python with torch)")
        })?;
        let shown = program.display().to_string();
        let said = Command::new(&program).args(["-c", PROBE]).stdin(Stdio::null()).output();
        let said = said.map_err(|e| format!("`{shown}` could not be started: {e}"))?;
        if !said.status.success() {
            let errors = String::from_utf8_lossy(&said.stderr);
            let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed");
            return Err(format!("`{shown}` cannot export: {last}"));
        }
        let versions = String::from_utf8_lossy(&said.stdout).lines().map(ToOwned::to_owned).collect();
        Ok(Self { program, versions })
    }

    /// The same, if it also has transformers and optimum, with their versions.
    pub(super) fn with_optimum(mut self) -> Result<Self, String> {
        const PROBE: &str = "import importlib.metadata as m
for name in ('transformers', 'optimum', 'optimum-onnx'): print(name, m.version(name))";
        let said = Command::new(&self.program).args(["-c", PROBE]).stdin(Stdio::null()).output();
        match said {
            Ok(said) if said.status.success() => {
                let versions = String::from_utf8_lossy(&said.stdout);
                self.versions.extend(versions.lines().map(ToOwned::to_owned));
                Ok(self)
            }
            _ => Err(format!("`{}` has no transformers or no optimum", self.program.display())),
        }
    }

    /// One of the scripts of `tests/python`.
    pub(super) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(workspace::root().join("tests").join("python").join(name));
        command
    }
}

/// One network, its checkpoint, and where everybody writes.
pub(super) struct Job {
    /// torchvision's name of the network.
    pub(super) network: &'static str,
    /// Named plainly: a name of torchvision's own would have its digest checked.
    pub(super) checkpoint: PathBuf,
    /// With a folder in it for everybody.
    pub(super) folder: PathBuf,
}

impl Job {
    /// The graph that somebody wrote.
    pub(super) fn graph(&self, name: &str) -> PathBuf {
        self.of(name).join(format!("{}.onnx", self.network))
    }

    fn of(&self, name: &str) -> PathBuf {
        let folder = match name {
            IN_PLACE => "in-place",
            PACKED => "packed",
            COPY => "copy",
            TORCHSCRIPT => "torchscript",
            _ => "dynamo",
        };
        self.folder.join(folder)
    }

    /// Somebody's folder, empty.
    fn emptied(&self, name: &str) -> Result<PathBuf> {
        let folder = self.of(name);
        files::remove_dir_all(&folder)?;
        files::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn file(&self) -> String {
        format!("{}.pth", self.network)
    }

    /// The bytes in somebody's folder, of which a file ending in `wanted` must be one; the checkpoint that zoo found there was not
    /// written.
    fn written(&self, name: &str, wanted: &str) -> Result<u64> {
        let found = regular_files(&self.of(name))?;
        let ends = |path: &Path| path.to_string_lossy().ends_with(wanted);
        ensure!(
            found.iter().any(|(path, _)| ends(path)),
            "it says that it succeeded, and there is no {wanted}"
        );
        let link = (name != COPY).then(|| self.of(name).join(self.file()));
        Ok(found.iter().filter(|(path, _)| Some(path) != link.as_ref()).map(|(_, length)| length).sum())
    }

    /// The same of somebody whose files nobody needs any more.
    fn written_once(&self, name: &str, wanted: &str) -> Result<u64> {
        let written = self.written(name, wanted)?;
        files::remove_dir_all(&self.of(name))?;
        Ok(written)
    }
}

/// Runs of zoo and of `cp` in a round in which torch runs once.
pub(super) const TIMES: usize = 5;

/// zoo in place.
pub(super) fn in_place<'a>(program: &'a Path, job: &'a Job) -> Player<'a> {
    zoo(program, job, IN_PLACE, &[])
}

/// zoo, with a copy of the weights.
pub(super) fn packed<'a>(program: &'a Path, job: &'a Job) -> Player<'a> {
    zoo(program, job, PACKED, &["--packed"])
}

fn zoo<'a>(program: &'a Path, job: &'a Job, name: &'static str, more: &'static [&'static str]) -> Player<'a> {
    let prepare = move || {
        let folder = job.emptied(name)?;
        let checkpoint = folder.join(job.file());
        // The graph is written beside the checkpoint, so there is a name for it in this folder.
        std::fs::hard_link(&job.checkpoint, &checkpoint)
            .with_context(|| format!("cannot link `{}`", checkpoint.display()))?;
        let mut zoo = clients::clean(program, &folder);
        zoo.arg("--home").arg(folder.join("home")).arg("stage").arg(checkpoint);
        zoo.args(["--arch", job.network]).args(more);
        Ok(vec![zoo])
    };
    let check = move || match name {
        PACKED => job.written_once(name, ".onnx"),
        _ => job.written(name, ".onnx"),
    };
    Player { name, times: TIMES, prepare: Ok(Box::new(prepare)), check: Box::new(check) }
}

/// A copy of the checkpoint.
pub(super) fn copy(job: &Job) -> Player<'_> {
    let prepare = move || {
        let mut cp = Command::new("cp");
        cp.arg(&job.checkpoint).arg(job.emptied(COPY)?.join(job.file()));
        Ok(vec![cp])
    };
    let check = move || job.written_once(COPY, ".pth");
    Player { name: COPY, times: TIMES, prepare: Ok(Box::new(prepare)), check: Box::new(check) }
}

/// One of torch's exporters: [`DYNAMO`] or [`TORCHSCRIPT`].
pub(super) fn torch<'a>(torch: &'a Torch, job: &'a Job, name: &'static str) -> Player<'a> {
    let prepare = move || {
        job.emptied(name)?;
        let exporter = if name == TORCHSCRIPT { "torchscript" } else { "dynamo" };
        let mut export = torch.script("torch_export.py");
        export.args(["export", job.network, "--exporter", exporter, "--weights"]).arg(&job.checkpoint);
        export.arg("--out").arg(job.graph(name));
        Ok(vec![export])
    };
    let check = move || job.written(name, ".onnx");
    Player { name, times: 1, prepare: Ok(Box::new(prepare)), check: Box::new(check) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted_without_the_checkpoint_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = dir.path().join("weights");
        files::write_atomic(&checkpoint, &b"weights"[..], 7).unwrap();
        let job = Job { network: "net", checkpoint, folder: dir.path().join("work") };
        let player = in_place(Path::new("zoo"), &job);
        let commands = player.prepare.unwrap()().unwrap();
        assert!(
            commands[0].get_args().any(|argument| argument == job.of(IN_PLACE).join("net.pth").as_os_str())
        );
        assert!((player.check)().unwrap_err().to_string().contains("there is no .onnx"));
        files::create_dir_all(&job.of(IN_PLACE).join("home")).unwrap();
        files::write_atomic(&job.of(IN_PLACE).join("home").join("note"), &b"ab"[..], 2).unwrap();
        files::write_atomic(&job.graph(IN_PLACE), &b"abc"[..], 3).unwrap();
        assert_eq!((player.check)().unwrap(), 5);
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_is_all_of_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = dir.path().join("weights");
        files::write_atomic(&checkpoint, &b"weights"[..], 7).unwrap();
        let job = Job { network: "net", checkpoint, folder: dir.path().join("work") };
        let player = copy(&job);
        super::super::measure::run(player.prepare.unwrap()().unwrap()).unwrap();
        assert_eq!((player.check)().unwrap(), 7);
    }

    #[test]
    fn a_python_without_torch_is_a_reason_and_no_error() {
        let reason = Torch::find(Some(Path::new("no-such-python"))).unwrap_err();
        assert!(reason.starts_with("`no-such-python` could not be started"), "{reason}");
    }
}
