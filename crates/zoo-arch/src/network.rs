//! The table of networks, and the way from one of them and its weights to a graph.

use zoo_graph::graph::Graph;
use zoo_graph::weights::{Tally, Weights};
use zoo_graph::{Builder, Result, Val, builder::DEFAULT_OPSET};
use zoo_tensor::{DType, Dim};

use crate::image::ImageSize;
use crate::task::Task;
use crate::{segmentation, video, vision};

/// What a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// `[batch, 3, height, width]`, of this size unless another is asked for.
    Image(ImageSize),
    /// `[batch, 3, frames, height, width]`.
    Clip {
        /// The number of frames that its weights were trained on.
        frames: usize,
        /// The size of each.
        size: ImageSize,
    },
}

/// Builds a network on its input; gives its outputs by name.
pub(crate) type Build = fn(&mut Builder, &Weights, Val) -> Result<Vec<(&'static str, Val)>>;

/// A network by the name that its checkpoints are published under.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// torchvision's name.
    pub name: &'static str,
    /// What it is for.
    pub task: Task,
    /// What it takes.
    pub input: Input,
    pub(crate) build: Build,
    /// Whether weights that fit are certain to be of this network. Some networks differ in what no tensor shows (a number of
    /// heads, for one); there, only the published widths are certain. Asked when a checkpoint has to be recognised.
    pub(crate) certain: fn(&Weights) -> bool,
    /// The image size that weights are tied to, such as by a table of positions; none if they take any.
    pub(crate) tied_size: fn(&Weights) -> Option<ImageSize>,
}

impl Network {
    /// An image classifier.
    pub(crate) const fn classifier(name: &'static str, size: usize, build: Build) -> Self {
        Self {
            name,
            task: Task::ImageClassification,
            input: Input::Image(ImageSize::Fixed(size, size)),
            build,
            certain: |_| true,
            tied_size: |_| None,
        }
    }

    /// A classifier of clips of so many frames, each a square.
    pub(crate) const fn clip_classifier(
        name: &'static str,
        frames: usize,
        size: usize,
        build: Build,
    ) -> Self {
        let input = Input::Clip { frames, size: ImageSize::Fixed(size, size) };
        Self { task: Task::VideoClassification, input, ..Self::classifier(name, size, build) }
    }

    /// The same, where only some weights that fit are certain to be its own.
    #[must_use]
    pub(crate) const fn certain_if(self, certain: fn(&Weights) -> bool) -> Self {
        Self { certain, ..self }
    }

    /// The same, where weights are tied to a size of image.
    #[must_use]
    pub(crate) const fn tied_to(self, tied_size: fn(&Weights) -> Option<ImageSize>) -> Self {
        Self { tied_size, ..self }
    }
}

/// How to make a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphOptions {
    /// The operator set to write against.
    pub opset: i64,
    /// The size of the image. Without it, the size that the weights are tied to, if they are; else the usual one.
    pub image_size: Option<ImageSize>,
    /// The usual size, where the weights have another than the network.
    pub usual_size: Option<ImageSize>,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self { opset: DEFAULT_OPSET, image_size: None, usual_size: None }
    }
}

/// A graph, and what became of the checkpoint's tensors.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Built {
    /// The graph.
    pub graph: Graph,
    /// How many tensors were used.
    pub tally: Tally,
}

impl Network {
    /// Makes the graph of this network with these weights. The batch is free.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape, or has no place in the network; if the network does not take the image size.
    pub fn graph(&self, weights: &Weights, options: &GraphOptions) -> Result<Built> {
        let mut g = Builder::new(self.name, options.opset)?;
        let usual = |size| (self.tied_size)(weights).or(options.usual_size).unwrap_or(size);
        let asked = |size| options.image_size.unwrap_or_else(|| usual(size));
        let mut dims = vec![Dim::Named("batch".to_owned()), Dim::Fixed(3)];
        match self.input {
            Input::Image(size) => dims.extend(asked(size).dims()),
            // A size that is free is free in time, too.
            Input::Clip { frames, size } => {
                let size = asked(size);
                dims.push(match size {
                    ImageSize::Fixed(..) => Dim::Fixed(frames),
                    ImageSize::Any => Dim::Named("frames".to_owned()),
                });
                dims.extend(size.dims());
            }
        }
        let input = g.input("input", DType::F32, dims)?;
        let outputs = (self.build)(&mut g, weights, input)?;
        for (name, val) in outputs {
            g.output(name, val)?;
        }
        // Batch norms count their training steps; nothing reads that.
        weights.ignore(|name| name == "num_batches_tracked" || name.ends_with(".num_batches_tracked"));
        let tally = weights.finish()?;
        Ok(Built { graph: g.finish()?, tally })
    }
}

/// Every network, family by family.
pub fn networks() -> impl Iterator<Item = &'static Network> {
    const FAMILIES: &[&[&[Network]]] = &[vision::FAMILIES, segmentation::FAMILIES, video::FAMILIES];
    FAMILIES.iter().copied().flatten().copied().flatten()
}

/// The network of this name.
pub fn find(name: &str) -> Option<&'static Network> {
    networks().find(|network| network.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let mut seen = HashSet::new();
        for network in networks() {
            assert!(seen.insert(network.name), "{}", network.name);
        }
        assert!(find("resnet50").is_some() && find("resnet51").is_none());
    }
}
