//! What hubs say about their models, in one form for all of them: a line of a listing, and all that is known of one model.

use serde::Serialize;
use zoo_core::digest::Digest;
use zoo_core::manifest::ModelFacts;

/// What a hub says about a model that need not be here.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Published {
    pub(crate) handle: String,
    pub(crate) stored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    pub(crate) opset: Option<i64>,
    pub(crate) bytes: Option<u64>,
    /// Where the hub publishes a rounded size only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about_bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
    /// Where the hub publishes the first digits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256_prefix: Option<String>,
    pub(crate) test_data: bool,
    #[serde(flatten)]
    pub(crate) facts: ModelFacts,
}

/// One line of a listing.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Listed {
    pub(crate) handle: String,
    pub(crate) model: String,
    pub(crate) opset: Option<i64>,
    pub(crate) bytes: Option<u64>,
    /// Where the hub publishes a rounded size only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) about_bytes: Option<u64>,
    pub(crate) tags: Vec<String>,
    pub(crate) test_data: bool,
    pub(crate) stored: bool,
}

impl From<zoo_onnx::Resolution> for Published {
    fn from(resolution: zoo_onnx::Resolution) -> Self {
        let entry = resolution.entry;
        let mut facts = ModelFacts::default();
        facts.licence = entry.licence().map(str::to_owned);
        facts.documentation = Some(entry.documentation());
        facts.tags = entry.tags;
        Self {
            handle: resolution.handle,
            test_data: entry.archive.is_some(),
            model: entry.model,
            opset: entry.opset,
            bytes: entry.bytes,
            sha256: entry.sha256.as_ref().map(Digest::hex),
            facts,
            ..Self::default()
        }
    }
}

impl From<zoo_torch::Resolution> for Published {
    fn from(resolution: zoo_torch::Resolution) -> Self {
        let entry = &resolution.entry;
        Self {
            model: Some(format!("{}.{}", entry.enumeration(), entry.weights())),
            url: resolution.files.iter().flat_map(|file| &file.sources).next().map(zoo_core::http::shown),
            about_bytes: Some(entry.about_bytes()),
            sha256_prefix: entry.digest().as_ref().map(Digest::hex),
            facts: resolution.facts(),
            handle: resolution.handle,
            ..Self::default()
        }
    }
}

impl From<zoo_hf::Resolution> for Published {
    fn from(resolution: zoo_hf::Resolution) -> Self {
        Self {
            model: Some(resolution.info.id.clone()),
            bytes: resolution.about_bytes(),
            facts: resolution.facts(),
            handle: resolution.handle,
            ..Self::default()
        }
    }
}

impl From<zoo_hf::Listing> for Listed {
    fn from(listing: zoo_hf::Listing) -> Self {
        // Repositories have dozens of tags; these are what people choose by.
        let gated = listing.gated.then(|| "gated".to_owned());
        Self {
            handle: listing.handle,
            model: listing.model,
            tags: [listing.task, listing.library, gated].into_iter().flatten().collect(),
            ..Self::default()
        }
    }
}

impl From<zoo_onnx::Listing> for Listed {
    fn from(listing: zoo_onnx::Listing) -> Self {
        Self {
            handle: listing.handle,
            model: listing.model,
            opset: listing.opset,
            bytes: listing.bytes,
            tags: listing.tags,
            test_data: listing.has_test_data,
            ..Self::default()
        }
    }
}

impl From<zoo_torch::Listing> for Listed {
    fn from(listing: zoo_torch::Listing) -> Self {
        Self {
            handle: listing.handle,
            model: listing.model,
            about_bytes: Some(listing.about_bytes),
            tags: listing.tags,
            ..Self::default()
        }
    }
}
