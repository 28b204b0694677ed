//! msgpack files of Flax (`flax_model.msgpack`): nested maps with text as keys, and arrays as extension types.
//!
//! Why own code and not a crate: what is wanted of gigabytes is the byte at which each array begins, and the crates hand
//! out values that they copied. The format is small: [`token`] reads one header at a time through a window of a few
//! kilobytes and steps over what the header announces, this module keeps the path of keys, and [`array`] knows Flax's
//! extension types. So memory grows with the number of arrays, not with the file.
//!
//! Names are keys joined by dots; of lists, and of maps that stand for lists, the positions are the keys. An array above
//! 1 GiB is written in chunks with headers between them: such an array has no place, and is put together when it is
//! taken. Names, shapes and nesting are bounded by [`crate::limits`].

mod array;
mod token;

use std::collections::HashSet;

use zoo_tensor::Weight;

use self::array::{Array, Data};
use self::token::{Input, Token};
use crate::error::Refusals;
use crate::file::SourceReader;
use crate::origin::{Dictionary, Skipped};
use crate::state_dict::StateDict;
use crate::{Error, Result, limits};

/// The first key of a map that stands for an array in chunks.
const CHUNKED: &str = "__msgpack_chunked_array__";

/// What a file holds: its arrays in order, where they lie, and what else there is.
#[derive(Debug)]
pub(crate) struct Msgpack {
    arrays: Vec<(String, Result<Array, String>)>,
    others: usize,
    skipped: Vec<Skipped>,
}

/// A map or list whose entries are being read.
struct Frame {
    is_map: bool,
    left: u32,
    /// The position of the next entry.
    index: u32,
    /// How much of the path leads to it.
    prefix: usize,
}

impl Msgpack {
    /// Reads all headers of the file.
    pub(crate) fn read(file: &SourceReader) -> Result<Self> {
        let mut input = Input::new(file);
        let mut walk = Walk {
            input: &mut input,
            found: Self { arrays: Vec::new(), others: 0, skipped: Vec::new() },
            names: HashSet::new(),
            name_bytes: 0,
            path: String::new(),
            frames: Vec::new(),
        };
        walk.run()?;
        let found = walk.found;
        if input.at() != file.len() {
            let problem = format!("{} bytes follow the outermost map", file.len() - input.at());
            return Err(input.damaged(problem));
        }
        Ok(found)
    }

    /// How the whole file is listed.
    pub(crate) fn dictionary(&self) -> Dictionary {
        Dictionary {
            path: String::new(),
            tensors: self.arrays.len(),
            module: None,
            ema: false,
            prefix: String::new(),
            others: self.others,
            skipped: self.skipped.clone(),
        }
    }

    /// All arrays as weights. Those in chunks are read into memory.
    pub(crate) fn take(&self, file: &SourceReader) -> Result<StateDict> {
        let mut weights = StateDict::new();
        let mut refused = Refusals::default();
        for (name, array) in &self.arrays {
            match array {
                Ok(array) => drop(weights.insert(name.clone(), weight(file, array)?)),
                Err(problem) => refused.push(name, problem.clone()),
            }
        }
        if refused.count > 0 {
            return Err(Error::Refused { path: file.path().to_owned(), refused });
        }
        Ok(weights)
    }
}

fn weight(file: &SourceReader, array: &Array) -> Result<Weight> {
    let bytes = match &array.data {
        &Data::Place(offset) => {
            return Ok(Weight::in_file(array.dtype, array.shape.clone(), file.source(), offset)?);
        }
        Data::Chunks(chunks) => {
            let mut bytes = Vec::new();
            for &(offset, length) in chunks {
                bytes.extend_from_slice(&file.read(offset, length)?);
            }
            bytes
        }
    };
    Ok(zoo_tensor::Tensor::from_bytes(array.dtype, array.shape.clone(), bytes.into())?.into())
}

/// The way through the maps.
struct Walk<'w, 'f> {
    input: &'w mut Input<'f>,
    found: Msgpack,
    names: HashSet<String>,
    name_bytes: usize,
    path: String,
    frames: Vec<Frame>,
}

impl Walk<'_, '_> {
    fn run(&mut self) -> Result<()> {
        match self.input.next()? {
            Token::Map(entries) => self.enter(true, entries)?,
            _ => return Err(self.input.damaged("the outermost value is no map")),
        }
        while let Some(frame) = self.frames.last_mut() {
            if frame.left == 0 {
                self.frames.pop();
                continue;
            }
            frame.left -= 1;
            let position = frame.index;
            frame.index += 1;
            let (is_map, prefix) = (frame.is_map, frame.prefix);
            self.path.truncate(prefix);
            let key = if is_map { self.key()? } else { position.to_string() };
            if key == CHUNKED {
                self.chunked(position)?;
                continue;
            }
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if self.path.len() > limits::MAX_NAME_BYTES {
                return Err(self.too_much(
                    "bytes in the name of a tensor",
                    self.path.len(),
                    limits::MAX_NAME_BYTES,
                ));
            }
            self.value()?;
        }
        Ok(())
    }

    fn enter(&mut self, is_map: bool, entries: u32) -> Result<()> {
        if self.frames.len() >= limits::MAX_MODULE_DEPTH {
            return Err(self.too_much(
                "maps inside each other",
                self.frames.len() + 1,
                limits::MAX_MODULE_DEPTH,
            ));
        }
        self.frames.push(Frame { is_map, left: entries, index: 0, prefix: self.path.len() });
        Ok(())
    }

    fn key(&mut self) -> Result<String> {
        let token = self.input.next()?;
        match token {
            Token::Text { offset, length } | Token::Bytes { offset, length } => {
                self.input.text(offset, length)
            }
            _ => Err(self.input.damaged(format!("{} is the key of a map", token.what()))),
        }
    }

    fn value(&mut self) -> Result<()> {
        let token = self.input.next()?;
        match token {
            Token::Map(entries) => self.enter(true, entries),
            Token::List(entries) => self.enter(false, entries),
            Token::Ext { kind: array::ARRAY | array::SCALAR, offset, length } => {
                let array = array::read(self.input, offset, length)?;
                self.add(array)
            }
            other => {
                self.found.others += 1;
                if self.found.skipped.len() < limits::MAX_LISTED {
                    let shown = self.path.chars().take(limits::MAX_SHOWN_KEY).collect();
                    self.found.skipped.push(Skipped { name: shown, what: other.what() });
                }
                Ok(())
            }
        }
    }

    fn add(&mut self, array: Result<Array, String>) -> Result<()> {
        if self.found.arrays.len() >= limits::MAX_TENSORS {
            return Err(self.too_much("tensors", limits::MAX_TENSORS + 1, limits::MAX_TENSORS));
        }
        self.name_bytes += self.path.len();
        if self.name_bytes > limits::MAX_ALL_NAMES_BYTES {
            return Err(self.too_much("bytes of names", self.name_bytes, limits::MAX_ALL_NAMES_BYTES));
        }
        if !self.names.insert(self.path.clone()) {
            return Err(self.input.damaged(format!("two arrays are called \"{}\"", self.path)));
        }
        self.found.arrays.push((self.path.clone(), array));
        Ok(())
    }

    /// The map that stands for an array in chunks, behind its first key. The path already names the array.
    fn chunked(&mut self, position: u32) -> Result<()> {
        let frame = self.frames.pop();
        let others = frame.map_or(0, |frame| frame.left);
        if position != 0 || others != 2 || self.frames.is_empty() {
            return Err(self
                .input
                .damaged("an array in chunks is described by another map than Flax writes"));
        }
        match self.input.next()? {
            Token::Bool(true) => {}
            other => return Err(self.input.damaged(format!("\"{CHUNKED}\" is {}", other.what()))),
        }
        let (mut shape, mut chunks) = (None, None);
        for _ in 0..others {
            let key = self.key()?;
            match key.as_str() {
                "shape" => shape = Some(self.sizes()?),
                "chunks" => chunks = Some(self.chunks()?),
                _ => return Err(self.input.damaged(format!("an array in chunks has \"{key}\""))),
            }
        }
        let array = match (shape, chunks) {
            (Some(shape), Some(chunks)) => chunks.and_then(|chunks| array::joined(shape, &chunks)),
            _ => return Err(self.input.damaged("an array in chunks has no shape or no chunks")),
        };
        self.add(array)
    }

    /// A map from positions, as text and in order, which is how Flax writes a tuple.
    fn tuple<T>(&mut self, limit: usize, mut entry: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let Token::Map(count) = self.input.next()? else {
            return Err(self.input.damaged("a part of an array in chunks is no map"));
        };
        if count as usize > limit {
            return Err(self.too_much("parts of an array in chunks", count as usize, limit));
        }
        let mut entries = Vec::new();
        for position in 0..count {
            let key = self.key()?;
            if key != position.to_string() {
                return Err(self.input.damaged(format!("\"{key}\" stands where \"{position}\" should")));
            }
            entries.push(entry(self)?);
        }
        Ok(entries)
    }

    fn sizes(&mut self) -> Result<Vec<usize>> {
        self.tuple(limits::MAX_RANK, |walk| match walk.input.next()? {
            Token::Unsigned(size) => Ok(size as usize),
            other => Err(walk.input.damaged(format!("a size of an array in chunks is {}", other.what()))),
        })
    }

    fn chunks(&mut self) -> Result<Result<Vec<Array>, String>> {
        let chunks = self.tuple(limits::MAX_TENSORS, |walk| match walk.input.next()? {
            Token::Ext { kind: array::ARRAY, offset, length } => array::read(walk.input, offset, length),
            other => Err(walk.input.damaged(format!("a chunk of an array is {}", other.what()))),
        })?;
        Ok(chunks.into_iter().collect())
    }

    fn too_much(&self, what: &'static str, found: usize, limit: usize) -> Error {
        let holder = self.input.path().display().to_string();
        Error::TooMuch { holder, what, found: found as u64, limit: limit as u64 }
    }
}

/// Whether a file begins as Flax's do: a map with text as its first key, and so on until a value that is no map.
pub(crate) fn looks_like(file: &SourceReader) -> bool {
    // An empty map and Python's pickles begin with the same byte.
    let Ok(head) = file.read(0, 1) else { return false };
    if !matches!(head.first(), Some(0x81..=0x8f | 0xde | 0xdf)) {
        return false;
    }
    let mut input = Input::new(file);
    for _ in 0..limits::MAX_MODULE_DEPTH {
        match input.next() {
            Ok(Token::Map(1..)) => {}
            Ok(Token::Map(0)) => return true,
            Ok(Token::Ext { kind, .. }) => return matches!(kind, array::ARRAY..=array::SCALAR),
            // A file that was cut off in its first array is still of this kind.
            Err(Error::Damaged { .. }) => return input.at() > 1 && input.is_beyond(),
            Ok(token) => return !matches!(token, Token::Bytes { .. }),
            Err(_) => return false,
        }
        match input.next() {
            Ok(Token::Text { offset, length }) if length > 0 && input.text(offset, length).is_ok() => {}
            _ => return false,
        }
    }
    true
}
