//! DeBERTa v2 and v3 (He et al., 2020 and 2021): attention of words to words, of words to distances, and of distances to words, each
//! by a product of its own ("disentangled"). Distances beyond the near ones share vectors.

use zoo_graph::ops::Window;
use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use super::disentangled::{Disentangled, Distances};
use super::encoder::Encoded;
use super::heads;
use crate::nn::{
    TextInputs, activate_by_name, conv, fold_rows, layer_norm, linear, text_inputs, unfold_rows,
};
use crate::transformers::{Architecture, Model, Outputs, Result, class};

pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    model_type: "deberta-v2",
    prefix: "deberta",
    classes: &[
        class!("DebertaV2Model", FeatureExtraction, |g, m| {
            let x = encoded(g, m, false)?;
            heads::hidden_state(g, x.hidden, &x.rows)
        }),
        class!("DebertaV2ForMaskedLM", FillMask, masked_lm),
        class!("DebertaV2ForSequenceClassification", TextClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let pooled = pooled(g, m, &x)?;
            Ok(heads::output("logits", linear(g, &m.top.at("classifier"), pooled)?))
        }),
        class!("DebertaV2ForTokenClassification", TokenClassification, |g, m| {
            let x = encoded(g, m, false)?;
            let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
            heads::token_logits(g, logits, &x.rows)
        }),
        class!("DebertaV2ForQuestionAnswering", QuestionAnswering, |g, m| {
            let x = encoded(g, m, false)?;
            heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
        }),
        class!("DebertaV2ForMultipleChoice", MultipleChoice, |g, m| {
            let x = encoded(g, m, true)?;
            let pooled = pooled(g, m, &x)?;
            let scores = linear(g, &m.top.at("classifier"), pooled)?;
            heads::choices(g, scores)
        }),
    ],
    heads: &["cls", "lm_predictions", "mask_predictions", "pooler", "classifier", "qa_outputs"],
    // Left over from pretraining where words are not biased by their places.
    unused: |path| path.starts_with("embeddings.position_embeddings."),
}];

const EPSILON: f64 = 1e-7;

struct Deberta {
    attention: Disentangled,
    epsilon: f32,
    activation: String,
}

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    let deberta = Deberta {
        attention: Disentangled::of(m.config)?,
        epsilon: m.config.epsilon("layer_norm_eps", EPSILON)?,
        activation: m.config.word(&["hidden_act"], "gelu")?.to_owned(),
    };
    let inputs = text_inputs(g, m.config.size(&["type_vocab_size"], 0)? > 0, choices)?;
    let seen = g.cast(inputs.mask, DType::F32)?;
    let seen = g.unsqueeze(seen, -1)?;
    let embedded = deberta.embed(g, m, &inputs, seen)?;

    let w = m.base.at("encoder");
    let distances = deberta.distances(g, m, &w, &inputs)?;
    let hidden = hidden_pairs(g, inputs.mask)?;
    let mut x = embedded;
    for layer in 0..m.config.size(&["num_hidden_layers"], 24)? {
        let before = x;
        x = deberta.layer(g, &w.at(format_args!("layer.{layer}")), x, &inputs, (hidden, distances))?;
        if layer == 0 && m.config.size(&["conv_kernel_size"], 0)? > 0 {
            x = deberta.convolve(g, m, &w.at("conv"), (before, x), &inputs, seen)?;
        }
    }
    Ok(Encoded { hidden: x, rows: inputs.rows })
}

/// What is added to scores: the smallest `f32` wherever query or key is padding. Gives `[batch, 1, queries, keys]`.
fn hidden_pairs(g: &mut Builder, mask: Val) -> Result<Val> {
    let mask = g.cast(mask, DType::F32)?;
    let (queries, keys) = (g.unsqueeze(mask, -1)?, g.unsqueeze(mask, 1)?);
    let seen = g.mul(queries, keys)?;
    let seen = g.unsqueeze(seen, 1)?;
    let one = g.float("one", 1.0);
    let hidden = g.sub(one, seen)?;
    let least = g.float("least", f32::MIN);
    Ok(g.mul(hidden, least)?)
}

impl Deberta {
    /// Words, and their places and texts where the configuration has them, through a norm; padding becomes 0. As rows.
    fn embed(&self, g: &mut Builder, m: &Model<'_>, inputs: &TextInputs, seen: Val) -> Result<Val> {
        let w = m.base.at("embeddings");
        let words = g.weight(&w, "word_embeddings.weight")?;
        let mut x = g.embedding(words, inputs.ids)?;
        if m.config.flag("position_biased_input", true)? {
            let table = g.weight(&w, "position_embeddings.weight")?;
            let places = g.positions(&inputs.rows.sequence)?;
            let places = g.embedding(table, places)?;
            x = g.add(x, places)?;
        }
        if let Some(types) = inputs.types {
            let table = g.weight(&w, "token_type_embeddings.weight")?;
            let types = g.embedding(table, types)?;
            x = g.add(x, types)?;
        }
        let width = m.config.size(&["hidden_size"], 1536)?;
        if m.config.size(&["embedding_size"], width)? != width {
            x = linear(g, &w.at("embed_proj"), x)?;
        }
        let x = layer_norm(g, &w.at("LayerNorm"), x, self.epsilon)?;
        let x = g.mul(x, seen)?;
        Ok(fold_rows(g, x)?)
    }

    /// The vectors of distances, the same for all layers, and which of them is between two tokens.
    fn distances(
        &self,
        g: &mut Builder,
        m: &Model<'_>,
        w: &Weights,
        inputs: &TextInputs,
    ) -> Result<Option<Distances>> {
        let norm = m.config.word(&["norm_rel_ebd"], "none")?.to_lowercase();
        let norm = norm.split('|').any(|part| part.trim() == "layer_norm");
        let Some(relative) = &self.attention.relative else {
            w.ignore(|name| norm && name.starts_with("LayerNorm."));
            return Ok(None);
        };
        let width = w.shape("rel_embeddings.weight")?.last().copied().unwrap_or_default();
        let mut vectors = g.weight_of(w, "rel_embeddings.weight", &[2 * relative.span(), width])?;
        if norm {
            vectors = layer_norm(g, &w.at("LayerNorm"), vectors, self.epsilon)?;
        }
        Ok(Some(relative.distances(g, vectors, (&inputs.rows, self.attention.heads))?))
    }

    fn layer(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        inputs: &TextInputs,
        (hidden, distances): (Val, Option<Distances>),
    ) -> Result<Val> {
        let y = self.attention.attend(g, &w.at("attention.self"), x, &inputs.rows, (hidden, distances))?;
        let x = self.output(g, &w.at("attention.output"), y, x)?;
        let y = linear(g, &w.at("intermediate.dense"), x)?;
        let y = activate_by_name(g, &self.activation, y)?;
        self.output(g, &w.at("output"), y, x)
    }

    /// A dense layer, what was before it, and a norm.
    fn output(&self, g: &mut Builder, w: &Weights, y: Val, x: Val) -> Result<Val> {
        let y = linear(g, &w.at("dense"), y)?;
        let y = g.add(y, x)?;
        Ok(layer_norm(g, &w.at("LayerNorm"), y, self.epsilon)?)
    }

    /// Behind the first layer of the larger models: neighbouring words by a convolution over what went into it, beside what came out.
    fn convolve(
        &self,
        g: &mut Builder,
        m: &Model<'_>,
        w: &Weights,
        (before, behind): (Val, Val),
        inputs: &TextInputs,
        seen: Val,
    ) -> Result<Val> {
        let x = unfold_rows(g, before, &inputs.rows)?;
        let x = g.transpose(x, &[0, 2, 1])?;
        let kernel = m.config.size(&["conv_kernel_size"], 3)?;
        let x = conv(g, &w.at("conv"), x, Window::same(kernel))?;
        let x = g.transpose(x, &[0, 2, 1])?;
        let x = g.mul(x, seen)?;
        let x = activate_by_name(g, m.config.word(&["conv_act"], "tanh")?, x)?;
        let x = fold_rows(g, x)?;
        let x = g.add(x, behind)?;
        let x = layer_norm(g, &w.at("LayerNorm"), x, self.epsilon)?;
        let x = unfold_rows(g, x, &inputs.rows)?;
        let x = g.mul(x, seen)?;
        Ok(fold_rows(g, x)?)
    }
}

/// The first token through `pooler.dense`, which is the head's, and a nonlinearity: `[batch, width]`.
fn pooled(g: &mut Builder, m: &Model<'_>, x: &Encoded) -> Result<Val> {
    let first = x.first(g)?;
    let pooled = linear(g, &m.top.at("pooler.dense"), first)?;
    activate_by_name(g, m.config.word(&["pooler_hidden_act"], "gelu")?, pooled)
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    const TABLE: &str = "embeddings.word_embeddings.weight";
    let x = encoded(g, m, false)?;
    let legacy = m.config.flag("legacy", true)?;
    let (w, transform) = if legacy {
        (m.top.at("cls.predictions"), m.top.at("cls.predictions.transform"))
    } else {
        (m.top.at("lm_predictions.lm_head"), m.top.at("lm_predictions.lm_head"))
    };
    let y = linear(g, &transform.at("dense"), x.hidden)?;
    let y = activate_by_name(g, m.config.word(&["hidden_act"], "gelu")?, y)?;
    let y = layer_norm(g, &transform.at("LayerNorm"), y, m.config.epsilon("layer_norm_eps", EPSILON)?)?;
    let logits = if legacy {
        heads::words(g, m, &w, y, TABLE)?
    } else {
        // The newer head has no matrix of its own, whatever is tied.
        let (matrix, bias) = (g.weight(&m.base, TABLE)?, g.weight(&w, "bias")?);
        g.gemm(y, matrix, Some(bias))?
    };
    heads::token_logits(g, logits, &x.rows)
}
