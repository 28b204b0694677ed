//! SegFormer (Xie et al., 2021): attention to fewer places than there are, no positions, and a decoder of dense layers.
//!
//! Feature maps stay as convolutions have them: dense layers are 1x1 convolutions, and heads are read off the channels, so that
//! images may have any size.

use zoo_graph::ops::{Coordinates, Interpolation, Window};
use zoo_graph::{Builder, Val, Weights};

use super::heads::output;
use super::pixels::{any_size, pixels};
use crate::config::Config;
use crate::nn::{EPSILON, activate_by_name, batch_norm, conv, linear, linear_map, norm_map};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "segformer",
    prefix: "segformer",
    classes: &[
        class!("SegformerModel", FeatureExtraction, model),
        class!("SegformerForSemanticSegmentation", SemanticSegmentation, segmented),
        class!("SegformerForImageClassification", ImageClassification, |g, m| {
            let stages = encoded(g, m)?;
            let mean = g.global_average_pool(last(&stages, m)?)?;
            let mean = g.flatten(mean)?;
            Ok(output("logits", linear(g, &m.top.at("classifier"), mean)?))
        }),
    ],
    heads: &["classifier", "decode_head"],
    unused: |_| false,
}];

/// What the configuration says of each stage.
struct Stage {
    depth: usize,
    heads: usize,
    /// How many places along each axis become one that is looked at.
    reduction: usize,
    patch: usize,
    stride: usize,
}

impl Stage {
    fn all(config: &Config) -> Result<Vec<Self>> {
        let count = config.size(&["num_encoder_blocks"], 4)?;
        let depths = config.sizes("depths", &[2, 2, 2, 2])?;
        let heads = config.sizes("num_attention_heads", &[1, 2, 5, 8])?;
        let reductions = config.sizes("sr_ratios", &[8, 4, 2, 1])?;
        let patches = config.sizes("patch_sizes", &[7, 3, 3, 3])?;
        let strides = config.sizes("strides", &[4, 2, 2, 2])?;
        let of_each = depths.iter().zip(&heads).zip(&reductions).zip(&patches).zip(&strides);
        let stage = |((((&depth, &heads), &reduction), &patch), &stride)| Self {
            depth,
            heads,
            reduction,
            patch,
            stride,
        };
        let stages: Vec<Self> = of_each.take(count).map(stage).collect();
        if stages.len() < count { Ok(config.unsupported("num_encoder_blocks")?) } else { Ok(stages) }
    }
}

/// What each stage gives: `[batch, channels, height, width]`.
fn encoded(g: &mut Builder, m: &Model<'_>) -> Result<Vec<Val>> {
    let w = m.base.at("encoder");
    let activation = m.config.word(&["hidden_act"], "gelu")?;
    let mut x = pixels(g, &w.at("patch_embeddings.0.proj"), any_size(m))?;
    let mut maps = Vec::new();
    for (index, stage) in Stage::all(m.config)?.iter().enumerate() {
        let patches = w.at(format_args!("patch_embeddings.{index}"));
        let window = Window::of(stage.patch).stride(stage.stride).pad(stage.patch / 2);
        x = conv(g, &patches.at("proj"), x, window)?;
        g.show_lengths(x)?;
        // All norms add what is torch's usual, whatever the configuration says.
        x = norm_map(g, &patches.at("layer_norm"), x, EPSILON)?;
        for layer in 0..stage.depth {
            x = stage.layer(g, &w.at(format_args!("block.{index}.{layer}")), x, activation)?;
        }
        x = norm_map(g, &w.at(format_args!("layer_norm.{index}")), x, EPSILON)?;
        maps.push(x);
    }
    Ok(maps)
}

impl Stage {
    fn layer(&self, g: &mut Builder, w: &Weights, x: Val, activation: &str) -> Result<Val> {
        let y = norm_map(g, &w.at("layer_norm_1"), x, EPSILON)?;
        let y = self.attention(g, &w.at("attention"), y)?;
        let x = g.add(y, x)?;
        let y = norm_map(g, &w.at("layer_norm_2"), x, EPSILON)?;
        let y = linear_map(g, &w.at("mlp.dense1"), y)?;
        let y = conv(g, &w.at("mlp.dwconv.dwconv"), y, Window::same(3))?;
        let y = activate_by_name(g, activation, y)?;
        let y = linear_map(g, &w.at("mlp.dense2"), y)?;
        Ok(g.add(y, x)?)
    }

    /// Attention of all places to the reduced ones.
    fn attention(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let own = w.at("self");
        let dims = g.dims(x).to_vec();
        let queries = linear_map(g, &own.at("query"), x)?;
        let seen = if self.reduction > 1 {
            let seen = conv(g, &own.at("sr"), x, Window::of(self.reduction).stride(self.reduction))?;
            norm_map(g, &own.at("layer_norm"), seen, EPSILON)?
        } else {
            x
        };
        let keys = linear_map(g, &own.at("key"), seen)?;
        let values = linear_map(g, &own.at("value"), seen)?;
        let queries = self.heads_of(g, queries)?;
        let keys = self.heads_of(g, keys)?;
        let values = self.heads_of(g, values)?;
        // Features of a head stand above each other, places beside each other: [batch, heads, head, places].
        let head = g.size(queries, 2)?;
        let scale = g.float("attention_scale", 1.0 / (head as f32).sqrt());
        let queries = g.mul(queries, scale)?;
        let queries = g.transpose(queries, &[0, 1, 3, 2])?;
        let scores = g.matmul(queries, keys)?;
        let scores = g.softmax(scores, -1)?;
        let scores = g.transpose(scores, &[0, 1, 3, 2])?;
        let mixed = g.matmul(values, scores)?;
        let mixed = g.reshape(mixed, dims)?;
        Ok(linear_map(g, &w.at("output.dense"), mixed)?)
    }

    /// From `[batch, heads*head, height, width]` to `[batch, heads, head, height*width]`.
    fn heads_of(&self, g: &mut Builder, x: Val) -> Result<Val> {
        let x = g.join_axes(x, 2, 4)?;
        let dims = g.dims(x).to_vec();
        let head = g.size(x, 1)? / self.heads.max(1);
        Ok(g.reshape(x, [dims[0].clone(), self.heads.into(), head.into(), dims[2].clone()])?)
    }
}

/// What the last stage gives.
fn last(stages: &[Val], m: &Model<'_>) -> Result<Val> {
    match stages.last() {
        Some(&last) => Ok(last),
        None => Ok(m.config.unsupported("num_encoder_blocks")?),
    }
}

/// The bare model: a feature map, or, in an older form, a sequence of places.
fn model(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let stages = encoded(g, m)?;
    let mut x = last(&stages, m)?;
    if !m.config.flag("reshape_last_stage", true)? {
        x = g.join_axes(x, 2, 4)?;
        x = g.transpose(x, &[0, 2, 1])?;
    }
    Ok(output("last_hidden_state", x))
}

/// `logits` `[batch, labels, height/4, width/4]`: every stage in as many channels, at the size of the first.
fn segmented(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    if !m.config.flag("reshape_last_stage", true)? {
        return Ok(m.config.unsupported("reshape_last_stage")?);
    }
    let w = m.top.at("decode_head");
    let mut parts = Vec::new();
    let stages = encoded(g, m)?;
    for (index, &stage) in stages.iter().enumerate() {
        let x = linear_map(g, &w.at(format_args!("linear_c.{index}.proj")), stage)?;
        parts.push(g.resize_like(x, stages[0], Interpolation::Linear, Coordinates::HalfPixel)?);
    }
    parts.reverse();
    let x = g.concat(&parts, 1)?;
    let x = conv(g, &w.at("linear_fuse"), x, Window::of(1))?;
    let x = batch_norm(g, &w.at("batch_norm"), x, EPSILON)?;
    let x = g.relu(x)?;
    let x = conv(g, &w.at("classifier"), x, Window::of(1))?;
    Ok(output("logits", x))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, refusal};
    use crate::testing::{Checkpoint, count, dims};

    #[test]
    fn maps_stay_maps_and_sizes_are_free() {
        let mut c = Checkpoint::default();
        c.layer("encoder.patch_embeddings.0.proj", &[8, 3, 7, 7])
            .layer("encoder.patch_embeddings.0.layer_norm", &[8]);
        let at = |module: &str| format!("encoder.block.0.0.{module}");
        for part in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            c.layer(at(part), &[8, 8]);
        }
        c.layer(at("attention.self.sr"), &[8, 8, 2, 2]).layer(at("attention.self.layer_norm"), &[8]);
        c.layer(at("layer_norm_1"), &[8]).layer(at("layer_norm_2"), &[8]);
        c.layer(at("mlp.dense1"), &[16, 8])
            .layer(at("mlp.dwconv.dwconv"), &[16, 1, 3, 3])
            .layer(at("mlp.dense2"), &[8, 16]);
        c.layer("encoder.layer_norm.0", &[8]);
        let mut config = json!({
            "model_type": "segformer", "num_encoder_blocks": 1, "depths": [1], "num_attention_heads": [2], "sr_ratios": [2]
        });
        let g = graph(&c, &config, "SegformerModel").unwrap();
        let map = "batch_size,8,floor((height - 1)/4) + 1,floor((width - 1)/4) + 1";
        assert_eq!(
            (dims(&g, "last_hidden_state").as_str(), count(&g, "Conv"), count(&g, "Gemm")),
            (map, 9, 0)
        );
        config["reshape_last_stage"] = json!(false);
        let error = refusal(&c, &config, "SegformerForSemanticSegmentation", None);
        assert!(error.contains("`reshape_last_stage` = false"), "{error}");
        config["num_encoder_blocks"] = json!(2);
        assert!(refusal(&c, &config, "SegformerModel", None).contains("`num_encoder_blocks` = 2"));
    }
}
