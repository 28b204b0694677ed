//! What is odd about a container and does not keep it from being read.

use std::fmt;

/// An oddity.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A stored member's checksum is not the one in the table of contents. PyTorch writes such archives when it is told
    /// to save time, so this is no proof of damage; a published SHA-256 is what proves a file.
    Checksum {
        /// The member.
        member: String,
        /// The CRC-32 that the table of contents gives.
        promised: u32,
        /// That of the bytes.
        found: u32,
    },
    /// Something follows the last storage of a legacy checkpoint. PyTorch does not look at it either.
    Trailing {
        /// Where it begins.
        offset: u64,
        /// How many bytes.
        bytes: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { member, promised, found } => {
                write!(f, "the checksum of \"{member}\" is {found:08x}, the archive says {promised:08x}")
            }
            Self::Trailing { offset, bytes } => {
                write!(f, "{bytes} bytes follow the last storage, from byte {offset} on")
            }
        }
    }
}
