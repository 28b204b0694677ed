//! Whole pickled networks: their tensors under the names that `state_dict()` gives them.
//!
//! `torch.save(model)` pickles every module as an object whose state is its `__dict__`. Parameters, buffers and child
//! modules are dictionaries in it, so names and tensors can be read without the class. What a class does of its own in
//! `state_dict()` (hooks, extra state, the packing of quantized layers) cannot be: it is code.

use std::collections::{HashMap, HashSet};

use super::{find, names, tensor};
use crate::pickle::{Id, Pickle, Value};
use crate::{Error, Result, limits};

/// The class of a module; none if the value is none.
pub(super) fn class(pickle: &Pickle, id: Id) -> Option<String> {
    let fields = fields(pickle, id)?;
    if !fields.contains_key("_parameters") || !fields.contains_key("_modules") {
        return None;
    }
    let class = names::class(pickle, pickle.object(id)?);
    Some(class.map_or_else(|| "module of a class without a name".to_owned(), ToString::to_string))
}

/// The attributes of an object that a module has.
fn fields(pickle: &Pickle, id: Id) -> Option<HashMap<&str, Id>> {
    const FIELDS: &[&str] = &["_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"];
    let object = pickle.object(id)?;
    let mut fields = HashMap::new();
    for &state in &object.states {
        // With slots, the state is a pair of which the first is the dictionary.
        let dict = match pickle.get(state) {
            Value::Tuple(&[dict, _]) => dict,
            _ => state,
        };
        let Value::Dict(pairs) = pickle.get(dict) else { continue };
        for &(key, value) in pairs {
            if let Some(name) = pickle.text(key).filter(|name| FIELDS.contains(name)) {
                fields.insert(name, value);
            }
        }
    }
    (!fields.is_empty()).then_some(fields)
}

/// What walking through modules has cost so far. Modules that are shared are walked through once for each of their names,
/// so a small pickle can describe a network of any size.
#[derive(Debug, Default)]
pub(super) struct Budget {
    modules: usize,
    tensors: usize,
    name_bytes: usize,
}

/// All tensors of a module and of the modules below it, each module's own first. `holder` is what errors call it.
pub(super) fn tensors(
    pickle: &Pickle,
    root: Id,
    holder: &str,
    budget: &mut Budget,
) -> Result<Vec<(String, Id)>> {
    let Budget { modules, tensors, name_bytes } = budget;
    let mut out: Vec<(String, Id)> = Vec::new();
    let bound = |what, found: usize, limit: usize| {
        if found <= limit {
            return Ok(());
        }
        Err(Error::TooMuch { holder: holder.to_owned(), what, found: found as u64, limit: limit as u64 })
    };
    // Depth first with the children in order: a stack that holds them in reverse.
    let mut ahead = vec![(root, String::new(), 0)];
    while let Some((id, prefix, depth)) = ahead.pop() {
        *modules += 1;
        bound("modules", *modules, limits::MAX_MODULES)?;
        bound("levels of modules", depth, limits::MAX_MODULE_DEPTH)?;
        let fields = fields(pickle, id).unwrap_or_default();
        let field = |name: &str| fields.get(name).map(|&id| find::entries(pickle, id).unwrap_or_default());
        let forgotten =
            fields.get("_non_persistent_buffers_set").map(|&id| set(pickle, id)).unwrap_or_default();
        let buffers = field("_buffers").unwrap_or_default().into_iter();
        let buffers =
            buffers.filter(|(key, _)| pickle.text(*key).is_none_or(|name| !forgotten.contains(name)));
        let mut join = |key: Id| -> Result<Option<String>> {
            let Some(key) = pickle.text(key) else { return Ok(None) };
            bound("bytes of a name", prefix.len() + key.len(), limits::MAX_NAME_BYTES)?;
            *name_bytes += prefix.len() + key.len();
            bound("bytes of names", *name_bytes, limits::MAX_ALL_NAMES_BYTES)?;
            Ok(Some(format!("{prefix}{key}")))
        };
        for (key, value) in field("_parameters").unwrap_or_default().into_iter().chain(buffers) {
            if tensor::is_tensor(pickle, value)
                && let Some(name) = join(key)?
            {
                out.push((name, value));
                *tensors += 1;
                bound("tensors", *tensors, limits::MAX_TENSORS)?;
            }
        }
        for (key, child) in field("_modules").unwrap_or_default().into_iter().rev() {
            if pickle.object(child).is_some()
                && let Some(name) = join(key)?
            {
                ahead.push((child, name + ".", depth + 1));
                bound("modules", *modules + ahead.len(), limits::MAX_MODULES)?;
            }
        }
    }
    Ok(out)
}

/// The texts in a set, which protocol 2 writes as a call of `set` with a list.
fn set(pickle: &Pickle, id: Id) -> HashSet<&str> {
    let items = match pickle.get(id) {
        Value::Set(items) => items,
        Value::Object(object) => {
            pickle.args(object).first().and_then(|&list| pickle.items(list)).unwrap_or_default()
        }
        _ => &[],
    };
    items.iter().filter_map(|&item| pickle.text(item)).collect()
}
