//! Falcon (Almazrouei et al., 2023): three ways to lay out one projection of queries, keys and values; attention and feed-forward layer beside
//! each other or not; rotary embeddings, or ALiBi.

use zoo_graph::{Builder, Val, Weights};

use super::alibi::place_bias;
use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use super::turned::by_head;
use crate::nn::{
    Rope, RopeDefaults, Scores, activate_by_name, attention, fold_rows, join_heads, layer_norm, linear,
    rotate, split_heads,
};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "falcon",
    prefix: "transformer",
    classes: &[
        class!("FalconModel", FeatureExtraction, |g, m| falcon(m)?.hidden_state(g, m)),
        class!("FalconForCausalLM", TextGeneration, |g, m| falcon(m)?.logits(g, m)),
        class!("FalconForSequenceClassification", TextClassification, |g, m| falcon(m)?.label(g, m)),
        class!("FalconForTokenClassification", TokenClassification, |g, m| falcon(m)?.labels(g, m)),
        class!("FalconForQuestionAnswering", QuestionAnswering, |g, m| falcon(m)?.spans(g, m)),
    ],
    heads: &["lm_head", "score", "classifier", "qa_outputs"],
    unused: |_| false,
}];

/// How the rows of `query_key_value` are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `[heads, 3, head]`.
    ByHead,
    /// All queries, then one key and one value.
    OneKey,
    /// `[kv_heads, queries + 2, head]`: for each key and value, the queries that share them before them.
    ByKey(usize),
}

/// A model, by what its configuration says.
#[derive(Debug)]
struct Falcon {
    layers: usize,
    heads: usize,
    head: usize,
    layout: Layout,
    /// Whether both sublayers start from the same tokens.
    parallel: bool,
    /// Whether they have norms of their own then.
    two_norms: bool,
    epsilon: f32,
    activation: String,
    /// Without, there is ALiBi.
    rope: Option<Rope>,
}

fn falcon(m: &Model<'_>) -> Result<Falcon> {
    let config = m.config;
    let heads = config.size(&["num_attention_heads"], 71)?.max(1);
    let head = config.size(&["n_embed", "hidden_size"], 4544)? / heads;
    let parallel = config.flag("parallel_attn", true)?;
    let new = config.flag("new_decoder_architecture", false)?;
    let norms = config.size(&["num_ln_in_parallel_attn"], if new { 2 } else { 1 })?;
    if new && !parallel {
        return Ok(config.unsupported("parallel_attn")?);
    }
    if !(1..=2).contains(&norms) || (norms == 2 && !new) {
        return Ok(config.unsupported("num_ln_in_parallel_attn")?);
    }
    let layout = if new {
        let shared = config.size(&["num_kv_heads"], heads)?;
        if shared == 0 || !heads.is_multiple_of(shared) {
            return Error::unsupported(format!("{heads} heads that share {shared} keys and values"));
        }
        Layout::ByKey(shared)
    } else if config.flag("multi_query", true)? {
        Layout::OneKey
    } else {
        Layout::ByHead
    };
    let defaults = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 2048, original: None };
    Ok(Falcon {
        layers: config.size(&["num_hidden_layers"], 32)?,
        heads,
        head,
        layout,
        parallel,
        two_norms: norms == 2,
        epsilon: config.epsilon("layer_norm_epsilon", 1e-5)?,
        activation: config.word(&["activation"], "gelu")?.to_owned(),
        rope: if config.flag("alibi", false)? { None } else { Some(Rope::of(config, head, defaults)?) },
    })
}

impl Decoder for Falcon {
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let words = g.weight(w, "word_embeddings.weight")?;
        let x = g.embedding(words, texts.ids)?;
        let mut x = fold_rows(g, x)?;
        let turns = match &self.rope {
            Some(rope) => {
                let positions = texts.positions(g)?;
                Some(rope.tables(g, positions)?)
            }
            None => None,
        };
        let bias = match turns {
            Some(_) => texts.bias(g, Hidden::within(None))?,
            // The library makes this bias of bf16 numbers, whatever the model's type.
            None => {
                let scale = 1.0 / (self.head as f64).sqrt();
                place_bias(g, &mut texts, self.heads, (Some(scale as f32), true))?
            }
        };
        for layer in 0..self.layers {
            let w = w.at(format_args!("h.{layer}"));
            let first = if self.two_norms { "ln_attn" } else { "input_layernorm" };
            let normal = layer_norm(g, &w.at(first), x, self.epsilon)?;
            let seen =
                self.attention(g, &w.at("self_attention"), normal, &mut texts, (layer, turns, bias))?;
            let attended = g.add(x, seen)?;
            let start = match (self.parallel, self.two_norms) {
                (true, true) => layer_norm(g, &w.at("ln_mlp"), x, self.epsilon)?,
                (true, false) => normal,
                (false, _) => layer_norm(g, &w.at("post_attention_layernorm"), attended, self.epsilon)?,
            };
            let y = linear(g, &w.at("mlp.dense_h_to_4h"), start)?;
            let y = activate_by_name(g, &self.activation, y)?;
            let y = linear(g, &w.at("mlp.dense_4h_to_h"), y)?;
            x = g.add(attended, y)?;
        }
        Ok((layer_norm(g, &w.at("ln_f"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "word_embeddings.weight", "lm_head.weight", true)?;
        Ok(g.gemm(x, words, None)?)
    }

    fn places(&self, _m: &Model<'_>) -> bool {
        self.rope.is_some()
    }
}

impl Falcon {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        (layer, turns, bias): (usize, Option<(Val, Val)>, Val),
    ) -> Result<Val> {
        let all = linear(g, &w.at("query_key_value"), x)?;
        let (mut both, mut values) = self.parts(g, all, texts)?;
        if let Some((cos, sin)) = turns {
            both = rotate(g, both, cos, sin)?;
        }
        let kv_heads = g.size(values, 1)?;
        let parts = g.split(both, 1, &[self.heads, kv_heads])?;
        let mut keys = parts[1];
        if let Layout::ByKey(_) = self.layout {
            (keys, values) = (self.repeated(g, keys)?, self.repeated(g, values)?);
        }
        let (keys, values) = texts.with_past(g, layer, keys, values)?;
        let y = attention(g, parts[0], keys, values, Scores::scaled(self.head, Some(bias)))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("dense"), y)?)
    }

    /// Queries and keys together, and values, with heads in front.
    fn parts(&self, g: &mut Builder, all: Val, texts: &Texts) -> Result<(Val, Val)> {
        match self.layout {
            Layout::ByHead => by_head(g, all, &texts.rows, self.heads),
            Layout::OneKey => {
                let all = split_heads(g, all, &texts.rows, self.heads + 2)?;
                let parts = g.split(all, 1, &[self.heads + 1, 1])?;
                Ok((parts[0], parts[1]))
            }
            Layout::ByKey(shared) => {
                let (batch, sequence) = (texts.rows.batch.clone(), texts.rows.sequence.clone());
                let own = self.heads / shared;
                let all =
                    g.reshape(all, [batch, sequence, shared.into(), (own + 2).into(), self.head.into()])?;
                let all = g.transpose(all, &[0, 2, 3, 1, 4])?;
                let parts = g.split(all, 2, &[own, 1, 1])?;
                let (queries, keys) = (g.join_axes(parts[0], 1, 3)?, g.join_axes(parts[1], 1, 3)?);
                Ok((g.concat(&[queries, keys], 1)?, g.join_axes(parts[2], 1, 3)?))
            }
        }
    }

    /// A key or value for each head: what the library keeps in this layout, though heads share them.
    fn repeated(&self, g: &mut Builder, x: Val) -> Result<Val> {
        let times = self.heads / g.size(x, 1)?.max(1);
        let x = g.unsqueeze(x, 2)?;
        let x = g.concat(&vec![x; times], 2)?;
        Ok(g.join_axes(x, 1, 3)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::refusal;

    #[test]
    fn layouts_that_the_library_does_not_run_are_refused() {
        for (name, value) in [("parallel_attn", json!(false)), ("num_ln_in_parallel_attn", json!(3))] {
            let config = json!({"model_type": "falcon", "new_decoder_architecture": true, name: value});
            let told = refusal(&config, "FalconModel");
            assert!(told.contains(name), "{told}");
        }
    }
}
