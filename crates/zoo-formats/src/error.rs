//! Everything that can go wrong with a weight container.

use std::fmt;
use std::path::PathBuf;

use crate::sniff::Looks;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a container, or a tensor in it, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A place or a shape that cannot be.
    #[error(transparent)]
    Tensor(#[from] zoo_tensor::Error),

    /// A file could not be opened or read.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb: "open", "examine", "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The file is something else.
    #[error("{} is no weight container that zoo reads: it is {looks}", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What its bytes say it is.
        looks: Looks,
    },

    /// The container's reader was left out when this program was built.
    #[error("{} is a {container} file, which this build does not read", path.display())]
    LeftOut {
        /// The file.
        path: PathBuf,
        /// The container, which is also the name of the cargo feature.
        container: &'static str,
    },

    /// The archive contradicts itself or the file.
    #[error("{} is a damaged archive: {problem} (at byte {offset})", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },

    /// The stream of a legacy checkpoint contradicts itself or the file.
    #[error("{} is a damaged checkpoint: {problem} (at byte {offset})", path.display())]
    Legacy {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },

    /// A file of another container contradicts itself, or was cut short.
    #[error("{} is a damaged {container} file: {problem} (at byte {offset})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The container.
        container: &'static str,
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },

    /// A pickle that is cut short, damaged, or not of the kind that PyTorch writes.
    #[error("{pickle} cannot be read: {problem} (at byte {offset}, {opcode})")]
    Pickle {
        /// Which pickle: the file and the member.
        pickle: String,
        /// The byte of the opcode, counted from the start of the file or member.
        offset: u64,
        /// The opcode by name.
        opcode: &'static str,
        /// What is wrong.
        problem: String,
    },

    /// Something asks for more than is reasonable.
    #[error("{holder} has {found} {what}, beyond the limit of {limit}")]
    TooMuch {
        /// Who asks: a file, a member, a dictionary.
        holder: String,
        /// What there is too much of.
        what: &'static str,
        /// How much, as far as it was counted.
        found: u64,
        /// The limit (see [`crate::limits`]).
        limit: u64,
    },

    /// A record, format or byte order of a version that is not known.
    #[error("{}: {problem}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What is not known.
        problem: String,
    },

    /// Tensors of the dictionary that was asked for cannot be taken.
    #[error("{} cannot be taken from {}: {refused}", plural(refused.count, "tensor"), path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        refused: Refusals,
    },

    /// There is no state dict in the file.
    #[error("{} holds no state dict: it is {holds}", path.display())]
    NoStateDict {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        holds: String,
    },

    /// There are several, and nothing says which is meant.
    #[error("{} holds several state dicts and nothing says which is meant: {}", path.display(), list(paths))]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// Their paths.
        paths: Vec<String>,
    },

    /// The one that was asked for is not there.
    #[error("{} holds no state dict \"{asked}\"", path.display())]
    NoSuchDictionary {
        /// The file.
        path: PathBuf,
        /// The path that was asked for.
        asked: String,
        /// The paths that exist.
        known: Vec<String>,
    },

    /// The header of a safetensors file is not valid.
    #[cfg(feature = "safetensors")]
    #[error("{} is not a valid safetensors file", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What its reader said.
        source: safetensors::SafeTensorError,
    },
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Tensor(error) => return error.hint(),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "check the path; nothing exists there".to_owned()
            }
            Self::NotACheckpoint { looks, .. } => return looks.hint().map(str::to_owned),
            Self::LeftOut { container, .. } => format!("build zoo-formats with the feature \"{container}\""),
            Self::Zip { .. } | Self::Legacy { .. } | Self::Damaged { .. } => {
                "fetch the file again and compare its SHA-256 with the published one".to_owned()
            }
            Self::Pickle { .. } => {
                "nothing of it was executed; save the weights again with torch.save(model.state_dict(), path), \
                 or fetch the file again"
                    .to_owned()
            }
            Self::Refused { .. } => {
                "save dense tensors: for example {name: tensor.detach().cpu().to_dense().resolve_conj()}".to_owned()
            }
            Self::NoStateDict { .. } => {
                "save the network's weights with torch.save(model.state_dict(), path)".to_owned()
            }
            Self::Ambiguous { paths, .. } => match paths.first() {
                Some(first) => format!("name the one you mean, for example \"{first}\""),
                None => return None,
            },
            Self::NoSuchDictionary { known, .. } if known.is_empty() => "it holds none at all".to_owned(),
            Self::NoSuchDictionary { known, .. } => format!("it holds: {}", list(known)),
            #[cfg(feature = "safetensors")]
            Self::Safetensors { .. } => "the download may have been cut short; fetch the file again".to_owned(),
            _ => return None,
        })
    }
}

/// The tensors that cannot be taken, with the reason for each; the first few by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Refusals {
    /// How many there are.
    pub count: usize,
    /// Name and reason of the first ones.
    pub named: Vec<(String, String)>,
}

impl Refusals {
    /// Adds one.
    #[cfg(any(feature = "hdf5", feature = "msgpack", feature = "torch"))]
    pub(crate) fn push(&mut self, name: &str, problem: impl Into<String>) {
        self.count += 1;
        if self.named.len() < crate::limits::MAX_NAMED_PROBLEMS {
            self.named.push((name.to_owned(), problem.into()));
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, problem)) in self.named.iter().enumerate() {
            write!(f, "{}\"{name}\" {problem}", if i > 0 { "; " } else { "" })?;
        }
        match self.count.saturating_sub(self.named.len()) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

fn plural(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
