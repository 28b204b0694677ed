//! Finding the state dict in whatever was saved.
//!
//! `torch.save` takes any object. Most files hold a dictionary of tensors; training scripts put it under a key beside the
//! optimizer, sometimes with a moving average of the weights; others save the network as an object. All dictionaries of
//! tensors and all networks in the first few levels are listed, and one of them is chosen by rules that do not depend on
//! chance:
//!
//! 1. The object itself, if it is a network or at least four fifths of its values are tensors.
//! 2. Otherwise the one whose key stands first in [`KEYS`]; moving averages only if there is nothing else.
//! 3. Otherwise the only one there is.
//!
//! If two are equally good, nothing is chosen and the caller has to name one.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{module, tensor};
use crate::origin::{Dictionary, Origin, Skipped};
use crate::pickle::{Id, Pickle, Value};
use crate::{Result, limits};

/// The keys that training scripts put state dicts under, the most telling first.
const KEYS: &[&str] = &[
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "student",
    "teacher",
    "generator",
    "ema",
];

/// Keys under which no network lies, however many tensors are there.
const NEVER: &[&str] =
    &["amp", "args", "callbacks", "cfg", "config", "hyper_parameters", "loops", "rng_state", "scaler"];

/// The same for keys that have one of these in them: what an optimizer or a scheduler remembers.
const NEVER_WITH: &[&str] = &["optim", "sched"];

/// What all names may have in front because of how the network was wrapped.
const WRAPPERS: &[&str] = &["module.", "_orig_mod."];

/// Lightning and its like keep the network in an attribute of this name.
const ATTRIBUTE: &str = "model.";

/// A dictionary that was found, and the value that it is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) dictionary: Dictionary,
    pub(super) id: Id,
}

/// Lists the dictionaries of a pickle and chooses one. `file` is what errors call it.
pub(super) fn search(pickle: &Pickle, file: &str) -> Result<(Vec<Found>, Origin)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut budget = module::Budget::default();
    let mut ahead = VecDeque::from([(pickle.root(), Vec::new())]);
    while let Some((id, path)) = ahead.pop_front() {
        if found.len() >= limits::MAX_DICTIONARIES || !seen.insert(id) {
            continue;
        }
        if let Some(dictionary) = describe(pickle, id, &path, file, &mut budget)? {
            let module = dictionary.module.is_some();
            found.push(Found { dictionary, id });
            if module {
                continue;
            }
        }
        let room = limits::MAX_SEARCHED.saturating_sub(seen.len() + ahead.len());
        if path.len() < limits::SEARCH_DEPTH {
            ahead.extend(children(pickle, id).into_iter().take(room).map(|(key, child)| {
                let path = path.iter().cloned().chain([key]).collect();
                (child, path)
            }));
        }
    }
    // One tensor beside settings is no network, if there is something that is.
    if found.iter().any(is_telling) {
        found.retain(is_telling);
    }
    let taken = choose(&found).map(|found| found.dictionary.clone());
    let path = taken.as_ref().map(|dictionary| dictionary.path.as_str());
    let beside = match path {
        Some("") => Vec::new(), // What else there is, is in the dictionary itself.
        _ => {
            let leads_there = |key: &str| {
                let rest = path.and_then(|path| path.strip_prefix(key));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            keys(pickle, pickle.root()).into_iter().filter(|key| !leads_there(key)).collect()
        }
    };
    Ok((found, Origin { taken, beside }))
}

/// The entries of a dictionary, or of an object that is filled like one: an `OrderedDict`, a `defaultdict`, a class of
/// settings. An `OrderedDict` of Python 2 has them as pairs in its only argument.
pub(super) fn entries(pickle: &Pickle, id: Id) -> Option<Vec<(Id, Id)>> {
    match pickle.get(id) {
        Value::Dict(pairs) => Some(pairs.to_vec()),
        Value::Object(object) => {
            let ordered =
                pickle.global(object.callee).is_some_and(|class| class.is("collections", "OrderedDict"));
            let first =
                pickle.args(object).first().filter(|_| ordered).and_then(|&pairs| pickle.items(pairs));
            let pair = |&pair: &Id| match pickle.items(pair)? {
                &[key, value] => Some((key, value)),
                _ => None,
            };
            let mut all: Vec<_> = first.unwrap_or_default().iter().filter_map(pair).collect();
            all.extend_from_slice(&object.pairs);
            (ordered || !all.is_empty()).then_some(all)
        }
        _ => None,
    }
}

/// The tensors of a dictionary by name, in order; the last one of a name counts, in the place of the first.
pub(super) fn tensors(pickle: &Pickle, id: Id) -> Vec<(&str, Id)> {
    let mut tensors: Vec<(&str, Id)> = Vec::new();
    let mut places = HashMap::new();
    for (key, value) in entries(pickle, id).unwrap_or_default() {
        let Some(name) = name(pickle, key) else { continue };
        let known: Option<&usize> = places.get(name);
        match known.and_then(|&place| tensors.get_mut(place)) {
            Some(entry) => entry.1 = value,
            None => {
                places.insert(name, tensors.len());
                tensors.push((name, value));
            }
        }
    }
    tensors.retain(|(_, value)| tensor::is_tensor(pickle, *value));
    tensors
}

fn name(pickle: &Pickle, key: Id) -> Option<&str> {
    pickle.text(key).filter(|name| name.len() <= limits::MAX_NAME_BYTES)
}

/// Describes a value, if it is a network or a dictionary with tensors.
fn describe(
    pickle: &Pickle,
    id: Id,
    path: &[String],
    file: &str,
    budget: &mut module::Budget,
) -> Result<Option<Dictionary>> {
    let ema = path.iter().any(|key| is_ema(key));
    let path = path.join(".");
    if let Some(class) = module::class(pickle, id) {
        let holder = if path.is_empty() { file.to_owned() } else { format!("\"{path}\" in {file}") };
        let names: Vec<String> =
            module::tensors(pickle, id, &holder, budget)?.into_iter().map(|(name, _)| name).collect();
        // Only the wrapper's own prefix: within a pickled network all other names are the network's.
        let wrapped = ["DataParallel", "DistributedDataParallel"].iter().any(|name| class.ends_with(name));
        let prefix =
            if wrapped { common(&names.iter().map(String::as_str), &["module."]) } else { String::new() };
        let (tensors, module) = (names.len(), Some(class));
        return Ok(Some(Dictionary { path, tensors, module, ema, prefix, others: 0, skipped: Vec::new() }));
    }
    if entries(pickle, id).is_none() {
        return Ok(None);
    }
    let tensors = tensors(pickle, id);
    if tensors.is_empty() {
        return Ok(None);
    }
    let (prefix, tensors) = (prefix(&tensors), tensors.len());
    let (others, skipped) = skipped(pickle, id);
    Ok(Some(Dictionary { path, tensors, module: None, ema, prefix, others, skipped }))
}

/// What is to be taken off the front of all names.
fn prefix(tensors: &[(&str, Id)]) -> String {
    let names = || tensors.iter().map(|(name, _)| *name);
    let before = common(&names(), WRAPPERS);
    let inner = names().map(|name| name.get(before.len()..).unwrap_or_default());
    let attribute = if inner.clone().all(|name| name.len() > ATTRIBUTE.len() && name.starts_with(ATTRIBUTE)) {
        ATTRIBUTE
    } else {
        ""
    };
    let rest = inner.map(|name| name.get(attribute.len()..).unwrap_or_default());
    let after = if attribute.is_empty() { String::new() } else { common(&rest, WRAPPERS) };
    before + attribute + &after
}

/// The longest chain of these prefixes that all names begin with, and that leaves something of each.
fn common<'n>(names: &(impl Iterator<Item = &'n str> + Clone), prefixes: &[&str]) -> String {
    let mut taken = String::new();
    // Wrappers are wrapped once or twice; a name of nothing but prefixes must not make this quadratic.
    for _ in 0..4 {
        let has = |prefix: &str| {
            names.clone().all(|name| {
                let rest = name.get(taken.len()..).and_then(|name| name.strip_prefix(prefix));
                rest.is_some_and(|rest| !rest.is_empty())
            })
        };
        match prefixes.iter().find(|prefix| has(prefix)) {
            Some(prefix) => taken.push_str(prefix),
            None => break,
        }
    }
    taken
}

/// The values below this one that may hold dictionaries, with their keys.
fn children(pickle: &Pickle, id: Id) -> Vec<(String, Id)> {
    if let Some(entries) = entries(pickle, id) {
        let named = entries.into_iter().filter_map(|(key, value)| Some((name(pickle, key)?, value)));
        return named
            .filter(|(key, value)| may_hold(pickle, *value) && may_name(key))
            .take(limits::MAX_DICTIONARIES)
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
    }
    match pickle.get(id) {
        Value::List(items) | Value::Tuple(items) => items
            .iter()
            .take(limits::MAX_DICTIONARIES)
            .enumerate()
            .filter(|(_, item)| may_hold(pickle, **item))
            .map(|(index, &item)| (format!("[{index}]"), item))
            .collect(),
        _ => Vec::new(),
    }
}

fn may_name(key: &str) -> bool {
    key.len() <= limits::MAX_SHOWN_KEY
        && !NEVER.contains(&key)
        && !NEVER_WITH.iter().any(|part| key.contains(part))
}

fn may_hold(pickle: &Pickle, id: Id) -> bool {
    match pickle.get(id) {
        Value::Dict(_) | Value::List(_) | Value::Tuple(_) => true,
        Value::Object(_) => !tensor::is_tensor(pickle, id),
        _ => false,
    }
}

/// Whether a key speaks of a moving average: `model_ema`, `ema_state_dict`, `EMA`, not `schema`.
fn is_ema(key: &str) -> bool {
    key.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case("ema"))
}

fn choose(found: &[Found]) -> Option<&Found> {
    let whole = found.iter().find(|found| found.dictionary.path.is_empty());
    if let Some(whole) = whole.filter(|whole| is_telling(whole)) {
        return Some(whole);
    }
    let rank = |found: &Found| {
        let Dictionary { path, ema, .. } = &found.dictionary;
        // `model_ema` counts as `model`, after everything that is no average.
        let key = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let plain = key.strip_suffix("_ema").or_else(|| key.strip_prefix("ema_")).unwrap_or(&key);
        let place = KEYS.iter().position(|&known| known == plain || known == key)?;
        Some((*ema, place, path.matches('.').count()))
    };
    let mut named: Vec<_> = found.iter().filter_map(|found| Some((rank(found)?, found))).collect();
    named.sort_by_key(|(rank, _)| *rank);
    match named.as_slice() {
        [(first, _), (second, _), ..] if first == second => return None,
        [(_, first), ..] => return Some(first),
        [] => {}
    }
    match found {
        [only] => Some(only),
        _ => None,
    }
}

/// Whether it is a network, or a dictionary of which at least four fifths are tensors.
fn is_telling(found: &Found) -> bool {
    let Dictionary { module, tensors, others, .. } = &found.dictionary;
    module.is_some() || tensors * 5 >= (tensors + others) * 4
}

/// How many entries are no tensors, and the first of them. A quantized network has many: types, packed parameters.
fn skipped(pickle: &Pickle, id: Id) -> (usize, Vec<Skipped>) {
    let (mut count, mut skipped) = (0, Vec::new());
    for (key, value) in entries(pickle, id).unwrap_or_default() {
        if name(pickle, key).is_some() && tensor::is_tensor(pickle, value) {
            continue;
        }
        count += 1;
        if skipped.len() < limits::MAX_LISTED {
            skipped.push(Skipped { name: shown(pickle, key), what: what(pickle, value) });
        }
    }
    (count, skipped)
}

/// The keys of a dictionary, as they are shown.
fn keys(pickle: &Pickle, id: Id) -> Vec<String> {
    let keys = entries(pickle, id).unwrap_or_default().into_iter();
    keys.take(limits::MAX_LISTED).map(|(key, _)| shown(pickle, key)).collect()
}

fn shown(pickle: &Pickle, key: Id) -> String {
    match (pickle.text(key), pickle.int(key)) {
        (Some(text), _) => text.chars().take(limits::MAX_SHOWN_KEY).collect(),
        (None, Some(number)) => number.to_string(),
        (None, None) => pickle.get(key).kind().to_owned(),
    }
}

/// What a value is, for people.
pub(super) fn what(pickle: &Pickle, id: Id) -> String {
    match pickle.get(id) {
        Value::Global(global) => global.to_string(),
        Value::Object(object) => match super::names::class(pickle, object) {
            Some(class) => format!("an object of {class}"),
            None => "an object".to_owned(),
        },
        other => other.kind().to_owned(),
    }
}
