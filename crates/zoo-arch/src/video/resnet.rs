//! R3D-18, MC3-18 and R(2+1)D-18 (Tran et al., 2018): ResNet-18 on clips, with the weight names of torchvision.
//!
//! The three differ in what stands for a 3x3 convolution. One that looks at other frames strides over frames, too.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::{spatial, temporal};
use crate::network::Network;
use crate::nn::{EPSILON, batch_norm, conv, conv_bn, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::clip_classifier("r3d_18", 16, 112, |g, w, x| {
        let x = stem_whole(g, &w.at("stem"), x)?;
        body(g, w, x, [Convolution::Whole; 4])
    }),
    Network::clip_classifier("mc3_18", 16, 112, |g, w, x| {
        let x = stem_whole(g, &w.at("stem"), x)?;
        let flat = Convolution::Flat;
        body(g, w, x, [Convolution::Whole, flat, flat, flat])
    }),
    Network::clip_classifier("r2plus1d_18", 16, 112, |g, w, x| {
        let x = stem_split(g, &w.at("stem"), x)?;
        body(g, w, x, [Convolution::Split; 4])
    }),
];

/// What stands for a 3x3 convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Convolution {
    /// 3x3x3.
    Whole,
    /// 1x3x3: every frame by itself.
    Flat,
    /// 1x3x3, batch norm, ReLU, 3x1x1.
    Split,
}

fn stem_whole(g: &mut Builder, w: &Weights, clip: Val) -> Result<Val> {
    let window = Window::of_axes([3, 7, 7]).stride([1, 2, 2]).pad([1, 3, 3]);
    let x = conv_bn(g, w, ("0", "1"), clip, window)?;
    g.relu(x)
}

fn stem_split(g: &mut Builder, w: &Weights, clip: Val) -> Result<Val> {
    let x = conv_bn(g, w, ("0", "1"), clip, spatial(7, 2))?;
    let x = g.relu(x)?;
    let x = conv_bn(g, w, ("3", "4"), x, temporal(3, 1))?;
    g.relu(x)
}

/// Four stages of two blocks, each with its kind of convolution, and the classifier.
fn body(g: &mut Builder, w: &Weights, x: Val, stages: [Convolution; 4]) -> Result<Vec<(&'static str, Val)>> {
    let mut x = x;
    for (stage, kind) in (1..).zip(stages) {
        for unit in 0..2 {
            let stride = if stage > 1 && unit == 0 { 2 } else { 1 };
            x = residual(g, &w.at(format_args!("layer{stage}.{unit}")), x, kind, stride)?;
        }
    }
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("fc"), x)?)])
}

fn residual(g: &mut Builder, w: &Weights, x: Val, kind: Convolution, stride: usize) -> Result<Val> {
    let y = convolve(g, &w.at("conv1"), x, kind, stride)?;
    let y = g.relu(y)?;
    let y = convolve(g, &w.at("conv2"), y, kind, 1)?;
    let shortcut = if stride == 1 {
        x
    } else {
        let over_frames = if kind == Convolution::Flat { 1 } else { stride };
        let window = Window::of(1).stride([over_frames, stride, stride]);
        conv_bn(g, &w.at("downsample"), ("0", "1"), x, window)?
    };
    let sum = g.add(y, shortcut)?;
    g.relu(sum)
}

/// A convolution `0` and a batch norm `1`.
fn convolve(g: &mut Builder, w: &Weights, x: Val, kind: Convolution, stride: usize) -> Result<Val> {
    let own = w.at(0);
    let x = match kind {
        Convolution::Whole => conv(g, &own, x, Window::same(3).stride(stride))?,
        Convolution::Flat => conv(g, &own, x, spatial(3, stride))?,
        Convolution::Split => {
            let x = conv_bn(g, &own, ("0", "1"), x, spatial(3, stride))?;
            let x = g.relu(x)?;
            conv(g, &own.at(3), x, temporal(3, stride))?
        }
    };
    batch_norm(g, &w.at(1), x, EPSILON)
}

#[cfg(test)]
mod tests {
    use super::Convolution::{self, Flat, Split, Whole};
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    fn convolution(checkpoint: &mut Checkpoint, at: &str, (width, out): (usize, usize), kind: Convolution) {
        match kind {
            Whole => checkpoint.bare(format_args!("{at}.0"), &[out, width, 3, 3, 3]),
            Flat => checkpoint.bare(format_args!("{at}.0"), &[out, width, 1, 3, 3]),
            Split => checkpoint
                .conv_norm(format_args!("{at}.0"), &[5, width, 1, 3, 3])
                .bare(format_args!("{at}.0.3"), &[out, 5, 3, 1, 1]),
        };
        checkpoint.norm(format_args!("{at}.1"), out);
    }

    /// Stages of 2, 4, 6 and 8 channels.
    fn checkpoint(stages: [Convolution; 4]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        if stages[0] == Split {
            checkpoint.conv_norm("stem", &[3, 3, 1, 7, 7]).bare("stem.3", &[2, 3, 3, 1, 1]).norm("stem.4", 2);
        } else {
            checkpoint.conv_norm("stem", &[2, 3, 3, 7, 7]);
        }
        let mut width = 2;
        for (stage, kind) in (1..).zip(stages) {
            let out = 2 * stage;
            for unit in 0..2 {
                let at = format!("layer{stage}.{unit}");
                convolution(&mut checkpoint, &format!("{at}.conv1"), (width, out), kind);
                convolution(&mut checkpoint, &format!("{at}.conv2"), (out, out), kind);
                if width != out {
                    checkpoint.conv_norm(format_args!("{at}.downsample"), &[out, width, 1, 1, 1]);
                }
                width = out;
            }
        }
        checkpoint.layer("fc", &[11, width]);
        checkpoint
    }

    #[test]
    fn r3d_halves_frames_with_their_size() {
        let graph = checkpoint([Whole; 4]).graph("r3d_18").unwrap();
        for (part, shape) in [
            ("stem.0", "batch,2,16,56,56"),
            ("layer1.1.conv2.0", "batch,2,16,56,56"),
            ("layer2.0.conv1.0", "batch,4,8,28,28"),
            ("layer2.0.downsample.0", "batch,4,8,28,28"),
            ("layer4.1.conv2.0", "batch,8,2,7,7"),
            ("logits", "batch,11"),
        ] {
            assert_eq!(dims(&graph, part), shape, "{part}");
        }
        assert_eq!((count(&graph, "Conv"), count(&graph, "Relu")), (1 + 16 + 3, 1 + 16));
        assert_eq!(epsilon(&graph), Some(1e-5));
    }

    #[test]
    fn mc3_keeps_its_frames() {
        let graph = checkpoint([Whole, Flat, Flat, Flat]).graph("mc3_18").unwrap();
        assert_eq!(dims(&graph, "layer2.0.downsample.0"), "batch,4,16,28,28");
        assert_eq!(dims(&graph, "layer4.1.conv2.0"), "batch,8,16,7,7");
    }

    #[test]
    fn r2plus1d_takes_space_and_time_in_turn() {
        let graph = checkpoint([Split; 4]).graph("r2plus1d_18").unwrap();
        for (part, shape) in [
            ("stem.0", "batch,3,16,56,56"),
            ("stem.3", "batch,2,16,56,56"),
            ("layer2.0.conv1.0.0", "batch,5,16,28,28"),
            ("layer2.0.conv1.0.3", "batch,4,8,28,28"),
            ("layer4.1.conv2.0.3", "batch,8,2,7,7"),
        ] {
            assert_eq!(dims(&graph, part), shape, "{part}");
        }
        assert_eq!((count(&graph, "Conv"), count(&graph, "Relu")), (2 + 32 + 3, 2 + 16 + 16));
    }

    #[test]
    fn the_size_of_a_clip_can_be_free() {
        let graph = checkpoint([Whole; 4]).graph_at("r3d_18", ImageSize::Any).unwrap();
        let half = |side: &str| format!("floor(({side} - 1)/2) + 1");
        assert_eq!(dims(&graph, "stem.0"), format!("batch,2,frames,{},{}", half("height"), half("width")));
        assert!(dims(&graph, "layer2.0.conv1.0").starts_with(&format!("batch,4,{},", half("frames"))));
    }

    #[test]
    fn they_are_not_taken_for_each_other() {
        let error = checkpoint([Whole; 4]).graph("mc3_18").unwrap_err().to_string();
        assert!(error.contains("the kernel was expected to be [1, 3, 3]"), "{error}");
        let error = checkpoint([Split; 4]).graph("r3d_18").unwrap_err().to_string();
        assert!(error.contains("the kernel was expected to be [3, 7, 7]"), "{error}");
    }
}
