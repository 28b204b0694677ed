//! Named weights in the order in which the file names them.

use std::collections::{BTreeMap, HashMap};

use zoo_tensor::Weight;

use crate::Result;
use crate::quantizer::Quantizer;

/// The weights of one network: names, kept byte for byte, and where each one's bytes are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    entries: Vec<(String, Entry)>,
    by_name: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

/// A weight, and how its integers become numbers if it is quantized.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) weight: Weight,
    pub(crate) quantizer: Option<Quantizer>,
}

impl From<Weight> for Entry {
    fn from(weight: Weight) -> Self {
        Self { weight, quantizer: None }
    }
}

impl StateDict {
    /// One without weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a weight. Under a name that exists it takes the other one's place, as in Python, and the old one is returned.
    pub fn insert(&mut self, name: impl Into<String>, weight: Weight) -> Option<Weight> {
        self.insert_entry(name.into(), weight.into()).map(|entry| entry.weight)
    }

    pub(crate) fn insert_entry(&mut self, name: String, entry: Entry) -> Option<Entry> {
        if let Some((_, place)) = self.by_name.get(&name).and_then(|&index| self.entries.get_mut(index)) {
            return Some(std::mem::replace(place, entry));
        }
        self.by_name.insert(name.clone(), self.entries.len());
        self.entries.push((name, entry));
        None
    }

    /// The weight of this name. One that is quantized is given as its integers: see [`StateDict::quantizer`].
    pub fn get(&self, name: &str) -> Option<&Weight> {
        self.entry(name).map(|entry| &entry.weight)
    }

    /// How the integers of this weight become numbers; none if it is not quantized.
    pub fn quantizer(&self, name: &str) -> Option<&Quantizer> {
        self.entry(name)?.quantizer.as_ref()
    }

    /// A quantized weight as the `f32` numbers that it stands for, computed in memory; any other one as it is. None if
    /// there is no weight of this name.
    ///
    /// # Errors
    /// If the file cannot be read, or the quantizer is of a kind that [`Quantizer::dequantise`] refuses.
    pub fn dequantised(&self, name: &str) -> Option<Result<Weight>> {
        let entry = self.entry(name)?;
        Some(match &entry.quantizer {
            Some(quantizer) => quantizer.dequantise(&entry.weight),
            None => Ok(entry.weight.clone()),
        })
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).and_then(|&index| self.entries.get(index)).map(|(_, entry)| entry)
    }

    /// All weights in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Weight)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.weight))
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// How many weights there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the container notes beside the weights: `format` in safetensors files, `keras_version` and `backend` in HDF5
    /// files of Keras. Empty for the others.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    #[cfg(any(feature = "hdf5", feature = "safetensors"))]
    pub(crate) fn set_metadata(&mut self, metadata: BTreeMap<String, String>) {
        self.metadata = metadata;
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Weight);
    type IntoIter = std::vec::IntoIter<(String, Weight)>;

    fn into_iter(self) -> Self::IntoIter {
        let weights: Vec<_> = self.entries.into_iter().map(|(name, entry)| (name, entry.weight)).collect();
        weights.into_iter()
    }
}

impl<N: Into<String>> FromIterator<(N, Weight)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (N, Weight)>>(weights: I) -> Self {
        let mut dict = Self::new();
        for (name, weight) in weights {
            dict.insert(name, weight);
        }
        dict
    }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Tensor;

    use super::*;

    fn weight(value: f32) -> Weight {
        Tensor::from_slice([1], &[value]).unwrap().into()
    }

    #[test]
    fn order_is_that_of_insertion_and_a_name_occurs_once() {
        let mut dict: StateDict = [("b", weight(1.0)), ("a", weight(2.0))].into_iter().collect();
        assert_eq!(dict.insert("b", weight(3.0)), Some(weight(1.0)));
        assert_eq!(dict.insert("c", weight(4.0)), None);
        assert_eq!(dict.names().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(dict.get("b"), Some(&weight(3.0)));
        assert_eq!(dict.get("d"), None);
        assert_eq!((dict.len(), dict.is_empty()), (3, false));
        assert!(dict.dequantised("a").unwrap().unwrap() == weight(2.0) && dict.dequantised("d").is_none());
        let owned: Vec<_> = dict.clone().into_iter().collect();
        assert_eq!(owned.first(), Some(&("b".to_owned(), weight(3.0))));
        assert_eq!(dict.iter().count(), 3);
    }
}
