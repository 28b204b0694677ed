//! DINOv2 (Oquab et al., 2023), and the same with registers: tokens without a meaning of their own (Darcet et al., 2023).
//!
//! It is trained on images of 518 pixels and used with others, whose positions are always made from its own by stretching: with
//! registers, the library smoothes them where they become fewer.

use zoo_graph::{Builder, Val};

use super::encoder::{Layers, Names};
use super::heads::{features, output};
use super::patches::{Patches, Positions};
use super::pixels::{fixed_size, pixels};
use crate::nn::{Filter, linear};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "dinov2",
        prefix: "dinov2",
        classes: &[
            class!("Dinov2Model", FeatureExtraction, |g, m| {
                let x = encoded(g, m, &PLAIN)?;
                let pooled = x.token(g, 0)?;
                Ok(features(x.sequence(g)?, Some(pooled)))
            }),
            class!("Dinov2ForImageClassification", ImageClassification, |g, m| {
                let x = encoded(g, m, &PLAIN)?;
                Ok(output("logits", classified(g, m, &x)?))
            }),
        ],
        heads: &["classifier"],
        unused: |path| path == "embeddings.mask_token",
    },
    Architecture {
        model_type: "dinov2_with_registers",
        prefix: "dinov2_with_registers",
        classes: &[
            class!("Dinov2WithRegistersModel", FeatureExtraction, |g, m| {
                let x = encoded(g, m, &WITH_REGISTERS)?;
                let pooled = x.token(g, 0)?;
                Ok(features(x.sequence(g)?, Some(pooled)))
            }),
            class!("Dinov2WithRegistersForImageClassification", ImageClassification, |g, m| {
                let x = encoded(g, m, &WITH_REGISTERS)?;
                Ok(output("logits", classified(g, m, &x)?))
            }),
        ],
        heads: &["classifier"],
        unused: |path| path == "embeddings.mask_token",
    },
];

/// In what the two differ.
struct Version {
    registers: bool,
    /// The side of patches where the configuration does not say it.
    patch: usize,
    filter: Filter,
}

const PLAIN: Version = Version { registers: false, patch: 14, filter: Filter::Cubic };
const WITH_REGISTERS: Version = Version { registers: true, patch: 16, filter: Filter::CubicAntialiased };

const NAMES: Names = Names {
    norms: ["norm1", "norm2"],
    parts: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    out: "attention.output.dense",
    dense: ["mlp.fc1", "mlp.fc2"],
    scales: ["layer_scale1.lambda1", "layer_scale2.lambda1"],
};

/// With gates, the dense layers have other names.
const GATED: Names = Names { dense: ["mlp.weights_in", "mlp.weights_out"], ..NAMES };

/// Tokens behind the last norm.
fn encoded(g: &mut Builder, m: &Model<'_>, version: &Version) -> Result<Patches> {
    let gated = m.config.flag("use_swiglu_ffn", false)?;
    let names = if gated { &GATED } else { &NAMES };
    let layers = Layers::of(m.config, names, (12, 12, 1e-6, "gelu"))?;
    let layers = Layers { scaled: true, gated, ..layers };
    let w = m.base.at("embeddings");
    let projection = w.at("patch_embeddings.projection");
    let image = pixels(g, &projection, fixed_size(m, m.config)?)?;
    let patch = m.config.pair("patch_size", version.patch)?;
    let registers = if version.registers { m.config.size(&["num_register_tokens"], 4)? } else { 0 };
    let size = m.config.pair("image_size", 224)?;
    if size.0 != size.1 {
        return Ok(m.config.unsupported("image_size")?);
    }
    let width = w.shape("cls_token")?.last().copied().unwrap_or_default();
    let class = g.weight_of(&w, "cls_token", &[1, 1, width])?;
    let (mut front, mut before) = (vec![class], 1);
    if registers > 0 {
        front.push(g.weight_as(&w, "register_tokens", &[registers, 1, width])?);
        before += registers;
    }
    let x = Patches::cut(g, &projection, image, patch, before)?;
    let positions = Positions { before: 1, grid: Positions::grid(size, patch), filter: version.filter };
    let positions = positions.table(g, &w, "position_embeddings", x.grid)?;
    let added = placed(g, positions, &front)?;
    let x = x.plus(g, added)?;
    let x = layers.run(g, &m.base.at("encoder.layer"), x, None)?;
    layers.norm(g, &m.base.at("layernorm"), x)
}

/// What is added to each token, `[tokens, 1, width]`: the class has a position, registers have none.
fn placed(g: &mut Builder, positions: Val, front: &[Val]) -> Result<Val> {
    let class = g.slice(positions, 0, 0, Some(1))?;
    let patches = g.slice(positions, 0, 1, None)?;
    let mut parts = vec![g.add(class, front[0])?];
    parts.extend(&front[1..]);
    parts.push(patches);
    Ok(g.concat(&parts, 0)?)
}

/// The class and the mean of the patches, beside each other, through a dense layer.
fn classified(g: &mut Builder, m: &Model<'_>, x: &Patches) -> Result<Val> {
    let class = x.token(g, 0)?;
    let mean = x.mean(g)?;
    let both = g.concat(&[class, mean], 1)?;
    Ok(linear(g, &m.top.at("classifier"), both)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::refusal;
    use crate::testing::Checkpoint;

    #[test]
    fn positions_are_those_of_a_square_and_registers_are_counted() {
        let mut c = Checkpoint::default();
        c.tensor("embeddings.cls_token", &[1, 1, 8]).tensor("embeddings.register_tokens", &[1, 3, 8]);
        c.layer("embeddings.patch_embeddings.projection", &[8, 3, 4, 4]);
        let mut config = json!({"model_type": "dinov2_with_registers", "image_size": 16, "patch_size": 4});
        let error = refusal(&c, &config, "Dinov2WithRegistersModel", None);
        assert!(error.contains("has the shape [1, 3, 8], the network needs [4, 1, 8]"), "{error}");
        config["image_size"] = json!([16, 32]);
        let error = refusal(&c, &config, "Dinov2WithRegistersModel", None);
        assert!(error.contains("`image_size` = [16,32]"), "{error}");
    }
}
