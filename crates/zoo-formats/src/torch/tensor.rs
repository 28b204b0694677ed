//! Tensors: what the rebuild functions of a pickle describe, as places in the file.
//!
//! The arguments are those of `torch/_utils.py` and of the classes of 2016. A tensor is a view of a storage: an offset,
//! sizes and strides, all in elements. Each is checked against the storage before it becomes a [`Weight`]; PyTorch
//! itself would let a storage grow instead.

use zoo_tensor::{DType, Tensor, Weight, element_count};

use super::names::{self, Element, Rebuild, Scheme};
use super::numpy;
use super::storage::{Finder, Reference, Span};
use crate::limits;
use crate::pickle::{Id, Object, Pickle, Value};
use crate::quantizer::Quantizer;
use crate::state_dict::Entry;

/// Why a tensor cannot be taken: the end of a sentence that begins with its name.
type Problem = String;

/// Whether a value is a tensor or an array, of whatever kind.
pub(super) fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    let Some(object) = pickle.object(id) else { return false };
    numpy::is_array(pickle, object) || rebuild(pickle, object).is_some()
}

fn rebuild(pickle: &Pickle, object: &Object) -> Option<Rebuild> {
    names::rebuild(pickle.global(object.callee)?)
}

/// Takes a tensor out of a checkpoint.
pub(super) fn take(pickle: &Pickle, finder: &Finder<'_>, id: Id) -> Result<Entry, Problem> {
    let reader = Reader { pickle, finder };
    let (bare, wanted) = reader.unwrap(id)?;
    let entry = match bare {
        Bare::Array(array) => reader.array(array)?.into(),
        Bare::Dense(view) => reader.dense(&view, false)?.into(),
        Bare::Quantized(view, quantizer) => reader.quantized(&view, quantizer)?,
    };
    match wanted.filter(|wanted| *wanted != entry.weight.dtype()) {
        Some(_) => {
            Err(format!("would have to be converted from {}, the type it was saved in", entry.weight.dtype()))
        }
        None => Ok(entry),
    }
}

struct Reader<'r, 'c> {
    pickle: &'r Pickle,
    finder: &'r Finder<'c>,
}

/// A tensor without its wrappers.
enum Bare<'r> {
    Array(&'r Object),
    Dense(View),
    Quantized(View, Id),
}

/// The arguments that all dense tensors have.
struct View {
    storage: Id,
    offset: Id,
    size: Id,
    stride: Id,
    /// The type, where the tensor says it and not its storage.
    dtype: Option<Id>,
}

impl<'r> Reader<'r, '_> {
    /// Takes off parameters, subclasses and the like until a description of elements is left, and says which type the
    /// tensor should have been converted to when it was read.
    fn unwrap(&self, mut id: Id) -> Result<(Bare<'r>, Option<DType>), Problem> {
        let mut wanted: Option<DType> = None;
        for _ in 0..=limits::MAX_WRAPPERS {
            let Some(object) = self.pickle.object(id) else {
                return Err(format!("is a wrapper around {}", self.pickle.get(id).kind()));
            };
            if numpy::is_array(self.pickle, object) {
                return Ok((Bare::Array(object), wanted));
            }
            let mut args = self.pickle.args(object);
            let mut kind =
                rebuild(self.pickle, object).ok_or("is a wrapper around something that is no tensor")?;
            if kind == Rebuild::Subclass {
                let function = args.first().and_then(|&function| self.pickle.global(function));
                let inner = function.and_then(names::rebuild).filter(|&inner| inner != Rebuild::Subclass);
                kind = inner.ok_or("is a subclass that is rebuilt by no known function")?;
                args = args.get(2).and_then(|&args| self.pickle.items(args)).unwrap_or_default();
            }
            let arg = |index: usize| args.get(index).copied().ok_or("is described by too few arguments");
            let view = |dtype| {
                let (storage, offset, size, stride) = (arg(0)?, arg(1)?, arg(2)?, arg(3)?);
                Ok::<_, Problem>(View { storage, offset, size, stride, dtype })
            };
            match kind {
                Rebuild::Dense => {
                    self.metadata(args.get(6))?;
                    return Ok((Bare::Dense(view(None)?), wanted));
                }
                Rebuild::Typed => {
                    self.metadata(args.get(7))?;
                    return Ok((Bare::Dense(view(Some(arg(6)?))?), wanted));
                }
                Rebuild::Quantized => return Ok((Bare::Quantized(view(None)?, arg(4)?), wanted)),
                Rebuild::Wrapped => id = arg(0)?,
                Rebuild::Device => {
                    let Some(Element::Plain(dtype)) = self.pickle.global(arg(1)?).and_then(names::dtype)
                    else {
                        return Err("was copied from a device as a type that is not known".to_owned());
                    };
                    if wanted.replace(dtype).is_some_and(|other| other != dtype) {
                        return Err("would have to be converted twice".to_owned());
                    }
                    id = arg(0)?;
                }
                Rebuild::State => match (args.first(), object.states.as_slice()) {
                    // A variable around a tensor; its state says whether it wants gradients.
                    (Some(&inner), _) if is_tensor(self.pickle, inner) => id = inner,
                    (_, [.., state]) => match *self.pickle.items(*state).unwrap_or_default() {
                        [storage, offset, size, stride] => {
                            let view = View { storage, offset, size, stride, dtype: None };
                            return Ok((Bare::Dense(view), wanted));
                        }
                        [inner, _, _, _, _] => id = inner,
                        _ => return Err("has a state that is not known".to_owned()),
                    },
                    _ => return Err("was never given any elements".to_owned()),
                },
                Rebuild::Never(why) => return Err(why.to_owned()),
                Rebuild::Unknown => {
                    return Err("is rebuilt by a function of torch._utils that is not known".to_owned());
                }
                Rebuild::Subclass => return Err("is a subclass in a subclass".to_owned()),
            }
        }
        Err(format!("is wrapped more than {} times", limits::MAX_WRAPPERS))
    }

    /// Elements may be stored conjugated or negated, with a note that they are.
    fn metadata(&self, metadata: Option<&Id>) -> Result<(), Problem> {
        let pairs = match metadata.map(|&id| self.pickle.get(id)) {
            None | Some(Value::None) => return Ok(()),
            Some(Value::Dict(pairs)) => pairs,
            Some(other) => return Err(format!("is described by {} in the place of metadata", other.kind())),
        };
        for &(key, value) in pairs {
            match (self.pickle.text(key), self.pickle.get(value)) {
                (_, Value::Bool(false)) => {}
                (Some("conj"), _) => {
                    return Err("is stored conjugated (save it with resolve_conj())".to_owned());
                }
                (Some("neg"), _) => return Err("is stored negated (save it with resolve_neg())".to_owned()),
                _ => return Err("has metadata that is not known".to_owned()),
            }
        }
        Ok(())
    }

    /// A view of a storage, which is one of integers that stand for numbers, or is not.
    fn dense(&self, view: &View, quantized: bool) -> Result<Weight, Problem> {
        let Value::Persistent(reference) = self.pickle.get(view.storage) else {
            return Err(format!("has {} in the place of its storage", self.pickle.get(view.storage).kind()));
        };
        let reference = Reference::read(self.pickle, reference)?;
        let element = match view.dtype {
            None => reference.element,
            Some(dtype) => {
                let dtype = self.pickle.global(dtype).and_then(names::dtype);
                dtype.ok_or("is of a type that is not known")?
            }
        };
        let dtype = match (element, quantized) {
            (Element::Plain(dtype), false) | (Element::Quantized(dtype), true) => dtype,
            (Element::Untyped, _) => return Err("has a storage without a type".to_owned()),
            (Element::Unknown(name), _) => {
                return Err(format!("is of type {name}, which zoo has no name for"));
            }
            _ => return Err("is quantized in one place and not in the other".to_owned()),
        };
        let size = dtype.size().ok_or("is of a type narrower than a byte")?;
        // PyTorch turns the bytes of a storage by the storage's own type, and an untyped one has none.
        if self.finder.big_endian()
            && view.dtype.is_some()
            && reference.element == Element::Untyped
            && size > 1
        {
            return Err("is of big-endian bytes whose type only the tensor says".to_owned());
        }
        let offset = self.pickle.size(view.offset).ok_or("has an offset that is negative or no number")?;
        let shape = self.dimensions(view.size, "size")?;
        let strides = self.dimensions(view.stride, "stride")?;
        if strides.len() != shape.len() {
            return Err(format!("has {} sizes and {} strides", shape.len(), strides.len()));
        }
        let span = self.finder.find(&reference)?;
        self.place(dtype, size, shape, &strides, offset, span, &reference.key)
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one description")]
    fn place(
        &self,
        dtype: DType,
        size: usize,
        shape: Vec<usize>,
        strides: &[usize],
        offset: u64,
        span: Span,
        key: &str,
    ) -> Result<Weight, Problem> {
        let count = element_count(&shape).and_then(|count| count.checked_mul(size).map(|_| count));
        let count = count.ok_or_else(|| format!("has the impossible shape {shape:?}"))?;
        // Nothing is read of a tensor without elements, wherever it points.
        let offset = if count == 0 { 0 } else { offset };
        let last = shape.iter().zip(strides).try_fold(offset, |sum, (&size, &stride)| {
            (size.saturating_sub(1) as u64).checked_mul(stride as u64)?.checked_add(sum)
        });
        let available = span.len() / size as u64;
        if count > 0 && last.is_none_or(|last| last >= available) {
            let last = last.map_or_else(|| "impossibly far".to_owned(), |last| format!("at element {last}"));
            return Err(format!("ends {last} of its storage \"{key}\", which has {available}"));
        }
        let start = offset * size as u64;
        let big_endian = self.finder.big_endian();
        let refused = |error: zoo_tensor::Error| format!("cannot be placed: {error}");
        match span {
            Span::File { offset: base, .. } => {
                let file = self.finder.file().source();
                Weight::strided(dtype, shape, strides, file, base + start, big_endian).map_err(refused)
            }
            Span::Memory(bytes) => {
                let bytes = bytes.slice(start.min(bytes.len() as u64) as usize..);
                self.finder.reserve((count * size) as u64)?;
                let mut dense = numpy::gather(&bytes, &shape, strides, size);
                if big_endian {
                    numpy::swap(&mut dense, dtype);
                }
                Tensor::from_bytes(dtype, shape, dense.into()).map(Weight::from).map_err(refused)
            }
        }
    }

    /// A tuple of sizes or strides, as a tuple, a list or a `torch.Size`.
    fn dimensions(&self, id: Id, what: &str) -> Result<Vec<usize>, Problem> {
        let items = match self.pickle.object(id) {
            Some(object)
                if self.pickle.global(object.callee).is_some_and(|class| class.is("torch", "Size")) =>
            {
                match self.pickle.args(object) {
                    [] => Some(&[][..]),
                    [items, ..] => self.pickle.items(*items),
                }
            }
            _ => self.pickle.items(id),
        };
        let items = items.ok_or_else(|| format!("has a {what} that is no tuple"))?;
        if items.len() > limits::MAX_RANK {
            return Err(format!("has {} dimensions, and PyTorch permits {}", items.len(), limits::MAX_RANK));
        }
        let number = |&id: &Id| self.pickle.size(id).and_then(|value| usize::try_from(value).ok());
        let numbers: Option<Vec<usize>> = items.iter().map(number).collect();
        numbers.ok_or_else(|| format!("has a {what} that is negative or no number"))
    }

    fn quantized(&self, view: &View, quantizer: Id) -> Result<Entry, Problem> {
        let weight = self.dense(view, true)?;
        let fields = self.pickle.items(quantizer).unwrap_or_default();
        let scheme = fields.first().and_then(|&scheme| self.pickle.global(scheme)).and_then(names::scheme);
        let quantizer = match (scheme, fields) {
            (Some(Scheme::PerTensor), &[_, scale, zero_point]) => {
                let scale = self.number(scale).ok_or("has a scale that is no number")?;
                let zero_point = self.pickle.int(zero_point).ok_or("has a zero point that is no number")?;
                Quantizer::PerTensor { scale, zero_point }
            }
            (Some(Scheme::PerChannel), &[_, scales, zero_points, axis]) => {
                let axis = self.pickle.size(axis).and_then(|axis| usize::try_from(axis).ok());
                let channels = axis.and_then(|axis| Some((axis, *weight.shape().get(axis)?)));
                let (axis, channels) =
                    channels.ok_or("has its scales along an axis that it does not have")?;
                let scales = self.per_channel(scales, channels, "scales")?;
                let zero_points = self.per_channel(zero_points, channels, "zero points")?;
                Quantizer::PerChannel { scales, zero_points, axis }
            }
            _ => return Err("is quantized in a way that is not known".to_owned()),
        };
        Ok(Entry { weight, quantizer: Some(quantizer) })
    }

    fn number(&self, id: Id) -> Option<f64> {
        match self.pickle.get(id) {
            Value::Float(value) => Some(value),
            Value::Int(value) => Some(value as f64),
            _ => None,
        }
    }

    /// One number per channel: a tensor, or a list in older files.
    fn per_channel(&self, id: Id, channels: usize, what: &str) -> Result<Weight, Problem> {
        let wrong = || format!("should have {channels} {what}");
        let weight = match self.pickle.get(id) {
            Value::List(items) | Value::Tuple(items) => {
                if items.len() != channels {
                    return Err(wrong());
                }
                self.finder.reserve(8 * channels as u64)?;
                let integers: Option<Vec<i64>> = items.iter().map(|&id| self.pickle.int(id)).collect();
                let tensor = match integers {
                    Some(integers) if what == "zero points" => Tensor::from_slice([channels], &integers),
                    _ => {
                        let numbers: Option<Vec<f64>> = items.iter().map(|&id| self.number(id)).collect();
                        Tensor::from_slice([channels], &numbers.ok_or_else(wrong)?)
                    }
                };
                tensor.map_err(|error| error.to_string())?.into()
            }
            _ => match self.unwrap(id)? {
                (Bare::Dense(view), None) => self.dense(&view, false)?,
                _ => {
                    return Err(format!("has {what} that are no plain tensor"));
                }
            },
        };
        if weight.shape() == [channels] { Ok(weight) } else { Err(wrong()) }
    }

    fn array(&self, object: &Object) -> Result<Weight, Problem> {
        let array = numpy::read(self.pickle, object)?;
        self.finder.reserve(array.byte_len())?;
        array.into_weight(self.pickle)
    }
}
