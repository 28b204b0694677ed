//! File operations whose errors name the file. The rest of the workspace may not call `std::fs` for these directly.
#![expect(clippy::disallowed_methods, reason = "this is the module that the rule sends everybody to")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// Reads a whole file of at most `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let mut out = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut out).map_err(Error::io("read", path))?;
    if out.len() as u64 > limit {
        let reason = io::Error::other(format!("it is larger than the {limit} bytes expected of such a file"));
        return Err(Error::Io { action: "read", path: path.to_owned(), source: reason });
    }
    Ok(out)
}

/// Opens for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::io("open", path))
}

/// Makes a folder and its parents; an existing folder is fine.
pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create the folder", path))
}

/// Makes the parent folder of `path`.
pub fn create_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), create_dir_all)
}

/// Writes a file so that any reader, at any instant, sees the old content or the new one: temporary file in the same
/// folder, fsync if `durable`, rename.
pub fn write_atomic(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::Builder::new()
        .prefix(".zoo-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(Error::io("create a temporary file beside", path))?;
    temp.write_all(bytes).map_err(Error::io("write", path))?;
    if durable {
        temp.as_file().sync_all().map_err(Error::io("flush", path))?;
    }
    #[cfg(unix)]
    {
        // tempfile makes private files; a shared store follows the folder's habits instead.
        use std::os::unix::fs::PermissionsExt as _;
        let _ = temp.as_file().set_permissions(fs::Permissions::from_mode(0o644));
    }
    temp.persist(path).map_err(|e| Error::Io {
        action: "put in place",
        path: path.to_owned(),
        source: e.error,
    })?;
    if durable {
        sync_dir(folder)?;
    }
    Ok(())
}

/// Renames within one file system.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::io("put in place", to))
}

/// Removes a file; a missing one is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io("remove", path)),
    }
}

/// Removes a folder with everything in it; a missing one is fine.
pub fn remove_dir_all(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io("remove the folder", path)),
    }
}

/// Makes renames and new names in a folder durable. Windows has no such call, and needs none.
pub fn sync_dir(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = File::open(path).map_err(Error::io("open the folder", path))?;
        folder.sync_all().map_err(Error::io("flush the folder", path))?;
    }
    Ok(())
}

/// Opens for reading and writing, making the file if it is missing, never cutting it.
pub fn open_rw(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io("create", path))
}

/// Length of a regular file, `None` if there is no such file.
pub fn file_len(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|m| m.len())
}

/// Takes the write permission off a file, so that an editor or a program does not change an original by mistake.
pub fn make_read_only(path: &Path) -> Result<()> {
    let mut permissions = fs::metadata(path).map_err(Error::io("look at", path))?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).map_err(Error::io("protect", path))
}

/// The names in a folder, sorted; a missing folder has none.
pub fn list_dir(path: &Path) -> Result<Vec<fs::DirEntry>> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", path))?,
    };
    let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(Error::io("list", path))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// Bytes that an ordinary user may still write to the file system that holds `path` (or its nearest existing parent).
/// `None` where the system does not say.
pub fn available_space(path: &Path) -> Option<u64> {
    path.ancestors().find(|p| p.exists()).and_then(|p| fs4::available_space(p).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_whole_files_and_leaves_no_temporary_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"one", true).unwrap();
        write_atomic(&path, b"two", false).unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap(), b"two");
        assert_eq!(list_dir(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn errors_name_the_file() {
        let path = Path::new("no/such/file");
        let text = open(path).unwrap_err().to_string();
        assert!(text.contains("no/such/file"), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        write_atomic(&path, &[0; 100], false).unwrap();
        assert!(read_bounded(&path, 99).is_err());
    }
}
