//! DenseNet-121, 161, 169 and 201 (Huang et al., 2016; the BC form, with bottlenecks and compression), with the weight names of
//! torchvision.
//!
//! Norm and activation come before each convolution, so that everything a block has made so far can be handed on as it is.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{EPSILON, batch_norm, conv, conv_bn, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("densenet121", 224, |g, w, x| build(g, w, x, [6, 12, 24, 16])),
    Network::classifier("densenet161", 224, |g, w, x| build(g, w, x, [6, 12, 36, 24])),
    Network::classifier("densenet169", 224, |g, w, x| build(g, w, x, [6, 12, 32, 32])),
    Network::classifier("densenet201", 224, |g, w, x| build(g, w, x, [6, 12, 48, 32])),
];

/// `depths` says how many layers each block has.
fn build(g: &mut Builder, w: &Weights, image: Val, depths: [usize; 4]) -> Result<Vec<(&'static str, Val)>> {
    let features = w.at("features");
    let x = conv_bn(g, &features, ("conv0", "norm0"), image, Window::same(7).stride(2))?;
    let x = g.relu(x)?;
    let mut x = g.max_pool(x, Window::same(3).stride(2))?;
    for (block, depth) in (1..).zip(depths) {
        if block > 1 {
            // Transition: as many channels as its convolution gives, and half the size.
            let transition = features.at(format_args!("transition{}", block - 1));
            x = norm_relu_conv(g, &transition, ("norm", "conv"), x, Window::of(1))?;
            x = g.average_pool(x, Window::of(2).stride(2), true)?;
        }
        for layer in 1..=depth {
            let layer = features.at(format_args!("denseblock{block}.denselayer{layer}"));
            let y = norm_relu_conv(g, &layer, ("norm1", "conv1"), x, Window::of(1))?;
            let y = norm_relu_conv(g, &layer, ("norm2", "conv2"), y, Window::same(3))?;
            x = g.concat(&[x, y], 1)?;
        }
    }
    let x = batch_norm(g, &features.at("norm5"), x, EPSILON)?;
    let x = g.relu(x)?;
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("classifier"), x)?)])
}

fn norm_relu_conv(
    g: &mut Builder,
    w: &Weights,
    (norm_name, conv_name): (&str, &str),
    x: Val,
    window: Window,
) -> Result<Val> {
    let x = batch_norm(g, &w.at(norm_name), x, EPSILON)?;
    let x = g.relu(x)?;
    conv(g, &w.at(conv_name), x, window)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    /// Six channels to begin with, two more with each layer, halved between blocks.
    fn checkpoint(depths: [usize; 4]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.bare("features.conv0", &[6, 3, 7, 7]).norm("features.norm0", 6);
        let mut channels = 6;
        for (block, depth) in (1..).zip(depths) {
            if block > 1 {
                let at = format!("features.transition{}", block - 1);
                checkpoint.norm(format_args!("{at}.norm"), channels);
                checkpoint.bare(format_args!("{at}.conv"), &[channels / 2, channels, 1, 1]);
                channels /= 2;
            }
            for layer in 1..=depth {
                let at = format!("features.denseblock{block}.denselayer{layer}");
                checkpoint.norm(format_args!("{at}.norm1"), channels);
                checkpoint.bare(format_args!("{at}.conv1"), &[4, channels, 1, 1]);
                checkpoint.norm(format_args!("{at}.norm2"), 4);
                checkpoint.bare(format_args!("{at}.conv2"), &[2, 4, 3, 3]);
                channels += 2;
            }
        }
        checkpoint.norm("features.norm5", channels).layer("classifier", &[11, channels]);
        checkpoint
    }

    #[test]
    fn layers_see_all_that_came_before_in_their_block() {
        let graph = checkpoint([6, 12, 24, 16]).graph("densenet121").unwrap();
        assert_eq!(dims(&graph, "features.conv0"), "batch,6,112,112");
        assert_eq!(dims(&graph, "features.denseblock1.denselayer1.norm1"), "batch,6,56,56");
        assert_eq!(dims(&graph, "features.denseblock1.denselayer6.norm1"), "batch,16,56,56");
        assert_eq!(dims(&graph, "features.denseblock1.denselayer6.conv2"), "batch,2,56,56");
        assert_eq!(dims(&graph, "features.transition1.conv"), "batch,9,56,56");
        assert_eq!(dims(&graph, "averagepool_0"), "batch,9,28,28");
        // 9 + 24, halved; + 48, halved; + 32.
        assert_eq!(dims(&graph, "features.norm5"), "batch,64,7,7");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        // Two in each of the 58 layers, three transitions, the first one.
        assert_eq!(count(&graph, "Conv"), 2 * 58 + 3 + 1);
        assert_eq!((count(&graph, "BatchNormalization"), count(&graph, "Relu")), (121, 121));
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint([6, 12, 32, 32]).graph_at("densenet169", ImageSize::Any).unwrap();
        let halved = |side: &str| format!("floor(floor(({side} - 1)/2)/2) + 1");
        assert_eq!(dims(&graph, "maxpool_0"), format!("batch,6,{},{}", halved("height"), halved("width")));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn depths_are_told_apart() {
        let narrow = checkpoint([6, 12, 32, 32]);
        // The third block of the shallower one is too narrow for the transition behind it.
        let error = narrow.graph("densenet121").unwrap_err().to_string();
        assert!(error.contains("features.transition3.norm.weight: f32[80] does not fit"), "{error}");
        let error = narrow.graph("densenet161").unwrap_err().to_string();
        assert_eq!(error, "the checkpoint has no tensor \"features.denseblock3.denselayer33.norm1.weight\"");
    }
}
