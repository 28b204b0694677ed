//! Swin Transformer (Liu et al., 2021) and its second version (Liu et al., 2022).
//!
//! The second version normalises behind attention and dense layers, compares queries and keys by their cosine, and gets its position
//! biases from a small network. Places move into the order that the next windows want, as in `crate::vision::swin`, of which this
//! differs in names, in separate projections, and in where the library's windows shrink.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Error, Val, Weights};
use zoo_tensor::Dim;

use super::heads::{features, output, reconstruction};
use super::pixels::{fixed_size, pixels};
use crate::config::Config;
use crate::nn::{
    Attention, EPSILON, Place, Similarity, Tokens, Windows, activate_by_name, attend_each, conv, layer_norm,
    line_by_line, linear, moved, relative_bias, relative_table, taken,
};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        model_type: "swin",
        prefix: "swin",
        classes: &[
            class!("SwinModel", FeatureExtraction, |g, m| {
                let x = encoded(g, m, Version::First)?;
                let pooled = x.mean(g)?;
                Ok(features(x.into_sequences(g)?, Some(pooled)))
            }),
            class!("SwinForImageClassification", ImageClassification, |g, m| {
                let pooled = encoded(g, m, Version::First)?.mean(g)?;
                Ok(output("logits", linear(g, &m.top.at("classifier"), pooled)?))
            }),
            class!("SwinForMaskedImageModeling", MaskedImageModeling, |g, m| {
                let x = encoded(g, m, Version::First)?.into_map(g)?;
                reconstruction(g, &m.top.at("decoder"), x, m.config.size(&["encoder_stride"], 32)?)
            }),
        ],
        heads: &["classifier", "decoder"],
        unused: |path| path == "embeddings.mask_token",
    },
    Architecture {
        model_type: "swinv2",
        prefix: "swinv2",
        classes: &[
            class!("Swinv2Model", FeatureExtraction, |g, m| {
                let x = encoded(g, m, Version::Second)?;
                let pooled = x.mean(g)?;
                Ok(features(x.into_sequences(g)?, Some(pooled)))
            }),
            class!("Swinv2ForImageClassification", ImageClassification, |g, m| {
                let pooled = encoded(g, m, Version::Second)?.mean(g)?;
                Ok(output("logits", linear(g, &m.top.at("classifier"), pooled)?))
            }),
            class!("Swinv2ForMaskedImageModeling", MaskedImageModeling, |g, m| {
                let x = encoded(g, m, Version::Second)?.into_map(g)?;
                reconstruction(g, &m.top.at("decoder"), x, m.config.size(&["encoder_stride"], 32)?)
            }),
        ],
        heads: &["classifier", "decoder"],
        unused: |path| path == "embeddings.mask_token" || path.ends_with(".relative_coords_table"),
    },
];

/// The second version's biases lie between 0 and this.
const MOST_BIAS: f32 = 16.0;
/// The second version's cosines are multiplied by no more than this.
const MOST_SCALE: f32 = 100.0;

/// Windows of a larger side are refused: no tensor of the second version shows it, and there is a bias for each pair of places.
const MOST_SIDE: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// What the configuration says.
struct Swin {
    version: Version,
    depths: Vec<usize>,
    heads: Vec<usize>,
    side: usize,
    /// The sides that windows had in pretraining, stage by stage; 0 where they were the same.
    pretrained: Vec<usize>,
    epsilon: f32,
    activation: String,
    /// The map behind the first convolution, for images of the configuration's size.
    usual: [usize; 2],
}

/// How a stage cuts its map.
#[derive(Clone, Copy)]
struct Cut {
    side: usize,
    shifts: bool,
    heads: usize,
    pretrained: usize,
}

impl Swin {
    fn of(config: &Config, version: Version) -> Result<Self> {
        if config.flag("use_absolute_embeddings", false)? {
            return Ok(config.unsupported("use_absolute_embeddings")?);
        }
        let depths = config.sizes("depths", &[2, 2, 6, 2])?;
        let heads = config.sizes("num_heads", &[3, 6, 12, 24])?;
        let pretrained = match version {
            Version::First => Vec::new(),
            Version::Second => config.sizes("pretrained_window_sizes", &[0, 0, 0, 0])?,
        };
        if depths.len() != heads.len() || depths.is_empty() {
            return Ok(config.unsupported("num_heads")?);
        }
        let side = config.size(&["window_size"], 7)?;
        if !(1..=MOST_SIDE).contains(&side) {
            return Ok(config.unsupported("window_size")?);
        }
        let ((height, width), (down, across)) =
            (config.pair("image_size", 224)?, config.pair("patch_size", 4)?);
        Ok(Self {
            version,
            depths,
            heads,
            side,
            pretrained,
            epsilon: config.epsilon("layer_norm_eps", 1e-5)?,
            activation: config.word(&["hidden_act"], "gelu")?.to_owned(),
            usual: [height / down.max(1), width / across.max(1)],
        })
    }

    /// The windows of a stage with this map. The first version does without shifts where one window is all, along either axis; the
    /// second one has smaller windows where its usual map is smaller, whatever the map is.
    fn cut(&self, stage: usize, map: [usize; 2]) -> Result<Cut> {
        let heads = self.heads[stage];
        let smallest = map[0].min(map[1]);
        if self.version == Version::First {
            if smallest < self.side {
                let why = format!(
                    "stage {stage} has a map of {}x{}, less than a window of {}",
                    map[0], map[1], self.side
                );
                return Err(Error::ImageSize { why }.into());
            }
            return Ok(Cut { side: self.side, shifts: smallest > self.side, heads, pretrained: 0 });
        }
        let usual = self.usual[0] >> stage.min(31);
        if usual == 0 {
            let why = format!("stage {stage} has no place for a window");
            return Err(Error::ImageSize { why }.into());
        }
        let pretrained = self.pretrained.get(stage).copied().unwrap_or_default();
        Ok(Cut { side: usual.min(self.side), shifts: usual > self.side, heads, pretrained })
    }
}

/// Feature maps behind the last norm, as rows.
fn encoded(g: &mut Builder, m: &Model<'_>, version: Version) -> Result<Tokens> {
    let swin = Swin::of(m.config, version)?;
    let w = m.base.at("embeddings");
    let projection = w.at("patch_embeddings.projection");
    let image = pixels(g, &projection, fixed_size(m, m.config)?)?;
    let (down, across) = m.config.pair("patch_size", 4)?;
    let image = whole_patches(g, image, [down, across])?;
    let x = conv(g, &projection, image, Window::of_axes([down, across]).stride([down, across]))?;
    let mut map = Tokens::of_map(g, x)?;
    map.rows = layer_norm(g, &w.at("norm"), map.rows, EPSILON)?;
    for (stage, &depth) in swin.depths.iter().enumerate() {
        let w = m.base.at(format_args!("encoder.layers.{stage}"));
        let cut = swin.cut(stage, map.size)?;
        for block in 0..depth {
            swin.block(g, &w.at(format_args!("blocks.{block}")), &mut map, cut, block % 2 == 1)?;
        }
        if stage + 1 < swin.depths.len() {
            map = swin.merge(g, &w.at("downsample"), stage, &map)?;
        }
    }
    map.rows = layer_norm(g, &m.base.at("layernorm"), map.rows, swin.epsilon)?;
    Ok(map)
}

/// Zeros below and to the right of images, up to whole patches.
fn whole_patches(g: &mut Builder, image: Val, patch: [usize; 2]) -> Result<Val> {
    let missing = |axis: usize| match g.dims(image)[2 + axis].fixed() {
        Some(size) => size.next_multiple_of(patch[axis].max(1)) - size,
        None => 0,
    };
    let after = [0, 0, missing(0), missing(1)];
    Ok(g.pad(image, &[0; 4], &after)?)
}

impl Swin {
    fn block(&self, g: &mut Builder, w: &Weights, map: &mut Tokens, cut: Cut, odd: bool) -> Result<()> {
        let windows = Windows::new(map.size, cut.side, odd && cut.shifts);
        let places = windows.places();
        if !windows.is_padded() {
            map.arrange(g, places.clone())?;
        }
        let y = self.norm_before(g, &w.at("layernorm_before"), map.rows)?;
        let y = moved(g, y, &map.batch, (&map.order, &places))?;
        let y = self.attention(g, &w.at("attention"), y, windows, cut, &map.batch)?;
        let y = moved(g, y, &map.batch, (&places, &map.order))?;
        let y = self.norm_after(g, &w.at("layernorm_before"), y)?;
        let x = g.add(map.rows, y)?;

        let y = self.norm_before(g, &w.at("layernorm_after"), x)?;
        let y = linear(g, &w.at("intermediate.dense"), y)?;
        let y = activate_by_name(g, &self.activation, y)?;
        let y = linear(g, &w.at("output.dense"), y)?;
        let y = self.norm_after(g, &w.at("layernorm_after"), y)?;
        map.rows = g.add(x, y)?;
        Ok(())
    }

    fn norm_before(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        Ok(if self.version == Version::First { layer_norm(g, w, x, self.epsilon)? } else { x })
    }

    fn norm_after(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        Ok(if self.version == Version::Second { layer_norm(g, w, x, self.epsilon)? } else { x })
    }

    /// Attention within windows, on rows that stand in their order.
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        windows: Windows,
        cut: Cut,
        batch: &Dim,
    ) -> Result<Val> {
        let own = w.at("self");
        let parts =
            [linear(g, &own.at("query"), x)?, linear(g, &own.at("key"), x)?, linear(g, &own.at("value"), x)?];
        let mask = windows.mask(g)?;
        let (similarity, table, masks) = match self.version {
            Version::First => {
                let table = relative_table(g, &own, cut.side)?;
                (Similarity::scaled(g.size(parts[0], 1)?, cut.heads), table, 1)
            }
            // The library adds the second version's masks twice, and -100 is not far from nothing where cosines count a hundredfold.
            Version::Second => {
                (Similarity::Cosine(temperature(g, &own, cut.heads)?), position_table(g, &own, cut)?, 2)
            }
        };
        let mut bias = relative_bias(g, &own, table, cut.side)?;
        for mask in mask.into_iter().cycle().take(mask.map_or(0, |_| masks)) {
            bias = g.add(bias, mask)?;
        }
        let attention = Attention {
            heads: cut.heads,
            tokens: windows.tokens(),
            sequences: &[Dim::Fixed(windows.count()), batch.clone()],
            similarity,
            bias: Some(bias),
        };
        let y = attend_each(g, parts, attention)?;
        Ok(linear(g, &w.at("output.dense"), y)?)
    }

    /// Joins each 2x2 places (zeros beyond the edge) into one, of twice the channels, in the order of the next stage's first windows.
    fn merge(&self, g: &mut Builder, w: &Weights, stage: usize, map: &Tokens) -> Result<Tokens> {
        let [height, width] = map.size;
        let size = map.size.map(|size| size.div_ceil(2));
        let windows = Windows::new(size, self.cut(stage + 1, size)?.side, false);
        let order = if windows.is_padded() { line_by_line(size)? } else { windows.places() };
        let part = |down: usize, right: usize| {
            order.iter().flatten().map(move |place| {
                let (row, column) = (2 * (place / size[1]) + down, 2 * (place % size[1]) + right);
                (row < height && column < width).then_some(row * width + column)
            })
        };
        let parts: Vec<Place> = part(0, 0).chain(part(1, 0)).chain(part(0, 1)).chain(part(1, 1)).collect();
        // [4, places, batch, channels] to [places*batch, 4*channels]
        let x = taken(g, map.rows, &map.batch, (&map.order, &parts))?;
        let channels = g.dims(x)[2].clone();
        let x = g.reshape(x, [Dim::Fixed(4), Dim::Fixed(order.len()), map.batch.clone(), channels])?;
        let x = g.transpose(x, &[1, 2, 0, 3])?;
        let mut x = g.flatten_at(x, 2)?;
        if self.version == Version::First {
            x = layer_norm(g, &w.at("norm"), x, EPSILON)?;
        }
        x = linear(g, &w.at("reduction"), x)?;
        if self.version == Version::Second {
            x = layer_norm(g, &w.at("norm"), x, EPSILON)?;
        }
        Ok(Tokens { rows: x, size, batch: map.batch.clone(), order })
    }
}

/// What the second version divides cosines by, `[heads, 1]`: its checkpoints have the logarithm of the reciprocal, and it is limited.
fn temperature(g: &mut Builder, w: &Weights, heads: usize) -> Result<Val> {
    let scale = g.weight_as(w, "logit_scale", &[heads, 1])?;
    let most = g.float("most_scale", MOST_SCALE.ln());
    let scale = g.minimum(scale, most)?;
    let scale = g.neg(scale)?;
    Ok(g.exp(scale)?)
}

/// The second version's table of position biases: what a network of two layers makes of each way within a window.
fn position_table(g: &mut Builder, w: &Weights, cut: Cut) -> Result<Val> {
    let ways = ways(cut);
    let coordinates = g.floats("relative_coords_table", &[ways.len(), 2], ways.as_flattened())?;
    let w = w.at("continuous_position_bias_mlp");
    let x = linear(g, &w.at(0), coordinates)?;
    let x = g.relu(x)?;
    let x = linear(g, &w.at(2), x)?;
    let x = g.sigmoid(x)?;
    let most = g.float("most_bias", MOST_BIAS);
    Ok(g.mul(x, most)?)
}

/// Ways from up and left to down and right, line by line: signed logarithms of what they are of the widest way in pretraining, such
/// that this is 8 and its logarithm, to base 8, of 8 + 1.
fn ways(cut: Cut) -> Vec<[f32; 2]> {
    let reach = cut.side.saturating_sub(1) as i64;
    let widest = if cut.pretrained > 0 { cut.pretrained - 1 } else { cut.side.saturating_sub(1).max(1) };
    let along = |way: i64| {
        let relative = way as f32 / widest as f32 * 8.0;
        relative.signum() * (relative.abs() + 1.0).log2() / 8.0_f32.log2() * f32::from(u8::from(way != 0))
    };
    (-reach..=reach).flat_map(|down| (-reach..=reach).map(move |right| [along(down), along(right)])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::refusal;
    use super::*;
    use crate::image::ImageSize;
    use crate::testing::Checkpoint;

    #[test]
    fn windows_are_bounded_and_have_to_fit() {
        let mut c = Checkpoint::default();
        c.layer("embeddings.patch_embeddings.projection", &[4, 3, 4, 4]).layer("embeddings.norm", &[4]);
        for side in [0_u32, 33] {
            let config = json!({"model_type": "swinv2", "window_size": side});
            assert!(refusal(&c, &config, "Swinv2Model", None).contains(&format!("`window_size` = {side}")));
        }
        let config = json!({"model_type": "swin"});
        let error = refusal(&c, &config, "SwinModel", Some(ImageSize::Fixed(24, 64)));
        assert!(error.contains("stage 0 has a map of 6x16, less than a window of 7"), "{error}");
        let config = json!({"model_type": "swin", "use_absolute_embeddings": true});
        assert!(refusal(&c, &config, "SwinModel", None).contains("`use_absolute_embeddings` = true"));
    }

    #[test]
    fn windows_shrink_or_do_not_shift() {
        let config = |model_type: &str| {
            let values = json!({"model_type": model_type, "image_size": 64, "window_size": 6, "pretrained_window_sizes": [4]});
            Config::parse(values.to_string().as_bytes()).unwrap()
        };
        let first = Swin::of(&config("swin"), Version::First).unwrap();
        let cut = |swin: &Swin, stage, map| {
            swin.cut(stage, map).map(|cut| (cut.side, cut.shifts, cut.pretrained)).unwrap()
        };
        assert_eq!(cut(&first, 0, [16, 16]), (6, true, 0));
        assert_eq!(cut(&first, 1, [6, 16]), (6, false, 0));
        let second = Swin::of(&config("swinv2"), Version::Second).unwrap();
        assert_eq!((cut(&second, 0, [16, 16]), cut(&second, 2, [4, 4])), ((6, true, 4), (4, false, 0)));
        assert!(Swin { usual: [1, 1], ..second }.cut(1, [1, 1]).is_err());
    }

    #[test]
    fn ways_are_logarithms_with_a_sign() {
        let all = ways(Cut { side: 3, shifts: false, heads: 1, pretrained: 0 });
        let half = 5.0_f32.log2() / 3.0;
        let whole = 9.0_f32.log2() / 3.0;
        assert_eq!(
            (all.len(), all[0], all[1], all[12], all[24]),
            (25, [-whole; 2], [-whole, -half], [0.0; 2], [whole; 2])
        );
        let wider = ways(Cut { side: 3, shifts: false, heads: 1, pretrained: 5 });
        assert_eq!(
            wider[24].map(f32::to_bits),
            [half; 2].map(f32::to_bits),
            "in pretraining, the same way was half of the widest"
        );
    }
}
