//! BEiT (Bao et al., 2021): a Vision Transformer whose positions are relative, and whose classifier reads the mean of the patches.

use zoo_graph::{Builder, Error, Val, Weights};
use zoo_tensor::{Dim, Tensor, Weight};

use super::heads::{features, output};
use super::patches::{Patches, Positions};
use super::pixels::{fixed_size, pixels};
use super::uper;
use super::{Layers, Names};
use crate::config::Config;
use crate::nn::{Filter, layer_norm, linear, resample};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "beit",
    prefix: "beit",
    classes: &[
        class!("BeitModel", FeatureExtraction, |g, m| {
            let beit = Beit::of(m.config)?;
            let x = beit.normed(g, m)?;
            let pooled = match (beit.mean_pooling, m.base.find("pooler")) {
                (true, None) => None,
                _ => Some(beit.pooled(g, m, &x)?),
            };
            Ok(features(x.sequence(g)?, pooled))
        }),
        class!("BeitForImageClassification", ImageClassification, |g, m| {
            let beit = Beit::of(m.config)?;
            let x = beit.normed(g, m)?;
            let pooled = beit.pooled(g, m, &x)?;
            Ok(output("logits", linear(g, &m.top.at("classifier"), pooled)?))
        }),
        class!("BeitForSemanticSegmentation", SemanticSegmentation, segmented),
        class!("BeitForMaskedImageModeling", MaskedImageModeling, |g, m| {
            let beit = Beit::of(m.config)?;
            let x = beit.normed(g, m)?;
            let x = beit.layers.norm(g, &m.top.at("layernorm"), x)?;
            let x = x.sequence(g)?;
            let x = g.slice(x, 1, 1, None)?;
            Ok(output("logits", linear(g, &m.top.at("lm_head"), x)?))
        }),
    ],
    heads: &["classifier", "lm_head", "layernorm", "decode_head", "auxiliary_head", "fpn1", "fpn2"],
    unused: |path| path == "embeddings.mask_token" || path.starts_with("pooler."),
}];

const NAMES: Names = Names {
    norms: ["layernorm_before", "layernorm_after"],
    parts: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    out: "attention.output.dense",
    dense: ["intermediate.dense", "output.dense"],
    scales: ["lambda_1", "lambda_2"],
};

/// What the configuration says.
struct Beit {
    layers: Layers,
    /// Whether the norm is that of the mean of the patches, instead of that of all tokens.
    mean_pooling: bool,
    /// Positions that are added to tokens, where there are any.
    positions: Option<Positions>,
    /// Whether each layer has its own biases.
    relative: bool,
    /// Whether all layers have common ones.
    shared: bool,
    patch: (usize, usize),
    /// The grid of patches that positions are for.
    grid: [usize; 2],
}

impl Beit {
    fn of(config: &Config) -> Result<Self> {
        let layers = Layers::of(config, &NAMES, (12, 12, 1e-12, "gelu"))?;
        let patch = config.pair("patch_size", 16)?;
        let grid = Positions::grid(config.pair("image_size", 224)?, patch);
        let absolute = config.flag("use_absolute_position_embeddings", false)?;
        let relative = config.flag("use_relative_position_bias", false)?;
        let shared = config.flag("use_shared_relative_position_bias", false)?;
        // The library takes what was learned for a square, whatever the images are.
        if grid[0] != grid[1] && (absolute || relative || shared) {
            return Ok(config.unsupported("image_size")?);
        }
        Ok(Self {
            layers: Layers { scaled: config.number(&["layer_scale_init_value"], 0.1)? > 0.0, ..layers },
            mean_pooling: config.flag("use_mean_pooling", true)?,
            positions: absolute.then_some(Positions { before: 1, grid, filter: Filter::Cubic }),
            relative,
            shared,
            patch,
            grid,
        })
    }

    /// The class and the patches.
    fn embedded(&self, g: &mut Builder, m: &Model<'_>) -> Result<Patches> {
        let w = m.base.at("embeddings");
        let projection = w.at("patch_embeddings.projection");
        let image = pixels(g, &projection, fixed_size(m, m.config)?)?;
        let x = Patches::cut(g, &projection, image, self.patch, 1)?;
        let width = g.size(x.rows, 1)?;
        let class = g.weight_of(&w, "cls_token", &[1, 1, width])?;
        let mut added = g.pad(class, &[0, 0, 0], &[x.tokens - 1, 0, 0])?;
        if let Some(positions) = self.positions {
            let positions = positions.table(g, &w, "position_embeddings", x.grid)?;
            added = g.add(positions, added)?;
        }
        x.plus(g, added)
    }

    /// Tokens behind each of the first layers, as many as are asked for.
    fn layers(&self, g: &mut Builder, m: &Model<'_>, count: usize) -> Result<Vec<Patches>> {
        let mut x = self.embedded(g, m)?;
        let w = m.base.at("encoder");
        let shared = w.at("relative_position_bias");
        let shared = if self.shared { Some(self.bias(g, &shared, x.grid)?) } else { None };
        let mut behind = Vec::new();
        for layer in 0..count {
            let w = w.at(format_args!("layer.{layer}"));
            let own = w.at("attention.attention.relative_position_bias");
            let own = if self.relative { Some(self.bias(g, &own, x.grid)?) } else { None };
            let bias = match (own, shared) {
                (Some(own), Some(shared)) => Some(g.add(own, shared)?),
                (own, shared) => own.or(shared),
            };
            x = self.layers.layer(g, &w, &x, bias, None)?;
            behind.push(x.clone());
        }
        Ok(behind)
    }

    /// Tokens behind all layers, and behind the norm where it is theirs.
    fn normed(&self, g: &mut Builder, m: &Model<'_>) -> Result<Patches> {
        let Some(x) = self.layers(g, m, self.layers.count)?.pop() else {
            return Ok(m.config.unsupported("num_hidden_layers")?);
        };
        if self.mean_pooling { Ok(x) } else { self.layers.norm(g, &m.base.at("layernorm"), x) }
    }

    /// One vector for an image: `[batch, width]`.
    fn pooled(&self, g: &mut Builder, m: &Model<'_>, x: &Patches) -> Result<Val> {
        if !self.mean_pooling {
            return x.token(g, 0);
        }
        let mean = x.mean(g)?;
        Ok(layer_norm(g, &m.base.at("pooler.layernorm"), mean, self.layers.epsilon)?)
    }

    /// From each token (second axis) to each (third axis), a number for each head: `[heads, tokens, tokens]`.
    ///
    /// The table has a row for each way between patches, counted as in `crate::nn::relative_bias`, and three more: from the class to
    /// patches, from patches to the class, and from the class to itself. Which row belongs to which pair is computed by nodes of
    /// constants, which runtimes fold: as a constant it would be larger than most networks for large images.
    fn bias(&self, g: &mut Builder, w: &Weights, grid: [usize; 2]) -> Result<Val> {
        let table = self.bias_table(g, w, grid)?;
        let [height, width] = grid;
        let across = 2 * width as i64 - 1;
        let ways = (2 * height as i64 - 1) * across;
        // A way is the difference of two places, counted in lines as long as the widest way.
        let place = |at: i64| at / width as i64 * across + at % width as i64;
        let places: Vec<i64> = (0..(height * width) as i64).map(place).collect();
        let tokens = places.len() + 1;
        let centre = (height as i64 - 1) * across + width as i64 - 1;
        let from: Vec<i64> = places.iter().map(|place| place + centre).collect();
        let from = g.ints("from_places", &from);
        let from = g.unsqueeze(from, 1)?;
        let to = g.ints("to_places", &places);
        let rows = g.sub(from, to)?;
        let from_patches = g.ints("from_patches", &[ways + 1]);
        let from_patches = g.expand_to(from_patches, &[Dim::Fixed(tokens - 1), Dim::Fixed(1)])?;
        let rows = g.concat(&[from_patches, rows], 1)?;
        let from_class = g.ints("from_class", &[ways]);
        let from_class = g.expand_to(from_class, &[Dim::Fixed(1), Dim::Fixed(tokens - 1)])?;
        let itself = g.ints("class_itself", &[ways + 2]);
        let itself = g.unsqueeze(itself, 0)?;
        let first = g.concat(&[itself, from_class], 1)?;
        let rows = g.concat(&[first, rows], 0)?;
        let bias = g.embedding(table, rows)?;
        Ok(g.transpose(bias, &[2, 0, 1])?)
    }

    /// The table for a grid: `[ways + 3, heads]`, stretched if it was learned for another.
    fn bias_table(&self, g: &mut Builder, w: &Weights, grid: [usize; 2]) -> Result<Val> {
        const NAME: &str = "relative_position_bias_table";
        let heads = self.layers.heads;
        let ways = |grid: [usize; 2]| grid.map(|side| (2 * side).saturating_sub(1));
        let own = ways(self.grid);
        let rows = own[0].checked_mul(own[1]).and_then(|rows| rows.checked_add(3)).unwrap_or(usize::MAX);
        if grid == self.grid {
            return Ok(g.weight_of(w, NAME, &[rows, heads])?);
        }
        let taken = w.take(NAME)?;
        if taken.weight.shape() != [rows, heads] {
            let found = taken.weight.shape().to_vec();
            return Err(Error::WeightShape { name: taken.name, found, expected: vec![rows, heads] }.into());
        }
        let values = taken.weight.to_tensor()?.to_f32_vec()?;
        let (patches, rest) = values.split_at((rows - 3) * heads);
        let mut stretched = resample(patches, heads, own, ways(grid), Filter::Linear);
        stretched.extend(rest);
        let tensor = Tensor::from_slice([stretched.len() / heads.max(1), heads], &stretched)?;
        Ok(g.derived(&format!("{}[{}x{}]", taken.name, grid[0], grid[1]), Weight::from(tensor)))
    }
}

/// `logits` `[batch, labels, height, width]` at a quarter of the image's size, from what four of the layers give.
fn segmented(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let beit = Beit::of(m.config)?;
    // Counted with what is before the first layer, and from 1.
    let names = ["out_indices", "segmentation_indices"];
    let name = names.into_iter().find(|name| m.config.has(name)).unwrap_or("out_indices");
    let chosen = m.config.sizes(name, &[])?;
    let in_order = chosen.windows(2).all(|pair| pair[0] < pair[1]);
    if chosen.len() != 4 || !in_order || chosen[0] < 2 {
        return Ok(m.config.unsupported(name)?);
    }
    let all = beit.layers(g, m, beit.layers.count)?;
    m.base.at("layernorm").ignore(|_| true);
    let mut maps = Vec::with_capacity(4);
    for index in chosen {
        let Some(x) = all.get(index - 2) else { return Ok(m.config.unsupported(name)?) };
        if x.grid != beit.grid || x.grid[0] != x.grid[1] {
            let why = format!("its decoder is laid out for {}x{} patches", beit.grid[0], beit.grid[0]);
            return Err(Error::ImageSize { why }.into());
        }
        maps.push(x.map(g, 1)?);
    }
    let maps = uper::pyramid(g, &m.top, [maps[0], maps[1], maps[2], maps[3]])?;
    let scales = m.config.sizes("pool_scales", &[1, 2, 3, 6])?;
    Ok(output("logits", uper::head(g, &m.top.at("decode_head"), maps, &scales)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, layer, refusal};
    use crate::testing::{Checkpoint, count};

    fn checkpoint() -> Checkpoint {
        let mut c = Checkpoint::default();
        c.tensor("embeddings.cls_token", &[1, 1, 8])
            .layer("embeddings.patch_embeddings.projection", &[8, 3, 4, 4]);
        layer(&mut c, "encoder.layer.0", 8);
        let table = "encoder.layer.0.attention.attention.relative_position_bias.relative_position_bias_table";
        c.tensor(table, &[7 * 7 + 3, 2]).layer("pooler.layernorm", &[8]);
        c
    }

    #[test]
    fn rows_of_biases_are_computed_from_few_constants() {
        let mut config = json!({
            "model_type": "beit", "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 4,
            "layer_scale_init_value": 0, "use_relative_position_bias": true
        });
        let g = graph(&checkpoint(), &config, "BeitModel").unwrap();
        let largest = g.values().filter_map(|(_, value)| Some(value.constant()?.len())).max();
        assert_eq!((largest, count(&g, "Gather")), (Some(16), 1), "there are 17x17 pairs");
        config["image_size"] = json!(20);
        let error = refusal(&checkpoint(), &config, "BeitModel", None);
        assert!(error.contains("has the shape [52, 2], the network needs [84, 2]"), "{error}");
        config["image_size"] = json!([16, 20]);
        assert!(refusal(&checkpoint(), &config, "BeitModel", None).contains("`image_size` = [16,20]"));
    }

    #[test]
    fn decoders_need_four_layers_in_order() {
        for indices in [json!([3, 5, 7]), json!([5, 3, 7, 11]), json!([1, 3, 5, 7]), json!([3, 5, 7, 14])] {
            let config = json!({
                "model_type": "beit", "num_hidden_layers": 0, "image_size": 16, "patch_size": 4, "out_indices": indices
            });
            let error = refusal(&checkpoint(), &config, "BeitForSemanticSegmentation", None);
            assert!(error.contains("`out_indices` ="), "{error}");
        }
    }
}
