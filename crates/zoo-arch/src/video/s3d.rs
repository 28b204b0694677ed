//! S3D (Xie et al., 2017): Inception on clips, its convolutions separated into space and time, with the weight names of torchvision.
//!
//! A clip needs 13 frames of 209x209 at least: the last pool takes 2x7x7 of what is an eighth of the frames and a 32nd of their size.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::{spatial, temporal};
use crate::network::Network;
use crate::nn::{Activation, conv, conv_bn_act};

/// What batch norms add to variances.
const EPSILON: f32 = 1e-3;

pub(super) const NETWORKS: &[Network] = &[Network::clip_classifier("s3d", 128, 224, build)];

fn build(g: &mut Builder, w: &Weights, clip: Val) -> Result<Vec<(&'static str, Val)>> {
    let features = w.at("features");
    let mut x = separable(g, &features.at(0), clip, 7, 2)?;
    x = g.max_pool(x, spatial(3, 2))?;
    x = unit(g, &features.at(2), x, Window::of(1))?;
    x = separable(g, &features.at(3), x, 3, 1)?;
    x = g.max_pool(x, spatial(3, 2))?;
    for index in 5..=6 {
        x = inception(g, &features.at(index), x)?;
    }
    x = g.max_pool(x, Window::same(3).stride(2))?;
    for index in 8..=12 {
        x = inception(g, &features.at(index), x)?;
    }
    x = g.max_pool(x, Window::of(2).stride(2))?;
    for index in 14..=15 {
        x = inception(g, &features.at(index), x)?;
    }
    x = g.average_pool(x, Window::of_axes([2, 7, 7]), true)?;
    // Each place and time has logits of its own, and theirs is the mean.
    x = conv(g, &w.at("classifier.1"), x, Window::of(1))?;
    x = g.global_average_pool(x)?;
    Ok(vec![("logits", g.flatten(x)?)])
}

/// Four branches, joined.
fn inception(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let k1 = Window::of(1);
    let branch0 = unit(g, &w.at("branch0"), x, k1)?;
    let branch1 = unit(g, &w.at("branch1.0"), x, k1)?;
    let branch1 = separable(g, &w.at("branch1.1"), branch1, 3, 1)?;
    let branch2 = unit(g, &w.at("branch2.0"), x, k1)?;
    let branch2 = separable(g, &w.at("branch2.1"), branch2, 3, 1)?;
    let branch3 = g.max_pool(x, Window::same(3))?;
    let branch3 = unit(g, &w.at("branch3.1"), branch3, k1)?;
    g.concat(&[branch0, branch1, branch2, branch3], 1)
}

/// A convolution within each frame, then one over frames.
fn separable(g: &mut Builder, w: &Weights, x: Val, kernel: usize, stride: usize) -> Result<Val> {
    let x = unit(g, &w.at(0), x, spatial(kernel, stride))?;
    unit(g, &w.at(1), x, temporal(kernel, stride))
}

fn unit(g: &mut Builder, w: &Weights, x: Val, window: Window) -> Result<Val> {
    conv_bn_act(g, w, x, window, EPSILON, Activation::Relu)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    fn separable(checkpoint: &mut Checkpoint, at: &str, (width, out): (usize, usize), kernel: usize) {
        checkpoint
            .conv_norm(format_args!("{at}.0"), &[out, width, 1, kernel, kernel])
            .conv_norm(format_args!("{at}.1"), &[out, out, kernel, 1, 1]);
    }

    /// Branches of 1, 2, 3 and 4 channels.
    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        separable(&mut checkpoint, "features.0", (3, 4), 7);
        checkpoint.conv_norm("features.2", &[4, 4, 1, 1, 1]);
        separable(&mut checkpoint, "features.3", (4, 6), 3);
        let mut width = 6;
        for index in [5, 6, 8, 9, 10, 11, 12, 14, 15] {
            let at = format!("features.{index}.branch");
            checkpoint.conv_norm(format_args!("{at}0"), &[1, width, 1, 1, 1]);
            for (branch, out) in [(1, 2), (2, 3)] {
                checkpoint.conv_norm(format_args!("{at}{branch}.0"), &[2, width, 1, 1, 1]);
                separable(&mut checkpoint, &format!("{at}{branch}.1"), (2, out), 3);
            }
            checkpoint.conv_norm(format_args!("{at}3.1"), &[4, width, 1, 1, 1]);
            width = 10;
        }
        checkpoint.layer("classifier.1", &[11, width, 1, 1, 1]);
        checkpoint
    }

    #[test]
    fn frames_are_halved_less_often_than_their_size() {
        let graph = checkpoint().graph("s3d").unwrap();
        for (part, shape) in [
            ("features.0.0.0", "batch,4,128,112,112"),
            ("features.0.1.0", "batch,4,64,112,112"),
            ("maxpool_0", "batch,4,64,56,56"),
            ("features.3.1.0", "batch,6,64,56,56"),
            ("features.5.branch1.1.1.0", "batch,2,64,28,28"),
            ("concat_0", "batch,10,64,28,28"),
            ("features.8.branch3.1.0", "batch,4,32,14,14"),
            ("features.15.branch2.1.0.0", "batch,3,16,7,7"),
            ("averagepool_0", "batch,10,15,1,1"),
            ("classifier.1", "batch,11,15,1,1"),
            ("logits", "batch,11"),
        ] {
            assert_eq!(dims(&graph, part), shape, "{part}");
        }
        // Eight in each of nine blocks, and those before them.
        assert_eq!((count(&graph, "Relu"), count(&graph, "MaxPool")), (8 * 9 + 5, 9 + 4));
        assert_eq!(epsilon(&graph), Some(1e-3));
    }

    #[test]
    fn the_size_of_a_clip_can_be_free_but_not_too_small() {
        assert!(checkpoint().graph_at("s3d", ImageSize::Any).is_ok());
        assert!(checkpoint().graph_at("s3d", ImageSize::Fixed(209, 209)).is_ok());
        let error = checkpoint().graph_at("s3d", ImageSize::Fixed(208, 224)).unwrap_err().to_string();
        assert!(error.contains("a window of 7 does not fit into 6"), "{error}");
    }

    #[test]
    fn a_block_without_a_branch_is_refused() {
        let error = checkpoint().without("features.9.branch2.").graph("s3d").unwrap_err().to_string();
        assert_eq!(error, "the checkpoint has no tensor \"features.9.branch2.0.0.weight\"");
    }
}
