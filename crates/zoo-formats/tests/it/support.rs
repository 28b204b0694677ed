//! What the tests share: PyTorch's own files, files in temporary folders, and everything that can be done with one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use zoo_formats::{Checkpoint, Result, open};

/// A file of `tests/fixtures/torch/checkpoints`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/torch/checkpoints").join(name)
}

/// Its bytes.
#[expect(clippy::disallowed_methods, reason = "a file of this repository")]
pub(crate) fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// What PyTorch reads from each of them.
pub(crate) fn expected() -> BTreeMap<String, Vec<serde_json::Value>> {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let notes: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(notes["files"].clone()).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A folder with one file, `x.pth`.
pub(crate) struct OneFile(tempfile::TempDir);

impl OneFile {
    #[expect(clippy::disallowed_methods, reason = "a file in a temporary folder")]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.pth"), bytes).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("x.pth")
    }

    pub(crate) fn open(&self) -> Result<Checkpoint> {
        open(&self.path())
    }

    /// The error's text with the folder left out.
    pub(crate) fn shown(&self, error: &zoo_formats::Error) -> String {
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// Why bytes cannot be opened.
pub(crate) fn unopened(bytes: &[u8]) -> String {
    let file = OneFile::of(bytes);
    let error = file.open().expect_err("it is refused");
    file.shown(&error)
}

/// Why a file that can be opened has no state dict.
pub(crate) fn untaken(bytes: &[u8]) -> String {
    let file = OneFile::of(bytes);
    let checkpoint = file.open().unwrap_or_else(|error| panic!("{}", file.shown(&error)));
    let error = checkpoint.state_dict().expect_err("it is refused");
    file.shown(&error)
}

/// Does everything that can be done with a file, and says whether all of it went well. What it must not do is panic.
pub(crate) fn use_up(path: &Path) -> Result<()> {
    let _ = zoo_formats::sniff(path)?;
    let checkpoint = open(path)?;
    let _ = (checkpoint.foreign_globals(), checkpoint.warnings(), checkpoint.origin().to_string());
    let mut all = checkpoint.check().map(drop);
    for dictionary in checkpoint.dictionaries() {
        match checkpoint.state_dict_at(&dictionary.path) {
            Ok(weights) => {
                for name in weights.names() {
                    let read = weights.get(name).unwrap().to_tensor();
                    all = all.and(read.map(drop).map_err(zoo_formats::Error::from));
                    all = all.and(weights.dequantised(name).unwrap().map(drop));
                }
            }
            Err(error) => all = Err(error),
        }
    }
    all.and(checkpoint.state_dict().map(drop))
}
