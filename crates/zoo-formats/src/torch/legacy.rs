//! The stream that `torch.save` wrote from version 0.1.10 to 1.5, and writes on request until today.
//!
//! Five pickles follow each other: a number that marks the format, its version, facts about the machine, the object, and
//! the list of storage keys. Then, for each key in the order of the list, a count of elements (64 bits, little-endian)
//! and the elements, without padding. Only walking through all of it says where a storage begins.
//!
//! The facts about the machine say whether it was little-endian. That does not concern the elements: PyTorch turned them
//! on writing (`torch/csrc/generic/serialization.cpp`), and ignores the fact on reading.

use std::collections::HashMap;

use super::Torch;
use super::storage::{self, Record, Reference, Storages};
use crate::file::SourceReader;
use crate::pickle::{Id, Input, Options, Pickle, Value, run};
use crate::warning::Warning;
use crate::{Error, Result};

/// The number that marks the format, as a pickle holds it: the lowest byte first.
const NUMBER: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The version of the format. There is only one.
const VERSION: i64 = 1001;

pub(super) fn read(file: &SourceReader) -> Result<Torch> {
    let damaged = |offset, problem: String| Error::Legacy { path: file.path().to_owned(), offset, problem };
    let mut input = Input::file(file, 0);
    let mut next = |which: &str, options: &Options| {
        run(&mut input, &format!("the pickle of {which} in {}", file.path().display()), options)
    };
    // The first three and what they may need are known.
    let small = Options { max_bytes: 4096, max_opcodes: 256, ..Options::default() };
    let number = next("the format's number", &small)?;
    if number.get(number.root()) != Value::BigInt(NUMBER) {
        return Err(damaged(0, "it does not begin with the format's number".to_owned()));
    }
    let version = next("the format's version", &small)?;
    if version.int(version.root()) != Some(VERSION) {
        return Err(damaged(number.consumed(), "the version of the format is not known".to_owned()));
    }
    let facts = next("the machine's facts", &small)?;
    let pickle = next("the object", &Options::default())?;
    let keys = next("the storage keys", &Options::default())?;
    let data = input.position();
    // These have no use for names, so one that is there is for a loader that would call it.
    for (which, pickle) in [("the machine's facts", &facts), ("the storage keys", &keys)] {
        if let Some(global) = pickle.globals().first() {
            return Err(damaged(number.consumed(), format!("the pickle of {which} names {global}")));
        }
    }

    let declared = declared(&pickle, file)?;
    let list = keys.items(keys.root()).filter(|_| matches!(keys.get(keys.root()), Value::List(_)));
    let list = list.ok_or_else(|| damaged(data, "the list of storage keys is no list".to_owned()))?;
    let mut records = HashMap::new();
    let mut at = data;
    for &key in list {
        let key = storage::key(&keys, key)
            .ok_or_else(|| damaged(at, "the key of a storage is neither text nor a number".to_owned()))?;
        let &(count, size) = declared
            .get(&key)
            .ok_or_else(|| damaged(at, format!("storage \"{key}\" is listed and no tensor mentions it")))?;
        let found = file.read(at, 8)?.try_into().map(i64::from_le_bytes);
        let found = found.map_err(|_| damaged(at, format!("the file ends before storage \"{key}\"")))?;
        if u64::try_from(found) != Ok(count) {
            let problem = format!("storage \"{key}\" has {found} elements here and {count} by the pickle");
            return Err(damaged(at, problem));
        }
        let (offset, length) = (at + 8, count.saturating_mul(size));
        at = match offset.checked_add(length).filter(|end| *end <= file.len()) {
            Some(end) => end,
            None => {
                let problem = format!("storage \"{key}\" needs {length} bytes and the file ends before");
                return Err(damaged(at, problem));
            }
        };
        if records.insert(key.clone(), Record::Stored { offset, length }).is_some() {
            return Err(damaged(offset, format!("storage \"{key}\" is listed twice")));
        }
    }
    let trailing = file.len() - at;
    let warnings =
        if trailing == 0 { Vec::new() } else { vec![Warning::Trailing { offset: at, bytes: trailing }] };
    Ok(Torch { pickle, storages: Storages { records, big_endian: false }, warnings, archive: None })
}

/// How many elements of which size each storage has, by all that the object says of it.
fn declared(pickle: &Pickle, file: &SourceReader) -> Result<HashMap<String, (u64, u64)>> {
    let unknown = |problem| Error::Unknown { path: file.path().to_owned(), problem };
    let mut declared: HashMap<String, (u64, u64)> = HashMap::new();
    for (_, value) in pickle.iter() {
        let Value::Persistent(id) = value else { continue };
        if is_class(pickle, id) {
            continue;
        }
        let reference = Reference::read(pickle, id).map_err(unknown)?;
        let (count, size) = (reference.count, reference.element.size());
        let bytes = reference.bytes().map_err(unknown)?;
        let key = reference.key;
        let &mut (known_count, known_size) = declared.entry(key.clone()).or_insert((count, size));
        if known_count.saturating_mul(known_size) != bytes {
            return Err(unknown(format!("storage \"{key}\" has two different lengths")));
        }
    }
    Ok(declared)
}

/// `("module", class, file, source)`: the class of a pickled network, with its source text.
fn is_class(pickle: &Pickle, id: Id) -> bool {
    pickle.items(id).and_then(|fields| fields.first()).and_then(|&kind| pickle.text(kind)) == Some("module")
}
