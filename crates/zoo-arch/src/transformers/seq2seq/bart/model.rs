//! Both sides, and what the configuration says of them.

use zoo_graph::{Builder, Val};

use super::positions::{At, Positions};
use crate::nn::{Rows, fold_rows, layer_norm, padding_bias};
use crate::transformers::decoder::texts::Texts;
use crate::transformers::seq2seq::decoder::{Decoder, Encoded};
use crate::transformers::seq2seq::layers::{EPSILON, Stack};
use crate::transformers::{Model, Result};

/// What the configuration says.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct Bart {
    encoder: Stack,
    pub(super) decoder: Stack,
    /// The width of states, as the table of words shows it.
    pub(super) width: usize,
    /// Whether words are multiplied by the root of their width.
    scaled: bool,
    /// Whether words with their places are normalised.
    embedding_norm: bool,
    positions: Positions,
    /// Whether the table of words is the output layer, too.
    tied: bool,
    /// Whether both sides have one table of words.
    shared: bool,
}

impl Bart {
    pub(super) fn of(m: &Model<'_>) -> Result<Self> {
        let config = m.config;
        if config.flag("tie_encoder_decoder", false)? {
            return Ok(config.unsupported("tie_encoder_decoder")?);
        }
        let learned = Positions::Learned { offset: 2 };
        let (positions, norm_first, embedding_norm) = match config.model_type() {
            Some("bart") => (learned, false, true),
            Some("mbart") => (learned, true, true),
            Some("marian") => (Positions::Sinusoidal, false, false),
            Some("pegasus") => (Positions::Sinusoidal, true, false),
            Some("m2m_100") => {
                let padding = config.token("pad_token_id")?.unwrap_or(1);
                (Positions::WithoutPadding { padding }, true, false)
            }
            _ => return Ok(config.unsupported("model_type")?),
        };
        let many = config.model_type() == Some("m2m_100");
        let shared = config.flag("share_encoder_decoder_embeddings", true)?;
        let table = table_name(m, "decoder", shared);
        let width = m.base.shape(table)?.last().copied().unwrap_or_default();
        let activation = config.word(&["activation_function"], if many { "relu" } else { "gelu" })?;
        let side = |layers: &str, heads: &str| -> Result<Stack> {
            let (layers, heads) = (config.size(&[layers], 12)?, config.size(&[heads], 16)?);
            Ok(Stack { layers, heads, width, activation: activation.to_owned(), norm_first })
        };
        Ok(Self {
            encoder: side("encoder_layers", "encoder_attention_heads")?,
            decoder: side("decoder_layers", "decoder_attention_heads")?,
            width,
            scaled: config.flag("scale_embedding", many)?,
            embedding_norm,
            positions,
            tied: config.flag("tie_word_embeddings", true)?,
            shared,
        })
    }

    /// The encoder's states, as rows, for `ids` and the mask of their padding.
    pub(super) fn encoder(
        &self,
        g: &mut Builder,
        m: &Model<'_>,
        ids: Val,
        mask: Val,
        rows: &Rows,
    ) -> Result<Encoded> {
        let bias = padding_bias(g, mask)?;
        let places = g.positions(&rows.sequence)?;
        let x = self.embed(g, m, "encoder", &At { ids, places, past: None, width: self.width })?;
        let (_, x) = self.encoder.encode(g, &m.base.at("encoder"), x, rows, Some(bias))?;
        Ok(Encoded { hidden: Some(x), rows: rows.clone(), bias: Some(bias) })
    }

    /// The decoder's states, as rows.
    pub(super) fn decoder(&self, g: &mut Builder, m: &Model<'_>, d: &mut Decoder) -> Result<Val> {
        let places = d.places(g)?;
        let past = d.past_length(g)?;
        let x = self.embed(g, m, "decoder", &At { ids: d.ids, places, past, width: self.width })?;
        self.decoder.decode(g, &m.base.at("decoder"), x, places, d)
    }

    /// The states of a decoder that looks at no encoder, as rows. An encoder that the checkpoint has is left out.
    pub(super) fn decoder_alone(&self, g: &mut Builder, m: &Model<'_>, texts: &mut Texts) -> Result<Val> {
        let places = texts.positions(g)?;
        let x = self.embed(g, m, "decoder", &At { ids: texts.ids, places, past: None, width: self.width })?;
        m.base.at("encoder").ignore(|_| true);
        self.decoder.continue_alone(g, &m.base.at("decoder"), x, texts)
    }

    /// The words behind the tokens of such a decoder, as rows: nothing is added to them.
    pub(super) fn words_alone(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        m.top.ignore(|name| name == "final_logits_bias");
        let table = self.table_of_words(g, m)?;
        Ok(g.gemm(x, table, None)?)
    }

    /// The words behind tokens, as rows.
    pub(super) fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val> {
        let table = self.table_of_words(g, m)?;
        let count = g.size(table, 0)?;
        let bias = if m.top.has("final_logits_bias") {
            Some(g.weight_as(&m.top, "final_logits_bias", &[count])?)
        } else {
            None
        };
        Ok(g.gemm(x, table, bias)?)
    }

    /// The output layer: the table of words, unless the configuration says that they are two.
    fn table_of_words(&self, g: &mut Builder, m: &Model<'_>) -> Result<Val> {
        if !self.tied {
            return Ok(g.weight(&m.top, "lm_head.weight")?);
        }
        m.top.at("lm_head").ignore(|_| true);
        Ok(g.weight(&m.base, table_name(m, "decoder", self.shared))?)
    }

    /// Words and their places, as rows.
    fn embed(&self, g: &mut Builder, m: &Model<'_>, side: &str, at: &At) -> Result<Val> {
        let w = m.base.at(side);
        let table = g.weight(&m.base, table_name(m, side, self.shared))?;
        let mut x = g.embedding(table, at.ids)?;
        if self.scaled {
            let scale = g.float("words_scale", (self.width as f64).sqrt() as f32);
            x = g.mul(x, scale)?;
        }
        let places = self.positions.of(g, &w.at("embed_positions"), m.config, at)?;
        let x = g.add(x, places)?;
        let x = fold_rows(g, x)?;
        Ok(if self.embedding_norm { layer_norm(g, &w.at("layernorm_embedding"), x, EPSILON)? } else { x })
    }
}

/// The table of words of a side, under whichever name the checkpoint kept it.
fn table_name(m: &Model<'_>, side: &str, shared: bool) -> String {
    let other = if side == "encoder" { "decoder" } else { "encoder" };
    let own = format!("{side}.embed_tokens.weight");
    let names = [own.clone(), format!("{other}.embed_tokens.weight")];
    if !shared {
        return own;
    }
    let kept = names.into_iter().find(|name| !m.base.has("shared.weight") && m.base.has(name));
    kept.unwrap_or_else(|| "shared.weight".to_owned())
}
