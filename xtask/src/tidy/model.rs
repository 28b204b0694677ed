//! The workspace as the rules see it: plain data, read once.
//!
//! Dependencies are taken from the members' manifests, optional ones and those for other systems included: whatever
//! features and target somebody builds with, the crates that get built are among them. Cargo's resolved graph knows one
//! choice at a time, and wants every dependency downloaded first.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, Package};

use crate::{files, workspace};

/// The path of the document whose table says which crate may depend on which.
pub(super) const ARCHITECTURE: &str = "docs/architecture.md";

/// Everything that rules look at.
pub(super) struct Workspace {
    /// The members.
    pub(super) crates: Vec<Crate>,
    /// The text files that git knows, or would after `git add`.
    pub(super) files: Vec<File>,
}

/// A member.
pub(super) struct Crate {
    pub(super) name: String,
    /// Its folder, relative to the root, with `/` on every system.
    pub(super) folder: String,
    /// What it depends on.
    pub(super) uses: Vec<Use>,
    /// The files that rustc is called with: libraries, programs, tests, examples, benchmarks.
    pub(super) roots: Vec<String>,
    /// `Cargo.toml` as written.
    pub(super) manifest: toml::Table,
}

/// A dependency, as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    /// The crate's own name, whatever it is renamed to.
    pub(super) name: String,
    /// Whether tests, examples and benchmarks alone see it.
    pub(super) dev: bool,
}

/// A text file.
pub(super) struct File {
    /// Relative to the root, with `/` on every system.
    pub(super) path: String,
    pub(super) text: String,
}

impl Workspace {
    /// Reads the workspace at `root`.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let metadata = workspace::metadata()?;
        let crates =
            metadata.packages.iter().map(|package| Crate::load(root, package)).collect::<Result<_>>()?;
        Ok(Self { crates, files: tracked_files(root)? })
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// The member of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|member| member.name == name)
    }

    /// The Rust files.
    pub(super) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| Path::new(&file.path).extension().is_some_and(|e| e == "rs"))
    }
}

impl Crate {
    fn load(root: &Path, package: &Package) -> Result<Self> {
        let path = package.manifest_path.as_std_path();
        let text = String::from_utf8(files::read(path)?).with_context(|| format!("`{}`", path.display()))?;
        let manifest = text.parse().with_context(|| format!("`{}`", path.display()))?;
        let uses = package.dependencies.iter();
        let roots = package.targets.iter().map(|target| relative(root, target.src_path.as_std_path()));
        Ok(Self {
            name: package.name.to_string(),
            folder: path.parent().map(|folder| relative(root, folder)).unwrap_or_default(),
            uses: uses
                .map(|d| Use { name: d.name.clone(), dev: d.kind == DependencyKind::Development })
                .collect(),
            roots: roots.collect(),
            manifest,
        })
    }

    /// Siblings that this crate depends on, normally or to build. With `dev`, also those of its tests.
    pub(super) fn siblings<'w>(
        &'w self,
        workspace: &'w Workspace,
        dev: bool,
    ) -> impl Iterator<Item = (&'w Use, &'w Crate)> {
        let uses = self.uses.iter().filter(move |used| dev || !used.dev);
        uses.filter_map(|used| workspace.member(&used.name).map(|sibling| (used, sibling)))
    }
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

/// What a commit of everything would hold: new files count before they are added, so that a violation is found then.
fn tracked_files(root: &Path) -> Result<Vec<File>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("`git`, which knows the files to check, could not be started")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listing = String::from_utf8(output.stdout).context("`git ls-files` lists a path that is no UTF-8")?;
    let mut texts = Vec::new();
    for path in listing.split_terminator('\0') {
        let full = root.join(path);
        // A submodule or a link to a folder is listed like a file; a file that was just deleted still is.
        if !full.is_file() {
            continue;
        }
        let bytes = files::read(&full)?;
        if !bytes.contains(&0) {
            texts.push(File { path: path.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod sample {
    //! A small workspace that breaks no rule, for tests that then break one.

    use super::*;

    const TABLE: &str = "\
# Architecture
<!-- crates:begin -->
| Crate | Does | May depend on | Must never know |
|---|---|---|---|
| `zoo-tensor` | dtypes, shapes | no sibling | network |
| `zoo-core` | fetches | no sibling | hubs |
| `zoo-onnx` | a hub | core, tensor | other hubs |
| `zoo-hf` | a hub | core | other hubs |
| `zoo-cli` | the command: `zoo a\\|b` | everything above | |
| `zoo-mirror` | a server | core | |
| `tests/`, `fuzz/` | suites | all | |
<!-- crates:end -->
";

    impl Workspace {
        pub(in super::super) fn sample() -> Self {
            let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
            let mut workspace = Self {
                crates: Vec::new(),
                files: vec![
                    file(ARCHITECTURE, TABLE),
                    file("Cargo.toml", "[workspace]\nexclude = [\"fuzz\"]\n"),
                    file("Cargo.lock", "[[package]]\nname = \"zoo-core\"\nversion = \"0.1.0\"\n"),
                    file("fuzz/Cargo.toml", "[package]\nname = \"zoo-fuzz\"\n"),
                ],
            };
            workspace.add("crates/zoo-tensor", "zoo-tensor", &[]);
            workspace.add("crates/zoo-core", "zoo-core", &["serde"]);
            workspace.add("crates/zoo-onnx", "zoo-onnx", &["zoo-core"]);
            workspace.add("crates/zoo-hf", "zoo-hf", &["zoo-core"]);
            workspace.add("crates/zoo-cli", "zoo-cli", &["zoo-onnx", "zoo-hf", "clap"]);
            workspace.add("crates/zoo-mirror", "zoo-mirror", &["zoo-core"]);
            workspace.add("tests", "zoo-tests", &["zoo-mirror", "zoo-cli"]);
            workspace
        }

        fn add(&mut self, folder: &str, name: &str, uses: &[&str]) {
            let dependencies: Vec<_> = uses.iter().map(|name| format!("{name}.workspace = true\n")).collect();
            let dependencies = dependencies.concat();
            let manifest = format!(
                "[package]\nname = \"{name}\"\ndescription = \"A part of the sample\"\nversion.workspace = true\n\
                 edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
                 repository.workspace = true\n\n[dependencies]\n{dependencies}\n[lints]\nworkspace = true\n"
            );
            let root = format!("{folder}/src/lib.rs");
            self.crates.push(Crate {
                name: name.into(),
                folder: folder.into(),
                uses: uses.iter().map(|name| Use { name: (*name).into(), dev: false }).collect(),
                roots: vec![root.clone()],
                manifest: manifest.parse().unwrap(),
            });
            self.files.push(File { path: format!("{folder}/Cargo.toml"), text: manifest });
            self.files.push(File { path: root, text: format!("//! {name}, in the sample.\n") });
        }

        /// Lets `name` depend on another crate.
        pub(in super::super) fn depend(&mut self, name: &str, on: &str, dev: bool) {
            self.change(name, |member| member.uses.push(Use { name: on.into(), dev }));
        }

        /// Changes a member.
        pub(in super::super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Crate)) {
            change(self.crates.iter_mut().find(|member| member.name == name).unwrap());
        }

        /// Changes a file's text.
        pub(in super::super) fn edit(&mut self, path: &str, edit: impl FnOnce(&mut String)) {
            edit(&mut self.files.iter_mut().find(|file| file.path == path).unwrap().text);
        }

        /// Adds a file.
        pub(in super::super) fn put(&mut self, path: &str, text: &str) {
            self.files.push(File { path: path.into(), text: text.into() });
        }
    }
}
