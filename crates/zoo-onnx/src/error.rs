//! What can go wrong with a model of the ONNX Model Zoo, or with an ONNX file.

use std::path::PathBuf;

use zoo_core::error::ErrorKind;
use zoo_core::stage::Target;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, on what; [`Error::hint`] says what now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Finding, fetching, verifying or keeping failed.
    #[error(transparent)]
    Core(#[from] zoo_core::Error),
    /// The file is no ONNX model that can be read.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),
    /// The file can be read, but the graph in it is not valid.
    #[error("`{}` is not a valid ONNX model:{}", .path.display(), lines(.problems))]
    Invalid {
        /// The model's file.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
    /// An ONNX model cannot become this.
    #[error("an ONNX model cannot be staged as {target}")]
    Target {
        /// What was asked for.
        target: Target,
    },
    /// The hub publishes no test data for the model.
    #[error("the ONNX Model Zoo publishes no test data for `{name}`")]
    NoTestData {
        /// The model.
        name: String,
    },
    /// An archive or a folder does not hold exactly one model.
    #[error("`{}` holds {}", .path.display(), found_text(.found))]
    NotOneModel {
        /// The archive or folder.
        path: PathBuf,
        /// The models in it.
        found: Vec<String>,
    },
    /// An option of staging that makes no sense for an ONNX model.
    #[error("an ONNX model takes no option `{option}`: its graph is in the file")]
    Option {
        /// Its name.
        option: &'static str,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().fold(String::new(), |text, problem| format!("{text}\n  - {problem}"))
}

fn found_text(found: &[String]) -> String {
    if found.is_empty() { "no .onnx file".into() } else { format!("several models: {}", found.join(", ")) }
}

impl Error {
    /// The class of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Core(e) => e.kind(),
            Self::Graph(_) | Self::Invalid { .. } | Self::Target { .. } => ErrorKind::Refused,
            Self::NoTestData { .. } => ErrorKind::NotFound,
            Self::NotOneModel { .. } | Self::Option { .. } => ErrorKind::Usage,
        }
    }

    /// What to do now, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Core(e) => e.hint(),
            Self::Graph(e) => e.hint(),
            Self::Invalid { .. } => {
                Some("the program that wrote it should be asked; zoo does not repair graphs".into())
            }
            Self::Target { .. } => Some("it stages as `onnx` (checked, in place) or `original`".into()),
            Self::NoTestData { .. } => Some("run it on generated inputs with `zoo run`".into()),
            Self::NotOneModel { found, .. } if found.is_empty() => {
                Some("name the .onnx file itself, or the folder that holds it".into())
            }
            Self::NotOneModel { .. } => Some("name the one that you mean".into()),
            Self::Option { option } => {
                Some(format!("leave out `{option}`; ONNX models are kept as they were published"))
            }
        }
    }
}
