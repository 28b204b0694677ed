//! PyTorch checkpoints: from a pickle and storages to named weights.
//!
//! - [`archive`] and [`legacy`]: the two containers. Both give a pickle and the place of every storage.
//! - [`names`]: what the names in the pickle mean.
//! - [`storage`], [`tensor`], [`numpy`]: from a value of the pickle to a weight.
//! - [`find`], [`module`]: which of the saved values is the state dict.

mod archive;
mod find;
mod legacy;
mod module;
mod names;
mod numpy;
mod storage;
mod tensor;

use std::collections::HashMap;

use crate::checkpoint::ForeignGlobal;
use crate::error::Refusals;
use crate::file::SourceReader;
use crate::origin::{Dictionary, Origin};
use crate::pickle::{Id, Pickle, Value};
use crate::state_dict::StateDict;
use crate::warning::Warning;
use crate::zip::Archive;
use crate::{Error, Result, limits};

use find::Found;
use storage::{Finder, Storages};

/// A checkpoint that was opened.
#[derive(Debug)]
pub(crate) struct Torch {
    pickle: Pickle,
    storages: Storages,
    /// What is odd about the container.
    pub(crate) warnings: Vec<Warning>,
    archive: Option<Archive>,
}

/// What a checkpoint holds, as far as its pickle says: no tensor was looked at yet.
pub(crate) struct Contents {
    pub(crate) dictionaries: Vec<Dictionary>,
    /// The values that they are, in the same order.
    pub(crate) ids: Vec<Id>,
    pub(crate) origin: Origin,
    pub(crate) foreign: Vec<ForeignGlobal>,
}

impl Torch {
    /// Opens a zip checkpoint.
    pub(crate) fn zip(file: &SourceReader, archive: Archive) -> Result<Self> {
        archive::read(file, archive)
    }

    /// Opens a legacy checkpoint.
    pub(crate) fn legacy(file: &SourceReader) -> Result<Self> {
        legacy::read(file)
    }

    /// Lists the dictionaries and the foreign names.
    pub(crate) fn contents(&self, file: &SourceReader) -> Result<Contents> {
        let (found, origin) = find::search(&self.pickle, &file.path().display().to_string())?;
        let ids = found.iter().map(|found| found.id).collect();
        let dictionaries = found.into_iter().map(|Found { dictionary, .. }| dictionary).collect();
        Ok(Contents { dictionaries, ids, origin, foreign: self.foreign() })
    }

    /// What was saved, for people.
    pub(crate) fn root_kind(&self) -> String {
        find::what(&self.pickle, self.pickle.root())
    }

    /// Reads every member and compares its checksum. Legacy checkpoints have none.
    pub(crate) fn check(&self, file: &SourceReader) -> Result<Vec<Warning>> {
        let members = self.archive.iter().flat_map(Archive::members);
        members.filter_map(|member| member.check(file).transpose()).collect()
    }

    /// Takes all tensors of a dictionary.
    pub(crate) fn take(&self, file: &SourceReader, dictionary: &Dictionary, id: Id) -> Result<StateDict> {
        let pickle = &self.pickle;
        let tensors: Vec<(String, Id)> = if dictionary.module.is_some() {
            module::tensors(pickle, id, &file.path().display().to_string(), &mut module::Budget::default())?
        } else {
            let tensors = find::tensors(pickle, id);
            let bytes: usize = tensors.iter().map(|(name, _)| name.len()).sum();
            for (what, found, limit) in [
                ("tensors", tensors.len(), limits::MAX_TENSORS),
                ("bytes of names", bytes, limits::MAX_ALL_NAMES_BYTES),
            ] {
                if found > limit {
                    let holder = file.path().display().to_string();
                    return Err(Error::TooMuch { holder, what, found: found as u64, limit: limit as u64 });
                }
            }
            tensors.into_iter().map(|(name, id)| (name.to_owned(), id)).collect()
        };
        let finder = Finder::new(file, &self.storages);
        let (mut weights, mut refused) = (StateDict::new(), Refusals::default());
        for (name, id) in tensors {
            match tensor::take(pickle, &finder, id) {
                Ok(entry) => {
                    let name = name.strip_prefix(&dictionary.prefix).unwrap_or(&name).to_owned();
                    weights.insert_entry(name, entry);
                }
                Err(problem) => refused.push(&name, problem),
            }
        }
        if refused.count > 0 {
            return Err(Error::Refused { path: file.path().to_owned(), refused });
        }
        Ok(weights)
    }

    /// The names that are not known to be data.
    fn foreign(&self) -> Vec<ForeignGlobal> {
        let mut calls: HashMap<(&str, &str), u64> = HashMap::new();
        for (_, value) in self.pickle.iter() {
            let Value::Object(object) = value else { continue };
            if let Some(class) = names::class(&self.pickle, object) {
                *calls.entry((&class.module, &class.name)).or_default() += 1;
            }
        }
        let foreign = self.pickle.globals().iter().filter(|global| !names::is_known(global));
        foreign
            .map(|global| ForeignGlobal {
                module: global.module.clone(),
                name: global.name.clone(),
                mentions: global.mentions,
                calls: calls.get(&(global.module.as_str(), global.name.as_str())).copied().unwrap_or(0),
            })
            .collect()
    }
}
