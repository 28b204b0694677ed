//! A checkpoint as `torch.save` writes one, byte for byte in its structure: a zip of stored records, each aligned to 64 bytes.
//!
//! The tests of readers need files whose writer is not the reader's author; this one was compared with what torch 2.15 writes,
//! and torch loads it with `weights_only=True`. It is kept to what state dicts need: dense tensors, each with a storage of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::Crc;
use zoo_tensor::{DType, Tensor};

/// Where records begin: at a multiple of this, so that they can be mapped.
const ALIGNMENT: u64 = 64;
/// Bit 3: sizes and checksum stand behind the record. Bit 11: names are UTF-8.
const FLAGS: u16 = 0x0808;
/// What a pickle puts between two `SETITEMS`.
const ITEMS: usize = 1000;
/// A number that torch draws from the names of the records; readers show it, and use it for nothing.
const SERIALIZATION_ID: &[u8] = b"0826864773560457770009434434224964165316";

/// Writes `tensors` to `path`. `versions` has the modules whose state has a version of its own; batch norms have version 2.
pub(super) fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    versions: &BTreeMap<String, u8>,
) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let stem = path.file_stem().map_or_else(|| "archive".into(), |stem| stem.to_string_lossy());
    let file = File::create(path).with_context(failed)?;
    let mut archive = Archive { out: BufWriter::new(file), folder: &stem, at: 0, entries: Vec::new() };
    archive.record("data.pkl", &pickle(tensors, versions)?).with_context(failed)?;
    archive.record(".format_version", b"1").with_context(failed)?;
    archive.record(".storage_alignment", b"64").with_context(failed)?;
    archive.record("byteorder", b"little").with_context(failed)?;
    for (index, (name, tensor)) in tensors.iter().enumerate() {
        let bytes = tensor.bytes().with_context(|| format!("{name} holds strings"))?;
        archive.record(&format!("data/{index}"), bytes).with_context(failed)?;
    }
    archive.record("version", b"3\n").with_context(failed)?;
    archive.record(".data/serialization_id", SERIALIZATION_ID).with_context(failed)?;
    archive.finish().with_context(failed)
}

/// A zip in the making.
struct Archive<'a, W> {
    out: W,
    /// The folder within the archive: the file's stem.
    folder: &'a str,
    at: u64,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    offset: u64,
    size: u32,
    crc: u32,
}

impl<W: Write> Archive<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// One record: a header without sizes, padding up to the alignment in an extra field `FB`, the bytes, and their sizes.
    fn record(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let name = format!("{}/{name}", self.folder);
        let size = u32::try_from(bytes.len()).map_err(|_| std::io::Error::other("a record of 4 GiB"))?;
        let mut crc = Crc::new();
        crc.update(bytes);
        let entry = Entry { name, offset: self.at, size, crc: crc.sum() };
        let name = entry.name.as_bytes();

        let unpadded = self.at + 30 + name.len() as u64 + 4;
        let padding = (unpadded.next_multiple_of(ALIGNMENT) - unpadded) as u16;
        let mut header = b"PK\x03\x04".to_vec();
        extend16(&mut header, &[0, FLAGS, 0, 0, 0]);
        extend32(&mut header, &[0, 0, 0]);
        extend16(&mut header, &[name.len() as u16, padding + 4]);
        header.extend_from_slice(name);
        header.extend_from_slice(b"FB");
        extend16(&mut header, &[padding]);
        header.resize(header.len() + usize::from(padding), b'Z');
        self.put(&header)?;
        self.put(bytes)?;
        let mut behind = b"PK\x07\x08".to_vec();
        extend32(&mut behind, &[entry.crc, size, size]);
        self.entries.push(entry);
        self.put(&behind)
    }

    /// The directory, and its end in the form for 64 bits, which torch always writes, and in the old one.
    fn finish(mut self) -> std::io::Result<()> {
        let start = self.at;
        for entry in std::mem::take(&mut self.entries) {
            let mut header = b"PK\x01\x02".to_vec();
            extend16(&mut header, &[0, 0, FLAGS, 0, 0, 0]);
            extend32(&mut header, &[entry.crc, entry.size, entry.size]);
            extend16(&mut header, &[entry.name.len() as u16, 0, 0, 0, 0]);
            let offset = u32::try_from(entry.offset).map_err(|_| std::io::Error::other("4 GiB"))?;
            extend32(&mut header, &[0, offset]);
            header.extend_from_slice(entry.name.as_bytes());
            self.put(&header)?;
            self.entries.push(entry);
        }
        let (count, size, end) = (self.entries.len() as u64, self.at - start, self.at);
        let mut tail = b"PK\x06\x06".to_vec();
        extend64(&mut tail, &[44]);
        extend16(&mut tail, &[0x031e, 0x2d]);
        extend32(&mut tail, &[0, 0]);
        extend64(&mut tail, &[count, count, size, start]);
        tail.extend_from_slice(b"PK\x06\x07");
        extend32(&mut tail, &[0]);
        extend64(&mut tail, &[end]);
        extend32(&mut tail, &[1]);
        tail.extend_from_slice(b"PK\x05\x06");
        extend16(&mut tail, &[0, 0, count as u16, count as u16]);
        extend32(&mut tail, &[size as u32, start as u32]);
        extend16(&mut tail, &[0]);
        self.put(&tail)?;
        self.out.flush()
    }
}

fn extend16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn extend32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn extend64(out: &mut Vec<u8>, values: &[u64]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// The pickle of the ordered dict: a call of `_rebuild_tensor_v2` for each tensor, and the modules' versions.
fn pickle(tensors: &[(String, Tensor)], versions: &BTreeMap<String, u8>) -> Result<Vec<u8>> {
    let mut pickle = Pickler::default();
    pickle.op(b"\x80\x02");
    let dict = pickle.global("collections", "OrderedDict");
    pickle.empty_call();
    for some in tensors.chunks(ITEMS) {
        pickle.op(b"(");
        for (index, (name, tensor)) in (pickle.items..).zip(some) {
            pickle.text(name);
            pickle.tensor(index, tensor, dict).with_context(|| name.clone())?;
        }
        pickle.items += some.len();
        pickle.op(b"u");
    }
    pickle.op(b"}");
    pickle.memo();
    pickle.text("_metadata");
    pickle.get(dict);
    pickle.empty_call();
    for some in modules(tensors, versions).chunks(ITEMS) {
        pickle.op(b"(");
        for (module, version) in some {
            pickle.text(module);
            pickle.op(b"}");
            pickle.memo();
            pickle.text_once("version");
            pickle.op(&[b'K', *version, b's']);
        }
        pickle.op(b"u");
    }
    pickle.op(b"sb.");
    Ok(pickle.out)
}

/// Every module that has a tensor below it, in the order in which they occur, with the version of its state.
fn modules(tensors: &[(String, Tensor)], versions: &BTreeMap<String, u8>) -> Vec<(String, u8)> {
    let mut found: Vec<(String, u8)> = vec![(String::new(), 1)];
    let mut index: BTreeMap<String, usize> = BTreeMap::from([(String::new(), 0)]);
    for (name, _) in tensors {
        for (dot, _) in name.match_indices('.') {
            index.entry(name[..dot].to_owned()).or_insert_with(|| {
                found.push((name[..dot].to_owned(), 1));
                found.len() - 1
            });
        }
        if let Some(module) = name.strip_suffix(".num_batches_tracked") {
            found[index[module]].1 = 2;
        }
    }
    for (module, version) in versions {
        if let Some(at) = index.get(module) {
            found[*at].1 = *version;
        }
    }
    found
}

/// Writes protocol 2 as Python's pickler does: whatever might be used again gets a number.
#[derive(Default)]
struct Pickler {
    out: Vec<u8>,
    memoised: u32,
    known: BTreeMap<String, u32>,
    items: usize,
}

impl Pickler {
    fn op(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Numbers the topmost object.
    fn memo(&mut self) -> u32 {
        let number = self.memoised;
        self.memoised += 1;
        match u8::try_from(number) {
            Ok(short) => self.op(&[b'q', short]),
            Err(_) => {
                self.op(b"r");
                self.op(&number.to_le_bytes());
            }
        }
        number
    }

    /// Fetches a numbered object.
    fn get(&mut self, number: u32) {
        match u8::try_from(number) {
            Ok(short) => self.op(&[b'h', short]),
            Err(_) => {
                self.op(b"j");
                self.op(&number.to_le_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        self.op(b"X");
        self.op(&(text.len() as u32).to_le_bytes());
        self.op(text.as_bytes());
        self.memo()
    }

    /// Text that Python holds once: written the first time, fetched afterwards.
    fn text_once(&mut self, text: &str) {
        if let Some(number) = self.known.get(text) {
            self.get(*number);
        } else {
            let number = self.text(text);
            self.known.insert(text.to_owned(), number);
        }
    }

    /// A class or function by name: written the first time, fetched afterwards.
    fn global(&mut self, module: &str, name: &str) -> u32 {
        let text = format!("c{module}\n{name}\n");
        if let Some(number) = self.known.get(&text).copied() {
            self.get(number);
            return number;
        }
        self.op(text.as_bytes());
        let number = self.memo();
        self.known.insert(text, number);
        number
    }

    /// Calls the topmost object without arguments.
    fn empty_call(&mut self) {
        self.op(b")R");
        self.memo();
    }

    fn integer(&mut self, value: usize) -> Result<()> {
        if let Ok(byte) = u8::try_from(value) {
            self.op(&[b'K', byte]);
        } else if let Ok(short) = u16::try_from(value) {
            self.op(b"M");
            self.op(&short.to_le_bytes());
        } else if let Ok(long) = i32::try_from(value) {
            self.op(b"J");
            self.op(&long.to_le_bytes());
        } else {
            bail!("{value} is too large for a tensor of a test");
        }
        Ok(())
    }

    fn integers(&mut self, values: &[usize]) -> Result<()> {
        if values.is_empty() {
            self.op(b")");
            return Ok(());
        }
        if values.len() > 3 {
            self.op(b"(");
        }
        for value in values {
            self.integer(*value)?;
        }
        self.op(match values.len() {
            1 => b"\x85",
            2 => b"\x86",
            3 => b"\x87",
            _ => b"t",
        });
        self.memo();
        Ok(())
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`, its storage being record `index`.
    fn tensor(&mut self, index: usize, tensor: &Tensor, dict: u32) -> Result<()> {
        let storage = match tensor.dtype() {
            DType::F32 => "FloatStorage",
            DType::I64 => "LongStorage",
            other => bail!("{other:?} is in no state dict of the fixtures"),
        };
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(b"((");
        self.text_once("storage");
        self.global("torch", storage);
        self.text(&index.to_string());
        self.text_once("cpu");
        self.integer(tensor.len())?;
        self.op(b"t");
        self.memo();
        self.op(b"Q");
        self.integer(0)?;
        self.integers(tensor.shape())?;
        self.integers(&strides(tensor.shape()))?;
        self.op(b"\x89");
        self.get(dict);
        self.empty_call();
        self.op(b"t");
        self.memo();
        self.op(b"R");
        self.memo();
        Ok(())
    }
}

/// The strides, in elements, of a row-major tensor.
fn strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|axis| shape[axis..].iter().product()).collect()
}
