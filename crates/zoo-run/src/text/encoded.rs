//! A text as a network takes it: tokens by number, and where in the text each of them stands.

use tokenizers::Encoding;

/// The tokens of a text, or of two that belong together. All lists are as long as there are tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Encoded {
    /// The tokens' numbers.
    pub ids: Vec<i64>,
    /// 0 for the first text, 1 for the second.
    pub types: Vec<i64>,
    /// Which are special tokens, added around the text.
    pub special: Vec<bool>,
    /// Where each begins and ends in its text, counted in characters; (0, 0) for special tokens.
    pub offsets: Vec<(usize, usize)>,
    /// Which word of its text each is part of.
    pub words: Vec<Option<u32>>,
    /// Which text each is of; none for special tokens.
    pub sequences: Vec<Option<usize>>,
    /// Whether the text was longer.
    pub cut: bool,
}

impl Encoded {
    pub(super) fn of(encoding: &Encoding) -> Self {
        Self {
            ids: encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
            types: encoding.get_type_ids().iter().map(|&id| i64::from(id)).collect(),
            special: encoding.get_special_tokens_mask().iter().map(|&mask| mask != 0).collect(),
            offsets: encoding.get_offsets().to_vec(),
            words: encoding.get_word_ids().to_vec(),
            sequences: encoding.get_sequence_ids(),
            cut: !encoding.get_overflowing().is_empty(),
        }
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Where the word that a token is part of begins and ends, in characters of its text.
    pub(super) fn word(&self, token: usize) -> Option<(usize, usize)> {
        let (word, sequence) = ((*self.words.get(token)?)?, (*self.sequences.get(token)?)?);
        let is_part = |at: &usize| {
            self.words.get(*at) == Some(&Some(word)) && self.sequences.get(*at) == Some(&Some(sequence))
        };
        let mut parts = (0..self.len()).filter(is_part);
        let first = parts.next()?;
        let last = parts.next_back().unwrap_or(first);
        Some((self.offsets.get(first)?.0, self.offsets.get(last)?.1))
    }
}
