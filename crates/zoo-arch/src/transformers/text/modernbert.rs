//! ModernBERT (Warner et al., 2024): an encoder with rotary positions, gated layers, norms in front of sublayers, and attention that sees
//! all tokens in every third layer only, and the neighbourhood in the others.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use super::encoder::Encoded;
use super::heads;
use super::rotated::{self, Rotation};
use crate::config::Config;
use crate::nn::{
    Rope, RopeDefaults, Rows, activate_by_name, fold_rows, layer_norm, linear, linear_rows, padding_bias,
    text_inputs, unfold_rows,
};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "modernbert",
    prefix: "model",
    classes: &[
        class!("ModernBertModel", FeatureExtraction, |g, m| {
            let (x, _) = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("ModernBertForMaskedLM", FillMask, masked_lm),
        class!("ModernBertForSequenceClassification", TextClassification, |g, m| {
            let (x, mask) = encoded(g, m, false)?;
            let pooled = match pooling(m.config)? {
                Pooling::Cls => x.first(g)?,
                Pooling::Mean => mean(g, &x, mask)?,
            };
            let y = head(g, m, pooled)?;
            Ok(heads::output("logits", linear(g, &m.top.at("classifier"), y)?))
        }),
        class!("ModernBertForTokenClassification", TokenClassification, |g, m| {
            let (x, _) = encoded(g, m, false)?;
            let y = head(g, m, x.hidden)?;
            let logits = linear(g, &m.top.at("classifier"), y)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("ModernBertForQuestionAnswering", QuestionAnswering, |g, m| {
            let (x, _) = encoded(g, m, false)?;
            let y = head(g, m, x.hidden)?;
            heads::spans(g, &m.top.at("classifier"), y, &x.rows)
        }),
        class!("ModernBertForMultipleChoice", MultipleChoice, |g, m| {
            let (x, mask) = encoded(g, m, true)?;
            let pooled = match pooling(m.config)? {
                // Here, and not for one text, it is the first token that is not padding.
                Pooling::Cls => {
                    let tokens = unfold_rows(g, x.hidden, &x.rows)?;
                    let first = g.arg_max(mask, 1, false)?;
                    g.pick_each(tokens, first)?
                }
                Pooling::Mean => mean(g, &x, mask)?,
            };
            let y = head(g, m, pooled)?;
            let scores = linear(g, &m.top.at("classifier"), y)?;
            heads::choices(g, scores)
        }),
    ],
    heads: &["head", "decoder", "classifier"],
    unused: |_| false,
}];

/// What the configuration says.
struct ModernBert {
    heads: usize,
    epsilon: f32,
    activation: String,
    /// The layers that see all tokens; the others see a neighbourhood.
    global: Global,
}

enum Global {
    /// Each so many.
    Every(usize),
    /// One by one, as transformers 5 states it.
    Listed(Vec<bool>),
}

impl ModernBert {
    fn of(config: &Config) -> Result<Self> {
        let global = match config.words("layer_types")? {
            Some(types) => {
                let known = |kind: &&str| matches!(*kind, "full_attention" | "sliding_attention");
                if !types.iter().all(known) || types.len() != config.size(&["num_hidden_layers"], 22)? {
                    return Ok(config.unsupported("layer_types")?);
                }
                Global::Listed(types.iter().map(|&kind| kind == "full_attention").collect())
            }
            None => Global::Every(config.size(&["global_attn_every_n_layers"], 3)?.max(1)),
        };
        Ok(Self {
            heads: config.size(&["num_attention_heads"], 12)?,
            epsilon: config.epsilon("norm_eps", 1e-5)?,
            activation: config.word(&["hidden_activation"], "gelu")?.to_owned(),
            global,
        })
    }

    fn is_global(&self, layer: usize) -> bool {
        match &self.global {
            Global::Every(step) => layer.is_multiple_of(*step),
            Global::Listed(all) => all.get(layer).copied().unwrap_or_default(),
        }
    }
}

/// What a kind of attention adds to scores, and how it turns queries and keys.
#[derive(Clone, Copy)]
struct View {
    bias: Val,
    rotation: Rotation,
}

/// Tokens behind the last norm, and the attention mask.
fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<(Encoded, Val)> {
    let bert = ModernBert::of(m.config)?;
    let inputs = text_inputs(g, false, choices)?;
    let w = m.base.at("embeddings");
    let words = g.weight(&w, "tok_embeddings.weight")?;
    let x = g.embedding(words, inputs.ids)?;
    let x = fold_rows(g, x)?;
    let mut x = layer_norm(g, &w.at("norm"), x, bert.epsilon)?;

    let places = g.positions(&inputs.rows.sequence)?;
    let head = g.size(x, 1)? / bert.heads.max(1);
    let padding = padding_bias(g, inputs.mask)?;
    let near = neighbourhood(g, places, padding, m.config.size(&["local_attention"], 128)? / 2)?;
    let row = g.unsqueeze(places, 0)?;
    let view = |g: &mut Builder, global: bool, bias: Val| -> Result<View> {
        let (cos, sin) = rope(m.config, global, head)?.tables(g, row)?;
        Ok(View { bias, rotation: Rotation { cos, sin, interleaved: false } })
    };
    let views = [view(g, false, near)?, view(g, true, padding)?];
    for layer in 0..m.config.size(&["num_hidden_layers"], 22)? {
        let w = m.base.at(format_args!("layers.{layer}"));
        let view = views[usize::from(bert.is_global(layer))];
        // In front of the first attention, the norm of the embeddings has to do.
        let y = if layer == 0 { x } else { layer_norm(g, &w.at("attn_norm"), x, bert.epsilon)? };
        let y = bert.attend(g, &w.at("attn"), y, &inputs.rows, view)?;
        x = g.add(x, y)?;
        let y = layer_norm(g, &w.at("mlp_norm"), x, bert.epsilon)?;
        let y = bert.gated(g, &w.at("mlp"), y)?;
        x = g.add(x, y)?;
    }
    let hidden = layer_norm(g, &m.base.at("final_norm"), x, bert.epsilon)?;
    Ok((Encoded { hidden, rows: inputs.rows }, inputs.mask))
}

/// How positions turn queries and keys: by `global_rope_theta` and `local_rope_theta` (transformers 4), or `rope_parameters` by kind of layer
/// (transformers 5).
fn rope(config: &Config, global: bool, head: usize) -> Result<Rope> {
    let theta = config.number(&["global_rope_theta", "rope_theta"], 160_000.0)?;
    let theta = match global {
        true => theta,
        // "None" stands for that of the other layers.
        false if config.is_null("local_rope_theta") => theta,
        false => config.number(&["local_rope_theta"], 10_000.0)?,
    };
    let defaults = RopeDefaults { theta, partial: 1.0, max_positions: 8192, original: None };
    if config.has("rope_parameters") {
        let own =
            config.at("rope_parameters").at(if global { "full_attention" } else { "sliding_attention" });
        let theta = own.number(&["rope_theta"], theta)?;
        return Rope::scaled(config, &own, theta, head, defaults);
    }
    Rope::scaled(config, &config.at("rope_scaling"), theta, head, defaults)
}

/// The bias `padding` `[batch, 1, 1, keys]` where a query is not further than `reach` from a key, the smallest `f32` elsewhere:
/// `[batch, 1, queries, keys]`.
fn neighbourhood(g: &mut Builder, places: Val, padding: Val, reach: usize) -> Result<Val> {
    let (queries, keys) = (g.unsqueeze(places, 1)?, g.unsqueeze(places, 0)?);
    let distance = g.sub(queries, keys)?;
    let distance = g.abs(distance)?;
    let reach = g.int("reach", reach as i64);
    let near = g.less_or_equal(distance, reach)?;
    let least = g.float("least", f32::MIN);
    Ok(g.select(near, padding, least)?)
}

impl ModernBert {
    fn attend(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows, view: View) -> Result<Val> {
        let parts = rotated::thirds(g, &w.at("Wqkv"), x)?;
        let y = rotated::attend(g, parts, (rows, self.heads), Some(view.rotation), view.bias)?;
        Ok(linear(g, &w.at("Wo"), y)?)
    }

    /// A gated linear unit (Shazeer, 2020): the first half of `Wi` through the nonlinearity, times the second.
    fn gated(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let width = w.shape("Wi.weight")?.first().copied().unwrap_or_default() / 2;
        let y = linear_rows(g, &w.at("Wi"), x, 0, width)?;
        let y = activate_by_name(g, &self.activation, y)?;
        let gate = linear_rows(g, &w.at("Wi"), x, width, width)?;
        let y = g.mul(y, gate)?;
        Ok(linear(g, &w.at("Wo"), y)?)
    }
}

/// What all heads begin with: `head.dense`, a nonlinearity, `head.norm`.
fn head(g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
    let w = m.top.at("head");
    let x = linear(g, &w.at("dense"), x)?;
    let x = activate_by_name(g, m.config.word(&["classifier_activation"], "gelu")?, x)?;
    Ok(layer_norm(g, &w.at("norm"), x, m.config.epsilon("norm_eps", 1e-5)?)?)
}

enum Pooling {
    Cls,
    Mean,
}

fn pooling(config: &Config) -> Result<Pooling> {
    match config.word(&["classifier_pooling"], "cls")? {
        "cls" => Ok(Pooling::Cls),
        "mean" => Ok(Pooling::Mean),
        _ => Ok(config.unsupported("classifier_pooling")?),
    }
}

/// The mean of tokens that are no padding: `[batch, width]`.
fn mean(g: &mut Builder, x: &Encoded, mask: Val) -> Result<Val> {
    let tokens = unfold_rows(g, x.hidden, &x.rows)?;
    let mask = g.cast(mask, DType::F32)?;
    let count = g.reduce_sum(mask, &[1], true)?;
    let mask = g.unsqueeze(mask, 1)?;
    let sum = g.matmul(mask, tokens)?;
    let sum = g.squeeze(sum, 1)?;
    Ok(g.div(sum, count)?)
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let (x, _) = encoded(g, m, false)?;
    let y = head(g, m, x.hidden)?;
    let w = m.top.at("decoder");
    let matrix = heads::words_matrix(g, m, &w, "embeddings.tok_embeddings.weight")?;
    let bias = g.weight_if(&w, "bias")?;
    let logits = g.gemm(y, matrix, bias)?;
    heads::token_logits(g, logits, &x.rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, refusal};
    use crate::testing::{Checkpoint, count};

    #[test]
    fn fused_layers_are_used_where_they_lie() {
        let mut c = Checkpoint::default();
        c.bare("model.embeddings.tok_embeddings", &[11, 8]).bare("model.embeddings.norm", &[8]);
        for layer in 0..2 {
            let layer = format!("model.layers.{layer}");
            c.bare(format_args!("{layer}.attn.Wqkv"), &[24, 8])
                .bare(format_args!("{layer}.attn.Wo"), &[8, 8]);
            c.bare(format_args!("{layer}.mlp.Wi"), &[12, 8]).bare(format_args!("{layer}.mlp.Wo"), &[8, 6]);
            c.bare(format_args!("{layer}.mlp_norm"), &[8]);
        }
        c.bare("model.layers.1.attn_norm", &[8]).bare("model.final_norm", &[8]);
        let config = json!({"model_type": "modernbert", "num_hidden_layers": 2, "num_attention_heads": 2});
        let g = graph(&c, &config, "ModernBertModel").unwrap();
        assert_eq!(count(&g, "Gemm"), 2 * 7);
        // Halves of heads for queries and keys, and nothing else, are split.
        assert_eq!(count(&g, "Split"), 2 * 2);
        let names = ["attn.Wqkv.weight[0:8]", "attn.Wqkv.weight[16:24]", "mlp.Wi.weight[6:12]"];
        for name in names {
            assert!(g.values().any(|(_, value)| value.name == format!("model.layers.1.{name}")), "{name}");
        }
    }

    #[test]
    fn kinds_of_layers_have_to_be_known_and_all_there() {
        for types in [json!(["full_attention"]), json!(["full_attention", "chunked_attention"])] {
            let config = json!({"model_type": "modernbert", "num_hidden_layers": 2, "layer_types": types});
            let told = refusal(&config, "ModernBertModel");
            assert!(told.contains("`layer_types`"), "{told}");
        }
    }
}
