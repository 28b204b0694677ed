//! Video classifiers. Input: `[batch, 3, frames, height, width]`, normalised; output: `logits` `[batch, classes]`.

mod resnet;
mod s3d;

use zoo_graph::ops::Window;

use crate::network::Network;

/// Every family.
pub(crate) const FAMILIES: &[&[Network]] = &[resnet::NETWORKS, s3d::NETWORKS];

/// A window within a frame, padded such that it keeps the frame's size but for its stride.
fn spatial(kernel: usize, stride: usize) -> Window {
    let pad = kernel / 2;
    Window::of_axes([1, kernel, kernel]).stride([1, stride, stride]).pad([0, pad, pad])
}

/// A window over frames at one place, padded such that it keeps their number but for its stride.
fn temporal(kernel: usize, stride: usize) -> Window {
    Window::of_axes([kernel, 1, 1]).stride([stride, 1, 1]).pad([kernel / 2, 0, 0])
}
