//! Semantic segmentation. Input: `[batch, 3, height, width]`, normalised; output: `out` `[batch, classes, height, width]`, and `aux`, of
//! the same shape, where the checkpoint has the head that training used beside it.
//!
//! The preprocessing of the published weights sets the shorter side alone and crops nothing. So the size of the image is free
//! unless one is asked for.

mod deeplabv3;
mod fcn;
mod lraspp;
#[cfg(test)]
mod testing;

use zoo_graph::ops::{Coordinates, Interpolation};
use zoo_graph::{Builder, Result, Val, Weights};

use crate::image::ImageSize;
use crate::network::{Build, Input, Network};
use crate::task::Task;

/// Every family.
pub(crate) const FAMILIES: &[&[Network]] = &[deeplabv3::NETWORKS, fcn::NETWORKS, lraspp::NETWORKS];

/// A network that labels pixels.
const fn segmenter(name: &'static str, build: Build) -> Network {
    Network {
        name,
        task: Task::SemanticSegmentation,
        input: Input::Image(ImageSize::Any),
        build,
        certain: |_| true,
        tied_size: |_| None,
    }
}

/// Feature maps of a backbone.
#[derive(Debug, Clone, Copy)]
struct Features {
    /// Finer ones from further up, for the second head.
    aux: Val,
    /// The last ones.
    out: Val,
}

/// From the weights of one head and the features that it reads to scores for each class.
type Head = fn(&mut Builder, &Weights, Val) -> Result<Val>;

/// `out` by the head `classifier`; and, where the checkpoint has it, `aux` by `aux_classifier`, which is that of an FCN whatever the
/// first one is. torchvision gives both in evaluation, too.
fn scores(
    g: &mut Builder,
    w: &Weights,
    image: Val,
    features: Features,
    classifier: Head,
) -> Result<Vec<(&'static str, Val)>> {
    let out = classifier(g, &w.at("classifier"), features.out)?;
    let mut outputs = vec![("out", enlarge(g, out, image)?)];
    if let Some(w) = w.find("aux_classifier") {
        let aux = fcn::head(g, &w, features.aux)?;
        outputs.push(("aux", enlarge(g, aux, image)?));
    }
    Ok(outputs)
}

/// Bilinear interpolation to the size of another value.
fn enlarge(g: &mut Builder, x: Val, like: Val) -> Result<Val> {
    g.resize_like(x, like, Interpolation::Linear, Coordinates::HalfPixel)
}
