//! Texts as vectors: one for each text, or one for each token.

use serde::Serialize;

use super::model::Row;
use super::{Cut, SentenceSettings, TextModel};
use crate::{Error, Result};

const TASK: &str = "feature-extraction";

/// The output that holds a vector for each text.
const SENTENCE: &str = "sentence_embedding";

/// The vectors of a text's tokens.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Features {
    /// How many tokens there are.
    pub tokens: usize,
    /// How many numbers each has.
    pub width: usize,
    /// All numbers, token by token.
    pub values: Vec<f32>,
}

impl TextModel<'_> {
    /// A vector for every text: the graph's output `sentence_embedding`, `[texts, width]`, or what the settings say to make of the
    /// tokens' vectors.
    ///
    /// # Errors
    /// [`Error::Task`] if the graph has no such output and the settings do not say how tokens become one vector, or name a part
    /// that is not in the graph.
    pub fn embed(&mut self, texts: &[&str], settings: &SentenceSettings) -> Result<Vec<Vec<f32>>> {
        let most = settings.max_length.or_else(|| self.tokenizer().max_length());
        let mut encoded = Vec::with_capacity(texts.len());
        for text in texts {
            let lower = settings.lower_case.then(|| text.to_lowercase());
            let text = lower.as_deref().unwrap_or(text);
            encoded.push(self.encode_within(text, None, most.map_or(Cut::Never, Cut::Longest))?);
        }
        if self.has_output(SENTENCE) {
            let rows = self.run(encoded, &[])?;
            return rows.iter().map(|row| row.whole(TASK, SENTENCE)).collect();
        }
        let refuse = |problem: String| Err(Error::Task { task: "sentence-similarity", problem });
        if settings.poolings.is_empty() {
            return refuse(format!(
                "the graph has no output \"{SENTENCE}\", and no modules.json says how the tokens' vectors become one; it has {}",
                self.outputs()
            ));
        }
        if let Some(part) = &settings.beyond {
            return refuse(format!("the repository has a part of kind {part}, and the graph ends before it"));
        }
        let output = self.tokens_output();
        let rows = self.run(encoded, &[])?;
        rows.iter().map(|row| pooled(row, output, settings)).collect()
    }

    /// The vectors of every text's tokens: the output `last_hidden_state` or `token_embeddings`, `[texts, tokens, width]`.
    ///
    /// # Errors
    /// [`Error::Outputs`] if there is none.
    pub fn features(&mut self, texts: &[&str]) -> Result<Vec<Features>> {
        let encoded = texts.iter().map(|text| self.encode(text, None)).collect::<Result<_>>()?;
        let output = self.tokens_output();
        let rows = self.run(encoded, &[])?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let (tokens, width) = (row.encoded.len(), row.depth(TASK, output)?);
            let values =
                (0..tokens).map(|token| row.token(TASK, output, token)).collect::<Result<Vec<_>>>()?;
            all.push(Features { tokens, width, values: values.concat() });
        }
        Ok(all)
    }

    /// Whether there is one vector for every text: from the graph, or by the settings.
    pub fn embeds(&self, settings: &SentenceSettings) -> bool {
        self.has_output(SENTENCE) || (!settings.poolings.is_empty() && settings.beyond.is_none())
    }

    fn tokens_output(&self) -> &'static str {
        if self.has_output("token_embeddings") { "token_embeddings" } else { "last_hidden_state" }
    }
}

fn pooled(row: &Row, output: &str, settings: &SentenceSettings) -> Result<Vec<f32>> {
    let tokens: Vec<Vec<f32>> =
        (0..row.encoded.len()).map(|token| row.token(TASK, output, token)).collect::<Result<_>>()?;
    let mut vector: Vec<f64> = settings.poolings.iter().flat_map(|pooling| pooling.of(&tokens)).collect();
    if settings.normalize {
        let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
        for value in &mut vector {
            *value /= length;
        }
    }
    Ok(vector.into_iter().map(|value| value as f32).collect())
}
