//! ShuffleNetV2 (Ma et al., 2018), with the weight names of torchvision. The four differ in width only, which the weights show.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{conv_bn, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("shufflenet_v2_x0_5", 224, build),
    Network::classifier("shufflenet_v2_x1_0", 224, build),
    Network::classifier("shufflenet_v2_x1_5", 224, build),
    Network::classifier("shufflenet_v2_x2_0", 224, build),
];

/// How many units the stages 2, 3 and 4 have.
const DEPTHS: [usize; 3] = [4, 8, 4];

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let x = conv_bn(g, &w.at("conv1"), ("0", "1"), image, Window::same(3).stride(2))?;
    let x = g.relu(x)?;
    let mut x = g.max_pool(x, Window::same(3).stride(2))?;
    for (stage, depth) in DEPTHS.into_iter().enumerate() {
        let w = w.at(format_args!("stage{}", stage + 2));
        x = halve(g, &w.at(0), x)?;
        for unit in 1..depth {
            x = refine(g, &w.at(unit), x)?;
        }
    }
    let x = conv_bn(g, &w.at("conv5"), ("0", "1"), x, Window::of(1))?;
    let x = g.relu(x)?;
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("fc"), x)?)])
}

/// The unit that begins a stage: the image halves, and both branches see all channels (figure 3 d).
fn halve(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let side = w.at("branch1");
    let left = conv_bn(g, &side, ("0", "1"), x, Window::same(3).stride(2))?;
    let left = conv_bn(g, &side, ("2", "3"), left, Window::of(1))?;
    let left = g.relu(left)?;
    let right = bottleneck(g, &w.at("branch2"), x, 2)?;
    shuffle(g, left, right)
}

/// Any other unit: half of the channels pass untouched (figure 3 c).
fn refine(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let half = g.size(x, 1)? / 2;
    let left = g.slice(x, 1, 0, Some(half as i64))?;
    let right = g.slice(x, 1, half as i64, None)?;
    let right = bottleneck(g, &w.at("branch2"), right, 1)?;
    shuffle(g, left, right)
}

fn bottleneck(g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
    let x = conv_bn(g, w, ("0", "1"), x, Window::of(1))?;
    let x = g.relu(x)?;
    let x = conv_bn(g, w, ("3", "4"), x, Window::same(3).stride(stride))?;
    let x = conv_bn(g, w, ("5", "6"), x, Window::of(1))?;
    g.relu(x)
}

/// Joins two halves, their channels taking turns. Picking channels by number does that whatever the size of the image; the two
/// reshapes and the transposition of the paper would need to know it.
fn shuffle(g: &mut Builder, left: Val, right: Val) -> Result<Val> {
    let x = g.concat(&[left, right], 1)?;
    let half = (g.size(x, 1)? / 2) as i64;
    let turns: Vec<i64> = (0..half).flat_map(|channel| [channel, half + channel]).collect();
    g.take_along(x, 1, &turns)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims, epsilon};

    /// Stages of 8, 16 and 32 channels on 6.
    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.conv_norm("conv1", &[6, 3, 3, 3]);
        let mut width = 6;
        for ((stage, depth), out) in (2..).zip(super::DEPTHS).zip([8, 16, 32]) {
            let half = out / 2;
            for unit in 0..depth {
                let at = format!("stage{stage}.{unit}.branch");
                if unit == 0 {
                    checkpoint
                        .conv_norm(format_args!("{at}1"), &[width, 1, 3, 3])
                        .bare(format_args!("{at}1.2"), &[half, width, 1, 1])
                        .norm(format_args!("{at}1.3"), half);
                }
                checkpoint
                    .conv_norm(format_args!("{at}2"), &[half, if unit == 0 { width } else { half }, 1, 1])
                    .bare(format_args!("{at}2.3"), &[half, 1, 3, 3])
                    .norm(format_args!("{at}2.4"), half)
                    .bare(format_args!("{at}2.5"), &[half, half, 1, 1])
                    .norm(format_args!("{at}2.6"), half);
            }
            width = out;
        }
        checkpoint.conv_norm("conv5", &[64, width, 1, 1]).layer("fc", &[11, 64]);
        checkpoint
    }

    #[test]
    fn units_halve_or_pass_half_and_shuffle() {
        let graph = checkpoint().graph("shufflenet_v2_x1_0").unwrap();
        for (part, shape) in [
            ("conv1.0", "batch,6,112,112"),
            ("maxpool_0", "batch,6,56,56"),
            ("stage2.0.branch1.0", "batch,6,28,28"),
            ("stage2.0.branch2.0", "batch,4,56,56"),
            ("gather_0", "batch,8,28,28"),
            ("stage2.1.branch2.3", "batch,4,28,28"),
            ("stage3.0.branch2.3", "batch,8,14,14"),
            ("stage4.3.branch2.5", "batch,16,7,7"),
            ("conv5.0", "batch,64,7,7"),
            ("logits", "batch,11"),
        ] {
            assert_eq!(dims(&graph, part), shape, "{part}");
        }
        let turns = graph.nodes.iter().find(|node| node.op == "Gather").unwrap().inputs[1].unwrap();
        let turns = graph.value(turns).constant().unwrap().to_i64_vec().unwrap();
        assert_eq!(turns, [0, 4, 1, 5, 2, 6, 3, 7]);
        // Two in each of the 16 units, one more in each that halves, the first and last convolutions: none after the depthwise ones.
        assert_eq!((count(&graph, "Gather"), count(&graph, "Relu")), (16, 2 * 16 + 3 + 2));
        assert_eq!((count(&graph, "Slice"), epsilon(&graph)), (2 * 13, Some(1e-5)));
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint().graph_at("shufflenet_v2_x0_5", ImageSize::Any).unwrap();
        let halved = |side: &str| format!("floor(floor(floor(({side} - 1)/2)/2)/2) + 1");
        assert_eq!(dims(&graph, "gather_0"), format!("batch,8,{},{}", halved("height"), halved("width")));
    }

    #[test]
    fn a_unit_more_has_no_place() {
        let mut more = checkpoint();
        more.bare("stage4.4.branch2.0", &[16, 16, 1, 1]);
        let error = more.graph("shufflenet_v2_x2_0").unwrap_err().to_string();
        assert!(error.starts_with("1 of the checkpoint's tensors have no place"), "{error}");
        assert!(error.contains("stage4.4.branch2.0.weight"), "{error}");
    }
}
