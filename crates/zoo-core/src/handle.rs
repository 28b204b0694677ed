//! What a person types. One grammar, parsed once:
//!
//! ```text
//! handle   = hub ":" name [ "@" revision ]        onnx:mnist-12    hf:org/name@refs/pr/3    tfhub:google/yamnet/1
//! spelling = handle | URL | bare name | path      what a command line accepts
//! ```
//!
//! zoo-core knows the grammar, not the hubs: which hubs exist, which URLs belong to them and which bare names they
//! have is asked of the ecosystem crates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Error, Result};

/// Longest handle in bytes; no hub allows half of it.
const MAX_HANDLE: usize = 1024;

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Parses and checks.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                match $check(&text) {
                    None => Ok(Self(text)),
                    Some(reason) => Err(Error::BadHandle { text, reason: reason.into() }),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                Self::new(String::deserialize(d)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype!(
    /// The word before the colon: `onnx`, `hf`, `torchvision`. Lower-case ASCII letters and digits, at least two (one
    /// letter would be a Windows drive).
    HubName,
    bad_hub
);
text_newtype!(
    /// A model's name as its hub writes it: parts separated by `/`, no part empty or `..`, no control character,
    /// backslash, `@` or `:`.
    ModelName,
    bad_name
);
text_newtype!(
    /// A revision as its hub writes it: a branch, a tag, a commit, a version, an opset. May hold `/` (`refs/pr/3`).
    Revision,
    bad_revision
);
text_newtype!(
    /// One of the store's folders below `models/`: `onnx`, `tensorflow`, `pytorch`, `huggingface`, `keras`.
    Ecosystem,
    bad_hub
);

fn bad_hub(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("the hub before the colon is missing"),
        _ if text.len() < 2 => Some("a hub's name has at least two letters"),
        _ if text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) => None,
        _ => Some("a hub's name has only lower-case letters and digits"),
    }
}

fn bad_name(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("the name is missing");
    }
    if text.len() > MAX_HANDLE {
        return Some("it is longer than 1024 bytes");
    }
    if text.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    if text.contains(['\\', '@', ':']) {
        return Some("the name holds a backslash, `@` or `:`");
    }
    if text.trim() != text {
        return Some("the name begins or ends with a space");
    }
    text.split('/').find_map(|part| match part {
        "" => Some("the name has an empty part"),
        "." | ".." => Some("the name has a `.` or `..` part"),
        _ => None,
    })
}

fn bad_revision(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("the revision after `@` is missing");
    }
    bad_name(text).map(|_| "the revision is not a branch, tag, commit or version name")
}

/// A hub, a name and perhaps a revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle {
    /// The hub that is asked.
    pub hub: HubName,
    /// The model, in the hub's words.
    pub name: ModelName,
    /// The revision; without one, the hub's newest or default.
    pub revision: Option<Revision>,
}

impl Handle {
    /// Puts a handle together from parts that are not parsed yet.
    pub fn new(hub: &str, name: &str, revision: Option<&str>) -> Result<Self> {
        Ok(Self {
            hub: HubName::new(hub)?,
            name: ModelName::new(name)?,
            revision: revision.map(Revision::new).transpose()?,
        })
    }
}

impl FromStr for Handle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: String| Error::BadHandle { text: text.to_owned(), reason };
        let (hub, rest) = text.split_once(':').ok_or_else(|| bad("it has no hub before a colon".into()))?;
        let (name, revision) = match rest.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (rest, None),
        };
        Self::new(hub, name, revision).map_err(|e| match e {
            Error::BadHandle { reason, .. } => bad(reason),
            other => other,
        })
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.hub, self.name)?;
        self.revision.as_ref().map_or(Ok(()), |r| write!(f, "@{r}"))
    }
}

/// What a command line was given, before any hub was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spelling {
    /// `hub:name[@revision]`.
    Handle(Handle),
    /// `http://…` or `https://…`: some hub may recognise it.
    Url(Url),
    /// Anything else: a bare name or a path.
    Bare(String),
}

impl FromStr for Spelling {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: &str| Error::BadHandle { text: text.to_owned(), reason: reason.to_owned() };
        if text.len() > MAX_HANDLE * 4 {
            return Err(Error::BadHandle {
                text: text.chars().take(60).collect::<String>() + "…",
                reason: "it is far too long".into(),
            });
        }
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            let url = Url::parse(text).map_err(|_| bad("it begins like a URL, but is not one"))?;
            return url.has_host().then_some(Self::Url(url)).ok_or_else(|| bad("the URL names no host"));
        }
        match text.split_once(':') {
            Some((hub, _)) if bad_hub(hub).is_none() => text.parse().map(Self::Handle),
            _ if text.is_empty() => Err(bad("it is empty")),
            _ => Ok(Self::Bare(text.to_owned())),
        }
    }
}

/// The names most similar to `wanted`, best first, at most `n`: those that contain it (or that it contains), then those a
/// few typing mistakes away. Case is ignored.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>, n: usize) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let mut score = strsim::normalized_damerau_levenshtein(&wanted, &lower);
            if wanted.len() >= 3 && lower.contains(&wanted) {
                score = score.max(0.8);
            } else if lower.len() >= 3 && wanted.contains(&lower) {
                score = score.max(0.7);
            }
            (score >= 0.6).then_some((score, name))
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(n).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_parse_and_print_the_same() {
        for text in [
            "onnx:mnist-12",
            "hf:google-bert/bert-base-uncased@main",
            "hf:a/b@refs/pr/3",
            "onnx:SqueezeNet 1.0@9",
        ] {
            assert_eq!(text.parse::<Handle>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_malformed_handle_is_refused_with_its_reason() {
        let cases = [
            ("mnist", "no hub"),
            (":mnist", "missing"),
            ("onnx:", "name is missing"),
            ("onnx:a@", "revision"),
            ("onnx:../x", "`..`"),
            ("onnx:a//b", "empty part"),
            ("onnx:a\u{7}", "control"),
            ("onnx:a\\b", "backslash"),
            ("ONNX:a", "lower-case"),
            ("x:a", "two letters"),
            ("onnx: a", "space"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<Handle>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn spellings_are_told_apart() {
        let spelling = |t: &str| t.parse::<Spelling>().unwrap();
        assert!(matches!(spelling("onnx:mnist-12"), Spelling::Handle(_)));
        assert!(matches!(spelling("https://huggingface.co/a/b"), Spelling::Url(_)));
        assert!(matches!(spelling("HTTPS://huggingface.co/a/b"), Spelling::Url(_)));
        assert!(matches!(spelling("mnist-12"), Spelling::Bare(_)));
        assert!(matches!(spelling("C:\\models\\x.onnx"), Spelling::Bare(_)));
        assert!(matches!(spelling("./x.onnx"), Spelling::Bare(_)));
        assert!("".parse::<Spelling>().is_err());
        assert!("https://".parse::<Spelling>().is_err());
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["mnist-12", "mnist-8", "resnet50-v1-7", "squeezenet1.0-9", "bidaf-9"];
        assert_eq!(nearest("mnist12", names, 1), ["mnist-12"]);
        assert_eq!(nearest("resnet50", names, 2), ["resnet50-v1-7"]);
        assert!(nearest("zzzzzz", names, 3).is_empty());
    }
}
