//! Where each weight of a graph goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use zoo_tensor::{DType, Place, SourceFile};

use super::files::{Target, Temporary, failed};
use super::proto::Data;
use super::stream::Content;
use super::{Placement, Written};
use crate::graph::{Graph, Val};
use crate::limits::{MAX_EMBEDDED_BYTES, MAX_INLINE_BYTES};
use crate::{Error, Result};

/// Tensors of the data file begin at a multiple of this, so that a mapped one can be read with any vector instruction.
const ALIGNMENT: u64 = 64;

/// Larger ones begin at a page of their own, as the ONNX specification recommends: they can be mapped alone.
const PAGE: u64 = 4096;

/// From this size on a tensor gets a page of its own; below, the padding would be more than a few percent.
const PAGED_BYTES: u64 = 64 << 10;

/// Where a weight goes.
#[derive(Debug)]
enum Home {
    /// It stays.
    There { location: String, offset: u64, length: u64 },
    /// Into the model.
    Inside(Bytes),
    /// Into the data file.
    Data { offset: u64, length: u64 },
}

/// Where the weights of a graph go.
#[derive(Debug)]
pub(super) struct Plan {
    homes: BTreeMap<Val, Home>,
    /// What the data file holds: the first weight of each range, in order.
    ranges: Vec<(Val, u64)>,
    /// The data file's length; 0 if there is none.
    data_len: u64,
    data_name: String,
    /// Originals that the model points into, by location.
    originals: BTreeMap<String, Arc<SourceFile>>,
}

/// What has to agree for two weights to be the same bytes in the data file.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    /// The shape, where bytes depend on it: that of a dense weight does not matter.
    shape: Option<Vec<usize>>,
    from: DType,
    to: DType,
}

impl Key {
    /// None if the weight is in no file, or computed: whether such are the same is not asked.
    fn of(content: &Content<'_>) -> Option<Self> {
        let weight = content.weight;
        let place = weight.place().filter(|_| content.factors.is_none())?.clone();
        let shape = weight.in_place().is_none().then(|| weight.shape().to_vec());
        Some(Self { place, shape, from: weight.dtype(), to: content.dtype })
    }
}

impl Plan {
    /// Decides, and reads what goes into the model itself.
    ///
    /// # Errors
    /// If a weight that is to stay cannot be pointed at, or one that is to be embedded cannot be read.
    pub(super) fn new(graph: &Graph, target: &Target, placement: Placement) -> Result<Self> {
        let mut plan = Self {
            homes: BTreeMap::new(),
            ranges: Vec::new(),
            data_len: 0,
            data_name: target.data_name().to_owned(),
            originals: BTreeMap::new(),
        };
        let mut locations: HashMap<Arc<SourceFile>, String> = HashMap::new();
        let mut moved = Vec::new();
        let uses = graph.uses();
        let used = |val: Val| uses.get(val.0 as usize).is_some_and(|&uses| uses > 0);
        for (val, value) in graph.values().filter(|(val, _)| used(*val)) {
            let Some(content) = Content::of(value) else { continue };
            let length = content.byte_len()?;
            // Shape inference reads whole numbers (axes, shapes) only from the model itself. And nothing can be pointed at
            // where there is nothing.
            if length == 0 || (!value.dtype.is_float() && length <= MAX_INLINE_BYTES) {
                plan.homes.insert(val, Home::Inside(content.bytes()?));
                continue;
            }
            let may_stay = placement == Placement::InPlace && content.is_verbatim();
            let Some(place) = content.weight.in_place().filter(|_| may_stay) else {
                moved.push((val, content, length));
                continue;
            };
            let location = match locations.get(&place.file) {
                Some(location) => location.clone(),
                None => {
                    let location = target.location(&value.name, &place.file)?;
                    same_length(&place.file)?;
                    plan.originals.insert(location.clone(), Arc::clone(&place.file));
                    locations.insert(Arc::clone(&place.file), location.clone());
                    location
                }
            };
            plan.homes.insert(val, Home::There { location, offset: place.offset, length: place.length });
        }
        let total = moved.iter().fold(0_u64, |sum, (.., length)| sum.saturating_add(*length));
        if total <= MAX_EMBEDDED_BYTES {
            for (val, content, _) in moved {
                plan.homes.insert(val, Home::Inside(content.bytes()?));
            }
        } else {
            for place in moved.iter().filter_map(|(_, content, _)| content.weight.place()) {
                target.spare(&place.file)?;
            }
            plan.lay_out(moved);
        }
        Ok(plan)
    }

    /// Gives each weight a range of the data file; weights that are the same bytes share one.
    fn lay_out(&mut self, moved: Vec<(Val, Content<'_>, u64)>) {
        let mut known: HashMap<Key, u64> = HashMap::new();
        for (val, content, length) in moved {
            let key = Key::of(&content);
            let before = key.as_ref().and_then(|key| known.get(key).copied());
            let offset = before.unwrap_or_else(|| {
                let alignment = if length >= PAGED_BYTES { PAGE } else { ALIGNMENT };
                let offset = self.data_len.next_multiple_of(alignment);
                self.data_len = offset + length;
                self.ranges.push((val, offset));
                offset
            });
            if let Some(key) = key {
                known.insert(key, offset);
            }
            self.homes.insert(val, Home::Data { offset, length });
        }
    }

    /// Writes the data file, if there is to be one, one weight after the other.
    pub(super) fn write_data(&self, graph: &Graph, target: &Target) -> Result<Option<Temporary>> {
        if self.ranges.is_empty() {
            return Ok(None);
        }
        let path = target.data_path();
        let mut out = target.temporary(&path)?;
        for &(val, offset) in &self.ranges {
            let Some(content) = Content::of(graph.value(val)) else { continue };
            // What is skipped reads as zeros.
            out.file().seek(SeekFrom::Start(offset)).map_err(failed("write", &path))?;
            content.copy_to(&mut out)?;
        }
        let length = out.file().metadata().map_err(failed("examine", &path))?.len();
        if length != self.data_len {
            let problem = format!("its data file has {length} bytes instead of {}", self.data_len);
            return Err(failed("write", &path)(std::io::Error::other(problem)));
        }
        Ok(Some(out))
    }

    /// What the model says about a weight.
    pub(super) fn data(&self, val: Val) -> Data {
        match self.homes.get(&val) {
            Some(Home::There { location, offset, length }) => {
                Data::External { location: location.clone(), offset: *offset, length: *length }
            }
            Some(Home::Inside(bytes)) => Data::Inline(bytes.clone()),
            Some(Home::Data { offset, length }) => {
                Data::External { location: self.data_name.clone(), offset: *offset, length: *length }
            }
            None => Data::Unplaced,
        }
    }

    /// The account of it; the model's own size is not in it.
    pub(super) fn into_written(self) -> Written {
        let data = (!self.ranges.is_empty()).then(|| PathBuf::from(&self.data_name));
        let stayed: BTreeSet<(&str, u64, u64)> = self
            .homes
            .values()
            .filter_map(|home| match home {
                Home::There { location, offset, length } => Some((location.as_str(), *offset, *length)),
                _ => None,
            })
            .collect();
        let linked = self.originals.iter().filter(|(_, file)| has_other_names(file));
        let mut files: Vec<PathBuf> = self.originals.keys().map(PathBuf::from).chain(data.clone()).collect();
        files.sort();
        Written {
            files,
            data,
            hard_linked: linked.map(|(location, _)| PathBuf::from(location)).collect(),
            bytes_written: self.data_len,
            in_place_bytes: stayed.iter().map(|(_, _, length)| length).sum(),
        }
    }
}

/// Fails if a file is shorter than when its places were checked.
fn same_length(file: &SourceFile) -> Result<()> {
    let now = std::fs::metadata(file.path()).map_err(failed("examine", file.path()))?.len();
    if now < file.len() {
        let path = file.path().to_owned();
        return Err(Error::Tensor(zoo_tensor::Error::BeyondFile { path, end: file.len(), len: now }));
    }
    Ok(())
}

/// Whether a file has hard links. Where the system does not say, it has none.
fn has_other_names(file: &SourceFile) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(file.path()).is_ok_and(|meta| meta.nlink() > 1)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        false
    }
}
