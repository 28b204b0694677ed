//! ONNX files that the repository itself publishes: they are ready as they are.

use zoo_core::Error as CoreError;
use zoo_core::manifest::Staged;
use zoo_core::path::EntryPath;
use zoo_core::stage::{StagedModel, Target};

use crate::error::Result;
use crate::model::{Model, ORIGINAL};
use crate::select::{OnnxFiles, Wanted};

impl Model {
    /// Whether every file that is wanted is here.
    pub fn has(&self, wanted: &Wanted) -> bool {
        crate::pull::has(self.manifest(), wanted)
    }

    /// The repository's own ONNX files, each with its external data, if it was pulled with this wish.
    pub fn published_onnx(&self, files: &OnnxFiles) -> Result<Vec<StagedModel>> {
        let wanted = Wanted { onnx: Some(files.clone()), ..Wanted::default() };
        let selection = self.selection(&wanted).unwrap_or_default();
        let original = EntryPath::new(ORIGINAL).map_err(CoreError::from)?;
        let staged = selection.onnx.iter().filter_map(|graph| {
            let stem = graph.as_str().strip_suffix(".onnx")?;
            let is_data = |path: &&EntryPath| {
                let rest = path.as_str().strip_prefix(stem);
                *path != graph
                    && rest.is_some_and(|rest| rest.starts_with(".onnx") || rest.starts_with(".data"))
            };
            let data = selection.onnx.iter().filter(is_data).map(|path| path.below(&original)).collect();
            let form = Staged::new(Target::Onnx.name(), graph.below(&original), data);
            Some(StagedModel::new(self.folder().to_owned(), form, self.manifest().clone()))
        });
        Ok(staged.collect())
    }
}
