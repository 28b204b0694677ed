//! What a checkpoint holds, told without loading it: the container, its dictionaries of tensors, and every class or function that
//! its pickle names besides data, which is what a safety scan asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zoo_formats::{Checkpoint, Dictionary};

use crate::error::Result;
use crate::local::published;

/// What is in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What kind of file it is, in words.
    pub container: String,
    /// The handle of the weights that it is, if it is a file of torchvision's, by name and digest.
    pub published: Option<String>,
    /// The path of the dictionary that staging takes; none if it has to be told.
    pub taken: Option<String>,
    /// Every dictionary of tensors.
    pub dictionaries: Vec<Inspected>,
    /// What else was saved: `epoch`, `optimizer`.
    pub beside: Vec<String>,
    /// Names of classes and functions that are not known to be data. zoo only reads them; Python would import them.
    pub foreign: Vec<Foreign>,
    /// What is odd about the file.
    pub warnings: Vec<String>,
}

/// A dictionary of tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspected {
    /// The keys that lead to it, joined by dots; empty for the whole file.
    pub path: String,
    /// How many tensors it has.
    pub tensors: usize,
    /// How many of them have which type.
    pub dtypes: BTreeMap<String, usize>,
    /// Values in all of them.
    pub parameters: u64,
    /// The class, if it is a pickled network.
    pub module: Option<String>,
    /// Whether it is a moving average.
    pub ema: bool,
    /// What was taken off the front of every name.
    pub prefix: Option<String>,
    /// Why its tensors cannot be taken, if they cannot.
    pub problem: Option<String>,
}

/// A class or function that a pickle names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Foreign {
    /// Module and name: `os.system`.
    pub name: String,
    /// How often it is named.
    pub mentions: u64,
    /// How often it would have been called.
    pub calls: u64,
}

/// Looks into the checkpoint `path`. Reads its table of contents and its pickle, no weights; nothing in it is executed. (Only a file
/// with the name of one of torchvision's is read whole, for its digest.)
pub fn inspect(path: &Path) -> Result<Inspection> {
    let checkpoint = zoo_formats::open(path)?;
    let origin = checkpoint.origin();
    let foreign = checkpoint.foreign_globals().iter().map(|global| Foreign {
        name: format!("{}.{}", global.module, global.name),
        mentions: global.mentions,
        calls: global.calls,
    });
    Ok(Inspection {
        file: path.to_owned(),
        bytes: zoo_core::fs::file_len(path).unwrap_or(0),
        container: checkpoint.container().to_string(),
        published: published(path)?.map(|entry| entry.handle()),
        taken: origin.taken.as_ref().map(|dictionary| dictionary.path.clone()),
        dictionaries: checkpoint.dictionaries().iter().map(|d| inspected(&checkpoint, d)).collect(),
        beside: origin.beside.clone(),
        foreign: foreign.collect(),
        warnings: checkpoint.warnings().iter().map(ToString::to_string).collect(),
    })
}

fn inspected(checkpoint: &Checkpoint, dictionary: &Dictionary) -> Inspected {
    let mut inspected = Inspected {
        path: dictionary.path.clone(),
        tensors: dictionary.tensors,
        dtypes: BTreeMap::new(),
        parameters: 0,
        module: dictionary.module.clone(),
        ema: dictionary.ema,
        prefix: Some(dictionary.prefix.clone()).filter(|prefix| !prefix.is_empty()),
        problem: None,
    };
    match checkpoint.state_dict_at(&dictionary.path) {
        Ok(weights) => {
            for (_, weight) in weights.iter() {
                *inspected.dtypes.entry(weight.dtype().to_string()).or_default() += 1;
                inspected.parameters = inspected.parameters.saturating_add(weight.len() as u64);
            }
        }
        // The file is named once for all of them.
        Err(zoo_formats::Error::Refused { refused, .. }) => inspected.problem = Some(refused.to_string()),
        Err(error) => inspected.problem = Some(error.to_string()),
    }
    inspected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Inspection {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/torch/checkpoints");
        inspect(&fixtures.join(name)).unwrap()
    }

    #[test]
    fn the_dictionary_that_staging_takes_is_told_among_the_others() {
        let found = fixture("training.pth");
        assert_eq!(found.taken.as_deref(), Some("state_dict"));
        let paths: Vec<(&str, bool)> = found.dictionaries.iter().map(|d| (d.path.as_str(), d.ema)).collect();
        assert_eq!(paths, [("state_dict", false), ("model_ema.module", true)]);
        assert_eq!(found.dictionaries[0].prefix.as_deref(), Some("module."));
        assert!(found.beside.iter().any(|key| key == "optimizer") && found.foreign.is_empty());
        assert_eq!((&found.published, found.container.as_str()), (&None, "PyTorch checkpoint (zip)"));
        let two = fixture("two_networks.pth");
        assert!(two.taken.is_none() && two.dictionaries.len() >= 2, "{two:?}");
    }

    #[test]
    fn classes_that_python_would_import_are_listed() {
        let found = fixture("legacy_module.pth");
        let names: Vec<&str> = found.foreign.iter().map(|global| global.name.as_str()).collect();
        assert!(names.contains(&"torch.nn.modules.conv.Conv2d"), "{names:?}");
        assert!(found.foreign.iter().all(|global| global.mentions > 0 && global.calls > 0));
    }

    #[test]
    fn what_cannot_be_taken_is_told_and_what_is_no_checkpoint_is_refused() {
        let refused = fixture("refused.pth");
        let problem = refused.dictionaries[0].problem.as_deref().unwrap();
        assert!(problem.contains("is sparse") && !problem.contains("refused.pth"), "{problem}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pth");
        zoo_core::fs::write_atomic(&path, b"<html>", false).unwrap();
        let error = inspect(&path).unwrap_err();
        assert!(error.to_string().contains("a web page") && error.hint().is_some(), "{error}");
    }
}
