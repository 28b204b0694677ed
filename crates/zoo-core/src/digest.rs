//! Digests as the hubs publish them, and one hasher that computes all of them in a single pass.
//!
//! Every hub publishes something else: SHA-256 (Git LFS, Keras ConvNeXt), the git blob id (small Hugging Face files), MD5
//! and CRC-32C (object stores), or just the first digits of a SHA-256 in the file name (torchvision). zoo always computes
//! SHA-256 as well, because the store's index and `zoo.json` are keyed by it.

use std::fmt;
use std::str::FromStr;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// One digest of a file's content.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Digest {
    /// SHA-256 of the content.
    Sha256([u8; 32]),
    /// Git's blob id: SHA-1 of `"blob <decimal length>\0"` followed by the content.
    GitBlob([u8; 20]),
    /// MD5 of the content. Not collision resistant: proves transport, not origin.
    Md5([u8; 16]),
    /// CRC-32C (Castagnoli) of the content. Proves transport only.
    Crc32c(u32),
    /// The first hexadecimal digits (8 to 63, lower case) of the content's SHA-256.
    Sha256Prefix(String),
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a digest: expected `sha256:`, `git-sha1:`, `md5:`, `crc32c:` or `sha256-prefix:` and hexadecimal digits of the right length"
)]
pub struct DigestParseError {
    text: String,
}

impl Digest {
    /// A SHA-256 from 64 hexadecimal digits.
    pub fn sha256_hex(text: &str) -> Result<Self, DigestParseError> {
        fixed(text).map(Self::Sha256).ok_or_else(|| DigestParseError { text: text.to_owned() })
    }

    /// The name of the algorithm, as written before the colon.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::GitBlob(_) => "git-sha1",
            Self::Md5(_) => "md5",
            Self::Crc32c(_) => "crc32c",
            Self::Sha256Prefix(_) => "sha256-prefix",
        }
    }

    /// The value in lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        match self {
            Self::Sha256(b) => hex::encode(b),
            Self::GitBlob(b) => hex::encode(b),
            Self::Md5(b) => hex::encode(b),
            Self::Crc32c(v) => format!("{v:08x}"),
            Self::Sha256Prefix(p) => p.clone(),
        }
    }

    /// Whether nobody can make other content with this digest on purpose (as far as is known).
    pub fn identifies_content(&self) -> bool {
        matches!(self, Self::Sha256(_))
    }
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

impl FromStr for Digest {
    type Err = DigestParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (algorithm, value) = text.split_once(':')?;
            Some(match algorithm {
                "sha256" => Self::Sha256(fixed(value)?),
                "git-sha1" => Self::GitBlob(fixed(value)?),
                "md5" => Self::Md5(fixed(value)?),
                "crc32c" => Self::Crc32c(u32::from_be_bytes(fixed(value)?)),
                "sha256-prefix" if (8..64).contains(&value.len()) && value.bytes().all(is_lower_hex) => {
                    Self::Sha256Prefix(value.to_owned())
                }
                _ => return None,
            })
        };
        parse().ok_or_else(|| DigestParseError { text: text.to_owned() })
    }
}

fn is_lower_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Clone)]
/// Computes SHA-256 and whichever other digests were published, in one pass over the content.
pub struct Hasher {
    sha256: Sha256,
    git: Option<Sha1>,
    md5: Option<Md5>,
    crc32c: Option<u32>,
    length: u64,
}

impl Hasher {
    /// A hasher for SHA-256 and every algorithm in `published`. `size` is the content's length in bytes; the git blob id
    /// begins with it, so without a size that one digest is not computed (and `Digests::check` will say so).
    pub fn new(published: &[Digest], size: Option<u64>) -> Self {
        let wants = |f: fn(&Digest) -> bool| published.iter().any(f);
        let git = size.filter(|_| wants(|d| matches!(d, Digest::GitBlob(_)))).map(|n| {
            let mut sha1 = Sha1::new();
            sha1.update(format!("blob {n}\0").as_bytes());
            sha1
        });
        Self {
            sha256: Sha256::new(),
            git,
            md5: wants(|d| matches!(d, Digest::Md5(_))).then(Md5::new),
            crc32c: wants(|d| matches!(d, Digest::Crc32c(_))).then_some(0),
            length: 0,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(h) = &mut self.git {
            h.update(bytes);
        }
        if let Some(h) = &mut self.md5 {
            h.update(bytes);
        }
        if let Some(c) = &mut self.crc32c {
            *c = crc32c::crc32c_append(*c, bytes);
        }
        self.length += bytes.len() as u64;
    }

    /// How many bytes were added so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The finished digests.
    pub fn finish(self) -> Digests {
        Digests {
            sha256: self.sha256.finalize().into(),
            git: self.git.map(|h| h.finalize().into()),
            md5: self.md5.map(|h| h.finalize().into()),
            crc32c: self.crc32c,
            length: self.length,
        }
    }
}

/// What a [`Hasher`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    git: Option<[u8; 20]>,
    md5: Option<[u8; 16]>,
    crc32c: Option<u32>,
    /// Length of the content in bytes.
    pub length: u64,
}

/// A digest that differs from the published one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What the hub published.
    pub expected: Digest,
    /// What the content has.
    pub found: Digest,
}

impl Digests {
    /// SHA-256 as a [`Digest`].
    pub fn sha256(&self) -> Digest {
        Digest::Sha256(self.sha256)
    }

    /// The git blob id, if it was asked for.
    pub fn git_blob(&self) -> Option<Digest> {
        self.git.map(Digest::GitBlob)
    }

    /// Compares with everything that was published; the first difference is the answer.
    pub fn check(&self, published: &[Digest]) -> Result<(), Mismatch> {
        for expected in published {
            let found = match expected {
                Digest::Sha256(_) => self.sha256(),
                Digest::Sha256Prefix(p) => {
                    let full = hex::encode(self.sha256);
                    Digest::Sha256Prefix(full.get(..p.len()).unwrap_or(&full).to_owned())
                }
                // A digest that could not be computed (git blob without a size) must not pass as equal.
                Digest::GitBlob(_) => Digest::GitBlob(self.git.unwrap_or_default()),
                Digest::Md5(_) => Digest::Md5(self.md5.unwrap_or_default()),
                Digest::Crc32c(e) => Digest::Crc32c(self.crc32c.unwrap_or(!e)),
            };
            if found != *expected {
                return Err(Mismatch { expected: expected.clone(), found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests_of(content: &[u8], published: &[&str]) -> (Vec<Digest>, Digests) {
        let published: Vec<Digest> = published.iter().map(|t| t.parse().unwrap()).collect();
        let mut h = Hasher::new(&published, Some(content.len() as u64));
        for part in content.chunks(3) {
            h.update(part);
        }
        (published, h.finish())
    }

    #[test]
    fn every_algorithm_agrees_with_its_reference_value() {
        // Reference values: coreutils sha256sum and md5sum, `git hash-object`, RFC 3720's CRC-32C check value.
        let (published, found) = digests_of(
            b"123456789",
            &[
                "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
                "md5:25f9e794323b453885f5181f1b624d0b",
                "git-sha1:e2e107ac61ac259b87c544f6e7a4eb03422c6c21",
                "crc32c:e3069283",
                "sha256-prefix:15e2b0d3",
            ],
        );
        assert_eq!(found.check(&published), Ok(()));
    }

    #[test]
    fn a_difference_names_both_sides() {
        let (_, found) = digests_of(b"abc", &[]);
        let wrong: Digest = "sha256-prefix:00000000".parse().unwrap();
        let mismatch = found.check(std::slice::from_ref(&wrong)).unwrap_err();
        assert_eq!(mismatch.expected, wrong);
        assert_eq!(mismatch.found.to_string(), "sha256-prefix:ba7816bf");
    }

    #[test]
    fn a_digest_that_was_not_computed_never_passes() {
        let published = [Digest::GitBlob([7; 20])];
        let mut h = Hasher::new(&published, None);
        h.update(b"abc");
        assert!(h.finish().check(&published).is_err());
        let crc = [Digest::Crc32c(5)];
        assert!(Hasher::new(&[], None).finish().check(&crc).is_err());
    }

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        for text in
            ["sha256:ab", "sha256", "md5:zz", "sha256-prefix:ABCDEF01", "sha256-prefix:1234567", "sha512:00"]
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        let text = "crc32c:00000001";
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    }
}
