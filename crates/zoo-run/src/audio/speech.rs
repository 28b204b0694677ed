//! What a decoder that writes about a sound begins with: Whisper's language, its task, and that no times are wanted.

use std::path::Path;

use serde_json::Value;

use crate::generate::Decoder;
use crate::{Error, Result, files};

const TASK: &str = "automatic-speech-recognition";

/// Whisper's own tokens, as `generation_config.json` tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpeechTokens {
    /// The token that every text begins with.
    pub start: i64,
    /// Languages by name, such as `<|en|>`; none for networks that know one.
    pub languages: Vec<(String, i64)>,
    /// That what is said is to be written as it is; none for networks that know nothing else.
    pub transcribe: Option<i64>,
    /// That no times are wanted.
    pub no_timestamps: Option<i64>,
}

impl SpeechTokens {
    /// Reads `generation_config.json` in a folder; `start` is the decoder's first token.
    ///
    /// # Errors
    /// [`Error::Settings`] if it cannot be read, or its tokens are no numbers.
    pub fn from_folder(folder: &Path, start: i64) -> Result<Self> {
        let path = folder.join("generation_config.json");
        let json = files::settings(&path)?.unwrap_or_default();
        let multilingual = json.get("is_multilingual").and_then(Value::as_bool).unwrap_or(false);
        let refuse = |key: &str| Error::settings(&path, format!("{key} is no number"));
        let token = |value: Option<&Value>, key: &str| match value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| refuse(key)),
        };
        let mut languages = Vec::new();
        for (name, id) in json.get("lang_to_id").and_then(Value::as_object).into_iter().flatten() {
            languages.push((name.clone(), id.as_i64().ok_or_else(|| refuse(name))?));
        }
        let transcribe =
            token(json.get("task_to_id").and_then(|tasks| tasks.get("transcribe")), "transcribe")?;
        Ok(Self {
            start,
            languages: if multilingual { languages } else { Vec::new() },
            transcribe: transcribe.filter(|_| multilingual),
            no_timestamps: token(json.get("no_timestamps_token_id"), "no_timestamps_token_id")?,
        })
    }

    /// The tokens to begin with. `language` is one of the network's, such as `en` or `<|en|>`; without one the network is asked,
    /// which takes one step of `decoder`.
    ///
    /// # Errors
    /// [`Error::Task`] for a language that the network does not know; and as [`Decoder::next`].
    pub fn beginning(&self, decoder: &mut dyn Decoder, language: Option<&str>) -> Result<Vec<i64>> {
        let mut tokens = vec![self.start];
        match language {
            Some(wanted) => tokens.push(self.language(wanted)?),
            None if self.languages.is_empty() => {}
            None => {
                let scores = decoder.next(&tokens)?;
                let score = |id: i64| usize::try_from(id).ok().and_then(|place| scores.get(place)).copied();
                let heard = self.languages.iter().filter_map(|(_, id)| Some((*id, score(*id)?)));
                let best = heard.reduce(|best, other| if other.1 > best.1 { other } else { best });
                let problem = || "the network has no score for any of its languages".to_owned();
                tokens.push(best.ok_or_else(|| Error::Task { task: TASK, problem: problem() })?.0);
            }
        }
        tokens.extend(self.transcribe);
        tokens.extend(self.no_timestamps);
        Ok(tokens)
    }

    fn language(&self, wanted: &str) -> Result<i64> {
        let bare = |name: &str| name.trim_start_matches("<|").trim_end_matches("|>").to_owned();
        let found = self.languages.iter().find(|(name, _)| bare(name) == bare(wanted));
        found.map(|(_, id)| *id).ok_or_else(|| {
            let known = self.languages.iter().map(|(name, _)| bare(name)).collect::<Vec<_>>().join(", ");
            let known =
                if known.is_empty() { "it knows one alone".to_owned() } else { format!("it knows {known}") };
            Error::Task { task: TASK, problem: format!("the network has no language `{wanted}`; {known}") }
        })
    }
}
