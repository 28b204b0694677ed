//! Attributes: the type says which field holds the value, and no other field does.

use super::graphs::Names;
use super::{Checker, Place};
use crate::proto::{AttributeProto, AttributeType};

/// The fields of an attribute that hold something, each with the type it stands for.
fn filled(attribute: &AttributeProto) -> Vec<(AttributeType, &'static str)> {
    use AttributeType as T;
    [
        (attribute.f.is_some(), T::Float, "f"),
        (attribute.i.is_some(), T::Int, "i"),
        (attribute.s.is_some(), T::String, "s"),
        (attribute.t.is_some(), T::Tensor, "t"),
        (attribute.g.is_some(), T::Graph, "g"),
        (attribute.sparse_tensor.is_some(), T::SparseTensor, "sparse_tensor"),
        (attribute.tp.is_some(), T::TypeProto, "tp"),
        (!attribute.floats.is_empty(), T::Floats, "floats"),
        (!attribute.ints.is_empty(), T::Ints, "ints"),
        (!attribute.strings.is_empty(), T::Strings, "strings"),
        (!attribute.tensors.is_empty(), T::Tensors, "tensors"),
        (!attribute.graphs.is_empty(), T::Graphs, "graphs"),
        (!attribute.sparse_tensors.is_empty(), T::SparseTensors, "sparse_tensors"),
        (!attribute.type_protos.is_empty(), T::TypeProtos, "type_protos"),
    ]
    .into_iter()
    .filter(|(present, ..)| *present)
    .map(|(_, kind, field)| (kind, field))
    .collect()
}

impl<'a> Checker<'a> {
    /// Checks an attribute's value, but not the graphs in it. `parameters` are the attributes of the function around
    /// it, if it is in one.
    pub(super) fn attribute(
        &mut self,
        place: &Place<'_>,
        attribute: &'a AttributeProto,
        parameters: Option<&Names<'a>>,
    ) {
        let filled = filled(attribute);
        if !attribute.ref_attr_name().is_empty() {
            let name = attribute.ref_attr_name();
            match parameters {
                None => self.report.add(place, || {
                    format!("it refers to the attribute \"{name}\" of a function, but is in none")
                }),
                Some(parameters) if !parameters.contains(name) => self
                    .report
                    .add(place, || format!("it refers to \"{name}\", which is no attribute of the function")),
                Some(_) if !filled.is_empty() => {
                    self.report
                        .add(place, || "it refers to another attribute and has a value too".to_owned());
                }
                Some(_) => {}
            }
            return;
        }
        match AttributeType::try_from(attribute.r#type.unwrap_or(0)) {
            Err(_) => {
                let code = attribute.r#type.unwrap_or(0);
                self.report.add(place, || format!("its type {code} is not one ONNX defines"));
            }
            // Files older than the type field: exactly one value says the type by itself.
            Ok(AttributeType::Undefined) if filled.len() == 1 => {}
            Ok(AttributeType::Undefined) => {
                let count = filled.len();
                self.report.add(place, || format!("it has no type and {count} values"));
            }
            Ok(kind) => {
                for (_, field) in filled.iter().filter(|(other, _)| *other != kind) {
                    self.report
                        .add(place, || format!("its type is {kind:?}, but field `{field}` holds a value"));
                }
                // Writers leave out numbers that are zero and lists that are empty, but a message is there or not.
                let needs_value = matches!(
                    kind,
                    AttributeType::Tensor
                        | AttributeType::Graph
                        | AttributeType::SparseTensor
                        | AttributeType::TypeProto
                );
                if needs_value && filled.is_empty() {
                    self.report.add(place, || format!("its type is {kind:?}, but it has no value"));
                }
            }
        }
        for tensor in attribute.t.as_deref().into_iter().chain(&attribute.tensors) {
            self.tensor(place, tensor);
        }
        for tensor in attribute.sparse_tensor.as_deref().into_iter().chain(&attribute.sparse_tensors) {
            self.sparse_tensor(place, tensor);
        }
    }
}
