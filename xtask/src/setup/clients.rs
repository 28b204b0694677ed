//! An environment with the hubs' own Python clients: `huggingface_hub`, and `onnx`, whose `onnx.hub` is the Model Zoo's.
//!
//! zoo needs none of this. One test does: it lets these clients talk to zoo's mirror, which proves that the mirror speaks
//! as the real hubs do. The environment lives in the target folder, so that `cargo clean` removes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::python::{self, Python};
use crate::{files, workspace};

/// Everything that gets installed, so that the same clients talk today and in a year. One set for Python 3.10 to 3.14: the
/// newest versions that serve all of them (a second `numpy` where none does).
///
/// onnx 1.20 is held back on purpose: it is the last minor version with `onnx.hub`.
const REQUIREMENTS: &str = r#"huggingface_hub==2.4.0
onnx==1.20.1

anyio==4.16.0
click==8.5.1
exceptiongroup==1.3.2; python_version < "3.11"
filelock==4.1.0
fsspec==2026.9.0
h11==0.16.0
hf-xet==1.8.0
httpcore2==2.14.0
httpx2==2.14.0
idna==3.20
ml_dtypes==0.6.0
numpy==2.2.6; python_version < "3.11"
numpy==2.4.6; python_version >= "3.11"
packaging==26.4
protobuf==7.36.2
PyYAML==6.0.4
tomli==2.5.0; python_version < "3.11"
tqdm==4.70.1
truststore==0.10.5
typing_extensions==4.16.0
"#;

/// The oldest Python that the clients themselves support.
const OLDEST: (u32, u32) = (3, 10);

/// Written last: an environment without it is half made.
const MARKER: &str = "zoo-requirements.txt";

/// The interpreter of an environment that has exactly these clients, if there is one.
pub(super) fn present() -> Result<Option<PathBuf>> {
    let folder = folder()?;
    let interpreter = interpreter(&folder);
    Ok(is_present(&folder, &interpreter)?.then_some(interpreter))
}

/// Makes the environment, in place of any that is there, and returns its interpreter.
pub(super) fn install() -> Result<PathBuf> {
    let python = python::find(&["venv", "ensurepip"])?;
    check_version(&python)?;
    let folder = folder()?;
    let interpreter = interpreter(&folder);
    make(&python, &folder, &interpreter)?;
    Ok(interpreter)
}

fn folder() -> Result<PathBuf> {
    Ok(workspace::metadata()?.target_directory.into_std_path_buf().join("python-clients"))
}

fn interpreter(folder: &Path) -> PathBuf {
    let inside: [&str; 2] = if cfg!(windows) { ["Scripts", "python.exe"] } else { ["bin", "python"] };
    folder.join(inside[0]).join(inside[1])
}

fn is_present(folder: &Path, interpreter: &Path) -> Result<bool> {
    let marker = files::read_if_there(&folder.join(MARKER))?;
    // The interpreter is a link to the system's, and dangles after that was upgraded.
    Ok(marker.as_deref() == Some(REQUIREMENTS.as_bytes()) && interpreter.exists())
}

fn check_version(python: &Python) -> Result<()> {
    if python.version < OLDEST {
        bail!(
            "`{}` is Python {}.{}, and they need {}.{} or later: set ZOO_PYTHON to one",
            python.program.display(),
            python.version.0,
            python.version.1,
            OLDEST.0,
            OLDEST.1
        );
    }
    Ok(())
}

fn make(python: &Python, folder: &Path, interpreter: &Path) -> Result<()> {
    files::remove_dir_all(folder)?;
    python::run_quietly(Command::new(&python.program).args(["-m", "venv"]).arg(folder))
        .with_context(|| format!("`{} -m venv` failed", python.program.display()))?;

    let temp = tempfile::tempdir().context("cannot create a temporary folder")?;
    let requirements = temp.path().join("requirements.txt");
    let text = REQUIREMENTS.as_bytes();
    files::write_atomic(&requirements, text, text.len() as u64)?;
    let mut pip = python::pip(interpreter, "install");
    // Building from source would need compilers; `--no-deps` because the list is complete, and a gap in it must fail.
    pip.args(["--only-binary=:all:", "--no-deps", "--requirement"]).arg(&requirements);
    python::run_quietly(&mut pip).context("`pip install` failed")?;

    let imports = ["-c", "import huggingface_hub, onnx.hub"];
    python::run_quietly(Command::new(interpreter).args(imports))
        .context("they do not load once installed")?;
    files::write_atomic(&folder.join(MARKER), text, text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        for line in REQUIREMENTS.lines().filter(|line| !line.is_empty()) {
            let (name, version) = line.split_once("==").unwrap_or_else(|| panic!("`{line}` is not pinned"));
            assert!(!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        }
    }

    #[test]
    fn an_environment_counts_with_its_marker_and_its_interpreter_only() {
        let dir = tempfile::tempdir().unwrap();
        let interpreter = dir.path().join("python");
        let present = || is_present(dir.path(), &interpreter).unwrap();
        assert!(!present());
        files::write_atomic(&dir.path().join(MARKER), REQUIREMENTS.as_bytes(), u64::MAX).unwrap();
        assert!(!present(), "no interpreter");
        files::write_atomic(&interpreter, &b""[..], 0).unwrap();
        assert!(present());
        files::write_atomic(&dir.path().join(MARKER), &b"onnx==1.19.0\n"[..], u64::MAX).unwrap();
        assert!(!present(), "other pins");
    }

    #[test]
    fn a_python_that_is_too_old_is_refused_with_its_version() {
        let python = |version| Python { program: "python3".into(), version };
        let error = check_version(&python((3, 9))).unwrap_err().to_string();
        assert!(error.contains("Python 3.9") && error.contains("3.10 or later"), "{error}");
        check_version(&python((3, 10))).unwrap();
    }
}
