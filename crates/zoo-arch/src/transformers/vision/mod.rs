//! Models of images, with the names of the transformers library.

mod beit;
mod convnext;
mod detr;
mod detr_backbone;
mod detr_masks;
mod dinov2;
mod encoder;
mod heads;
mod patches;
mod pixels;
mod resnet;
mod segformer;
mod swin;
#[cfg(test)]
pub(super) mod testing;
mod uper;
mod vit;

use super::Architecture;

pub(super) use encoder::{Layers, Names};
pub(super) use heads::output;
pub(super) use patches::{Patches, Positions};
pub(super) use pixels::{fixed_size, pixels};

pub(super) const FAMILIES: &[&[Architecture]] = &[
    vit::ARCHITECTURES,
    dinov2::ARCHITECTURES,
    convnext::ARCHITECTURES,
    resnet::ARCHITECTURES,
    swin::ARCHITECTURES,
    beit::ARCHITECTURES,
    segformer::ARCHITECTURES,
    detr::ARCHITECTURES,
];
