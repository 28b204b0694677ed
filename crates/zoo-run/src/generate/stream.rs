//! Text as its tokens come: whatever may still change is held back.
//!
//! A character may be spread over several tokens, and its first bytes alone are none; a decoder may look at the token before; and
//! cleaning up takes out spaces that the next token gives away.

use crate::Result;
use crate::text::Tokenizer;
use crate::text::clean_up;

/// What stands for bytes that are no character, or not yet.
const BROKEN: char = '\u{fffd}';

/// Tokens in, text out.
#[derive(Debug)]
pub struct TextStream<'t> {
    tokenizer: &'t Tokenizer,
    skip_special: bool,
    ids: Vec<i64>,
    /// Tokens before this are only context.
    from: usize,
    /// The text of tokens before this is out.
    read: usize,
    /// Text that cleaning up may still change.
    held: String,
}

impl<'t> TextStream<'t> {
    /// A stream of new tokens, after those of `context`, whose text is not given.
    pub fn new(tokenizer: &'t Tokenizer, context: &[i64], skip_special: bool) -> Self {
        let read = context.len();
        Self {
            tokenizer,
            skip_special,
            ids: context.to_vec(),
            from: read.saturating_sub(6),
            read,
            held: String::new(),
        }
    }

    /// The text that one more token makes certain; empty if that is none.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, id: i64) -> Result<String> {
        self.ids.push(id);
        let text = self.fresh(false)?;
        if !self.tokenizer.cleans_up() {
            return Ok(text);
        }
        self.held.push_str(&text);
        // A mark takes away a space before it, and ` ' ` the space behind it too.
        let end = self.held.rfind(' ').unwrap_or(0);
        let end =
            if self.held.get(..end).is_some_and(|before| before.ends_with(" '")) { end - 2 } else { end };
        let rest = self.held.split_off(end);
        Ok(clean_up(&std::mem::replace(&mut self.held, rest)))
    }

    /// The text that is still held back, when no more tokens come.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(mut self) -> Result<String> {
        let text = self.fresh(true)?;
        self.held.push_str(&text);
        Ok(if self.tokenizer.cleans_up() { clean_up(&self.held) } else { self.held })
    }

    /// The text of tokens that were not read yet.
    fn fresh(&mut self, all: bool) -> Result<String> {
        // Bytes in a row are characters, or none of them is: the decoder decides when the row ends.
        if !all
            && self
                .ids
                .last()
                .is_some_and(|&id| self.tokenizer.token(id).is_some_and(|token| is_byte(&token)))
        {
            return Ok(String::new());
        }
        let decode = |range: &[i64]| self.tokenizer.decode_as_is(range, self.skip_special);
        let before = decode(self.ids.get(self.from..self.read).unwrap_or_default())?;
        let whole = decode(self.ids.get(self.from..).unwrap_or_default())?;
        if !all && whole.ends_with(BROKEN) {
            return Ok(String::new());
        }
        let Some(fresh) = whole.strip_prefix(before.as_str()) else {
            // The decoder made something else of the tokens before: nothing can be taken back, so it waits for a longer text.
            let same = whole.char_indices().zip(before.chars()).find(|((_, a), b)| a != b);
            let at = same.map_or(whole.len().min(before.len()), |((at, _), _)| at);
            return Ok(if all { whole.get(at..).unwrap_or_default().to_owned() } else { String::new() });
        };
        // Tokens without a text of their own would be no context for the next.
        if !fresh.is_empty() {
            self.from = self.read;
        }
        self.read = self.ids.len();
        Ok(fresh.to_owned())
    }
}

/// Whether a token stands for one byte: `<0x0A>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.chars().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer whose tokens are words with the space before them, and bytes.
    fn tokenizer(settings: &str) -> Tokenizer {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::io::Write::write_all(
                &mut std::fs::File::create(dir.path().join(name)).unwrap(),
                text.as_bytes(),
            )
            .unwrap();
        };
        put(
            "tokenizer.json",
            r#"{"version": "1.0", "added_tokens": [{"id": 8, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}],
                "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "_"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                "model": {"type": "BPE", "byte_fallback": true, "merges": [],
                "vocab": {"_do": 0, "_n't": 1, "_!": 2, "_a": 3, "<0xC3>": 4, "<0xA9>": 5, "_'": 6, "_b": 7}}}"#,
        );
        put("tokenizer_config.json", settings);
        Tokenizer::from_folder(dir.path()).unwrap()
    }

    fn pieces(tokenizer: &Tokenizer, ids: &[i64]) -> Vec<String> {
        let mut stream = TextStream::new(tokenizer, &[], true);
        let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        pieces.push(stream.finish().unwrap());
        pieces
    }

    #[test]
    fn characters_come_whole() {
        let plain = tokenizer("{}");
        assert_eq!(pieces(&plain, &[3, 4, 5, 8, 7]), ["a", "", "", "é", " b", ""]);
        assert_eq!(pieces(&plain, &[3, 4]), ["a", "", "\u{fffd}"], "what never becomes one comes at the end");
        assert_eq!(pieces(&plain, &[3, 8, 7]), ["a", "", " b", ""]);
    }

    #[test]
    fn cleaned_up_text_is_held_until_it_is_certain() {
        let clean = tokenizer(r#"{"clean_up_tokenization_spaces": true}"#);
        for ids in [&[0, 1, 2, 3][..], &[3, 6, 7, 2], &[3, 6, 3, 6, 7], &[6, 7], &[2]] {
            let all = pieces(&clean, ids).concat();
            assert_eq!(all, clean.decode(ids, true).unwrap(), "{ids:?}");
        }
        assert_eq!(pieces(&clean, &[0, 1, 2, 3]).concat(), "don't! a");
        assert_eq!(pieces(&clean, &[3, 6, 7]).concat(), "a'b");
    }

    #[test]
    fn what_was_given_is_context_and_is_not_repeated() {
        let plain = tokenizer("{}");
        let mut stream = TextStream::new(&plain, &[3, 7], true);
        assert_eq!(stream.push(3).unwrap(), " a");
    }
}
