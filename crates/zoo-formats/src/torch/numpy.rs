//! numpy arrays inside of a pickle: shape, type and elements all lie in it.
//!
//! Training checkpoints hold them beside the weights, and some converters write state dicts of them. Only arrays of plain
//! numbers are read; arrays of objects are pickles in pickles and are never looked into.

use zoo_tensor::{DType, Tensor, Weight, element_count};

use crate::limits;
use crate::pickle::{Global, Id, Object, Pickle, Value};

/// An array that was understood, before its elements are copied.
pub(super) struct Array {
    dtype: DType,
    shape: Vec<usize>,
    big_endian: bool,
    column_major: bool,
    /// What its elements' bytes are in the pickle.
    data: Id,
    bytes: usize,
}

fn module_is(global: &Global, tail: &str) -> bool {
    // numpy 2 moved `numpy.core` to `numpy._core`.
    let rest = global.module.strip_prefix("numpy.core").or_else(|| global.module.strip_prefix("numpy._core"));
    rest == Some(tail)
}

/// Whether an object is an array.
pub(super) fn is_array(pickle: &Pickle, object: &Object) -> bool {
    let Some(callee) = pickle.global(object.callee) else { return false };
    let class = || pickle.args(object).first().and_then(|&class| pickle.global(class));
    (callee.name == "_reconstruct"
        && module_is(callee, ".multiarray")
        && class().is_some_and(|c| c.is("numpy", "ndarray")))
        || (callee.name == "_frombuffer" && module_is(callee, ".numeric"))
}

/// Reads the description of an array.
pub(super) fn read(pickle: &Pickle, object: &Object) -> Result<Array, String> {
    let args = pickle.args(object);
    let (shape, dtype, column_major, data) =
        if pickle.global(object.callee).is_some_and(|c| c.name == "_frombuffer") {
            // (buffer, dtype, shape, order)
            let &[data, dtype, shape, order] = args else {
                return Err("is an array with other arguments".to_owned());
            };
            (shape, dtype, pickle.text(order) == Some("F"), data)
        } else {
            // The state is (version, shape, dtype, column-major, bytes).
            let state = object.states.last().and_then(|&state| pickle.items(state)).unwrap_or_default();
            let &[_, shape, dtype, order, data] = state else {
                return Err("is an array with another state".to_owned());
            };
            (shape, dtype, pickle.get(order) == Value::Bool(true), data)
        };
    let items = pickle.items(shape).filter(|items| items.len() <= limits::MAX_RANK);
    let items = items.ok_or("is an array with an impossible shape")?;
    let sizes = items.iter().map(|&id| pickle.size(id).and_then(|size| usize::try_from(size).ok()));
    let shape = sizes.collect::<Option<Vec<usize>>>().ok_or("is an array with an impossible shape")?;
    let (dtype, big_endian) = element(pickle, dtype)?;
    let bytes = element_count(&shape).and_then(|count| dtype.byte_len(count));
    let bytes = bytes.ok_or("is an array with an impossible shape")?;
    // Text is one character per byte, of one or two bytes each, so it is never shorter than what it stands for.
    let there = data_length(pickle, data).ok_or("is an array whose elements are no bytes")?;
    if bytes > there {
        return Err(format!("is an array of {bytes} bytes and {there} are there"));
    }
    Ok(Array { dtype, shape, big_endian, column_major, data, bytes })
}

impl Array {
    /// Bytes that its elements take.
    pub(super) fn byte_len(&self) -> u64 {
        self.bytes as u64
    }

    /// Copies the elements.
    pub(super) fn into_weight(self, pickle: &Pickle) -> Result<Weight, String> {
        let mut bytes = data(pickle, self.data).ok_or("is an array whose elements are no bytes")?;
        if bytes.len() != self.bytes {
            return Err(format!("is an array of {} bytes and {} are there", self.bytes, bytes.len()));
        }
        if self.column_major {
            let mut stride = 1_usize;
            let strides: Vec<usize> = self
                .shape
                .iter()
                .map(|&size| {
                    let own = stride;
                    stride = stride.saturating_mul(size.max(1));
                    own
                })
                .collect();
            bytes = gather(&bytes, &self.shape, &strides, self.dtype.size().unwrap_or(1));
        }
        if self.big_endian {
            swap(&mut bytes, self.dtype);
        }
        let tensor = Tensor::from_bytes(self.dtype, self.shape, bytes.into());
        tensor.map(Weight::from).map_err(|error| error.to_string())
    }
}

/// The type of a `numpy.dtype` object, and whether its bytes are in the other order.
fn element(pickle: &Pickle, id: Id) -> Result<(DType, bool), String> {
    let unknown = || "is an array of a type that is not known".to_owned();
    let object = pickle.object(id).ok_or_else(unknown)?;
    if !pickle.global(object.callee).is_some_and(|class| class.is("numpy", "dtype")) {
        return Err(unknown());
    }
    let code = pickle.args(object).first().and_then(|&code| pickle.text(code)).ok_or_else(unknown)?;
    // The state is (version, byte order, …).
    let state = object.states.last().and_then(|&state| pickle.items(state)).unwrap_or_default();
    let order = state.get(1).and_then(|&order| pickle.text(order)).unwrap_or("|");
    let dtype = match code {
        "f4" => DType::F32,
        "f8" => DType::F64,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u8" => DType::U64,
        "u4" => DType::U32,
        "u2" => DType::U16,
        "u1" => DType::U8,
        "b1" => DType::Bool,
        "c8" => DType::C64,
        "c16" => DType::C128,
        _ => {
            return Err(format!(
                "is an array of the numpy type \"{}\"",
                code.chars().take(40).collect::<String>()
            ));
        }
    };
    match order {
        "<" => Ok((dtype, false)),
        "|" if dtype.size() == Some(1) => Ok((dtype, false)),
        ">" => Ok((dtype, true)),
        _ => Err("is an array of an unknown byte order".to_owned()),
    }
}

/// At least how many bytes the data have; exactly, if they are bytes.
fn data_length(pickle: &Pickle, id: Id) -> Option<usize> {
    Some(match pickle.get(id) {
        Value::Bytes(bytes) => bytes.len(),
        Value::Str(text) => text.len(),
        Value::Object(object) => match pickle.args(object) {
            [] => 0,
            [inner, ..] => match pickle.get(*inner) {
                Value::Bytes(bytes) => bytes.len(),
                Value::Str(text) => text.len(),
                _ => return None,
            },
        },
        _ => return None,
    })
}

/// Bytes as pickles hold them: as such, or (in protocol 2, which has none) as text to be encoded as Latin-1.
fn data(pickle: &Pickle, id: Id) -> Option<Vec<u8>> {
    match pickle.get(id) {
        Value::Bytes(bytes) => Some(bytes.to_vec()),
        Value::Object(object) => {
            let callee = pickle.global(object.callee)?;
            let args = pickle.args(object);
            if callee.is("_codecs", "encode") {
                let &[text, encoding] = args else { return None };
                let (Value::Str(text), "latin1" | "latin-1") = (pickle.get(text), pickle.text(encoding)?)
                else {
                    return None;
                };
                return text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            }
            if callee.module == "builtins" && matches!(callee.name.as_str(), "bytes" | "bytearray") {
                return match args {
                    [] => Some(Vec::new()),
                    [inner, ..] => match pickle.get(*inner) {
                        Value::Bytes(bytes) => Some(bytes.to_vec()),
                        _ => None,
                    },
                };
            }
            None
        }
        _ => None,
    }
}

/// Collects the elements of a strided array in row-major order. The caller has checked that all of them are there; what
/// is not is zero.
pub(super) fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0_usize; shape.len()];
    for _ in 0..count {
        let element: usize = index.iter().zip(strides).map(|(&i, &stride)| i * stride).sum();
        let start = element * size;
        match bytes.get(start..start + size) {
            Some(element) => out.extend_from_slice(element),
            None => out.resize(out.len() + size, 0),
        }
        // The last dimension counts fastest.
        for (i, &size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    out
}

/// Turns the bytes of each number around. Complex numbers are two numbers.
pub(super) fn swap(bytes: &mut [u8], dtype: DType) {
    let size = dtype.size().unwrap_or(1);
    let unit = if matches!(dtype, DType::C64 | DType::C128) { size / 2 } else { size };
    bytes.chunks_exact_mut(unit.max(1)).for_each(<[u8]>::reverse);
}
