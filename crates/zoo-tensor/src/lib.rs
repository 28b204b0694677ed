//! zoo-tensor
