//! BLOOM (Le Scao et al., 2022): ALiBi instead of positions, and a norm behind the table of words.

use zoo_graph::{Builder, Val, Weights};

use super::alibi::place_bias;
use super::heads::{self, Decoder};
use super::texts::{Reading, Texts};
use super::turned::by_head;
use crate::nn::{Scores, attention, fold_rows, join_heads, layer_norm, linear};
use crate::transformers::{Architecture, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "bloom",
    prefix: "transformer",
    classes: &[
        class!("BloomModel", FeatureExtraction, |g, m| bloom(m)?.hidden_state(g, m)),
        class!("BloomForCausalLM", TextGeneration, |g, m| bloom(m)?.logits(g, m)),
        class!("BloomForSequenceClassification", TextClassification, |g, m| bloom(m)?.label(g, m)),
        class!("BloomForTokenClassification", TokenClassification, |g, m| bloom(m)?.labels(g, m)),
        class!("BloomForQuestionAnswering", QuestionAnswering, |g, m| bloom(m)?.spans(g, m)),
    ],
    heads: &["lm_head", "score", "classifier", "qa_outputs"],
    unused: |_| false,
}];

/// A model, by what its configuration says.
#[derive(Debug)]
struct Bloom {
    layers: usize,
    heads: usize,
    epsilon: f32,
    /// Whether sublayers are added to what their norms made, not to what was before.
    from_norms: bool,
}

fn bloom(m: &Model<'_>) -> Result<Bloom> {
    let config = m.config;
    Ok(Bloom {
        layers: config.size(&["n_layer", "num_hidden_layers"], 2)?,
        heads: config.size(&["n_head", "num_attention_heads"], 8)?,
        epsilon: config.epsilon("layer_norm_epsilon", 1e-5)?,
        from_norms: config.flag("apply_residual_connection_post_layernorm", false)?,
    })
}

impl Decoder for Bloom {
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let words = g.weight(w, "word_embeddings.weight")?;
        let x = g.embedding(words, texts.ids)?;
        let x = fold_rows(g, x)?;
        let mut x = layer_norm(g, &w.at("word_embeddings_layernorm"), x, self.epsilon)?;
        let bias = place_bias(g, &mut texts, self.heads, (None, false))?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("h.{layer}"));
            let normal = layer_norm(g, &w.at("input_layernorm"), x, self.epsilon)?;
            let y = self.attention(g, &w.at("self_attention"), normal, &mut texts, (layer, bias))?;
            x = g.add(if self.from_norms { normal } else { x }, y)?;
            let normal = layer_norm(g, &w.at("post_attention_layernorm"), x, self.epsilon)?;
            let y = linear(g, &w.at("mlp.dense_h_to_4h"), normal)?;
            let y = g.gelu_tanh(y)?;
            let y = linear(g, &w.at("mlp.dense_4h_to_h"), y)?;
            x = g.add(if self.from_norms { normal } else { x }, y)?;
        }
        Ok((layer_norm(g, &w.at("ln_f"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "word_embeddings.weight", "lm_head.weight", true)?;
        Ok(g.gemm(x, words, None)?)
    }

    fn places(&self, _m: &Model<'_>) -> bool {
        false
    }
}

impl Bloom {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        (layer, bias): (usize, Val),
    ) -> Result<Val> {
        let all = linear(g, &w.at("query_key_value"), x)?;
        let (both, values) = by_head(g, all, &texts.rows, self.heads)?;
        let parts = g.split(both, 1, &[self.heads; 2])?;
        let head = g.size(values, 3)?;
        let (keys, values) = texts.with_past(g, layer, parts[1], values)?;
        let y = attention(g, parts[0], keys, values, Scores::scaled(head, Some(bias)))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("dense"), y)?)
    }
}
