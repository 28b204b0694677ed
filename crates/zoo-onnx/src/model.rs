//! A model that was pulled, and its staging.

use std::path::{Path, PathBuf};

use zoo_core::manifest::{Manifest, Staged};
use zoo_core::path::EntryPath;
use zoo_core::stage::{StageOptions, StagedModel, Target};
use zoo_core::store::StoredModel;

use crate::error::{Error, Result};
use crate::export::export;

/// A model of the zoo, whole in the store.
#[derive(Debug, Clone)]
pub struct Model {
    stored: StoredModel,
}

impl Model {
    pub(crate) fn new(stored: StoredModel) -> Self {
        Self { stored }
    }

    /// As the store knows it.
    pub fn stored(&self) -> &StoredModel {
        &self.stored
    }

    /// What is known of it.
    pub fn manifest(&self) -> &Manifest {
        &self.stored.manifest
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.stored.folder
    }

    /// The `.onnx` file.
    pub fn path(&self) -> PathBuf {
        self.stored.staged_path(Target::Onnx.name()).unwrap_or_else(|| self.stored.folder.clone())
    }

    /// The staged form. ONNX was checked and described when it was pulled and is the original itself, so nothing is written,
    /// and options that would change the graph or move the weights are refused.
    pub fn stage(&self, options: &StageOptions) -> Result<StagedModel> {
        if let Some(option) = options.given().first() {
            return Err(Error::Option { option });
        }
        let manifest = self.manifest();
        let staged = match options.target {
            Target::Onnx => manifest.staged(Target::Onnx.name()).cloned(),
            Target::Original => {
                let files = manifest.files.iter().map(|f| f.path.clone()).collect();
                let folder = EntryPath::new("original").map_err(zoo_core::Error::from)?;
                Some(Staged::new(Target::Original.name(), folder, files))
            }
            _ => None,
        };
        let staged = staged.ok_or(Error::Target { target: options.target })?;
        Ok(StagedModel::new(self.stored.folder.clone(), staged, manifest.clone()))
    }

    /// Writes the model to the folder `out`, which must be empty or absent: `model.onnx`, its external data and `zoo.json`. The
    /// weights are cloned or copied, or hard-linked if `link` is set and the file system allows it.
    pub fn export(&self, out: &Path, link: bool) -> Result<StagedModel> {
        export(&self.path(), self.manifest(), out, link)
    }
}
