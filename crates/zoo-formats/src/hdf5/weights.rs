//! The weights of a file under the face that all containers have.
//!
//! Files that list layers give the weights that these list, in their order: of the file itself, or of the group
//! `model_weights` of a whole model. Any other file gives all datasets of numbers, sorted by path.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::dataset::Dataset;
use super::file::File;
use super::group::{Child, Group};
use super::keras;
use crate::error::Refusals;
use crate::file::SourceReader;
use crate::origin::{Dictionary, Skipped};
use crate::state_dict::StateDict;
use crate::{Error, Result, limits};

/// The group of weights in a whole model.
const MODEL: &str = "model_weights";

/// The datasets that are weights, by name.
#[derive(Debug)]
pub(crate) struct Weights {
    datasets: Vec<(String, Dataset)>,
    path: &'static str,
    skipped: Vec<Skipped>,
    others: usize,
    beside: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    pub(crate) fn read(reader: &Arc<SourceReader>) -> Result<Self> {
        let file = File::of(reader)?;
        let root = file.root()?;
        let mut found = Self {
            datasets: Vec::new(),
            path: "",
            skipped: Vec::new(),
            others: 0,
            beside: Vec::new(),
            metadata: BTreeMap::new(),
        };
        let mut from = root.clone();
        let mut listed = keras::layers(&root)?;
        if listed.is_none()
            && let Some(model) = root.group(MODEL)?
        {
            listed = keras::layers(&model)?;
            if listed.is_some() {
                found.path = MODEL;
                let names = root.links().map(|(name, _)| name.to_owned()).filter(|name| name != MODEL);
                found.beside = names.take(limits::MAX_LISTED).collect();
                from = model;
            }
        }
        match listed {
            Some(layers) => found.of_layers(&from, &layers)?,
            None => found.of_groups(&file, root)?,
        }
        for name in ["keras_version", "backend"] {
            if let Some(attribute) = from.attribute(name)? {
                found.metadata.insert(name.to_owned(), attribute.text()?);
            }
        }
        Ok(found)
    }

    pub(crate) fn dictionary(&self) -> Dictionary {
        Dictionary {
            path: self.path.to_owned(),
            tensors: self.datasets.len(),
            module: None,
            ema: false,
            prefix: String::new(),
            others: self.others,
            skipped: self.skipped.clone(),
        }
    }

    /// What lies beside the weights of a whole model.
    pub(crate) fn beside(&self) -> &[String] {
        &self.beside
    }

    /// All weights. What is in chunks is read into memory.
    pub(crate) fn take(&self, reader: &SourceReader) -> Result<StateDict> {
        let (mut weights, mut refused) = (StateDict::new(), Refusals::default());
        let mut left = self.datasets.first().map_or(0, |(_, dataset)| dataset.owned_limit());
        for (name, dataset) in &self.datasets {
            match dataset.weight_within(left) {
                Ok(weight) => {
                    left -= if weight.place().is_none() { weight.byte_len() } else { 0 };
                    weights.insert(name.clone(), weight);
                }
                Err(Error::Unknown { problem, .. }) => {
                    refused.push(name, format!("cannot be read: {problem}"));
                }
                Err(error) => return Err(error),
            }
        }
        if refused.count > 0 {
            return Err(Error::Refused { path: reader.path().to_owned(), refused });
        }
        weights.set_metadata(self.metadata.clone());
        Ok(weights)
    }

    fn of_layers(&mut self, from: &Group, layers: &[keras::Layer]) -> Result<()> {
        let mut names = HashSet::new();
        for layer in layers {
            for weight in &layer.weights {
                let name = format!("{}/{weight}", layer.name);
                if !names.insert(name.clone()) {
                    return Err(from.file().damaged(from.address(), format!("\"{name}\" is listed twice")));
                }
                self.add(from, name, layer.dataset(weight)?)?;
            }
        }
        Ok(())
    }

    /// Walks through all groups, each once: hard links can make circles.
    fn of_groups(&mut self, file: &File, root: Group) -> Result<()> {
        let inner = &file.inner;
        let before = inner.charged();
        let mut seen = HashSet::from([root.address()]);
        let mut groups = vec![(root, 0)];
        while let Some((group, depth)) = groups.pop() {
            let mut below = Vec::new();
            for child in group.children()? {
                if inner.charged() - before > inner.owned_limit() {
                    return Err(inner.damaged(0, "its object headers overlap"));
                }
                match child {
                    Child::Group(child) if depth >= limits::MAX_MODULE_DEPTH => {
                        let limit = limits::MAX_MODULE_DEPTH as u64;
                        return Err(inner.too_much(child.path(), "groups around it", limit + 1, limit));
                    }
                    Child::Group(child) => {
                        if seen.insert(child.address()) {
                            below.push((child, depth + 1));
                        }
                    }
                    Child::Dataset(dataset) => {
                        let name = dataset.path().to_owned();
                        match dataset.dtype() {
                            Ok(_) => self.add(&group, name, dataset)?,
                            Err(Error::Unknown { .. }) => self.skip(&name, dataset.describe()),
                            Err(error) => return Err(error),
                        }
                    }
                    Child::Type => {}
                }
            }
            groups.extend(below.into_iter().rev());
        }
        Ok(())
    }

    fn add(&mut self, from: &Group, name: String, dataset: Dataset) -> Result<()> {
        let (limit, file) = (limits::MAX_TENSORS, from.file());
        if self.datasets.len() >= limit {
            return Err(file.too_much("the tree of groups", "tensors", limit as u64 + 1, limit as u64));
        }
        self.datasets.push((name, dataset));
        Ok(())
    }

    fn skip(&mut self, name: &str, what: String) {
        self.others += 1;
        if self.skipped.len() < limits::MAX_LISTED {
            let name = name.chars().take(limits::MAX_SHOWN_KEY).collect();
            self.skipped.push(Skipped { name, what });
        }
    }
}
