//! AlexNet (Krizhevsky et al., 2012; 2014 for this variant), with the weight names of torchvision.
//!
//! torchvision follows "One weird trick for parallelizing convolutional neural networks": one tower, no local response
//! normalisation.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Result, Val, Weights};

use crate::network::Network;
use crate::nn::{Activation, conv_act, perceptron};

pub(super) const NETWORKS: &[Network] = &[Network::classifier("alexnet", 224, build)];

fn build(g: &mut Builder, w: &Weights, image: Val) -> Result<Vec<(&'static str, Val)>> {
    let halving = Window::of(3).stride(2);
    let features = w.at("features");
    let relu = Activation::Relu;
    let x = conv_act(g, &features.at(0), image, Window::of(11).stride(4).pad(2), relu)?;
    let x = g.max_pool(x, halving)?;
    let x = conv_act(g, &features.at(3), x, Window::same(5), relu)?;
    let x = g.max_pool(x, halving)?;
    let x = conv_act(g, &features.at(6), x, Window::same(3), relu)?;
    let x = conv_act(g, &features.at(8), x, Window::same(3), relu)?;
    let x = conv_act(g, &features.at(10), x, Window::same(3), relu)?;
    let x = g.max_pool(x, halving)?;
    let x = g.adaptive_average_pool(x, (6, 6))?;
    let x = g.flatten(x)?;
    Ok(vec![("logits", perceptron(g, &w.at("classifier"), x, &[1, 4, 6])?)])
}

#[cfg(test)]
mod tests {
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint
            .layer("features.0", &[4, 3, 11, 11])
            .layer("features.3", &[5, 4, 5, 5])
            .layer("features.6", &[6, 5, 3, 3])
            .layer("features.8", &[7, 6, 3, 3])
            .layer("features.10", &[8, 7, 3, 3])
            .layer("classifier.1", &[9, 8 * 6 * 6])
            .layer("classifier.4", &[10, 9])
            .layer("classifier.6", &[11, 10]);
        checkpoint
    }

    #[test]
    fn every_stage_has_the_size_of_the_paper() {
        let graph = checkpoint().graph("alexnet").unwrap();
        assert_eq!(dims(&graph, "features.0"), "batch,4,55,55");
        assert_eq!(dims(&graph, "features.3"), "batch,5,27,27");
        assert_eq!(dims(&graph, "features.10"), "batch,8,13,13");
        assert_eq!(dims(&graph, "maxpool_2"), "batch,8,6,6");
        assert_eq!(dims(&graph, "logits"), "batch,11");
        // Five convolutions and two dense layers have a ReLU, the last one has none; nothing has to be pooled at this size.
        assert_eq!((count(&graph, "Relu"), count(&graph, "AveragePool"), count(&graph, "MatMul")), (7, 0, 0));
    }

    #[test]
    fn other_sizes_are_pooled_to_six_by_six_and_have_to_be_fixed() {
        let graph = checkpoint().graph_at("alexnet", ImageSize::Fixed(96, 72)).unwrap();
        assert_eq!(count(&graph, "MatMul"), 2, "one averaging matrix for each axis");
        let error = checkpoint().graph_at("alexnet", ImageSize::Any).unwrap_err().to_string();
        assert!(error.contains("to 6x6 needs a fixed image size"), "{error}");
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = checkpoint().without("features.8.weight").graph("alexnet").unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint has no tensor \"features.8.weight\"");
    }
}
