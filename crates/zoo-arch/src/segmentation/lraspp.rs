//! Lite R-ASPP (Howard et al., 2019, section 6.4) on a dilated MobileNetV3, with the weight names of torchvision.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::{enlarge, segmenter};
use crate::network::Network;
use crate::nn::{Activation, EPSILON, conv, conv_act, conv_bn_act};
use crate::vision::mobilenet_v3::{Features, LARGE};

pub(super) const NETWORKS: &[Network] = &[segmenter("lraspp_mobilenet_v3_large", build)];

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let features = LARGE.dilated().features(g, &w.at("backbone"), image)?;
    let x = head(g, &w.at("classifier"), features)?;
    Ok(vec![("out", enlarge(g, x, image)?)])
}

/// Coarse features, gated by what the whole image says about each channel, and fine ones each give scores, which are added.
fn head(g: &mut Builder, w: &Weights, Features { low, high }: Features) -> Result<Val> {
    let k1 = Window::of(1);
    let x = conv_bn_act(g, &w.at("cbr"), high, k1, EPSILON, Activation::Relu)?;
    let gate = g.global_average_pool(high)?;
    let gate = conv_act(g, &w.at("scale.1"), gate, k1, Activation::Sigmoid)?;
    let x = g.mul(x, gate)?;
    let x = enlarge(g, x, low)?;
    let fine = conv(g, &w.at("low_classifier"), low, k1)?;
    let coarse = conv(g, &w.at("high_classifier"), x, k1)?;
    g.add(fine, coarse)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{conv_norm, mobilenet};
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = mobilenet();
        conv_norm(&mut checkpoint, "classifier.cbr", &[5, 10, 1, 1]);
        checkpoint
            .bare("classifier.scale.1", &[5, 10, 1, 1])
            .layer("classifier.low_classifier", &[7, 2, 1, 1])
            .layer("classifier.high_classifier", &[7, 5, 1, 1]);
        checkpoint
    }

    #[test]
    fn scores_are_those_of_an_eighth_and_a_sixteenth() {
        let graph = checkpoint().graph_at("lraspp_mobilenet_v3_large", ImageSize::Fixed(224, 160)).unwrap();
        assert_eq!(dims(&graph, "classifier.cbr.0"), "batch,5,14,10");
        assert_eq!(dims(&graph, "classifier.scale.1"), "batch,5,1,1");
        assert_eq!(dims(&graph, "classifier.low_classifier"), "batch,7,28,20");
        assert_eq!(dims(&graph, "classifier.high_classifier"), "batch,7,28,20");
        assert_eq!(dims(&graph, "out"), "batch,7,224,160");
        assert_eq!(graph.outputs.len(), 1);
    }

    #[test]
    fn the_image_size_is_free_unless_asked_for() {
        let graph = checkpoint().graph("lraspp_mobilenet_v3_large").unwrap();
        assert_eq!(dims(&graph, "out"), "batch,7,height,width");
        assert_eq!((count(&graph, "Resize"), count(&graph, "Sigmoid")), (2, 1));
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = checkpoint()
            .without("classifier.low_classifier.bias")
            .without("classifier.high_classifier")
            .graph("lraspp_mobilenet_v3_large")
            .unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"classifier.high_classifier.weight\"");
    }
}
