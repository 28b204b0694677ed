//! What can go wrong with a model of the torchvision zoo, or with a checkpoint of one's own.

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
    /// The file is no checkpoint that can be read.
    #[error(transparent)]
    Formats(#[from] zoo_formats::Error),
    /// A staged graph cannot be read again.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),
    /// A catalogue from a file cannot be used.
    #[error("the catalogue `{}` cannot be used: {reason}", .path.display())]
    Catalog {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The catalogue has the file, the server does not. It answers 403 for what it does not have.
    #[error("{url} is not there (the server answered {status})")]
    Missing {
        /// Without query.
        url: String,
        /// The status code.
        status: u16,
        /// Handles of what there may be instead, best first.
        nearest: Vec<String>,
    },
    /// The checkpoint cannot be staged.
    #[error(transparent)]
    Stage(#[from] crate::stage::StageError),
    /// A checkpoint cannot become this.
    #[error("a PyTorch checkpoint cannot be staged as {target}")]
    Target {
        /// What was asked for.
        target: Target,
    },
    /// An option that the hub answers itself.
    #[error("`{model}` takes no option `arch`: the catalogue says what network it is")]
    Arch {
        /// The model's handle.
        model: String,
    },
    /// A file stands where the staged one would go, and zoo did not make it.
    #[error("`{}` exists, and zoo did not make it", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// The class of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Core(e) => e.kind(),
            Self::Formats(zoo_formats::Error::File { .. }) => ErrorKind::Disk,
            Self::Formats(_) | Self::Graph(_) | Self::Stage(_) | Self::Target { .. } => ErrorKind::Refused,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Catalog { .. } | Self::Arch { .. } | Self::Exists { .. } => ErrorKind::Usage,
        }
    }

    /// What to do now, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Core(e) => e.hint(),
            Self::Formats(e) => e.hint(),
            Self::Graph(e) => e.hint(),
            Self::Stage(e) => e.hint(),
            Self::Catalog { .. } => Some("make_catalog.py writes one from an installed torchvision".into()),
            Self::Missing { nearest, .. } if nearest.is_empty() => {
                Some("the server may have lost it; a newer catalogue may name another file".into())
            }
            Self::Missing { nearest, .. } => {
                let names: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("there may be {}", names.join(", ")))
            }
            Self::Target { .. } => Some("it stages as `onnx` or `original`".into()),
            Self::Arch { .. } => Some("leave out `arch`".into()),
            Self::Exists { .. } => Some("move it away, or write to a folder of its own (-o)".into()),
        }
    }
}
