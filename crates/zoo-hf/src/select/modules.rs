//! The modules of a sentence-transformers repository: where the network is, and which folders hold what comes after it.
//!
//! `modules.json` is a list of `{"idx", "name", "path", "type"}`; a type is matched by its last part, for the modules moved more than
//! once.

use std::collections::BTreeSet;

use serde::Deserialize;
use zoo_core::path::EntryPath;

use super::{Framework, Refusal, Stop, View, weights};

/// Modules that are a network of transformers, in the folder of its configuration.
const NETWORKS: [&str; 2] = ["Transformer", "CLIPModel"];

/// More modules than anybody ever stacked.
const MAX_MODULES: usize = 64;

/// Endings of what a module's folder holds besides weights.
const SMALL: [&str; 4] = [".json", ".txt", ".model", ".jinja"];

/// Where the parts of a model are.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// The network's folder, with `/` behind, or nothing.
    pub(super) root: String,
    /// Folders of the other modules, with `/` behind.
    others: Vec<String>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Reads the list of modules, if there is one.
pub(super) fn read(view: &View<'_>) -> Result<Modules, Stop> {
    const FILE: &str = "modules.json";
    let Some(bytes) = view.read(FILE)? else { return Ok(Modules::default()) };
    let broken = |reason: String| Refusal::Broken { path: FILE.to_owned(), reason };
    let modules: Vec<Module> = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
    if modules.len() > MAX_MODULES {
        return Err(broken(format!("it lists {} modules", modules.len())).into());
    }
    let mut found = Modules::default();
    let mut has_network = false;
    for Module { path, kind } in modules {
        let folder = match path.trim_end_matches('/') {
            "" | "." => String::new(),
            path => format!("{}/", EntryPath::new(path).map_err(|e| broken(e.to_string()))?),
        };
        let kind = kind.rsplit('.').next().unwrap_or_default();
        if NETWORKS.contains(&kind) && !has_network {
            has_network = true;
            found.root = folder;
        } else if !folder.is_empty() {
            found.others.push(folder);
        }
    }
    Ok(found)
}

impl Modules {
    /// The files of the modules besides the network: all that is small, and the weights once.
    pub(super) fn files(
        &self,
        view: &View<'_>,
        framework: Option<Framework>,
    ) -> Result<BTreeSet<EntryPath>, Stop> {
        let mut found = BTreeSet::new();
        for folder in &self.others {
            let is_small = |path: &&EntryPath| {
                let path = path.as_str();
                path.starts_with(folder.as_str())
                    && SMALL.iter().any(|ending| path.ends_with(ending))
                    && !path.ends_with(".index.json")
            };
            found.extend(view.files.paths().filter(is_small).cloned());
            if let Some(weights) = weights::of(view, folder, None, framework)? {
                found.extend(weights.files.into_iter().chain(weights.index));
            }
        }
        Ok(found)
    }
}
