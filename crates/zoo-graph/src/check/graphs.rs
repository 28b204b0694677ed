//! Names: defined once, before they are used, and every output produced.

use std::collections::HashSet;

use super::{Checker, Part, Place};
use crate::model::{initializer_names, normal_domain};
use crate::proto::{GraphProto, NodeProto, TypeValue, ValueInfoProto};

/// The domains imported.
pub(super) type Domains<'a> = HashSet<&'a str>;
/// The names one graph defines.
pub(super) type Names<'a> = HashSet<&'a str>;

/// Whose nodes are being checked.
#[derive(Clone, Copy)]
pub(super) enum Owner<'p, 'a> {
    /// The model's graph.
    Main,
    /// A graph in an attribute; within a function, with its parameters.
    Subgraph(Option<&'p Names<'a>>),
    /// A function with these attribute parameters.
    Function(&'p Names<'a>),
}

impl<'p, 'a> Owner<'p, 'a> {
    /// The attribute parameters that may be referred to.
    fn parameters(self) -> Option<&'p Names<'a>> {
        match self {
            Self::Main => None,
            Self::Subgraph(parameters) => parameters,
            Self::Function(parameters) => Some(parameters),
        }
    }
}

/// Every name a graph defines at its own level.
pub(super) fn names_defined(graph: Option<&GraphProto>) -> Names<'_> {
    let Some(graph) = graph else { return Names::new() };
    let mut names = initializer_names(graph);
    names.extend(graph.input.iter().map(ValueInfoProto::name));
    names.extend(graph.node.iter().flat_map(|node| &node.output).map(String::as_str));
    names
}

impl<'a> Checker<'a> {
    /// Checks a graph and, through its nodes, its subgraphs; the decoder bounds how deep they nest. `scopes` holds the
    /// names visible from outside, outermost first, and is left as it was found.
    pub(super) fn graph(
        &mut self,
        place: &Place<'_>,
        graph: &'a GraphProto,
        domains: Option<&Domains<'a>>,
        owner: Owner<'_, 'a>,
        scopes: &mut Vec<Names<'a>>,
    ) {
        let mut names = Names::new();
        for (index, input) in graph.input.iter().enumerate() {
            let place = place.at(Part::Value("input", index, input.name()));
            if input.name().is_empty() {
                self.report.add(&place, || "it has no name".to_owned());
            } else if !names.insert(input.name()) {
                self.report.add(&place, || "this name is defined twice".to_owned());
            }
            if matches!(owner, Owner::Main) {
                self.declared_type(&place, input);
            }
        }
        self.initializers(place, graph, &mut names);
        scopes.push(names);
        self.nodes(place, &graph.node, domains, owner, scopes);
        for (index, output) in graph.output.iter().enumerate() {
            let place = place.at(Part::Value("output", index, output.name()));
            if !scopes.iter().any(|names| names.contains(output.name())) {
                self.report.add(&place, || "nothing produces it".to_owned());
            }
        }
        scopes.pop();
    }

    /// An input of the model must say what it is; a shape may be left open.
    fn declared_type(&mut self, place: &Place<'_>, value: &ValueInfoProto) {
        let kind = value.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        match kind {
            None => self.report.add(place, || "its type is not declared".to_owned()),
            Some(TypeValue::Tensor(tensor) | TypeValue::SparseTensor(tensor)) => {
                let code = tensor.elem_type();
                if zoo_tensor::DType::from_onnx_code(code).is_none() {
                    self.report.add(place, || format!("its element type {code} is not one ONNX defines"));
                }
            }
            Some(_) => {}
        }
    }

    fn initializers(&mut self, place: &Place<'_>, graph: &'a GraphProto, names: &mut Names<'a>) {
        let mut seen = Names::new();
        let sparse = graph.sparse_initializer.iter().filter_map(|tensor| tensor.values.as_ref());
        for (index, tensor) in graph.initializer.iter().chain(sparse).enumerate() {
            let place = place.at(Part::Initializer(tensor.name()));
            if tensor.name().is_empty() {
                self.report.add(&place, || format!("initializer {index} has no name"));
            } else if !seen.insert(tensor.name()) {
                self.report.add(&place, || "this name is defined twice".to_owned());
            }
            // It may also be an input, to which it then gives a default.
            names.insert(tensor.name());
        }
        for tensor in &graph.initializer {
            self.tensor(&place.at(Part::Initializer(tensor.name())), tensor);
        }
        for tensor in &graph.sparse_initializer {
            let name = tensor.values.as_ref().map_or("", |values| values.name());
            self.sparse_tensor(&place.at(Part::Initializer(name)), tensor);
        }
    }

    /// Checks nodes in order, adding what they define to the innermost scope.
    pub(super) fn nodes(
        &mut self,
        place: &Place<'_>,
        nodes: &'a [NodeProto],
        domains: Option<&Domains<'a>>,
        owner: Owner<'_, 'a>,
        scopes: &mut Vec<Names<'a>>,
    ) {
        for (index, node) in nodes.iter().enumerate() {
            let place = place.at(Part::Node(index, node));
            if node.op_type().is_empty() {
                self.report.add(&place, || "it names no operator".to_owned());
            }
            let domain = normal_domain(node.domain());
            if domains.is_some_and(|domains| !domains.contains(domain)) {
                let domain = if domain.is_empty() { "ai.onnx" } else { domain };
                self.report.add(&place, || format!("its operator set \"{domain}\" is not imported"));
            }
            for input in node.input.iter().filter(|input| !input.is_empty()) {
                if !scopes.iter().any(|names| names.contains(input.as_str())) {
                    self.report.add(&place, || format!("its input \"{input}\" is not defined before it"));
                }
            }
            let mut attributes = Names::new();
            for attribute in &node.attribute {
                let place = place.at(Part::Attribute(attribute.name()));
                if attribute.name().is_empty() {
                    self.report.add(&place, || "it has no name".to_owned());
                } else if !attributes.insert(attribute.name()) {
                    self.report.add(&place, || "this name is defined twice".to_owned());
                }
                self.attribute(&place, attribute, owner.parameters());
                for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
                    let owner = Owner::Subgraph(owner.parameters());
                    self.graph(&place.at(Part::Graph), graph, domains, owner, scopes);
                }
            }
            if let Some(names) = scopes.last_mut() {
                for output in node.output.iter().filter(|output| !output.is_empty()) {
                    if !names.insert(output.as_str()) {
                        self.report.add(&place, || format!("its output \"{output}\" is already defined"));
                    }
                }
            }
        }
    }
}
