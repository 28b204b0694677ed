//! A self-contained folder being made, for whoever wants a model outside the store: it is filled under a private name and gets
//! its own in one step, so that nobody ever sees half of it.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs;

/// A folder that has no name yet. Dropping it removes it.
#[derive(Debug)]
pub struct NewFolder {
    private: tempfile::TempDir,
    out: PathBuf,
}

impl NewFolder {
    /// Begins the folder `out`, which must be empty or absent. Its parents are made.
    pub fn at(out: &Path) -> Result<Self> {
        let used = out.exists() && (!out.is_dir() || !fs::list_dir(out)?.is_empty());
        if used {
            return Err(Error::NotEmpty { path: out.to_owned() });
        }
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let private = tempfile::Builder::new()
            .prefix(".zoo-stage-")
            .tempdir_in(parent)
            .map_err(Error::io("create a folder in", parent))?;
        Ok(Self { private, out: out.to_owned() })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.private.path()
    }

    /// Gives it its name.
    pub fn publish(self) -> Result<()> {
        let Self { private, out } = self;
        #[cfg(unix)]
        {
            // Private while it was being filled; now it is a folder like any other.
            use std::os::unix::fs::PermissionsExt as _;
            let _ = std::fs::set_permissions(private.path(), std::fs::Permissions::from_mode(0o755));
        }
        if out.is_dir() {
            std::fs::remove_dir(&out).map_err(Error::io("replace", &out))?;
        }
        fs::rename(private.path(), &out)?;
        // The name is gone; there is nothing left to remove.
        let _ = private.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let folder = NewFolder::at(&out).unwrap();
        fs::write_atomic(&folder.path().join("x"), b"1", false).unwrap();
        assert!(!out.exists());
        folder.publish().unwrap();
        assert_eq!(fs::read_bounded(&out.join("x"), 1).unwrap(), b"1");

        let error = NewFolder::at(&out).unwrap_err();
        assert!(error.to_string().contains("is not empty") && error.hint().is_some(), "{error}");
        fs::remove_file(&out.join("x")).unwrap();
        drop(NewFolder::at(&out).unwrap());
        assert_eq!(fs::list_dir(&dir.path().join("a")).unwrap().len(), 1, "what is dropped is gone");
        NewFolder::at(&out).unwrap().publish().unwrap();
        assert!(out.is_dir());
    }
}
