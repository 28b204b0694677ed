//! The blocks that families share, with the weight names of `torch.nn`.

mod attention;
mod conv;
mod dense;
mod excitation;
mod inverted;
mod position;
mod tokens;
mod windows;

pub use attention::{Attention, Similarity, attend};
pub use conv::{
    Activation, EPSILON, activate, batch_norm, conv, conv_act, conv_bn, conv_bn_act, same_window,
};
pub use dense::{layer_norm, linear, perceptron};
pub use excitation::squeeze_excitation;
pub use inverted::{InvertedResidual, inverted_residual};
pub use position::{relative_bias, relative_table};
pub use tokens::{Place, Tokens, line_by_line, moved, taken};
pub use windows::{Windows, grid_places};
