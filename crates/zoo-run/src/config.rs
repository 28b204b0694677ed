//! What a repository's `config.json` says of a network: which it is, and what its classes are called.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result, files};

/// A network's `config.json`, as far as running it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    model_type: String,
    labels: Vec<String>,
    problem: Option<Problem>,
    json: Value,
}

/// What kind of answer a classifier gives; `problem_type` in `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A number, and no probability.
    Regression,
    /// One class of several: a softmax.
    SingleLabel,
    /// Any number of classes: a sigmoid for each.
    MultiLabel,
}

impl ModelConfig {
    /// Reads `config.json` in a folder.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is none, or it says what cannot be: labels that are not numbered one after another from 0, a kind of
    /// problem that nobody knows.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let json = files::settings(&path)?.ok_or_else(|| Error::settings(&path, "there is no such file"))?;
        Self::from_json(json).map_err(|problem| Error::settings(&path, problem))
    }

    /// As [`Self::from_folder`], of the content; the error is a sentence about it.
    pub(crate) fn from_json(json: Value) -> Result<Self, String> {
        let problem = match json.get("problem_type").and_then(Value::as_str) {
            None => None,
            Some("regression") => Some(Problem::Regression),
            Some("single_label_classification") => Some(Problem::SingleLabel),
            Some("multi_label_classification") => Some(Problem::MultiLabel),
            Some(other) => return Err(format!("no problem_type `{other}` is known")),
        };
        Ok(Self {
            model_type: json.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned(),
            labels: labels(&json)?,
            problem,
            json,
        })
    }

    /// The architecture: `bert`, `gpt2`; empty in repositories older than the word.
    pub fn model_type(&self) -> &str {
        &self.model_type
    }

    /// The names of the classes, in the order of the output. Two, `LABEL_0` and `LABEL_1`, where the file names none, as transformers
    /// has it.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What kind of answer a classifier gives, where the file says so.
    pub fn problem(&self) -> Option<Problem> {
        self.problem
    }

    /// A setting by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// A class's name, with an error that says for which task it is lacking.
    #[cfg(feature = "text")]
    pub(crate) fn check_labels(&self, task: &'static str, classes: usize) -> Result<()> {
        if self.labels.len() == classes {
            return Ok(());
        }
        let problem =
            format!("the output has {classes} classes, and config.json names {}", self.labels.len());
        Err(Error::Outputs { task, problem })
    }
}

/// `id2label`, whose keys are numbers in quotes.
fn labels(json: &Value) -> Result<Vec<String>, String> {
    let Some(map) = json.get("id2label").and_then(Value::as_object) else {
        let count = json.get("num_labels").and_then(Value::as_u64).unwrap_or(2);
        if count > MAX_UNNAMED {
            return Err(format!("num_labels is {count}"));
        }
        return Ok((0..count).map(|class| format!("LABEL_{class}")).collect());
    };
    let mut names = vec![None; map.len()];
    for (key, name) in map {
        let place = key.parse().ok().and_then(|place: usize| names.get_mut(place));
        let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
        match place {
            Some(place) if place.is_none() => *place = Some(name),
            _ => return Err(format!("id2label has {} classes, and one is numbered `{key}`", map.len())),
        }
    }
    Ok(names.into_iter().flatten().collect())
}

/// More classes without a name than this are no sensible number.
const MAX_UNNAMED: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_in_the_order_of_the_output() {
        let config = ModelConfig::from_json(
            json!({"model_type": "bert", "id2label": {"10": "k", "0": "a", "1": "b", "2": "c", "3": "d", "4": "e",
            "5": "f", "6": "g", "7": "h", "8": "i", "9": "j"}, "problem_type": "regression", "x": null}),
        )
        .unwrap();
        assert_eq!(config.labels().concat(), "abcdefghijk");
        assert_eq!((config.model_type(), config.problem()), ("bert", Some(Problem::Regression)));
        assert_eq!((config.get("model_type").is_some(), config.get("x")), (true, None));
        let plain = ModelConfig::from_json(json!({})).unwrap();
        assert_eq!(plain.labels(), ["LABEL_0", "LABEL_1"]);
        assert_eq!(ModelConfig::from_json(json!({"num_labels": 1})).unwrap().labels(), ["LABEL_0"]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let message = |json| ModelConfig::from_json(json).unwrap_err();
        assert!(message(json!({"id2label": {"0": "a", "2": "b"}})).contains("numbered `2`"));
        assert!(message(json!({"id2label": {"0": "a", "00": "b"}})).contains("id2label has 2 classes"));
        assert!(message(json!({"problem_type": "guess"})).contains("`guess`"));
        assert!(message(json!({"num_labels": 1_u64 << 40})).contains("num_labels"));
        assert!(
            ModelConfig::from_folder(Path::new("no/such"))
                .unwrap_err()
                .to_string()
                .contains("there is no such file")
        );
    }
}
