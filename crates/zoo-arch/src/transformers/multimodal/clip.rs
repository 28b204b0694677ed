//! CLIP (Radford et al., 2021): images and texts as vectors of one space.
//!
//! Its towers are models of their own, `clip_vision_model` and `clip_text_model`, whose checkpoints have the same names; those of the whole
//! serve for them, too.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use super::towers::{NAMES, Texts, contrast, outputs, patches, text_input, texts};
use crate::config::Config;
use crate::nn::{layer_norm, linear, padding_bias, sequence_length, unfold_rows};
use crate::transformers::vision::{Layers, Patches, output};
use crate::transformers::{Architecture, Class, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "clip",
        prefix: "",
        classes: &[
            class!("CLIPModel", ZeroShotImageClassification, zero_shot),
            class!("CLIPForImageClassification", ImageClassification, classification),
            TEXT,
            TEXT_PROJECTED,
            VISION,
            VISION_PROJECTED,
        ],
        heads: HEADS,
        unused,
    },
    Architecture {
        model_type: "clip_text_model",
        prefix: "",
        classes: &[TEXT, TEXT_PROJECTED],
        heads: HEADS,
        unused,
    },
    Architecture {
        model_type: "clip_vision_model",
        prefix: "",
        classes: &[VISION, VISION_PROJECTED],
        heads: HEADS,
        unused,
    },
];

const TEXT: Class = class!("CLIPTextModel", FeatureExtraction, |g, m| {
    let (hidden, pooled) = text_features(g, m)?;
    Ok(outputs([("last_hidden_state", hidden), ("pooler_output", pooled)]))
});

const TEXT_PROJECTED: Class = class!("CLIPTextModelWithProjection", FeatureExtraction, |g, m| {
    let (hidden, pooled) = text_features(g, m)?;
    let embeds = linear(g, &m.top.at("text_projection"), pooled)?;
    Ok(outputs([("text_embeds", embeds), ("last_hidden_state", hidden)]))
});

const VISION: Class = class!("CLIPVisionModel", FeatureExtraction, |g, m| {
    let (hidden, pooled) = image_features(g, m)?;
    Ok(outputs([("last_hidden_state", hidden), ("pooler_output", pooled)]))
});

const VISION_PROJECTED: Class = class!("CLIPVisionModelWithProjection", FeatureExtraction, |g, m| {
    let (hidden, pooled) = image_features(g, m)?;
    let embeds = linear(g, &m.top.at("visual_projection"), pooled)?;
    Ok(outputs([("image_embeds", embeds), ("last_hidden_state", hidden)]))
});

const HEADS: &[&str] = &["text_projection", "visual_projection", "logit_scale", "classifier"];

fn unused(_: &str) -> bool {
    false
}

/// The configuration of one tower within that of the whole. Old files have a second one, `text_config_dict`, before which the other
/// gives way altogether.
fn section(config: &Config, name: &str) -> Config {
    let dictionary = format!("{name}_dict");
    if config.has(&dictionary) { config.at(&dictionary) } else { config.at(name) }
}

/// The configuration of a tower that is asked for alone, be it that of the whole's checkpoint or its own.
fn alone(m: &Model<'_>, name: &str) -> Config {
    if m.config.model_type() == Some("clip") { m.config.at(name) } else { m.config.clone() }
}

struct TextTower {
    layers: Layers,
    /// The token whose vector is the text's.
    end: i64,
}

impl TextTower {
    fn of(config: &Config) -> Result<Self> {
        let layers = Layers::of(config, &NAMES, (12, 8, 1e-5, "quick_gelu"))?;
        Ok(Self { layers, end: config.token("eos_token_id")?.unwrap_or(49_407) })
    }

    /// The tower: a token sees itself and those before it, apart from padding, if there is a mask.
    fn run(&self, g: &mut Builder, w: &Weights, ids: Val, mask: Option<Val>) -> Result<Texts> {
        let mut bias = backward_bias(g)?;
        if let Some(mask) = mask {
            let padding = padding_bias(g, mask)?;
            bias = g.add(padding, bias)?;
        }
        texts(g, w, &self.layers, ids, Some(bias))
    }

    /// Where each text ends: `i64` `[batch]`. Configurations of the first checkpoints give a wrong token, 2, for which the library takes
    /// the one with the largest number.
    fn ends(&self, g: &mut Builder, ids: Val) -> Result<Val> {
        let marks = if self.end == 2 {
            g.cast(ids, DType::I32)?
        } else {
            let end = g.int("eos_token_id", self.end);
            let is_end = g.equal(ids, end)?;
            g.cast(is_end, DType::I32)?
        };
        Ok(g.arg_max(marks, -1, false)?)
    }
}

/// What is added to scores so that tokens do not see later ones: `[1, 1, sequence, sequence]`, the smallest `f32` where a key comes later.
fn backward_bias(g: &mut Builder) -> Result<Val> {
    let places = g.positions(&sequence_length())?;
    let queries = g.unsqueeze(places, 1)?;
    let is_later = g.greater(places, queries)?;
    let (least, zero) = (g.float("least", f32::MIN), g.float("zero", 0.0));
    let bias = g.select(is_later, least, zero)?;
    let bias = g.unsqueeze(bias, 0)?;
    Ok(g.unsqueeze(bias, 0)?)
}

/// `last_hidden_state` and `pooler_output` of texts. Like optimum's, the graph has no attention mask: what stands behind the end of a
/// text is not seen from it.
fn text_features(g: &mut Builder, m: &Model<'_>) -> Result<(Val, Val)> {
    m.top.at("vision_model").ignore(|_| true);
    let tower = TextTower::of(&alone(m, "text_config"))?;
    let w = m.base.at("text_model");
    let ids = text_input(g, "input_ids", "batch_size")?;
    let x = tower.run(g, &w, ids, None)?;
    let hidden = x.hidden_state(g, &w, &tower.layers)?;
    let ends = tower.ends(g, x.ids)?;
    Ok((hidden, g.pick_each(hidden, ends)?))
}

/// Images behind all layers; only the class, if no more is needed.
fn image_tower(
    g: &mut Builder,
    m: &Model<'_>,
    config: &Config,
    needed: Option<usize>,
) -> Result<(Patches, Layers)> {
    let w = m.base.at("vision_model");
    let layers = Layers::of(config, &NAMES, (12, 12, 1e-5, "quick_gelu"))?;
    let x = patches(g, m, &w, config, 32)?;
    // Sic.
    let x = layers.norm(g, &w.at("pre_layrnorm"), x)?;
    let x = layers.run(g, &w.at("encoder.layers"), x, needed)?;
    Ok((x, layers))
}

/// The class behind the last norm: `[batch, width]`.
fn pooled(g: &mut Builder, m: &Model<'_>, x: &Patches, layers: &Layers) -> Result<Val> {
    let class = x.token(g, 0)?;
    Ok(layer_norm(g, &m.base.at("vision_model.post_layernorm"), class, layers.epsilon)?)
}

/// `last_hidden_state` and `pooler_output` of images.
fn image_features(g: &mut Builder, m: &Model<'_>) -> Result<(Val, Val)> {
    m.top.at("text_model").ignore(|_| true);
    let (x, layers) = image_tower(g, m, &alone(m, "vision_config"), None)?;
    let pooled = pooled(g, m, &x, &layers)?;
    Ok((x.sequence(g)?, pooled))
}

/// How well images fit texts.
fn zero_shot(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let ids = text_input(g, "input_ids", "text_batch_size")?;
    let (x, layers) = image_tower(g, m, &section(m.config, "vision_config"), Some(1))?;
    let mask = text_input(g, "attention_mask", "text_batch_size")?;
    let image = pooled(g, m, &x, &layers)?;
    let image = linear(g, &m.top.at("visual_projection"), image)?;

    let tower = TextTower::of(&section(m.config, "text_config"))?;
    let w = m.base.at("text_model");
    let x = tower.run(g, &w, ids, Some(mask))?;
    // Only the ends of texts are needed behind the last layer.
    let hidden = unfold_rows(g, x.hidden, &x.rows)?;
    let ends = tower.ends(g, x.ids)?;
    let text = g.pick_each(hidden, ends)?;
    let text = layer_norm(g, &w.at("final_layer_norm"), text, tower.layers.epsilon)?;
    let text = linear(g, &m.top.at("text_projection"), text)?;
    contrast(g, &m.top, image, text)
}

/// The mean of the patches, without a norm, through a dense layer.
fn classification(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    m.top.at("text_model").ignore(|_| true);
    m.base.at("vision_model.post_layernorm").ignore(|_| true);
    let (x, _) = image_tower(g, m, &section(m.config, "vision_config"), None)?;
    let mean = x.mean(g)?;
    Ok(output("logits", linear(g, &m.top.at("classifier"), mean)?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::task::Task;
    use crate::testing::{Checkpoint, count};
    use crate::transformers::find;
    use crate::transformers::vision::testing::{built, graph, refusal};

    /// A text tower of width 8 and an image tower of width 6 with four patches, of no layers.
    fn checkpoint() -> Checkpoint {
        let mut c = Checkpoint::default();
        c.bare("text_model.embeddings.token_embedding", &[11, 8])
            .bare("text_model.embeddings.position_embedding", &[9, 8]);
        c.layer("text_model.final_layer_norm", &[8]).bare("text_projection", &[5, 8]);
        c.tensor("vision_model.embeddings.class_embedding", &[6])
            .bare("vision_model.embeddings.patch_embedding", &[6, 3, 4, 4]);
        c.bare("vision_model.embeddings.position_embedding", &[5, 6]);
        c.layer("vision_model.pre_layrnorm", &[6]).layer("vision_model.post_layernorm", &[6]);
        c.bare("visual_projection", &[5, 6]).tensor("logit_scale", &[]);
        c
    }

    fn config(end: i64) -> Value {
        json!({
            "model_type": "clip", "text_config": {"num_hidden_layers": 0, "eos_token_id": end},
            "vision_config": {"num_hidden_layers": 0, "image_size": 8, "patch_size": 4}
        })
    }

    #[test]
    fn texts_end_at_the_largest_number_in_old_configurations() {
        for (end, comparisons) in [(2, 0), (7, 1)] {
            let g = graph(&checkpoint(), &config(end), "CLIPTextModel").unwrap();
            assert_eq!((count(&g, "ArgMax"), count(&g, "Equal")), (1, comparisons));
        }
        // The second dictionary takes the place of the first, with its own defaults.
        let mut old = config(2);
        old["text_config_dict"] = json!({"num_hidden_layers": 0});
        assert_eq!(count(&graph(&checkpoint(), &old, "CLIPModel").unwrap(), "Equal"), 1);
    }

    #[test]
    fn a_tower_alone_leaves_the_other() {
        let b = built(&checkpoint(), &config(7), "CLIPVisionModelWithProjection", None).unwrap();
        assert_eq!(b.left_out, ["logit_scale", "text_projection"]);
        let inputs: Vec<&str> =
            b.graphs[0].1.inputs.iter().map(|&input| b.graphs[0].1.value(input).name.as_str()).collect();
        assert_eq!(inputs, ["pixel_values"]);
        let error = refusal(&checkpoint().without("text_projection"), &config(7), "CLIPModel", None);
        assert!(error.contains("\"text_projection.weight\""), "{error}");
    }

    #[test]
    fn comparing_makes_features_too() {
        let first = |task| find("clip").unwrap().classes_for(task).next().unwrap().name;
        assert_eq!(
            (first(Task::FeatureExtraction), first(Task::ZeroShotImageClassification)),
            ("CLIPModel", "CLIPModel")
        );
        assert_eq!(first(Task::ImageClassification), "CLIPForImageClassification");
    }
}
