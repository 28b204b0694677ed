//! Video classifiers. Input: `[batch, 3, frames, height, width]`, normalised; output: `logits` `[batch, classes]`.

use crate::network::Network;

/// Every family.
pub(crate) const FAMILIES: &[&[Network]] = &[];
