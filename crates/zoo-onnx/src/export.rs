//! A stored or staged model in a self-contained folder of its own, with a manifest that vouches for the files under the names
//! that they have there.

use std::path::Path;

use zoo_core::manifest::Manifest;
use zoo_core::stage::StagedModel;

use crate::error::Result;
use crate::local::{LocalOptions, stage_file};

/// Makes the folder `out` of the ONNX model `file`, of which `manifest` is known.
pub(crate) fn export(file: &Path, manifest: &Manifest, out: &Path, link: bool) -> Result<StagedModel> {
    let options = LocalOptions { out: Some(out.to_owned()), link };
    let staged = stage_file(file, file, &options)?;
    let manifest = rewritten(manifest, &staged);
    manifest.write(out)?;
    Ok(StagedModel::new(out.to_owned(), staged.staged().clone(), manifest))
}

/// The manifest of a model, for a folder to which its staged form was copied.
fn rewritten(stored: &Manifest, staged: &StagedModel) -> Manifest {
    let mut manifest = stored.clone();
    let before = stored.staged(&staged.staged().target);
    let folder = before.and_then(|b| b.path.as_str().rsplit_once('/')).map_or("", |(folder, _)| folder);
    manifest.files.clear();
    for entry in &stored.files {
        let mut entry = entry.clone();
        let path = if before.is_some_and(|b| b.path == entry.path) {
            Some(staged.staged().path.clone())
        } else {
            let below = entry.path.as_str().strip_prefix(folder).map(|rest| rest.trim_start_matches('/'));
            below.and_then(|rest| staged.staged().with.iter().find(|with| with.as_str() == rest)).cloned()
        };
        let Some(path) = path else { continue };
        entry.path = path;
        entry.mtime_ns = None;
        manifest.files.push(entry);
    }
    manifest.staged = vec![staged.staged().clone()];
    manifest
}

#[cfg(test)]
mod tests {
    use zoo_core::digest::Digest;
    use zoo_core::manifest::{FileEntry, Staged};
    use zoo_core::path::EntryPath;
    use zoo_core::store::ModelKey;

    use super::*;

    #[test]
    fn an_exported_manifest_vouches_for_the_files_under_their_new_names() {
        let path = |text: &str| EntryPath::new(text).unwrap();
        let entry = |text: &str, fill: u8| {
            let mut entry = FileEntry::new(path(text), 1, Digest::Sha256([fill; 32]), vec![], "s".into());
            entry.mtime_ns = Some(1);
            entry
        };
        let key = ModelKey::new("onnx", "m-1", "abc").unwrap();
        let files = vec![
            entry("original/m-1.onnx", 1),
            entry("original/data/w.bin", 2),
            entry("original/test_data_set_0/input_0.pb", 3),
        ];
        let mut stored = Manifest::new("onnx:m-1".into(), key.ecosystem, key.name, key.revision, files);
        stored.model.licence = Some("MIT".into());
        stored.add_staged(Staged::new("onnx", path("original/m-1.onnx"), vec![path("original/data/w.bin")]));
        let staged = Staged::new("onnx", path("model.onnx"), vec![path("data/w.bin")]);
        let staged = StagedModel::new("out".into(), staged, stored.clone());
        let manifest = rewritten(&stored, &staged);
        let files: Vec<(&str, &Digest, Option<i64>)> =
            manifest.files.iter().map(|f| (f.path.as_str(), &f.sha256, f.mtime_ns)).collect();
        let expected =
            [("data/w.bin", &Digest::Sha256([2; 32]), None), ("model.onnx", &Digest::Sha256([1; 32]), None)];
        assert_eq!(files, expected);
        assert_eq!(manifest.staged("onnx").unwrap().path.as_str(), "model.onnx");
        assert_eq!((manifest.handle.as_str(), manifest.model.licence.as_deref()), ("onnx:m-1", Some("MIT")));
    }
}
