//! The pinned wheel that holds ONNX Runtime's library, one per system, and how pip gets it.
//!
//! pip would choose the wheel of the interpreter that it runs in. The library in it is the same for every Python, so the
//! choice is taken from it: the wheel for CPython 3.11 everywhere, by any pip of any Python 3. That makes one digest per
//! system instead of one per system and Python version, and an interpreter too new for the wheels is no obstacle.
//!
//! To raise the version: change [`VERSION`], and for each wheel put in the digest that `pip hash` prints for the file that
//! `pip download` with the arguments below fetches.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::files;
use crate::python::{self, Python};

/// ONNX Runtime's version: the newest when zoo was last tested with it.
pub(crate) const VERSION: &str = "1.32.0";

/// A wheel, and what is in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// As `std::env::consts` calls the system.
    os: &'static str,
    /// As `std::env::consts` calls the processor.
    arch: &'static str,
    /// As wheels call both.
    platform: &'static str,
    /// SHA-256 of the wheel.
    pub(super) sha256: &'static str,
    /// The library's path in the wheel.
    pub(super) member: &'static str,
}

const WHEELS: &[Wheel] = &[
    Wheel {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
        member: "onnxruntime/capi/libonnxruntime.so.1.32.0",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
        member: "onnxruntime/capi/libonnxruntime.so.1.32.0",
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        sha256: "366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c",
        member: "onnxruntime/capi/libonnxruntime.1.32.0.dylib",
    },
    Wheel {
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        sha256: "d7e0c45cc5f456ad7805e6dd256a7662736cda9c2fd17becae194eb3c2f6df72",
        member: "onnxruntime/capi/onnxruntime.dll",
    },
    Wheel {
        os: "windows",
        arch: "aarch64",
        platform: "win_arm64",
        sha256: "23361cdf98afac352d10aa7d9e0a10ceaeb02d38430fb693c6eff370196db62d",
        member: "onnxruntime/capi/onnxruntime.dll",
    },
];

/// The wheel for the machine that this program was built for.
pub(crate) fn of_this_machine() -> Result<&'static Wheel> {
    of(std::env::consts::OS, std::env::consts::ARCH, cfg!(target_env = "musl"))
}

fn of(os: &str, arch: &str, musl: bool) -> Result<&'static Wheel> {
    let found = WHEELS.iter().find(|w| w.os == os && w.arch == arch && !musl);
    found.with_context(|| {
        let libc = if musl { " with musl" } else { "" };
        format!(
            "ONNX Runtime {VERSION} is not published for {os} on {arch}{libc}: set ORT_DYLIB_PATH to a library of \
             version 1.18 or later from elsewhere (a package manager, or built from source)"
        )
    })
}

impl Wheel {
    /// The name that pip gives to the file.
    pub(crate) fn file_name(&self) -> String {
        format!("onnxruntime-{VERSION}-cp311-cp311-{}.whl", self.platform)
    }

    /// The requirement, pinned to this very file.
    fn requirement(&self) -> String {
        format!("onnxruntime=={VERSION} --hash=sha256:{}\n", self.sha256)
    }

    /// What pip is told beside that: take this file, and nothing that the interpreter would like better.
    fn selection(&self) -> [&str; 11] {
        [
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--python-version",
            "3.11",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
            "--platform",
            self.platform,
        ]
    }

    /// Lets pip fetch the wheel into `folder`.
    pub(crate) fn download(&self, python: &Python, folder: &Path) -> Result<PathBuf> {
        let requirements = folder.join("requirements.txt");
        let text = self.requirement();
        files::write_atomic(&requirements, text.as_bytes(), text.len() as u64)?;
        let mut pip = python::pip(Path::new(&python.program), "download");
        pip.args(self.selection()).arg("--dest").arg(folder).arg("--requirement").arg(&requirements);
        python::run_quietly(&mut pip)
            .with_context(|| format!("`{} -m pip download` failed", python.program.display()))?;
        Ok(folder.join(self.file_name()))
    }

    /// Whether the file is the pinned one. pip looked too; what is loaded into a process is worth looking twice.
    pub(crate) fn verify(&self, path: &Path) -> Result<()> {
        let found = files::sha256(path)?;
        if found != self.sha256 {
            bail!(
                "{} has SHA-256 {found}, expected {}: nothing was installed",
                self.file_name(),
                self.sha256
            );
        }
        Ok(())
    }

    /// A wheel for tests, of any content.
    #[cfg(test)]
    pub(super) const fn for_tests(sha256: &'static str, member: &'static str) -> Self {
        Self { os: "test", arch: "test", platform: "any", sha256, member }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_has_one_wheel_with_a_digest_and_this_version() {
        for wheel in WHEELS {
            assert_eq!(of(wheel.os, wheel.arch, false).unwrap(), wheel);
            assert!(wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
            assert!(wheel.member.contains(VERSION) || wheel.os == "windows", "{}", wheel.member);
        }
    }

    #[test]
    fn a_system_without_a_wheel_is_told_the_alternative() {
        for (os, arch, musl, named) in [
            ("macos", "x86_64", false, "macos on x86_64:"),
            ("linux", "riscv64", false, "linux on riscv64:"),
            ("linux", "x86_64", true, "linux on x86_64 with musl:"),
        ] {
            let error = of(os, arch, musl).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("ORT_DYLIB_PATH"), "{error}");
        }
    }

    #[test]
    fn pip_is_asked_for_one_file() {
        let wheel = of("linux", "x86_64", false).unwrap();
        assert_eq!(
            wheel.requirement(),
            "onnxruntime==1.32.0 --hash=sha256:5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d\n"
        );
        assert_eq!(wheel.file_name(), "onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl");
        assert_eq!(wheel.selection().last(), Some(&"manylinux_2_28_x86_64"));
    }
}
