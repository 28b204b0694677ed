//! EfficientNet-B0 … B7 (Tan and Le, 2019) and EfficientNetV2-S, M and L (Tan and Le, 2021), with the weight names of torchvision.
//!
//! Kernels, expansions and widths are in the weights; the papers' tables are here without them.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, InvertedResidual, conv_bn_act, inverted_residual, linear, same_window};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("efficientnet_b0", 224, |g, w, x| scaled(10, 1e-5).build(g, w, x)),
    Network::classifier("efficientnet_b1", 240, |g, w, x| scaled(11, 1e-5).build(g, w, x)),
    Network::classifier("efficientnet_b2", 288, |g, w, x| scaled(12, 1e-5).build(g, w, x)),
    Network::classifier("efficientnet_b3", 300, |g, w, x| scaled(14, 1e-5).build(g, w, x)),
    Network::classifier("efficientnet_b4", 380, |g, w, x| scaled(18, 1e-5).build(g, w, x)),
    Network::classifier("efficientnet_b5", 456, |g, w, x| scaled(22, 1e-3).build(g, w, x)),
    Network::classifier("efficientnet_b6", 528, |g, w, x| scaled(26, 1e-3).build(g, w, x)),
    Network::classifier("efficientnet_b7", 600, |g, w, x| scaled(31, 1e-3).build(g, w, x)),
    Network::classifier("efficientnet_v2_s", 384, |g, w, x| v2(&[2, 4, 4, 6, 9, 15]).build(g, w, x)),
    Network::classifier("efficientnet_v2_m", 480, |g, w, x| v2(&[3, 5, 5, 7, 14, 18, 5]).build(g, w, x)),
    Network::classifier("efficientnet_v2_l", 480, |g, w, x| v2(&[4, 7, 7, 10, 19, 25, 7]).build(g, w, x)),
];

/// Table 1 of the first paper, for B0: how many blocks a stage has, and the step of the first of them.
const B0: [(usize, usize); 7] = [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)];
/// Table 4 of the second: the step of each stage's first block. S has no last stage.
const V2_STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
/// The first stages of V2 have fused blocks.
const V2_FUSED: usize = 3;

/// What a checkpoint of the family cannot say.
struct EfficientNet {
    stages: Vec<Stage>,
    /// What batch norms add to variances.
    epsilon: f32,
}

struct Stage {
    depth: usize,
    stride: usize,
    fused: bool,
}

/// B0, this many tenths as deep. Its authors scaled width, too, but that shows.
fn scaled(tenths: usize, epsilon: f32) -> EfficientNet {
    let stage = |(depth, stride): (usize, usize)| {
        let depth = (depth * tenths).div_ceil(10);
        Stage { depth, stride, fused: false }
    };
    EfficientNet { stages: B0.into_iter().map(stage).collect(), epsilon }
}

fn v2(depths: &[usize]) -> EfficientNet {
    let stage = |(index, (&depth, stride))| Stage { depth, stride, fused: index < V2_FUSED };
    EfficientNet { stages: depths.iter().zip(V2_STRIDES).enumerate().map(stage).collect(), epsilon: 1e-3 }
}

impl EfficientNet {
    fn build(&self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let features = w.at("features");
        let halving = Window::same(3).stride(2);
        let mut x = conv_bn_act(g, &features.at(0), image, halving, self.epsilon, Activation::Silu)?;
        for (index, stage) in (1..).zip(&self.stages) {
            for unit in 0..stage.depth {
                let stride = if unit == 0 { stage.stride } else { 1 };
                let w = features.at(index).at(unit);
                x = if stage.fused {
                    self.fused_mbconv(g, &w, x, stride)?
                } else {
                    self.mbconv(g, &w, x, stride)?
                };
            }
        }
        let head = features.at(self.stages.len() + 1);
        let x = conv_bn_act(g, &head, x, Window::of(1), self.epsilon, Activation::Silu)?;
        let x = g.global_average_pool(x)?;
        let x = g.flatten(x)?;
        Ok(vec![("logits", linear(g, &w.at("classifier.1"), x)?)])
    }

    fn mbconv(&self, g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
        let block = InvertedResidual {
            stride,
            dilation: 1,
            epsilon: self.epsilon,
            activation: Activation::Silu,
            excitation: Some((Activation::Silu, Activation::Sigmoid)),
        };
        inverted_residual(g, w, x, block)
    }

    /// Expansion and depthwise convolution as one ordinary convolution, and a projection; where a block does not expand, the one
    /// convolution is all.
    fn fused_mbconv(&self, g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
        let fused = w.at("block.0");
        let window = same_window(&fused.at(0), stride, 1)?;
        let mut y = conv_bn_act(g, &fused, x, window, self.epsilon, Activation::Silu)?;
        if let Some(projection) = w.find("block.1") {
            y = conv_bn_act(g, &projection, y, Window::of(1), self.epsilon, Activation::None)?;
        }
        if stride == 1 && g.size(x, 1)? == g.size(y, 1)? { g.add(y, x) } else { Ok(y) }
    }
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    /// One block: expansion by 2 unless it is the first stage's, as B0 and V2 have it.
    fn block(checkpoint: &mut Checkpoint, at: &str, (width, out): (usize, usize), kernel: usize, kind: Kind) {
        let inner = if at.starts_with("features.1.") { width } else { 2 * width };
        let mut parts = (0..).map(|part| format!("{at}.block.{part}"));
        let mut next = || parts.next().unwrap();
        match kind {
            Kind::Fused if inner == width => {
                checkpoint.conv_norm(next(), &[out, width, kernel, kernel]);
                return;
            }
            Kind::Fused => {
                checkpoint.conv_norm(next(), &[inner, width, kernel, kernel]);
            }
            Kind::Depthwise => {
                if inner != width {
                    checkpoint.conv_norm(next(), &[inner, width, 1, 1]);
                }
                checkpoint.conv_norm(next(), &[inner, 1, kernel, kernel]).excitation(next(), inner, 1);
            }
        }
        checkpoint.conv_norm(next(), &[out, inner, 1, 1]);
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Fused,
        Depthwise,
    }

    /// Stages that widen by 2 each, on a stem of 4 (2, where the first stage keeps the width).
    fn checkpoint(depths: &[usize], kernels: &[usize], fused: usize) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let mut width = if fused > 0 { 2 } else { 4 };
        checkpoint.conv_norm("features.0", &[width, 3, 3, 3]);
        for (stage, (&depth, &kernel)) in (1..).zip(depths.iter().zip(kernels)) {
            for unit in 0..depth {
                let kind = if stage <= fused { Kind::Fused } else { Kind::Depthwise };
                let at = format!("features.{stage}.{unit}");
                block(&mut checkpoint, &at, (width, 2 * stage), kernel, kind);
                width = 2 * stage;
            }
        }
        let last = depths.len() + 1;
        checkpoint
            .conv_norm(format_args!("features.{last}"), &[40, width, 1, 1])
            .layer("classifier.1", &[11, 40]);
        checkpoint
    }

    const B_KERNELS: [usize; 7] = [3, 3, 5, 3, 5, 5, 3];

    #[test]
    fn b0_is_the_table_and_b5_deeper_with_another_epsilon() {
        let graph = checkpoint(&[1, 2, 2, 3, 3, 4, 1], &B_KERNELS, 0).graph("efficientnet_b0").unwrap();
        for (part, shape) in [
            ("0.0", "batch,4,112,112"),
            ("1.0.block.0.0", "batch,4,112,112"),
            ("2.0.block.1.0", "batch,4,56,56"),
            ("3.0.block.1.0", "batch,8,28,28"),
            ("4.0.block.1.0", "batch,12,14,14"),
            ("5.0.block.1.0", "batch,16,14,14"),
            ("6.0.block.1.0", "batch,20,7,7"),
            ("7.0.block.1.0", "batch,24,7,7"),
            ("8.0", "batch,40,7,7"),
        ] {
            assert_eq!(dims(&graph, &format!("features.{part}")), shape, "{part}");
        }
        // All but the first block of each stage keep size and width.
        assert_eq!((count(&graph, "Add"), epsilon(&graph)), (16 - 7, Some(1e-5)));
        // SiLU: two in each of 16 blocks, of which the first does not expand, one in each excitation, and before and behind the
        // blocks. Each is a sigmoid and a product; the gates are one each, too.
        assert_eq!((count(&graph, "Sigmoid"), count(&graph, "Mul")), (31 + 16 + 2 + 16, 31 + 16 + 2 + 16));

        let graph = checkpoint(&[3, 5, 5, 7, 7, 9, 3], &B_KERNELS, 0).graph("efficientnet_b5").unwrap();
        assert_eq!(epsilon(&graph), Some(1e-3));
        assert_eq!(dims(&graph, "features.8.0"), "batch,40,15,15");
    }

    #[test]
    fn v2_begins_with_fused_blocks() {
        let graph = checkpoint(&[2, 4, 4, 6, 9, 15], &[3; 6], 3).graph("efficientnet_v2_s").unwrap();
        for (part, shape) in [
            ("0.0", "batch,2,192,192"),
            ("1.1.block.0.0", "batch,2,192,192"),
            ("2.0.block.0.0", "batch,4,96,96"),
            ("3.0.block.0.0", "batch,8,48,48"),
            ("4.0.block.1.0", "batch,12,24,24"),
            ("5.0.block.1.0", "batch,16,24,24"),
            ("6.0.block.1.0", "batch,20,12,12"),
            ("7.0", "batch,40,12,12"),
        ] {
            assert_eq!(dims(&graph, &format!("features.{part}")), shape, "{part}");
        }
        // The first stage keeps the width from its first block on.
        assert_eq!((count(&graph, "Add"), epsilon(&graph)), (40 - 5, Some(1e-3)));
        // SiLU: one in each of 10 fused blocks, three in each of the 30 others, and before and behind; a gate in each of the 30.
        assert_eq!(count(&graph, "Sigmoid"), 10 + 3 * 30 + 2 + 30);
    }

    #[test]
    fn the_image_size_can_be_free() {
        let narrow = checkpoint(&[3, 5, 5, 7, 14, 18, 5], &[3; 7], 3);
        let graph = narrow.graph_at("efficientnet_v2_m", ImageSize::Any).unwrap();
        assert!(dims(&graph, "features.2.0.block.0.0").ends_with(",floor(floor((width - 1)/2)/2) + 1"));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn depths_are_told_apart() {
        let b1 = checkpoint(&[2, 3, 3, 4, 4, 5, 2], &B_KERNELS, 0);
        assert!(b1.graph("efficientnet_b1").is_ok() && b1.graph("efficientnet_b2").is_ok());
        let error = b1.graph("efficientnet_b3").unwrap_err().to_string();
        assert_eq!(error, "the checkpoint has no tensor \"features.4.4.block.0.0.weight\"");
    }
}
