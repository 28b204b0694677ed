//! ONNX Runtime's library in the user's cache: taken out of a wheel, verified, and known again at the next run.
//!
//! ```text
//! <cache>/zoo/runtime/onnxruntime-1.32.0/
//! ├── libonnxruntime.so | libonnxruntime.dylib | onnxruntime.dll
//! ├── LICENSE  ThirdPartyNotices.txt
//! └── setup.json                  written last: without it, or with another digest in it, the library is made anew
//! ```
//!
//! Two runs at the same time write the same files, each whole or not at all, so they need no lock.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::wheel::{VERSION, Wheel};
use crate::files;

/// The library has 20 to 35 MB, depending on the system. Several times that is no library but a mistake.
const LIBRARY_LIMIT: u64 = 256 << 20;
/// The longer of the licence texts has a third of a megabyte.
const TEXT_LIMIT: u64 = 8 << 20;
const TEXTS: &[&str] = &["LICENSE", "ThirdPartyNotices.txt"];
const MARKER: &str = "setup.json";

/// Where the library came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The user named it.
    Given,
    /// It was in the cache, and is what was put there.
    Present,
    /// It was fetched now.
    Fetched,
}

/// What `setup.json` says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    wheel: String,
    wheel_sha256: String,
    library: String,
    library_sha256: String,
}

/// The library's folder below the platform's cache folder.
pub(super) fn folder(caches: &Path) -> PathBuf {
    caches.join("zoo").join("runtime").join(format!("onnxruntime-{VERSION}"))
}

/// The library's name, without a version: the folder has it.
fn library_name() -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")
}

/// Makes sure that the library is in `folder`. `download` puts the wheel into the temporary folder that it is given.
pub(super) fn provide(
    folder: &Path,
    wheel: &Wheel,
    force: bool,
    download: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<(PathBuf, Origin)> {
    let library = folder.join(library_name());
    if !force && is_present(folder, &library, wheel)? {
        return Ok((library, Origin::Present));
    }
    let temp = tempfile::tempdir().context("cannot create a temporary folder")?;
    let file = download(temp.path())?;
    wheel.verify(&file)?;
    files::create_dir_all(folder)?;
    unpack(&file, wheel.member, folder, &library)?;
    let marker = Marker {
        wheel: wheel.file_name(),
        wheel_sha256: wheel.sha256.to_owned(),
        library: library_name(),
        library_sha256: files::sha256(&library)?,
    };
    let text = serde_json::to_string_pretty(&marker)? + "\n";
    files::write_atomic(&folder.join(MARKER), text.as_bytes(), text.len() as u64)?;
    Ok((library, Origin::Fetched))
}

/// Whether the library is what an earlier run took out of this very wheel. It is hashed, which takes a fortieth of a
/// second and finds a disk's mistakes; a size would not.
fn is_present(folder: &Path, library: &Path, wheel: &Wheel) -> Result<bool> {
    let Some(text) = files::read_if_there(&folder.join(MARKER))? else { return Ok(false) };
    // A marker that cannot be read is one of another version of this program, and replaced like a missing one.
    let Ok(marker) = serde_json::from_slice::<Marker>(&text) else { return Ok(false) };
    Ok(marker.wheel_sha256 == wheel.sha256
        && marker.library == library_name()
        && library.is_file()
        && files::sha256(library)? == marker.library_sha256)
}

/// Takes the library and the licence texts out of the wheel, the library last.
fn unpack(wheel: &Path, member: &str, folder: &Path, library: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open `{}`", wheel.display()))?;
    let broken = || format!("`{}` is no zip file", wheel.display());
    let mut archive = ZipArchive::new(BufReader::new(file)).with_context(broken)?;
    let texts = TEXTS.iter().map(|text| (format!("onnxruntime/{text}"), folder.join(text), TEXT_LIMIT));
    let library = (member.to_owned(), library.to_owned(), LIBRARY_LIMIT);
    for (member, target, limit) in texts.chain([library]) {
        let content = archive.by_name(&member).with_context(|| format!("the wheel has no `{member}`"))?;
        files::write_atomic(&target, content, limit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use anyhow::bail;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const MEMBER: &str = "onnxruntime/capi/libonnxruntime.so.1.32.0";

    fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn a_wheel() -> (Vec<u8>, Wheel) {
        let bytes = zip_of(&[
            ("onnxruntime/LICENSE", b"MIT"),
            ("onnxruntime/ThirdPartyNotices.txt", b"notices"),
            (MEMBER, b"the library"),
        ]);
        let wheel = pinned(&bytes, MEMBER);
        (bytes, wheel)
    }

    fn pinned(bytes: &[u8], member: &'static str) -> Wheel {
        use sha2::{Digest as _, Sha256};
        Wheel::for_tests(hex::encode(Sha256::digest(bytes)).leak(), member)
    }

    fn save(bytes: &[u8]) -> impl FnOnce(&Path) -> Result<PathBuf> {
        move |temp| {
            let path = temp.join("a.whl");
            files::write_atomic(&path, bytes, u64::MAX)?;
            Ok(path)
        }
    }

    fn not_again(_: &Path) -> Result<PathBuf> {
        bail!("fetched again")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_library_is_fetched_once_and_known_again() {
        let caches = tempfile::tempdir().unwrap();
        let folder = folder(caches.path());
        let (bytes, wheel) = a_wheel();
        let (library, origin) = provide(&folder, &wheel, false, save(&bytes)).unwrap();
        assert_eq!(origin, Origin::Fetched);
        assert_eq!(files::read(&library).unwrap(), b"the library");
        let mut expected =
            vec!["LICENSE".into(), "ThirdPartyNotices.txt".into(), library_name(), "setup.json".into()];
        expected.sort();
        assert_eq!(names(&folder), expected);
        assert_eq!(provide(&folder, &wheel, false, not_again).unwrap(), (library.clone(), Origin::Present));
        let error = provide(&folder, &wheel, true, not_again).unwrap_err().to_string();
        assert_eq!(error, "fetched again", "--force");
    }

    #[test]
    fn a_changed_missing_or_outdated_library_is_made_anew() {
        let caches = tempfile::tempdir().unwrap();
        let folder = folder(caches.path());
        let (bytes, wheel) = a_wheel();
        let (library, _) = provide(&folder, &wheel, false, save(&bytes)).unwrap();
        let damages: [&dyn Fn(); 4] = [
            &|| files::write_atomic(&library, &b"the librarz"[..], 99).unwrap(),
            &|| std::fs::remove_file(&library).unwrap(),
            &|| std::fs::remove_file(folder.join(MARKER)).unwrap(),
            &|| files::write_atomic(&folder.join(MARKER), &b"{}"[..], 99).unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            damage();
            let (_, origin) = provide(&folder, &wheel, false, save(&bytes)).unwrap();
            assert_eq!(origin, Origin::Fetched, "damage {number}");
            assert_eq!(files::read(&library).unwrap(), b"the library", "damage {number}");
        }
        let raised = Wheel::for_tests("another wheel's digest", MEMBER);
        let error = provide(&folder, &raised, false, not_again).unwrap_err().to_string();
        assert_eq!(error, "fetched again");
    }

    #[test]
    fn a_wheel_that_is_not_the_pinned_one_leaves_nothing() {
        let caches = tempfile::tempdir().unwrap();
        let folder = folder(caches.path());
        let (bytes, wheel) = a_wheel();
        let other = [bytes.as_slice(), b"x"].concat();
        let error = provide(&folder, &wheel, false, save(&other)).unwrap_err().to_string();
        assert!(error.contains(wheel.sha256) && error.contains("nothing was installed"), "{error}");
        assert!(!folder.exists());
    }

    #[test]
    fn a_wheel_without_the_library_says_which_member_is_missing() {
        let caches = tempfile::tempdir().unwrap();
        let folder = folder(caches.path());
        let bytes = zip_of(&[("onnxruntime/LICENSE", b""), ("onnxruntime/ThirdPartyNotices.txt", b"")]);
        let error = provide(&folder, &pinned(&bytes, MEMBER), false, save(&bytes)).unwrap_err().to_string();
        assert_eq!(error, format!("the wheel has no `{MEMBER}`"));
        assert!(!folder.join(MARKER).exists());
    }
}
