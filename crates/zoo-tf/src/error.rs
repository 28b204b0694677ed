//! Everything that can go wrong on the way to TensorFlow.

use std::fmt;
use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a graph could not be written for TensorFlow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A weight could not be read.
    #[error(transparent)]
    Tensor(#[from] zoo_tensor::Error),

    /// A weight could not be computed.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),

    /// The table of the variables could not be made.
    #[error(transparent)]
    Format(#[from] zoo_formats::Error),

    /// Nodes of the graph have no counterpart in TensorFlow.
    #[error("the graph cannot be TensorFlow's: {}", list(refusals))]
    Unsupported {
        /// Which, and why.
        refusals: Vec<Refusal>,
    },

    /// A frozen graph would be larger than protobuf allows.
    #[error("{} would have {size} bytes, beyond the {limit} that a frozen graph can have", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large it would be.
        size: u64,
        /// How large it may be.
        limit: u64,
    },

    /// What is in the place is nothing that may be replaced.
    #[error("{} is there already and {problem}", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
        /// What it is.
        problem: &'static str,
    },

    /// A file could not be written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb: "create", "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Nodes of one operator that cannot be translated, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// ONNX's operator.
    pub op: String,
    /// The first node of them.
    pub node: String,
    /// How many there are.
    pub count: usize,
    /// What TensorFlow lacks.
    pub problem: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, node, count, problem } = self;
        write!(f, "{op} {problem} (\"{node}\"")?;
        match count.saturating_sub(1) {
            0 => write!(f, ")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tensor(error) => error.hint(),
            Self::Graph(error) => error.hint(),
            Self::Format(error) => error.hint(),
            Self::Unsupported { .. } => Some("stage the model as ONNX instead".to_owned()),
            Self::TooLarge { .. } => Some("stage it as a SavedModel, which has no such limit".to_owned()),
            Self::Occupied { .. } => Some("name another place, or move away what is there".to_owned()),
            Self::File { .. } => None,
        }
    }
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
