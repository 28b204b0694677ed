//! ConvNeXt (Liu et al., 2022), and its second version (Woo et al., 2023), in which channels compete instead of being scaled.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};

use super::heads::{features, output};
use super::pixels::{free_size, pixels};
use crate::nn::{activate_by_name, conv, layer_norm, linear, linear_map, norm_map};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "convnext",
        prefix: "convnext",
        classes: &[
            class!("ConvNextModel", FeatureExtraction, |g, m| {
                let (map, pooled) = encoded(g, m, Version::First)?;
                Ok(features(map, Some(pooled)))
            }),
            class!("ConvNextForImageClassification", ImageClassification, |g, m| {
                let (_, pooled) = encoded(g, m, Version::First)?;
                Ok(output("logits", linear(g, &m.top.at("classifier"), pooled)?))
            }),
        ],
        heads: &["classifier"],
        unused: |_| false,
    },
    Architecture {
        model_type: "convnextv2",
        prefix: "convnextv2",
        classes: &[
            class!("ConvNextV2Model", FeatureExtraction, |g, m| {
                let (map, pooled) = encoded(g, m, Version::Second)?;
                Ok(features(map, Some(pooled)))
            }),
            class!("ConvNextV2ForImageClassification", ImageClassification, |g, m| {
                let (_, pooled) = encoded(g, m, Version::Second)?;
                Ok(output("logits", linear(g, &m.top.at("classifier"), pooled)?))
            }),
        ],
        heads: &["classifier"],
        unused: |_| false,
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// What the norms within the network add to variances, whatever the configuration says: its value is for the last one.
const EPSILON: f32 = 1e-6;

struct ConvNext {
    version: Version,
    activation: String,
    /// Whether blocks of the first version have factors for what they add.
    scaled: bool,
}

/// The last feature map, `[batch, channels, height, width]`, and its mean behind a norm, `[batch, channels]`.
fn encoded(g: &mut Builder, m: &Model<'_>, version: Version) -> Result<(Val, Val)> {
    let net = ConvNext {
        version,
        activation: m.config.word(&["hidden_act"], "gelu")?.to_owned(),
        scaled: version == Version::First && m.config.number(&["layer_scale_init_value"], 1e-6)? > 0.0,
    };
    let w = m.base.at("embeddings");
    let image = pixels(g, &w.at("patch_embeddings"), free_size(m, m.config)?)?;
    let patch = m.config.size(&["patch_size"], 4)?;
    let x = conv(g, &w.at("patch_embeddings"), image, Window::of(patch).stride(patch))?;
    let mut x = norm_map(g, &w.at("layernorm"), x, EPSILON)?;
    let depths = m.config.sizes("depths", &[3, 3, 9, 3])?;
    for (stage, &depth) in depths.iter().take(m.config.size(&["num_stages"], 4)?).enumerate() {
        let w = m.base.at(format_args!("encoder.stages.{stage}"));
        if stage > 0 {
            x = norm_map(g, &w.at("downsampling_layer.0"), x, EPSILON)?;
            x = conv(g, &w.at("downsampling_layer.1"), x, Window::of(2).stride(2))?;
        }
        for layer in 0..depth {
            x = net.block(g, &w.at(format_args!("layers.{layer}")), x)?;
        }
    }
    let mean = g.global_average_pool(x)?;
    let mean = g.flatten(mean)?;
    let epsilon = m.config.epsilon("layer_norm_eps", 1e-12)?;
    Ok((x, layer_norm(g, &m.base.at("layernorm"), mean, epsilon)?))
}

impl ConvNext {
    fn block(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let y = conv(g, &w.at("dwconv"), x, Window::same(7))?;
        let y = norm_map(g, &w.at("layernorm"), y, EPSILON)?;
        let y = linear_map(g, &w.at("pwconv1"), y)?;
        let mut y = activate_by_name(g, &self.activation, y)?;
        if self.version == Version::Second {
            y = respond(g, &w.at("grn"), y)?;
        }
        let mut y = linear_map(g, &w.at("pwconv2"), y)?;
        if self.scaled {
            let channels = g.size(y, 1)?;
            let scale = g.weight_as(w, "layer_scale_parameter", &[channels, 1, 1])?;
            y = g.mul(y, scale)?;
        }
        Ok(g.add(x, y)?)
    }
}

/// Global response normalisation: a channel is multiplied by its length over the whole image, relative to the mean of all channels'.
fn respond(g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
    let channels = g.size(x, 1)?;
    let length = g.reduce_l2(x, &[2, 3], true)?;
    let mean = g.reduce_mean(length, &[1], true)?;
    let least = g.float("least_length", 1e-6);
    let mean = g.add(mean, least)?;
    let relative = g.div(length, mean)?;
    let y = g.mul(x, relative)?;
    let scale = g.weight_as(w, "weight", &[channels, 1, 1])?;
    let bias = g.weight_as(w, "bias", &[channels, 1, 1])?;
    let y = g.mul(y, scale)?;
    let y = g.add(y, bias)?;
    Ok(g.add(y, x)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::graph;
    use crate::testing::{Checkpoint, count, dims};

    #[test]
    fn dense_layers_are_convolutions_and_sizes_are_free_where_none_is_said() {
        let mut c = Checkpoint::default();
        c.layer("embeddings.patch_embeddings", &[4, 3, 4, 4]).layer("embeddings.layernorm", &[4]);
        let at = |module: &str| format!("encoder.stages.0.layers.0.{module}");
        c.layer(at("dwconv"), &[4, 1, 7, 7]).layer(at("layernorm"), &[4]);
        c.layer(at("pwconv1"), &[16, 4]).layer(at("pwconv2"), &[4, 16]);
        c.tensor(at("grn.weight"), &[1, 1, 1, 16])
            .tensor(at("grn.bias"), &[1, 1, 1, 16])
            .layer("layernorm", &[4]);
        let mut config = json!({"model_type": "convnextv2", "depths": [1]});
        let g = graph(&c, &config, "ConvNextV2Model").unwrap();
        assert_eq!((count(&g, "Conv"), count(&g, "Gemm")), (4, 0));
        assert_eq!(dims(&g, "pixel_values"), "batch_size,3,height,width");
        config["image_size"] = json!(32);
        let g = graph(&c, &config, "ConvNextV2Model").unwrap();
        assert_eq!(dims(&g, "last_hidden_state"), "batch_size,4,8,8");
    }
}
