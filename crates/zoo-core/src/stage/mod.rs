//! What a model can be staged as, and how. Making it is the ecosystem crates' work; the names are shared.

mod keep;
mod options;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use keep::{Made, find_made, keep};
pub use options::{FloatType, ImageSize, NotAnOption, StageOptions, WeightPolicy};

use crate::manifest::{Manifest, Staged};

/// A form that frameworks import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// An ONNX model, with external data where the weights lie elsewhere.
    Onnx,
    /// A frozen TensorFlow `GraphDef`.
    FrozenGraph,
    /// A TensorFlow SavedModel.
    SavedModel,
    /// A Keras 3 archive with configuration and weights.
    Keras,
    /// A full Keras `.h5` with configuration and weights.
    H5,
    /// The hub's own files as they are.
    Original,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 6] =
        [Self::Onnx, Self::FrozenGraph, Self::SavedModel, Self::Keras, Self::H5, Self::Original];

    /// The name in handles, options and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::FrozenGraph => "frozen-graph",
            Self::SavedModel => "saved-model",
            Self::Keras => "keras",
            Self::H5 => "h5",
            Self::Original => "original",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a target; there are onnx, frozen-graph, saved-model, keras, h5 and original")]
pub struct UnknownTarget(String);

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|t| t.name() == text).ok_or_else(|| UnknownTarget(text.to_owned()))
    }
}

/// Something that was staged.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedModel {
    folder: PathBuf,
    staged: Staged,
    manifest: Manifest,
}

impl StagedModel {
    /// A staged form of the model in `folder`.
    pub fn new(folder: PathBuf, staged: Staged, manifest: Manifest) -> Self {
        Self { folder, staged, manifest }
    }

    /// What a framework opens.
    pub fn path(&self) -> PathBuf {
        self.staged.path.under(&self.folder)
    }

    /// The folder in which everything lies that `path` needs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is known of the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How it was staged.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for target in Target::ALL {
            assert_eq!(target.name().parse::<Target>(), Ok(target));
        }
        assert!("ONNX".parse::<Target>().unwrap_err().to_string().contains("frozen-graph"));
    }
}
