//! Image classifiers. Input: `[batch, 3, height, width]`, normalised; output: `logits` `[batch, classes]`.

mod resnet;

use crate::network::Network;

/// Every family.
pub(crate) const FAMILIES: &[&[Network]] = &[resnet::NETWORKS];
