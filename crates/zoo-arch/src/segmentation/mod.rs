//! Semantic segmentation. Input: `[batch, 3, height, width]`, normalised; output: `out` `[batch, classes, height, width]`, and `aux`, of
//! the same shape, where the checkpoint has the head that training used beside it.

use crate::network::Network;

/// Every family.
pub(crate) const FAMILIES: &[&[Network]] = &[];
