//! What the names in PyTorch's pickles mean. Nothing is ever looked up or called: this is a table of strings.

use zoo_tensor::DType;

use crate::pickle::{Global, Object, Pickle, Value};

/// The type of a storage's or tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Numbers.
    Plain(DType),
    /// Integers that stand for numbers.
    Quantized(DType),
    /// Bytes whose type the tensor says.
    Untyped,
    /// A type that zoo has no name for.
    Unknown(&'static str),
}

impl Element {
    /// Bytes per element. Of the types without a name it does not matter: nothing of them is taken.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Plain(dtype) | Self::Quantized(dtype) => dtype.size().unwrap_or(1) as u64,
            Self::Untyped | Self::Unknown(_) => 1,
        }
    }
}

/// A storage class: `torch.FloatStorage`, `torch.cuda.FloatStorage`, `torch.storage.UntypedStorage`.
pub(super) fn storage(global: &Global) -> Option<Element> {
    if !in_torch(&global.module) {
        return None;
    }
    Some(match global.name.strip_suffix("Storage")? {
        "QInt8" => Element::Quantized(DType::I8),
        "QUInt8" => Element::Quantized(DType::U8),
        "QInt32" => Element::Quantized(DType::I32),
        "QUInt4x2" => Element::Unknown("quint4x2"),
        "QUInt2x4" => Element::Unknown("quint2x4"),
        "Untyped" => Element::Untyped,
        kind => Element::Plain(of_class(kind)?),
    })
}

/// The element type in the name of a storage or tensor class.
fn of_class(kind: &str) -> Option<DType> {
    Some(match kind {
        "Float" => DType::F32,
        "Double" => DType::F64,
        "Half" => DType::F16,
        "BFloat16" => DType::BF16,
        "Long" => DType::I64,
        "Int" => DType::I32,
        "Short" => DType::I16,
        "Char" => DType::I8,
        "Byte" => DType::U8,
        "Bool" => DType::Bool,
        "ComplexFloat" => DType::C64,
        "ComplexDouble" => DType::C128,
        _ => return None,
    })
}

fn in_torch(module: &str) -> bool {
    module == "torch" || module.starts_with("torch.")
}

/// A type object: `torch.float16`.
pub(super) fn dtype(global: &Global) -> Option<Element> {
    if global.module != "torch" {
        return None;
    }
    Some(match global.name.as_str() {
        "float32" | "float" => Element::Plain(DType::F32),
        "float64" | "double" => Element::Plain(DType::F64),
        "float16" | "half" => Element::Plain(DType::F16),
        "bfloat16" => Element::Plain(DType::BF16),
        "int64" | "long" => Element::Plain(DType::I64),
        "int32" | "int" => Element::Plain(DType::I32),
        "int16" | "short" => Element::Plain(DType::I16),
        "int8" => Element::Plain(DType::I8),
        "uint8" => Element::Plain(DType::U8),
        "uint16" => Element::Plain(DType::U16),
        "uint32" => Element::Plain(DType::U32),
        "uint64" => Element::Plain(DType::U64),
        "bool" => Element::Plain(DType::Bool),
        "complex64" | "cfloat" => Element::Plain(DType::C64),
        "complex128" | "cdouble" => Element::Plain(DType::C128),
        "float8_e4m3fn" => Element::Plain(DType::F8E4M3FN),
        "float8_e4m3fnuz" => Element::Plain(DType::F8E4M3FNUZ),
        "float8_e5m2" => Element::Plain(DType::F8E5M2),
        "float8_e5m2fnuz" => Element::Plain(DType::F8E5M2FNUZ),
        "float8_e8m0fnu" => Element::Plain(DType::F8E8M0),
        "qint8" => Element::Quantized(DType::I8),
        "quint8" => Element::Quantized(DType::U8),
        "qint32" => Element::Quantized(DType::I32),
        "quint4x2" => Element::Unknown("quint4x2"),
        "quint2x4" => Element::Unknown("quint2x4"),
        // Two numbers to a byte, but its shape counts bytes; halves of complex numbers; bits without a meaning.
        "float4_e2m1fn_x2" => Element::Unknown("float4_e2m1fn_x2"),
        "complex32" | "chalf" => Element::Unknown("complex32"),
        "bcomplex32" => Element::Unknown("bcomplex32"),
        "bits8" | "bits16" | "bits1x8" | "bits2x4" | "bits4x2" => Element::Unknown("bits"),
        "uint1" | "uint2" | "uint3" | "uint4" | "uint5" | "uint6" | "uint7" => {
            Element::Unknown("uint1 to uint7")
        }
        "int1" | "int2" | "int3" | "int4" | "int5" | "int6" | "int7" => Element::Unknown("int1 to int7"),
        _ => return None,
    })
}

/// What a call would have made, if that is a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rebuild {
    /// `(storage, offset, size, stride[, requires_grad, hooks[, metadata]])`; the storage knows the type.
    Dense,
    /// The same with the type before the metadata.
    Typed,
    /// `(storage, offset, size, stride, quantizer, …)`.
    Quantized,
    /// `(tensor, …)`: a parameter around a tensor.
    Wrapped,
    /// `(function, class, arguments, state)`: a subclass or a tensor with attributes.
    Subclass,
    /// `(tensor or array, dtype, device, requires_grad)`: copied from a device that has no storages.
    Device,
    /// A class of 2016 and 2017 whose state is `(storage, offset, size, stride)`, or (variables) begins with a tensor.
    State,
    /// A tensor without dense elements in this file: why it cannot be taken.
    Never(&'static str),
    /// A function that is there to rebuild tensors, and that is not known.
    Unknown,
}

/// What calling this would have made, if that is a tensor.
pub(super) fn rebuild(global: &Global) -> Option<Rebuild> {
    let name = global.name.as_str();
    Some(match global.module.as_str() {
        "torch._utils" => match name {
            "_rebuild_tensor_v2" | "_rebuild_tensor" => Rebuild::Dense,
            "_rebuild_tensor_v3" => Rebuild::Typed,
            "_rebuild_qtensor" => Rebuild::Quantized,
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => Rebuild::Wrapped,
            "_rebuild_device_tensor_from_numpy"
            | "_rebuild_device_tensor_from_cpu_tensor"
            | "_rebuild_xla_tensor" => Rebuild::Device,
            "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => Rebuild::Never("is sparse"),
            "_rebuild_nested_tensor" => Rebuild::Never("is nested (ragged)"),
            "_rebuild_meta_tensor_no_storage" => {
                Rebuild::Never("has no elements: it was saved on the meta device")
            }
            "_rebuild_wrapper_subclass" => {
                Rebuild::Never("is a tensor subclass whose elements are not in the file")
            }
            _ if name.starts_with("_rebuild_") => Rebuild::Unknown,
            _ => return None,
        },
        "torch._tensor" | "torch.tensor" => match name {
            "_rebuild_from_type_v2" | "_rebuild_from_type" => Rebuild::Subclass,
            "Tensor" => Rebuild::State,
            _ => return None,
        },
        "torch.nn.parameter" => match name {
            "Parameter" | "Buffer" => Rebuild::State,
            "UninitializedParameter" | "UninitializedBuffer" => Rebuild::Never("was never initialised"),
            _ => return None,
        },
        "torch.autograd.variable" if name == "Variable" => Rebuild::State,
        "torch" if name == "Tensor" => Rebuild::State,
        // Classes of 2016: torch.FloatTensor, torch.cuda.HalfTensor.
        module if in_torch(module) => {
            name.strip_suffix("Tensor").and_then(of_class)?;
            match module {
                "torch" | "torch.cuda" => Rebuild::State,
                "torch.sparse" | "torch.cuda.sparse" => Rebuild::Never("is sparse"),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// How a quantized tensor's integers become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    PerTensor,
    PerChannel,
}

pub(super) fn scheme(global: &Global) -> Option<Scheme> {
    match (global.module.as_str(), global.name.as_str()) {
        ("torch", "per_tensor_affine") => Some(Scheme::PerTensor),
        ("torch", "per_channel_affine" | "per_channel_affine_float_qparams") => Some(Scheme::PerChannel),
        _ => None,
    }
}

/// Whether the name is one whose meaning is known to be data: every other one is a *foreign* name. Loading a file with
/// foreign names in Python would import and usually call them.
pub(super) fn is_known(global: &Global) -> bool {
    let (module, name) = (global.module.as_str(), global.name.as_str());
    if storage(global).is_some() || dtype(global).is_some() || scheme(global).is_some() {
        return true;
    }
    if let Some(rebuild) = rebuild(global) {
        return rebuild != Rebuild::Unknown;
    }
    match module {
        "torch" => matches!(
            name,
            "Size" | "device" | "layout" | "strided" | "per_tensor_symmetric" | "per_channel_symmetric"
        ),
        "torch.serialization" => name == "_get_layout",
        "collections" => matches!(name, "OrderedDict" | "defaultdict" | "Counter" | "deque"),
        "builtins" => matches!(
            name,
            "set"
                | "frozenset"
                | "list"
                | "dict"
                | "tuple"
                | "bytearray"
                | "bytes"
                | "complex"
                | "int"
                | "float"
                | "bool"
                | "str"
                | "slice"
                | "range"
                | "object"
        ),
        "copyreg" => name == "_reconstructor",
        "_codecs" => name == "encode",
        // Settings, dates and paths of training scripts.
        "argparse" => name == "Namespace",
        "types" => name == "SimpleNamespace",
        "datetime" => matches!(name, "datetime" | "date" | "time" | "timedelta" | "timezone"),
        "pathlib" | "pathlib._local" => matches!(
            name,
            "Path" | "PosixPath" | "WindowsPath" | "PurePath" | "PurePosixPath" | "PureWindowsPath"
        ),
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "numpy.core.multiarray" | "numpy._core.multiarray" => matches!(name, "scalar" | "_reconstruct"),
        "numpy.core.numeric" | "numpy._core.numeric" => name == "_frombuffer",
        "numpy.dtypes" => name.ends_with("DType"),
        _ => false,
    }
}

/// The name of what an object is an instance of, as far as the pickle says.
pub(super) fn class<'p>(pickle: &'p Pickle, object: &Object) -> Option<&'p Global> {
    let callee = match pickle.get(object.callee) {
        // Classes of modules are persistent in legacy files: ("module", class, file, source).
        Value::Persistent(id) => pickle.global(*pickle.items(id)?.get(1)?)?,
        Value::Global(global) => global,
        _ => return None,
    };
    if callee.is("copyreg", "_reconstructor") {
        let class = *pickle.args(object).first()?;
        return match pickle.get(class) {
            Value::Persistent(id) => pickle.global(*pickle.items(id)?.get(1)?),
            _ => pickle.global(class),
        };
    }
    Some(callee)
}
