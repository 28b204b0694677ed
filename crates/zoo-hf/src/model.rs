//! What was pulled: the wanted files of one commit, whole in the store.

use std::path::{Path, PathBuf};

use zoo_core::Zoo;
use zoo_core::manifest::Manifest;
use zoo_core::store::StoredModel;

use crate::pull::Record;
use crate::select::{Selection, Wanted};

/// The folder of originals within a model's folder.
pub(crate) const ORIGINAL: &str = "original";

/// A commit of a repository, its wanted files whole in the store.
#[derive(Debug, Clone)]
pub struct Model {
    zoo: Zoo,
    stored: StoredModel,
}

impl Model {
    pub(crate) fn new(zoo: Zoo, stored: StoredModel) -> Self {
        Self { zoo, stored }
    }

    /// The store that it is in.
    pub fn zoo(&self) -> &Zoo {
        &self.zoo
    }

    /// As the store knew it when it was found.
    pub fn stored(&self) -> &StoredModel {
        &self.stored
    }

    /// What was known of it then.
    pub fn manifest(&self) -> &Manifest {
        &self.stored.manifest
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.stored.folder
    }

    /// The folder of the originals, laid out as the repository is.
    pub fn originals(&self) -> PathBuf {
        self.stored.folder.join(ORIGINAL)
    }

    /// Which files were selected for a wish, if it was pulled with that wish. Its paths are below [`Self::originals`].
    pub fn selection(&self, wanted: &Wanted) -> Option<Selection> {
        Record::of(self.manifest()).selected.remove(&wanted.key())
    }

    /// Every wish that it was pulled with, by [`Wanted::key`], and what was selected for it.
    pub fn selections(&self) -> impl Iterator<Item = (String, Selection)> {
        Record::of(self.manifest()).selected.into_iter()
    }
}
