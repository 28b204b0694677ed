//! Which parts of a text are what, as transformers' `token-classification` says it.

use serde::Serialize;

use super::TextModel;
use super::model::Row;
use crate::{Result, numbers};

const TASK: &str = "token-classification";

/// A part of a text, and what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Span {
    /// What it is.
    pub label: String,
    /// How probable that is, between 0 and 1; of several tokens, the mean.
    pub score: f64,
    /// The part, as its tokens spell it.
    pub word: String,
    /// Where it begins in the text, in characters.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Whether neighbouring tokens of one label become one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// A span for each token.
    Tokens,
    /// Neighbours with the same label are one, unless a label that begins with `B-` opens another: transformers' `simple`.
    Simple,
}

/// The label of what is nothing in particular.
const NOTHING: &str = "O";

impl TextModel<'_> {
    /// The spans of every text, but those labelled `O`. The graph's output is `logits`, `[texts, tokens, labels]`.
    ///
    /// # Errors
    /// [`crate::Error::Outputs`] if there is no such output, or `config.json` names another number of labels.
    pub fn spans(&mut self, texts: &[&str], grouping: Grouping) -> Result<Vec<Vec<Span>>> {
        let encoded = texts.iter().map(|text| self.encode(text, None)).collect::<Result<_>>()?;
        let rows = self.run(encoded, &[])?;
        let mut all = Vec::with_capacity(rows.len());
        for (row, text) in rows.iter().zip(texts) {
            self.config().check_labels(TASK, row.depth(TASK, "logits")?)?;
            let tokens = self.tokens(row, text)?;
            let mut spans = match grouping {
                Grouping::Tokens => tokens,
                Grouping::Simple => self.group(tokens)?,
            };
            spans.retain(|span| span.label != NOTHING);
            all.push(spans);
        }
        Ok(all)
    }

    /// A span for each token that is not special.
    fn tokens(&self, row: &Row, text: &str) -> Result<Vec<Span>> {
        let unknown = self.tokenizer().special().unk;
        let encoded = &row.encoded;
        let mut spans = Vec::new();
        let places = encoded.ids.iter().zip(&encoded.offsets).zip(&encoded.special).enumerate();
        for (place, ((&id, &(start, end)), _)) in places.filter(|(_, (_, special))| !**special) {
            let scores = row.token(TASK, "logits", place)?;
            let chances = numbers::softmax(&scores);
            let class = numbers::largest(&scores).unwrap_or_default();
            let word = if Some(id) == unknown {
                characters(text, start, end)
            } else {
                self.tokenizer().token(id).unwrap_or_default()
            };
            spans.push(Span {
                label: self.config().labels().get(class).cloned().unwrap_or_default(),
                score: chances.get(class).copied().unwrap_or_default(),
                word,
                start,
                end,
            });
        }
        Ok(spans)
    }

    fn group(&self, tokens: Vec<Span>) -> Result<Vec<Span>> {
        let mut groups: Vec<Vec<Span>> = Vec::new();
        for token in tokens {
            match groups.last_mut() {
                Some(group) if continues(group, &token) => group.push(token),
                _ => groups.push(vec![token]),
            }
        }
        let mut spans = Vec::with_capacity(groups.len());
        for group in groups {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let label = first.label.split_once('-').map_or(first.label.as_str(), |(_, kind)| kind).to_owned();
            let score = group.iter().map(|token| token.score).sum::<f64>() / group.len() as f64;
            let (start, end) = (first.start, last.end);
            let word = self.tokenizer().join(group.into_iter().map(|token| token.word).collect())?;
            spans.push(Span { label, score, word, start, end });
        }
        Ok(spans)
    }
}

fn continues(group: &[Span], token: &Span) -> bool {
    let (opens, kind) = tag(&token.label);
    group.last().is_some_and(|last| tag(&last.label).1 == kind) && !opens
}

/// Whether a label opens a span, and what the span is.
fn tag(label: &str) -> (bool, &str) {
    match (label.strip_prefix("B-"), label.strip_prefix("I-")) {
        (Some(kind), _) => (true, kind),
        (_, Some(kind)) => (false, kind),
        _ => (false, label),
    }
}

/// A part of a text by characters.
pub(super) fn characters(text: &str, start: usize, end: usize) -> String {
    text.chars().skip(start).take(end.saturating_sub(start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_open_and_continue() {
        let span =
            |label: &str| Span { label: label.into(), score: 1.0, word: String::new(), start: 0, end: 0 };
        for (last, next, expected) in [
            ("B-PER", "I-PER", true),
            ("B-PER", "B-PER", false),
            ("I-PER", "I-LOC", false),
            ("O", "O", true),
            ("PER", "I-PER", true),
        ] {
            assert_eq!(continues(&[span(last)], &span(next)), expected, "{last} {next}");
        }
    }

    #[test]
    fn parts_are_counted_in_characters() {
        assert_eq!(characters("aé🙂b", 1, 3), "é🙂");
        assert_eq!(characters("ab", 1, 0), "");
        assert_eq!(characters("ab", 5, 9), "");
    }
}
