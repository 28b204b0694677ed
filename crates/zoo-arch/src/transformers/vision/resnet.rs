//! ResNet (He et al., 2015), which strides on its 3x3 convolutions unless told otherwise.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};

use super::heads::{features, output};
use super::pixels::{any_size, pixels};
use crate::config::Config;
use crate::nn::{activate_by_name, conv_bn, linear};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "resnet",
    prefix: "resnet",
    classes: &[
        class!("ResNetModel", FeatureExtraction, |g, m| {
            let map = encoded(g, m)?;
            let pooled = g.global_average_pool(map)?;
            Ok(features(map, Some(pooled)))
        }),
        class!("ResNetForImageClassification", ImageClassification, |g, m| {
            let map = encoded(g, m)?;
            let pooled = g.global_average_pool(map)?;
            let pooled = g.flatten(pooled)?;
            Ok(output("logits", linear(g, &m.top.at("classifier.1"), pooled)?))
        }),
    ],
    heads: &["classifier"],
    unused: |_| false,
}];

/// A convolution and the batch norm behind it.
const NAMES: (&str, &str) = ("convolution", "normalization");

fn encoded(g: &mut Builder, m: &Model<'_>) -> Result<Val> {
    let net = ResNet::of(m.config)?;
    let image = pixels(g, &m.base.at("embedder.embedder.convolution"), any_size(m))?;
    let (x, stages) = net.stages(g, &m.base, image)?;
    Ok(stages.last().copied().unwrap_or(x))
}

/// What the configuration says.
pub(super) struct ResNet {
    depths: Vec<usize>,
    bottleneck: bool,
    activation: String,
    strides_first_stage: bool,
    strides_first_convolution: bool,
}

impl ResNet {
    pub(super) fn of(config: &Config) -> Result<Self> {
        let bottleneck = match config.word(&["layer_type"], "bottleneck")? {
            "bottleneck" => true,
            "basic" => false,
            _ => return Ok(config.unsupported("layer_type")?),
        };
        Ok(Self {
            depths: config.sizes("depths", &[3, 4, 6, 3])?,
            bottleneck,
            activation: config.word(&["hidden_act"], "relu")?.to_owned(),
            strides_first_stage: config.flag("downsample_in_first_stage", false)?,
            strides_first_convolution: config.flag("downsample_in_bottleneck", false)?,
        })
    }

    /// What the stem gives, and each stage.
    pub(super) fn stages(&self, g: &mut Builder, w: &Weights, image: Val) -> Result<(Val, Vec<Val>)> {
        let x = conv_bn(g, &w.at("embedder.embedder"), NAMES, image, Window::same(7).stride(2))?;
        let x = activate_by_name(g, &self.activation, x)?;
        let stem = g.max_pool(x, Window::same(3).stride(2))?;
        let (mut x, mut stages) = (stem, Vec::new());
        for (stage, &depth) in self.depths.iter().enumerate() {
            for layer in 0..depth {
                let strides = layer == 0 && (stage > 0 || self.strides_first_stage);
                let w = w.at(format_args!("encoder.stages.{stage}.layers.{layer}"));
                x = self.block(g, &w, x, if strides { 2 } else { 1 })?;
            }
            stages.push(x);
        }
        Ok((stem, stages))
    }

    fn block(&self, g: &mut Builder, w: &Weights, x: Val, stride: usize) -> Result<Val> {
        let (k1, k3) = (Window::of(1), Window::same(3));
        let windows: &[Window] = match (self.bottleneck, self.strides_first_convolution) {
            (false, _) => &[k3.stride(stride), k3],
            (true, false) => &[k1, k3.stride(stride), k1],
            (true, true) => &[k1.stride(stride), k3, k1],
        };
        let mut y = x;
        for (index, &window) in windows.iter().enumerate() {
            if index > 0 {
                // Whatever the configuration says: its activation is that of stem and sums.
                y = g.relu(y)?;
            }
            y = conv_bn(g, &w.at(format_args!("layer.{index}")), NAMES, y, window)?;
        }
        let shortcut = match w.find("shortcut") {
            Some(w) => conv_bn(g, &w, NAMES, x, k1.stride(stride))?,
            None => x,
        };
        let sum = g.add(y, shortcut)?;
        activate_by_name(g, &self.activation, sum)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, refusal};
    use crate::testing::{Checkpoint, count, dims};

    #[test]
    fn maps_of_images_of_any_size() {
        let mut c = Checkpoint::default();
        let mut unit = |module: &str, shape: &[usize]| {
            c.bare(format_args!("{module}.convolution"), shape)
                .norm(format_args!("{module}.normalization"), shape[0]);
        };
        unit("embedder.embedder", &[4, 1, 7, 7]);
        unit("encoder.stages.0.layers.0.layer.0", &[4, 4, 3, 3]);
        unit("encoder.stages.0.layers.0.layer.1", &[4, 4, 3, 3]);
        let mut config = json!({"model_type": "resnet", "layer_type": "basic", "depths": [1]});
        let g = graph(&c, &config, "ResNetModel").unwrap();
        assert_eq!(dims(&g, "pixel_values"), "batch_size,1,height,width");
        assert_eq!(
            (dims(&g, "pooler_output").as_str(), count(&g, "BatchNormalization")),
            ("batch_size,4,1,1", 3)
        );
        config["layer_type"] = json!("deep");
        assert!(refusal(&c, &config, "ResNetModel", None).contains("`layer_type` = \"deep\""));
    }
}
