//! What a handle names on the hub: a repository, a revision, and perhaps one file of it.
//!
//! ```text
//! hf:org/name@rev                      a handle; rev is a branch, a tag, a commit or refs/pr/N
//! hf:name                              the oldest repositories had no owner; the hub redirects to their new home
//! hf:org/name/path@rev                 a file of it, to be fetched beside what the model needs
//! hf://[models/]org/name[@rev][/path]  as huggingface_hub writes it
//! https://huggingface.co/org/name[/(tree|blob|resolve|raw)/rev[/path]]
//! ```

use percent_encoding::percent_decode_str;
use url::Url;
use zoo_core::Error as CoreError;
use zoo_core::handle::Handle;
use zoo_core::path::EntryPath;

use crate::error::{Error, Result};
use crate::hub::Hub;

/// Where people find the hub.
const HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];

/// Kinds of repositories that hold no models, as paths and `hf://` name them.
const OTHER_KINDS: [&str; 4] = ["datasets", "spaces", "kernels", "buckets"];

/// First parts of the site's own pages, which nobody can be called.
const PAGES: [&str; 17] = [
    "api",
    "blog",
    "chat",
    "collections",
    "docs",
    "enterprise",
    "join",
    "learn",
    "login",
    "models",
    "new",
    "organizations",
    "papers",
    "posts",
    "pricing",
    "settings",
    "tasks",
];

/// The longest name of a repository, without its owner.
const MAX_NAME: usize = 96;

/// The branch that is meant when none is named.
pub(crate) const MAIN: &str = "main";

/// A repository, a revision of it, and perhaps one of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `org/name`, or `name`.
    pub(crate) id: String,
    /// What was asked for; `main` if nothing was.
    pub(crate) revision: String,
    /// A file that was named with it.
    pub(crate) file: Option<EntryPath>,
}

impl Asked {
    /// Reads the handle's name.
    pub(crate) fn of(handle: &Handle) -> Result<Self> {
        let text = handle.name.as_str();
        let parts: Vec<&str> = text.split('/').collect();
        if let [kind, _, ..] = parts.as_slice()
            && let Some(kind) = OTHER_KINDS.iter().find(|k| *k == kind)
        {
            return Err(Error::NotAModel { name: text.to_owned(), kind: kind.trim_end_matches('s') });
        }
        let (id, path) = match parts.as_slice() {
            [_] | [_, _] => (text.to_owned(), None),
            [owner, name, path @ ..] => (format!("{owner}/{name}"), Some(path.join("/"))),
            [] => (String::new(), None),
        };
        if let Some(reason) = bad_id(&id) {
            return Err(CoreError::BadHandle { text: handle.to_string(), reason: reason.to_owned() }.into());
        }
        let file = path.map(EntryPath::new).transpose().map_err(CoreError::from)?;
        let revision = handle.revision.as_ref().map_or(MAIN, |r| r.as_str()).to_owned();
        Ok(Self { id, revision, file })
    }

    /// Whether the revision is a whole commit id, which means the same for ever.
    pub(crate) fn is_fixed(&self) -> bool {
        is_commit(&self.revision)
    }
}

/// Forty hexadecimal digits.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Why a text is no repository's id; `None` if it is one.
pub(crate) fn bad_id(id: &str) -> Option<&'static str> {
    let name = id.rsplit('/').next().unwrap_or(id);
    if id.split('/').count() > 2 {
        return Some("a repository is `org/name`");
    }
    if name.len() > MAX_NAME {
        return Some("the hub allows 96 characters for a name");
    }
    if id.contains("--") || id.contains("..") {
        return Some("the hub allows no `--` and no `..` in a name");
    }
    if id.to_ascii_lowercase().ends_with(".git") {
        return Some("a name does not end in `.git`");
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = |part: &str| {
        let bytes = part.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.into_iter().all(|b| b.is_some_and(|b| word(*b)))
            && bytes.iter().all(|b| word(*b) || matches!(b, b'-' | b'.'))
    };
    (!id.split('/').all(good)).then_some(
        "names have letters, digits, `_`, `-` and `.`, and begin and end with a letter, a digit or `_`",
    )
}

/// Endings by which a word is a file, whose folder is missing or mistyped, rather than a repository.
const FILES: [&str; 10] = ["onnx", "pth", "pt", "bin", "safetensors", "h5", "keras", "msgpack", "pb", "gguf"];

/// Whether a bare `org/name` can only be a repository of this hub, and no file or path that another hub knows.
pub(crate) fn is_bare_id(text: &str) -> bool {
    let is_file = text.rsplit_once('.').is_some_and(|(_, ending)| FILES.contains(&ending));
    if is_file {
        return false;
    }
    let is_other = |owner: &str| {
        OTHER_KINDS.contains(&owner)
            || PAGES.contains(&owner)
            || ["onnxmodelzoo", "quantized"].contains(&owner)
    };
    text.split_once('/').is_some_and(|(owner, _)| !is_other(owner)) && bad_id(text).is_none()
}

/// A handle for `hf://…`; `None` for any other text.
pub(crate) fn spelled(text: &str) -> Option<Result<Handle>> {
    let rest = text.strip_prefix("hf://")?;
    let rest = rest.strip_prefix("models/").unwrap_or(rest).trim_end_matches('/');
    // The revision stands behind the name, before a path; it may itself hold `/` where it is one of `refs/…`.
    let (name, revision, path) = match rest.split_once('@') {
        None => (rest, None, None),
        Some((name, rest)) => {
            let parts: Vec<&str> = rest.split('/').collect();
            let (revision, path) = split_revision(&parts);
            (name, Some(revision), (!path.is_empty()).then(|| path.join("/")))
        }
    };
    let name = match path {
        Some(path) => format!("{name}/{path}"),
        None => name.to_owned(),
    };
    Some(Handle::new(Hub::NAME, &name, revision.as_deref()).map_err(Error::from))
}

/// A handle for a page or a file of the hub at `endpoint`, or of the hub at its usual place.
pub(crate) fn recognise(url: &Url, endpoint: &Url) -> Option<Handle> {
    let host = url.host_str()?;
    let is_endpoint = endpoint.host_str() == Some(host) && endpoint.port() == url.port();
    let path = if is_endpoint {
        url.path().strip_prefix(endpoint.path().trim_end_matches('/'))?
    } else {
        HOSTS.contains(&host).then(|| url.path())?
    };
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| percent_decode_str(part).decode_utf8().ok().map(Into::into))
        .collect::<Option<_>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (id, rest) = match parts.as_slice() {
        [first, ..] if PAGES.contains(first) => return None,
        // Refused by name when it is asked for.
        [kind, ..] if OTHER_KINDS.contains(kind) => (parts.join("/"), &[][..]),
        [name] => ((*name).to_owned(), &[][..]),
        [name, rest @ ..] if is_verb(rest.first()) => ((*name).to_owned(), rest),
        [owner, name, rest @ ..] => (format!("{owner}/{name}"), rest),
        [] => return None,
    };
    let [verb, at @ ..] = rest else { return Handle::new(Hub::NAME, &id, None).ok() };
    if !is_verb(Some(verb)) || at.is_empty() {
        return Handle::new(Hub::NAME, &id, None).ok();
    }
    let (revision, path) = split_revision(at);
    let is_file = *verb != "tree" && !path.is_empty();
    let named = is_file.then(|| Handle::new(Hub::NAME, &format!("{id}/{}", path.join("/")), Some(&revision)));
    // A file whose name no handle can hold is left to those that the model needs.
    named.and_then(std::result::Result::ok).or_else(|| Handle::new(Hub::NAME, &id, Some(&revision)).ok())
}

fn is_verb(part: Option<&&str>) -> bool {
    part.is_some_and(|part| ["tree", "blob", "resolve", "raw"].contains(part))
}

/// The revision at the beginning of a path: one part, or three for `refs/pr/3` and `refs/convert/parquet`.
fn split_revision<'a>(parts: &'a [&'a str]) -> (String, &'a [&'a str]) {
    match parts {
        ["refs", kind, name, path @ ..] => (format!("refs/{kind}/{name}"), path),
        [revision, path @ ..] => ((*revision).to_owned(), path),
        [] => (String::new(), parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked> {
        Asked::of(&text.parse::<Handle>().unwrap())
    }

    #[test]
    fn handles_name_a_repository_a_revision_and_perhaps_a_file() {
        let cases = [
            ("hf:org/name", "org/name", "main", None),
            ("hf:bert-base-uncased", "bert-base-uncased", "main", None),
            ("hf:org/name@refs/pr/3", "org/name", "refs/pr/3", None),
            ("hf:org/name/onnx/model.onnx@v1", "org/name", "v1", Some("onnx/model.onnx")),
        ];
        for (text, id, revision, file) in cases {
            let found = asked(text).unwrap();
            assert_eq!((found.id.as_str(), found.revision.as_str()), (id, revision), "{text}");
            assert_eq!(found.file.as_ref().map(EntryPath::as_str), file, "{text}");
        }
        assert!(asked(&format!("hf:a/b@{}", "0a".repeat(20))).unwrap().is_fixed());
        assert!(!asked("hf:a/b@main").unwrap().is_fixed() && !is_commit(&"0A".repeat(20)));
    }

    #[test]
    fn ids_follow_the_hubs_rule() {
        for good in ["a", "A.b-c_d/e.f", "_a/b_", "google-bert/bert-base-uncased", "timm/resnet18.a1_in1k"] {
            assert_eq!(bad_id(good), None, "{good}");
        }
        let long = "x".repeat(97);
        for bad in
            ["", "/", "a/", "/a", "a/b/c", "-a", "a-", ".a", "a.", "a--b", "a..b", "a.git", "a b", "ü", &long]
        {
            assert!(bad_id(bad).is_some(), "{bad}");
        }
        for refused in ["hf:a--b/c", "hf:org/name/../x"] {
            assert!(refused.parse::<Handle>().is_err() || asked(refused).is_err(), "{refused}");
        }
        assert!(is_bare_id("org/name") && !is_bare_id("name") && !is_bare_id("onnxmodelzoo/mnist-8"));
        assert!(!is_bare_id("none/none.onnx") && is_bare_id("timm/resnet18.a1_in1k"));
        assert!(!is_bare_id("models/resnet18-f37072fd.pth") && !is_bare_id("a/b/c") && !is_bare_id("./x"));
    }

    #[test]
    fn other_kinds_of_repositories_are_refused_by_name() {
        for (text, kind) in [("hf:datasets/squad", "dataset"), ("hf:spaces/org/name", "space")] {
            let error = asked(text).unwrap_err();
            assert!(error.to_string().contains(kind), "{error}");
        }
        assert_eq!(asked("hf:datasets").unwrap().id, "datasets");
    }

    #[test]
    fn the_librarys_own_spelling_is_read() {
        let handle = |text: &str| spelled(text).map(|h| h.unwrap().to_string());
        let cases = [
            ("hf://org/name", "hf:org/name"),
            ("hf://models/org/name", "hf:org/name"),
            ("hf://org/name@main", "hf:org/name@main"),
            ("hf://org/name@refs/pr/10", "hf:org/name@refs/pr/10"),
            ("hf://org/name@refs/pr/10/a/b.json", "hf:org/name/a/b.json@refs/pr/10"),
            ("hf://org/name@v1/config.json", "hf:org/name/config.json@v1"),
            ("hf://org/name/config.json", "hf:org/name/config.json"),
        ];
        for (text, expected) in cases {
            assert_eq!(handle(text).as_deref(), Some(expected), "{text}");
        }
        assert!(spelled("hf:org/name").is_none());
        let other = spelled("hf://datasets/org/name").unwrap().unwrap();
        assert!(matches!(Asked::of(&other), Err(Error::NotAModel { .. })));
        assert!(spelled("hf://").unwrap().is_err());
    }

    #[test]
    fn pages_and_files_are_recognised() {
        let endpoint: Url = "http://127.0.0.1:7/base".parse().unwrap();
        let handle = |url: &str| recognise(&url.parse().unwrap(), &endpoint).map(|h| h.to_string());
        let cases = [
            ("https://huggingface.co/org/name", Some("hf:org/name")),
            ("https://hf.co/org/name/", Some("hf:org/name")),
            ("https://huggingface.co/gpt2", Some("hf:gpt2")),
            ("https://huggingface.co/gpt2/tree/main", Some("hf:gpt2@main")),
            ("https://huggingface.co/org/name/tree/v1/onnx", Some("hf:org/name@v1")),
            ("https://huggingface.co/org/name/blob/main/a/b.txt?x=1", Some("hf:org/name/a/b.txt@main")),
            ("https://huggingface.co/org/name/resolve/refs%2Fpr%2F3/x", Some("hf:org/name/x@refs/pr/3")),
            ("https://huggingface.co/org/name/resolve/refs/pr/3/x", Some("hf:org/name/x@refs/pr/3")),
            ("https://huggingface.co/org/name/discussions/3", Some("hf:org/name")),
            ("https://huggingface.co/org/name/resolve/main/a%40b", Some("hf:org/name@main")),
            ("http://127.0.0.1:7/base/org/name", Some("hf:org/name")),
            ("https://huggingface.co/datasets/org/name/tree/main", Some("hf:datasets/org/name/tree/main")),
            ("https://huggingface.co/docs/transformers", None),
            ("https://huggingface.co/", None),
            ("http://127.0.0.1:7/org/name", None),
            ("https://example.org/org/name", None),
        ];
        for (url, expected) in cases {
            assert_eq!(handle(url).as_deref(), expected, "{url}");
        }
    }
}
