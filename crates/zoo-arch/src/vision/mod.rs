//! Image classifiers. Input: `[batch, 3, height, width]`, normalised; output: `logits` `[batch, classes]`.

mod alexnet;
mod convnext;
mod densenet;
mod efficientnet;
mod googlenet;
mod inception_v3;
mod maxvit;
mod mnasnet;
mod mobilenet_v2;
pub(crate) mod mobilenet_v3;
mod regnet;
pub(crate) mod resnet;
mod shufflenet_v2;
mod squeezenet;
mod swin;
mod vgg;
mod vit;

use crate::network::Network;

/// Every family.
pub(crate) const FAMILIES: &[&[Network]] = &[
    alexnet::NETWORKS,
    convnext::NETWORKS,
    densenet::NETWORKS,
    efficientnet::NETWORKS,
    googlenet::NETWORKS,
    inception_v3::NETWORKS,
    maxvit::NETWORKS,
    mnasnet::NETWORKS,
    mobilenet_v2::NETWORKS,
    mobilenet_v3::NETWORKS,
    regnet::NETWORKS,
    resnet::NETWORKS,
    shufflenet_v2::NETWORKS,
    squeezenet::NETWORKS,
    swin::NETWORKS,
    vgg::NETWORKS,
    vit::NETWORKS,
];
