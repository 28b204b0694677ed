//! What a model says about a value: its name and type, in words people use.

use std::fmt;

use zoo_tensor::{DType, Dim, Shape};

use crate::proto::{DimensionValue, TensorShapeProto, TypeProto, TypeValue, ValueInfoProto};

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// The name to feed or fetch it by.
    pub name: String,
    /// What it holds.
    pub kind: PortType,
}

/// What a port holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortType {
    /// A tensor.
    Tensor {
        /// Its element type.
        dtype: DType,
        /// Its declared shape.
        shape: Shape,
    },
    /// A sequence, map, optional, sparse or opaque value, or a tensor whose type is not declared: described in ONNX's
    /// words, such as `seq(map(int64, float))`.
    Other(String),
}

impl Port {
    /// A tensor port.
    pub fn tensor(name: impl Into<String>, dtype: DType, shape: Shape) -> Self {
        Self { name: name.into(), kind: PortType::Tensor { dtype, shape } }
    }

    /// A port of another kind, described in words.
    pub fn other(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), kind: PortType::Other(description.into()) }
    }

    /// The element type, if it is a tensor.
    pub fn dtype(&self) -> Option<DType> {
        match &self.kind {
            PortType::Tensor { dtype, .. } => Some(*dtype),
            PortType::Other(_) => None,
        }
    }

    /// The declared shape, if it is a tensor.
    pub fn shape(&self) -> Option<&Shape> {
        match &self.kind {
            PortType::Tensor { shape, .. } => Some(shape),
            PortType::Other(_) => None,
        }
    }

    pub(crate) fn of(value: &ValueInfoProto) -> Self {
        let kind = match value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
            Some(TypeValue::Tensor(tensor)) => match DType::from_onnx_code(tensor.elem_type()) {
                Some(dtype) => PortType::Tensor { dtype, shape: shape_of(tensor.shape.as_ref()) },
                None => PortType::Other(type_text(value.r#type.as_ref())),
            },
            _ => PortType::Other(type_text(value.r#type.as_ref())),
        };
        Self { name: value.name().to_owned(), kind }
    }
}

impl fmt::Display for PortType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor { dtype, shape } => write!(f, "{dtype} {shape}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.kind)
    }
}

/// The declared shape; a negative or absent size, and an empty name, are sizes nobody knows.
pub(crate) fn shape_of(shape: Option<&TensorShapeProto>) -> Shape {
    let Some(shape) = shape else { return Shape::unknown() };
    Shape::new(shape.dim.iter().map(|dim| match &dim.value {
        Some(DimensionValue::DimValue(size)) => usize::try_from(*size).map_or(Dim::Unknown, Dim::Fixed),
        Some(DimensionValue::DimParam(name)) if !name.is_empty() => Dim::Named(name.clone()),
        _ => Dim::Unknown,
    }))
}

/// A type in ONNX's text syntax; `undefined` where the model leaves it open. Recursion is bounded by the decoder's
/// depth limit.
pub(crate) fn type_text(kind: Option<&TypeProto>) -> String {
    let Some(value) = kind.and_then(|kind| kind.value.as_ref()) else { return "undefined".to_owned() };
    match value {
        TypeValue::Tensor(tensor) => tensor_type_text(tensor.elem_type(), tensor.shape.as_ref()),
        TypeValue::SparseTensor(tensor) => {
            format!("sparse_tensor({})", tensor_type_text(tensor.elem_type(), tensor.shape.as_ref()))
        }
        TypeValue::Sequence(sequence) => format!("seq({})", type_text(sequence.elem_type.as_deref())),
        TypeValue::Optional(optional) => format!("optional({})", type_text(optional.elem_type.as_deref())),
        TypeValue::Map(map) => {
            format!("map({}, {})", dtype_text(map.key_type()), type_text(map.value_type.as_deref()))
        }
        TypeValue::Opaque(opaque) => match (opaque.domain(), opaque.name()) {
            ("", name) => format!("opaque({name})"),
            (domain, name) => format!("opaque({domain}, {name})"),
        },
    }
}

fn tensor_type_text(code: i32, shape: Option<&TensorShapeProto>) -> String {
    let mut text = dtype_text(code);
    // ONNX writes a tensor of unknown rank as `float[]` and a scalar as `float`.
    match shape_of(shape).dims() {
        None => text.push_str("[]"),
        Some([]) => {}
        Some(dims) => {
            let dims: Vec<String> = dims
                .iter()
                .map(|dim| match dim {
                    Dim::Named(name) => crate::text::identifier(name),
                    dim => dim.to_string(),
                })
                .collect();
            text.push('[');
            text.push_str(&dims.join(","));
            text.push(']');
        }
    }
    text
}

/// The name of an element type by its code.
pub(crate) fn dtype_text(code: i32) -> String {
    DType::from_onnx_code(code).map_or_else(|| "undefined".to_owned(), |dtype| dtype.onnx_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Dimension, MapType, SequenceType, TensorType};

    fn value(name: &str, kind: TypeValue) -> ValueInfoProto {
        let kind = TypeProto { value: Some(kind), denotation: None };
        ValueInfoProto { name: Some(name.into()), r#type: Some(kind), ..Default::default() }
    }

    fn dims(dims: impl IntoIterator<Item = Option<DimensionValue>>) -> TensorShapeProto {
        TensorShapeProto {
            dim: dims.into_iter().map(|value| Dimension { value, denotation: None }).collect(),
        }
    }

    #[test]
    fn tensors_with_every_kind_of_dimension() {
        let shape = dims([
            Some(DimensionValue::DimParam("batch".into())),
            Some(DimensionValue::DimValue(3)),
            Some(DimensionValue::DimValue(-1)),
            Some(DimensionValue::DimParam(String::new())),
            None,
        ]);
        let port =
            Port::of(&value("x", TypeValue::Tensor(TensorType { elem_type: Some(1), shape: Some(shape) })));
        assert_eq!(port.to_string(), "x: f32 [batch, 3, ?, ?, ?]");
        let open = Port::of(&value("x", TypeValue::Tensor(TensorType { elem_type: Some(7), shape: None })));
        assert_eq!(open.to_string(), "x: i64 [...]");
    }

    #[test]
    fn other_types_are_described() {
        let float = TypeProto {
            value: Some(TypeValue::Tensor(TensorType { elem_type: Some(1), shape: Some(dims([])) })),
            denotation: None,
        };
        let map = MapType { key_type: Some(7), value_type: Some(Box::new(float)) };
        let map = TypeProto { value: Some(TypeValue::Map(Box::new(map))), denotation: None };
        let port = Port::of(&value(
            "p",
            TypeValue::Sequence(Box::new(SequenceType { elem_type: Some(Box::new(map)) })),
        ));
        assert_eq!(port.to_string(), "p: seq(map(int64, float))");
        assert_eq!(port.dtype(), None);
        assert_eq!(Port::of(&ValueInfoProto::default()).to_string(), ": undefined");
    }
}
