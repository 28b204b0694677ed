//! Finding ONNX Runtime's library. One process has one library, so what loads one comes first in each test.

use std::path::{Path, PathBuf};

use zoo_run::Error;
use zoo_run::ort::{LibrarySearch, library};

use crate::support::search;

fn explicit(path: &Path) -> LibrarySearch {
    let mut search = LibrarySearch::default();
    search.explicit = Some(path.to_owned());
    search
}

/// The library of this test run, opened.
fn opened() -> PathBuf {
    library(&search()).unwrap().path
}

#[test]
fn it_is_described() {
    let library = library(&search()).unwrap();
    assert!(library.path.is_absolute());
    assert_eq!(library.to_string(), format!("ONNX Runtime {} ({})", library.version, library.path.display()));
    let numbers: Vec<u32> = library.version.split('.').map(|number| number.parse().unwrap()).collect();
    assert!(numbers.len() == 3 && numbers[..2] >= [1, 18][..], "{}", library.version);
}

#[test]
fn the_same_library_is_found_again_however_it_is_asked_for() {
    let path = opened();
    assert_eq!(library(&explicit(&path)).unwrap().path, path);
    let mut folder = LibrarySearch::default();
    folder.folders = vec![path.parent().unwrap().to_owned()];
    assert_eq!(library(&folder).unwrap().path, path);
    folder.folders = vec![path.parent().unwrap().parent().unwrap().to_owned()];
    assert_eq!(library(&folder).unwrap().path, path);
    #[cfg(unix)]
    {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("libonnxruntime.so");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(library(&explicit(&link)).unwrap().path, path);
    }
}

#[test]
fn another_library_is_refused_once_one_is_open() {
    let path = opened();
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("libonnxruntime.so.1.99.0");
    std::fs::File::create(&other).unwrap();
    let error = library(&explicit(&other)).unwrap_err();
    let other = other.canonicalize().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "ONNX Runtime is loaded from {} already; a process cannot load another one ({})",
            path.display(),
            other.display()
        )
    );
    assert!(error.hint().is_some());
    let mut folder = LibrarySearch::default();
    folder.folders = vec![dir.path().to_owned()];
    assert!(matches!(library(&folder), Err(Error::OtherLibrary { .. })));
    assert!(library(&search()).is_ok());
}

/// The rest is about processes in which no library is open yet: each case has a process of its own, this test program with
/// a variable that says which case it is.
#[cfg(unix)]
mod alone {
    use super::*;

    const CASE: &str = "ZOO_RUN_LIBRARY_CASE";

    /// Runs `case` in a process of its own with a folder for it, and gives what it prints.
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "the process of its own is told its case by the environment, and prints what it found"
    )]
    fn alone(test: &str, case: fn(&Path) -> String) -> String {
        if let Some(folder) = std::env::var_os(CASE) {
            println!("<<{}>>", case(Path::new(&folder)));
            return String::new();
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CASE, &folder)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        let (_, said) = printed.split_once("<<").unwrap();
        said.split_once(">>").unwrap().0.replace(&folder.display().to_string(), "DIR")
    }

    /// Compares what `alone` gives; in the process of its own there is nothing to compare.
    fn check(said: &str, expected: &str) {
        if !said.is_empty() {
            assert_eq!(said, expected);
        }
    }

    fn say(search: &LibrarySearch) -> String {
        library(search).map_or_else(|error| error.to_string(), |library| library.path.display().to_string())
    }

    /// A shared library with these functions in it. A C compiler is what links Rust programs, so it is there.
    #[expect(clippy::disallowed_methods, reason = "a file in a temporary folder")]
    fn compile(path: &Path, source: &str) {
        let code = path.with_extension("c");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&code, source).unwrap();
        let status =
            std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(path).arg(&code).status();
        assert!(status.unwrap().success());
    }

    /// ONNX Runtime's entry point, of a version that has nothing behind it.
    fn fake(path: &Path, version: &str) {
        let source = "typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;\n\
            static const void *api(unsigned wanted) { return 0; }\n\
            static const char *version(void) { return \"VERSION\"; }\n\
            static const Base base = { api, version };\n\
            const Base *OrtGetApiBase(void) { return &base; }\n";
        compile(path, &source.replace("VERSION", version));
    }

    #[test]
    fn nothing_anywhere() {
        let said = alone("library::alone::nothing_anywhere", |folder| {
            let mut search = LibrarySearch::default();
            search.folders = vec![folder.to_owned(), folder.join("absent")];
            let error = library(&search).unwrap_err();
            let hint = error.hint().unwrap();
            assert!(hint.contains("cargo xtask setup") && hint.contains("ORT_DYLIB_PATH"), "{hint}");
            error.to_string()
        });
        check(
            &said,
            "ONNX Runtime's shared library was not found: looked in DIR; DIR/absent, which does not exist",
        );
    }

    #[test]
    fn one_that_is_named_has_to_be_there() {
        let said = alone("library::alone::one_that_is_named_has_to_be_there", |folder| {
            let mut absent = explicit(&folder.join("libonnxruntime.so"));
            // Nothing else is tried.
            absent.folders =
                search().explicit.iter().filter_map(|path| path.parent()).map(Path::to_owned).collect();
            absent.system = true;
            format!("{}\n{}", say(&absent), say(&explicit(folder)))
        });
        check(
            &said,
            "DIR/libonnxruntime.so cannot be used as ONNX Runtime: No such file or directory (os error 2)\n\
             DIR cannot be used as ONNX Runtime: it is a folder; the file in it has to be named",
        );
    }

    #[test]
    fn one_that_is_too_old() {
        let said = alone("library::alone::one_that_is_too_old", |folder| {
            let path = folder.join("libonnxruntime.so.1.16.3");
            fake(&path, "1.16.3");
            say(&explicit(&path))
        });
        check(&said, "DIR/libonnxruntime.so.1.16.3 is ONNX Runtime 1.16.3; 1.18.0 or newer is needed");
    }

    #[test]
    fn one_that_is_something_else() {
        let said = alone("library::alone::one_that_is_something_else", |folder| {
            let other = folder.join("libonnxruntime.so");
            compile(&other, "int answer(void) { return 42; }\n");
            let text = folder.join("libonnxruntime.so.1.30.0");
            std::io::Write::write_all(&mut std::fs::File::create(&text).unwrap(), b"not a library").unwrap();
            let text = say(&explicit(&text));
            assert!(
                text.starts_with(&format!("{}/libonnxruntime.so.1.30.0 cannot be used", folder.display())),
                "{text}"
            );
            say(&explicit(&other))
        });
        check(&said, "DIR/libonnxruntime.so cannot be used as ONNX Runtime: it is another library");
    }

    /// It says that it is new enough, and then has nothing to offer. The process is stuck with it, and must say so each time
    /// instead of using it.
    #[test]
    fn one_that_lies() {
        let said = alone("library::alone::one_that_lies", |folder| {
            let path = folder.join("libonnxruntime.so.1.32.0");
            fake(&path, "1.32.0");
            let first = say(&explicit(&path));
            assert_eq!(say(&explicit(&path)), first);
            assert!(matches!(library(&search()), Err(Error::OtherLibrary { .. })));
            first
        });
        check(
            &said,
            "DIR/libonnxruntime.so.1.32.0 cannot be used as ONNX Runtime: the engine panicked: Failed to initialize ORT API",
        );
    }

    #[test]
    fn unusable_ones_are_passed_over() {
        let said = alone("library::alone::unusable_ones_are_passed_over", |folder| {
            std::fs::File::create(folder.join("libonnxruntime.so.1.99.0")).unwrap();
            fake(&folder.join("old/libonnxruntime.so.1.16.3"), "1.16.3");
            let mut only_bad = LibrarySearch::default();
            only_bad.folders = vec![folder.to_owned()];
            let bad = say(&only_bad);
            assert!(
                bad.contains("1.99.0 cannot be used as ONNX Runtime"),
                "the newest one is what is told: {bad}"
            );
            let mut then_good = search();
            let good = then_good.explicit.take().and_then(|path| Some(path.parent()?.to_owned()));
            then_good.folders.splice(0..0, [folder.to_owned()].into_iter().chain(good));
            let library = library(&then_good).unwrap();
            assert!(!library.path.starts_with(folder));
            "another one".to_owned()
        });
        check(&said, "another one");
    }
}
