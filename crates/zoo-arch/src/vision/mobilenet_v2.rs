//! MobileNetV2 (Sandler et al., 2018), with the weight names of torchvision. Any width: it is in the weights.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, EPSILON, batch_norm, conv, conv_bn_act, linear};

pub(super) const NETWORKS: &[Network] = &[Network::classifier("mobilenet_v2", 224, build)];

/// How many blocks a stage has, and the step of the first of them: `n` and `s` in the paper's table 2.
const STAGES: [(usize, usize); 7] = [(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)];

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let features = w.at("features");
    let mut x = relu6(g, &features.at(0), image, Window::same(3).stride(2))?;
    let mut index = 1;
    for (depth, stride) in STAGES {
        for unit in 0..depth {
            let stride = if unit == 0 { stride } else { 1 };
            x = inverted_residual(g, &features.at(index), x, stride)?;
            index += 1;
        }
    }
    let x = relu6(g, &features.at(index), x, Window::of(1))?;
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("classifier.1"), x)?)])
}

/// An expansion (absent where a block does not expand), a depthwise convolution, and a projection that nothing follows.
fn inverted_residual(g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
    let w = w.at("conv");
    // Only the number of parts shows whether the first of them expands; the projection's convolution and batch norm are two.
    let depthwise = usize::from(w.find(3).is_some());
    let mut y = x;
    if depthwise == 1 {
        y = relu6(g, &w.at(0), y, Window::of(1))?;
    }
    y = relu6(g, &w.at(depthwise), y, Window::same(3).stride(stride))?;
    y = conv(g, &w.at(depthwise + 1), y, Window::of(1))?;
    y = batch_norm(g, &w.at(depthwise + 2), y, EPSILON)?;
    if stride == 1 && g.size(x, 1)? == g.size(y, 1)? { g.add(x, y) } else { Ok(y) }
}

fn relu6(g: &mut Builder, w: &Weights, x: Val, window: Window) -> Result<Val> {
    conv_bn_act(g, w, x, window, EPSILON, Activation::Relu6)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    /// The widths of the paper's table 2, divided by 8, but for the last two.
    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.conv_norm("features.0", &[4, 3, 3, 3]);
        let (mut width, mut index) = (4, 1);
        for ((depth, _), out) in super::STAGES.into_iter().zip([2, 3, 4, 8, 12, 20, 40]) {
            for _ in 0..depth {
                let at = format!("features.{index}.conv");
                let (inner, first) = if index == 1 { (width, 0) } else { (6 * width, 1) };
                if first == 1 {
                    checkpoint.conv_norm(format_args!("{at}.0"), &[inner, width, 1, 1]);
                }
                checkpoint
                    .conv_norm(format_args!("{at}.{first}"), &[inner, 1, 3, 3])
                    .bare(format_args!("{at}.{}", first + 1), &[out, inner, 1, 1])
                    .norm(format_args!("{at}.{}", first + 2), out);
                (width, index) = (out, index + 1);
            }
        }
        checkpoint.conv_norm("features.18", &[48, width, 1, 1]).layer("classifier.1", &[11, 48]);
        checkpoint
    }

    #[test]
    fn stages_halve_as_in_table_2() {
        let graph = checkpoint().graph("mobilenet_v2").unwrap();
        for (part, shape) in [
            ("0.0", "batch,4,112,112"),
            ("1.conv.0.0", "batch,4,112,112"),
            ("2.conv.1.0", "batch,12,56,56"),
            ("4.conv.1.0", "batch,18,28,28"),
            ("7.conv.1.0", "batch,24,14,14"),
            ("11.conv.1.0", "batch,48,14,14"),
            ("14.conv.1.0", "batch,72,7,7"),
            ("18.0", "batch,48,7,7"),
        ] {
            assert_eq!(dims(&graph, &format!("features.{part}")), shape);
        }
        // Every block but the first of each stage.
        assert_eq!(count(&graph, "Add"), 17 - 7);
        // After every convolution but the 17 projections.
        assert_eq!((count(&graph, "Conv"), count(&graph, "Clip")), (52, 52 - 17));
        assert_eq!(epsilon(&graph), Some(1e-5));
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint().graph_at("mobilenet_v2", ImageSize::Any).unwrap();
        assert!(dims(&graph, "features.0.0").ends_with(",floor((width - 1)/2) + 1"));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn a_block_without_its_depthwise_convolution_is_refused() {
        let error = checkpoint().without("features.5.conv.1.0.").graph("mobilenet_v2").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"features.5.conv.1.0.weight\"");
    }
}
