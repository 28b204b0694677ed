//! How a text is written on: what `generation_config.json` says, and what a person wants.

use std::path::Path;

use serde_json::Value;

use crate::config::ModelConfig;
use crate::limits::MAX_NEW_TOKENS;
use crate::{Error, Result, files};

/// New tokens where nobody says how many, as in transformers' pipelines.
const NEW_TOKENS: usize = 256;

/// The setting that stands for nothing said, in transformers.
const UNSAID_LENGTH: usize = 20;

/// How tokens are chosen, and when it ends. Numbers of tokens are those of the vocabulary.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GenerationSettings {
    /// The most new tokens; `None`: what [`Self::new_tokens`] makes of `max_length`.
    pub max_new_tokens: Option<usize>,
    /// The most tokens, those that are given included.
    pub max_length: Option<usize>,
    /// Fewer tokens than this, those that are given included, do not end.
    pub min_length: usize,
    /// Fewer new tokens than this do not end.
    pub min_new_tokens: usize,
    /// How the next token is chosen; `None`: the most probable.
    pub sampling: Option<Sampling>,
    /// What the scores of tokens that are there already are divided by: 1 changes nothing.
    pub repetition_penalty: f32,
    /// So many tokens in a row never come twice; 0: they may.
    pub no_repeat_ngram: usize,
    /// Rows of tokens that never come.
    pub bad_words: Vec<Vec<i64>>,
    /// Tokens that never come.
    pub suppress: Vec<i64>,
    /// Tokens that never come first.
    pub begin_suppress: Vec<i64>,
    /// The first token after the start of a decoder.
    pub forced_bos: Option<i64>,
    /// The last token, if there is room for no other.
    pub forced_eos: Vec<i64>,
    /// Tokens that end the text.
    pub eos: Vec<i64>,
    /// The token that a text of its own begins with.
    pub bos: Option<i64>,
    /// The token that a decoder begins with.
    pub decoder_start: Option<i64>,
    /// How many texts the settings want to be followed at once; one is.
    pub beams: usize,
}

/// How the next token is drawn by lot.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// What scores are divided by: less than 1 prefers the probable, more the improbable.
    pub temperature: f32,
    /// Only so many of the most probable; 0: all.
    pub top_k: usize,
    /// Only the most probable that come to this probability together; 1: all.
    pub top_p: f32,
    /// Only those that are at least this part as probable as the most probable; 0: all.
    pub min_p: f32,
}

impl Default for Sampling {
    /// As transformers draws where nothing is said: of the fifty most probable.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 50, top_p: 1.0, min_p: 0.0 }
    }
}

impl Default for GenerationSettings {
    fn default() -> Self {
        Self {
            max_new_tokens: None,
            max_length: None,
            min_length: 0,
            min_new_tokens: 0,
            sampling: None,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            bad_words: Vec::new(),
            suppress: Vec::new(),
            begin_suppress: Vec::new(),
            forced_bos: None,
            forced_eos: Vec::new(),
            eos: Vec::new(),
            bos: None,
            decoder_start: None,
            beams: 1,
        }
    }
}

/// Settings that change which tokens are chosen in ways that are not done here, with the values that change nothing.
const BEYOND: [(&str, f64); 6] = [
    ("encoder_repetition_penalty", 1.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("guidance_scale", 1.0),
    ("diversity_penalty", 0.0),
    ("sequence_bias", f64::NAN),
    ("exponential_decay_length_penalty", f64::NAN),
];

/// The same, where tokens are drawn by lot.
const BEYOND_SAMPLING: [(&str, f64); 3] = [("typical_p", 1.0), ("epsilon_cutoff", 0.0), ("eta_cutoff", 0.0)];

impl GenerationSettings {
    /// Reads `generation_config.json` in a folder; without one, what older repositories have in `config.json`.
    ///
    /// # Errors
    /// [`Error::Settings`] if it cannot be read, has values that cannot be, or asks for a way of choosing that is not known here.
    pub fn from_folder(folder: &Path, config: &ModelConfig) -> Result<Self> {
        let path = folder.join("generation_config.json");
        let own = files::settings(&path)?;
        let settings = own
            .as_ref()
            .map_or_else(|| Self::read(|key| config.get(key)), |own| Self::read(|key| own.get(key)));
        settings.map_err(|problem| {
            Error::settings(&if own.is_some() { path } else { folder.join("config.json") }, problem)
        })
    }

    fn read<'v>(get: impl Fn(&str) -> Option<&'v Value>) -> Result<Self, String> {
        let get = |key: &str| get(key).filter(|value| !value.is_null());
        let number = |key: &str| match get(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("{key} is {value}")),
        };
        let count = |key: &str| match get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count) => Ok(Some(count as usize)),
                None => Err(format!("{key} is {value}")),
            },
        };
        let token = |key: &str| match get(key) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("{key} is {value}")),
        };
        let tokens = |key: &str| match get(key) {
            None => Ok(Vec::new()),
            Some(value) => list(value).ok_or_else(|| format!("{key} is {value}")),
        };
        let samples = get("do_sample").and_then(Value::as_bool).unwrap_or(false);
        let beyond = BEYOND_SAMPLING.iter().filter(|_| samples).chain(&BEYOND);
        for (key, nothing) in beyond {
            if let Some(value) = get(key)
                && value.as_f64() != Some(*nothing)
            {
                return Err(format!("{key} is {value}, and only texts without it are written"));
            }
        }
        let bad_words = match get("bad_words_ids") {
            None => Vec::new(),
            Some(value) => {
                let rows =
                    value.as_array().and_then(|rows| rows.iter().map(list).collect::<Option<Vec<_>>>());
                rows.ok_or_else(|| format!("bad_words_ids is {value}"))?
            }
        };
        let usual = Sampling::default();
        let sampling = Sampling {
            temperature: number("temperature")?.map_or(usual.temperature, |value| value as f32),
            top_k: count("top_k")?.unwrap_or(usual.top_k),
            top_p: number("top_p")?.map_or(usual.top_p, |value| value as f32),
            min_p: number("min_p")?.map_or(usual.min_p, |value| value as f32),
        };
        let settings = Self {
            max_new_tokens: count("max_new_tokens")?,
            max_length: count("max_length")?.filter(|length| *length != UNSAID_LENGTH),
            min_length: count("min_length")?.unwrap_or(0),
            min_new_tokens: count("min_new_tokens")?.unwrap_or(0),
            sampling: samples.then_some(sampling),
            repetition_penalty: number("repetition_penalty")?.map_or(1.0, |value| value as f32),
            no_repeat_ngram: count("no_repeat_ngram_size")?.unwrap_or(0),
            bad_words,
            suppress: tokens("suppress_tokens")?,
            begin_suppress: tokens("begin_suppress_tokens")?,
            forced_bos: token("forced_bos_token_id")?,
            forced_eos: tokens("forced_eos_token_id")?,
            eos: tokens("eos_token_id")?,
            bos: token("bos_token_id")?,
            decoder_start: token("decoder_start_token_id")?,
            beams: count("num_beams")?.unwrap_or(1),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Whether the numbers make sense.
    pub(super) fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f32| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(format!("{name} is {value}, and must be more than 0"))
            }
        };
        positive("repetition_penalty", self.repetition_penalty)?;
        if let Some(sampling) = self.sampling {
            positive("temperature", sampling.temperature)?;
            positive("top_p", sampling.top_p)?;
            if !(0.0..=1.0).contains(&sampling.min_p) {
                return Err(format!("min_p is {}, and must be between 0 and 1", sampling.min_p));
            }
        }
        if self.bad_words.iter().any(Vec::is_empty) {
            return Err("bad_words_ids has an empty row".to_owned());
        }
        Ok(())
    }

    /// How many new tokens there may be after so many that are given.
    pub fn new_tokens(&self, given: usize) -> usize {
        let by_length = self.max_length.map(|length| length.saturating_sub(given));
        self.max_new_tokens.or(by_length).unwrap_or(NEW_TOKENS).min(MAX_NEW_TOKENS)
    }
}

/// One token or several; negative numbers stand for none.
fn list(value: &Value) -> Option<Vec<i64>> {
    match value {
        Value::Array(values) => values.iter().map(Value::as_i64).collect(),
        value => value.as_i64().map(|one| vec![one]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Value) -> Result<GenerationSettings, String> {
        GenerationSettings::read(|key| json.get(key))
    }

    #[test]
    fn what_is_said_is_taken() {
        let settings = read(&json!({
            "eos_token_id": [2, 7], "forced_eos_token_id": 2, "do_sample": true, "temperature": 0.6, "top_p": 0.9, "max_length": 64,
            "bad_words_ids": [[1], [2, 3]], "suppress_tokens": null, "num_beams": 4, "guidance_scale": null, "typical_p": 1.0,
        }))
        .unwrap();
        assert_eq!((settings.eos.as_slice(), settings.forced_eos.as_slice()), (&[2, 7][..], &[2][..]));
        let sampling = settings.sampling.unwrap();
        assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (0.6, 50, 0.9));
        assert_eq!((settings.bad_words.len(), settings.beams), (2, 4));
        assert_eq!((settings.new_tokens(60), settings.new_tokens(70)), (4, 0));
        let plain = read(&json!({"max_length": 20})).unwrap();
        assert_eq!((plain.new_tokens(5), plain.sampling), (NEW_TOKENS, None));
        assert_eq!(read(&json!({"max_new_tokens": 1_u64 << 40})).unwrap().new_tokens(0), MAX_NEW_TOKENS);
    }

    #[test]
    fn what_cannot_be_or_is_not_known_is_named() {
        for (bad, part) in [
            (json!({"eos_token_id": "x"}), "eos_token_id is \"x\""),
            (json!({"top_k": -1}), "top_k is -1"),
            (json!({"do_sample": true, "temperature": 0}), "temperature is 0"),
            (json!({"repetition_penalty": 0}), "repetition_penalty is 0"),
            (json!({"bad_words_ids": [[1], []]}), "an empty row"),
            (json!({"bad_words_ids": [1, "a"]}), "bad_words_ids"),
            (json!({"guidance_scale": 1.5}), "guidance_scale is 1.5"),
            (json!({"sequence_bias": [[[1], 2.0]]}), "sequence_bias"),
            (json!({"do_sample": true, "typical_p": 0.5}), "typical_p is 0.5"),
        ] {
            let message = read(&bad).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        assert!(read(&json!({"typical_p": 0.5})).is_ok(), "it means nothing where nothing is drawn");
    }
}
