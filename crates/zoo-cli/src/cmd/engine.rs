//! What `run` and `check` share: a model from a word, an engine for it, and how a comparison is told.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo_core::manifest::ModelFacts;
use zoo_core::stage::StagedModel;
use zoo_run::compare::{Comparison, Tolerance};
use zoo_run::ort::{LibrarySearch, OrtOptions, OrtRunner};
use zoo_run::{Error, Runner};

use crate::args::{Engine, EngineArgs};
use crate::cmd::App;
use crate::env::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::hubs::{self, Model, Wishes};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = (exit_for(&error), error.hint());
        Self { exit, error: error.into(), hint }
    }
}

fn exit_for(error: &Error) -> Exit {
    match error {
        Error::NoLibrary { .. }
        | Error::UnusableLibrary { .. }
        | Error::OldLibrary { .. }
        | Error::OtherLibrary { .. }
        | Error::Unsupported { .. }
        | Error::Load { .. }
        | Error::Run { .. } => Exit::Engine,
        Error::Unfit { .. }
        | Error::Generate { .. }
        | Error::Pictures { .. }
        | Error::OtherSize { .. }
        | Error::Texts { .. } => Exit::Usage,
        // Files are read in several layers, and each has an error of its own around the system's.
        error if has_io_cause(error) => Exit::Disk,
        _ => Exit::Refused,
    }
}

fn has_io_cause(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a word stands for, ready to be run.
pub(super) struct Subject {
    /// The handle, or the path as typed.
    pub(super) name: String,
    /// The file that an engine opens.
    pub(super) path: PathBuf,
    /// The folder that it lies in.
    pub(super) folder: PathBuf,
    /// None: a file that no hub knows.
    pub(super) model: Option<Model>,
    /// What the manifest says of it.
    pub(super) facts: ModelFacts,
}

impl Subject {
    /// Finds the model, pulling it if need be; not if it turns out that there is nothing to check it with.
    pub(super) async fn find(text: &str, to_check: bool, app: &App) -> Result<Self> {
        if let Some(path) = hubs::as_path(text)? {
            let staged = super::blocking(move || hubs::describe_local(&path)?.model()).await?;
            return Ok(Self::of(&staged, None));
        }
        let hubs = app.hubs()?;
        let name = hubs.name(text)?;
        let model = match hubs.find(&name).await? {
            Some(model) => model,
            None => {
                if to_check && !hubs.offline() && !hubs.about(&name).await?.test_data {
                    let message = format!("no test data are published for `{text}`");
                    return Err(Failure::new(Exit::NotFound, message).hint("`zoo run` makes inputs"));
                }
                hubs.pull(&name, &Wishes::default()).await?
            }
        };
        let staged = model.stage(&Wishes::default()).await?;
        match staged.first() {
            Some(staged) => Ok(Self::of(staged, Some(model))),
            None => Err(Failure::new(Exit::Refused, format!("`{text}` has no ONNX form to run"))),
        }
    }

    fn of(staged: &StagedModel, model: Option<Model>) -> Self {
        Self {
            name: staged.manifest().handle.clone(),
            path: staged.path(),
            folder: staged.folder().to_owned(),
            model,
            facts: staged.manifest().model.clone(),
        }
    }
}

/// How to load a model, apart from the app, so that it can be done on another thread.
#[derive(Debug, Clone)]
pub(super) struct Loader {
    args: EngineArgs,
    search: LibrarySearch,
}

impl Loader {
    pub(super) fn new(args: EngineArgs, settings: &Settings) -> Result<Self> {
        if args.engine == Engine::Tract && !cfg!(feature = "tract") {
            return Err(Failure::usage("this zoo was built without tract")
                .hint("build it with `--features tract`, or use ONNX Runtime"));
        }
        if args.engine == Engine::Tract && args.threads.is_some() {
            return Err(
                Failure::usage("--threads does not apply to tract, which uses one").hint("leave it out")
            );
        }
        let mut search = LibrarySearch::default();
        search.explicit.clone_from(&settings.runtime);
        search.folders.clone_from(&settings.runtime_folders);
        search.system = true;
        Ok(Self { args, search })
    }

    /// The model in its engine, and how long that took. The library's own start is not counted.
    pub(super) fn load(&self, path: &Path) -> Result<(Box<dyn Runner>, Duration)> {
        #[cfg(feature = "tract")]
        if self.args.engine == Engine::Tract {
            let began = Instant::now();
            let runner = zoo_run::tract::TractRunner::load(path)?;
            return Ok((Box::new(runner), began.elapsed()));
        }
        let began = Instant::now();
        let (runner, starting) = self.load_ort(path)?;
        Ok((Box::new(runner), began.elapsed().saturating_sub(starting)))
    }

    /// The model in ONNX Runtime, which some tasks need, and how long the library's own start took.
    pub(super) fn load_ort(&self, path: &Path) -> Result<(OrtRunner, Duration)> {
        if self.args.engine == Engine::Tract {
            return Err(Failure::usage("tract cannot keep what a model remembers while it writes")
                .hint("leave out --engine: ONNX Runtime can"));
        }
        let began = Instant::now();
        zoo_run::ort::library(&self.search)?;
        let starting = began.elapsed();
        // A command runs a model a few times and ends: rearranging all weights first would cost more than it brings.
        let threads = self.args.threads.map(Into::into);
        let options = OrtOptions { threads, prepack: false, ..OrtOptions::default() };
        Ok((OrtRunner::load(&self.search, path, &options)?, starting))
    }
}

pub(super) fn tolerance(relative: Option<f64>) -> Tolerance {
    let mut tolerance = Tolerance::default();
    tolerance.relative = relative.unwrap_or(tolerance.relative);
    tolerance
}

/// A comparison in JSON. A number that is none (NaN, infinity) is null there.
pub(super) fn comparison_json(comparison: &Comparison) -> Value {
    json!({
        "output": comparison.name,
        "equal": comparison.equal,
        "largest": comparison.largest,
        "relative": comparison.relative,
        "at": comparison.at,
        "expected": comparison.expected,
        "found": comparison.found,
        "elements": comparison.elements,
        "problem": comparison.problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_says_whether_the_engine_the_words_or_the_files_are_to_blame() {
        let engine = Error::NoLibrary { searched: "nowhere".into() };
        assert_eq!(Failure::from(engine).exit, Exit::Engine);
        assert_eq!(Failure::from(Error::Unfit { problems: vec![] }).exit, Exit::Usage);
        let missing = zoo_run::data::read(Path::new("no/such/file.npy")).unwrap_err();
        assert_eq!(Failure::from(missing).exit, Exit::Disk);
        let pickle = Error::Pickle { array: "a".into() };
        assert_eq!(Failure::from(pickle).exit, Exit::Refused);
    }

    #[test]
    fn json_has_no_numbers_that_are_none() {
        let one = zoo_tensor::Tensor::from_slice([1], &[1.0_f32]).unwrap();
        let two = zoo_tensor::Tensor::from_slice([2], &[1.0_f32, 2.0]).unwrap();
        let value = comparison_json(&zoo_run::compare::compare("y", &one, &two, &Tolerance::default()));
        assert_eq!((&value["equal"], &value["largest"]), (&json!(false), &Value::Null));
        assert!(value["problem"].as_str().unwrap().contains("shape"));
    }
}
