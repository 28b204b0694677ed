//! Visiting every graph of a model, at any depth, without recursion.

use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};

/// A list of nodes with the initializers beside them: a graph, a subgraph, or a function's body (which has none).
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) nodes: &'a [NodeProto],
    pub(crate) graph: Option<&'a GraphProto>,
}

/// Every list of nodes in the model: the main graph, training graphs, functions, and all subgraphs within. The main
/// graph comes first; the rest in no order that means anything, but always the same.
pub(crate) fn scopes(model: &ModelProto) -> impl Iterator<Item = Scope<'_>> {
    let training =
        model.training_info.iter().flat_map(|info| [&info.initialization, &info.algorithm]).flatten();
    let mut open: Vec<Scope<'_>> = Vec::new();
    open.extend(model.functions.iter().rev().map(|function| Scope { nodes: &function.node, graph: None }));
    open.extend(training.map(Scope::of));
    open.extend(model.graph.iter().map(Scope::of));
    std::iter::from_fn(move || {
        let scope = open.pop()?;
        open.extend(scope.nodes.iter().rev().flat_map(subgraphs).map(Scope::of));
        Some(scope)
    })
}

impl<'a> Scope<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        Self { nodes: &graph.node, graph: Some(graph) }
    }
}

/// The graphs in a node's attributes.
pub(crate) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
}

/// Every tensor in the model: initializers and sparse initializers of every graph, and tensors in attributes.
pub(crate) fn tensors(model: &ModelProto) -> impl Iterator<Item = &TensorProto> {
    let defaults = model.functions.iter().flat_map(|function| &function.attribute_proto);
    let of_attribute = |attribute| -> Vec<&TensorProto> {
        let attribute: &crate::proto::AttributeProto = attribute;
        let sparse = attribute.sparse_tensor.as_deref().into_iter().chain(&attribute.sparse_tensors);
        let sparse = sparse.flat_map(|tensor| tensor.values.iter().chain(&tensor.indices));
        attribute.t.as_deref().into_iter().chain(&attribute.tensors).chain(sparse).collect()
    };
    scopes(model)
        .flat_map(move |scope| {
            let of_graph = scope.graph.into_iter().flat_map(|graph| {
                let sparse = graph.sparse_initializer.iter();
                graph
                    .initializer
                    .iter()
                    .chain(sparse.flat_map(|tensor| tensor.values.iter().chain(&tensor.indices)))
            });
            of_graph.chain(scope.nodes.iter().flat_map(|node| &node.attribute).flat_map(of_attribute))
        })
        .chain(defaults.flat_map(of_attribute))
}
