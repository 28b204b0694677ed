//! How files and folders come to stand in their places whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::{Error, Result};

/// The system's word on a path, as an error.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

/// The folder that a path is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".zoo-").suffix(".tmp");
    builder
}

/// A file that is to be called `path` when it is whole.
pub(crate) fn temporary_file(path: &Path) -> Result<NamedTempFile> {
    let mut builder = builder();
    #[cfg(unix)]
    builder.permissions(permissions(0o666));
    builder.tempfile_in(parent(path)).map_err(failed("create a temporary file beside", path))
}

/// A folder that is to be called `path` when it is whole.
pub(crate) fn temporary_folder(path: &Path) -> Result<TempDir> {
    let mut builder = builder();
    #[cfg(unix)]
    builder.permissions(permissions(0o777));
    builder.tempdir_in(parent(path)).map_err(failed("create a temporary folder beside", path))
}

/// What is temporary is private by default; what is staged is as readable as the files around it.
#[cfg(unix)]
fn permissions(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

/// Gives a file its name.
pub(crate) fn put_file(file: NamedTempFile, path: &Path, durable: bool) -> Result<()> {
    if durable {
        file.as_file().sync_all().map_err(failed("flush", path))?;
    }
    file.persist(path).map_err(|error| failed("put in place", path)(error.error))?;
    if durable { flush_folder(parent(path)) } else { Ok(()) }
}

/// Gives a folder its name. What has that name goes, if `may_go` says so: it is moved away first, and back if the new one cannot come.
pub(crate) fn put_folder(
    folder: TempDir,
    path: &Path,
    durable: bool,
    may_go: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if durable {
        flush_all(folder.path())?;
    }
    let mut old = None;
    if path.symlink_metadata().is_ok() {
        may_go(path)?;
        let away = temporary_folder(path)?;
        let place = away.path().join("old");
        rename(path, &place)?;
        old = Some((away, place));
    }
    if let Err(error) = rename(folder.path(), path) {
        if let Some((away, place)) = old {
            // Whether it can be moved back or not, the first error is the one to tell; it is not deleted.
            let _ = rename(&place, path);
            let _ = away.keep();
        }
        return Err(error);
    }
    let _ = folder.keep(); // It has another name now: there is nothing to delete.
    drop(old);
    if durable { flush_folder(parent(path)) } else { Ok(()) }
}

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(failed("put in place", to))
}

/// Creates a file with this content.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(failed("write", path))
}

/// The files below a folder, relative to it, sorted.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut ahead) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = ahead.pop() {
        let path = folder.join(&below);
        for entry in fs::read_dir(&path).map_err(failed("list", &path))? {
            let entry = entry.map_err(failed("list", &path))?;
            let relative = below.join(entry.file_name());
            let is_folder = entry.file_type().map_err(failed("examine", &path))?.is_dir();
            if is_folder { ahead.push(relative) } else { found.push(relative) }
        }
    }
    found.sort();
    Ok(found)
}

fn flush_all(folder: &Path) -> Result<()> {
    for file in files_below(folder)? {
        let path = folder.join(file);
        let opened = File::open(&path).map_err(failed("open", &path))?;
        opened.sync_all().map_err(failed("flush", &path))?;
        flush_folder(parent(&path))?;
    }
    flush_folder(folder)
}

fn flush_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let opened = File::open(folder).map_err(failed("open the folder", folder))?;
        opened.sync_all().map_err(failed("flush the folder", folder))?;
    }
    Ok(())
}
