//! DeepLabV3 (Chen et al., 2017) on a dilated ResNet or MobileNetV3, with the weight names of torchvision.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::fcn::resnet_features;
use super::{Features, scores, segmenter};
use crate::network::Network;
use crate::nn::{Activation, EPSILON, conv, conv_bn, conv_bn_act};
use crate::vision::mobilenet_v3::LARGE;
use crate::vision::resnet::{RESNET50, RESNET101, ResNet};

pub(super) const NETWORKS: &[Network] = &[
    segmenter("deeplabv3_resnet50", |g, w, x| on_resnet(g, w, x, RESNET50)),
    segmenter("deeplabv3_resnet101", |g, w, x| on_resnet(g, w, x, RESNET101)),
    segmenter("deeplabv3_mobilenet_v3_large", on_mobilenet),
];

/// How far apart the elements of the parallel windows are.
const RATES: [usize; 3] = [12, 24, 36];

fn on_resnet(g: &mut Builder, w: &Weights, image: Val, resnet: ResNet) -> Result<Vec<(&'static str, Val)>> {
    let features = resnet_features(g, w, image, resnet)?;
    scores(g, w, image, features, head)
}

fn on_mobilenet(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let features = LARGE.dilated().features(g, &w.at("backbone"), image)?;
    scores(g, w, image, Features { aux: features.low, out: features.high }, head)
}

fn head(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = pyramid(g, &w.at(0), x)?;
    let x = conv_bn(g, w, ("1", "2"), x, Window::same(3))?;
    let x = g.relu(x)?;
    conv(g, &w.at(4), x, Window::of(1))
}

/// Atrous spatial pyramid pooling: the same features through windows of several reaches and through none, which is the whole
/// image.
fn pyramid(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let convs = w.at("convs");
    let point = conv_bn_act(g, &convs.at(0), x, Window::of(1), EPSILON, Activation::Relu)?;
    let mut branches = vec![point];
    for (branch, rate) in (1..).zip(RATES) {
        let atrous = Window::of(3).dilation(rate).pad(rate);
        branches.push(conv_bn_act(g, &convs.at(branch), x, atrous, EPSILON, Activation::Relu)?);
    }
    let pooled = g.global_average_pool(x)?;
    let pooled = conv_bn(g, &convs.at(4), ("1", "2"), pooled, Window::of(1))?;
    let pooled = g.relu(pooled)?;
    // torchvision enlarges the one pixel bilinearly: every pixel is the same.
    branches.push(g.expand_like(pooled, point)?);
    let x = g.concat(&branches, 1)?;
    conv_bn_act(g, &w.at("project"), x, Window::of(1), EPSILON, Activation::Relu)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deeplab_head, fcn_head, mobilenet, resnet};
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    fn on_mobilenet() -> Checkpoint {
        let mut checkpoint = mobilenet();
        deeplab_head(&mut checkpoint, "classifier", 10);
        checkpoint
    }

    #[test]
    fn windows_of_all_reaches_keep_the_size() {
        let mut checkpoint = resnet([3, 4, 6, 3]);
        deeplab_head(&mut checkpoint, "classifier", 10);
        fcn_head(&mut checkpoint, "aux_classifier", 8);
        let graph = checkpoint.graph_at("deeplabv3_resnet50", ImageSize::Fixed(224, 160)).unwrap();
        for (branch, rate) in [(1, 12), (2, 24), (3, 36)] {
            let name = format!("classifier.0.convs.{branch}.0");
            assert_eq!(dims(&graph, &name), "batch,2,28,20");
            let node = graph.nodes.iter().find(|node| node.name == format!("{name}/Conv")).unwrap();
            assert_eq!(node.ints("dilations"), Some(&[rate, rate][..]));
        }
        assert_eq!(dims(&graph, "classifier.0.convs.4.1"), "batch,2,1,1");
        assert_eq!(dims(&graph, "classifier.0.project.0"), "batch,3,28,20");
        assert_eq!(dims(&graph, "out"), "batch,7,224,160");
        assert_eq!(dims(&graph, "aux"), "batch,7,224,160");
        assert!(
            checkpoint.graph("fcn_resnet50").is_err() && checkpoint.graph("deeplabv3_resnet101").is_err()
        );
    }

    #[test]
    fn a_mobilenet_ends_with_a_sixteenth_and_gives_an_eighth_to_the_second_head() {
        let mut checkpoint = on_mobilenet();
        fcn_head(&mut checkpoint, "aux_classifier", 2);
        let graph = checkpoint.graph_at("deeplabv3_mobilenet_v3_large", ImageSize::Fixed(224, 160)).unwrap();
        assert_eq!(dims(&graph, "classifier.4"), "batch,7,14,10");
        assert_eq!(dims(&graph, "aux_classifier.4"), "batch,7,28,20");
        assert_eq!(dims(&graph, "out"), "batch,7,224,160");
        let graph = checkpoint.graph("deeplabv3_mobilenet_v3_large").unwrap();
        assert_eq!(dims(&graph, "out"), "batch,7,height,width");
        // What is pooled is repeated for as many pixels as there are at run time; both heads are enlarged.
        assert_eq!((count(&graph, "Expand"), count(&graph, "Resize")), (1, 2));
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let narrow = on_mobilenet().without("classifier.0.convs.3");
        let error = narrow.graph("deeplabv3_mobilenet_v3_large").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"classifier.0.convs.3.0.weight\"");
    }
}
