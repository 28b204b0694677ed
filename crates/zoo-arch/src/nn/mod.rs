//! The blocks that families share, with the weight names of `torch.nn`.

mod attention;
mod conv;
mod dense;
mod excitation;

pub use attention::{Heads, attend};
pub use conv::{Activation, EPSILON, activate, batch_norm, conv, conv_bn, conv_bn_act};
pub use dense::{layer_norm, linear};
pub use excitation::squeeze_excitation;
