//! MobileNetV3, large and small (Howard et al., 2019), with the weight names of torchvision.
//!
//! The paper's tables 1 and 2 are here without what the weights show: kernels, expansions and widths.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, InvertedResidual, activate, conv_bn_act, inverted_residual, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("mobilenet_v3_large", 224, |g, w, x| LARGE.build(g, w, x)),
    Network::classifier("mobilenet_v3_small", 224, |g, w, x| SMALL.build(g, w, x)),
    // timm's, under its names: the same but for an epsilon.
    Network::classifier("mobilenetv3_large_100", 224, |g, w, x| LARGE.as_in_timm().build(g, w, x)),
    Network::classifier("mobilenetv3_small_100", 224, |g, w, x| SMALL.as_in_timm().build(g, w, x)),
];

/// What torchvision's batch norms add to variances.
const EPSILON: f32 = 1e-3;
const RE: Activation = Activation::Relu;
const HS: Activation = Activation::HardSwish;

pub(crate) const LARGE: MobileNetV3 = MobileNetV3 {
    blocks: &[
        plain(RE, 1),
        plain(RE, 2),
        plain(RE, 1),
        excited(RE, 2),
        excited(RE, 1),
        excited(RE, 1),
        plain(HS, 2),
        plain(HS, 1),
        plain(HS, 1),
        plain(HS, 1),
        excited(HS, 1),
        excited(HS, 1),
        excited(HS, 2),
        excited(HS, 1),
        excited(HS, 1),
    ],
    dilated: false,
    epsilon: EPSILON,
};
const SMALL: MobileNetV3 = MobileNetV3 {
    blocks: &[
        excited(RE, 2),
        plain(RE, 2),
        plain(RE, 1),
        excited(HS, 2),
        excited(HS, 1),
        excited(HS, 1),
        excited(HS, 1),
        excited(HS, 1),
        excited(HS, 2),
        excited(HS, 1),
        excited(HS, 1),
    ],
    dilated: false,
    epsilon: EPSILON,
};

/// A block without squeeze and excitation.
const fn plain(activation: Activation, stride: usize) -> InvertedResidual {
    InvertedResidual { stride, dilation: 1, epsilon: EPSILON, activation, excitation: None }
}

/// A block with it.
const fn excited(activation: Activation, stride: usize) -> InvertedResidual {
    InvertedResidual {
        excitation: Some((Activation::Relu, Activation::HardSigmoid)),
        ..plain(activation, stride)
    }
}

/// What a checkpoint of the family cannot say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MobileNetV3 {
    blocks: &'static [InvertedResidual],
    /// Whether the blocks from the last one that halves the image keep its size and dilate their windows instead, as
    /// segmentation wants it.
    dilated: bool,
    /// What batch norms add to variances, those of the blocks included.
    epsilon: f32,
}

/// What segmentation takes from the network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Features {
    /// What the second block that halves the image gives: an eighth of its size.
    pub(crate) low: Val,
    /// What the last convolution gives: a 32nd of its size; dilated, a 16th.
    pub(crate) high: Val,
}

impl MobileNetV3 {
    /// The same network as a backbone for segmentation.
    pub(crate) const fn dilated(self) -> Self {
        Self { dilated: true, ..self }
    }

    /// The same network with timm's epsilon.
    const fn as_in_timm(self) -> Self {
        Self { epsilon: crate::nn::EPSILON, ..self }
    }

    fn build(&self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let x = self.features(g, &w.at("features"), image)?.high;
        let x = g.global_average_pool(x)?;
        let x = g.flatten(x)?;
        let x = linear(g, &w.at("classifier.0"), x)?;
        let x = activate(g, HS, x)?;
        Ok(vec![("logits", linear(g, &w.at("classifier.3"), x)?)])
    }

    /// The network without its classifier: `w` has the numbered parts (`features` of a classifier, `backbone` of a segmentation).
    pub(crate) fn features(&self, g: &mut Builder, w: &Weights, image: Val) -> Result<Features> {
        let mut halving = (0..self.blocks.len()).filter(|&index| self.blocks[index].stride == 2);
        let (second, last) = (halving.nth(1), halving.next_back());
        let mut x = conv_bn_act(g, &w.at(0), image, Window::same(3).stride(2), self.epsilon, HS)?;
        let mut low = x;
        for (index, &block) in self.blocks.iter().enumerate() {
            let dilates = self.dilated && last.is_some_and(|last| index >= last);
            let dilation = if dilates { 2 } else { 1 };
            let block = InvertedResidual { dilation, epsilon: self.epsilon, ..block };
            x = inverted_residual(g, &w.at(index + 1), x, block)?;
            if second == Some(index) {
                low = x;
            }
        }
        let high = conv_bn_act(g, &w.at(self.blocks.len() + 1), x, Window::of(1), self.epsilon, HS)?;
        Ok(Features { low, high })
    }
}

#[cfg(test)]
mod tests {
    use zoo_graph::builder::DEFAULT_OPSET;
    use zoo_tensor::{DType, Dim};

    use super::*;
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    /// Kernel, expanded width, width, and whether it is excited: the paper's table 1, an eighth as wide.
    const TABLE: [(usize, usize, usize, bool); 15] = [
        (3, 2, 2, false),
        (3, 8, 3, false),
        (3, 9, 3, false),
        (5, 9, 5, true),
        (5, 15, 5, true),
        (5, 15, 5, true),
        (3, 30, 10, false),
        (3, 25, 10, false),
        (3, 23, 10, false),
        (3, 23, 10, false),
        (3, 60, 14, true),
        (3, 84, 14, true),
        (5, 84, 20, true),
        (5, 120, 20, true),
        (5, 120, 20, true),
    ];

    fn features(at: &str) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.conv_norm(format_args!("{at}.0"), &[2, 3, 3, 3]);
        let mut width = 2;
        for (index, (kernel, expanded, out, excited)) in (1..).zip(TABLE) {
            let mut parts = (0..).map(|part| format!("{at}.{index}.block.{part}"));
            if expanded != width {
                checkpoint.conv_norm(parts.next().unwrap(), &[expanded, width, 1, 1]);
            }
            checkpoint.conv_norm(parts.next().unwrap(), &[expanded, 1, kernel, kernel]);
            if excited {
                checkpoint.excitation(parts.next().unwrap(), expanded, 2);
            }
            checkpoint.conv_norm(parts.next().unwrap(), &[out, expanded, 1, 1]);
            width = out;
        }
        checkpoint.conv_norm(format_args!("{at}.16"), &[120, width, 1, 1]);
        checkpoint
    }

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = features("features");
        checkpoint.layer("classifier.0", &[16, 120]).layer("classifier.3", &[11, 16]);
        checkpoint
    }

    #[test]
    fn blocks_halve_and_activate_as_in_table_1() {
        let graph = checkpoint().graph("mobilenet_v3_large").unwrap();
        for (part, shape) in [
            ("0.0", "batch,2,112,112"),
            ("1.block.1.0", "batch,2,112,112"),
            ("2.block.1.0", "batch,8,56,56"),
            ("4.block.1.0", "batch,9,28,28"),
            ("7.block.1.0", "batch,30,14,14"),
            ("13.block.1.0", "batch,84,7,7"),
            ("16.0", "batch,120,7,7"),
        ] {
            assert_eq!(dims(&graph, &format!("features.{part}")), shape);
        }
        assert_eq!(dims(&graph, "logits"), "batch,11");
        // All but the blocks 2, 4, 7, 11 and 13 keep size and width.
        assert_eq!(count(&graph, "Add"), 10);
        // Two in each of the blocks 7 to 15, the first and last convolutions, the classifier.
        assert_eq!(count(&graph, "HardSwish"), 2 * 9 + 3);
        // Two in each of the blocks 1 to 6, of which the first does not expand, and one in each excitation.
        assert_eq!((count(&graph, "Relu"), count(&graph, "HardSigmoid")), (2 * 6 - 1 + 8, 8));
        assert_eq!(epsilon(&graph), Some(1e-3));
    }

    #[test]
    fn the_backbone_of_a_segmentation_dilates_instead_of_halving_once_more() {
        let checkpoint = features("backbone");
        let mut g = Builder::new("backbone", DEFAULT_OPSET).unwrap();
        let shape = [Dim::Named("batch".into()), 3.into(), 224.into(), 224.into()];
        let image = g.input("input", DType::F32, shape).unwrap();
        let weights = checkpoint.weights();
        let Features { low, high } =
            LARGE.dilated().features(&mut g, &weights.at("backbone"), image).unwrap();
        g.output("low", low).unwrap();
        g.output("high", high).unwrap();
        let graph = g.finish().unwrap();
        assert_eq!(dims(&graph, "low"), "batch,5,28,28");
        assert_eq!(dims(&graph, "high"), "batch,120,14,14");
        for (block, dilation) in [(12, 1), (13, 2), (14, 2), (15, 2)] {
            let name = format!("backbone.{block}.block.1.0/Conv");
            let depthwise = graph.nodes.iter().find(|node| node.name == name).unwrap();
            assert_eq!(depthwise.ints("dilations"), Some(&[dilation; 2][..]), "{name}");
        }
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint().graph_at("mobilenet_v3_large", ImageSize::Any).unwrap();
        let halved = "floor(floor((height - 1)/2)/2) + 1";
        assert!(dims(&graph, "features.2.block.1.0").starts_with(&format!("batch,8,{halved},")));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn what_is_missing_or_has_no_known_padding_is_refused() {
        let error = checkpoint().without("features.4.block.2.").graph("mobilenet_v3_large").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"features.4.block.2.fc1.weight\"");
        let mut even = checkpoint().without("features.2.block.1.0.");
        even.bare("features.2.block.1.0", &[8, 1, 4, 4]);
        let error = even.graph("mobilenet_v3_large").unwrap_err().to_string();
        assert!(error.contains("the kernel was expected to be [5, 5]"), "{error}");
        // The small network's first block halves and is excited.
        assert!(checkpoint().graph("mobilenet_v3_small").is_err());
    }
}
