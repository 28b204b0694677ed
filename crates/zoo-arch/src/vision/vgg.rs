//! VGG-11 … 19 (Simonyan and Zisserman, 2014), plain and with batch norms, with the weight names of torchvision.
//!
//! `features` counts every layer, convolutions, norms, activations and pools alike; so depths say which numbers have weights, and
//! a checkpoint with any other numbers is refused.
//!
//! What follows the convolutions is written in two ways, which agree on images of up to 255 pixels a side. torchvision pools to 7x7,
//! flattens and has dense layers. timm has the same numbers as convolutions, which give a larger image several results, and
//! averages those. The rank of the weights tells them apart.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, EPSILON, batch_norm, conv, conv_act, linear, perceptron};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("vgg11", 224, |g, w, x| A.build(g, w, x)),
    Network::classifier("vgg11_bn", 224, |g, w, x| A.normed().build(g, w, x)),
    Network::classifier("vgg13", 224, |g, w, x| B.build(g, w, x)),
    Network::classifier("vgg13_bn", 224, |g, w, x| B.normed().build(g, w, x)),
    Network::classifier("vgg16", 224, |g, w, x| D.build(g, w, x)),
    Network::classifier("vgg16_bn", 224, |g, w, x| D.normed().build(g, w, x)),
    Network::classifier("vgg19", 224, |g, w, x| E.build(g, w, x)),
    Network::classifier("vgg19_bn", 224, |g, w, x| E.normed().build(g, w, x)),
];

// The letters of the paper's table 1.
const A: Vgg = Vgg { depths: [1, 1, 2, 2, 2], normed: false };
const B: Vgg = Vgg { depths: [2, 2, 2, 2, 2], ..A };
const D: Vgg = Vgg { depths: [2, 2, 3, 3, 3], ..A };
const E: Vgg = Vgg { depths: [2, 2, 4, 4, 4], ..A };

#[derive(Debug, Clone, Copy)]
struct Vgg {
    /// How many convolutions there are before each pool.
    depths: [usize; 5],
    /// Whether a batch norm follows each.
    normed: bool,
}

impl Vgg {
    const fn normed(self) -> Self {
        Self { normed: true, ..self }
    }

    fn build(self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let features = w.at("features");
        let mut layer = 0;
        let mut x = image;
        for depth in self.depths {
            for _ in 0..depth {
                x = conv(g, &features.at(layer), x, Window::same(3))?;
                if self.normed {
                    layer += 1;
                    x = batch_norm(g, &features.at(layer), x, EPSILON)?;
                }
                x = g.relu(x)?;
                layer += 2;
            }
            x = g.max_pool(x, Window::of(2).stride(2))?;
            layer += 1;
        }
        let w = w.at("classifier");
        let convolves = w.shape("0.weight")?.len() == 4;
        let logits = if convolves { slid(g, &w, x)? } else { flattened(g, &w, x)? };
        Ok(vec![("logits", logits)])
    }
}

/// torchvision's classifier.
fn flattened(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = g.adaptive_average_pool(x, (7, 7))?;
    let x = g.flatten(x)?;
    perceptron(g, w, x, &[0, 3, 6])
}

/// timm's: convolutions where there is room for them, that is on at least 7x7.
fn slid(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let size = (g.size(x, 2)?.max(7), g.size(x, 3)?.max(7));
    let x = g.adaptive_average_pool(x, size)?;
    let x = conv_act(g, &w.at(0), x, Window::of(7), Activation::Relu)?;
    let x = conv_act(g, &w.at(3), x, Window::of(1), Activation::Relu)?;
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    linear(g, &w.at(6), x)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    /// Convolutions with these numbers, batch norms behind them or not.
    fn checkpoint(convolutions: &[usize], normed: bool) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let mut channels = 3;
        for (width, layer) in (4..).zip(convolutions) {
            checkpoint.layer(format_args!("features.{layer}"), &[width, channels, 3, 3]);
            if normed {
                checkpoint.norm(format_args!("features.{}", layer + 1), width);
            }
            channels = width;
        }
        checkpoint
            .layer("classifier.0", &[9, channels * 7 * 7])
            .layer("classifier.3", &[10, 9])
            .layer("classifier.6", &[11, 10]);
        checkpoint
    }

    fn vgg16() -> Checkpoint {
        checkpoint(&[0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28], false)
    }

    #[test]
    fn five_pools_halve() {
        let graph = vgg16().graph("vgg16").unwrap();
        assert_eq!(dims(&graph, "features.2"), "batch,5,224,224");
        assert_eq!(dims(&graph, "features.5"), "batch,6,112,112");
        assert_eq!(dims(&graph, "features.28"), "batch,16,14,14");
        assert_eq!(dims(&graph, "maxpool_4"), "batch,16,7,7");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        assert_eq!((count(&graph, "Conv"), count(&graph, "Relu"), count(&graph, "MaxPool")), (13, 15, 5));
    }

    #[test]
    fn norms_stand_between_convolutions_and_activations() {
        let narrow = checkpoint(&[0, 4, 8, 11, 15, 18, 22, 25], true);
        let graph = narrow.graph("vgg11_bn").unwrap();
        let ops: Vec<_> = graph.nodes.iter().take(5).map(|node| node.op.as_str()).collect();
        assert_eq!(ops, ["Conv", "BatchNormalization", "Relu", "MaxPool", "Conv"]);
        assert_eq!(count(&graph, "BatchNormalization"), 8);
        assert!(narrow.graph("vgg11").is_err(), "the plain one has other numbers");
    }

    #[test]
    fn depths_are_told_apart() {
        for network in ["vgg11", "vgg13", "vgg19", "vgg16_bn"] {
            assert!(vgg16().graph(network).is_err(), "{network}");
        }
        let error = vgg16().without("features.10.").graph("vgg16").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"features.10.weight\"");
    }

    #[test]
    fn dense_layers_that_are_convolutions_slide() {
        let mut convolving = vgg16().without("classifier");
        convolving
            .layer("classifier.0", &[9, 16, 7, 7])
            .layer("classifier.3", &[10, 9, 1, 1])
            .layer("classifier.6", &[11, 10]);
        for (size, results) in [((224, 224), "1,1"), ((256, 288), "2,3"), ((96, 256), "1,2")] {
            let graph = convolving.graph_at("vgg16", ImageSize::Fixed(size.0, size.1)).unwrap();
            assert_eq!(dims(&graph, "classifier.3"), format!("batch,10,{results}"));
            assert_eq!(dims(&graph, "logits"), "batch,11");
        }
    }

    #[test]
    fn the_image_size_has_to_be_fixed() {
        let graph = vgg16().graph_at("vgg16", ImageSize::Fixed(96, 72)).unwrap();
        assert_eq!(dims(&graph, "maxpool_4"), "batch,16,3,2");
        assert_eq!(count(&graph, "MatMul"), 2, "one averaging matrix for each axis");
        let error = vgg16().graph_at("vgg16", ImageSize::Any).unwrap_err().to_string();
        assert!(error.contains("to 7x7 needs a fixed image size"), "{error}");
    }
}
