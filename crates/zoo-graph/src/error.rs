//! Everything that can go wrong with an ONNX file.

use std::path::PathBuf;

use crate::sniff::Looks;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be read. Problems *inside* a readable model are a [`crate::check::Report`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be mapped, or a tensor not made.
    #[error(transparent)]
    Tensor(#[from] zoo_tensor::Error),

    /// The file is something else.
    #[error("{file} is not an ONNX model: it looks like {looks}")]
    NotOnnx {
        /// The file.
        file: String,
        /// What its first bytes say.
        looks: Looks,
    },

    /// The file ends before its content does.
    #[error("{file} is truncated: at byte {offset} it promises {promised} more bytes and has {left}")]
    Truncated {
        /// The file.
        file: String,
        /// Where the promise stands.
        offset: u64,
        /// Bytes promised.
        promised: u64,
        /// Bytes left.
        left: u64,
    },

    /// The file is no valid protobuf.
    #[error("{file} is not a valid ONNX file: {problem} at byte {offset}")]
    Malformed {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What.
        problem: &'static str,
    },

    /// The file asks for more than is reasonable.
    #[error("{file} has {what} beyond the limit of {limit}")]
    TooMuch {
        /// The file.
        file: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit (see [`crate::limits`]).
        limit: u64,
    },

    /// The bytes are protobuf, but not of these messages.
    #[error("cannot decode {file}")]
    Decode {
        /// The file.
        file: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },

    /// A tensor's description contradicts itself or its data.
    #[error("tensor \"{tensor}\": {problem}")]
    BadTensor {
        /// The tensor's name.
        tensor: String,
        /// What is wrong.
        problem: String,
    },

    /// An external data location that must not be followed.
    #[error("tensor \"{tensor}\" keeps its data in \"{location}\", which {problem}")]
    BadLocation {
        /// The tensor's name.
        tensor: String,
        /// The location as written in the model.
        location: String,
        /// Why it is refused.
        problem: &'static str,
    },

    /// An external data file is absent.
    #[error("tensor \"{tensor}\" keeps its data in {}, which does not exist", path.display())]
    MissingData {
        /// The tensor's name.
        tensor: String,
        /// Where the file should be.
        path: PathBuf,
    },

    /// A path could not be examined.
    #[error("cannot examine {}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Tensor(error) => return error.hint(),
            Self::NotOnnx { looks, .. } => return looks.hint().map(str::to_owned),
            Self::Truncated { .. } => "the download was cut short; fetch the file again".to_owned(),
            Self::TooMuch { what: "bytes", .. } => {
                "one protobuf message holds 2 GiB at most; export the model with external data".to_owned()
            }
            Self::MissingData { .. } => {
                "put the data file where the model expects it; it was published beside the model".to_owned()
            }
            Self::BadLocation { .. } => {
                "external data must lie in the model's folder or below, as a plain relative path".to_owned()
            }
            _ => return None,
        })
    }
}
