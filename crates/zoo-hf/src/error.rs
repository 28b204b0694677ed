//! What can go wrong between a handle and the wanted files of a repository in the store. What the hub refuses is told apart,
//! since each has another remedy; what a repository lacks is in [`Refusal`].

use std::time::Duration;

use zoo_core::error::ErrorKind;

use crate::select::Refusal;
use crate::stage::StageError;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, on what; [`Error::hint`] says what now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Finding, fetching, verifying or keeping failed.
    #[error(transparent)]
    Core(#[from] zoo_core::Error),
    /// Staging failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A staged graph cannot be read.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),
    /// A form that is not made of this hub's models.
    #[error("models of Hugging Face are not staged as {target}")]
    Target {
        /// What was asked for.
        target: zoo_core::stage::Target,
    },
    /// The model's owner wants to know who takes it.
    #[error("`{id}` is gated: {why}")]
    Gated {
        /// The repository.
        id: String,
        /// What is lacking.
        why: Gate,
        /// Where its terms can be accepted.
        page: String,
    },
    /// The hub does not know the token.
    #[error("the hub refuses the token that was sent for `{id}`")]
    BadToken {
        /// The repository.
        id: String,
    },
    /// There is none, or it is private: the hub does not say which.
    #[error("Hugging Face has no model `{id}`, or it is private")]
    Missing {
        /// The repository.
        id: String,
        /// Whether a token was sent along.
        authenticated: bool,
        /// Names that do exist, best first.
        nearest: Vec<String>,
    },
    /// The repository was taken down.
    #[error("access to `{id}` is disabled by the hub")]
    Disabled {
        /// The repository.
        id: String,
    },
    /// The repository exists, the revision does not.
    #[error("`{id}` has no revision `{revision}`")]
    RevisionMissing {
        /// The repository.
        id: String,
        /// What was asked for.
        revision: String,
        /// Branches and tags that it has.
        available: Vec<String>,
    },
    /// The commit exists, the file does not.
    #[error("`{id}` has no file `{path}` at {revision}")]
    FileMissing {
        /// The repository.
        id: String,
        /// The file.
        path: String,
        /// The commit or what was asked for.
        revision: String,
        /// Files with similar names.
        nearest: Vec<String>,
    },
    /// Too many requests.
    #[error("the hub answers no more requests for `{id}` now")]
    RateLimited {
        /// The repository.
        id: String,
        /// How long the hub asks to wait.
        wait: Option<Duration>,
        /// Whether a token was sent along: with one there may be more.
        authenticated: bool,
    },
    /// A dataset, a space: not what zoo fetches.
    #[error("`{name}` is a {kind}, not a model")]
    NotAModel {
        /// As it was named.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The list of a commit's files cannot be used.
    #[error("the list of files of `{id}` cannot be used: {reason}")]
    Listing {
        /// The repository.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else stands where the graph would go.
    #[error("`{}` is there already, and nothing tells that zoo made it", path.display())]
    Exists {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A folder is no repository.
    #[error("`{}` has more than {limit} files", folder.display())]
    TooManyFiles {
        /// The folder.
        folder: std::path::PathBuf,
        /// How many are the most.
        limit: usize,
    },
    /// The repository does not have what is wanted in a form that can be used.
    #[error("`{id}` cannot be used: {refusal}")]
    Refused {
        /// The repository.
        id: String,
        /// Why.
        #[source]
        refusal: Refusal,
    },
}

/// What is lacking at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gate {
    /// No token was sent.
    Anonymous,
    /// The token's owner was not granted access.
    NoGrant,
    /// The hub does not know the token.
    BadToken,
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "its files want a token",
            Self::NoGrant => "the token's owner was not granted access",
            Self::BadToken => "the token that was sent is not valid",
        })
    }
}

impl Error {
    /// The class of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Core(e) | Self::Stage(StageError::Core(e)) => e.kind(),
            Self::Gated { .. } | Self::BadToken { .. } | Self::Disabled { .. } => ErrorKind::Denied,
            Self::Missing { .. } | Self::RevisionMissing { .. } | Self::FileMissing { .. } => {
                ErrorKind::NotFound
            }
            Self::RateLimited { .. } => ErrorKind::Network,
            Self::NotAModel { .. }
            | Self::Exists { .. }
            | Self::TooManyFiles { .. }
            | Self::Target { .. } => ErrorKind::Usage,
            Self::Stage(_) | Self::Graph(_) | Self::Listing { .. } | Self::Refused { .. } => {
                ErrorKind::Refused
            }
        }
    }

    /// What to do now, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        const NEW_TOKEN: &str = "make a new token in the hub's settings, and set HF_TOKEN to it";
        Some(match self {
            Self::Core(e) => return e.hint(),
            Self::Stage(e) => return e.hint(),
            Self::Graph(e) => return e.hint(),
            Self::Target { .. } => "they are staged as onnx, saved-model or frozen-graph, and kept as original".into(),
            Self::Gated { why: Gate::Anonymous, page, .. } => {
                format!("accept its terms at {page}, then set HF_TOKEN to a token of yours (or log in with `hf auth login`)")
            }
            Self::Gated { why: Gate::NoGrant, page, .. } => {
                format!("ask for access at {page}; a fine-grained token also has to be allowed to read gated repositories")
            }
            Self::Gated { why: Gate::BadToken, .. } | Self::BadToken { .. } => {
                format!("{NEW_TOKEN}; without any token, public models are still served")
            }
            Self::Missing { nearest, .. } if !nearest.is_empty() => format!("did you mean {}?", list(nearest)),
            Self::Missing { authenticated: false, .. } => {
                "check the name; a private model wants a token: set HF_TOKEN (or log in with `hf auth login`)".into()
            }
            Self::Missing { .. } => {
                "check the name; if it is private, the token's owner has to be a member, and the token to be allowed to read it"
                    .into()
            }
            Self::Disabled { .. } => "nobody can fetch it from there; look for another copy of the model".into(),
            Self::RevisionMissing { available, .. } if !available.is_empty() => {
                format!("there is {}", list(available))
            }
            Self::RevisionMissing { .. } => "name a branch, a tag, a commit or refs/pr/N".into(),
            Self::FileMissing { nearest, .. } if !nearest.is_empty() => format!("there is {}", list(nearest)),
            Self::FileMissing { .. } => "the repository is not complete; its owner may have to repair it".into(),
            Self::RateLimited { wait, authenticated, .. } => {
                let wait = match wait {
                    Some(wait) => format!("wait {} seconds", wait.as_secs().max(1)),
                    None => "wait five minutes".into(),
                };
                let token = if *authenticated { "" } else { ", or set HF_TOKEN: with a token more requests are free" };
                format!("{wait}{token}; what was fetched is kept")
            }
            Self::Exists { .. } => "move it away, or stage into another folder with -o".into(),
            Self::TooManyFiles { .. } => "name the folder of one repository".into(),
            Self::NotAModel { .. } => "name a model, as `hf:org/name`".into(),
            Self::Listing { .. } => "the repository is broken or hostile; do not use it".into(),
            Self::Refused { refusal, .. } => return refusal.hint(),
        })
    }
}

pub(crate) fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_hub_says_what_to_do() {
        let id = || "org/name".to_owned();
        let gated = |why| Error::Gated { id: id(), why, page: "https://h/org/name".into() };
        let errors = [
            (gated(Gate::Anonymous), ErrorKind::Denied, "HF_TOKEN"),
            (gated(Gate::NoGrant), ErrorKind::Denied, "https://h/org/name"),
            (gated(Gate::BadToken), ErrorKind::Denied, "new token"),
            (Error::BadToken { id: id() }, ErrorKind::Denied, "new token"),
            (
                Error::Missing { id: id(), authenticated: false, nearest: vec![] },
                ErrorKind::NotFound,
                "HF_TOKEN",
            ),
            (
                Error::Missing { id: id(), authenticated: true, nearest: vec![] },
                ErrorKind::NotFound,
                "member",
            ),
            (
                Error::Missing { id: id(), authenticated: true, nearest: vec!["a/b".into()] },
                ErrorKind::NotFound,
                "did you mean `a/b`?",
            ),
            (Error::Disabled { id: id() }, ErrorKind::Denied, "another copy"),
            (
                Error::RateLimited { id: id(), wait: Some(Duration::from_secs(173)), authenticated: false },
                ErrorKind::Network,
                "wait 173 seconds, or set HF_TOKEN",
            ),
            (Error::NotAModel { name: id(), kind: "dataset" }, ErrorKind::Usage, "hf:org/name"),
        ];
        for (error, kind, hint) in errors {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}: {:?}", error.hint());
        }
    }
}
