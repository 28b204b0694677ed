//! Everything that can go wrong with a tensor or a mapped file.

use std::path::PathBuf;

use crate::DType;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a tensor could not be made, read or mapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is no element type.
    #[error("\"{name}\" is not an element type")]
    UnknownDType {
        /// The name as given.
        name: String,
    },

    /// A shape whose element or byte count does not fit in memory at all.
    #[error("a {dtype} tensor of shape {shape:?} is too large: its size in bytes overflows")]
    TooLarge {
        /// The element type.
        dtype: DType,
        /// The shape.
        shape: Vec<usize>,
    },

    /// The bytes given do not fill the shape exactly.
    #[error("a {dtype} tensor of shape {shape:?} needs {expected} bytes, {found} were given")]
    WrongSize {
        /// The element type.
        dtype: DType,
        /// The shape.
        shape: Vec<usize>,
        /// Bytes (for strings: elements) the shape asks for.
        expected: usize,
        /// Bytes (for strings: elements) given.
        found: usize,
    },

    /// A string tensor was made from bytes, or the other way round.
    #[error("a {dtype} tensor cannot be made from {from}")]
    WrongStorage {
        /// The element type.
        dtype: DType,
        /// What was given.
        from: &'static str,
    },

    /// The elements were asked for as a type they cannot become.
    #[error("a {from} tensor cannot be read as {to}")]
    Conversion {
        /// The tensor's type.
        from: DType,
        /// The type asked for.
        to: DType,
    },

    /// An element has no exact value in the integer type asked for.
    #[error("element {index} of a {from} tensor is {value}, which is no {to}")]
    OutOfRange {
        /// The tensor's type.
        from: DType,
        /// The type asked for.
        to: DType,
        /// The element's position in row-major order.
        index: usize,
        /// Its value, as text.
        value: String,
    },

    /// Strides that do not belong to the shape, or do not allow what was asked.
    #[error("the strides {strides:?} of a tensor of shape {shape:?} {problem}")]
    Strides {
        /// The shape.
        shape: Vec<usize>,
        /// The strides in elements.
        strides: Vec<usize>,
        /// What is wrong.
        problem: &'static str,
    },

    /// A range of rows that the tensor does not have.
    #[error("a tensor of shape {shape:?} has no {count} rows from row {start} on")]
    Rows {
        /// The shape.
        shape: Vec<usize>,
        /// The first row.
        start: usize,
        /// How many.
        count: usize,
    },

    /// A tensor whose bytes are not all in the file.
    #[error("a tensor in {} ends at byte {end}, the file has {len}", path.display())]
    BeyondFile {
        /// The file.
        path: PathBuf,
        /// Where the tensor would end.
        end: u64,
        /// The file's length.
        len: u64,
    },

    /// A file could not be opened, examined, read or mapped.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb: "open", "examine", "map".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A tensor of a type that no kernel knows.
    #[error("a {dtype} tensor cannot be computed with")]
    Uncomputable {
        /// The element type.
        dtype: DType,
    },

    /// An order of axes that is none.
    #[error("{order:?} is no order of the axes of a tensor of shape {shape:?}")]
    Order {
        /// The shape.
        shape: Vec<usize>,
        /// The order asked for.
        order: Vec<usize>,
    },

    /// candle could not do what it was asked for.
    #[error("candle cannot {doing}: {problem}")]
    Candle {
        /// What.
        doing: &'static str,
        /// What it said.
        problem: String,
    },

    /// Something that is not a regular file cannot be mapped.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownDType { .. } => {
                let names: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
                Some(format!("one of: {}", names.join(", ")))
            }
            Self::BeyondFile { .. } => {
                Some("the file is shorter than its own header says; fetch it again".to_owned())
            }
            Self::NotAFile { path } if path.is_dir() => Some("name a file inside the folder".to_owned()),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Some("check the path; nothing exists there".to_owned())
            }
            _ => None,
        }
    }
}
