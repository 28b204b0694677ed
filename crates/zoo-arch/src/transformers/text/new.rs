//! The encoder behind the GTE models of 2024 (Zhang et al., 2024), published with a class of its own (`NewModel`): BERT's with rotary
//! positions, whose base is stretched for long texts, and gated layers.

use zoo_graph::{Builder, Val, Weights};

use super::encoder::Encoded;
use super::heads;
use super::rotated::{self, Rotation};
use crate::config::Config;
use crate::nn::{
    TextInputs, activate_by_name, fold_rows, inverse_frequencies, layer_norm, linear, linear_rows,
    padding_bias, rms_norm, rotary_tables, text_inputs,
};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "new",
    prefix: "new",
    classes: &[
        class!("NewModel", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("NewForMaskedLM", FillMask, masked_lm),
        class!("NewForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let pooled = x.pooled(g, m)?;
            Ok(heads::output("logits", linear(g, &m.top.at("classifier"), pooled)?))
        }),
        class!("NewForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("NewForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("NewForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let pooled = x.pooled(g, m)?;
            let scores = linear(g, &m.top.at("classifier"), pooled)?;
            heads::choices(g, scores)
        }),
    ],
    heads: &["lm_head", "classifier", "qa_outputs"],
    unused: |path| path.starts_with("pooler."),
}];

/// What the configuration says.
struct New {
    heads: usize,
    epsilon: f32,
    activation: String,
    /// Norms of layers divide by the root of the mean square, and take no mean away.
    by_square: bool,
    /// Places turn queries and keys, and are not added to words.
    rotary: bool,
    /// Queries, keys and values have one matrix.
    packed: bool,
}

impl New {
    fn of(config: &Config) -> Result<Self> {
        // Scores would depend on the length of the text.
        if config.flag("logn_attention_scale", false)? {
            return Ok(config.unsupported("logn_attention_scale")?);
        }
        Ok(Self {
            heads: config.size(&["num_attention_heads"], 12)?,
            epsilon: config.epsilon("layer_norm_eps", 1e-12)?,
            activation: config.word(&["hidden_act"], "gelu")?.to_owned(),
            by_square: match config.word(&["layer_norm_type"], "layer_norm")? {
                "layer_norm" => false,
                "rms_norm" => true,
                _ => return Ok(config.unsupported("layer_norm_type")?),
            },
            rotary: match config.word(&["position_embedding_type"], "rope")? {
                "rope" => true,
                "absolute" => false,
                _ => return Ok(config.unsupported("position_embedding_type")?),
            },
            packed: config.flag("pack_qkv", true)?,
        })
    }
}

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    let new = New::of(m.config)?;
    let kinds = m.config.size(&["type_vocab_size"], 1)?;
    let inputs = text_inputs(g, kinds > 1, choices)?;
    let mut x = new.embed(g, &m.base.at("embeddings"), &inputs, kinds)?;
    let rotation = if new.rotary {
        let head = g.size(x, 1)? / new.heads.max(1);
        let places = g.positions(&inputs.rows.sequence)?;
        let places = g.unsqueeze(places, 0)?;
        let (cos, sin) = rotary_tables(g, places, &frequencies(m.config, head)?, 1.0)?;
        Some(Rotation { cos, sin, interleaved: false })
    } else {
        None
    };
    let bias = padding_bias(g, inputs.mask)?;
    for layer in 0..m.config.size(&["num_hidden_layers"], 12)? {
        let w = m.base.at(format_args!("encoder.layer.{layer}"));
        let own = w.at("attention");
        let parts = if new.packed {
            rotated::thirds(g, &own.at("qkv_proj"), x)?
        } else {
            [
                linear(g, &own.at("q_proj"), x)?,
                linear(g, &own.at("k_proj"), x)?,
                linear(g, &own.at("v_proj"), x)?,
            ]
        };
        let y = rotated::attend(g, parts, (&inputs.rows, new.heads), rotation, bias)?;
        let y = linear(g, &own.at("o_proj"), y)?;
        let y = g.add(y, x)?;
        x = new.norm(g, &w.at("attn_ln"), y)?;
        let y = new.gated(g, &w.at("mlp"), x)?;
        let y = g.add(y, x)?;
        x = new.norm(g, &w.at("mlp_ln"), y)?;
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

impl New {
    /// Words, the text that they belong to and, if nothing else says them, their places, through a norm, as rows.
    fn embed(&self, g: &mut Builder, w: &Weights, inputs: &TextInputs, kinds: usize) -> Result<Val> {
        let words = g.weight(w, "word_embeddings.weight")?;
        let mut x = g.embedding(words, inputs.ids)?;
        let types = match inputs.types {
            Some(types) => {
                let table = g.weight(w, "token_type_embeddings.weight")?;
                Some(g.embedding(table, types)?)
            }
            None if kinds == 1 => Some(g.weight(w, "token_type_embeddings.weight")?),
            None => None,
        };
        if let Some(types) = types {
            x = g.add(x, types)?;
        }
        if !self.rotary {
            let table = g.weight(w, "position_embeddings.weight")?;
            let places = g.positions(&inputs.rows.sequence)?;
            let places = g.embedding(table, places)?;
            x = g.add(x, places)?;
        }
        let x = fold_rows(g, x)?;
        Ok(layer_norm(g, &w.at("LayerNorm"), x, self.epsilon)?)
    }

    fn norm(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        Ok(if self.by_square { rms_norm(g, w, x, self.epsilon)? } else { layer_norm(g, w, x, self.epsilon)? })
    }

    /// A gated linear unit (Shazeer, 2020): the first half of `up_gate_proj`, times the second through the nonlinearity.
    fn gated(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let width = w.shape("up_gate_proj.weight")?.first().copied().unwrap_or_default() / 2;
        let up = linear_rows(g, &w.at("up_gate_proj"), x, 0, width)?;
        let gate = linear_rows(g, &w.at("up_gate_proj"), x, width, width)?;
        let gate = activate_by_name(g, &self.activation, gate)?;
        let y = g.mul(gate, up)?;
        Ok(linear(g, &w.at("down_proj"), y)?)
    }
}

/// The frequencies of a head's pairs. With `rope_scaling` of the type `ntk`, they are those of a larger base for texts of any length, or
/// (`mixed_b`) each is divided by a power of its own.
fn frequencies(config: &Config, head: usize) -> Result<Vec<f32>> {
    let theta = config.number(&["rope_theta"], 10_000.0)?;
    let scaling = config.at("rope_scaling");
    if !config.has("rope_scaling") {
        return Ok(inverse_frequencies(theta, head));
    }
    if scaling.word(&["type", "rope_type"], "")? != "ntk" {
        return Ok(scaling.unsupported("type")?);
    }
    let factor = scaling.number(&["factor"], 0.0)?;
    // With a factor below 1, whether it applies would depend on the length of the text; with 1, nothing changes.
    if factor < 1.0 {
        return Ok(scaling.unsupported("factor")?);
    }
    if scaling.has("mixed_b") {
        let power = scaling.number(&["mixed_b"], 1.0)?;
        let slope = (factor as f32).ln() / (head as f64 / 2.0).powf(power) as f32;
        let divisor = |pair: usize| (slope * ((pair + 1) as f32).powf(power as f32)).exp();
        let plain = inverse_frequencies(theta, head);
        return Ok(plain
            .into_iter()
            .enumerate()
            .map(|(pair, frequency)| frequency / divisor(pair))
            .collect());
    }
    let divisor = factor.powf(2.0 / head as f64) as f32;
    Ok(inverse_frequencies(theta * factor, head).into_iter().map(|frequency| frequency / divisor).collect())
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let new = New::of(m.config)?;
    let w = m.top.at("lm_head");
    let y = linear(g, &w.at("dense"), x.hidden)?;
    let y = activate_by_name(g, &new.activation, y)?;
    let y = layer_norm(g, &w.at("norm"), y, new.epsilon)?;
    let decoder = w.at("decoder");
    let matrix = heads::words_matrix(g, m, &decoder, "embeddings.word_embeddings.weight")?;
    let bias = g.weight(&decoder, "bias")?;
    let logits = g.gemm(y, matrix, Some(bias))?;
    heads::token_logits(g, logits, &x.rows)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(config: &Value) -> Result<Vec<f32>> {
        frequencies(&Config::parse(config.to_string().as_bytes()).unwrap(), 4)
    }

    #[test]
    fn the_base_is_stretched_for_every_length() {
        assert_eq!(of(&json!({"rope_theta": 100.0})).unwrap(), [1.0, 0.1]);
        let stretched = |factor: f64| of(&json!({"rope_scaling": {"type": "ntk", "factor": factor}}));
        assert_eq!(stretched(4.0).unwrap(), [0.5, 0.0025]);
        assert_eq!(stretched(1.0).unwrap(), [1.0, 0.01]);
        assert!(stretched(0.5).unwrap_err().to_string().contains("`rope_scaling.factor`"));
        let told = of(&json!({"rope_scaling": {"type": "linear", "factor": 4.0}})).unwrap_err().to_string();
        assert!(told.contains("`rope_scaling.type` = \"linear\""), "{told}");
    }
}
