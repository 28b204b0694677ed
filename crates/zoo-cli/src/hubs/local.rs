//! Words that mean a file or a folder, and what is done with it: which ecosystem it belongs to is told by its bytes.

use std::path::{Path, PathBuf};

use zoo_core::archive::ArchiveKind;
use zoo_core::handle::{ModelName, Revision, Spelling};
use zoo_core::stage::{StagedModel, Target};
use zoo_formats::{Looks, Sniffed};
use zoo_torch::inspect::Inspection;

use super::Wishes;
use crate::exit::{Exit, Failure, Result};

/// Endings that make a word a path, if there is such a file: models, checkpoints, and archives of them.
const ENDINGS: [&str; 11] =
    ["onnx", "zip", "tar", "gz", "tgz", "pth", "pt", "bin", "ckpt", "safetensors", "th"];

/// Those of checkpoints. An archive or a web page with such a name was meant as one.
const CHECKPOINTS: [&str; 6] = ["pth", "pt", "bin", "ckpt", "safetensors", "th"];

/// The file or folder that a word means; `None` if it can only be a name.
///
/// A handle or URL is never a path. Another word is one if it has a separator or the ending of a model or an archive, and the
/// file exists. One that begins as only paths do must exist.
pub(crate) fn as_path(text: &str) -> Result<Option<PathBuf>> {
    if !is_shaped(text) || !matches!(text.parse(), Ok(Spelling::Bare(_))) {
        return Ok(None);
    }
    let path = Path::new(text);
    if path.exists() {
        return Ok(Some(path.to_owned()));
    }
    let first = path.components().next();
    if path.has_root() || first.is_some_and(|c| !matches!(c, std::path::Component::Normal(_))) {
        return Err(no_such_file(text));
    }
    Ok(None)
}

pub(super) fn is_shaped(text: &str) -> bool {
    matches!(text, "." | "..")
        || text.contains(std::path::is_separator)
        || has_ending(Path::new(text), &ENDINGS)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|e| endings.contains(&e.as_str()))
}

pub(super) fn no_such_file(text: &str) -> Failure {
    let message = if as_name(text) {
        format!("there is no file `{text}`, and no hub has a model of this name")
    } else {
        format!("there is no file `{text}`")
    };
    Failure::new(Exit::NotFound, message)
}

/// Whether a hub could have such a name.
fn as_name(text: &str) -> bool {
    let (name, revision) =
        text.split_once('@').map_or((text, None), |(name, revision)| (name, Some(revision)));
    ModelName::new(name).is_ok() && revision.is_none_or(|r| Revision::new(r).is_ok())
}

/// Stages a file or folder that no hub knows. `out`: where to, self-contained; without it nothing is copied.
pub(crate) fn stage_local(
    path: &Path,
    wishes: &Wishes,
    out: Option<&Path>,
    link: bool,
) -> Result<StagedModel> {
    if path.is_dir() && zoo_hf::local::is_repository(path) {
        return stage_repository(path, wishes, out, link);
    }
    let is_checkpoint = is_checkpoint(path)?;
    if is_checkpoint { wishes.allow_torch(false) } else { wishes.allow_onnx() }?;
    if wishes.to.contains(&Target::Original) {
        return Err(Failure::usage("`original` means the files of a hub, and this one comes from no hub"));
    }
    if is_checkpoint {
        let mut options = zoo_torch::local::LocalOptions::default();
        options.stage = wishes.options.clone();
        options.out = out.map(Path::to_owned);
        options.link = link;
        return Ok(zoo_torch::local::stage(path, &options)?);
    }
    let options = zoo_onnx::local::LocalOptions { out: out.map(Path::to_owned), link };
    Ok(zoo_onnx::local::stage(path, &options)?)
}

/// Stages a folder that is a repository of transformers.
fn stage_repository(path: &Path, wishes: &Wishes, out: Option<&Path>, link: bool) -> Result<StagedModel> {
    wishes.allow_hf()?;
    let each = wishes.each(Target::Onnx);
    let [options] = each.as_slice() else {
        return Err(Failure::usage("a local folder is staged as one form at a time").hint("name one target"));
    };
    if options.target == Target::Original {
        return Err(Failure::usage("`original` means the files of a hub, and this one comes from no hub"));
    }
    let mut local = zoo_hf::local::LocalOptions::default();
    local.stage = options.clone();
    local.out = out.map(Path::to_owned);
    local.link = link;
    Ok(zoo_hf::local::stage(path, &local)?)
}

/// What a local file is, without writing anything.
pub(crate) fn describe_local(path: &Path) -> Result<Described> {
    if !path.is_file() {
        return Ok(Described::Model(Box::new(stage_local(path, &Wishes::default(), None, false)?)));
    }
    if is_checkpoint(path)? {
        return Ok(Described::Checkpoint(Box::new(zoo_torch::inspect::inspect(path)?)));
    }
    if is_archive(path)? {
        return Err(Failure::usage(format!("`{}` is an archive", path.display()))
            .hint("`zoo stage` unpacks it; then name the model inside"));
    }
    Ok(Described::Model(Box::new(stage_local(path, &Wishes::default(), None, false)?)))
}

/// What a local file is.
pub(crate) enum Described {
    /// Something that a framework opens.
    Model(Box<StagedModel>),
    /// Weights without a graph.
    Checkpoint(Box<Inspection>),
}

impl Described {
    /// The model, if it can be run as it is.
    pub(crate) fn model(self) -> Result<StagedModel> {
        match self {
            Self::Model(model) => Ok(*model),
            Self::Checkpoint(checkpoint) => {
                let file = checkpoint.file.display();
                Err(Failure::new(Exit::Refused, format!("`{file}` holds weights and no graph"))
                    .hint(format!("`zoo stage {file}` makes one beside it")))
            }
        }
    }
}

/// Whether a file is to be read as a checkpoint, if only to say why it is none.
fn is_checkpoint(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let sniffed = zoo_formats::sniff(path).map_err(zoo_torch::Error::from)?;
    let named =
        has_ending(path, &CHECKPOINTS) || path.to_string_lossy().to_ascii_lowercase().ends_with(".pth.tar");
    Ok(match sniffed {
        Sniffed::Other(Looks::Onnx) => false,
        Sniffed::Container(_)
        | Sniffed::Other(
            Looks::TorchScript
            | Looks::TorchScriptPreview
            | Looks::MobileTorchScript
            | Looks::MobileFlatBuffer
            | Looks::ExecuTorch
            | Looks::TorchExport
            | Looks::AotInductor
            | Looks::TorchServe
            | Looks::TorchPackage
            | Looks::TorchTar
            | Looks::Pickle
            | Looks::TextPickle,
        ) => true,
        Sniffed::Other(_) => named,
    })
}

fn is_archive(path: &Path) -> Result<bool> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let io = |source| zoo_core::Error::Io { action: "read", path: path.to_owned(), source };
    zoo_core::fs::open(path)?.take(ArchiveKind::HEAD as u64).read_to_end(&mut head).map_err(io)?;
    Ok(ArchiveKind::sniff(&head).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_word_that_looks_like_one_and_exists() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.onnx");
        zoo_core::fs::write_atomic(&file, b"", false).unwrap();
        let text = file.to_str().unwrap();
        assert_eq!(as_path(text).unwrap(), Some(file.clone()));
        assert_eq!(as_path(".").unwrap(), Some(PathBuf::from(".")));
        // This folder exists when tests run, and has no separator: a name.
        assert_eq!(as_path("src").unwrap(), None);
        for name in [
            "onnx:mnist-12",
            "https://hub.example/a.onnx",
            "onnxmodelzoo/mnist-8",
            "validated/x/mnist-8.onnx",
            "resnet50-11ad3fa6.pth",
            "models/resnet50-11ad3fa6.pth",
            "ResNet50_Weights.DEFAULT",
        ] {
            assert_eq!(as_path(name).unwrap(), None, "{name}");
        }
        for missing in ["./m.onnx", "../no/such/file", "/no/such/file"] {
            assert_eq!(as_path(missing).unwrap_err().exit, Exit::NotFound, "{missing}");
        }
    }

    #[test]
    fn bytes_tell_checkpoints_from_models_and_names_only_where_bytes_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let is = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            zoo_core::fs::write_atomic(&path, bytes, false).unwrap();
            is_checkpoint(&path).unwrap()
        };
        let onnx = [0x08, 8, 0x12, 3, b'z', b'o', b'o', 0x3a, 0];
        let html = b"<html><body>403</body></html>";
        assert!(!is("a.onnx", &onnx) && !is("a.bin", &onnx));
        assert!(is("a.pth", html) && is("a.pth.tar", html) && !is("a.onnx", html) && !is("a", html));
        assert!(is("any", b"\x80\x02}q\x00."), "a pickle says itself what it is");
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/torch/checkpoints");
        for name in ["plain.pth", "legacy.pth", "weights.safetensors", "script.pt", "bare.pkl"] {
            assert!(is_checkpoint(&fixtures.join(name)).unwrap(), "{name}");
        }
        assert!(!is_checkpoint(dir.path()).unwrap());
    }
}
