//! What CLIP and its descendants have in common: a tower of layers for images, one for texts, and how well their vectors fit.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::{DType, Dim};

use crate::config::Config;
use crate::nn::{
    Filter, Rows, Scores, attention, fold_rows, join_heads, layer_norm, sequence_length, split_heads,
    unfold_rows,
};
use crate::transformers::vision::{Layers, Names, Patches, Positions, fixed_size, pixels};
use crate::transformers::{Model, Outputs, Result};

/// The names of a layer in both towers.
pub(super) const NAMES: Names = Names {
    norms: ["layer_norm1", "layer_norm2"],
    parts: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    out: "self_attn.out_proj",
    dense: ["mlp.fc1", "mlp.fc2"],
    scales: ["", ""],
};

/// Texts behind a tower, before its last norm.
pub(super) struct Texts {
    /// `[batch*sequence, width]`.
    pub(super) hidden: Val,
    pub(super) rows: Rows,
    /// The numbers of tokens, `[batch, sequence]`.
    pub(super) ids: Val,
}

/// The input `input_ids`, `i64` `[batch, sequence_length]`.
pub(super) fn text_input(g: &mut Builder, name: &str, batch: &str) -> Result<Val> {
    Ok(g.input(name, DType::I64, [Dim::Named(batch.to_owned()), sequence_length()])?)
}

/// The tower of texts `w`; `bias` is added to scores.
pub(super) fn texts(
    g: &mut Builder,
    w: &Weights,
    layers: &Layers,
    ids: Val,
    bias: Option<Val>,
) -> Result<Texts> {
    let rows = Rows { batch: g.dims(ids)[0].clone(), sequence: sequence_length() };
    let embeddings = w.at("embeddings");
    let table = g.weight(&embeddings, "token_embedding.weight")?;
    let words = g.embedding(table, ids)?;
    let table = g.weight(&embeddings, "position_embedding.weight")?;
    let places = g.positions(&rows.sequence)?;
    let places = g.embedding(table, places)?;
    let x = g.add(words, places)?;
    let mut x = fold_rows(g, x)?;
    for layer in 0..layers.count {
        let w = w.at(format_args!("encoder.layers.{layer}"));
        let mut heads = Vec::with_capacity(3);
        for part in layers.parts(g, &w, x)? {
            heads.push(split_heads(g, part, &rows, layers.heads)?);
        }
        let head = g.size(heads[0], 3)?;
        let mixed = attention(g, heads[0], heads[1], heads[2], Scores::scaled(head, bias))?;
        let mixed = join_heads(g, mixed)?;
        x = layers.finish(g, &w, x, mixed)?;
    }
    Ok(Texts { hidden: x, rows, ids })
}

impl Texts {
    /// All tokens behind the norm `final_layer_norm`: `[batch, sequence, width]`.
    pub(super) fn hidden_state(&self, g: &mut Builder, w: &Weights, layers: &Layers) -> Result<Val> {
        let x = layer_norm(g, &w.at("final_layer_norm"), self.hidden, layers.epsilon)?;
        Ok(unfold_rows(g, x, &self.rows)?)
    }
}

/// The input `pixel_values`, and its patches with their positions, behind a class if there is a `class_embedding`.
pub(super) fn patches(
    g: &mut Builder,
    m: &Model<'_>,
    w: &Weights,
    config: &Config,
    patch: usize,
) -> Result<Patches> {
    let w = w.at("embeddings");
    let projection = w.at("patch_embedding");
    let image = pixels(g, &projection, fixed_size(m, config)?)?;
    let patch = config.size(&["patch_size"], patch)?;
    let has_class = w.has("class_embedding");
    let x = Patches::cut(g, &projection, image, (patch, patch), usize::from(has_class))?;
    let size = config.size(&["image_size"], 224)?;
    let grid = Positions::grid((size, size), (patch, patch));
    let positions = Positions { before: x.before, grid, filter: Filter::Cubic };
    let mut added = positions.table(g, &w, "position_embedding.weight", x.grid)?;
    if has_class {
        let width = g.size(added, 2)?;
        let class = g.weight_as(&w, "class_embedding", &[1, 1, width])?;
        let class = g.pad(class, &[0, 0, 0], &[x.tokens - 1, 0, 0])?;
        added = g.add(added, class)?;
    }
    x.plus(g, added)
}

/// How well images fit texts: `images` `[images, width]`, `texts` `[texts, width]`. Cosines are multiplied by the exponential of
/// `logit_scale`, and `logit_bias` is added where there is one.
pub(super) fn contrast(g: &mut Builder, w: &Weights, images: Val, texts: Val) -> Result<Outputs> {
    let images = unit_length(g, images)?;
    let texts = unit_length(g, texts)?;
    let turned = g.transpose(images, &[1, 0])?;
    let cosines = g.matmul(texts, turned)?;
    let scale = g.weight_as(w, "logit_scale", &[])?;
    let scale = g.exp(scale)?;
    let mut per_text = g.mul(cosines, scale)?;
    if w.has("logit_bias") {
        let bias = g.weight_as(w, "logit_bias", &[])?;
        per_text = g.add(per_text, bias)?;
    }
    let per_image = g.transpose(per_text, &[1, 0])?;
    Ok(outputs([
        ("logits_per_image", per_image),
        ("logits_per_text", per_text),
        ("text_embeds", texts),
        ("image_embeds", images),
    ]))
}

fn unit_length(g: &mut Builder, x: Val) -> Result<Val> {
    let length = g.reduce_l2(x, &[-1], true)?;
    Ok(g.div(x, length)?)
}

/// Some outputs in their order.
pub(super) fn outputs<const N: usize>(named: [(&str, Val); N]) -> Outputs {
    named.map(|(name, val)| (name.to_owned(), val)).to_vec()
}
