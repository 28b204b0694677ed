//! ConvNeXt (Liu et al., 2022), with the weight names of torchvision.
//!
//! A block is a depthwise convolution and two dense layers on the channels of each place. The dense layers are 1x1 convolutions
//! of the same bytes here: channels then stay where convolutions have them, only layer norms move them, and images may have any
//! size. ONNX Runtime also takes scale and residual into such a convolution: of convnext_tiny it leaves 156 nodes, where dense layers
//! between transpositions leave 231 and take 7 % longer.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{conv, layer_norm, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("convnext_tiny", 224, |g, w, x| build([3, 3, 9, 3], g, w, x)),
    Network::classifier("convnext_small", 224, |g, w, x| build([3, 3, 27, 3], g, w, x)),
    Network::classifier("convnext_base", 224, |g, w, x| build([3, 3, 27, 3], g, w, x)),
    Network::classifier("convnext_large", 224, |g, w, x| build([3, 3, 27, 3], g, w, x)),
];

/// What layer norms add to variances.
const EPSILON: f32 = 1e-6;

fn build(depths: [usize; 4], g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let features = w.at("features");
    let x = conv(g, &features.at("0.0"), image, Window::of(4).stride(4))?;
    let mut x = channel_norm(g, &features.at("0.1"), x)?;
    for (stage, depth) in depths.into_iter().enumerate() {
        if stage > 0 {
            let w = features.at(2 * stage);
            x = channel_norm(g, &w.at(0), x)?;
            x = conv(g, &w.at(1), x, Window::of(2).stride(2))?;
        }
        for unit in 0..depth {
            x = block(g, &features.at(format_args!("{}.{unit}", 2 * stage + 1)), x)?;
        }
    }
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    let x = layer_norm(g, &w.at("classifier.0"), x, EPSILON)?;
    Ok(vec![("logits", linear(g, &w.at("classifier.2"), x)?)])
}

fn block(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let y = conv(g, &w.at("block.0"), x, Window::same(7))?;
    let y = channel_norm(g, &w.at("block.2"), y)?;
    let y = dense(g, &w.at("block.3"), y)?;
    let y = g.gelu(y)?;
    let y = dense(g, &w.at("block.5"), y)?;
    let scale = g.weight(w, "layer_scale")?;
    let y = g.mul(y, scale)?;
    g.add(y, x)
}

/// A layer norm over the channels of each place: torchvision's `LayerNorm2d`.
fn channel_norm(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let x = g.transpose(x, &[0, 2, 3, 1])?;
    let x = layer_norm(g, w, x, EPSILON)?;
    g.transpose(x, &[0, 3, 1, 2])
}

/// A dense layer over the channels of each place.
fn dense(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let shape = [w.shape("weight")?, &[1, 1]].concat();
    let weight = g.weight_as(w, "weight", &shape)?;
    let bias = g.weight(w, "bias")?;
    g.conv(x, weight, Some(bias), Window::of(1))
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    fn checkpoint(depths: [usize; 4]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.layer("features.0.0", &[6, 3, 4, 4]).layer("features.0.1", &[6]);
        for (stage, depth) in depths.into_iter().enumerate() {
            let width = 6 << stage;
            if stage > 0 {
                let at = 2 * stage;
                checkpoint
                    .layer(format_args!("features.{at}.0"), &[width / 2])
                    .layer(format_args!("features.{at}.1"), &[width, width / 2, 2, 2]);
            }
            for unit in 0..depth {
                let block = format!("features.{}.{unit}", 2 * stage + 1);
                checkpoint
                    .tensor(format_args!("{block}.layer_scale"), &[width, 1, 1])
                    .layer(format_args!("{block}.block.0"), &[width, 1, 7, 7])
                    .layer(format_args!("{block}.block.2"), &[width])
                    .layer(format_args!("{block}.block.3"), &[4 * width, width])
                    .layer(format_args!("{block}.block.5"), &[width, 4 * width]);
            }
        }
        checkpoint.layer("classifier.0", &[48]).layer("classifier.2", &[11, 48]);
        checkpoint
    }

    #[test]
    fn dense_layers_are_convolutions_of_the_same_bytes() {
        let graph = checkpoint([3, 3, 9, 3]).graph("convnext_tiny").unwrap();
        assert_eq!(dims(&graph, "features.1.0.block.3.weight"), "24,6,1,1");
        assert_eq!(dims(&graph, "features.1.0.block.3"), "batch,24,56,56");
        assert_eq!(dims(&graph, "features.7.2.block.5"), "batch,48,7,7");
        assert_eq!((count(&graph, "Conv"), count(&graph, "Gemm")), (4 + 18 * 3, 1));
        // There and back around each of the norms, but for the one behind pooling.
        assert_eq!((count(&graph, "LayerNormalization"), count(&graph, "Transpose")), (4 + 18 + 1, 2 * 22));
    }

    #[test]
    fn images_have_any_size() {
        let graph = checkpoint([3, 3, 27, 3]).graph_at("convnext_small", ImageSize::Any).unwrap();
        assert_eq!(
            dims(&graph, "features.0.0"),
            "batch,6,floor((height - 4)/4) + 1,floor((width - 4)/4) + 1"
        );
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn depths_are_told_apart() {
        let tiny = checkpoint([3, 3, 9, 3]);
        assert!(tiny.graph("convnext_base").unwrap_err().to_string().contains("features.5.9.block.0.weight"));
        assert!(checkpoint([3, 3, 27, 3]).graph("convnext_tiny").is_err());
    }

    #[test]
    fn a_dense_layer_is_a_matrix() {
        let mut checkpoint = checkpoint([3, 3, 9, 3]).without("features.1.0.block.3.weight");
        checkpoint.tensor("features.1.0.block.3.weight", &[144]);
        let error = checkpoint.graph("convnext_tiny").unwrap_err().to_string();
        assert!(error.contains("both need the same rank"), "{error}");
    }
}
