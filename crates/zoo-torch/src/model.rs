//! Weights that were pulled, and their staging: as the original itself, or as ONNX beside it.
//!
//! In place, the graph is a small file whose weights are external data in the original, so both live in the model's folder. Each
//! set of options has a file of its own; what was made once is found again by its options.

use std::path::{Path, PathBuf};

use zoo_core::folder::NewFolder;
use zoo_core::manifest::{Manifest, ModelFacts, Staged};
use zoo_core::path::EntryPath;
use zoo_core::stage::{Made, StageOptions, StagedModel, Target, WeightPolicy, find_made, keep};
use zoo_core::store::{StoredModel, place_file};
use zoo_core::{Zoo, fs};

use crate::error::{Error, Result};
use crate::facts;
use crate::onnx::{self, Order, Prepared};

/// The name of a staged graph in a folder of its own.
const ALONE: &str = "model.onnx";

/// Weights of the zoo, whole in the store.
#[derive(Debug, Clone)]
pub struct Model {
    zoo: Zoo,
    stored: StoredModel,
}

impl Model {
    pub(crate) fn new(zoo: Zoo, stored: StoredModel) -> Self {
        Self { zoo, stored }
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

    /// The original: the one file that the hub serves.
    pub fn checkpoint(&self) -> Result<PathBuf> {
        Ok(self.original()?.under(&self.stored.folder))
    }

    fn original(&self) -> Result<EntryPath> {
        let file = self.manifest().files.first().map(|file| file.path.clone());
        // A folder without originals can only be one that somebody emptied.
        file.ok_or_else(|| self.zoo.store().not_stored(&self.manifest().handle).into())
    }

    /// What there is without making anything: the graph with default options if it was staged, else the original.
    pub fn as_it_is(&self) -> Result<StagedModel> {
        match self.made(&StageOptions::to(Target::Onnx))? {
            Some(staged) => Ok(staged),
            None => self.as_original(),
        }
    }

    /// The staged form. What was made before with the same options is found again; otherwise it is made now, under the model's
    /// lock, and noted in the manifest.
    pub async fn stage(&self, options: &StageOptions) -> Result<StagedModel> {
        match options.target {
            Target::Onnx => self.stage_by(options, onnx::make).await,
            Target::Original => self.as_original(),
            target => Err(Error::Target { target }),
        }
    }

    /// Writes the model to the folder `out`, which must be empty or absent: `model.onnx`, `zoo.json`, and the original, if the
    /// weights stay in it. The original is cloned or copied, or hard-linked if `link` is set and the file system allows it.
    pub fn export(&self, options: &StageOptions, out: &Path, link: bool) -> Result<StagedModel> {
        self.export_by(options, out, link, onnx::make)
    }

    fn as_original(&self) -> Result<StagedModel> {
        let staged = Staged::new(Target::Original.name(), self.original()?, Vec::new());
        Ok(StagedModel::new(self.stored.folder.clone(), staged, self.manifest().clone()))
    }

    async fn stage_by<M>(&self, options: &StageOptions, make: M) -> Result<StagedModel>
    where
        M: FnOnce(&Order) -> Result<Prepared> + Send + 'static,
    {
        self.refuse_arch(options)?;
        let order =
            self.order(options, self.folder().to_owned(), self.checkpoint()?, options.file_name("model"));
        let (options, folder) = (options.clone(), self.folder().to_owned());
        let mut facts = self.manifest().model.clone();
        let asked = options.clone();
        let make = move || {
            let staged = staged(make(&order)?, &options);
            facts::of_graph(&staged.path.under(&folder), &mut facts)?;
            Ok(Made { staged, facts })
        };
        keep(&self.zoo, &self.stored, &asked, describe, make).await
    }

    /// The graph with these options, if it is there and this version of zoo made it.
    fn made(&self, options: &StageOptions) -> Result<Option<StagedModel>> {
        Ok(find_made(&self.stored, options, describe)?)
    }

    fn export_by(
        &self,
        options: &StageOptions,
        out: &Path,
        link: bool,
        make: impl FnOnce(&Order) -> Result<Prepared>,
    ) -> Result<StagedModel> {
        if options.target != Target::Onnx {
            return Err(Error::Target { target: options.target });
        }
        self.refuse_arch(options)?;
        let folder = NewFolder::at(out)?;
        let mut manifest = self.manifest().clone();
        let checkpoint = if options.policy() == WeightPolicy::InPlace {
            let copy = self.original()?.under(folder.path());
            fs::create_parent(&copy)?;
            place_file(&self.checkpoint()?, &copy, link)?;
            copy
        } else {
            manifest.files.clear();
            self.checkpoint()?
        };
        let order = self.order(options, folder.path().to_owned(), checkpoint, ALONE.to_owned());
        let staged = staged(make(&order)?, options);
        facts::of_graph(&staged.path.under(folder.path()), &mut manifest.model)?;
        for file in &mut manifest.files {
            file.mtime_ns = None;
        }
        manifest.staged = vec![staged.clone()];
        manifest.write(folder.path())?;
        folder.publish()?;
        Ok(StagedModel::new(out.to_owned(), staged, manifest))
    }

    fn order(
        &self,
        options: &StageOptions,
        folder: PathBuf,
        checkpoint: PathBuf,
        file_name: String,
    ) -> Order {
        let mut options = options.clone();
        // The catalogue's builder is the network; the name in the store is the builder's.
        options.arch = Some(self.manifest().name.as_str().to_owned());
        Order { checkpoint, folder, file_name, options, size: self.prepared_size() }
    }

    /// Rows and columns to which the published preprocessing brings pictures.
    fn prepared_size(&self) -> Option<[u32; 2]> {
        let steps = self.manifest().model.preprocessing.as_ref()?.get("steps")?.as_array()?;
        let crop = steps.iter().find(|step| step["op"] == "center_crop")?;
        serde_json::from_value(crop["size"].clone()).ok()
    }

    fn refuse_arch(&self, options: &StageOptions) -> Result<()> {
        match options.arch {
            Some(_) => Err(Error::Arch { model: self.manifest().handle.clone() }),
            None => Ok(()),
        }
    }
}

/// What a staged graph says of the model.
fn describe(stored: &StoredModel, staged: &Staged, facts: &mut ModelFacts) -> Result<()> {
    facts::of_graph(&staged.path.under(&stored.folder), facts)
}

/// What was made, in the manifest's words.
pub(crate) fn staged(prepared: Prepared, options: &StageOptions) -> Staged {
    let mut staged = Staged::new(Target::Onnx.name(), prepared.path, prepared.with);
    staged.options = options.recorded();
    staged.other = prepared.notes;
    staged
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zoo_core::stage::FloatType;

    use super::*;
    use crate::testing;

    fn onnx() -> StageOptions {
        StageOptions::to(Target::Onnx)
    }

    #[tokio::test]
    async fn what_was_staged_once_is_noted_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let model = testing::stored(home.path());
        let before = model.as_it_is().unwrap();
        assert_eq!(before.staged().target, "original");
        assert_eq!(before.path(), model.checkpoint().unwrap());
        assert!(before.path().ends_with("original/resnet50-11ad3fa6.pth"));

        let staged = model.stage_by(&onnx(), testing::make).await.unwrap();
        assert_eq!(staged.path(), model.folder().join("model.onnx"));
        assert_eq!(staged.staged().with[0].as_str(), "original/resnet50-11ad3fa6.pth");
        assert_eq!(staged.staged().other["arch_used"], "resnet50");
        assert_eq!(staged.staged().other["size_used"], json!([224, 224]));
        let facts = &staged.manifest().model;
        assert_eq!((facts.inputs[0].name.as_str(), facts.opsets["ai.onnx"]), ("input", 18));
        assert_eq!(facts.parameters, Some(25_557_032), "as torchvision counts");

        assert_eq!(model.stage_by(&onnx(), testing::never).await.unwrap(), staged);
        assert_eq!(model.as_it_is().unwrap(), staged);
        let noted = Manifest::read(model.folder()).unwrap().unwrap();
        assert_eq!(noted.model.inputs, facts.inputs);
        assert_eq!((noted.files.len(), noted.staged.len()), (1, 1));
        assert_eq!(
            model.zoo.store().find(&noted.ecosystem, &noted.name, None).unwrap().unwrap().manifest,
            noted
        );

        // Of a file that somebody damaged, another is made.
        fs::write_atomic(&staged.path(), b"no graph", false).unwrap();
        assert_eq!(model.stage_by(&onnx(), testing::make).await.unwrap(), staged);
        // And of one that another version made.
        let mut manifest = noted.clone();
        manifest.staged[0].zoo = "0.0.1".into();
        manifest.write(model.folder()).unwrap();
        model.stage_by(&onnx(), testing::make).await.unwrap();
        assert_eq!(Manifest::read(model.folder()).unwrap(), Some(noted));
    }

    #[tokio::test]
    async fn forms_with_other_options_lie_beside_the_usual_one() {
        let home = tempfile::tempdir().unwrap();
        let model = testing::stored(home.path());
        let mut fold = onnx();
        fold.fold = true;
        let folded = model.stage_by(&fold, testing::make).await.unwrap();
        assert_eq!(folded.path(), model.folder().join("model-fold.onnx"));
        assert_eq!(folded.staged().with[0].as_str(), "model-fold.onnx.data");
        assert_eq!(folded.staged().options["fold"], "true");
        assert_eq!(folded.manifest().model.inputs.len(), 1);
        assert!(
            Manifest::read(model.folder()).unwrap().unwrap().model.inputs.is_empty(),
            "not the usual form"
        );

        let usual = model.stage_by(&onnx(), testing::make).await.unwrap();
        let noted = Manifest::read(model.folder()).unwrap().unwrap();
        assert_eq!(noted.staged.len(), 2);
        assert_eq!(noted.staged("onnx"), Some(usual.staged()), "the usual one is meant");
        assert_eq!(model.stage_by(&fold, testing::never).await.unwrap().staged(), folded.staged());
        fs::remove_file(&model.folder().join("model-fold.onnx.data")).unwrap();
        assert!(model.made(&fold).unwrap().is_none(), "its weights are gone");
    }

    #[tokio::test]
    async fn what_cannot_be_made_is_refused_and_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let model = testing::stored(home.path());
        let refused = model.stage(&StageOptions::to(Target::Keras)).await.unwrap_err();
        assert!(refused.to_string().contains("staged as keras"), "{refused}");
        let mut arch = onnx();
        arch.arch = Some("resnet18".into());
        let refused = model.stage_by(&arch, testing::never).await.unwrap_err();
        assert!(refused.to_string().contains("`torchvision:resnet50@IMAGENET1K_V2` takes no"), "{refused}");
        let refuse = |_: &Order| Err(Error::Target { target: Target::Onnx });
        let before = Manifest::read(model.folder()).unwrap();
        assert!(model.stage_by(&onnx(), refuse).await.is_err());
        assert_eq!(Manifest::read(model.folder()).unwrap(), before);
        let out = home.path().join("out");
        assert!(model.export_by(&onnx(), &out, false, refuse).is_err() && !out.exists());
    }

    #[test]
    fn a_folder_of_its_own_has_all_that_the_graph_needs() {
        let home = tempfile::tempdir().unwrap();
        let model = testing::stored(home.path());
        let out = home.path().join("in-place");
        let staged = model.export_by(&onnx(), &out, false, testing::make).unwrap();
        assert_eq!(staged.path(), out.join("model.onnx"));
        let copy = out.join("original/resnet50-11ad3fa6.pth");
        assert_eq!(fs::read_bounded(&copy, 7).unwrap(), b"weights");
        let manifest = Manifest::read(&out).unwrap().unwrap();
        assert_eq!(&manifest, staged.manifest());
        assert_eq!((manifest.files.len(), manifest.files[0].mtime_ns), (1, None));
        assert_eq!(manifest.model.inputs[0].name, "input");
        assert!(model.as_it_is().unwrap().staged().target == "original", "the store is as it was");

        let out = home.path().join("packed");
        let mut half = onnx();
        half.dtype = Some(FloatType::F16);
        let staged = model.export_by(&half, &out, false, testing::make).unwrap();
        assert_eq!(staged.path(), out.join("model.onnx"));
        assert!(!out.join("original").exists() && out.join("model.onnx.data").is_file());
        assert!(staged.manifest().files.is_empty() && staged.staged().options["dtype"] == "f16");
        let again = model.export_by(&half, &out, false, testing::never).unwrap_err();
        assert!(again.to_string().contains("is not empty"), "{again}");
    }
}
