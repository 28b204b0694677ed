//! MaxViT (Tu et al., 2022), with the weight names of torchvision.
//!
//! A layer is an inverted residual with squeeze and excitation, then attention among the places of each window, and attention
//! among the places of each grid, which are spread over the whole map. torchvision divides scores by the root of *all* channels, not
//! of a head's, and so does this.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Error, Result, Val, Weights};
use zoo_tensor::Dim;

use crate::network::Network;
use crate::nn::{
    Activation, Attention, Place, Similarity, Tokens, Windows, attend, batch_norm, conv, conv_bn_act,
    grid_places, layer_norm, linear, relative_bias, relative_table, squeeze_excitation,
};

pub(super) const NETWORKS: &[Network] =
    &[Network::classifier("maxvit_t", 224, |g, w, x| build([2, 2, 5, 2], g, w, x))];

/// What batch norms add to variances.
const BATCH_EPSILON: f32 = 1e-3;
/// What layer norms add to variances.
const EPSILON: f32 = 1e-5;
/// The side of windows, and of grids.
const SIDE: usize = 7;

fn build(depths: [usize; 4], g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let stem = Window::same(3);
    let x = conv_bn_act(g, &w.at("stem.0"), image, stem.stride(2), BATCH_EPSILON, Activation::Gelu)?;
    let mut x = conv(g, &w.at("stem.1.0"), x, stem)?;
    for (block, depth) in depths.into_iter().enumerate() {
        for layer in 0..depth {
            let w = w.at(format_args!("blocks.{block}.layers.{layer}.layers"));
            let stride = if layer == 0 { 2 } else { 1 };
            x = inverted_residual(g, &w.at("MBconv"), x, stride)?;
            x = axes_of_attention(g, &w, x)?;
        }
    }
    let w = w.at("classifier");
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    let x = layer_norm(g, &w.at(2), x, EPSILON)?;
    let x = linear(g, &w.at(3), x)?;
    let x = g.tanh(x)?;
    Ok(vec![("logits", linear(g, &w.at(5), x)?)])
}

/// MobileNetV2's block with a norm in front and a pooled shortcut. Nothing follows its last convolution.
fn inverted_residual(g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
    let layers = w.at("layers");
    let (k1, k3) = (Window::of(1), Window::same(3).stride(stride));
    let y = batch_norm(g, &layers.at("pre_norm"), x, BATCH_EPSILON)?;
    let y = conv_bn_act(g, &layers.at("conv_a"), y, k1, BATCH_EPSILON, Activation::Gelu)?;
    let y = conv_bn_act(g, &layers.at("conv_b"), y, k3, BATCH_EPSILON, Activation::Gelu)?;
    let y =
        squeeze_excitation(g, &layers.at("squeeze_excitation"), y, Activation::Silu, Activation::Sigmoid)?;
    let y = conv(g, &layers.at("conv_c"), y, k1)?;
    let shortcut = match w.find("proj") {
        Some(w) if stride == 1 => conv(g, &w.at(0), x, k1)?,
        Some(w) => {
            let x = g.average_pool(x, k3, true)?;
            conv(g, &w.at(1), x, k1)?
        }
        None => x,
    };
    g.add(shortcut, y)
}

/// Attention within windows, then within grids.
fn axes_of_attention(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let mut map = Tokens::of_map(g, x)?;
    let [height, width] = map.size;
    if height != width || !height.is_multiple_of(SIDE) {
        let why = format!("a map of {height}x{width} is no square of whole windows of {SIDE}x{SIDE}");
        return Err(Error::ImageSize { why });
    }
    let windows = Windows::new(map.size, SIDE, false).places();
    attention(g, &w.at("window_attention"), &mut map, windows)?;
    attention(g, &w.at("grid_attention"), &mut map, grid_places([height, width], SIDE))?;
    map.into_map(g)
}

/// A transformer's layer on sequences of places.
fn attention(g: &mut Builder, w: &Weights, map: &mut Tokens, places: Vec<Place>) -> Result<()> {
    let tokens = SIDE * SIDE;
    let sequences = places.len() / tokens;
    map.arrange(g, places)?;
    let x = map.rows;

    let (norm, w_attention) = (w.at("attn_layer.0"), w.at("attn_layer.1"));
    let y = layer_norm(g, &norm, x, EPSILON)?;
    let qkv = linear(g, &w_attention.at("to_qkv"), y)?;
    let table = relative_table(g, &w_attention, SIDE)?;
    let attention = Attention {
        heads: g.size(table, 1)?,
        tokens,
        sequences: &[Dim::Fixed(sequences), map.batch.clone()],
        similarity: Similarity::Product(1.0 / (g.size(x, 1)? as f32).sqrt()),
        bias: Some(relative_bias(g, &w_attention, table, SIDE)?),
    };
    let y = attend(g, qkv, attention)?;
    let y = linear(g, &w_attention.at("merge"), y)?;
    let x = g.add(x, y)?;

    let w = w.at("mlp_layer");
    let y = layer_norm(g, &w.at(0), x, EPSILON)?;
    let y = linear(g, &w.at(1), y)?;
    let y = g.gelu(y)?;
    let y = linear(g, &w.at(3), y)?;
    map.rows = g.add(x, y)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    /// Widths 4, 8, 16, 32 with 1, 2, 4, 8 heads.
    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.conv_norm("stem.0", &[4, 3, 3, 3]).layer("stem.1.0", &[4, 4, 3, 3]);
        let mut channels = 4;
        for (block, depth) in [2, 2, 5, 2].into_iter().enumerate() {
            let (width, heads) = (4 << block, 1 << block);
            for layer in 0..depth {
                let at = |module: &str| format!("blocks.{block}.layers.{layer}.layers.{module}");
                if layer == 0 {
                    checkpoint.layer(at("MBconv.proj.1"), &[width, channels, 1, 1]);
                }
                checkpoint
                    .norm(at("MBconv.layers.pre_norm"), channels)
                    .conv_norm(at("MBconv.layers.conv_a"), &[2 * width, channels, 1, 1])
                    .conv_norm(at("MBconv.layers.conv_b"), &[2 * width, 1, 3, 3])
                    .excitation(at("MBconv.layers.squeeze_excitation"), 2 * width, 2)
                    .layer(at("MBconv.layers.conv_c"), &[width, 2 * width, 1, 1]);
                channels = width;
                for axis in ["window_attention", "grid_attention"] {
                    let at = |module: &str| at(&format!("{axis}.{module}"));
                    checkpoint
                        .layer(at("attn_layer.0"), &[width])
                        .layer(at("attn_layer.1.to_qkv"), &[3 * width, width])
                        .layer(at("attn_layer.1.merge"), &[width, width])
                        .tensor(at("attn_layer.1.relative_position_bias_table"), &[169, heads])
                        .layer(at("mlp_layer.0"), &[width])
                        .layer(at("mlp_layer.1"), &[4 * width, width])
                        .layer(at("mlp_layer.3"), &[width, 4 * width]);
                }
            }
        }
        checkpoint
            .layer("classifier.2", &[32])
            .layer("classifier.3", &[32, 32])
            .bare("classifier.5", &[11, 32]);
        checkpoint
    }

    #[test]
    fn windows_and_grids_take_turns() {
        let graph = checkpoint().graph("maxvit_t").unwrap();
        let layer = "blocks.0.layers.0.layers";
        assert_eq!(dims(&graph, &format!("{layer}.MBconv.layers.conv_c")), "batch,4,56,56");
        assert_eq!(dims(&graph, &format!("{layer}.window_attention.attn_layer.0")), "3136*batch,4");
        assert_eq!(dims(&graph, "blocks.3.layers.1.layers.grid_attention.mlp_layer.3"), "49*batch,32");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        // The shortcut is pooled where the map is halved, and brought to the new width.
        assert_eq!(count(&graph, "AveragePool"), 4);
        // Biases of 11 layers' two attentions; into windows, into grids and back where there are several of each.
        let gathers = graph.nodes.iter().filter(|node| node.op == "Gather").count();
        assert_eq!(gathers, 22 + 3 * 9);
    }

    #[test]
    fn scores_are_divided_by_the_root_of_all_channels() {
        let graph = checkpoint().graph("maxvit_t").unwrap();
        let matmul = graph.nodes.iter().position(|node| node.op == "MatMul").unwrap();
        let mul = graph.nodes[..matmul].iter().rfind(|node| node.op == "Mul").unwrap();
        let scale = graph.value(mul.inputs[1].unwrap()).constant().unwrap();
        assert_eq!(scale.to_f32_vec().unwrap(), [0.5]);
        let last = graph.nodes.iter().rposition(|node| node.op == "MatMul").unwrap();
        let mul = graph.nodes[..last].iter().rfind(|node| node.op == "Mul").unwrap();
        let scale = graph.value(mul.inputs[1].unwrap()).constant().unwrap();
        assert_eq!(scale.to_f32_vec().unwrap(), [1.0 / 32.0_f32.sqrt()], "not by that of a head's 4");
    }

    #[test]
    fn maps_are_squares_of_whole_windows() {
        assert!(checkpoint().graph_at("maxvit_t", ImageSize::Fixed(448, 448)).is_ok());
        for (size, problem) in [
            (ImageSize::Fixed(256, 256), "a map of 64x64 is no square of whole windows of 7x7"),
            (ImageSize::Fixed(224, 448), "a map of 56x112 is no square"),
            (ImageSize::Fixed(112, 112), "a map of 4x4 is no square"),
            (ImageSize::Any, "laid out for a fixed height and width"),
        ] {
            let error = checkpoint().graph_at("maxvit_t", size).unwrap_err().to_string();
            assert!(error.contains(problem), "{size}: {error}");
        }
    }
}
