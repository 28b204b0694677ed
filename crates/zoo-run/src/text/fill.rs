//! Which words fit into the gaps of a text, as transformers' `fill-mask` says it.

use serde::Serialize;

use super::TextModel;
use crate::{Error, Result, numbers};

const TASK: &str = "fill-mask";

/// A word that fits into a gap.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fill {
    /// The word, as its token spells it.
    pub token: String,
    /// The token's number.
    pub id: i64,
    /// How probable it is, between 0 and 1.
    pub score: f64,
    /// The whole text with the word in the gap. Where there are several gaps, the others stay.
    pub text: String,
}

impl TextModel<'_> {
    /// For every gap of a text, the `count` words that fit best. A gap is the tokenizer's mask token. The graph's output is
    /// `logits`, `[texts, tokens, vocabulary]`.
    ///
    /// # Errors
    /// [`Error::Task`] if the tokenizer has no mask token; [`Error::Texts`] if the text has none.
    pub fn fill(&mut self, text: &str, count: usize) -> Result<Vec<Vec<Fill>>> {
        let Some(mask) = self.tokenizer().special().mask else {
            return Err(Error::Task { task: TASK, problem: "the tokenizer has no mask token".to_owned() });
        };
        let pad = self.tokenizer().special().pad;
        let encoded = self.encode(text, None)?;
        let gaps: Vec<usize> =
            encoded.ids.iter().enumerate().filter(|(_, id)| **id == mask).map(|(place, _)| place).collect();
        if gaps.is_empty() {
            let name = self.tokenizer().token(mask).unwrap_or_default();
            return Err(Error::Texts { problem: format!("there is no gap to fill: {name} stands for one") });
        }
        let rows = self.run(vec![encoded], &[])?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        let mut all = Vec::with_capacity(gaps.len());
        for &gap in &gaps {
            let scores = row.token(TASK, "logits", gap)?;
            let mut ranked: Vec<(usize, f64)> = numbers::softmax(&scores).into_iter().enumerate().collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
            ranked.truncate(count);
            let mut fills = Vec::with_capacity(ranked.len());
            for (id, score) in ranked {
                let id = id as i64;
                let mut ids = row.encoded.ids.clone();
                if let Some(place) = ids.get_mut(gap) {
                    *place = id;
                }
                ids.retain(|id| Some(*id) != pad);
                let text = self.tokenizer().decode(&ids, gaps.len() == 1)?;
                fills.push(Fill { token: self.tokenizer().decode(&[id], false)?, id, score, text });
            }
            all.push(fills);
        }
        Ok(all)
    }
}
