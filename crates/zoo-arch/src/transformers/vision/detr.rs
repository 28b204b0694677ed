//! DETR (Carion et al., 2020): a convolutional backbone, a transformer over its last feature map, and a fixed number of queries, each of
//! which becomes a box with a label, or nothing.
//!
//! Which pixels are padding is no input, as optimum has it: all are of the image.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::{DType, Dim};

use super::detr_backbone::feature_maps;
use super::detr_masks::masks;
use super::heads::output;
use super::pixels::any_size;
use crate::config::Config;
use crate::nn::{
    EPSILON, Rows, Scores, activate_by_name, attention, conv, fold_rows, join_heads, layer_norm, linear,
    perceptron, split_heads, unfold_rows,
};
use crate::transformers::{Architecture, Error, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "detr",
    prefix: "model",
    classes: &[
        class!("DetrModel", FeatureExtraction, |g, m| {
            let x = detected(g, m, &m.base)?;
            Ok(output("last_hidden_state", x.queries))
        }),
        class!("DetrForObjectDetection", ObjectDetection, |g, m| {
            let x = detected(g, m, &m.base)?;
            x.boxes(g, &m.top)
        }),
        class!("DetrForSegmentation", ImageSegmentation, |g, m| {
            let top = m.top.at("detr");
            let x = detected(g, m, &top.at("model"))?;
            let mut outputs = x.boxes(g, &top)?;
            outputs.push(("pred_masks".to_owned(), masks(g, m, &x)?));
            Ok(outputs)
        }),
    ],
    heads: &["class_labels_classifier", "bbox_predictor", "mask_head", "bbox_attention"],
    unused: |_| false,
}];

/// What the configuration says of the transformer.
struct Detr {
    encoder_layers: usize,
    decoder_layers: usize,
    encoder_heads: usize,
    decoder_heads: usize,
    activation: String,
}

impl Detr {
    fn of(config: &Config) -> Result<Self> {
        if config.flag("auxiliary_loss", false)? {
            return Ok(config.unsupported("auxiliary_loss")?);
        }
        if config.word(&["position_embedding_type"], "sine")? != "sine" {
            return Ok(config.unsupported("position_embedding_type")?);
        }
        Ok(Self {
            encoder_layers: config.size(&["encoder_layers"], 6)?,
            decoder_layers: config.size(&["decoder_layers"], 6)?,
            encoder_heads: config.size(&["encoder_attention_heads"], 8)?,
            decoder_heads: config.size(&["decoder_attention_heads"], 8)?,
            activation: config.word(&["activation_function"], "relu")?.to_owned(),
        })
    }
}

/// What the transformer found, and what it found it in.
pub(super) struct Detected {
    /// Behind the decoder: `[batch, queries, width]`.
    pub(super) queries: Val,
    /// Behind the encoder: `[batch, height*width, width]`.
    pub(super) memory: Val,
    /// What the encoder saw: `[batch, width, height, width]`.
    pub(super) seen: Val,
    /// The backbone's maps.
    pub(super) maps: Vec<Val>,
}

impl Detected {
    /// `logits` `[batch, queries, labels + 1]` and `pred_boxes` `[batch, queries, 4]`: centre, width and height, from 0 to 1.
    fn boxes(&self, g: &mut Builder, w: &Weights) -> Result<Outputs> {
        let mut outputs = output("logits", linear(g, &w.at("class_labels_classifier"), self.queries)?);
        let boxes = perceptron(g, &w.at("bbox_predictor.layers"), self.queries, &[0, 1, 2])?;
        outputs.push(("pred_boxes".to_owned(), g.sigmoid(boxes)?));
        Ok(outputs)
    }
}

fn detected(g: &mut Builder, m: &Model<'_>, w: &Weights) -> Result<Detected> {
    let detr = Detr::of(m.config)?;
    let maps = feature_maps(g, m.config, &w.at("backbone.conv_encoder.model"), any_size(m))?;
    let Some(&last) = maps.last() else { return Ok(m.config.unsupported("backbone_config")?) };
    let seen = conv(g, &w.at("input_projection"), last, Window::of(1))?;
    let places = sine(g, seen)?;
    let x = g.join_axes(seen, 2, 4)?;
    let mut x = g.transpose(x, &[0, 2, 1])?;
    g.show_lengths(x)?;
    for layer in 0..detr.encoder_layers {
        x = detr.encode(g, &w.at(format_args!("encoder.layers.{layer}")), x, places)?;
    }
    let memory = x;
    let placed = g.add(memory, places)?;

    let queries = g.weight(w, "query_position_embeddings.weight")?;
    let queries = g.unsqueeze(queries, 0)?;
    // Nothing is known of any object at first.
    let nothing = g.sub(queries, queries)?;
    let mut x = g.expand_batch(nothing, memory)?;
    for layer in 0..detr.decoder_layers {
        let w = w.at(format_args!("decoder.layers.{layer}"));
        x = detr.decode(g, &w, x, queries, [placed, memory])?;
    }
    let queries = layer_norm(g, &w.at("decoder.layernorm"), x, EPSILON)?;
    Ok(Detected { queries, memory, seen, maps })
}

impl Detr {
    fn encode(&self, g: &mut Builder, w: &Weights, x: Val, places: Val) -> Result<Val> {
        let placed = g.add(x, places)?;
        let y = attend(g, &w.at("self_attn"), [placed, placed, x], self.encoder_heads)?;
        let x = normed(g, &w.at("self_attn_layer_norm"), x, y)?;
        self.dense(g, w, x)
    }

    /// `seen` are keys and values from the encoder.
    fn decode(&self, g: &mut Builder, w: &Weights, x: Val, queries: Val, seen: [Val; 2]) -> Result<Val> {
        let asked = g.add(x, queries)?;
        let y = attend(g, &w.at("self_attn"), [asked, asked, x], self.decoder_heads)?;
        let x = normed(g, &w.at("self_attn_layer_norm"), x, y)?;
        let asked = g.add(x, queries)?;
        let y = attend(g, &w.at("encoder_attn"), [asked, seen[0], seen[1]], self.decoder_heads)?;
        let x = normed(g, &w.at("encoder_attn_layer_norm"), x, y)?;
        self.dense(g, w, x)
    }

    fn dense(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let y = linear(g, &w.at("fc1"), x)?;
        let y = activate_by_name(g, &self.activation, y)?;
        let y = linear(g, &w.at("fc2"), y)?;
        normed(g, &w.at("final_layer_norm"), x, y)
    }
}

fn normed(g: &mut Builder, w: &Weights, x: Val, y: Val) -> Result<Val> {
    let x = g.add(x, y)?;
    Ok(layer_norm(g, w, x, EPSILON)?)
}

/// Attention from what queries are made of to what keys and values are: `[batch, tokens, width]` each.
fn attend(g: &mut Builder, w: &Weights, from: [Val; 3], heads: usize) -> Result<Val> {
    let names = ["q_proj", "k_proj", "v_proj"];
    let mut parts = Vec::with_capacity(3);
    for (name, x) in names.into_iter().zip(from) {
        let rows = rows(g, x);
        let x = fold_rows(g, x)?;
        let x = linear(g, &w.at(name), x)?;
        parts.push(split_heads(g, x, &rows, heads)?);
    }
    let head = g.size(parts[0], 3)?;
    let mixed = attention(g, parts[0], parts[1], parts[2], Scores::scaled(head, None))?;
    let mixed = join_heads(g, mixed)?;
    let mixed = linear(g, &w.at("out_proj"), mixed)?;
    let rows = rows(g, from[0]);
    Ok(unfold_rows(g, mixed, &rows)?)
}

fn rows(g: &Builder, x: Val) -> Rows {
    let dims = g.dims(x);
    Rows { batch: dims[0].clone(), sequence: dims[1].clone() }
}

/// How fast the slowest wave turns, relative to the fastest.
const TEMPERATURE: f32 = 10_000.0;

/// Where the places of a map `[batch, width, height, width]` are: `[1, height*width, width]`. Half of the numbers are waves along the
/// height, half along the width, over which a full turn is made.
fn sine(g: &mut Builder, map: Val) -> Result<Val> {
    g.show_lengths(map)?;
    let dims = g.dims(map).to_vec();
    let half = g.size(map, 1)? / 2;
    if !half.is_multiple_of(2) || dims[1] != Dim::Fixed(2 * half) {
        return Error::unsupported("positions of a width that is no multiple of 4");
    }
    let mut along = Vec::with_capacity(2);
    for (axis, front) in [(2, 1), (3, 0)] {
        let waves = waves(g, &dims[axis], half)?;
        let waves = g.unsqueeze(waves, front)?;
        along.push(g.expand_to(waves, &[dims[2].clone(), dims[3].clone(), Dim::Fixed(half)])?);
    }
    let places = g.concat(&along, 2)?;
    let places = g.join_axes(places, 0, 2)?;
    Ok(g.unsqueeze(places, 0)?)
}

/// Sines and cosines by turns along an axis: `[size, count]`.
fn waves(g: &mut Builder, size: &Dim, count: usize) -> Result<Val> {
    let places = g.positions(size)?;
    let places = g.cast(places, DType::F32)?;
    let one = g.float("one", 1.0);
    let places = g.add(places, one)?;
    let length = g.length(size)?;
    let length = g.cast(length, DType::F32)?;
    let least = g.float("least_length", 1e-6);
    let length = g.add(length, least)?;
    let turn = g.float("full_turn", std::f32::consts::TAU);
    let places = g.div(places, length)?;
    let places = g.mul(places, turn)?;
    let places = g.unsqueeze(places, 1)?;
    let slowness: Vec<f32> =
        (0..count / 2).map(|wave| TEMPERATURE.powf(2.0 * wave as f32 / count as f32)).collect();
    let slowness = g.floats("slowness", &[count / 2], &slowness)?;
    let angles = g.div(places, slowness)?;
    let (sines, cosines) = (g.sin(angles)?, g.cos(angles)?);
    let (sines, cosines) = (g.unsqueeze(sines, 2)?, g.unsqueeze(cosines, 2)?);
    let waves = g.concat(&[sines, cosines], 2)?;
    Ok(g.join_axes(waves, 1, 3)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zoo_graph::Builder;

    use super::super::testing::refusal;
    use super::*;
    use crate::testing::Checkpoint;

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        for (name, value) in [
            ("auxiliary_loss", json!(true)),
            ("position_embedding_type", json!("learned")),
            ("backbone", json!("resnet50d")),
            ("backbone_kwargs", json!({"out_indices": [1, 2, 3, 4], "replace_stride_with_dilation": true})),
            ("backbone_kwargs", json!({"out_indices": [4]})),
        ] {
            let config = json!({"model_type": "detr", name: value});
            let error = refusal(&Checkpoint::default(), &config, "DetrForObjectDetection", None);
            assert!(error.contains(&format!("`{name}` =")), "{error}");
        }
        let config = json!({"model_type": "detr", "use_timm_backbone": false, "backbone_config": {"model_type": "swin"}});
        let error = refusal(&Checkpoint::default(), &config, "DetrModel", None);
        assert!(error.contains("`backbone_config.model_type` = \"swin\""), "{error}");
    }

    #[test]
    fn places_have_waves_along_both_axes() {
        let mut g = Builder::new("g", 18).unwrap();
        let dims =
            |text: [&str; 4]| text.map(|dim| dim.parse().map_or_else(|_| Dim::Named(dim.into()), Dim::Fixed));
        let map = g.input("map", DType::F32, dims(["n", "12", "h", "w"])).unwrap();
        let places = sine(&mut g, map).unwrap();
        assert_eq!(g.dims(places), [Dim::Fixed(1), Dim::Named("h*w".into()), Dim::Fixed(12)]);
        let map = g.input("odd", DType::F32, dims(["n", "10", "h", "w"])).unwrap();
        assert!(sine(&mut g, map).unwrap_err().to_string().contains("no multiple of 4"));
    }
}
