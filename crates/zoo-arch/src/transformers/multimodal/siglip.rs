//! SigLIP (Zhai et al., 2023), and the checkpoints of SigLIP 2 (Tschannen et al., 2025) for a fixed size of image: CLIP with a loss for
//! each pair alone. Images become vectors by attention of a learned query, texts by their last token; padding is trained with, and there
//! is no mask.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::Dim;

use super::towers::{NAMES, contrast, outputs, patches, text_input, texts};
use crate::config::Config;
use crate::nn::{activate_by_name, layer_norm, linear};
use crate::transformers::vision::{Layers, Patches, output};
use crate::transformers::{Architecture, Class, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "siglip",
        prefix: "",
        classes: &[
            class!("SiglipModel", ZeroShotImageClassification, zero_shot),
            class!("SiglipForImageClassification", ImageClassification, classification),
            TEXT,
            VISION,
        ],
        heads: HEADS,
        unused,
    },
    Architecture { model_type: "siglip_text_model", prefix: "", classes: &[TEXT], heads: HEADS, unused },
    Architecture { model_type: "siglip_vision_model", prefix: "", classes: &[VISION], heads: HEADS, unused },
];

const TEXT: Class = class!("SiglipTextModel", FeatureExtraction, |g, m| {
    m.top.at("vision_model").ignore(|_| true);
    let ids = text_input(g, "input_ids", "batch_size")?;
    let (hidden, pooled) = text_features(g, m, &alone(m, "text_config"), ids)?;
    Ok(outputs([("last_hidden_state", hidden), ("pooler_output", pooled)]))
});

const VISION: Class = class!("SiglipVisionModel", FeatureExtraction, |g, m| {
    m.top.at("text_model").ignore(|_| true);
    let config = alone(m, "vision_config");
    let (x, layers) = image_features(g, m, &config)?;
    let mut outputs = output("last_hidden_state", x.sequence(g)?);
    if config.flag("vision_use_head", true)? {
        outputs.push(("pooler_output".to_owned(), pooled(g, &m.base.at("vision_model.head"), &x, &layers)?));
    }
    Ok(outputs)
});

const HEADS: &[&str] = &["logit_scale", "logit_bias", "classifier"];

fn unused(_: &str) -> bool {
    false
}

/// The configuration of a tower that is asked for alone, be it that of the whole's checkpoint or its own.
fn alone(m: &Model<'_>, name: &str) -> Config {
    if m.config.model_type() == Some("siglip") { m.config.at(name) } else { m.config.clone() }
}

/// The values that both towers have by default.
const DEFAULTS: (usize, usize, f64, &str) = (12, 12, 1e-6, "gelu_pytorch_tanh");

/// All tokens behind the last norm, `[batch, sequence, width]`, and the last one through a dense layer, `[batch, projection]`.
fn text_features(g: &mut Builder, m: &Model<'_>, config: &Config, ids: Val) -> Result<(Val, Val)> {
    let w = m.base.at("text_model");
    let layers = Layers::of(config, &NAMES, DEFAULTS)?;
    let x = texts(g, &w, &layers, ids, None)?;
    let hidden = x.hidden_state(g, &w, &layers)?;
    let last = g.pick(hidden, 1, -1)?;
    Ok((hidden, linear(g, &w.at("head"), last)?))
}

/// Images behind the last norm.
fn image_features(g: &mut Builder, m: &Model<'_>, config: &Config) -> Result<(Patches, Layers)> {
    let w = m.base.at("vision_model");
    let layers = Layers::of(config, &NAMES, DEFAULTS)?;
    let x = patches(g, m, &w, config, 16)?;
    let x = layers.run(g, &w.at("encoder.layers"), x, None)?;
    Ok((layers.norm(g, &w.at("post_layernorm"), x)?, layers))
}

/// Attention of one learned query to all patches, and dense layers: `[batch, width]`.
fn pooled(g: &mut Builder, w: &Weights, x: &Patches, layers: &Layers) -> Result<Val> {
    let width = g.size(x.rows, 1)?;
    let head = width / layers.heads.max(1);
    let own = w.at("attention");
    let probe = g.weight_as(w, "probe", &[1, width])?;
    let query = {
        let weight = g.weight_rows(&own, "in_proj_weight", 0, width)?;
        let bias = g.weight_rows(&own, "in_proj_bias", 0, width)?;
        g.gemm(probe, weight, Some(bias))?
    };
    let scale = g.float("attention_scale", 1.0 / (head as f32).sqrt());
    let query = g.mul(query, scale)?;
    let query = g.reshape(query, [1, layers.heads, 1, head])?;

    let both = {
        let weight = g.weight_rows(&own, "in_proj_weight", width, 2 * width)?;
        let bias = g.weight_rows(&own, "in_proj_bias", width, 2 * width)?;
        g.gemm(x.rows, weight, Some(bias))?
    };
    let apart = [x.tokens.into(), x.batch.clone(), (2 * layers.heads).into(), head.into()];
    let both = g.reshape(both, apart)?;
    let parts = g.split(both, 2, &[layers.heads; 2])?;
    let keys = g.transpose(parts[0], &[1, 2, 3, 0])?;
    let values = g.transpose(parts[1], &[1, 2, 0, 3])?;
    let scores = g.matmul(query, keys)?;
    let scores = g.softmax(scores, -1)?;
    let mixed = g.matmul(scores, values)?;
    let mixed = g.reshape(mixed, [x.batch.clone(), Dim::Fixed(width)])?;
    let mixed = linear(g, &own.at("out_proj"), mixed)?;

    let y = layer_norm(g, &w.at("layernorm"), mixed, layers.epsilon)?;
    let y = linear(g, &w.at("mlp.fc1"), y)?;
    let y = activate_by_name(g, &layers.activation, y)?;
    let y = linear(g, &w.at("mlp.fc2"), y)?;
    Ok(g.add(mixed, y)?)
}

/// How well images fit texts.
fn zero_shot(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let ids = text_input(g, "input_ids", "text_batch_size")?;
    let (x, layers) = image_features(g, m, &m.config.at("vision_config"))?;
    let image = pooled(g, &m.base.at("vision_model.head"), &x, &layers)?;
    let (_, text) = text_features(g, m, &m.config.at("text_config"), ids)?;
    contrast(g, &m.top, image, text)
}

/// The mean of the patches through a dense layer.
fn classification(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    m.top.at("text_model").ignore(|_| true);
    m.base.at("vision_model.head").ignore(|_| true);
    let (x, _) = image_features(g, m, &m.config.at("vision_config"))?;
    let mean = x.mean(g)?;
    Ok(output("logits", linear(g, &m.top.at("classifier"), mean)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Checkpoint, count, dims};
    use crate::transformers::vision::testing::graph;

    #[test]
    fn packed_projections_are_taken_as_ranges_of_rows() {
        let mut c = Checkpoint::default();
        c.layer("vision_model.embeddings.patch_embedding", &[6, 3, 4, 4]);
        c.bare("vision_model.embeddings.position_embedding", &[4, 6])
            .layer("vision_model.post_layernorm", &[6]);
        let at = |module: &str| format!("vision_model.head.{module}");
        c.tensor(at("probe"), &[1, 1, 6]).tensor(at("attention.in_proj_weight"), &[18, 6]);
        c.tensor(at("attention.in_proj_bias"), &[18]).layer(at("attention.out_proj"), &[6, 6]);
        c.layer(at("layernorm"), &[6]).layer(at("mlp.fc1"), &[8, 6]).layer(at("mlp.fc2"), &[6, 8]);
        let mut config = json!({
            "model_type": "siglip_vision_model", "num_hidden_layers": 0, "num_attention_heads": 2, "image_size": 8, "patch_size": 4
        });
        let g = graph(&c, &config, "SiglipVisionModel").unwrap();
        assert_eq!(dims(&g, "vision_model.head.attention.in_proj_weight[0:6]"), "6,6");
        assert_eq!(dims(&g, "vision_model.head.attention.in_proj_weight[6:18]"), "12,6");
        assert_eq!((dims(&g, "pooler_output").as_str(), count(&g, "Gemm")), ("batch_size,6", 5));
        config["vision_use_head"] = json!(false);
        assert!(graph(&c.without("vision_model.head"), &config, "SiglipVisionModel").is_ok());
    }
}
