//! Heads that models have in common which continue texts.

use zoo_graph::{Builder, Val, Weights};

use super::texts::{Reading, Texts};
use crate::config::Config;
use crate::nn::{linear, unfold_rows};
use crate::transformers::{Model, Outputs, Result};

/// A model that continues texts; its heads follow from how it reads them.
pub(super) trait Decoder {
    /// The dense layer that gives each token a label.
    const LABELS: &'static str = "classifier";

    /// Reads texts with the weights `w`: gives tokens behind the last layer, as rows `[batch*sequence, width]`, and the texts.
    fn read(&self, g: &mut Builder, m: &Model<'_>, w: &Weights, reading: Reading) -> Result<(Val, Texts)>;

    /// From tokens to the words that may follow on them: `[batch*sequence, vocabulary]`.
    fn words(&self, g: &mut Builder, m: &Model<'_>, x: Val) -> Result<Val>;

    /// Whether `position_ids` are an input.
    fn places(&self, _m: &Model<'_>) -> bool {
        true
    }

    /// The token for padding, if the configuration does not say.
    fn pad(&self) -> Option<i64> {
        None
    }

    /// `last_hidden_state` `[batch, sequence, width]`, and keys and values.
    fn hidden_state(&self, g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
        let (x, texts) = self.read(g, m, &m.base, Reading::Continuing { places: self.places(m) })?;
        let x = unfold_rows(g, x, &texts.rows)?;
        Ok(texts.outputs("last_hidden_state", x))
    }

    /// `logits` `[batch, sequence, vocabulary]`, and keys and values.
    fn logits(&self, g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
        let (x, texts) = self.read(g, m, &m.base, Reading::Continuing { places: self.places(m) })?;
        let logits = self.words(g, m, x)?;
        let logits = unfold_rows(g, logits, &texts.rows)?;
        Ok(texts.outputs("logits", logits))
    }

    /// `logits` `[batch, labels]` of the last token that is not padding. If no token is for padding, the batch is 1.
    fn label(&self, g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
        let pad = pad_token(m.config, self.pad())?;
        let reading = if pad.is_some() { Reading::Whole } else { Reading::Single };
        let (x, texts) = self.read(g, m, &m.base, reading)?;
        let last = texts.last_token(g, x, pad)?;
        let logits = linear(g, &m.top.at("score"), last)?;
        Ok(vec![("logits".to_owned(), logits)])
    }

    /// `logits` `[batch, sequence, labels]`.
    fn labels(&self, g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
        let (x, texts) = self.read(g, m, &m.base, Reading::Whole)?;
        let logits = linear(g, &m.top.at(Self::LABELS), x)?;
        let logits = unfold_rows(g, logits, &texts.rows)?;
        Ok(texts.outputs("logits", logits))
    }

    /// `start_logits` and `end_logits` `[batch, sequence]`: the two columns of `qa_outputs`.
    fn spans(&self, g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
        // Some of these classes call what is below them by another name than their family does.
        let base = m.top.find("transformer").unwrap_or_else(|| m.base.clone());
        let (x, texts) = self.read(g, m, &base, Reading::Whole)?;
        let logits = linear(g, &m.top.at("qa_outputs"), x)?;
        let parts = g.split(logits, 1, &[1, 1])?;
        let mut outputs = Outputs::new();
        for (name, part) in ["start_logits", "end_logits"].into_iter().zip(parts) {
            let part = g.reshape(part, [texts.rows.batch.clone(), texts.rows.sequence.clone()])?;
            outputs.push((name.to_owned(), part));
        }
        Ok(outputs)
    }
}

/// The token for padding: what the configuration says, or its class; none if the configuration says that there is none.
fn pad_token(config: &Config, default: Option<i64>) -> Result<Option<i64>> {
    match config.token("pad_token_id")? {
        None if !config.is_null("pad_token_id") => Ok(default),
        said => Ok(said),
    }
}

/// The matrix behind tokens: the table of words where the configuration ties the two.
pub(super) fn words(g: &mut Builder, m: &Model<'_>, table: &str, own: &str, tied: bool) -> Result<Val> {
    if m.config.flag("tie_word_embeddings", tied)? {
        Ok(g.weight(&m.base, table)?)
    } else {
        Ok(g.weight(&m.top, own)?)
    }
}
