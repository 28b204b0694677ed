//! Inception v3 (Szegedy et al., 2015), with the weight names of torchvision.
//!
//! As with GoogLeNet, the published weights want their input normalised otherwise (`transform_input=True`), and nothing in a
//! checkpoint says whether it does. So there are two networks, `inception_v3` and `inception_v3_untransformed`, which fit the
//! same checkpoints, and one has to say which is meant. Evaluation does not use the auxiliary classifier.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use super::googlenet::{conv_bn_relu, renormalise};
use crate::network::Network;
use crate::nn::linear;

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("inception_v3", 299, |g, w, x| {
        let x = renormalise(g, x)?;
        build(g, w, x)
    }),
    Network::classifier("inception_v3_untransformed", 299, build),
];

const K1: Window = Window::of(1);
const K3: Window = Window::same(3);

/// 3x3 without padding, which halves.
fn halving() -> Window {
    Window::of(3).stride(2)
}

/// 1 x `n`.
fn across(n: usize) -> Window {
    Window::of_axes([1, n]).pad([0, n / 2])
}

/// `n` x 1.
fn down(n: usize) -> Window {
    Window::of_axes([n, 1]).pad([n / 2, 0])
}

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let x = conv_bn_relu(g, &w.at("Conv2d_1a_3x3"), image, halving())?;
    let x = conv_bn_relu(g, &w.at("Conv2d_2a_3x3"), x, Window::of(3))?;
    let x = conv_bn_relu(g, &w.at("Conv2d_2b_3x3"), x, K3)?;
    let x = g.max_pool(x, halving())?;
    let x = conv_bn_relu(g, &w.at("Conv2d_3b_1x1"), x, K1)?;
    let x = conv_bn_relu(g, &w.at("Conv2d_4a_3x3"), x, Window::of(3))?;
    let mut x = g.max_pool(x, halving())?;
    for name in ["5b", "5c", "5d"] {
        x = figure_5(g, &w.at(format_args!("Mixed_{name}")), x)?;
    }
    x = reduce_35(g, &w.at("Mixed_6a"), x)?;
    for name in ["6b", "6c", "6d", "6e"] {
        x = figure_6(g, &w.at(format_args!("Mixed_{name}")), x)?;
    }
    w.at("AuxLogits").ignore(|_| true);
    x = reduce_17(g, &w.at("Mixed_7a"), x)?;
    for name in ["7b", "7c"] {
        x = figure_7(g, &w.at(format_args!("Mixed_{name}")), x)?;
    }
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("fc"), x)?)])
}

/// `InceptionA`, at 35x35. The 5x5 window is that of the published network; the paper's figure has 3x3 there.
fn figure_5(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let one = conv_bn_relu(g, &w.at("branch1x1"), x, K1)?;
    let five = chain(g, w, "branch5x5", x, &[K1, Window::same(5)])?;
    let double = chain(g, w, "branch3x3dbl", x, &[K1, K3, K3])?;
    let pool = average_branch(g, w, x)?;
    g.concat(&[one, five, double, pool], 1)
}

/// `InceptionB`, from 35x35 to 17x17.
fn reduce_35(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let three = conv_bn_relu(g, &w.at("branch3x3"), x, halving())?;
    let double = chain(g, w, "branch3x3dbl", x, &[K1, K3, halving()])?;
    let pool = g.max_pool(x, halving())?;
    g.concat(&[three, double, pool], 1)
}

/// `InceptionC`, at 17x17: 7x7 windows as products of 1x7 and 7x1.
fn figure_6(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let one = conv_bn_relu(g, &w.at("branch1x1"), x, K1)?;
    let seven = chain(g, w, "branch7x7", x, &[K1, across(7), down(7)])?;
    let double = chain(g, w, "branch7x7dbl", x, &[K1, down(7), across(7), down(7), across(7)])?;
    let pool = average_branch(g, w, x)?;
    g.concat(&[one, seven, double, pool], 1)
}

/// `InceptionD`, from 17x17 to 8x8.
fn reduce_17(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let three = chain(g, w, "branch3x3", x, &[K1, halving()])?;
    let seven = chain(g, w, "branch7x7x3", x, &[K1, across(7), down(7), halving()])?;
    let pool = g.max_pool(x, halving())?;
    g.concat(&[three, seven, pool], 1)
}

/// `InceptionE`, at 8x8: 1x3 and 3x1 side by side.
fn figure_7(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let one = conv_bn_relu(g, &w.at("branch1x1"), x, K1)?;
    let three = chain(g, w, "branch3x3", x, &[K1])?;
    let [three_a, three_b] = fork(g, w, "branch3x3_2", three)?;
    let double = chain(g, w, "branch3x3dbl", x, &[K1, K3])?;
    let [double_a, double_b] = fork(g, w, "branch3x3dbl_3", double)?;
    let pool = average_branch(g, w, x)?;
    g.concat(&[one, three_a, three_b, double_a, double_b, pool], 1)
}

/// Convolutions `name_1`, `name_2` … one after the other.
fn chain(g: &mut Builder, w: &Weights, name: &str, mut x: Val, windows: &[Window]) -> Result<Val> {
    for (number, &window) in (1..).zip(windows) {
        x = conv_bn_relu(g, &w.at(format_args!("{name}_{number}")), x, window)?;
    }
    Ok(x)
}

fn fork(g: &mut Builder, w: &Weights, name: &str, x: Val) -> Result<[Val; 2]> {
    let a = conv_bn_relu(g, &w.at(format_args!("{name}a")), x, across(3))?;
    let b = conv_bn_relu(g, &w.at(format_args!("{name}b")), x, down(3))?;
    Ok([a, b])
}

fn average_branch(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = g.average_pool(x, K3, true)?;
    conv_bn_relu(g, &w.at("branch_pool"), x, K1)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::recognise::{Recognised, recognise};
    use crate::testing::{Checkpoint, count, dims};

    /// Convolutions of two channels each, by name and kernel: from `channels`, or chained to one before.
    fn mixed(checkpoint: &mut Checkpoint, block: &str, channels: usize, convs: &[(&str, [usize; 2], bool)]) {
        for &(name, [height, width], chained) in convs {
            let from = if chained { 2 } else { channels };
            let at = format!("{block}.{name}");
            checkpoint.bare(format_args!("{at}.conv"), &[2, from, height, width]);
            checkpoint.norm(format_args!("{at}.bn"), 2);
        }
    }

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let c = &mut checkpoint;
        let (k1, k3, across, down) = ([1, 1], [3, 3], [1, 7], [7, 1]);
        for (name, from, kernel) in [
            ("Conv2d_1a_3x3", 3, 3),
            ("Conv2d_2a_3x3", 2, 3),
            ("Conv2d_2b_3x3", 2, 3),
            ("Conv2d_3b_1x1", 2, 1),
            ("Conv2d_4a_3x3", 2, 3),
        ] {
            c.bare(format_args!("{name}.conv"), &[2, from, kernel, kernel])
                .norm(format_args!("{name}.bn"), 2);
        }
        for (block, channels) in [("Mixed_5b", 2), ("Mixed_5c", 8), ("Mixed_5d", 8)] {
            let convs = [
                ("branch1x1", k1, false),
                ("branch5x5_1", k1, false),
                ("branch5x5_2", [5, 5], true),
                ("branch3x3dbl_1", k1, false),
                ("branch3x3dbl_2", k3, true),
                ("branch3x3dbl_3", k3, true),
                ("branch_pool", k1, false),
            ];
            mixed(c, block, channels, &convs);
        }
        let convs = [
            ("branch3x3", k3, false),
            ("branch3x3dbl_1", k1, false),
            ("branch3x3dbl_2", k3, true),
            ("branch3x3dbl_3", k3, true),
        ];
        mixed(c, "Mixed_6a", 8, &convs);
        for (block, channels) in [("Mixed_6b", 12), ("Mixed_6c", 8), ("Mixed_6d", 8), ("Mixed_6e", 8)] {
            let convs = [
                ("branch1x1", k1, false),
                ("branch7x7_1", k1, false),
                ("branch7x7_2", across, true),
                ("branch7x7_3", down, true),
                ("branch7x7dbl_1", k1, false),
                ("branch7x7dbl_2", down, true),
                ("branch7x7dbl_3", across, true),
                ("branch7x7dbl_4", down, true),
                ("branch7x7dbl_5", across, true),
                ("branch_pool", k1, false),
            ];
            mixed(c, block, channels, &convs);
        }
        let convs = [
            ("branch3x3_1", k1, false),
            ("branch3x3_2", k3, true),
            ("branch7x7x3_1", k1, false),
            ("branch7x7x3_2", across, true),
            ("branch7x7x3_3", down, true),
            ("branch7x7x3_4", k3, true),
        ];
        mixed(c, "Mixed_7a", 8, &convs);
        for block in ["Mixed_7b", "Mixed_7c"] {
            let convs = [
                ("branch1x1", k1, false),
                ("branch3x3_1", k1, false),
                ("branch3x3_2a", [1, 3], true),
                ("branch3x3_2b", [3, 1], true),
                ("branch3x3dbl_1", k1, false),
                ("branch3x3dbl_2", k3, true),
                ("branch3x3dbl_3a", [1, 3], true),
                ("branch3x3dbl_3b", [3, 1], true),
                ("branch_pool", k1, false),
            ];
            mixed(c, block, 12, &convs);
        }
        c.layer("fc", &[11, 12]);
        checkpoint
    }

    #[test]
    fn every_stage_has_the_size_of_the_paper() {
        let graph = checkpoint().graph("inception_v3").unwrap();
        let at = |module: &str| dims(&graph, &format!("{module}.conv"));
        assert_eq!(at("Conv2d_1a_3x3"), "batch,2,149,149");
        assert_eq!(at("Conv2d_2a_3x3"), "batch,2,147,147");
        assert_eq!(at("Conv2d_2b_3x3"), "batch,2,147,147");
        assert_eq!(at("Conv2d_3b_1x1"), "batch,2,73,73");
        assert_eq!(at("Conv2d_4a_3x3"), "batch,2,71,71");
        assert_eq!(at("Mixed_5b.branch5x5_2"), "batch,2,35,35");
        assert_eq!(at("Mixed_6a.branch3x3dbl_3"), "batch,2,17,17");
        assert_eq!(at("Mixed_6e.branch7x7dbl_5"), "batch,2,17,17");
        assert_eq!(at("Mixed_7a.branch7x7x3_4"), "batch,2,8,8");
        assert_eq!(at("Mixed_7c.branch3x3dbl_3b"), "batch,2,8,8");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        assert_eq!((count(&graph, "Conv"), count(&graph, "BatchNormalization")), (94, 94));
        assert_eq!((count(&graph, "MaxPool"), count(&graph, "AveragePool")), (4, 9));
        // Padding counts in the means, as it does in torch by default.
        let averages = graph.nodes.iter().filter(|node| node.op == "AveragePool");
        assert!(averages.clone().all(|node| node.int("count_include_pad") == Some(1)));
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint().graph_at("inception_v3", ImageSize::Any).unwrap();
        let size = |side: &str| format!("floor((floor(({side} - 3)/2) - 4)/2) + 1");
        assert_eq!(
            dims(&graph, "Conv2d_3b_1x1.conv"),
            format!("batch,2,{},{}", size("height"), size("width"))
        );
        assert_eq!(dims(&graph, "logits"), "batch,11");
        let error = checkpoint().graph_at("inception_v3", ImageSize::Fixed(74, 299)).unwrap_err().to_string();
        assert!(error.contains("a window of 3 does not fit into 2"), "{error}");
    }

    #[test]
    fn whether_the_input_is_transformed_is_not_guessed() {
        let found = recognise(&checkpoint().weights(), |_| true);
        let Recognised::Several(names) = found else { panic!("{found:?}") };
        assert_eq!(names, ["inception_v3", "inception_v3_untransformed"]);
        let ops = |name| checkpoint().graph(name).unwrap().op_histogram();
        let (plain, transformed) = (ops("inception_v3_untransformed"), ops("inception_v3"));
        assert_eq!(
            (plain.get("Mul"), transformed.get("Mul"), transformed.get("Add")),
            (None, Some(&1), Some(&1))
        );
    }

    #[test]
    fn the_auxiliary_classifier_is_not_used_and_anything_else_has_to_be() {
        let mut full = checkpoint();
        full.bare("AuxLogits.conv0.conv", &[2, 8, 1, 1]).layer("AuxLogits.fc", &[11, 2]);
        full.graph("inception_v3").unwrap();
        let error = full.without("Mixed_6c.branch7x7dbl_4").graph("inception_v3").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"Mixed_6c.branch7x7dbl_4.conv.weight\"");
    }
}
