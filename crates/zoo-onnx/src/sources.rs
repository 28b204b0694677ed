//! Where the hub's files are: its manifest and Git LFS pointers, the two repositories that serve each file, the caches of
//! other tools that may hold a copy, and the URLs that people paste.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;
use zoo_core::digest::Digest;
use zoo_core::handle::Handle;
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::store::Pull;
use zoo_core::{Error as CoreError, blocking, http};

use crate::catalog::{Catalog, Entry};
use crate::describe::external_files;
use crate::error::Result;
use crate::hub::Hub;

/// The zoo's manifest is a third of a megabyte.
const MAX_MANIFEST: usize = 16 << 20;
const MANIFEST: &str = "ONNX_HUB_MANIFEST.json";

/// The repository is archived, so a day-old manifest is as good as a new one.
const MANIFEST_STAYS: Duration = Duration::from_hours(24);

/// A Git LFS pointer has about 130 bytes.
const MAX_POINTER: usize = 1024;

impl Hub {
    /// A handle for a URL of this hub: a page or file of the GitHub repository, or of `onnxmodelzoo` on Hugging Face.
    pub fn recognise(&self, url: &Url) -> Option<Handle> {
        let parts: Vec<String> = url.path_segments()?.map(decoded).collect::<Option<Vec<_>>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        let host = url.host_str()?;
        let is = |endpoint: &Url| endpoint.host_str() == Some(host) && endpoint.port() == url.port();
        let path = match (host, parts.as_slice()) {
            ("github.com" | "www.github.com", ["onnx", "models", "blob" | "raw" | "tree", _, rest @ ..])
            | ("media.githubusercontent.com", ["media", "onnx", "models", _, rest @ ..]) => rest.join("/"),
            (_, ["onnx", "models", _, rest @ ..]) if is(&self.config.raw_endpoint) => rest.join("/"),
            (_, ["onnxmodelzoo", "legacy_models", "blob" | "raw" | "resolve" | "tree", _, rest @ ..])
                if host == "hf.co" || is(&self.config.hf_endpoint) =>
            {
                rest.join("/")
            }
            (_, ["onnxmodelzoo", repository, ..])
                if *repository != "legacy_models" && (host == "hf.co" || is(&self.config.hf_endpoint)) =>
            {
                (*repository).to_owned()
            }
            _ => return None,
        };
        let catalog = self.local_catalog();
        let name = match catalog.find(&path, None) {
            Ok(entry) => entry.name.clone(),
            // An archive or a folder of a model's path stands for the model.
            Err(_) => catalog
                .entries()
                .iter()
                .find(|e| {
                    e.archive.as_ref().is_some_and(|a| a.path.as_str() == path)
                        || (!path.is_empty() && e.folder().starts_with(&path) && !path.contains('.'))
                })
                .map_or(path, |e| e.name.clone()),
        };
        Handle::new(Self::NAME, &name, None).ok()
    }

    /// The manifest as last fetched, else the copy compiled in.
    pub(crate) fn local_catalog(&self) -> Catalog {
        self.kept().map_or_else(Catalog::embedded, |(catalog, _)| catalog)
    }

    fn kept(&self) -> Option<(Catalog, Duration)> {
        let (bytes, age) = self.zoo.kept_document(Self::NAME, &self.kept_name(), MAX_MANIFEST as u64)?;
        Some((Catalog::parse(&bytes).ok()?, age))
    }

    /// Manifests of different servers must not be taken for one another.
    fn kept_name(&self) -> String {
        let endpoint = &self.config.raw_endpoint;
        let port = endpoint.port().map(|p| format!("-{p}")).unwrap_or_default();
        format!("{}{port}-{MANIFEST}", endpoint.host_str().unwrap_or("unknown"))
    }

    /// The current manifest; when it cannot be had, what is at hand serves: digests do not depend on where they came from.
    pub(crate) async fn catalog(&self) -> Catalog {
        let kept = self.kept();
        if let Some((catalog, age)) = &kept
            && (*age < MANIFEST_STAYS || self.zoo.offline())
        {
            return catalog.clone();
        }
        if !self.zoo.offline() {
            match self.fetch_manifest().await {
                Ok(catalog) => return catalog,
                Err(error) => tracing::warn!(%error, "using the catalogue at hand"),
            }
        }
        kept.map_or_else(Catalog::embedded, |(catalog, _)| catalog)
    }

    async fn fetch_manifest(&self) -> Result<Catalog> {
        let url = join(&self.config.raw_endpoint, &["onnx", "models", "main", MANIFEST]);
        let answer = |reason: String| CoreError::Answer { url: http::shown(&url), reason };
        let document = self.zoo.client().document(&url, None, MAX_MANIFEST).await?;
        let document = document.ok_or_else(|| answer("it is empty".into()))?;
        let catalog = Catalog::parse(&document.bytes).map_err(answer)?;
        if let Err(error) = self.zoo.keep_document(Self::NAME, &self.kept_name(), &document.bytes) {
            tracing::info!(%error, "the manifest is not kept");
        }
        Ok(catalog)
    }

    /// SHA-256 and size by the Git LFS pointer of a path, where there is one (and a network to ask).
    pub(crate) async fn pointer(&self, path: &str) -> Option<(Digest, u64)> {
        if self.zoo.offline() {
            return None;
        }
        let mut parts = vec!["onnx", "models", "main"];
        parts.extend(path.split('/'));
        let url = join(&self.config.raw_endpoint, &parts);
        let document = match self.zoo.client().document(&url, None, MAX_POINTER).await {
            Ok(document) => document?,
            Err(error) => {
                tracing::info!(%error, "no pointer");
                return None;
            }
        };
        parse_pointer(&document.bytes)
    }

    pub(crate) fn resolve_url(&self, repository: &str, path: &str) -> Url {
        let mut parts = vec!["onnxmodelzoo", repository, "resolve", "main"];
        parts.extend(path.split('/'));
        join(&self.config.hf_endpoint, &parts)
    }

    pub(crate) fn model_file(&self, entry: &Entry) -> Result<RemoteFile> {
        let name = entry.file_name();
        let own = self.resolve_url(entry.repository(), &name);
        let mut file = RemoteFile::new(EntryPath::new(name).map_err(CoreError::from)?, own);
        file.sources.push(self.resolve_url("legacy_models", entry.path.as_str()));
        file.size = entry.bytes;
        file.digests.extend(entry.sha256.clone());
        file.local = self.local_copies(entry, entry.path.as_str(), entry.sha256.as_ref());
        Ok(file)
    }

    /// Where `onnx.hub` and `huggingface_hub` would have put a file.
    fn local_copies(&self, entry: &Entry, path: &str, sha256: Option<&Digest>) -> Vec<PathBuf> {
        let Some(hex) = sha256.map(Digest::hex) else { return Vec::new() };
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let mut copies = Vec::new();
        for root in &self.config.caches {
            // Caches made before 2024 have no `validated/` in front.
            for folder in [folder, folder.strip_prefix("validated/").unwrap_or(folder)] {
                copies.push(root.join(folder).join(format!("{hex}_{file}")));
            }
        }
        for root in &self.config.hf_caches {
            for repository in [entry.repository(), "legacy_models"] {
                copies
                    .push(root.join(format!("models--onnxmodelzoo--{repository}")).join("blobs").join(&hex));
            }
        }
        copies.dedup();
        copies
    }

    /// External data shows only when the model is read: brings the files it names, from beside it.
    pub(crate) async fn fetch_external(&self, pull: &mut Pull, entry: &Entry) -> Result<()> {
        let path = pull.originals().join(entry.file_name());
        let names = blocking(move || external_files(&zoo_graph::Model::open(&path)?)).await?;
        let mut files = Vec::new();
        for name in names {
            if pull.entries().iter().any(|e| e.path.as_str().strip_prefix("original/") == Some(name.as_str()))
            {
                continue;
            }
            let in_repository = format!("{}/{name}", entry.folder());
            let mut file = RemoteFile::new(name.clone(), self.resolve_url(entry.repository(), name.as_str()));
            file.sources.push(self.resolve_url("legacy_models", &in_repository));
            if let Some((digest, bytes)) = self.pointer(&in_repository).await {
                file.local = self.local_copies(entry, &in_repository, Some(&digest));
                file.digests.push(digest);
                file.size = Some(bytes);
            }
            files.push(file);
        }
        if !files.is_empty() {
            pull.fetch(&files).await?;
        }
        Ok(())
    }
}

/// `oid sha256:<64 digits>` and `size <n>` of a Git LFS pointer.
fn parse_pointer(bytes: &[u8]) -> Option<(Digest, u64)> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.starts_with("version https://git-lfs") {
        return None;
    }
    let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    Some((field("oid")?.parse().ok()?, field("size")?.trim().parse().ok()?))
}

fn join(base: &Url, parts: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(parts);
    }
    url
}

fn decoded(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use zoo_core::Zoo;

    use super::*;
    use crate::hub::OnnxConfig;

    fn hub() -> Hub {
        let home = std::env::temp_dir().join("zoo-onnx-tests-write-nothing-here");
        Hub::new(&Zoo::open(zoo_core::ZooConfig::new(home)))
    }

    #[test]
    fn the_hubs_own_urls_are_recognised() {
        let cases = [
            (
                "https://github.com/onnx/models/blob/main/validated/vision/classification/mnist/model/mnist-8.onnx",
                Some("mnist-8"),
            ),
            (
                "https://github.com/onnx/models/raw/main/validated/vision/classification/mnist/model/mnist-12.tar.gz",
                Some("mnist-12"),
            ),
            (
                "https://raw.githubusercontent.com/onnx/models/main/validated/vision/classification/mnist/model/mnist-7.onnx",
                Some("mnist-7"),
            ),
            (
                "https://media.githubusercontent.com/media/onnx/models/main/validated/vision/classification/mnist/model/mnist-7.onnx",
                Some("mnist-7"),
            ),
            ("https://huggingface.co/onnxmodelzoo/mnist-8", Some("mnist-8")),
            ("https://hf.co/onnxmodelzoo/mnist-8/resolve/main/mnist-8.onnx?download=true", Some("mnist-8")),
            (
                "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/validated/vision/classification/mnist/model/mnist-8.onnx",
                Some("mnist-8"),
            ),
            ("https://huggingface.co/google-bert/bert-base-uncased", None),
            ("https://github.com/onnx/onnx", None),
            ("https://example.org/onnx/models/main/x.onnx", None),
        ];
        for (url, expected) in cases {
            let found = hub().recognise(&Url::parse(url).unwrap()).map(|h| h.name.to_string());
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn names_with_odd_characters_become_urls() {
        let base = Url::parse("https://h.example/base/").unwrap();
        assert_eq!(
            join(&base, &["a b", "ü+%#.onnx"]).as_str(),
            "https://h.example/base/a%20b/%C3%BC+%25%23.onnx"
        );
    }

    #[test]
    fn pointers_parse_or_are_none() {
        let sha = "ab".repeat(32);
        let text = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha}\nsize 42\n");
        assert_eq!(parse_pointer(text.as_bytes()), Some((Digest::sha256_hex(&sha).unwrap(), 42)));
        assert_eq!(parse_pointer(b"<html>"), None);
        assert_eq!(parse_pointer(b"version https://git-lfs.github.com/spec/v1\noid md5:00\n"), None);
    }

    #[test]
    fn both_kinds_of_cache_are_looked_into() {
        let mut config = OnnxConfig::default();
        config.caches.push("onnx".into());
        config.hf_caches.push("hf".into());
        let hub = Hub { config, ..hub() };
        let catalog = Catalog::embedded();
        let file = hub.model_file(catalog.find("mnist-12", None).unwrap()).unwrap();
        let hex = file.digests[0].hex();
        let expected =
            PathBuf::from(format!("onnx/validated/vision/classification/mnist/model/{hex}_mnist-12.onnx"));
        assert!(file.local.contains(&expected));
        assert!(
            file.local.contains(&PathBuf::from(format!("hf/models--onnxmodelzoo--mnist-12/blobs/{hex}")))
        );
    }
}
