//! Swin Transformer (Liu et al., 2021) and its second version (Liu et al., 2022), with the weight names of torchvision.
//!
//! The second version normalises after attention and dense layers instead of before them, compares queries and keys by their
//! cosine, and gets its position biases from a small network instead of a table. How many heads there are, and how wide everything is,
//! the tensors show; the side of the windows belongs to the version.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};
use zoo_tensor::Dim;

use crate::network::Network;
use crate::nn::{
    Attention, Place, Similarity, Tokens, Windows, attend, conv, layer_norm, line_by_line, linear, moved,
    relative_bias, relative_table, taken,
};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("swin_t", 224, |g, w, x| T.build(g, w, x)),
    Network::classifier("swin_s", 224, |g, w, x| S.build(g, w, x)),
    Network::classifier("swin_b", 224, |g, w, x| S.build(g, w, x)),
    Network::classifier("swin_v2_t", 256, |g, w, x| T.second().build(g, w, x)),
    Network::classifier("swin_v2_s", 256, |g, w, x| S.second().build(g, w, x)),
    Network::classifier("swin_v2_b", 256, |g, w, x| S.second().build(g, w, x)),
];

const T: Swin = Swin { version: Version::First, depths: [2, 2, 6, 2] };
const S: Swin = Swin { depths: [2, 2, 18, 2], ..T };

/// What layer norms add to variances.
const EPSILON: f32 = 1e-5;
/// The second version's biases lie between 0 and this.
const MOST_BIAS: f32 = 16.0;
/// The second version's cosines are multiplied by no more than this.
const MOST_SCALE: f32 = 100.0;

#[derive(Debug, Clone, Copy)]
struct Swin {
    version: Version,
    depths: [usize; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

impl Swin {
    const fn second(self) -> Self {
        Self { version: Version::Second, ..self }
    }

    /// The side of a window.
    const fn side(self) -> usize {
        match self.version {
            Version::First => 7,
            Version::Second => 8,
        }
    }

    fn build(self, g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
        let features = w.at("features");
        let x = conv(g, &features.at("0.0"), image, Window::of(4).stride(4))?;
        let mut map = Tokens::of_map(g, x)?;
        map.rows = layer_norm(g, &features.at("0.2"), map.rows, EPSILON)?;
        for (stage, depth) in self.depths.into_iter().enumerate() {
            if stage > 0 {
                map = self.merge(g, &features.at(2 * stage), &map)?;
            }
            for unit in 0..depth {
                let w = features.at(format_args!("{}.{unit}", 2 * stage + 1));
                self.block(g, &w, &mut map, unit % 2 == 1)?;
            }
        }
        map.rows = layer_norm(g, &w.at("norm"), map.rows, EPSILON)?;
        let x = map.mean(g)?;
        Ok(vec![("logits", linear(g, &w.at("head"), x)?)])
    }

    fn block(self, g: &mut Builder, w: &Weights, map: &mut Tokens, shifted: bool) -> Result<()> {
        let windows = Windows::new(map.size, self.side(), shifted);
        let places = windows.places();
        if !windows.is_padded() {
            map.arrange(g, places.clone())?;
        }
        let y = self.norm_before(g, &w.at("norm1"), map.rows)?;
        let y = moved(g, y, &map.batch, (&map.order, &places))?;
        let y = self.attention(g, &w.at("attn"), y, windows, &map.batch)?;
        let y = moved(g, y, &map.batch, (&places, &map.order))?;
        let y = self.norm_after(g, &w.at("norm1"), y)?;
        let x = g.add(map.rows, y)?;

        let y = self.norm_before(g, &w.at("norm2"), x)?;
        let y = linear(g, &w.at("mlp.0"), y)?;
        let y = g.gelu(y)?;
        let y = linear(g, &w.at("mlp.3"), y)?;
        let y = self.norm_after(g, &w.at("norm2"), y)?;
        map.rows = g.add(x, y)?;
        Ok(())
    }

    fn norm_before(self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        if self.version == Version::First { layer_norm(g, w, x, EPSILON) } else { Ok(x) }
    }

    fn norm_after(self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        if self.version == Version::Second { layer_norm(g, w, x, EPSILON) } else { Ok(x) }
    }

    /// Attention within windows, on rows that stand in their order.
    fn attention(self, g: &mut Builder, w: &Weights, x: Val, windows: Windows, batch: &Dim) -> Result<Val> {
        let (qkv, similarity, table) = match self.version {
            Version::First => {
                let table = relative_table(g, w, self.side())?;
                let similarity = Similarity::scaled(g.size(x, 1)?, g.size(table, 1)?);
                (linear(g, &w.at("qkv"), x)?, similarity, table)
            }
            Version::Second => {
                let similarity = Similarity::Cosine(temperature(g, w)?);
                (unbiased_keys(g, &w.at("qkv"), x)?, similarity, self.position_table(g, w)?)
            }
        };
        let mut bias = relative_bias(g, w, table, self.side())?;
        if let Some(mask) = windows.mask(g)? {
            bias = g.add(bias, mask)?;
        }
        let attention = Attention {
            heads: g.size(table, 1)?,
            tokens: windows.tokens(),
            sequences: &[Dim::Fixed(windows.count()), batch.clone()],
            similarity,
            bias: Some(bias),
        };
        let y = attend(g, qkv, attention)?;
        linear(g, &w.at("proj"), y)
    }

    /// The second version's table of position biases: what a network of two layers makes of each way within a window.
    fn position_table(self, g: &mut Builder, w: &Weights) -> Result<Val> {
        let side = self.side();
        let ways = (2 * side - 1) * (2 * side - 1);
        let coordinates = if w.has("relative_coords_table") {
            g.weight_as(w, "relative_coords_table", &[ways, 2])?
        } else {
            g.floats("relative_coords_table", &[ways, 2], &coordinates(side))?
        };
        let w = w.at("cpb_mlp");
        let x = linear(g, &w.at(0), coordinates)?;
        let x = g.relu(x)?;
        let x = linear(g, &w.at(2), x)?;
        let x = g.sigmoid(x)?;
        let most = g.float("most_bias", MOST_BIAS);
        g.mul(x, most)
    }

    /// Joins each 2x2 places (zeros beyond the edge) into one, of twice the channels.
    fn merge(self, g: &mut Builder, w: &Weights, map: &Tokens) -> Result<Tokens> {
        let [height, width] = map.size;
        let size = map.size.map(|size| size.div_ceil(2));
        let windows = Windows::new(size, self.side(), false);
        let order = if windows.is_padded() { line_by_line(size)? } else { windows.places() };
        let part = |down: usize, right: usize| {
            order.iter().flatten().map(move |place| {
                let (row, column) = (2 * (place / size[1]) + down, 2 * (place % size[1]) + right);
                (row < height && column < width).then_some(row * width + column)
            })
        };
        let parts: Vec<Place> = part(0, 0).chain(part(1, 0)).chain(part(0, 1)).chain(part(1, 1)).collect();
        // [4, places, batch, channels] to [places*batch, 4*channels]
        let x = taken(g, map.rows, &map.batch, (&map.order, &parts))?;
        let channels = g.dims(x)[2].clone();
        let x = g.reshape(x, [Dim::Fixed(4), Dim::Fixed(order.len()), map.batch.clone(), channels])?;
        let x = g.transpose(x, &[1, 2, 0, 3])?;
        let x = g.flatten_at(x, 2)?;
        let x = self.norm_before(g, &w.at("norm"), x)?;
        let x = linear(g, &w.at("reduction"), x)?;
        let rows = self.norm_after(g, &w.at("norm"), x)?;
        Ok(Tokens { rows, size, batch: map.batch.clone(), order })
    }
}

/// What the second version divides cosines by, `[heads, 1]`: its checkpoints have the logarithm of the reciprocal, and it is limited.
fn temperature(g: &mut Builder, w: &Weights) -> Result<Val> {
    let heads = w.shape("logit_scale")?.first().copied().unwrap_or_default();
    let scale = g.weight_as(w, "logit_scale", &[heads, 1])?;
    let most = g.float("most_scale", MOST_SCALE.ln());
    let scale = g.minimum(scale, most)?;
    let scale = g.neg(scale)?;
    g.exp(scale)
}

/// Queries, keys and values of the second version: whatever the checkpoint says, keys have no bias.
fn unbiased_keys(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let weight = g.weight(w, "weight")?;
    let width = g.size(weight, 0)? / 3;
    let queries = g.weight_rows(w, "bias", 0, width)?;
    let values = g.weight_rows(w, "bias", 2 * width, width)?;
    let keys = g.floats("no_bias", &[width], &vec![0.0; width])?;
    let bias = g.concat(&[queries, keys, values], 0)?;
    g.gemm(x, weight, Some(bias))
}

/// Each way within a window, from up and left to down and right, on a logarithmic scale from -1 to 1.
fn coordinates(side: usize) -> Vec<f32> {
    let most = (side - 1) as f64;
    let axis = |way: usize| {
        let share = 8.0 * (way as f64 - most) / most;
        (share.signum() * (share.abs() + 1.0).log2() / 3.0) as f32
    };
    let ways = 2 * side - 1;
    (0..ways).flat_map(|row| (0..ways).flat_map(move |column| [axis(row), axis(column)])).collect()
}

#[cfg(test)]
mod tests {
    use zoo_graph::graph::Graph;

    use super::*;
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    /// Widths 4, 8, 16, 32 with 1, 2, 4, 8 heads.
    fn checkpoint(version: Version, depths: [usize; 4]) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.layer("features.0.0", &[4, 3, 4, 4]).layer("features.0.2", &[4]);
        for (stage, depth) in depths.into_iter().enumerate() {
            let (width, heads) = (4 << stage, 1 << stage);
            if stage > 0 {
                let norm = if version == Version::First { 2 * width } else { width };
                checkpoint
                    .bare(format_args!("features.{}.reduction", 2 * stage), &[width, 2 * width])
                    .layer(format_args!("features.{}.norm", 2 * stage), &[norm]);
            }
            for unit in 0..depth {
                let at = |module: &str| format!("features.{}.{unit}.{module}", 2 * stage + 1);
                checkpoint
                    .layer(at("norm1"), &[width])
                    .layer(at("attn.qkv"), &[3 * width, width])
                    .layer(at("attn.proj"), &[width, width])
                    .layer(at("norm2"), &[width])
                    .layer(at("mlp.0"), &[4 * width, width])
                    .layer(at("mlp.3"), &[width, 4 * width]);
                match version {
                    Version::First => {
                        checkpoint.tensor(at("attn.relative_position_bias_table"), &[169, heads])
                    }
                    Version::Second => checkpoint
                        .tensor(at("attn.logit_scale"), &[heads, 1, 1])
                        .layer(at("attn.cpb_mlp.0"), &[512, 2])
                        .bare(at("attn.cpb_mlp.2"), &[heads, 512]),
                };
            }
        }
        checkpoint.layer("norm", &[32]).layer("head", &[11, 32]);
        checkpoint
    }

    fn first() -> Checkpoint {
        checkpoint(Version::First, [2, 2, 6, 2])
    }

    fn second() -> Checkpoint {
        checkpoint(Version::Second, [2, 2, 6, 2])
    }

    fn ops(graph: &Graph, from: &str, to: &str) -> String {
        let at = |name: &str| graph.nodes.iter().position(|node| node.name == name).unwrap();
        let between = &graph.nodes[at(from)..=at(to)];
        between.iter().map(|node| node.op.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_move_once_for_each_change_of_order() {
        let graph = first().graph("swin_t").unwrap();
        assert_eq!(dims(&graph, "features.1.0.norm1"), "3136*batch,4");
        assert_eq!(dims(&graph, "features.3.0.mlp.0"), "784*batch,32");
        assert_eq!(dims(&graph, "features.7.1.norm2"), "49*batch,32");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        let gathers = |axis: i64| {
            let is = |node: &&zoo_graph::graph::Node| node.op == "Gather" && node.int("axis") == Some(axis);
            graph.nodes.iter().filter(is).count()
        };
        // Biases of 12 blocks; masks of the 5 that are shifted; into the first order, from one to the other within 3 stages (1, 1 and 5
        // times), and three times into the next stage. The last stage is one window.
        assert_eq!(gathers(0), 12 + 5 + 1 + (1 + 1 + 5) + 3);
        assert_eq!(count(&graph, "Pad"), 0);
    }

    #[test]
    fn what_does_not_fill_windows_is_padded_around_attention_alone() {
        let graph = first().graph_at("swin_t", ImageSize::Fixed(32, 40)).unwrap();
        assert_eq!(dims(&graph, "features.1.0.norm1"), "80*batch,4");
        assert_eq!(dims(&graph, "features.1.0.attn.qkv"), "196*batch,12", "8x10 places become 14x14");
        assert_eq!(dims(&graph, "features.1.0.mlp.0"), "80*batch,16");
        assert_eq!(dims(&graph, "features.3.0.mlp.0"), "20*batch,32");
        // 4x5 places are merged into 2x3, of which the last two have nothing on their right.
        assert_eq!(dims(&graph, "features.5.0.mlp.0"), "6*batch,64");
        let part =
            graph.nodes.iter().position(|node| node.name == "features.4.norm/LayerNormalization").unwrap();
        let gather = graph.nodes[..part].iter().rfind(|node| node.op == "Gather").unwrap();
        let rows = graph.value(gather.inputs[1].unwrap()).constant().unwrap().to_i64_vec().unwrap();
        // All of the upper left, then the lower left, upper right, lower right ones; row 20 is the one of zeros.
        let parts =
            [[0, 2, 4, 10, 12, 14], [5, 7, 9, 15, 17, 19], [1, 3, 20, 11, 13, 20], [6, 8, 20, 16, 18, 20]];
        assert_eq!(rows, parts.as_flattened());
    }

    #[test]
    fn versions_normalise_before_and_after() {
        let graph = first().graph("swin_t").unwrap();
        let merge = ops(&graph, "features.2.norm/LayerNormalization", "features.2.reduction/Gemm");
        assert_eq!(merge, "LayerNormalization Gemm");
        let graph = second().graph("swin_v2_t").unwrap();
        assert_eq!(dims(&graph, "input"), "batch,3,256,256");
        let merge = ops(&graph, "features.2.reduction/Gemm", "features.2.norm/LayerNormalization");
        assert_eq!(merge, "Gemm LayerNormalization");
        let block = ops(&graph, "features.1.0.attn.proj/Gemm", "features.1.0.norm1/LayerNormalization");
        assert_eq!(block, "Gemm LayerNormalization");
        assert_eq!(count(&graph, "ReduceL2"), 12);
    }

    #[test]
    fn keys_of_the_second_version_have_no_bias() {
        let graph = second().graph("swin_v2_t").unwrap();
        let gemm = graph.nodes.iter().find(|node| node.name == "features.1.0.attn.qkv/Gemm").unwrap();
        let bias = graph.nodes.iter().find(|node| node.outputs[0] == gemm.inputs[2].unwrap()).unwrap();
        let parts: Vec<_> = bias.inputs.iter().map(|part| graph.value(part.unwrap())).collect();
        assert_eq!(
            (parts[0].name.as_str(), parts[2].name.as_str()),
            ("features.1.0.attn.qkv.bias[0:4]", "features.1.0.attn.qkv.bias[8:12]")
        );
        assert_eq!(parts[1].constant().unwrap().to_f32_vec().unwrap(), [0.0; 4]);
    }

    #[test]
    fn ways_have_a_logarithmic_scale() {
        let most = 9.0_f32.log2() / 3.0;
        let expected = [[-most, -most], [-most, 0.0], [-most, most], [0.0, -most], [0.0, 0.0]];
        assert_eq!(coordinates(2)[..10], *expected.as_flattened());
        let of_eight = coordinates(8);
        assert_eq!(of_eight.len(), 2 * 15 * 15);
        // One of seven places to the right: log2(8/7 + 1)/3.
        assert!((of_eight[2 * 8 + 1] - 0.366_511_9).abs() < 1e-6, "{}", of_eight[2 * 8 + 1]);
        let mut own = second();
        own.tensor("features.1.0.attn.relative_coords_table", &[1, 15, 15, 2]);
        let graph = own.graph("swin_v2_t").unwrap();
        assert_eq!(dims(&graph, "features.1.0.attn.relative_coords_table"), "225,2");
    }

    #[test]
    fn versions_depths_and_sizes_are_told_apart() {
        let error = first().graph("swin_v2_t").unwrap_err().to_string();
        assert!(error.contains("features.1.0.attn.logit_scale"), "{error}");
        assert!(second().graph("swin_t").is_err());
        assert!(first().graph("swin_s").unwrap_err().to_string().contains("features.5.6.norm1.weight"));
        let error = first().graph_at("swin_t", ImageSize::Any).unwrap_err();
        assert!(error.to_string().contains("laid out for a fixed height and width"), "{error}");
        assert_eq!(error.hint().unwrap(), "choose another image size");
        let mut other = first().without("features.1.0.attn.relative_position_bias_table");
        other.tensor("features.1.0.attn.relative_position_bias_table", &[225, 1]);
        let error = other.graph("swin_t").unwrap_err().to_string();
        assert!(error.contains("has the shape [225, 1], the network needs [169, 1]"), "{error}");
    }
}
