//! What is said, letter by letter: networks that give a letter, or none, for every few milliseconds (Graves et al., Connectionist
//! temporal classification, 2006), decoded as transformers' `Wav2Vec2CTCTokenizer` does.

use std::path::Path;

use serde_json::Value;

use crate::limits::MAX_SETTINGS_BYTES;
use crate::text::clean_up;
use crate::{Error, Result, files};

/// The letters of a network, by number.
#[derive(Debug, Clone, PartialEq)]
pub struct CtcVocabulary {
    letters: Vec<Option<String>>,
    blank: String,
    between: String,
    lower_case: bool,
    cleans_up: bool,
}

impl CtcVocabulary {
    /// Reads `vocab.json`, `added_tokens.json` and `tokenizer_config.json` in a folder.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if there is no vocabulary, or it is one of several languages; [`Error::Settings`] for files that are no
    /// JSON.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let refuse =
            |problem: &str| Error::Tokenizer { place: folder.to_owned(), problem: problem.to_owned() };
        let path = folder.join("vocab.json");
        let Some(vocabulary) = files::read(&path, MAX_SETTINGS_BYTES)? else {
            return Err(refuse("there is no vocab.json with the letters"));
        };
        let vocabulary: Value =
            serde_json::from_slice(&vocabulary).map_err(|error| Error::settings(&path, error.to_string()))?;
        let added = files::settings(&folder.join("added_tokens.json"))?;
        let settings = files::settings(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let entries =
            [Some(&vocabulary), added.as_ref()].into_iter().flatten().filter_map(Value::as_object).flatten();
        let mut letters = Vec::new();
        for (letter, id) in entries {
            let id = id
                .as_u64()
                .ok_or_else(|| refuse("vocab.json is of several languages, or its numbers are none"))?;
            let place = usize::try_from(id).ok().filter(|place| *place < 1 << 20);
            let place = place.ok_or_else(|| refuse("vocab.json numbers a letter beyond a million"))?;
            if letters.len() <= place {
                letters.resize(place + 1, None);
            }
            if let Some(slot) = letters.get_mut(place) {
                *slot = Some(letter.clone());
            }
        }
        let text = |key: &str, otherwise: &str| match settings.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(json) => json.get("content").and_then(Value::as_str).unwrap_or(otherwise).to_owned(),
            None => otherwise.to_owned(),
        };
        let flag = |key: &str| settings.get(key).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            letters,
            blank: text("pad_token", "<pad>"),
            between: text("word_delimiter_token", "|"),
            lower_case: flag("do_lower_case"),
            cleans_up: flag("clean_up_tokenization_spaces"),
        })
    }

    /// The text of a letter for each step: of equal ones in a row one counts, and the blank is none.
    pub fn decode(&self, ids: &[i64]) -> String {
        let mut text = String::new();
        let mut last = None;
        for &id in ids {
            if last.replace(id) == Some(id) {
                continue;
            }
            let letter = usize::try_from(id).ok().and_then(|place| self.letters.get(place)?.as_deref());
            match letter {
                Some(letter) if letter == self.blank => {}
                Some(letter) if letter == self.between => text.push(' '),
                Some(letter) => text.push_str(letter),
                None => text.push_str("<unk>"),
            }
        }
        let text = if self.lower_case { text.trim().to_lowercase() } else { text.trim().to_owned() };
        if self.cleans_up { clean_up(&text) } else { text }
    }

    /// How many letters there are.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vocabulary: &str, settings: &str) -> Result<CtcVocabulary> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("vocab.json", vocabulary), ("tokenizer_config.json", settings)] {
            std::io::Write::write_all(
                &mut std::fs::File::create(dir.path().join(name)).unwrap(),
                text.as_bytes(),
            )
            .unwrap();
        }
        CtcVocabulary::from_folder(dir.path())
    }

    #[test]
    fn equal_letters_in_a_row_are_one() {
        let plain = read(r#"{"<pad>": 0, "|": 1, "A": 2, "B": 3}"#, "{}").unwrap();
        assert_eq!(plain.decode(&[1, 2, 2, 0, 2, 3, 1, 1, 3, 9, 1]), "AAB B<unk>");
        let other = read(
            r#"{"-": 0, "_": 1, "A": 2}"#,
            r#"{"pad_token": "-", "word_delimiter_token": {"content": "_"}, "do_lower_case": true}"#,
        )
        .unwrap();
        assert_eq!(other.decode(&[2, 0, 2, 1, 2]), "aa a");
    }

    #[test]
    fn what_is_no_vocabulary_is_refused() {
        assert!(read(r#"{"eng": {"a": 0}}"#, "{}").unwrap_err().to_string().contains("several languages"));
        assert!(read(r#"{"a": 4294967296}"#, "{}").unwrap_err().to_string().contains("beyond a million"));
        assert!(read("[", "{}").unwrap_err().to_string().contains("vocab.json"));
        assert!(
            CtcVocabulary::from_folder(Path::new("no/such"))
                .unwrap_err()
                .to_string()
                .contains("no vocab.json")
        );
    }
}
