//! RegNetX and RegNetY (Radosavovic et al., 2020), with the weight names of torchvision.
//!
//! The fifteen differ in widths and groups, which the weights show, and in depths. Every stage halves the image.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, EPSILON, conv_bn_act, linear, squeeze_excitation};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("regnet_x_400mf", 224, |g, w, x| regnet_x([1, 2, 7, 12]).build(g, w, x)),
    Network::classifier("regnet_x_800mf", 224, |g, w, x| regnet_x([1, 3, 7, 5]).build(g, w, x)),
    Network::classifier("regnet_x_1_6gf", 224, |g, w, x| regnet_x([2, 4, 10, 2]).build(g, w, x)),
    Network::classifier("regnet_x_3_2gf", 224, |g, w, x| regnet_x([2, 6, 15, 2]).build(g, w, x)),
    Network::classifier("regnet_x_8gf", 224, |g, w, x| regnet_x([2, 5, 15, 1]).build(g, w, x)),
    Network::classifier("regnet_x_16gf", 224, |g, w, x| regnet_x([2, 6, 13, 1]).build(g, w, x)),
    Network::classifier("regnet_x_32gf", 224, |g, w, x| regnet_x([2, 7, 13, 1]).build(g, w, x)),
    Network::classifier("regnet_y_400mf", 224, |g, w, x| regnet_y([1, 3, 6, 6]).build(g, w, x)),
    Network::classifier("regnet_y_800mf", 224, |g, w, x| regnet_y([1, 3, 8, 2]).build(g, w, x)),
    Network::classifier("regnet_y_1_6gf", 224, |g, w, x| regnet_y([2, 6, 17, 2]).build(g, w, x)),
    Network::classifier("regnet_y_3_2gf", 224, |g, w, x| regnet_y([2, 5, 13, 1]).build(g, w, x)),
    Network::classifier("regnet_y_8gf", 224, |g, w, x| regnet_y([2, 4, 10, 1]).build(g, w, x)),
    Network::classifier("regnet_y_16gf", 224, |g, w, x| regnet_y([2, 4, 11, 1]).build(g, w, x)),
    Network::classifier("regnet_y_32gf", 224, |g, w, x| regnet_y([2, 5, 12, 1]).build(g, w, x)),
    // There are weights of SWAG only, and those that the whole network was trained for take this size.
    Network::classifier("regnet_y_128gf", 384, |g, w, x| regnet_y([2, 7, 17, 1]).build(g, w, x)),
];

/// What a checkpoint of the family cannot say.
#[derive(Debug, Clone, Copy)]
struct RegNet {
    depths: [usize; 4],
    /// Whether every block squeezes and excites.
    excites: bool,
}

const fn regnet_x(depths: [usize; 4]) -> RegNet {
    RegNet { depths, excites: false }
}

const fn regnet_y(depths: [usize; 4]) -> RegNet {
    RegNet { depths, excites: true }
}

impl RegNet {
    fn build(self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let halving = Window::same(3).stride(2);
        let mut x = conv_bn_act(g, &w.at("stem"), image, halving, EPSILON, Activation::Relu)?;
        for (stage, depth) in (1..).zip(self.depths) {
            let w = w.at(format_args!("trunk_output.block{stage}"));
            for unit in 0..depth {
                x = self.block(g, &w.at(format_args!("block{stage}-{unit}")), x, unit == 0)?;
            }
        }
        let x = g.global_average_pool(x)?;
        let x = g.flatten(x)?;
        Ok(vec![("logits", linear(g, &w.at("fc"), x)?)])
    }

    /// A 3x3 convolution in groups between two of 1x1, around which the input goes: projected in the first block of a stage.
    fn block(self, g: &mut Builder, w: &Weights, x: Val, first: bool) -> Result<Val> {
        let stride = if first { 2 } else { 1 };
        let k1 = Window::of(1);
        let f = w.at("f");
        let y = conv_bn_act(g, &f.at("a"), x, k1, EPSILON, Activation::Relu)?;
        let k3 = Window::same(3).stride(stride);
        let mut y = conv_bn_act(g, &f.at("b"), y, k3, EPSILON, Activation::Relu)?;
        if self.excites {
            y = squeeze_excitation(g, &f.at("se"), y, Activation::Relu, Activation::Sigmoid)?;
        }
        let y = conv_bn_act(g, &f.at("c"), y, k1, EPSILON, Activation::None)?;
        let shortcut = if first {
            conv_bn_act(g, &w.at("proj"), x, k1.stride(stride), EPSILON, Activation::None)?
        } else {
            x
        };
        let sum = g.add(shortcut, y)?;
        g.relu(sum)
    }
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    /// Stages of 4, 8, 12 and 16 channels in groups of 2, on a stem of 6.
    fn checkpoint(depths: [usize; 4], excited: bool) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.conv_norm("stem", &[6, 3, 3, 3]);
        let mut width = 6;
        for (stage, depth) in (1..).zip(depths) {
            let out = 4 * stage;
            for unit in 0..depth {
                let at = format!("trunk_output.block{stage}.block{stage}-{unit}");
                if unit == 0 {
                    checkpoint.conv_norm(format_args!("{at}.proj"), &[out, width, 1, 1]);
                }
                checkpoint
                    .conv_norm(format_args!("{at}.f.a"), &[out, width, 1, 1])
                    .conv_norm(format_args!("{at}.f.b"), &[out, 2, 3, 3])
                    .conv_norm(format_args!("{at}.f.c"), &[out, out, 1, 1]);
                if excited {
                    checkpoint.excitation(format_args!("{at}.f.se"), out, 2);
                }
                width = out;
            }
        }
        checkpoint.layer("fc", &[11, width]);
        checkpoint
    }

    #[test]
    fn every_stage_halves_in_its_first_block() {
        let graph = checkpoint([1, 3, 6, 6], true).graph("regnet_y_400mf").unwrap();
        for (part, shape) in [
            ("stem.0", "batch,6,112,112"),
            ("trunk_output.block1.block1-0.f.a.0", "batch,4,112,112"),
            ("trunk_output.block1.block1-0.f.b.0", "batch,4,56,56"),
            ("trunk_output.block1.block1-0.proj.0", "batch,4,56,56"),
            ("trunk_output.block2.block2-0.f.b.0", "batch,8,28,28"),
            ("trunk_output.block3.block3-0.f.b.0", "batch,12,14,14"),
            ("trunk_output.block4.block4-5.f.c.0", "batch,16,7,7"),
            ("logits", "batch,11"),
        ] {
            assert_eq!(dims(&graph, part), shape, "{part}");
        }
        let grouped = graph.nodes.iter().find(|node| node.name.ends_with("block4-1.f.b.0/Conv")).unwrap();
        assert_eq!(grouped.int("group"), Some(8));
        // In each of the 16 blocks: after two convolutions, the squeeze and the sum.
        assert_eq!((count(&graph, "Relu"), count(&graph, "Sigmoid")), (4 * 16 + 1, 16));
        assert_eq!((count(&graph, "Add"), epsilon(&graph)), (16, Some(1e-5)));
    }

    #[test]
    fn x_does_not_excite_and_y_has_to() {
        let plain = checkpoint([1, 2, 7, 12], false);
        assert_eq!(count(&plain.graph("regnet_x_400mf").unwrap(), "Sigmoid"), 0);
        let error = checkpoint([1, 2, 7, 12], true).graph("regnet_x_400mf").unwrap_err().to_string();
        assert!(error.starts_with("88 of the checkpoint's tensors have no place"), "{error}");
        let error = checkpoint([1, 3, 6, 6], false).graph("regnet_y_400mf").unwrap_err().to_string();
        assert!(error.contains("no tensor \"trunk_output.block1.block1-0.f.se.fc1.weight\""), "{error}");
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint([2, 7, 17, 1], true).graph_at("regnet_y_128gf", ImageSize::Any).unwrap();
        let halved = |side: &str| format!("floor(floor(({side} - 1)/2)/2) + 1");
        let shape = format!("batch,4,{},{}", halved("height"), halved("width"));
        assert_eq!(dims(&graph, "trunk_output.block1.block1-1.f.c.0"), shape);
        let usual = checkpoint([2, 7, 17, 1], true).graph("regnet_y_128gf").unwrap();
        assert_eq!(dims(&usual, "stem.0"), "batch,6,192,192");
    }
}
