//! A model in memory, and what can be asked of it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::external::{self, ExternalFile};
use crate::proto::{GraphProto, ModelProto, TensorProto, ValueInfoProto};
use crate::types::Port;
use crate::{Result, tensor, walk};

/// An ONNX model. Made by [`Model::open`] or [`Model::from_bytes`].
#[derive(Debug, Clone)]
pub struct Model {
    proto: ModelProto,
    dir: Option<PathBuf>,
}

/// An operator set a model was written against.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opset {
    /// The domain; empty for ONNX's own operators.
    pub domain: String,
    /// The version.
    pub version: i64,
}

/// How many initializers a model has, and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Initializers {
    /// Their number, in the main graph and all subgraphs.
    pub count: usize,
    /// Their size by type and shape, inline and external. Strings count by their bytes.
    pub bytes: u64,
    /// Their elements together: what people call the number of parameters. Of a sparse one only the stored values count.
    pub elements: u64,
}

impl Model {
    pub(crate) fn new(proto: ModelProto, path: Option<&Path>) -> Self {
        let dir = path.map(|path| match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        });
        Self { proto, dir }
    }

    /// The message itself.
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The folder external data is relative to; none for a model that came from bytes.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// What has to be fed: the graph's inputs without those that an initializer gives a default to.
    pub fn inputs(&self) -> Vec<Port> {
        let Some(graph) = &self.proto.graph else { return Vec::new() };
        let defaults = initializer_names(graph);
        graph.input.iter().filter(|value| !defaults.contains(value.name())).map(Port::of).collect()
    }

    /// What comes out.
    pub fn outputs(&self) -> Vec<Port> {
        ports(self.proto.graph.as_ref().map_or(&[], |graph| &graph.output))
    }

    /// The operator sets imported, as listed in the model.
    pub fn opsets(&self) -> Vec<Opset> {
        let opset = |id: &crate::proto::OperatorSetIdProto| Opset {
            domain: normal_domain(id.domain()).to_owned(),
            version: id.version(),
        };
        self.proto.opset_import.iter().map(opset).collect()
    }

    /// The version of the file format; 0 if the model does not say.
    pub fn ir_version(&self) -> i64 {
        self.proto.ir_version()
    }

    /// What wrote the model, such as `pytorch`; may be empty.
    pub fn producer_name(&self) -> &str {
        self.proto.producer_name()
    }

    /// The version of what wrote it; may be empty.
    pub fn producer_version(&self) -> &str {
        self.proto.producer_version()
    }

    /// The model's own name space; often empty.
    pub fn domain(&self) -> &str {
        self.proto.domain()
    }

    /// The documentation inside the model, the graph's where the model has none; may be empty.
    pub fn doc_string(&self) -> &str {
        match self.proto.doc_string() {
            "" => self.proto.graph.as_ref().map_or("", |graph| graph.doc_string()),
            text => text,
        }
    }

    /// Keys and values attached to the model.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.proto.metadata_props.iter().map(|entry| (entry.key(), entry.value()))
    }

    /// Nodes in the main graph, its subgraphs and the functions.
    pub fn node_count(&self) -> usize {
        walk::scopes(&self.proto).map(|scope| scope.nodes.len()).sum()
    }

    /// How often each operator occurs, at any depth; operators of other domains as `domain.Op`.
    pub fn op_histogram(&self) -> BTreeMap<String, usize> {
        let mut histogram = BTreeMap::new();
        for node in walk::scopes(&self.proto).flat_map(|scope| scope.nodes) {
            *histogram.entry(op_name(node)).or_default() += 1;
        }
        histogram
    }

    /// How many initializers there are and how large they are together.
    pub fn initializers(&self) -> Initializers {
        let mut total = Initializers::default();
        for graph in walk::scopes(&self.proto).filter_map(|scope| scope.graph) {
            total.count += graph.initializer.len() + graph.sparse_initializer.len();
            let values = graph.sparse_initializer.iter().filter_map(|tensor| tensor.values.as_ref());
            let indices = graph.sparse_initializer.iter().filter_map(|tensor| tensor.indices.as_ref());
            for part in graph.initializer.iter().chain(values) {
                let shape = tensor::shape(part).unwrap_or_default();
                let elements = zoo_tensor::element_count(&shape).unwrap_or(0);
                total.elements = total.elements.saturating_add(elements as u64);
                total.bytes = total.bytes.saturating_add(tensor::size(part).unwrap_or(0));
            }
            for part in indices {
                total.bytes = total.bytes.saturating_add(tensor::size(part).unwrap_or(0));
            }
        }
        total
    }

    /// The external files the model needs, each with the length it must at least have, in the order of their names.
    ///
    /// # Errors
    /// If a tensor's location is malformed or unsafe; whether the files exist is not asked.
    pub fn external_files(&self) -> Result<Vec<ExternalFile>> {
        external::files(walk::tensors(&self.proto))
    }
}

/// `ai.onnx` is another way to write the empty domain.
pub(crate) fn normal_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// An operator as people write it.
pub(crate) fn op_name(node: &crate::proto::NodeProto) -> String {
    match normal_domain(node.domain()) {
        "" => node.op_type().to_owned(),
        domain => format!("{domain}.{}", node.op_type()),
    }
}

/// The names that initializers of this graph define.
pub(crate) fn initializer_names(graph: &GraphProto) -> HashSet<&str> {
    let sparse = graph.sparse_initializer.iter().filter_map(|tensor| tensor.values.as_ref());
    graph.initializer.iter().chain(sparse).map(TensorProto::name).collect()
}

fn ports(values: &[ValueInfoProto]) -> Vec<Port> {
    values.iter().map(Port::of).collect()
}
