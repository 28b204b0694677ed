//! The far end: members become files, hashed while they are written.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::ArchiveError;
use super::source::Content;
use super::{BUFFER, Extracted, Member, Select, Visit};
use crate::path::EntryPath;

/// Walks an archive and unpacks what is selected below `dest`.
pub(super) fn into_folder(
    dest: &Path,
    durable: bool,
    select: &mut dyn FnMut(&Member) -> Select,
    walk: impl FnOnce(Visit<'_>) -> Result<(), ArchiveError>,
) -> Result<Vec<Extracted>, ArchiveError> {
    let mut extracted = Vec::new();
    let mut folders = BTreeSet::new();
    walk(&mut |member, content| {
        if select(member) == Select::Skip {
            return Ok(());
        }
        content.admit()?;
        extracted.push(one_file(dest, durable, &member.path, content, &mut folders)?);
        Ok(())
    })?;
    if durable
        && cfg!(unix)
        && let Some(last) = extracted.last()
    {
        // Deepest first: a folder's own name is in its parent.
        for folder in folders.iter().rev().map(PathBuf::as_path).chain([dest]) {
            let synced = File::open(folder).and_then(|f| f.sync_all());
            synced.map_err(failed(Path::new(last.path.as_str()), "flush the folder", folder))?;
        }
    }
    Ok(extracted)
}

fn one_file(
    dest: &Path,
    durable: bool,
    path: &EntryPath,
    content: &mut Content<'_, '_>,
    folders: &mut BTreeSet<PathBuf>,
) -> Result<Extracted, ArchiveError> {
    make_folders(dest, path, folders)?;
    let member = Path::new(path.as_str());
    let target = path.under(dest);
    let file = OpenOptions::new().write(true).create_new(true).open(&target).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            ArchiveError::Exists { member: path.to_string(), path: target.clone() }
        }
        _ => failed(member, "create", &target)(e),
    })?;
    let mut partial = Partial { path: &target, complete: false };
    let extracted = copy(path, content, &mut &file, &target)?;
    if durable {
        file.sync_all().map_err(failed(member, "flush", &target))?;
    }
    partial.complete = true;
    Ok(extracted)
}

/// Makes the folders above a member, one by one, so that a link somebody else put there is noticed and not followed.
fn make_folders(dest: &Path, path: &EntryPath, made: &mut BTreeSet<PathBuf>) -> Result<(), ArchiveError> {
    let Some((above, _)) = path.as_str().rsplit_once('/') else { return Ok(()) };
    let mut folder = dest.to_owned();
    for part in above.split('/') {
        folder.push(part);
        if made.contains(&folder) {
            continue;
        }
        match fs::create_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let is_folder = fs::symlink_metadata(&folder).is_ok_and(|m| m.is_dir());
                if !is_folder {
                    return Err(ArchiveError::Exists { member: path.to_string(), path: folder });
                }
            }
            other => other.map_err(failed(Path::new(path.as_str()), "create the folder", &folder))?,
        }
        made.insert(folder.clone());
    }
    Ok(())
}

/// Copies a member to `out`, which errors call `target`.
pub(super) fn copy(
    path: &EntryPath,
    content: &mut Content<'_, '_>,
    out: &mut dyn Write,
    target: &Path,
) -> Result<Extracted, ArchiveError> {
    content.admit()?;
    let member = Path::new(path.as_str());
    let mut buffer = vec![0; BUFFER];
    let mut hasher = Sha256::new();
    let mut size = 0;
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        hasher.update(bytes);
        out.write_all(bytes).map_err(failed(member, "write", target))?;
        size += read as u64;
    }
    out.flush().map_err(failed(member, "write", target))?;
    Ok(Extracted { path: path.clone(), size, sha256: hasher.finalize().into() })
}

fn failed(member: &Path, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let (member, path) = (member.display().to_string(), path.to_owned());
    move |source| ArchiveError::Write { member, action, path, source }
}

/// Removes the file again unless it became complete.
struct Partial<'p> {
    path: &'p Path,
    complete: bool,
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.complete
            && let Err(error) = fs::remove_file(self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a half unpacked file could not be removed");
        }
    }
}
