//! What can be wrong with an archive. Every variant names the member it is about.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A zip has its directory at the end and cannot be unpacked from a stream.
    #[error("a zip archive cannot be read from a stream: its directory is at the end")]
    NeedsSeek,
    /// The archive stops early.
    #[error("the archive is truncated: it ends {place}")]
    Truncated {
        /// Where it ends.
        place: Place,
    },
    /// Contradictory or undecodable content, or a checksum that does not match.
    #[error("{}: {reason}", broken(.member.as_ref()))]
    Corrupt {
        /// The member, unless it is the archive's own structure.
        member: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// A name that could lead out of the folder, or means different files on different systems.
    #[error("the archive has a member with an unsafe name: {reason}")]
    UnsafeName {
        /// The name, made printable.
        member: String,
        /// What is wrong with it, the name included.
        reason: String,
    },
    /// An entry that is neither a file nor a folder.
    #[error("the archive's member `{member}` is a {kind}; only files and folders are unpacked")]
    Special {
        /// The member.
        member: String,
        /// "symbolic link", "device", "sparse file" …
        kind: String,
    },
    /// Encryption, or a compression that zoo does not decode.
    #[error("{} uses {feature}, which is not supported", subject(.member.as_ref()))]
    Unsupported {
        /// The member, unless the archive as a whole is meant.
        member: Option<String>,
        /// What it uses.
        feature: String,
    },
    /// Two members that would be one file, or a file that would also be a folder.
    #[error("the archive's members `{first}` and `{member}` cannot both exist: {reason}")]
    Clash {
        /// The later member.
        member: String,
        /// The earlier one.
        first: String,
        /// "they have the same name" …
        reason: &'static str,
    },
    /// More than [`Limits`](super::Limits) allow.
    #[error("the archive asks for too much at `{member}`: {bound} exceeds the limit of {allowed}")]
    Limit {
        /// The member at which the limit was passed.
        member: String,
        /// Which limit.
        bound: Bound,
        /// Its value.
        allowed: u64,
    },
    /// The archive has no such member.
    #[error("the archive has no member `{member}`")]
    Missing {
        /// The member asked for.
        member: String,
    },
    /// The target is taken; nothing is ever overwritten.
    #[error("the archive's member `{member}` would overwrite `{}`", .path.display())]
    Exists {
        /// The member.
        member: String,
        /// What is there already.
        path: PathBuf,
    },
    /// The archive itself could not be read.
    #[error("cannot read the archive{}", at(.member.as_ref()))]
    Read {
        /// The member that was being read, if any.
        member: Option<String>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The content could not be written.
    #[error("cannot {action} `{}` for the archive's member `{member}`", .path.display())]
    Write {
        /// The member.
        member: String,
        /// The operation, as a verb: "create", "write", "flush".
        action: &'static str,
        /// The file or folder; for content handed to the caller's writer, the member's own path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NeedsSeek => "save it to a file first",
            Self::Truncated { .. } => "the download is probably incomplete: fetch the archive again",
            Self::Corrupt { .. } => {
                "fetch the archive again; if it stays like this, it is broken at its source: report it to the publisher"
            }
            Self::UnsafeName { .. } | Self::Special { .. } | Self::Clash { .. } => {
                "nothing of this kind belongs into a model's archive: ask the publisher, and do not unpack it by other means unless you trust it"
            }
            Self::Unsupported { .. } => {
                "unpack it yourself, pack it again with plain deflate, and use the local files"
            }
            Self::Limit { .. } => {
                "if the archive is what you expect, unpack it yourself and use the local files; otherwise it is a decompression bomb"
            }
            Self::Missing { .. } => "list the archive's members to see what it has",
            Self::Exists { .. } => "unpack into an empty folder",
            Self::Read { .. } => "check that the file is readable and its disk healthy",
            Self::Write { .. } => "check the free space and the permissions of the folder",
        };
        Some(text.to_owned())
    }
}

/// Where a truncated archive ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Within the content of a member.
    Inside {
        /// The member.
        member: String,
        /// How many bytes of its (uncompressed) content came before the end.
        after: u64,
    },
    /// Between members, before the end marker.
    Between {
        /// The last complete member, if there was one.
        last: Option<String>,
        /// Length of the (uncompressed) archive so far, in bytes.
        after: u64,
    },
    /// Before the directory that a zip has at its end.
    Directory {
        /// Length of the archive in bytes.
        after: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside { member, after } => write!(f, "inside `{member}`, after {after} bytes of it"),
            Self::Between { last: Some(last), after } => {
                write!(f, "after `{last}` and {after} bytes, without an end marker")
            }
            Self::Between { last: None, after } => write!(f, "before its first member, after {after} bytes"),
            Self::Directory { after } => {
                write!(f, "before the directory of its members, after {after} bytes")
            }
        }
    }
}

/// Which of the [`Limits`](super::Limits) was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// Bytes of all members together.
    TotalBytes,
    /// Bytes of one member.
    MemberBytes,
    /// Number of entries.
    Members,
    /// Bytes out per byte in.
    Ratio,
    /// Bytes of a name.
    NameLength,
    /// Parts of a name.
    Depth,
    /// Bytes of a header that is read into memory: a long name, a pax header, a zip's directory, all names together.
    HeaderBytes,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TotalBytes => "the total size in bytes",
            Self::MemberBytes => "its size in bytes",
            Self::Members => "the number of entries",
            Self::Ratio => "the compression ratio",
            Self::NameLength => "the length of its name in bytes",
            Self::Depth => "the number of folders in its name",
            Self::HeaderBytes => "the size of the headers in bytes",
        })
    }
}

/// A name from an archive, fit for a message: no control characters, not endless.
pub(super) fn shown(raw: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(raw.get(..4 * MOST).unwrap_or(raw));
    let mut out: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().count() > MOST || raw.len() > 4 * MOST {
        out.push('…');
    }
    out
}

fn subject(member: Option<&String>) -> String {
    member.map_or_else(|| "the archive".to_owned(), |m| format!("the archive's member `{m}`"))
}

fn broken(member: Option<&String>) -> String {
    format!("{} is broken", subject(member))
}

fn at(member: Option<&String>) -> String {
    member.map_or_else(String::new, |m| format!(" at `{m}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_printable_and_short() {
        assert_eq!(shown(b"a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
        assert!(shown(&[b'x'; 5000]).len() < 300);
        assert!(shown(&[0xff; 5000]).chars().count() < 300);
    }
}
