//! What the tests of families share: checkpoints of zeros, narrow, under the names and with the kernels of published ones.

use std::fmt::Display;

use zoo_graph::graph::Graph;
use zoo_graph::weights::Weights;
use zoo_tensor::{Tensor, Weight};

use crate::image::ImageSize;
use crate::network::{GraphOptions, find};

/// The names and shapes of a checkpoint; every number in it is zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checkpoint {
    tensors: Vec<(String, Vec<usize>)>,
}

impl Checkpoint {
    /// One tensor.
    pub(crate) fn tensor(&mut self, name: impl Display, shape: &[usize]) -> &mut Self {
        self.tensors.push((name.to_string(), shape.to_vec()));
        self
    }

    /// A module with a `weight` and no bias.
    pub(crate) fn bare(&mut self, module: impl Display, shape: &[usize]) -> &mut Self {
        self.tensor(format_args!("{module}.weight"), shape)
    }

    /// A module with a `weight`, and a `bias` for each of its outputs.
    pub(crate) fn layer(&mut self, module: impl Display, shape: &[usize]) -> &mut Self {
        self.bare(&module, shape).tensor(format_args!("{module}.bias"), &shape[..1])
    }

    /// A batch norm.
    pub(crate) fn norm(&mut self, module: impl Display, channels: usize) -> &mut Self {
        self.layer(&module, &[channels])
            .tensor(format_args!("{module}.running_mean"), &[channels])
            .tensor(format_args!("{module}.running_var"), &[channels])
            .tensor(format_args!("{module}.num_batches_tracked"), &[])
    }

    /// torchvision's `Conv2dNormActivation` and its like: a convolution `0` without bias and a batch norm `1`.
    pub(crate) fn conv_norm(&mut self, module: impl Display, shape: &[usize]) -> &mut Self {
        self.bare(format_args!("{module}.0"), shape).norm(format_args!("{module}.1"), shape[0])
    }

    /// torchvision's `SqueezeExcitation`.
    pub(crate) fn excitation(&mut self, module: impl Display, channels: usize, squeezed: usize) -> &mut Self {
        self.layer(format_args!("{module}.fc1"), &[squeezed, channels, 1, 1])
            .layer(format_args!("{module}.fc2"), &[channels, squeezed, 1, 1])
    }

    /// The same without the tensors whose name begins so.
    pub(crate) fn without(&self, beginning: &str) -> Self {
        let mut rest = self.clone();
        rest.tensors.retain(|(name, _)| !name.starts_with(beginning));
        assert_ne!(rest.tensors.len(), self.tensors.len(), "nothing begins with {beginning}");
        rest
    }

    /// The checkpoint as builders see it.
    pub(crate) fn weights(&self) -> Weights {
        let zeros = |shape: &Vec<usize>| {
            let count = shape.iter().product();
            Weight::from(Tensor::from_slice(shape.clone(), &vec![0.0_f32; count]).unwrap())
        };
        Weights::new(self.tensors.iter().map(|(name, shape)| (name.clone(), zeros(shape)))).unwrap()
    }

    /// The graph of the network of this name for the usual size of image.
    pub(crate) fn graph(&self, network: &str) -> zoo_graph::Result<Graph> {
        self.graph_with(network, &GraphOptions::default())
    }

    /// The graph for another size of image.
    pub(crate) fn graph_at(&self, network: &str, size: ImageSize) -> zoo_graph::Result<Graph> {
        self.graph_with(network, &GraphOptions { image_size: Some(size), ..GraphOptions::default() })
    }

    fn graph_with(&self, network: &str, options: &GraphOptions) -> zoo_graph::Result<Graph> {
        Ok(find(network).unwrap().graph(&self.weights(), options)?.graph)
    }
}

/// The shape of the value of this name, written as `batch,64,56,56`. A value is named after the module whose weights made it,
/// or after its operator with a number: `maxpool_0`.
pub(crate) fn dims(graph: &Graph, name: &str) -> String {
    let (_, value) = graph
        .values()
        .find(|(_, value)| value.name == name)
        .unwrap_or_else(|| panic!("no value is called {name}"));
    value.dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// How often an operator occurs.
pub(crate) fn count(graph: &Graph, op: &str) -> usize {
    graph.op_histogram().get(op).copied().unwrap_or_default()
}

/// What the batch norms, all alike, add to variances.
pub(crate) fn epsilon(graph: &Graph) -> Option<f32> {
    let mut norms = graph.nodes.iter().filter(|node| node.op == "BatchNormalization");
    let first = norms.next()?.float("epsilon");
    assert!(norms.all(|norm| norm.float("epsilon") == first), "they differ");
    first
}
