//! The blocks that families share, with the weight names of `torch.nn`.

mod activation;
mod alibi;
mod attention;
mod buckets;
mod conv;
mod dense;
mod excitation;
mod heads;
mod inverted;
mod maps;
mod position;
mod resample;
mod rope_scaling;
mod rotary;
mod text;
mod tokens;
mod windows;

pub use activation::activate_by_name;
pub use alibi::{alibi_bias, alibi_slopes};
pub use attention::{Attention, Similarity, attend, attend_each};
pub use buckets::{Buckets, bucket_bias};
pub use conv::{
    Activation, EPSILON, activate, batch_norm, conv, conv_act, conv_bn, conv_bn_act, same_window,
};
pub use dense::{layer_norm, linear, linear_rows, perceptron, rms_norm};
pub use excitation::squeeze_excitation;
pub use heads::{Rows, Scores, attention, join_heads, padding_bias, split_heads};
pub use inverted::{InvertedResidual, inverted_residual};
pub use maps::{linear_map, norm_map};
pub use position::{relative_bias, relative_table};
pub use resample::{Filter, resample};
pub use rope_scaling::{Rope, RopeDefaults};
pub use rotary::{inverse_frequencies, rotary_tables, rotary_tables_of, rotate, rotate_interleaved};
pub use text::{
    TextInputs, batch_size, first_token, fold_rows, places_behind_padding, sequence_length, text_inputs,
    unfold_rows,
};
pub use tokens::{Place, Tokens, line_by_line, moved, taken};
pub use windows::{Windows, grid_places};
