//! Vision Transformer (Dosovitskiy et al., 2020), with the weight names of torchvision.
//!
//! How many heads there are, no tensor shows: a variant states it beside its depth and the size of its patches. What is
//! *published* under a name also has a certain width; weights of another width fit as well, but that they were trained with
//! these heads is then somebody's claim, not a certainty.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Error, Result, Val, Weights};
use zoo_tensor::Dim;

use crate::image::ImageSize;
use crate::network::{Build, Network};
use crate::nn::{Attention, Similarity, attend, conv, layer_norm, linear};

pub(super) const NETWORKS: &[Network] = &[
    network("vit_b_16", 224, |g, w, x| B16.build(g, w, x)).certain_if(|w| width_is(768, w)),
    network("vit_b_32", 224, |g, w, x| B32.build(g, w, x)).certain_if(|w| width_is(768, w)),
    network("vit_l_16", 224, |g, w, x| L16.build(g, w, x)).certain_if(|w| width_is(1024, w)),
    network("vit_l_32", 224, |g, w, x| L32.build(g, w, x)).certain_if(|w| width_is(1024, w)),
    network("vit_h_14", 518, |g, w, x| H14.build(g, w, x)).certain_if(|w| width_is(1280, w)),
    // Without a name in torchvision; these are timm's.
    network("vit_small_patch16_224", 224, |g, w, x| SMALL.build(g, w, x)).certain_if(|w| width_is(384, w)),
    network("vit_tiny_patch16_224", 224, |g, w, x| TINY.build(g, w, x)).certain_if(|w| width_is(192, w)),
];

const B16: Vit = Vit { patch: 16, depth: 12, heads: 12 };
const B32: Vit = Vit { patch: 32, ..B16 };
const L16: Vit = Vit { patch: 16, depth: 24, heads: 16 };
const L32: Vit = Vit { patch: 32, ..L16 };
const H14: Vit = Vit { patch: 14, depth: 32, heads: 16 };
const SMALL: Vit = Vit { heads: 6, ..B16 };
const TINY: Vit = Vit { heads: 3, ..B16 };

/// What layer norms add to variances.
const EPSILON: f32 = 1e-6;

#[derive(Debug, Clone, Copy)]
struct Vit {
    /// The side of the patches that an image is cut into, one token each.
    patch: usize,
    depth: usize,
    heads: usize,
}

const fn network(name: &'static str, size: usize, build: Build) -> Network {
    Network::classifier(name, size, build).tied_to(tied_size)
}

fn width_is(width: usize, w: &Weights) -> bool {
    w.shape("class_token").is_ok_and(|shape| shape == [1, 1, width])
}

/// The size of image that the table of positions is for: it has one row for each patch of a square, and one for the class.
fn tied_size(w: &Weights) -> Option<ImageSize> {
    let &[_, rows, _] = w.shape("encoder.pos_embedding").ok()? else { return None };
    let &[.., patch] = w.shape("conv_proj.weight").ok()? else { return None };
    let patches = rows.checked_sub(1)?;
    let side = patches.isqrt();
    let size = side.checked_mul(patch)?;
    (side > 0 && side * side == patches).then_some(ImageSize::Fixed(size, size))
}

impl Vit {
    fn build(self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let batch = g.dims(image)[0].clone();
        let mut x = self.embed(g, w, image)?;
        let tokens = g.size(x, 0)?;
        x = g.join_axes(x, 0, 2)?;
        for layer in 0..self.depth {
            let w = w.at(format_args!("encoder.layers.encoder_layer_{layer}"));
            let y = layer_norm(g, &w.at("ln_1"), x, EPSILON)?;
            let mut y = self.attention(g, &w.at("self_attention"), y, tokens, &batch)?;
            if layer + 1 == self.depth {
                // Only the class token is read in the end, so that the rest of the last layer is computed for no other.
                x = class_token(g, x, tokens, &batch)?;
                y = class_token(g, y, tokens, &batch)?;
            }
            let y = linear(g, &w.at("self_attention.out_proj"), y)?;
            x = g.add(x, y)?;
            let y = layer_norm(g, &w.at("ln_2"), x, EPSILON)?;
            let y = linear(g, &w.at("mlp.0"), y)?;
            let y = g.gelu(y)?;
            let y = linear(g, &w.at("mlp.3"), y)?;
            x = g.add(x, y)?;
        }
        x = layer_norm(g, &w.at("encoder.ln"), x, EPSILON)?;
        if let Some(w) = w.find("heads.pre_logits") {
            x = linear(g, &w, x)?;
            x = g.tanh(x)?;
        }
        Ok(vec![("logits", linear(g, &w.at("heads.head"), x)?)])
    }

    /// The class token and one for each patch, with their positions: `[tokens, batch, width]`.
    fn embed(self, g: &mut Builder, w: &Weights, image: Val) -> Result<Val> {
        if let Some(ImageSize::Fixed(height, width)) = tied_size(w)
            && g.dims(image)[2..] != [Dim::Fixed(height), Dim::Fixed(width)]
        {
            let why = format!("its table of positions is for {height}x{width}");
            return Err(Error::ImageSize { why });
        }
        let x = conv(g, &w.at("conv_proj"), image, Window::of(self.patch).stride(self.patch))?;
        let x = g.join_axes(x, 2, 4)?;
        let x = g.transpose(x, &[2, 0, 1])?;
        // The class token is the same for every image: room is made for it, and it comes with the positions.
        let x = g.pad(x, &[1, 0, 0], &[0, 0, 0])?;
        let (tokens, width) = (g.size(x, 0)?, g.size(x, 2)?);
        let class = g.weight_of(w, "class_token", &[1, 1, width])?;
        let class = g.pad(class, &[0, 0, 0], &[tokens - 1, 0, 0])?;
        let positions = g.weight_as(w, "encoder.pos_embedding", &[tokens, 1, width])?;
        let positions = g.add(positions, class)?;
        g.add(x, positions)
    }

    fn attention(self, g: &mut Builder, w: &Weights, x: Val, tokens: usize, batch: &Dim) -> Result<Val> {
        let weight = g.weight(w, "in_proj_weight")?;
        let bias = g.weight(w, "in_proj_bias")?;
        let qkv = g.gemm(x, weight, Some(bias))?;
        let attention = Attention {
            heads: self.heads,
            tokens,
            sequences: std::slice::from_ref(batch),
            similarity: Similarity::scaled(g.size(x, 1)?, self.heads),
            bias: None,
        };
        attend(g, qkv, attention)
    }
}

/// The rows of the first token: `[batch, width]`.
fn class_token(g: &mut Builder, x: Val, tokens: usize, batch: &Dim) -> Result<Val> {
    let width = g.dims(x)[1].clone();
    let x = g.reshape(x, [Dim::Fixed(tokens), batch.clone(), width])?;
    g.pick(x, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::find;
    use crate::testing::{Checkpoint, count, dims};

    /// A ViT of this width, for images of 3x3 patches.
    fn checkpoint(width: usize, patch: usize, depth: usize) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint
            .tensor("class_token", &[1, 1, width])
            .tensor("encoder.pos_embedding", &[1, 10, width])
            .layer("conv_proj", &[width, 3, patch, patch])
            .layer("encoder.ln", &[width])
            .layer("heads.head", &[11, width]);
        for layer in 0..depth {
            let at = |module: &str| format!("encoder.layers.encoder_layer_{layer}.{module}");
            checkpoint
                .layer(at("ln_1"), &[width])
                .tensor(at("self_attention.in_proj_weight"), &[3 * width, width])
                .tensor(at("self_attention.in_proj_bias"), &[3 * width])
                .layer(at("self_attention.out_proj"), &[width, width])
                .layer(at("ln_2"), &[width])
                .layer(at("mlp.0"), &[2 * width, width])
                .layer(at("mlp.3"), &[width, 2 * width]);
        }
        checkpoint
    }

    #[test]
    fn tokens_stay_rows_of_a_matrix() {
        let graph = checkpoint(24, 16, 12).graph("vit_b_16").unwrap();
        assert_eq!(dims(&graph, "input"), "batch,3,48,48");
        assert_eq!(dims(&graph, "conv_proj"), "batch,24,3,3");
        assert_eq!(dims(&graph, "encoder.layers.encoder_layer_0.ln_1"), "10*batch,24");
        assert_eq!(dims(&graph, "encoder.layers.encoder_layer_10.mlp.3"), "10*batch,24");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        // Five products of each layer, two of them between tokens, and the head.
        assert_eq!((count(&graph, "Gemm"), count(&graph, "MatMul")), (12 * 4 + 1, 12 * 2));
        assert_eq!(count(&graph, "Concat") + count(&graph, "Expand") + count(&graph, "Shape"), 0);
    }

    #[test]
    fn the_last_layer_is_finished_for_the_class_alone() {
        let graph = checkpoint(24, 16, 12).graph("vit_b_16").unwrap();
        let last = |module: &str| dims(&graph, &format!("encoder.layers.encoder_layer_11.{module}"));
        assert_eq!((last("ln_1"), last("ln_2")), ("10*batch,24".to_owned(), "batch,24".to_owned()));
    }

    #[test]
    fn images_are_as_large_as_the_table_of_positions() {
        let narrow = checkpoint(24, 16, 12);
        assert_eq!(tied_size(&narrow.weights()), Some(ImageSize::Fixed(48, 48)));
        assert!(narrow.graph_at("vit_b_16", ImageSize::Fixed(48, 48)).is_ok());
        // 16x144 has as many patches, but in other places.
        for size in [ImageSize::Fixed(224, 224), ImageSize::Fixed(16, 144), ImageSize::Any] {
            let error = narrow.graph_at("vit_b_16", size).unwrap_err().to_string();
            assert!(error.contains("its table of positions is for 48x48"), "{size}: {error}");
        }
        let mut odd = narrow.without("encoder.pos_embedding");
        odd.tensor("encoder.pos_embedding", &[1, 8, 24]);
        assert_eq!(tied_size(&odd.weights()), None, "7 patches are no square");
        let error = odd.graph("vit_b_16").unwrap_err().to_string();
        assert!(error.contains("has the shape [1, 8, 24], the network needs [197, 1, 24]"), "{error}");
    }

    #[test]
    fn variants_differ_in_patches_depth_and_heads() {
        let narrow = checkpoint(48, 16, 12);
        assert!(narrow.graph("vit_b_32").unwrap_err().to_string().contains("expected to be [32, 32]"));
        assert!(narrow.graph("vit_l_16").unwrap_err().to_string().contains("encoder_layer_12.ln_1.weight"));
        assert!(checkpoint(48, 16, 13).graph("vit_b_16").unwrap_err().to_string().contains("have no place"));
        // As a network with other heads it would compute something else, and no tensor tells.
        for (network, heads) in [("vit_b_16", 12), ("vit_small_patch16_224", 6), ("vit_tiny_patch16_224", 3)]
        {
            let graph = narrow.graph(network).unwrap();
            let split = graph.nodes.iter().find(|node| node.op == "Split").unwrap();
            assert_eq!(graph.value(split.outputs[0]).dims[2], Dim::Fixed(heads));
            let certain = |width| (find(network).unwrap().certain)(&checkpoint(width, 16, 0).weights());
            assert!(certain(64 * heads) && !certain(48), "{network}");
        }
    }

    #[test]
    fn a_representation_stands_before_the_head() {
        let mut checkpoint = checkpoint(24, 16, 12).without("heads.");
        checkpoint.layer("heads.pre_logits", &[5, 24]).layer("heads.head", &[11, 5]);
        let graph = checkpoint.graph("vit_b_16").unwrap();
        assert_eq!((dims(&graph, "heads.pre_logits").as_str(), count(&graph, "Tanh")), ("batch,5", 1));
    }
}
