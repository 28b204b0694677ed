//! Any bytes as a pickle: no panic, no more values than bytes, and every value can be looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zoo_formats::pickle::{Id, Options, Pickle, Value, parse};

/// Looks at everything that a value holds.
fn touch(pickle: &Pickle, id: Id) -> usize {
    let pairs = |pairs: &[(Id, Id)]| {
        pairs.iter().map(|&(key, value)| pickle.get(key).kind().len() + pickle.get(value).kind().len()).sum()
    };
    let items = |items: &[Id]| items.iter().map(|&item| pickle.get(item).kind().len()).sum();
    match pickle.get(id) {
        Value::List(list) | Value::Tuple(list) | Value::Set(list) => items(list),
        Value::Dict(dict) => pairs(dict),
        Value::Object(object) => {
            assert!(matches!(pickle.get(object.args), Value::Tuple(_)));
            items(&object.states) + items(&object.items) + pairs(&object.pairs)
        }
        Value::Persistent(inner) => pickle.get(inner).kind().len(),
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) | Value::BigInt(bytes) => bytes.len(),
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(pickle) = parse(bytes, "fuzzed", &Options::default()) {
        assert!(pickle.consumed() <= bytes.len() as u64);
        assert!(!pickle.is_empty() && pickle.len() <= bytes.len());
        touch(&pickle, pickle.root());
        for (id, _) in pickle.iter() {
            touch(&pickle, id);
        }
    }
});
