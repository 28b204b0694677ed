//! A checkpoint as a network's builder sees it: tensors by path, and which of them nobody asked for.
//!
//! Two things make short architecture files safe. Every tensor that is taken is checked against the shape that the operator
//! using it needs, by name. And what was *not* taken is asked for at the end: leftovers mean another network, and are an
//! error with a list ([`Weights::finish`]), apart from names that inference ignores, each of which has to be declared.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use zoo_tensor::Weight;

use crate::{Error, Result};

/// A view of a checkpoint below a path. Cloning is cheap; all views share the record of what was used.
#[derive(Clone)]
pub struct Weights {
    all: Rc<All>,
    prefix: String,
}

struct All {
    /// By the path that builders ask for; in order, so that what lies below a path lies together.
    tensors: Rc<BTreeMap<String, Named>>,
    used: RefCell<BTreeSet<String>>,
    ignored: RefCell<BTreeSet<String>>,
}

struct Named {
    /// The checkpoint's own name of it: what the graph and messages call it.
    name: String,
    weight: Weight,
}

/// A tensor under its names.
#[derive(Debug, Clone)]
pub struct NamedWeight {
    /// The path that the builder asks for.
    pub path: String,
    /// The name that it has in the checkpoint, and gets in the graph.
    pub name: String,
    /// The tensor.
    pub weight: Weight,
}

impl Weights {
    /// A checkpoint whose names are the paths.
    ///
    /// # Errors
    /// If a name stands twice.
    pub fn new(tensors: impl IntoIterator<Item = (String, Weight)>) -> Result<Self> {
        Self::named(tensors.into_iter().map(|(name, weight)| NamedWeight {
            path: name.clone(),
            name,
            weight,
        }))
    }

    /// A checkpoint of another source, whose own names were translated to the paths that builders know.
    ///
    /// # Errors
    /// If two tensors came to have the same path.
    pub fn named(tensors: impl IntoIterator<Item = NamedWeight>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for NamedWeight { path, name, weight } in tensors {
            if let Some(before) = all.insert(path.clone(), Named { name: name.clone(), weight }) {
                return Err(Error::SamePath { path, names: [before.name, name] });
            }
        }
        Ok(Self::over(Rc::new(all)))
    }

    /// The whole checkpoint again, of which nothing was used yet.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::over(Rc::clone(&self.all.tensors))
    }

    fn over(tensors: Rc<BTreeMap<String, Named>>) -> Self {
        let all = All { tensors, used: RefCell::default(), ignored: RefCell::default() };
        Self { all: Rc::new(all), prefix: String::new() }
    }

    /// The view one step (or several, `layer1.0`) down.
    #[must_use]
    pub fn at(&self, path: impl fmt::Display) -> Self {
        Self { all: Rc::clone(&self.all), prefix: self.full(path) }
    }

    /// The view below `path`, if the checkpoint has anything there.
    pub fn find(&self, path: impl fmt::Display) -> Option<Self> {
        let below = self.at(path);
        let any = below.entries().next().is_some();
        any.then_some(below)
    }

    /// Where this view stands; empty at the top.
    pub fn path(&self) -> &str {
        &self.prefix
    }

    /// Whether there is a tensor of exactly this name below this view.
    pub fn has(&self, name: impl fmt::Display) -> bool {
        self.all.tensors.contains_key(&self.full(name))
    }

    /// A tensor's shape, without using it.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn shape(&self, name: impl fmt::Display) -> Result<&[usize]> {
        Ok(self.lookup(&self.full(name))?.weight.shape())
    }

    /// How many numbered parts (`0`, `1`, … without a gap) there are below `path`: the depth of a stage.
    pub fn count(&self, path: impl fmt::Display) -> usize {
        let below = self.at(path);
        (0..self.all.tensors.len()).take_while(|index| below.find(index).is_some()).count()
    }

    /// The names of all tensors below this view, without its path, in order.
    pub fn names(&self) -> Vec<&str> {
        let skip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        self.entries().map(|(path, _)| path.get(skip..).unwrap_or_default()).collect()
    }

    /// Takes a tensor: its path, its name, its place.
    ///
    /// # Errors
    /// If there is no such tensor; the nearest names are told.
    pub fn take(&self, name: impl fmt::Display) -> Result<NamedWeight> {
        let path = self.full(name);
        let Named { name, weight } = self.lookup(&path)?;
        self.all.used.borrow_mut().insert(path.clone());
        Ok(NamedWeight { path, name: name.clone(), weight: weight.clone() })
    }

    /// Declares that inference does not use tensors below this view whose name (without the view's path) `fits`, such as
    /// counters of training steps and heads that only training has. Only what is there counts.
    pub fn ignore(&self, fits: impl Fn(&str) -> bool) {
        let skip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let mut ignored = self.all.ignored.borrow_mut();
        for (path, _) in self.entries() {
            if fits(path.get(skip..).unwrap_or_default()) {
                ignored.insert(path.to_owned());
            }
        }
    }

    /// The checkpoint's names of tensors that were neither taken nor declared unused.
    pub fn leftovers(&self) -> Vec<String> {
        let (used, ignored) = (self.all.used.borrow(), self.all.ignored.borrow());
        let left = |path: &String| !used.contains(path) && !ignored.contains(path);
        self.all.tensors.iter().filter(|(path, _)| left(path)).map(|(_, named)| named.name.clone()).collect()
    }

    /// The paths of tensors that were neither taken nor declared unused.
    pub fn left_paths(&self) -> Vec<String> {
        let (used, ignored) = (self.all.used.borrow(), self.all.ignored.borrow());
        let left = |path: &&String| !used.contains(*path) && !ignored.contains(*path);
        self.all.tensors.keys().filter(left).cloned().collect()
    }

    /// How many tensors there are, were taken, and were declared unused.
    pub fn tally(&self) -> Tally {
        let (used, ignored) = (self.all.used.borrow(), self.all.ignored.borrow());
        // What one head declares unused, another may have taken.
        let ignored = ignored.difference(&used).count();
        Tally { all: self.all.tensors.len(), used: used.len(), ignored }
    }

    /// Ends the building of a network.
    ///
    /// # Errors
    /// [`Error::Leftovers`] if a tensor was never asked for.
    pub fn finish(&self) -> Result<Tally> {
        let names = self.leftovers();
        if names.is_empty() { Ok(self.tally()) } else { Err(Error::Leftovers { names }) }
    }

    fn full(&self, name: impl fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    fn lookup(&self, path: &str) -> Result<&Named> {
        self.all
            .tensors
            .get(path)
            .ok_or_else(|| Error::MissingWeight { path: path.to_owned(), nearest: self.nearest(path) })
    }

    /// Every tensor whose path is this view's or below it.
    fn entries(&self) -> impl Iterator<Item = (&String, &Named)> {
        let below = if self.prefix.is_empty() { String::new() } else { format!("{}.", self.prefix) };
        let own = self.all.tensors.get_key_value(&self.prefix);
        let from = below.clone();
        own.into_iter().chain(
            self.all.tensors.range(from..).take_while(move |(path, _)| path.starts_with(below.as_str())),
        )
    }

    /// Up to three tensors beside the missing one: those that share the longest beginning with it.
    fn nearest(&self, path: &str) -> Vec<String> {
        let common = |other: &str| path.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let mut near: Vec<(usize, &Named)> =
            self.all.tensors.iter().map(|(other, named)| (common(other), named)).collect();
        near.sort_by_key(|&(common, _)| std::cmp::Reverse(common));
        near.into_iter().filter(|&(common, _)| common > 0).take(3).map(|(_, n)| n.name.clone()).collect()
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights({:?}, {} tensors)", self.prefix, self.all.tensors.len())
    }
}

/// What became of a checkpoint's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// All there are.
    pub all: usize,
    /// Those that the graph uses.
    pub used: usize,
    /// Those that were declared unused.
    pub ignored: usize,
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Tensor;

    use super::*;

    fn weights(names: &[&str]) -> Weights {
        let one = || Weight::from(Tensor::from_slice([1], &[1.0_f32]).unwrap());
        Weights::new(names.iter().map(|&name| (name.to_owned(), one()))).unwrap()
    }

    #[test]
    fn views_join_paths() {
        let w = weights(&["a.0.w", "a.0.b", "a.1.w", "a.10.w", "ab.w", "a"]);
        assert_eq!(w.at("a").at(0).take("w").unwrap().name, "a.0.w");
        assert!(w.find("a.2").is_none() && w.find("b").is_none() && w.find("ab").is_some());
        assert_eq!(w.count("a"), 2, "a number after a gap is not counted");
        assert_eq!(w.at("a").names(), ["", "0.b", "0.w", "1.w", "10.w"]);
        assert!(w.has("ab.w") && !w.has("ab"));
    }

    #[test]
    fn what_is_missing_is_told_with_its_neighbours() {
        let error = weights(&["fc.weight", "fc.bias", "conv1.weight"]).at("fc").take("wieght").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"fc.wieght\"");
        assert!(error.hint().unwrap().contains("fc.weight"));
    }

    #[test]
    fn leftovers_are_an_error_and_what_is_ignored_is_declared() {
        let w = weights(&["a", "bn.num_batches_tracked", "aux.w"]);
        w.take("a").unwrap();
        let error = w.finish().unwrap_err().to_string();
        assert!(error.contains("aux.w") && error.contains("bn.num_batches_tracked"), "{error}");
        w.ignore(|name| name.ends_with("num_batches_tracked"));
        w.at("aux").ignore(|_| true);
        assert_eq!(w.finish().unwrap(), Tally { all: 3, used: 1, ignored: 2 });
        assert_eq!(w.anew().tally(), Tally { all: 3, used: 0, ignored: 0 });
    }

    #[test]
    fn two_names_for_one_path_are_refused() {
        let one = Weight::from(Tensor::from_slice([1], &[1.0_f32]).unwrap());
        let named = |name: &str| NamedWeight { path: "p".into(), name: name.into(), weight: one.clone() };
        let error = Weights::named([named("x"), named("y")]).unwrap_err();
        assert_eq!(error.to_string(), "the tensors \"x\" and \"y\" both stand for \"p\"");
    }
}
