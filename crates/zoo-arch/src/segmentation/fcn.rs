//! FCN (Long et al., 2014) on a dilated ResNet, with the weight names of torchvision.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::{Features, scores, segmenter};
use crate::network::Network;
use crate::nn::{conv, conv_bn};
use crate::vision::resnet::{RESNET50, RESNET101, ResNet};

pub(super) const NETWORKS: &[Network] = &[
    segmenter("fcn_resnet50", |g, w, x| build(g, w, x, RESNET50)),
    segmenter("fcn_resnet101", |g, w, x| build(g, w, x, RESNET101)),
];

fn build(g: &mut Builder, w: &Weights, image: Val, resnet: ResNet) -> Result<Vec<(&'static str, Val)>> {
    let features = resnet_features(g, w, image, resnet)?;
    scores(g, w, image, features, head)
}

/// The last two stages of a ResNet that ends with an eighth of the image's size.
pub(super) fn resnet_features(g: &mut Builder, w: &Weights, image: Val, resnet: ResNet) -> Result<Features> {
    let [_, _, aux, out] = resnet.dilated().stages(g, &w.at("backbone"), image)?;
    Ok(Features { aux, out })
}

/// A 3x3 convolution with a quarter of the channels, and scores for each class from that.
pub(super) fn head(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = conv_bn(g, w, ("0", "1"), x, Window::same(3))?;
    let x = g.relu(x)?;
    conv(g, &w.at(4), x, Window::of(1))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fcn_head, resnet};
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = resnet([3, 4, 6, 3]);
        fcn_head(&mut checkpoint, "classifier", 10);
        checkpoint
    }

    #[test]
    fn the_last_two_stages_dilate_instead_of_halving() {
        let graph = checkpoint().graph_at("fcn_resnet50", ImageSize::Fixed(224, 160)).unwrap();
        assert_eq!(dims(&graph, "backbone.layer2.0.conv3"), "batch,6,28,20");
        assert_eq!(dims(&graph, "backbone.layer4.2.conv3"), "batch,10,28,20");
        assert_eq!(dims(&graph, "out"), "batch,7,224,160");
        let dilation = |name: &str| {
            let node = graph.nodes.iter().find(|node| node.name == format!("backbone.{name}/Conv")).unwrap();
            (node.ints("dilations").unwrap()[0], node.ints("pads").unwrap()[0])
        };
        assert_eq!(dilation("layer3.0.conv2"), (1, 1));
        assert_eq!(dilation("layer3.1.conv2"), (2, 2));
        assert_eq!(dilation("layer4.0.conv2"), (2, 2));
        assert_eq!(dilation("layer4.1.conv2"), (4, 4));
    }

    #[test]
    fn the_image_size_is_free_unless_asked_for() {
        let graph = checkpoint().graph("fcn_resnet50").unwrap();
        assert_eq!(dims(&graph, "input"), "batch,3,height,width");
        assert_eq!(dims(&graph, "out"), "batch,7,height,width");
    }

    #[test]
    fn the_second_head_is_an_output_where_there_is_one() {
        let mut both = checkpoint();
        assert_eq!(both.graph("fcn_resnet50").unwrap().outputs.len(), 1);
        fcn_head(&mut both, "aux_classifier", 8);
        let graph = both.graph("fcn_resnet50").unwrap();
        let names: Vec<_> = graph.outputs.iter().map(|&val| graph.value(val).name.as_str()).collect();
        assert_eq!(names, ["out", "aux"]);
        assert_eq!(dims(&graph, "aux"), "batch,7,height,width");
        assert_eq!(count(&graph, "Resize"), 2);
    }

    #[test]
    fn what_is_missing_is_named_and_depths_are_told_apart() {
        let error = checkpoint().without("classifier.4.weight").graph("fcn_resnet50").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"classifier.4.weight\"");
        assert!(checkpoint().graph("fcn_resnet101").is_err());
        let mut deeper = resnet([3, 4, 23, 3]);
        fcn_head(&mut deeper, "classifier", 10);
        deeper.graph("fcn_resnet101").unwrap();
    }
}
