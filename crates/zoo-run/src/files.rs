//! The small files beside a model: settings and vocabularies, read whole and within bounds.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::limits::MAX_SETTINGS_BYTES;
use crate::{Error, Result};

/// A file's content; `None` if there is no such file.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::file("open", path))?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    if bytes.len() as u64 > most {
        return Err(Error::TooMuch {
            what: format!("the size of {}", path.display()),
            limit: most,
            unit: "bytes",
        });
    }
    Ok(Some(bytes))
}

/// A JSON object from a file; `None` if there is no such file.
pub(crate) fn settings(path: &Path) -> Result<Option<Value>> {
    let Some(bytes) = read(path, MAX_SETTINGS_BYTES)? else { return Ok(None) };
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) if value.is_object() => Ok(Some(value)),
        Ok(_) => Err(Error::settings(path, "it holds no JSON object")),
        Err(error) => Err(Error::settings(path, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_what_is_no_object_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        assert!(settings(&path).unwrap().is_none());
        assert!(settings(dir.path()).unwrap().is_none(), "a folder is no file");
        let put = |text: &str| {
            let mut file = File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        put("{\"a\": 1}");
        assert_eq!(settings(&path).unwrap().unwrap()["a"], 1);
        assert!(read(&path, 7).unwrap_err().to_string().contains("limit of 7 bytes"));
        assert_eq!(read(&path, 8).unwrap().unwrap().len(), 8);
        for bad in ["[1]", "{", "", "{\"a\": \"\u{fffd}\"]"] {
            put(bad);
            assert!(settings(&path).unwrap_err().to_string().contains("config.json"), "{bad}");
        }
    }
}
