//! MNASNet-B1 (Tan et al., 2018), with the weight names of torchvision. The four differ in width only, which the weights show, and so
//! do checkpoints of the first version, whose stem is as wide as that of 1.0.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{conv_bn, linear, same_window};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("mnasnet0_5", 224, build),
    Network::classifier("mnasnet0_75", 224, build),
    Network::classifier("mnasnet1_0", 224, build),
    Network::classifier("mnasnet1_3", 224, build),
];

/// How many blocks a stack has, and the step of the first of them (the paper's figure 7).
const STACKS: [(usize, usize); 6] = [(3, 2), (3, 2), (3, 2), (2, 1), (4, 2), (1, 1)];
/// The stem's layers stand before the stacks, under numbers in the same sequence.
const FIRST_STACK: usize = 8;

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let layers = w.at("layers");
    let x = conv_bn(g, &layers, ("0", "1"), image, Window::same(3).stride(2))?;
    let mut x = separable(g, &layers, x, 1)?;
    for (stack, (depth, stride)) in STACKS.into_iter().enumerate() {
        let w = layers.at(FIRST_STACK + stack);
        for unit in 0..depth {
            let stride = if unit == 0 { stride } else { 1 };
            x = inverted_residual(g, &w.at(unit).at("layers"), x, stride)?;
        }
    }
    let x = conv_bn(g, &layers, ("14", "15"), x, Window::of(1))?;
    let x = g.relu(x)?;
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("classifier.1"), x)?)])
}

fn inverted_residual(g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
    let y = conv_bn(g, w, ("0", "1"), x, Window::of(1))?;
    let y = separable(g, w, y, stride)?;
    if stride == 1 && g.size(x, 1)? == g.size(y, 1)? { g.add(y, x) } else { Ok(y) }
}

/// A depthwise convolution `3` and a projection `6` that nothing follows, on what an expansion (or the stem's first convolution)
/// gives; nothing but a ReLU stands between any two of them.
fn separable(g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
    let x = g.relu(x)?;
    let depthwise = same_window(&w.at(3), stride, 1)?;
    let x = conv_bn(g, w, ("3", "4"), x, depthwise)?;
    let x = g.relu(x)?;
    conv_bn(g, w, ("6", "7"), x, Window::of(1))
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    /// Stacks of 3, 5, 10, 12, 24 and 40 channels, with the published kernels, on a stem of 4 and 2.
    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.conv_norm("layers", &[4, 3, 3, 3]);
        separable(&mut checkpoint, "layers", 4, 3, 2);
        let mut width = 2;
        let stacks = super::STACKS.into_iter().zip([3, 5, 5, 3, 5, 3]).zip([3, 5, 10, 12, 24, 40]);
        for (index, (((depth, _), kernel), out)) in (8..).zip(stacks) {
            for unit in 0..depth {
                let at = format!("layers.{index}.{unit}.layers");
                checkpoint.conv_norm(&at, &[3 * width, width, 1, 1]);
                separable(&mut checkpoint, &at, 3 * width, kernel, out);
                width = out;
            }
        }
        checkpoint
            .bare("layers.14", &[64, width, 1, 1])
            .norm("layers.15", 64)
            .layer("classifier.1", &[11, 64]);
        checkpoint
    }

    fn separable(checkpoint: &mut Checkpoint, at: &str, width: usize, kernel: usize, out: usize) {
        checkpoint
            .bare(format_args!("{at}.3"), &[width, 1, kernel, kernel])
            .norm(format_args!("{at}.4"), width)
            .bare(format_args!("{at}.6"), &[out, width, 1, 1])
            .norm(format_args!("{at}.7"), out);
    }

    #[test]
    fn stacks_halve_as_in_figure_7() {
        let graph = checkpoint().graph("mnasnet1_0").unwrap();
        for (part, shape) in [
            ("0", "batch,4,112,112"),
            ("3", "batch,4,112,112"),
            ("8.0.layers.0", "batch,6,112,112"),
            ("8.0.layers.3", "batch,6,56,56"),
            ("9.0.layers.3", "batch,9,28,28"),
            ("10.0.layers.3", "batch,15,14,14"),
            ("11.0.layers.3", "batch,30,14,14"),
            ("12.0.layers.3", "batch,36,7,7"),
            ("13.0.layers.3", "batch,72,7,7"),
            ("14", "batch,64,7,7"),
        ] {
            assert_eq!(dims(&graph, &format!("layers.{part}")), shape, "{part}");
        }
        // Every block but the first of each stack, because all stacks have widths of their own.
        assert_eq!(count(&graph, "Add"), 16 - 6);
        // After every convolution but the 16 projections and that of the stem.
        assert_eq!((count(&graph, "Conv"), count(&graph, "Relu")), (52, 52 - 17));
        assert_eq!(epsilon(&graph), Some(1e-5));
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint().graph_at("mnasnet0_5", ImageSize::Any).unwrap();
        assert!(dims(&graph, "layers.3").ends_with(",floor((width - 1)/2) + 1"));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn a_stack_without_its_last_block_is_refused() {
        let error = checkpoint().without("layers.12.3.").graph("mnasnet0_75").unwrap_err().to_string();
        assert_eq!(error, "the checkpoint has no tensor \"layers.12.3.layers.0.weight\"");
    }
}
