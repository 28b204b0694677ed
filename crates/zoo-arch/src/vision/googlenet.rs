//! GoogLeNet (Szegedy et al., 2014), with batch norms and the weight names of torchvision.
//!
//! The published weights were trained on images normalised otherwise than the preprocessing they are published with; torchvision
//! makes up for it inside of the network (`transform_input=True`). Nothing in a checkpoint says whether it was made with that,
//! and the library's default for a network that one trains oneself is without. So there are two networks, `googlenet` and
//! `googlenet_untransformed`, which fit the same checkpoints, and one has to say which is meant.
//!
//! The branch that the paper calls 5x5 has 3x3 windows in torchvision. Evaluation does not use the auxiliary classifiers.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{batch_norm, conv, linear};

pub(super) const NETWORKS: &[Network] = &[
    Network::classifier("googlenet", 224, |g, w, x| {
        let x = renormalise(g, x)?;
        build(g, w, x)
    }),
    Network::classifier("googlenet_untransformed", 224, build),
];

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let halving = Window::of(3).stride(2).ceil();
    let x = conv_bn_relu(g, &w.at("conv1"), image, Window::same(7).stride(2))?;
    let x = g.max_pool(x, halving)?;
    let x = conv_bn_relu(g, &w.at("conv2"), x, Window::of(1))?;
    let x = conv_bn_relu(g, &w.at("conv3"), x, Window::same(3))?;
    let x = g.max_pool(x, halving)?;
    let x = inceptions(g, w, &["3a", "3b"], x)?;
    let x = g.max_pool(x, halving)?;
    let x = inceptions(g, w, &["4a", "4b", "4c", "4d", "4e"], x)?;
    let x = g.max_pool(x, Window::of(2).stride(2).ceil())?;
    let x = inceptions(g, w, &["5a", "5b"], x)?;
    for auxiliary in ["aux1", "aux2"] {
        w.at(auxiliary).ignore(|_| true);
    }
    let x = g.global_average_pool(x)?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", linear(g, &w.at("fc"), x)?)])
}

fn inceptions(g: &mut Builder, w: &Weights, names: &[&str], mut x: Val) -> Result<Val> {
    for name in names {
        x = inception(g, &w.at(format_args!("inception{name}")), x)?;
    }
    Ok(x)
}

/// The same image through windows of several extents, side by side.
fn inception(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let one = conv_bn_relu(g, &w.at("branch1"), x, Window::of(1))?;
    let two = conv_bn_relu(g, &w.at("branch2.0"), x, Window::of(1))?;
    let two = conv_bn_relu(g, &w.at("branch2.1"), two, Window::same(3))?;
    let three = conv_bn_relu(g, &w.at("branch3.0"), x, Window::of(1))?;
    let three = conv_bn_relu(g, &w.at("branch3.1"), three, Window::same(3))?;
    let four = g.max_pool(x, Window::same(3))?;
    let four = conv_bn_relu(g, &w.at("branch4.1"), four, Window::of(1))?;
    g.concat(&[one, two, three, four], 1)
}

/// torchvision's `BasicConv2d`: `conv` without a bias, batch norm `bn` with TensorFlow's epsilon, ReLU.
pub(super) fn conv_bn_relu(g: &mut Builder, w: &Weights, x: Val, window: Window) -> Result<Val> {
    let x = conv(g, &w.at("conv"), x, window)?;
    let x = batch_norm(g, &w.at("bn"), x, 1e-3)?;
    g.relu(x)
}

/// From the mean and deviation of ImageNet's channels to a mean and deviation of one half each.
pub(super) fn renormalise(g: &mut Builder, image: Val) -> Result<Val> {
    const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];
    let scale = DEVIATION.map(|deviation| (deviation / 0.5) as f32);
    let shift = MEAN.map(|mean| ((mean - 0.5) / 0.5) as f32);
    let scale = g.floats("input_scale", &[3, 1, 1], &scale)?;
    let shift = g.floats("input_shift", &[3, 1, 1], &shift)?;
    let scaled = g.mul(image, scale)?;
    g.add(scaled, shift)
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::recognise::{Recognised, recognise};
    use crate::testing::{Checkpoint, count, dims};

    fn basic(checkpoint: &mut Checkpoint, module: &str, shape: &[usize]) {
        checkpoint.bare(format_args!("{module}.conv"), shape).norm(format_args!("{module}.bn"), shape[0]);
    }

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        basic(&mut checkpoint, "conv1", &[4, 3, 7, 7]);
        basic(&mut checkpoint, "conv2", &[5, 4, 1, 1]);
        basic(&mut checkpoint, "conv3", &[6, 5, 3, 3]);
        let mut channels = 6;
        for name in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"] {
            let at = |branch: &str| format!("inception{name}.{branch}");
            basic(&mut checkpoint, &at("branch1"), &[2, channels, 1, 1]);
            basic(&mut checkpoint, &at("branch2.0"), &[2, channels, 1, 1]);
            basic(&mut checkpoint, &at("branch2.1"), &[3, 2, 3, 3]);
            basic(&mut checkpoint, &at("branch3.0"), &[2, channels, 1, 1]);
            basic(&mut checkpoint, &at("branch3.1"), &[4, 2, 3, 3]);
            basic(&mut checkpoint, &at("branch4.1"), &[5, channels, 1, 1]);
            channels = 14;
        }
        checkpoint.layer("fc", &[11, channels]);
        checkpoint
    }

    #[test]
    fn pools_keep_what_is_not_full() {
        let graph = checkpoint().graph("googlenet").unwrap();
        assert_eq!(dims(&graph, "conv1.conv"), "batch,4,112,112");
        assert_eq!(dims(&graph, "conv2.conv"), "batch,5,56,56");
        assert_eq!(dims(&graph, "inception3a.branch1.conv"), "batch,2,28,28");
        assert_eq!(dims(&graph, "inception4a.branch3.1.conv"), "batch,4,14,14");
        assert_eq!(dims(&graph, "inception5b.branch4.1.conv"), "batch,5,7,7");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        // Six convolutions in each of nine modules; four pools between stages and one in each module.
        assert_eq!((count(&graph, "Conv"), count(&graph, "MaxPool")), (6 * 9 + 3, 4 + 9));
        assert_eq!((count(&graph, "BatchNormalization"), count(&graph, "Relu")), (57, 57));
        // The last pool, of 2x2, meets 5 rows: they become 3.
        let graph = checkpoint().graph_at("googlenet", ImageSize::Fixed(80, 80)).unwrap();
        assert_eq!(dims(&graph, "inception4e.branch1.conv"), "batch,2,5,5");
        assert_eq!(dims(&graph, "inception5a.branch1.conv"), "batch,2,3,3");
        // The least that torchvision takes: the third pool, of 3x3, meets 2 rows.
        let graph = checkpoint().graph_at("googlenet", ImageSize::Fixed(15, 15)).unwrap();
        assert_eq!(dims(&graph, "inception3b.branch1.conv"), "batch,2,2,2");
        assert_eq!(dims(&graph, "inception4a.branch1.conv"), "batch,2,1,1");
    }

    #[test]
    fn the_image_size_can_be_free() {
        let graph = checkpoint().graph_at("googlenet", ImageSize::Any).unwrap();
        let halved = |side: &str| format!("ceil((floor(({side} - 1)/2) - 2)/2) + 1");
        assert_eq!(dims(&graph, "conv2.conv"), format!("batch,5,{},{}", halved("height"), halved("width")));
        assert_eq!(dims(&graph, "logits"), "batch,11");
    }

    #[test]
    fn published_weights_want_another_normalisation() {
        let numbers = |name: &str| {
            let graph = checkpoint().graph("googlenet").unwrap();
            let (_, value) = graph.values().find(|(_, value)| value.name == name).unwrap();
            value.constant().unwrap().to_f32_vec().unwrap()
        };
        // torch: 0.229 / 0.5 and (0.485 - 0.5) / 0.5, and so on, in double precision, then rounded.
        assert_eq!(numbers("input_scale"), [0.458, 0.448, 0.45]);
        assert_eq!(numbers("input_shift"), [-0.03, -0.088, -0.188]);
        let graph = checkpoint().graph("googlenet_untransformed").unwrap();
        assert_eq!(count(&graph, "Mul") + count(&graph, "Add"), 0);
    }

    #[test]
    fn whether_the_input_is_transformed_is_not_guessed() {
        let found = recognise(&checkpoint().weights(), |_| true);
        let Recognised::Several(names) = found else { panic!("{found:?}") };
        assert_eq!(names, ["googlenet", "googlenet_untransformed"]);
    }

    #[test]
    fn auxiliary_classifiers_are_not_used_and_anything_else_has_to_be() {
        let mut full = checkpoint();
        basic(&mut full, "aux1.conv", &[4, 14, 1, 1]);
        full.layer("aux1.fc1", &[9, 64]).layer("aux2.fc2", &[11, 9]);
        assert_eq!(full.graph("googlenet").unwrap().nodes, checkpoint().graph("googlenet").unwrap().nodes);
        let error = full.layer("aux3.fc", &[1, 1]).graph("googlenet").unwrap_err().to_string();
        assert!(error.contains("aux3.fc.weight") && !error.contains("aux1"), "{error}");
        let error = full.without("inception4c.branch3.1").graph("googlenet").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"inception4c.branch3.1.conv.weight\"");
    }
}
