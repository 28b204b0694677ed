//! SqueezeNet 1.0 and 1.1 (Iandola et al., 2016), with the weight names of torchvision.
//!
//! Version 1.1 pools earlier, which costs less for the same accuracy.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, conv_act};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("squeezenet1_0", 224, |g, w, x| V1_0.build(g, w, x)),
    Network::classifier("squeezenet1_1", 224, |g, w, x| V1_1.build(g, w, x)),
];

const V1_0: SqueezeNet = SqueezeNet { stem: 7, fires: [3, 4, 1] };
const V1_1: SqueezeNet = SqueezeNet { stem: 3, fires: [2, 2, 4] };

#[derive(Debug, Clone, Copy)]
struct SqueezeNet {
    /// The extent of the first convolution.
    stem: usize,
    /// How many fire modules follow each pool.
    fires: [usize; 3],
}

impl SqueezeNet {
    fn build(self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let features = w.at("features");
        let stem = Window::of(self.stem).stride(2);
        let mut x = conv_act(g, &features.at(0), image, stem, Activation::Relu)?;
        // Activation 1, then pools and fire modules by turns, all of them counted.
        let mut layer = 2;
        for fires in self.fires {
            x = g.max_pool(x, Window::of(3).stride(2).ceil())?;
            layer += 1;
            for _ in 0..fires {
                x = fire(g, &features.at(layer), x)?;
                layer += 1;
            }
        }
        // There is no dense layer: a 1x1 convolution has one channel for each class.
        let x = conv_act(g, &w.at("classifier.1"), x, Window::of(1), Activation::Relu)?;
        let x = g.global_average_pool(x)?;
        Ok(vec![("logits", g.flatten(x)?)])
    }
}

/// Few channels, then many, seen through 1x1 and 3x3 windows.
fn fire(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = conv_act(g, &w.at("squeeze"), x, Window::of(1), Activation::Relu)?;
    let narrow = conv_act(g, &w.at("expand1x1"), x, Window::of(1), Activation::Relu)?;
    let wide = conv_act(g, &w.at("expand3x3"), x, Window::same(3), Activation::Relu)?;
    g.concat(&[narrow, wide], 1)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    fn checkpoint(stem: usize, fires: &[usize]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.layer("features.0", &[5, 3, stem, stem]);
        let mut channels = 5;
        for layer in fires {
            checkpoint
                .layer(format_args!("features.{layer}.squeeze"), &[2, channels, 1, 1])
                .layer(format_args!("features.{layer}.expand1x1"), &[3, 2, 1, 1])
                .layer(format_args!("features.{layer}.expand3x3"), &[4, 2, 3, 3]);
            channels = 7;
        }
        checkpoint.layer("classifier.1", &[11, 7, 1, 1]);
        checkpoint
    }

    fn first() -> Checkpoint {
        checkpoint(7, &[3, 4, 5, 7, 8, 9, 10, 12])
    }

    #[test]
    fn pools_keep_what_is_not_full() {
        let graph = first().graph("squeezenet1_0").unwrap();
        assert_eq!(dims(&graph, "features.0"), "batch,5,109,109");
        assert_eq!(dims(&graph, "maxpool_0"), "batch,5,54,54");
        assert_eq!(dims(&graph, "maxpool_1"), "batch,7,27,27");
        assert_eq!(dims(&graph, "maxpool_2"), "batch,7,13,13");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        assert_eq!((count(&graph, "Conv"), count(&graph, "Relu"), count(&graph, "Concat")), (26, 26, 8));
        // 64 becomes 29, 14, 7 and 3; 62 becomes 28, and then 13.5 rounded up.
        let graph = first().graph_at("squeezenet1_0", ImageSize::Fixed(64, 62)).unwrap();
        assert_eq!(dims(&graph, "maxpool_0"), "batch,5,14,14");
        assert_eq!(dims(&graph, "maxpool_1"), "batch,7,7,7");
    }

    #[test]
    fn the_newer_version_pools_earlier() {
        let newer = checkpoint(3, &[3, 4, 6, 7, 9, 10, 11, 12]);
        let graph = newer.graph("squeezenet1_1").unwrap();
        assert_eq!(dims(&graph, "features.0"), "batch,5,111,111");
        assert_eq!(dims(&graph, "maxpool_2"), "batch,7,13,13");
        assert_eq!(dims(&graph, "features.9.squeeze"), "batch,2,13,13");
        assert!(newer.graph("squeezenet1_0").is_err() && first().graph("squeezenet1_1").is_err());
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = first().graph_at("squeezenet1_0", ImageSize::Any).unwrap();
        let (height, width) = ("floor((height - 7)/2) + 1", "floor((width - 7)/2) + 1");
        assert_eq!(dims(&graph, "features.0"), format!("batch,5,{height},{width}"));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = first().without("features.8.expand3x3").graph("squeezenet1_0").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"features.8.expand3x3.weight\"");
    }
}
