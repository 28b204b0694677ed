//! Vision Transformer (Dosovitskiy et al., 2020), and DeiT (Touvron et al., 2020), which has a second token in front, for what it
//! learned from a teacher.

use zoo_graph::{Builder, Val};

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
fn pooled(g: &mut Builder, m: &Model<'_>, w: &zoo_graph::Weights, x: &Patches) -> Result<Val> {
    let first = x.token(g, 0)?;
    let y = linear(g, w, first)?;
    activate_by_name(g, m.config.word(&["pooler_act"], "tanh")?, y)
}

/// The mean of what two heads say, each about its token. The library's class gives both as well.
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
