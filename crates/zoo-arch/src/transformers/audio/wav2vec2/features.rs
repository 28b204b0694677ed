//! From samples to frames: convolutions, a projection, and where frames stand.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Error as GraphError, Val, Weights};
use zoo_tensor::{DType, Dim, Tensor, Weight};

use crate::config::Config;
use crate::nn::{
    Rows, activate_by_name, batch_norm, batch_size, conv, fold_rows, layer_norm, linear, sequence_length,
    unfold_rows,
};
use crate::transformers::{Model, Result};

/// `torch.nn.LayerNorm`'s and `GroupNorm`'s own, which configurations do not say.
const EPSILON: f32 = 1e-5;

/// The input `input_values` `[batch_size, sequence_length]` as frames: rows as wide as the encoder.
pub(super) fn frames(g: &mut Builder, m: &Model<'_>, epsilon: f32) -> Result<(Val, Rows)> {
    let samples = g.input("input_values", DType::F32, [batch_size(), sequence_length()])?;
    let x = g.unsqueeze(samples, 1)?;
    let x = convolved(g, m.config, &m.base.at("feature_extractor.conv_layers"), x)?;
    g.show_lengths(x)?;
    let rows = Rows { batch: batch_size(), sequence: g.dims(x)[1].clone() };
    let mut x = fold_rows(g, x)?;
    let w = m.base.at("feature_projection");
    if m.config.flag("feat_proj_layer_norm", true)? {
        x = layer_norm(g, &w.at("layer_norm"), x, epsilon)?;
    }
    Ok((linear(g, &w.at("projection"), x)?, rows))
}

/// Samples `[batch, 1, samples]` through convolutions; gives `[batch, frames, channels]`.
fn convolved(g: &mut Builder, config: &Config, w: &Weights, mut x: Val) -> Result<Val> {
    let kernels = config.sizes("conv_kernel", &[10, 3, 3, 3, 3, 2, 2])?;
    let strides = config.sizes("conv_stride", &[5, 2, 2, 2, 2, 2, 2])?;
    if kernels.len() != strides.len() || kernels.is_empty() {
        return Ok(config.unsupported("conv_kernel")?);
    }
    let by_layer = match config.word(&["feat_extract_norm"], "group")? {
        "layer" => true,
        "group" => false,
        _ => return Ok(config.unsupported("feat_extract_norm")?),
    };
    let activation = config.word(&["feat_extract_activation"], "gelu")?;
    let last = kernels.len() - 1;
    for (layer, (&kernel, &stride)) in kernels.iter().zip(&strides).enumerate() {
        let w = w.at(layer);
        x = conv(g, &w.at("conv"), x, Window::of(kernel).stride(stride))?;
        if by_layer {
            // Channels come last for their norm, and stay there behind the last convolution.
            x = g.transpose(x, &[0, 2, 1])?;
            x = layer_norm(g, &w.at("layer_norm"), x, EPSILON)?;
        } else if layer == 0 {
            let norm = w.at("layer_norm");
            let (scale, bias) = (g.weight(&norm, "weight")?, g.weight(&norm, "bias")?);
            x = g.instance_norm(x, scale, bias, EPSILON)?;
        }
        x = activate_by_name(g, activation, x)?;
        if by_layer != (layer == last) {
            x = g.transpose(x, &[0, 2, 1])?;
        }
    }
    Ok(x)
}

/// Frames, as rows, with where they stand: a convolution over some of their neighbours, added to them.
pub(super) fn placed(g: &mut Builder, config: &Config, w: &Weights, x: Val, rows: &Rows) -> Result<Val> {
    let kernel = config.size(&["num_conv_pos_embeddings"], 128)?;
    let width = g.size(x, 1)?;
    let y = unfold_rows(g, x, rows)?;
    let mut y = g.transpose(y, &[0, 2, 1])?;
    let own = w.at("conv");
    let weight = if config.flag("conv_pos_batch_norm", false)? {
        y = batch_norm(g, &w.at("batch_norm"), y, EPSILON)?;
        g.weight(&own, "weight")?
    } else {
        normed_weight(g, &own)?
    };
    let groups = config.size(&["num_conv_pos_embedding_groups"], 16)?;
    if g.size(weight, 1)?.checked_mul(groups) != Some(width) {
        return Ok(config.unsupported("num_conv_pos_embedding_groups")?);
    }
    let bias = g.weight_if(&own, "bias")?;
    let y = g.conv(y, weight, bias, Window::of(kernel).pad(kernel / 2))?;
    // An even kernel makes one frame too many.
    let y = if kernel.is_multiple_of(2) { g.slice(y, 2, 0, Some(-1))? } else { y };
    let y = activate_by_name(g, config.word(&["feat_extract_activation"], "gelu")?, y)?;
    let y = g.transpose(y, &[0, 2, 1])?;
    let y = fold_rows(g, y)?;
    Ok(g.add(x, y)?)
}

/// The weight of a convolution `[out, in, kernel]` that is kept as its direction and its length at each place of the kernel (Salimans
/// and Kingma, 2016): `length · direction / |direction|`.
fn normed_weight(g: &mut Builder, w: &Weights) -> Result<Val> {
    let w = w.at("parametrizations.weight");
    let length = w.take("original0")?;
    let direction = w.take("original1")?;
    let shape = direction.weight.shape().to_vec();
    let places = shape.last().copied().unwrap_or_default();
    if shape.len() != 3 || direction.weight.is_empty() {
        return Err(
            GraphError::WeightShape { name: direction.name, found: shape, expected: vec![1, 1, 1] }.into()
        );
    }
    if length.weight.shape() != [1, 1, places] {
        let found = length.weight.shape().to_vec();
        return Err(GraphError::WeightShape { name: length.name, found, expected: vec![1, 1, places] }.into());
    }
    let lengths = length.weight.to_tensor()?.to_f64_vec()?;
    let mut values = direction.weight.to_tensor()?.to_f32_vec()?;
    let mut squares = vec![0.0_f64; places];
    for row in values.chunks_exact(places) {
        squares.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value).powi(2));
    }
    let factors: Vec<f64> = lengths.iter().zip(&squares).map(|(length, sum)| length / sum.sqrt()).collect();
    for row in values.chunks_exact_mut(places) {
        row.iter_mut().zip(&factors).for_each(|(value, factor)| *value = (f64::from(*value) * factor) as f32);
    }
    let name = direction.name.replace("parametrizations.weight.original1", "weight");
    Ok(g.derived(&name, Weight::from(Tensor::from_slice(shape, &values)?)))
}

/// How many frames there are, as rows say, when some were joined: `x` `[batch, frames, width]` becomes rows.
pub(super) fn refold(g: &mut Builder, x: Val) -> Result<(Val, Rows)> {
    g.show_lengths(x)?;
    let dims: Vec<Dim> = g.dims(x).to_vec();
    let rows = Rows { batch: dims[0].clone(), sequence: dims[1].clone() };
    Ok((fold_rows(g, x)?, rows))
}

#[cfg(test)]
mod tests {
    use zoo_graph::graph::Source;

    use super::*;

    fn weight(shape: &[usize], values: &[f32]) -> Weight {
        Tensor::from_slice(shape, values).unwrap().into()
    }

    #[test]
    fn directions_get_their_lengths() {
        let direction = weight(&[2, 1, 2], &[3.0, 1.0, 4.0, 0.0]);
        let length = |shape: &[usize]| weight(shape, &[10.0, -2.0]);
        let named = |length| {
            let parts = [("original0", length), ("original1", direction.clone())];
            let named = parts.map(|(name, weight)| (format!("conv.parametrizations.weight.{name}"), weight));
            Weights::new(named).unwrap().at("conv")
        };
        let mut g = Builder::new("g", 18).unwrap();
        let made = normed_weight(&mut g, &named(length(&[1, 1, 2]))).unwrap();
        g.output("y", made).unwrap();
        let graph = g.finish().unwrap();
        let (_, value) = graph.values().find(|(_, value)| value.name == "conv.weight").unwrap();
        let Source::Weight(weight) = &value.source else { panic!("{value:?}") };
        assert_eq!(weight.to_tensor().unwrap().to_f32_vec().unwrap(), [6.0, -2.0, 8.0, 0.0]);

        let mut g = Builder::new("g", 18).unwrap();
        let error = normed_weight(&mut g, &named(length(&[2, 1, 1]))).unwrap_err().to_string();
        assert!(error.contains("original0") && error.contains("[1, 1, 2]"), "{error}");
    }
}
