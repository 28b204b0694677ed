//! Vision Transformer (Dosovitskiy et al., 2020), and DeiT (Touvron et al., 2020), which has a second token in front, for what it
//! learned from a teacher.

use zoo_graph::{Builder, Val, Weights};

use super::encoder::{Layers, Names};
use super::heads::{features, output, reconstruction};
use super::patches::{Patches, Positions};
use super::pixels::{fixed_size, pixels};
use crate::nn::{Filter, activate_by_name, linear};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "vit",
        prefix: "vit",
        classes: &[
            class!("ViTModel", FeatureExtraction, |g, m| model(g, m, &["cls_token"])),
            class!("ViTForImageClassification", ImageClassification, |g, m| {
                let x = encoded(g, m, &["cls_token"], Some(1))?;
                Ok(output("logits", linear(g, &m.top.at("classifier"), x.rows)?))
            }),
            class!("ViTForMaskedImageModeling", MaskedImageModeling, |g, m| {
                let x = encoded(g, m, &["cls_token"], None)?;
                let x = x.map(g, 1)?;
                reconstruction(g, &m.top.at("decoder"), x, m.config.size(&["encoder_stride"], 16)?)
            }),
        ],
        heads: HEADS,
        unused,
    },
    Architecture {
        model_type: "deit",
        prefix: "deit",
        classes: &[
            class!("DeiTModel", FeatureExtraction, |g, m| model(g, m, DISTILLED)),
            class!("DeiTForImageClassification", ImageClassification, |g, m| {
                let x = encoded(g, m, DISTILLED, Some(1))?;
                Ok(output("logits", linear(g, &m.top.at("classifier"), x.rows)?))
            }),
            class!("DeiTForImageClassificationWithTeacher", ImageClassification, with_teacher),
            class!("DeiTForMaskedImageModeling", MaskedImageModeling, |g, m| {
                let x = encoded(g, m, DISTILLED, None)?;
                // The library takes the class away in front and a patch at the end, so that the other token stands for one.
                let x = x.map(g, 1)?;
                reconstruction(g, &m.top.at("decoder"), x, m.config.size(&["encoder_stride"], 16)?)
            }),
        ],
        heads: HEADS,
        unused,
    },
];

const HEADS: &[&str] = &["classifier", "cls_classifier", "distillation_classifier", "decoder"];

/// The tokens in front of DeiT's patches.
const DISTILLED: &[&str] = &["cls_token", "distillation_token"];

/// The names of a layer.
const NAMES: Names = Names {
    norms: ["layernorm_before", "layernorm_after"],
    parts: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    out: "attention.output.dense",
    dense: ["intermediate.dense", "output.dense"],
    scales: ["", ""],
};

/// Which patches are hidden is no input, and the token that stands for them therefore not used.
fn unused(path: &str) -> bool {
    path == "embeddings.mask_token" || path.starts_with("pooler.")
}

/// Tokens behind the last norm: all, or the first ones. `before` names the tokens in front of the patches.
fn encoded(g: &mut Builder, m: &Model<'_>, before: &[&str], needed: Option<usize>) -> Result<Patches> {
    let layers = Layers::of(m.config, &NAMES, (12, 12, 1e-12, "gelu"))?;
    let w = m.base.at("embeddings");
    let projection = w.at("patch_embeddings.projection");
    let image = pixels(g, &projection, fixed_size(m, m.config)?)?;
    let patch = m.config.pair("patch_size", 16)?;
    let x = Patches::cut(g, &projection, image, patch, before.len())?;
    let grid = Positions::grid(m.config.pair("image_size", 224)?, patch);
    let positions = Positions { before: before.len(), grid, filter: Filter::Cubic };
    let positions = positions.table(g, &w, "position_embeddings", x.grid)?;
    // The tokens in front are the same for every image, and come with the positions.
    let mut front = Vec::with_capacity(before.len());
    for name in before {
        let width = g.size(positions, 2)?;
        front.push(g.weight_of(&w, name, &[1, 1, width])?);
    }
    let front = g.concat(&front, 0)?;
    let front = g.pad(front, &[0, 0, 0], &[x.tokens - before.len(), 0, 0])?;
    let added = g.add(positions, front)?;
    let x = x.plus(g, added)?;
    let x = layers.run(g, &m.base.at("encoder.layer"), x, needed)?;
    layers.norm(g, &m.base.at("layernorm"), x)
}

/// The bare model. Checkpoints of classifiers have no pooler.
fn model(g: &mut Builder, m: &Model<'_>, before: &[&str]) -> Result<Outputs> {
    let x = encoded(g, m, before, None)?;
    let pooled = match m.base.find("pooler") {
        Some(w) => Some(pooled(g, m, &w.at("dense"), &x)?),
        None => None,
    };
    Ok(features(x.sequence(g)?, pooled))
}

/// The first token through a dense layer and a nonlinearity: `[batch, width]`.
fn pooled(g: &mut Builder, m: &Model<'_>, w: &Weights, x: &Patches) -> Result<Val> {
    let first = x.token(g, 0)?;
    let y = linear(g, w, first)?;
    activate_by_name(g, m.config.word(&["pooler_act"], "tanh")?, y)
}

/// The mean of what two heads say, each about its token.
fn with_teacher(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, DISTILLED, Some(2))?;
    let class = x.token(g, 0)?;
    let class = linear(g, &m.top.at("cls_classifier"), class)?;
    let teacher = x.token(g, 1)?;
    let teacher = linear(g, &m.top.at("distillation_classifier"), teacher)?;
    let sum = g.add(class, teacher)?;
    let half = g.float("half", 0.5);
    let logits = g.mul(sum, half)?;
    Ok(output("logits", logits))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{built, graph, layer, refusal};
    use crate::image::ImageSize;
    use crate::testing::{Checkpoint, count, dims};

    /// Two layers of width 8 with four patches of 6x6.
    fn checkpoint(head: &str) -> Checkpoint {
        let mut c = Checkpoint::default();
        c.tensor("vit.embeddings.cls_token", &[1, 1, 8])
            .tensor("vit.embeddings.position_embeddings", &[1, 5, 8]);
        c.layer("vit.embeddings.patch_embeddings.projection", &[8, 1, 6, 6]);
        layer(&mut c, "vit.encoder.layer.0", 8);
        layer(&mut c, "vit.encoder.layer.1", 8);
        c.layer("vit.layernorm", &[8]);
        c.layer(head, &[7, 8]);
        c
    }

    fn config() -> Value {
        json!({"model_type": "vit", "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 12, "patch_size": 6})
    }

    #[test]
    fn classifiers_finish_the_last_layer_for_the_class_alone() {
        let g = graph(&checkpoint("classifier"), &config(), "ViTForImageClassification").unwrap();
        assert_eq!(dims(&g, "pixel_values"), "batch_size,1,12,12");
        assert_eq!(dims(&g, "vit.encoder.layer.0.output.dense"), "5*batch_size,8");
        assert_eq!(dims(&g, "vit.encoder.layer.1.output.dense"), "batch_size,8");
        assert_eq!((dims(&g, "logits").as_str(), count(&g, "Gemm")), ("batch_size,7", 2 * 6 + 1));
    }

    #[test]
    fn a_pooler_is_used_where_there_is_one() {
        let c = checkpoint("classifier");
        let b = built(&c, &config(), "ViTModel", None).unwrap();
        assert_eq!((b.graphs[0].1.outputs.len(), b.left_out), (1, vec!["classifier".to_owned()]));
        let g = graph(&checkpoint("vit.pooler.dense"), &config(), "ViTModel").unwrap();
        assert_eq!(
            (dims(&g, "last_hidden_state"), dims(&g, "pooler_output")),
            ("batch_size,5,8".into(), "batch_size,7".into())
        );
        let error = refusal(&checkpoint("vit.pooler.dense"), &config(), "ViTForImageClassification", None);
        assert!(error.contains("\"classifier.weight\""), "{error}");
    }

    #[test]
    fn positions_are_for_the_configured_size_and_stretched_for_another() {
        let c = checkpoint("classifier");
        let of = |size| built(&c, &config(), "ViTForImageClassification", size);
        let g = of(Some(ImageSize::Fixed(18, 24))).unwrap().graphs.remove(0).1;
        assert_eq!(dims(&g, "vit.embeddings.position_embeddings[3x4]"), "13,1,8");
        let mut other = config();
        other["image_size"] = json!(18);
        let error = refusal(&c, &other, "ViTForImageClassification", None);
        assert!(error.contains("has the shape [1, 5, 8], the network needs [10, 1, 8]"), "{error}");
        let free = of(Some(ImageSize::Any)).unwrap_err().to_string();
        assert!(free.contains("laid out for a fixed height and width"), "{free}");
        let huge = of(Some(ImageSize::Fixed(6000, 6000))).unwrap_err().to_string();
        assert!(huge.contains("1000x1000 patches are more than 16384"), "{huge}");
    }
}
