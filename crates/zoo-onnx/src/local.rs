//! Staging an ONNX file, folder or archive that no hub knows.
//!
//! Without an output folder nothing is copied: a `.onnx` file is checked and described where it is, and an archive is unpacked into
//! a folder beside it. With one, the folder is made self-contained: `model.onnx`, its external data in the places the
//! model names, and `zoo.json`.

use std::path::{Path, PathBuf};

use zoo_core::Error as CoreError;
use zoo_core::archive::{self as unpacking, ArchiveKind, ExtractOptions, Select};
use zoo_core::folder::NewFolder;
use zoo_core::fs;
use zoo_core::handle::{Ecosystem, ModelName, Revision};
use zoo_core::manifest::{Manifest, Staged};
use zoo_core::path::EntryPath;
use zoo_core::stage::{StagedModel, Target};
use zoo_core::store::{StoredModel, place_file};

use crate::archive::sniff;
use crate::describe::{Described, describe};
use crate::error::{Error, Result};
use crate::export::export;
use crate::hub::Hub;

/// How to stage a local file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalOptions {
    /// The folder to make self-contained; it must be empty or absent.
    pub out: Option<PathBuf>,
    /// Hard-link external data into `out` instead of cloning or copying it.
    pub link: bool,
}

/// Stages a `.onnx` file, a folder that holds exactly one (or that zoo staged before), or an archive (zip, tar, gzip) of one.
pub fn stage(path: &Path, options: &LocalOptions) -> Result<StagedModel> {
    let meta = std::fs::metadata(path).map_err(|source| CoreError::Io {
        action: "open",
        path: path.to_owned(),
        source,
    })?;
    if meta.is_dir() {
        return match (staged_before(path)?, &options.out) {
            (Some(staged), None) => Ok(staged),
            (Some(staged), Some(out)) => export(&staged.path(), staged.manifest(), out, options.link),
            (None, _) => stage_file(&only_model(path)?, path, options),
        };
    }
    match sniff(path)? {
        None => stage_file(path, path, options),
        Some(kind) => from_archive(path, kind, options),
    }
}

/// A folder that zoo staged says in its manifest what is in it, and where.
fn staged_before(folder: &Path) -> Result<Option<StagedModel>> {
    let Some(model) = StoredModel::read(folder)? else { return Ok(None) };
    let staged = model.manifest.staged(Target::Onnx.name()).cloned();
    let whole = |staged: &Staged| staged.path.under(folder).is_file();
    Ok(staged.filter(whole).map(|staged| StagedModel::new(folder.to_owned(), staged, model.manifest)))
}

/// The one `.onnx` in a folder, or, where it has none, in the folders in it (an unpacked archive has one around everything).
/// `model.onnx` wins where there are several.
fn only_model(folder: &Path) -> Result<PathBuf> {
    let entries: Vec<PathBuf> = fs::list_dir(folder)?.into_iter().map(|e| e.path()).collect();
    let mut models: Vec<PathBuf> = entries.iter().filter(|path| is_onnx(path)).cloned().collect();
    if models.is_empty() {
        for below in entries.iter().filter(|path| path.is_dir()) {
            models.extend(fs::list_dir(below)?.into_iter().map(|e| e.path()).filter(|path| is_onnx(path)));
        }
    }
    let usual = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "model.onnx");
    match (models.as_slice(), models.iter().filter(usual).collect::<Vec<_>>().as_slice()) {
        ([one], _) => Ok(one.clone()),
        (_, [usual]) => Ok((*usual).clone()),
        _ => {
            let name = |p: &PathBuf| p.strip_prefix(folder).unwrap_or(p).display().to_string();
            Err(Error::NotOneModel { path: folder.to_owned(), found: models.iter().map(name).collect() })
        }
    }
}

fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "onnx") && path.is_file()
}

/// Stages one file; `named` is what the manifest says it came from.
pub(crate) fn stage_file(model: &Path, named: &Path, options: &LocalOptions) -> Result<StagedModel> {
    let described = describe(model)?;
    let folder = model.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(out) = &options.out else {
        let file = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = EntryPath::new(file).map_err(CoreError::from)?;
        return in_folder(folder, named, path, described);
    };
    let private = NewFolder::at(out)?;
    let path = EntryPath::new("model.onnx").map_err(CoreError::from)?;
    place_file(model, &path.under(private.path()), false)?;
    for with in &described.with {
        let to = with.under(private.path());
        fs::create_parent(&to)?;
        place_file(&with.under(folder), &to, options.link)?;
    }
    let staged = in_folder(private.path(), named, path, described)?;
    staged.manifest().write(private.path())?;
    private.publish()?;
    Ok(StagedModel::new(out.clone(), staged.staged().clone(), staged.manifest().clone()))
}

fn from_archive(path: &Path, kind: ArchiveKind, options: &LocalOptions) -> Result<StagedModel> {
    let out = options.out.clone().unwrap_or_else(|| beside(path));
    let private = NewFolder::at(&out)?;
    let model = unpack(path, kind, private.path())?;
    let described = describe(&model.under(private.path()))?;
    let staged = in_folder(private.path(), path, model, described)?;
    staged.manifest().write(private.path())?;
    private.publish()?;
    Ok(StagedModel::new(out, staged.staged().clone(), staged.manifest().clone()))
}

/// Unpacks everything; the answer is the one model's path below `dest`.
fn unpack(path: &Path, kind: ArchiveKind, dest: &Path) -> Result<EntryPath> {
    let file = fs::open(path)?;
    let options = ExtractOptions { durable: true, ..ExtractOptions::default() };
    if kind == ArchiveKind::Gzip {
        let name = EntryPath::new("model.onnx").map_err(CoreError::from)?;
        let mut out = fs::open_rw(&name.under(dest))?;
        unpacking::gunzip(file, &mut out, &options.limits).map_err(CoreError::from)?;
        return Ok(name);
    }
    let members =
        unpacking::extract(file, kind, dest, &options, &mut |_| Select::Extract).map_err(CoreError::from)?;
    let mut models: Vec<EntryPath> =
        members.into_iter().map(|m| m.path).filter(|p| is_onnx(Path::new(&p.under(dest)))).collect();
    match (models.pop(), models.is_empty()) {
        (Some(one), true) => Ok(one),
        (last, _) => {
            let found = models.iter().chain(last.iter()).map(ToString::to_string).collect();
            Err(Error::NotOneModel { path: path.to_owned(), found })
        }
    }
}

/// `a/b.tar.gz` is unpacked into `a/b`.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let endings = [".tar.gz", ".tgz", ".tar", ".zip", ".onnx.gz", ".gz"];
    let stem = endings.iter().find_map(|e| name.strip_suffix(e)).filter(|s| !s.is_empty());
    path.with_file_name(stem.map_or_else(|| format!("{name}-unpacked"), str::to_owned))
}

/// A manifest for files that came from no hub: it has no originals to vouch for, only what was staged.
fn in_folder(folder: &Path, named: &Path, path: EntryPath, described: Described) -> Result<StagedModel> {
    let stem = Path::new(path.file_name())
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace(['@', ':', '\\'], "_");
    let name =
        ModelName::new(if stem.trim().is_empty() { "model".to_owned() } else { stem.trim().to_owned() })?;
    let mut manifest = Manifest::new(
        named.display().to_string(),
        Ecosystem::new(Hub::NAME)?,
        name,
        Revision::new("local")?,
        Vec::new(),
    );
    let above = path.as_str().rsplit_once('/').map(|(above, _)| above.to_owned());
    let below = |p: &EntryPath| match &above {
        Some(above) => EntryPath::new(format!("{above}/{p}")),
        None => Ok(p.clone()),
    };
    let with = described.with.iter().map(below).collect::<Result<Vec<_>, _>>().map_err(CoreError::from)?;
    let staged = Staged::new(Target::Onnx.name(), path, with);
    manifest.model = described.facts;
    manifest.add_staged(staged.clone());
    Ok(StagedModel::new(folder.to_owned(), staged, manifest))
}
