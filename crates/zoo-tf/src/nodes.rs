//! Nodes of a TensorFlow graph, their names, and the tensors that they make.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use zoo_formats::tf::DataType;
use zoo_formats::tf::proto::{Attr, AttrList, AttrValue, NodeDef, TensorProto, TensorShapeProto};
use zoo_tensor::{DType, Dim, Tensor};

/// A tensor of the TensorFlow graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out {
    /// How nodes refer to it: `node`, or `node:1` for an output behind the first.
    pub(crate) name: String,
    /// Its element type.
    pub(crate) dtype: DType,
}

/// A node that is being described.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) kind: &'static str,
    pub(crate) inputs: Vec<String>,
    pub(crate) attributes: BTreeMap<String, AttrValue>,
}

impl Op {
    /// An operator on these tensors.
    pub(crate) fn new(op: &'static str, inputs: &[&Out]) -> Self {
        let inputs = inputs.iter().map(|input| input.name.clone()).collect();
        Self { kind: op, inputs, attributes: BTreeMap::new() }
    }

    /// An operator whose type is that of its first input, which nearly all have as `T`.
    pub(crate) fn typed(op: &'static str, inputs: &[&Out]) -> Self {
        let dtype = inputs.first().map_or(DType::F32, |input| input.dtype);
        Self::new(op, inputs).of("T", dtype)
    }

    pub(crate) fn attribute(mut self, name: &str, value: Attr) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn of(self, name: &str, dtype: DType) -> Self {
        self.attribute(name, Attr::Type(code(dtype)))
    }

    pub(crate) fn flag(self, name: &str, flag: bool) -> Self {
        self.attribute(name, Attr::B(flag))
    }

    pub(crate) fn int(self, name: &str, int: i64) -> Self {
        self.attribute(name, Attr::I(int))
    }

    pub(crate) fn float(self, name: &str, float: f32) -> Self {
        self.attribute(name, Attr::F(float))
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.attribute(name, Attr::S(Bytes::copy_from_slice(text.as_bytes())))
    }

    pub(crate) fn ints(self, name: &str, ints: &[i64]) -> Self {
        let list = AttrList { i: ints.to_vec(), ..AttrList::default() };
        self.attribute(name, Attr::List(Box::new(list)))
    }

    pub(crate) fn shape(self, name: &str, dims: &[Dim]) -> Self {
        self.attribute(name, Attr::Shape(shape_of(dims)))
    }

    /// The message, under this name.
    pub(crate) fn named(self, name: String) -> NodeDef {
        NodeDef {
            name,
            op: self.kind.to_owned(),
            input: self.inputs,
            device: String::new(),
            attr: self.attributes,
        }
    }
}

/// TensorFlow's number for an element type. Types that it does not have were refused before the first node was made.
pub(crate) fn code(dtype: DType) -> i32 {
    DataType::of(dtype).unwrap_or(DataType::Invalid) as i32
}

/// A declared shape.
pub(crate) fn shape_of(dims: &[Dim]) -> TensorShapeProto {
    TensorShapeProto::of(dims.iter().map(|dim| dim.fixed().map_or(-1, |size| size as i64)))
}

/// A tensor as a constant's value; text is not among what graphs hold.
pub(crate) fn tensor_proto(tensor: &Tensor) -> TensorProto {
    TensorProto {
        dtype: code(tensor.dtype()),
        tensor_shape: Some(TensorShapeProto::of(tensor.shape().iter().map(|&size| size as i64))),
        tensor_content: tensor.bytes().cloned().unwrap_or_default(),
        ..TensorProto::default()
    }
}

/// The names of a graph's nodes. TensorFlow wants letters, digits and `_.\/>-`, and at the beginning a letter, a digit or a point.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// A name that no other node has: this one as far as it is allowed, or it with a number.
    pub(crate) fn unique(&mut self, name: &str) -> String {
        let name = legal(name);
        let mut candidate = name.clone();
        let mut number = 0_usize;
        while !self.taken.insert(candidate.clone()) {
            number += 1;
            candidate = format!("{name}_{number}");
        }
        candidate
    }
}

/// The name with everything that TensorFlow does not allow replaced.
fn legal(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    let mut legal: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if !legal.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.') {
        legal.insert(0, 'n');
    }
    legal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_unique() {
        let mut names = Names::default();
        let mut unique = |name: &str| names.unique(name);
        assert_eq!(unique("c_attn.weight[0:64]"), "c_attn.weight_0_64_");
        assert_eq!(unique("c_attn.weight_0:64]"), "c_attn.weight_0_64__1");
        assert_eq!((unique("_x"), unique(""), unique("é")), ("n_x".into(), "n".into(), "n_".into()));
    }
}
