//! Heads that models of images have in common.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::Dim;

use crate::nn::conv;
use crate::transformers::{Error, Outputs, Result};

/// The outputs of one name.
pub(in crate::transformers) fn output(name: &str, val: Val) -> Outputs {
    vec![(name.to_owned(), val)]
}

/// `last_hidden_state`, and `pooler_output` where there is one.
pub(super) fn features(hidden: Val, pooled: Option<Val>) -> Outputs {
    let mut outputs = output("last_hidden_state", hidden);
    outputs.extend(pooled.map(|pooled| ("pooler_output".to_owned(), pooled)));
    outputs
}

/// `reconstruction` `[batch, channels, height, width]` of masked image modeling (Xie et al., 2021): a 1x1 convolution `0`, whose
/// channels then become squares of pixels of this side.
pub(super) fn reconstruction(g: &mut Builder, w: &Weights, x: Val, side: usize) -> Result<Outputs> {
    let x = conv(g, &w.at(0), x, Window::of(1))?;
    let dims = g.dims(x).to_vec();
    let (height, width) = (g.size(x, 2)?, g.size(x, 3)?);
    if height != width {
        return Error::unsupported("masked image modeling of images that are not square");
    }
    let channels = g.size(x, 1)?.checked_div(side * side).unwrap_or_default();
    let [channels, side] = [channels, side].map(Dim::Fixed);
    let x = g.reshape(
        x,
        [dims[0].clone(), channels.clone(), side.clone(), side.clone(), height.into(), width.into()],
    )?;
    let x = g.transpose(x, &[0, 1, 4, 2, 5, 3])?;
    let x = g.join_axes(x, 4, 6)?;
    Ok(output("reconstruction", g.join_axes(x, 2, 4)?))
}
