//! LLaMA (Touvron et al., 2023), and all that is built like it: a decoder with norms before its sublayers, rotary embeddings, heads that share
//! keys and values, and gated feed-forward layers.
//!
//! What differs between families is a value of [`Llama`]; each family's file says which.

use zoo_graph::{Builder, Val, Weights};

use super::group_query::{GroupQuery, whole_tables};
use super::heads::{self, Decoder};
use super::texts::{Hidden, Reading, Texts};
use crate::config::Config;
use crate::nn::{
    Rope, RopeDefaults, Rows, Scores, activate_by_name, attention, fold_rows, join_heads, linear, rms_norm,
    rotate, split_heads,
};
use crate::transformers::{Architecture, Error, Model, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "llama",
    prefix: "model",
    classes: &[
        class!("LlamaModel", FeatureExtraction, |g, m| llama(m)?.hidden_state(g, m)),
        class!("LlamaForCausalLM", TextGeneration, |g, m| llama(m)?.logits(g, m)),
        class!("LlamaForSequenceClassification", TextClassification, |g, m| llama(m)?.label(g, m)),
        class!("LlamaForTokenClassification", TokenClassification, |g, m| llama(m)?.labels(g, m)),
        class!("LlamaForQuestionAnswering", QuestionAnswering, |g, m| llama(m)?.spans(g, m)),
    ],
    heads: HEADS,
    unused: |_| false,
}];

/// The heads of all families that are built like this one.
pub(super) const HEADS: &[&str] = &["lm_head", "score", "qa_outputs"];

fn llama(m: &Model<'_>) -> Result<Llama> {
    let rope = RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 2048, original: None };
    Llama::of(
        m.config,
        Defaults { width: 4096, layers: 32, heads: 32, kv_heads: None, head: None, epsilon: 1e-6, rope },
    )
}

/// What holds where a configuration says nothing: the defaults of its class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    /// `hidden_size`.
    pub(super) width: usize,
    /// `num_hidden_layers`.
    pub(super) layers: usize,
    /// `num_attention_heads`.
    pub(super) heads: usize,
    /// `num_key_value_heads`; as many as heads if the class does not say.
    pub(super) kv_heads: Option<usize>,
    /// `head_dim`; the width over the heads if the class does not say.
    pub(super) head: Option<usize>,
    /// `rms_norm_eps`.
    pub(super) epsilon: f64,
    /// Of the rotary embedding.
    pub(super) rope: RopeDefaults,
}

/// A model, by what its configuration says.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a difference between families, and they go together as they like"
)]
pub(super) struct Llama {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Features of a head.
    pub(super) head: usize,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    pub(super) epsilon: f32,
    pub(super) activation: String,
    pub(super) rope: Rope,
    /// The rotary embedding of layers with a window, where it is another one.
    pub(super) local_rope: Option<Rope>,
    /// Which layers have no rotary embedding.
    pub(super) unturned: fn(&Config, usize) -> Result<bool>,
    /// The window of the layers that have one, and which do.
    pub(super) window: Option<usize>,
    pub(super) windowed: Layers,
    /// Whether norms multiply by `1 + weight` (Gemma).
    pub(super) norms_from_one: bool,
    /// Whether queries and keys have norms over their heads (Qwen 3, Gemma 3).
    pub(super) head_norms: bool,
    /// Whether sublayers have norms behind them, too (Gemma 2 and 3).
    pub(super) sandwich: bool,
    /// Whether projections that have the same input are one tensor (Phi-3).
    pub(super) fused: bool,
    /// What embeddings are multiplied by.
    pub(super) embedding_scale: Option<f32>,
    /// Scores `s` become `cap tanh(s/cap)`.
    pub(super) score_cap: Option<f32>,
    /// The same for logits.
    pub(super) logit_cap: Option<f32>,
    /// Whether `position_ids` are an input.
    pub(super) places: bool,
    /// Whether the output layer is the table of words, if the configuration does not say.
    pub(super) tied: bool,
    /// The token for padding, if the configuration does not say.
    pub(super) pad: Option<i64>,
}

/// Some of the layers.
#[derive(Debug)]
pub(super) enum Layers {
    /// All of them.
    All,
    /// Those from this one on.
    From(usize),
    /// All but every so-many-th.
    AllButEvery(usize),
    /// Those of which it is said.
    Listed(Vec<bool>),
}

impl Layers {
    /// What `layer_types` says of a window, or else `otherwise`.
    pub(super) fn with_window(config: &Config, otherwise: Self) -> Result<Self> {
        let Some(types) = config.words("layer_types")? else { return Ok(otherwise) };
        let one = |kind: &&str| match *kind {
            "sliding_attention" => Some(true),
            "full_attention" => Some(false),
            _ => None,
        };
        match types.iter().map(one).collect() {
            Some(listed) => Ok(Self::Listed(listed)),
            None => Ok(config.unsupported("layer_types")?),
        }
    }

    fn has(&self, layer: usize) -> bool {
        match self {
            Self::All => true,
            Self::From(first) => layer >= *first,
            Self::AllButEvery(step) => !(layer + 1).is_multiple_of((*step).max(1)),
            Self::Listed(listed) => listed.get(layer).copied().unwrap_or_default(),
        }
    }
}

impl Llama {
    /// What the configuration says, in the words that all families share.
    pub(super) fn of(config: &Config, defaults: Defaults) -> Result<Self> {
        let heads = config.size(&["num_attention_heads"], defaults.heads)?;
        let kv_heads = config.size(&["num_key_value_heads"], defaults.kv_heads.unwrap_or(heads))?;
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Error::unsupported(format!("{heads} heads that share {kv_heads} keys and values"));
        }
        let head = match config.size_if(&["head_dim"])?.or(defaults.head) {
            Some(head) => head,
            None => config.size(&["hidden_size"], defaults.width)? / heads,
        };
        Ok(Self {
            layers: config.size(&["num_hidden_layers"], defaults.layers)?,
            heads,
            kv_heads,
            head,
            scale: (head as f64).powf(-0.5) as f32,
            epsilon: config.epsilon("rms_norm_eps", defaults.epsilon)?,
            activation: config.word(&["hidden_act"], "silu")?.to_owned(),
            rope: Rope::of(config, head, defaults.rope)?,
            local_rope: None,
            unturned: |_, _| Ok(false),
            window: None,
            windowed: Layers::All,
            norms_from_one: false,
            head_norms: false,
            sandwich: false,
            fused: false,
            embedding_scale: None,
            score_cap: None,
            logit_cap: None,
            places: true,
            tied: false,
            pad: None,
        })
    }

    fn layer(&self, g: &mut Builder, w: &Weights, x: Val, texts: &mut Texts, own: Layer) -> Result<Val> {
        let y = self.norm(g, &w.at("input_layernorm"), x)?;
        let mut y = self.attention(g, &w.at("self_attn"), y, texts, own)?;
        if self.sandwich {
            y = self.norm(g, &w.at("post_attention_layernorm"), y)?;
        }
        let x = g.add(x, y)?;
        let before = if self.sandwich { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let y = self.norm(g, &w.at(before), x)?;
        let mut y = self.feed_forward(g, &w.at("mlp"), y)?;
        if self.sandwich {
            y = self.norm(g, &w.at("post_feedforward_layernorm"), y)?;
        }
        Ok(g.add(x, y)?)
    }

    fn norm(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        if !self.norms_from_one {
            return Ok(rms_norm(g, w, x, self.epsilon)?);
        }
        let scale = g.weight(w, "weight")?;
        let one = g.float("one", 1.0);
        let scale = g.add(scale, one)?;
        Ok(g.rms_norm(x, scale, self.epsilon)?)
    }

    fn attention(&self, g: &mut Builder, w: &Weights, x: Val, texts: &mut Texts, own: Layer) -> Result<Val> {
        let y = if own.one_node {
            self.one_node(g, w, x, texts, own)?
        } else {
            let rows = texts.rows.clone();
            let (mut both, values) = self.projections(g, w, x, &rows)?;
            if let Some((cos, sin)) = own.turns {
                both = rotate(g, both, cos, sin)?;
            }
            let parts = g.split(both, 1, &[self.heads, self.kv_heads])?;
            let values = split_heads(g, values, &rows, self.kv_heads)?;
            let (keys, values) = texts.with_past(g, own.number, parts[1], values)?;
            let bias = texts.bias(g, Hidden::within(own.window))?;
            let scores = Scores { scale: Some(self.scale), bias: Some(bias), cap: self.score_cap };
            let y = attention(g, parts[0], keys, values, scores)?;
            join_heads(g, y)?
        };
        Ok(linear(g, &w.at("o_proj"), y)?)
    }

    /// Queries and keys together, since both are turned: `[batch, heads + kv_heads, sequence, head]`; and values, as rows.
    fn projections(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<(Val, Val)> {
        let [queries, keys] = [self.heads * self.head, self.kv_heads * self.head];
        if self.fused {
            let both = g.weight_rows(w, "qkv_proj.weight", 0, queries + keys)?;
            let both = g.gemm(x, both, None)?;
            let values = g.weight_rows(w, "qkv_proj.weight", queries + keys, keys)?;
            let values = g.gemm(x, values, None)?;
            return Ok((split_heads(g, both, rows, self.heads + self.kv_heads)?, values));
        }
        let [queries, keys, values] = separate(g, w, x)?;
        if !self.head_norms {
            let both = g.concat(&[queries, keys], 1)?;
            return Ok((split_heads(g, both, rows, self.heads + self.kv_heads)?, values));
        }
        let queries = self.head_norm(g, &w.at("q_norm"), queries, rows)?;
        let keys = self.head_norm(g, &w.at("k_norm"), keys, rows)?;
        let both = g.concat(&[queries, keys], 2)?;
        Ok((g.transpose(both, &[0, 2, 1, 3])?, values))
    }

    /// A norm over each head: from rows to `[batch, sequence, heads, head]`.
    fn head_norm(&self, g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<Val> {
        let heads = g.size(x, 1)? / self.head.max(1);
        let x = g.reshape(x, [rows.batch.clone(), rows.sequence.clone(), heads.into(), self.head.into()])?;
        self.norm(g, w, x)
    }

    /// Attention as one node, from rows to rows.
    fn one_node(&self, g: &mut Builder, w: &Weights, x: Val, texts: &mut Texts, own: Layer) -> Result<Val> {
        let Self { heads, kv_heads, head, scale, score_cap: cap, .. } = *self;
        let node = GroupQuery {
            layer: own.number,
            heads,
            kv_heads,
            head,
            scale,
            cap,
            window: own.window,
            turns: own.turns,
        };
        if self.fused {
            let all = linear(g, &w.at("qkv_proj"), x)?;
            return node.attention(g, texts, all, None);
        }
        let [mut queries, mut keys, values] = separate(g, w, x)?;
        if self.head_norms {
            for (part, norm) in [(&mut queries, "q_norm"), (&mut keys, "k_norm")] {
                let normal = self.head_norm(g, &w.at(norm), *part, &texts.rows)?;
                let normal = g.join_axes(normal, 2, 4)?;
                *part = g.join_axes(normal, 0, 2)?;
            }
        }
        node.attention(g, texts, queries, Some((keys, values)))
    }

    fn feed_forward(&self, g: &mut Builder, w: &Weights, x: Val) -> Result<Val> {
        let (gate, up) = if self.fused {
            let half = w.shape("gate_up_proj.weight")?.first().copied().unwrap_or_default() / 2;
            let gate = g.weight_rows(w, "gate_up_proj.weight", 0, half)?;
            let up = g.weight_rows(w, "gate_up_proj.weight", half, half)?;
            (g.gemm(x, gate, None)?, g.gemm(x, up, None)?)
        } else {
            (linear(g, &w.at("gate_proj"), x)?, linear(g, &w.at("up_proj"), x)?)
        };
        let gate = activate_by_name(g, &self.activation, gate)?;
        let y = g.mul(gate, up)?;
        Ok(linear(g, &w.at("down_proj"), y)?)
    }
}

impl Decoder for Llama {
    const LABELS: &'static str = "score";

    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)> {
        let mut texts = Texts::read(g, m, reading)?;
        let table = g.weight(w, "embed_tokens.weight")?;
        let mut x = g.embedding(table, texts.ids)?;
        if let Some(scale) = self.embedding_scale {
            let scale = g.float("embedding_scale", scale);
            x = g.mul(x, scale)?;
        }
        let mut x = fold_rows(g, x)?;
        let one_node = m.options.contrib && texts.cached();
        let positions = if one_node { texts.all_positions(g)? } else { texts.positions(g)? };
        let tables = |g: &mut Builder, rope: &Rope| {
            let tables = rope.tables(g, positions)?;
            if one_node { whole_tables(g, texts.total(), tables) } else { Ok(tables) }
        };
        let turns = tables(g, &self.rope)?;
        let local = self.local_rope.as_ref().map_or(Ok(turns), |rope| tables(g, rope))?;
        for layer in 0..self.layers {
            let window = self.window.filter(|_| self.windowed.has(layer));
            let turns = match window {
                _ if (self.unturned)(m.config, layer)? => None,
                Some(_) => Some(local),
                None => Some(turns),
            };
            let w = w.at(format_args!("layers.{layer}"));
            x = self.layer(g, &w, x, &mut texts, Layer { number: layer, window, turns, one_node })?;
        }
        let x = self.norm(g, &w.at("norm"), x)?;
        Ok((x, texts))
    }

    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let words = heads::words(g, m, "embed_tokens.weight", "lm_head.weight", self.tied)?;
        let logits = g.gemm(x, words, None)?;
        let Some(cap) = self.logit_cap else { return Ok(logits) };
        let cap = g.float("logit_cap", cap);
        let logits = g.div(logits, cap)?;
        let logits = g.tanh(logits)?;
        Ok(g.mul(logits, cap)?)
    }

    fn places(&self, m: &Model<'_>) -> bool {
        // One node for attention counts places by itself.
        self.places && !(m.options.contrib && m.options.cache)
    }

    fn pad(&self) -> Option<i64> {
        self.pad
    }
}

/// Queries, keys and values, as rows.
fn separate(g: &mut Builder, w: &Weights, x: Val) -> Result<[Val; 3]> {
    let queries = linear(g, &w.at("q_proj"), x)?;
    let keys = linear(g, &w.at("k_proj"), x)?;
    Ok([queries, keys, linear(g, &w.at("v_proj"), x)?])
}

/// What differs between layers.
#[derive(Debug, Clone, Copy)]
struct Layer {
    number: usize,
    /// How many keys a query sees at most.
    window: Option<usize>,
    /// Cosines and sines, if it has a rotary embedding.
    turns: Option<(Val, Val)>,
    /// Whether attention is one node.
    one_node: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, llama, llama_config, refusal};
    use crate::testing::{Checkpoint, count};
    use crate::transformers::ModelOptions;

    #[test]
    fn weights_are_used_as_they_lie() {
        let c = llama("lm_head", 11);
        let g = graph(&c, &llama_config(&json!({})), "LlamaForCausalLM", &ModelOptions::default()).unwrap();
        assert_eq!(count(&g, "Gemm"), 2 * 7 + 1);
        // Of queries and keys together, of values, of keys for their product, and of heads.
        assert_eq!(count(&g, "Transpose"), 2 * 4);
        assert_eq!((count(&g, "Cos"), count(&g, "Where")), (1, 1), "all layers share tables and bias");
    }

    #[test]
    fn ties_follow_the_configuration_and_a_missing_head_is_told() {
        let c = llama("score", 3);
        let config = llama_config(&json!({"tie_word_embeddings": true}));
        assert!(graph(&c, &config, "LlamaForCausalLM", &ModelOptions::default()).is_ok());
        let untied = llama_config(&json!({}));
        let told = graph(&c, &untied, "LlamaForCausalLM", &ModelOptions::default()).unwrap_err().to_string();
        assert!(told.contains("no tensor \"lm_head.weight\""), "{told}");
    }

    #[test]
    fn one_tensor_is_queries_keys_and_values_by_its_rows() {
        let mut c = Checkpoint::default();
        c.bare("model.embed_tokens", &[11, 8]).bare("model.norm", &[8]).bare("lm_head", &[11, 8]);
        c.bare("model.layers.0.self_attn.qkv_proj", &[128, 8])
            .bare("model.layers.0.self_attn.o_proj", &[8, 64]);
        c.bare("model.layers.0.mlp.gate_up_proj", &[24, 8]).bare("model.layers.0.mlp.down_proj", &[8, 12]);
        c.bare("model.layers.0.input_layernorm", &[8]).bare("model.layers.0.post_attention_layernorm", &[8]);
        let config = llama_config(&json!({"model_type": "phi3", "num_hidden_layers": 1}));
        let g = graph(&c, &config, "Phi3ForCausalLM", &ModelOptions::default()).unwrap();
        for part in [
            "self_attn.qkv_proj.weight[0:96]",
            "self_attn.qkv_proj.weight[96:128]",
            "mlp.gate_up_proj.weight[12:24]",
        ] {
            assert!(g.values().any(|(_, value)| value.name == format!("model.layers.0.{part}")), "{part}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused_by_name() {
        for (config, name) in [
            (json!({"num_attention_heads": 4, "num_key_value_heads": 3}), "4 heads that share 3 keys"),
            (json!({"head_dim": 1_u64 << 31}), "heads of 2147483648 features"),
            (json!({"rope_scaling": {"type": "proportional"}}), "`rope_scaling.type`"),
            (
                json!({"model_type": "qwen2", "use_sliding_window": true, "layer_types": ["chunked_attention"]}),
                "`layer_types`",
            ),
        ] {
            let config = llama_config(&config);
            let class = if config["model_type"] == "qwen2" { "Qwen2Model" } else { "LlamaModel" };
            let told = refusal(&config, class);
            assert!(told.contains(name), "{told}");
        }
    }
}
