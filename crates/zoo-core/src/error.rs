//! One error type. Every message says what failed and on what; [`Error::hint`] says what to do now, apart from the
//! message, so that a program can match the first and a person reads both. [`Error::kind`] is what exit codes are made of.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::archive::ArchiveError;
use crate::digest::Digest;

/// What zoo-core's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Coarse classes of failure, one per thing a caller may want to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is malformed (a handle, a path, an option).
    Usage,
    /// No such model, revision or file.
    NotFound,
    /// A server could not be reached, or did not answer as promised.
    Network,
    /// The server wants credentials, or refuses those it got.
    Denied,
    /// Bytes arrived that are not the published ones.
    Verification,
    /// The content is something zoo will not touch: unsafe, unsupported or broken.
    Refused,
    /// The local file system refused: permissions, space, a missing folder.
    Disk,
    /// The network would be needed, and the caller forbade it.
    Offline,
}

/// Everything that can go wrong between a handle and a verified file in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is no handle.
    #[error("`{text}` is not a model handle: {reason}")]
    BadHandle {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub is known, the model is not.
    #[error("{hub} has no model named `{name}`")]
    UnknownModel {
        /// The hub, as people call it.
        hub: String,
        /// The name asked for.
        name: String,
        /// The most similar names that do exist, best first.
        nearest: Vec<String>,
    },
    /// The model exists, the revision or variant does not.
    #[error("{hub} has `{name}`, but not {wanted}")]
    UnknownRevision {
        /// The hub, as people call it.
        hub: String,
        /// The model.
        name: String,
        /// What was asked for, e.g. `opset 99`.
        wanted: String,
        /// What exists instead.
        available: Vec<String>,
    },
    /// A file operation failed.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// The operation, as a verb: "read", "create", "rename".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder to write into is in use.
    #[error("`{}` is not empty", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Not enough space, found before starting.
    #[error("`{}` has {} free, and {} more are needed", .path.display(), human(*.available), human(*.needed))]
    NoSpace {
        /// The folder on the file system that is too full.
        path: PathBuf,
        /// Bytes that are still to come.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// A server answered with a status that is not success.
    #[error("{}", http_message(.0))]
    Http(Box<HttpFailure>),
    /// No answer, or the connection broke, and trying again did not help.
    #[error("{url} could not be read: {reason}")]
    Network {
        /// Without query or credentials.
        url: String,
        /// The innermost cause, in the operating system's or TLS library's words.
        reason: String,
    },
    /// More redirects than any hub uses, or a circle.
    #[error("{url} redirects without end ({hops} hops)")]
    Redirects {
        /// Where it began, without query.
        url: String,
        /// How many were followed.
        hops: usize,
    },
    /// The server's answer makes no sense for the request.
    #[error("{url} answered unexpectedly: {reason}")]
    Protocol {
        /// Without query or credentials.
        url: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// The length differs from the published one.
    #[error("{file}: {url} has {found} bytes, the hub published {expected}")]
    WrongSize {
        /// Path within the model.
        file: String,
        /// Where the bytes came from, without query.
        url: String,
        /// Published length in bytes.
        expected: u64,
        /// Length found in bytes.
        found: u64,
    },
    /// The content differs from what was published.
    #[error("{file}: {origin} has {found}, the hub published {expected}")]
    WrongDigest {
        /// Path within the model.
        file: String,
        /// Where the bytes came from: a URL without query, or a path.
        origin: String,
        /// Published digest.
        expected: Digest,
        /// Digest found, of the same algorithm.
        found: Digest,
    },
    /// A server sent something that stands for the file instead of the file.
    #[error("{file}: {url} sent {what} instead of the file")]
    NotTheFile {
        /// Path within the model.
        file: String,
        /// Where the bytes came from, without query.
        url: String,
        /// "a Git LFS pointer", "a web page".
        what: &'static str,
    },
    /// Every source of a file failed; each with its own reason.
    #[error("{file}: none of its {} sources could be used:{}", .attempts.len(), attempts_text(.attempts))]
    AllSources {
        /// Path within the model.
        file: String,
        /// In the order tried.
        attempts: Vec<Error>,
    },
    /// The network is needed, but offline mode is on.
    #[error("{what} is not in the store, and offline mode is on")]
    Offline {
        /// What would have been fetched.
        what: String,
        /// Stored models with similar names.
        nearest: Vec<String>,
    },
    /// Nothing of that name in the store.
    #[error("the store at `{}` has no `{what}`", .home.display())]
    NotStored {
        /// The handle or path asked for.
        what: String,
        /// The store's home.
        home: PathBuf,
        /// Stored models with similar names.
        nearest: Vec<String>,
    },
    /// A manifest that is damaged.
    #[error("the manifest `{}` is damaged: {reason}", .path.display())]
    Manifest {
        /// The `zoo.json`.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest that is none of ours to judge: a newer zoo wrote it.
    #[error("the manifest `{}` has schema {schema}, written by a newer zoo; this one reads up to {}", .path.display(), crate::manifest::SCHEMA)]
    NewerManifest {
        /// The `zoo.json`.
        path: PathBuf,
        /// Its schema.
        schema: u32,
    },
    /// A hub's own catalogue or API answer that cannot be understood.
    #[error("the answer of {url} cannot be used: {reason}")]
    Answer {
        /// Without query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path from outside that would leave its folder.
    #[error(transparent)]
    Path(#[from] crate::path::EntryPathError),
    /// An archive that is unsafe, broken or truncated.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The HTTP client could not be set up (a proxy URL, a certificate file).
    #[error("the HTTP client cannot be set up: {reason}")]
    Client {
        /// What is wrong.
        reason: String,
    },
}

/// Facts of an HTTP failure, kept for callers that know the hub's own codes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpFailure {
    /// Without query or credentials.
    pub url: String,
    /// The status code.
    pub status: u16,
    /// The hub's machine-readable code, where it sends one (`X-Error-Code`).
    pub code: Option<String>,
    /// What the server said for people, at most a few hundred characters.
    pub message: Option<String>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether a token was sent along.
    pub authenticated: bool,
}

fn http_message(f: &HttpFailure) -> String {
    let mut text = format!("{} answered {}", f.url, f.status);
    if let Some(code) = &f.code {
        text = format!("{text} {code}");
    }
    if let Some(message) = f.message.as_ref().filter(|m| !m.is_empty()) {
        text = format!("{text}: {message}");
    }
    text
}

fn attempts_text(attempts: &[Error]) -> String {
    attempts.iter().fold(String::new(), |text, e| format!("{text}\n  - {e}"))
}

/// Bytes for people: three significant digits, powers of 1024.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match UNITS.get(unit) {
        Some(u) if unit == 0 => format!("{bytes} {u}"),
        Some(u) if value < 10.0 => format!("{value:.2} {u}"),
        Some(u) if value < 100.0 => format!("{value:.1} {u}"),
        Some(u) => format!("{value:.0} {u}"),
        None => format!("{bytes} B"),
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The class of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BadHandle { .. } | Self::Client { .. } | Self::NotEmpty { .. } => ErrorKind::Usage,
            Self::UnknownModel { .. } | Self::UnknownRevision { .. } | Self::NotStored { .. } => {
                ErrorKind::NotFound
            }
            Self::Io { .. }
            | Self::NoSpace { .. }
            | Self::Archive(ArchiveError::Read { .. } | ArchiveError::Write { .. }) => ErrorKind::Disk,
            Self::Http(f) => match f.status {
                401 | 403 => ErrorKind::Denied,
                404 | 410 => ErrorKind::NotFound,
                _ => ErrorKind::Network,
            },
            Self::Network { .. } | Self::Redirects { .. } | Self::Protocol { .. } | Self::Answer { .. } => {
                ErrorKind::Network
            }
            Self::WrongSize { .. } | Self::WrongDigest { .. } | Self::NotTheFile { .. } => {
                ErrorKind::Verification
            }
            // Tampered bytes matter more than a mirror that was also down, so the gravest reason speaks for all.
            Self::AllSources { attempts, .. } => {
                let has = |kind| attempts.iter().any(|e| e.kind() == kind);
                [ErrorKind::Verification, ErrorKind::Disk, ErrorKind::Denied, ErrorKind::Network]
                    .into_iter()
                    .find(|k| has(*k))
                    .unwrap_or(ErrorKind::NotFound)
            }
            Self::Offline { .. } => ErrorKind::Offline,
            Self::Archive(ArchiveError::Truncated { .. }) => ErrorKind::Verification,
            Self::Manifest { .. } | Self::NewerManifest { .. } | Self::Path(_) | Self::Archive(_) => {
                ErrorKind::Refused
            }
        }
    }

    /// What to do now, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadHandle { .. } => {
                Some("a handle looks like `onnx:mnist-12`: the hub, a colon, the hub's own name, and `@revision` if you need one".into())
            }
            Self::UnknownModel { nearest, .. } | Self::Offline { nearest, .. } | Self::NotStored { nearest, .. }
                if !nearest.is_empty() =>
            {
                Some(format!("did you mean {}?", list(nearest)))
            }
            Self::UnknownModel { .. } => Some("`zoo search TEXT` finds names".into()),
            Self::UnknownRevision { available, .. } if !available.is_empty() => {
                Some(format!("there is {}", list(available)))
            }
            Self::Offline { .. } => Some("run again without --offline (and without ZOO_OFFLINE)".into()),
            Self::NotStored { .. } => Some("`zoo cache ls` lists what is stored".into()),
            Self::Io { source, .. } => io_hint(source),
            Self::NotEmpty { .. } => Some("name a folder that is empty or does not exist yet".into()),
            Self::NoSpace { .. } => Some(
                "free some space (`zoo cache gc` can), or put the store elsewhere with ZOO_HOME; what was fetched is kept".into(),
            ),
            Self::Http(f) => http_hint(f),
            Self::Network { .. } => {
                Some("check the connection and the proxy settings; what was fetched is kept, and the same command resumes".into())
            }
            Self::Redirects { .. } | Self::Protocol { .. } | Self::Answer { .. } => {
                Some("the hub may have changed or be broken; try again later, or report it".into())
            }
            Self::WrongSize { .. } | Self::WrongDigest { .. } => Some(
                "nothing unverified was kept; the file may have been changed at the source or on the way: do not use it until the hub explains".into(),
            ),
            Self::NotTheFile { what, .. } if what.contains("page") => {
                Some("a proxy, a login page or a captive portal stands between; open the URL in a browser".into())
            }
            Self::NotTheFile { .. } => Some("the repository no longer serves the content itself; another source is needed".into()),
            Self::AllSources { attempts, .. } => {
                let kind = self.kind();
                attempts.iter().find(|e| e.kind() == kind).and_then(Self::hint)
            }
            Self::Manifest { .. } => {
                Some("pulling the model again repairs it; `zoo cache gc --unfinished` removes it".into())
            }
            Self::NewerManifest { .. } => Some("use the newer zoo, or another store (ZOO_HOME)".into()),
            Self::Archive(e) => e.hint(),
            Self::UnknownRevision { .. } | Self::Path(_) | Self::Client { .. } => None,
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn io_hint(source: &io::Error) -> Option<String> {
    Some(match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space (`zoo cache gc` can), or set ZOO_HOME; what was fetched is kept, and the same command resumes".into()
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that you may write to with ZOO_HOME (or --home)".into()
        }
        _ => return None,
    })
}

fn http_hint(f: &HttpFailure) -> Option<String> {
    Some(match f.status {
        401 | 403 if f.authenticated => "the token was refused: it may be expired, or lack access to this model".into(),
        401 | 403 => "the model may be private, gated or gone; if you have access, give zoo your token (HF_TOKEN for Hugging Face)".into(),
        404 | 410 => "the hub no longer has this file".into(),
        429 => match f.retry_after {
            Some(wait) => format!("too many requests: the hub asks to wait {} seconds", wait.as_secs().max(1)),
            None => "too many requests: wait some minutes, or use a token".into(),
        },
        500.. => "the hub has trouble; try again later: what was fetched is kept".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_naturally() {
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(1536), "1.50 KiB");
        assert_eq!(human(435_852_734), "416 MiB");
        assert_eq!(human(u64::MAX), "16384 PiB");
    }

    #[test]
    fn the_gravest_reason_speaks_for_all_sources() {
        let gone = |status| {
            Error::Http(Box::new(HttpFailure {
                url: "https://h/x".into(),
                status,
                code: None,
                message: None,
                retry_after: None,
                authenticated: false,
            }))
        };
        let tampered =
            Error::WrongSize { file: "f".into(), url: "https://h/x".into(), expected: 1, found: 2 };
        let all = Error::AllSources { file: "f".into(), attempts: vec![gone(404), tampered, gone(500)] };
        assert_eq!(all.kind(), ErrorKind::Verification);
        assert!(all.hint().unwrap().contains("do not use it"));
        assert_eq!(all.to_string().lines().count(), 4);
        let all = Error::AllSources { file: "f".into(), attempts: vec![gone(404), gone(404)] };
        assert_eq!(all.kind(), ErrorKind::NotFound);
    }
}
