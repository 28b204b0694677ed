//! Finding and opening ONNX Runtime's shared library.
//!
//! The binding would look for the library by itself, in the environment and beside the program, and panic where it finds
//! none. It never gets to: a path is handed to it before anything else is asked of it. It can take one library per
//! process, for good; which one that is, is kept here.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::{Error, Result, guard};

/// Where ONNX Runtime's shared library may be, tried in this order.
///
/// Of a folder, files directly in it and in the folders in it count, and the newest version comes first. What is found and
/// turns out to be unusable is passed over, as long as something else is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LibrarySearch {
    /// A library named by a person. If there is one, it alone counts.
    pub explicit: Option<PathBuf>,
    /// Folders that may hold the library: `libonnxruntime.so`, also with a version behind it, `libonnxruntime.dylib` or
    /// `onnxruntime.dll`.
    pub folders: Vec<PathBuf>,
    /// Whether to ask the system's loader at last. The binding looks beside the running program first.
    pub system: bool,
}

/// A library in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Library {
    /// The file, or the name that the system's loader found it by.
    pub path: PathBuf,
    /// Its version, such as `1.32.0`.
    pub version: String,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ONNX Runtime {} ({})", self.version, self.path.display())
    }
}

/// The library that this search leads to. It is opened by this, and stays the process's library.
///
/// # Errors
/// As for loading a model with it: [`Error::NoLibrary`], [`Error::OldLibrary`], [`Error::UnusableLibrary`], and
/// [`Error::OtherLibrary`] if one is open already that this search does not lead to.
pub fn library(search: &LibrarySearch) -> Result<Library> {
    Ok(load(search)?.library.clone())
}

/// The process's library.
pub(super) struct Loaded {
    pub(super) library: Library,
    /// `ONNX Runtime 1.32.0`.
    pub(super) engine: String,
    pub(super) environment: Environment,
}

/// Set once. A library that was opened and then failed occupies the process as well, with why it failed.
static LOADED: OnceLock<Result<Loaded, (PathBuf, String)>> = OnceLock::new();
/// Held while the library is looked for and opened.
static LOADING: Mutex<()> = Mutex::new(());

/// Opens the library, or gives the one that is open if this search could have led to it.
pub(super) fn load(search: &LibrarySearch) -> Result<&'static Loaded> {
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    let candidates = candidates(search)?;
    if let Some(loaded) = LOADED.get() {
        return reuse(loaded, &candidates, search);
    }
    let mut first_fault = None;
    for path in candidates.iter().chain(&system_names(search)) {
        match open(path) {
            Ok(opened) => {
                let loaded = LOADED.get_or_init(|| opened);
                return reuse(loaded, std::slice::from_ref(path), search);
            }
            Err(fault) if path.is_absolute() || matches!(fault, Error::OldLibrary { .. }) => {
                first_fault = first_fault.or(Some(fault));
            }
            Err(_) => {} // The system's loader does not know the name: not found, rather than unusable.
        }
    }
    Err(first_fault.unwrap_or_else(|| Error::NoLibrary { searched: searched(search) }))
}

fn reuse(
    loaded: &'static Result<Loaded, (PathBuf, String)>,
    candidates: &[PathBuf],
    search: &LibrarySearch,
) -> Result<&'static Loaded> {
    let path = match loaded {
        Ok(loaded) => &loaded.library.path,
        Err((path, _)) => path,
    };
    let from_system = || path.is_relative() && search.explicit.is_none() && search.system;
    if !candidates.contains(path) && !from_system() {
        return Err(Error::OtherLibrary { loaded: path.clone(), wanted: search.explicit.clone() });
    }
    loaded
        .as_ref()
        .map_err(|(path, problem)| Error::UnusableLibrary { path: path.clone(), problem: problem.clone() })
}

/// Opens a library. The outer result is an error only if the process is still free for another one.
fn open(path: &Path) -> Result<Result<Loaded, (PathBuf, String)>> {
    let unusable = |problem: String| Error::UnusableLibrary { path: path.to_owned(), problem };
    let builder = guard::catch(|| ort::init_from(path)).map_err(unusable)?.map_err(|error| match error {
        LoadDynamicError::BadVersion { version_str, path } => {
            Error::OldLibrary { path, found: version_str, needed: format!("1.{}.0", ort::MINOR_VERSION) }
        }
        LoadDynamicError::MissingApi { .. } => unusable("it is another library".to_owned()),
        LoadDynamicError::InvalidVersionString => unusable("its version is not text".to_owned()),
        LoadDynamicError::Dlopen { error, .. } => unusable(error.to_string()),
    })?;
    let stuck = |problem| Ok(Err((path.to_owned(), problem)));
    let builder = builder.with_name("zoo").with_telemetry(false).with_logger(Arc::new(log));
    let environment = match guard::catch(|| builder.build()) {
        Ok(Ok(environment)) => environment,
        Ok(Err(error)) => return stuck(super::message::essential(error.message())),
        Err(panic) => return stuck(panic),
    };
    environment.set_log_level(LogLevel::Warning);
    let version = guard::catch(|| version_in_build_info(ort::info())).ok().flatten();
    let version = version.or_else(|| version_of(path)).map_or_else(
        || format!("1.{} or newer", ort::MINOR_VERSION),
        |version| version.iter().map(ToString::to_string).collect::<Vec<_>>().join("."),
    );
    let engine = format!("ONNX Runtime {version}");
    Ok(Ok(Loaded { library: Library { path: path.to_owned(), version }, engine, environment }))
}

/// ONNX Runtime's log. An error that stops something is also returned, so it is no more than a warning here.
fn log(level: LogLevel, category: &str, _id: &str, place: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => {
            tracing::warn!(target: "onnxruntime", category, place, "{message}");
        }
        LogLevel::Warning => tracing::debug!(target: "onnxruntime", category, place, "{message}"),
        LogLevel::Info | LogLevel::Verbose => {
            tracing::trace!(target: "onnxruntime", category, place, "{message}");
        }
    }
}

/// The files that may be the library, in the order in which they are tried, with links resolved.
fn candidates(search: &LibrarySearch) -> Result<Vec<PathBuf>> {
    if let Some(path) = &search.explicit {
        let problem = |problem: String| Error::UnusableLibrary { path: path.clone(), problem };
        let real = path.canonicalize().map_err(|error| problem(error.to_string()))?;
        if real.is_dir() {
            return Err(problem("it is a folder; the file in it has to be named".to_owned()));
        }
        return Ok(vec![real]);
    }
    let mut candidates = Vec::new();
    for folder in &search.folders {
        for path in in_folder(folder) {
            if !candidates.contains(&path) {
                candidates.push(path);
            }
        }
    }
    Ok(candidates)
}

/// The libraries in a folder and in the folders in it, newest first. A folder that cannot be listed holds none.
fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let mut look = |path: PathBuf| {
        let is_library = path.file_name().and_then(|name| name.to_str()).is_some_and(is_library_name);
        if let Some(real) =
            is_library.then(|| path.canonicalize().ok()).flatten().filter(|real| real.is_file())
        {
            found.insert((version_of(&real), real));
        }
    };
    for path in entries(folder) {
        if path.is_dir() {
            entries(&path).for_each(&mut look);
        } else {
            look(path);
        }
    }
    found.into_iter().rev().map(|(_, path)| path).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether a file of this name may be the library on this system.
fn is_library_name(name: &str) -> bool {
    let version = |text: &str| text.chars().all(|character| character.is_ascii_digit() || character == '.');
    if cfg!(windows) {
        name.eq_ignore_ascii_case("onnxruntime.dll")
    } else if cfg!(target_vendor = "apple") {
        name.strip_prefix("libonnxruntime")
            .and_then(|rest| rest.strip_suffix("dylib"))
            .is_some_and(|rest| rest.starts_with('.') && version(rest))
    } else {
        name.strip_prefix("libonnxruntime.so")
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && version(rest)))
    }
}

/// The names to ask the system's loader for. Linux distributions install the plain one with the headers only.
fn system_names(search: &LibrarySearch) -> Vec<PathBuf> {
    let names: &[&str] = if search.explicit.is_some() || !search.system {
        &[]
    } else if cfg!(windows) {
        &["onnxruntime.dll"]
    } else if cfg!(target_vendor = "apple") {
        &["libonnxruntime.dylib"]
    } else {
        &["libonnxruntime.so", "libonnxruntime.so.1"]
    };
    names.iter().map(PathBuf::from).collect()
}

/// The version in a library's file name, or else in its folder's: `onnxruntime-1.32.0/libonnxruntime.so`.
fn version_of(path: &Path) -> Option<Vec<u32>> {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).and_then(version_in);
    name(path).or_else(|| name(path.parent()?))
}

/// The first version in a text: numbers with dots between them.
fn version_in(text: &str) -> Option<Vec<u32>> {
    text.split(|character: char| !character.is_ascii_digit() && character != '.').find_map(|part| {
        let numbers = part.trim_matches('.').split('.');
        let numbers = numbers.map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>()?;
        (numbers.len() > 1).then_some(numbers)
    })
}

/// The version of a release, out of what the library says of how it was built: `... git-branch=rel-1.32.0, ...`.
fn version_in_build_info(info: &str) -> Option<Vec<u32>> {
    version_in(info.split_once("git-branch=rel-")?.1.split(',').next()?)
}

/// Where was looked, as a phrase.
fn searched(search: &LibrarySearch) -> String {
    let mut places: Vec<String> = search
        .folders
        .iter()
        .map(|folder| {
            let absent = if folder.is_dir() { "" } else { ", which does not exist" };
            format!("{}{absent}", folder.display())
        })
        .collect();
    if search.system {
        places.push("the system's library folders".to_owned());
    }
    if places.is_empty() {
        return "no place to look for it was given".to_owned();
    }
    format!("looked in {}", places.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_names() {
        let version = |path: &str| version_of(Path::new(path));
        assert_eq!(version("/r/onnxruntime-1.9.0/libonnxruntime.so.1.32.0"), Some(vec![1, 32, 0]));
        assert_eq!(version("/r/onnxruntime-linux-x64-1.20.1/libonnxruntime.so"), Some(vec![1, 20, 1]));
        assert_eq!(version("/r/lib/libonnxruntime.1.24.4.dylib"), Some(vec![1, 24, 4]));
        assert_eq!(version("/r/lib/libonnxruntime.so"), None);
        assert_eq!(version("/"), None);
        let info = "ORT Build Info: git-branch=rel-1.19.0, git-commit-id=26250ae, build type=Release";
        assert_eq!(version_in_build_info(info), Some(vec![1, 19, 0]));
        assert_eq!(version_in_build_info("git-branch=main, cmake 3.2.1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_library_itself_has_its_name() {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.32.0"] {
            assert!(is_library_name(name), "{name}");
        }
        for name in [
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.so.bak",
            "libonnxruntime.soup",
            "onnxruntime.dll",
        ] {
            assert!(!is_library_name(name), "{name}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn newer_versions_come_first_within_a_folder_and_folders_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let place = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(&path).unwrap();
            path.canonicalize().unwrap()
        };
        let old = place("a/libonnxruntime.so.1.9.0");
        let new = place("a/onnxruntime-1.32.0/libonnxruntime.so");
        let newest = place("b/x/libonnxruntime.so.1.33.0");
        place("a/deep/er/libonnxruntime.so.1.40.0");
        place("a/onnxruntime-1.32.0/libonnxruntime_providers_shared.so");
        std::os::unix::fs::symlink(&old, dir.path().join("a/libonnxruntime.so")).unwrap();
        let folders = vec![dir.path().join("absent"), dir.path().join("a"), dir.path().join("b")];
        let search = LibrarySearch { folders, ..Default::default() };
        assert_eq!(candidates(&search).unwrap(), [new, old, newest]);
    }

    #[test]
    fn what_was_searched_is_said() {
        let mut search = LibrarySearch::default();
        assert_eq!(searched(&search), "no place to look for it was given");
        search.folders.push("/nowhere/at/all".into());
        search.system = true;
        let expected = "looked in /nowhere/at/all, which does not exist; the system's library folders";
        assert_eq!(searched(&search), expected);
    }
}
