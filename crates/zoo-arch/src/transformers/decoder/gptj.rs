//! GPT-J (Wang and Komatsuzaki, 2021): rotary embeddings that turn neighbouring features of the beginning of each head, and attention and
//! feed-forward layer beside each other behind one norm.

use zoo_graph::{Builder, Val, Weights};

use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use crate::nn::{
    Scores, activate_by_name, attention, fold_rows, inverse_frequencies, join_heads, layer_norm, linear,
    rotary_tables, rotate_interleaved, split_heads,
};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "gptj",
    prefix: "transformer",
    classes: &[
        class!("GPTJModel", FeatureExtraction, |g, m| gptj(m)?.hidden_state(g, m)),
        class!("GPTJForCausalLM", TextGeneration, |g, m| gptj(m)?.logits(g, m)),
        class!("GPTJForSequenceClassification", TextClassification, |g, m| gptj(m)?.label(g, m)),
        class!("GPTJForQuestionAnswering", QuestionAnswering, |g, m| gptj(m)?.spans(g, m)),
    ],
    heads: &["lm_head", "score", "qa_outputs"],
    unused: |path| {
        [".attn.bias", ".attn.masked_bias", ".attn.embed_positions"]
            .iter()
            .any(|buffer| path.ends_with(buffer))
    },
}];

/// A model, by what its configuration says.
#[derive(Debug)]
struct GptJ {
    layers: usize,
    heads: usize,
    /// How many features of each head are turned.
    turned: usize,
    epsilon: f32,
    activation: String,
}

fn gptj(m: &Model<'_>) -> Result<GptJ> {
    let config = m.config;
    if config.is_null("rotary_dim") {
        return Ok(config.unsupported("rotary_dim")?);
    }
    Ok(GptJ {
        layers: config.size(&["n_layer", "num_hidden_layers"], 28)?,
        heads: config.size(&["n_head", "num_attention_heads"], 16)?.max(1),
        turned: config.size(&["rotary_dim"], 64)?,
        epsilon: config.epsilon("layer_norm_epsilon", 1e-5)?,
        activation: config.word(&["activation_function"], "gelu_new")?.to_owned(),
    })
}

impl Decoder for GptJ {
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let words = g.weight(w, "wte.weight")?;
        let head = g.size(words, 1)? / self.heads;
        if self.turned > head {
            return Error::unsupported(format!(
                "`rotary_dim` = {} of heads with {head} features",
                self.turned
            ));
        }
        let x = g.embedding(words, texts.ids)?;
        let mut x = fold_rows(g, x)?;
        let positions = texts.positions(g)?;
        let turns = rotary_tables(g, positions, &inverse_frequencies(10_000.0, self.turned), 1.0)?;
        for layer in 0..self.layers {
            let w = w.at(format_args!("h.{layer}"));
            let normal = layer_norm(g, &w.at("ln_1"), x, self.epsilon)?;
            let seen = self.attention(g, &w.at("attn"), normal, &mut texts, (layer, turns))?;
            let y = linear(g, &w.at("mlp.fc_in"), normal)?;
            let y = activate_by_name(g, &self.activation, y)?;
            let y = linear(g, &w.at("mlp.fc_out"), y)?;
            let y = g.add(seen, y)?;
            x = g.add(y, x)?;
        }
        Ok((layer_norm(g, &w.at("ln_f"), x, self.epsilon)?, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "wte.weight", "lm_head.weight", false)?;
        let bias = g.weight(&m.top, "lm_head.bias")?;
        Ok(g.gemm(x, words, Some(bias))?)
    }
}

impl GptJ {
    fn attention(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        texts: &mut Texts,
        (layer, (cos, sin)): (usize, (Val, Val)),
    ) -> Result<Val> {
        let (queries, keys) = (linear(g, &w.at("q_proj"), x)?, linear(g, &w.at("k_proj"), x)?);
        let both = g.concat(&[queries, keys], 1)?;
        let both = split_heads(g, both, &texts.rows, 2 * self.heads)?;
        let both = rotate_interleaved(g, both, cos, sin)?;
        let parts = g.split(both, 1, &[self.heads; 2])?;
        let values = linear(g, &w.at("v_proj"), x)?;
        let values = split_heads(g, values, &texts.rows, self.heads)?;
        let head = g.size(values, 3)?;
        let (keys, values) = texts.with_past(g, layer, parts[1], values)?;
        let bias = texts.bias(g, Hidden::within(None))?;
        let y = attention(g, parts[0], keys, values, Scores::scaled(head, Some(bias)))?;
        let y = join_heads(g, y)?;
        Ok(linear(g, &w.at("out_proj"), y)?)
    }
}
