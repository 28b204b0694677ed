//! What the classes of an output are called.
//!
//! In a manifest, `model.labels` is an array of names, or `{"set": "imagenet1k:1000", "names": […]}`, where `set` says which
//! well-known list it is. People also have text files with one name per line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// The names of classes, in the order of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Labels {
    /// The well-known list that they are, where they are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// A name per class.
    pub names: Vec<String>,
}

impl Labels {
    /// Names without a set.
    pub fn new(names: Vec<String>) -> Self {
        Self { set: None, names }
    }

    /// Reads what stands in a manifest.
    ///
    /// # Errors
    /// [`Error::Labels`] for another form; a file that is only named is not looked for.
    pub fn from_json(json: &Value) -> Result<Self> {
        match json {
            Value::Array(_) => Vec::deserialize(json).map(Self::new).map_err(|error| malformed(&error)),
            Value::Object(fields) if fields.contains_key("file") => Err(refuse(format!(
                "they are said to be in the file {}, and none of the manifest",
                fields["file"]
            ))),
            _ => Self::deserialize(json).map_err(|error| malformed(&error)),
        }
    }

    /// Reads a file that a person gave: JSON as in a manifest, or one name per line.
    ///
    /// # Errors
    /// [`Error::Labels`] if it is no text, or JSON of another form.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(file).map_err(|_| refuse("the file is not text in UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim_end();
        if text.trim_start().starts_with(['[', '{']) {
            let json: Value = serde_json::from_str(text).map_err(|error| malformed(&error))?;
            return Self::from_json(&json);
        }
        Ok(Self::new(text.lines().map(|line| line.trim().to_owned()).collect()))
    }

    /// The name of a class.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.names.get(class).map(String::as_str)
    }

    /// Whether there is a name for every class of an output, and no more: else they may be those of another model.
    ///
    /// # Errors
    /// [`Error::Labels`] with both numbers.
    pub fn check(&self, classes: usize) -> Result<()> {
        if self.names.len() == classes {
            return Ok(());
        }
        Err(refuse(format!(
            "there are {} of them, and the model tells {classes} classes apart",
            self.names.len()
        )))
    }
}

fn refuse(problem: impl Into<String>) -> Error {
    Error::Labels { problem: problem.into() }
}

fn malformed(error: &serde_json::Error) -> Error {
    refuse(error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn manifests_have_two_forms() {
        let bare = Labels::from_json(&json!(["cat", "dog"])).unwrap();
        assert_eq!((bare.set.as_deref(), bare.name(1), bare.name(2)), (None, Some("dog"), None));
        let form = json!({"set": "voc:21", "names": ["cat"]});
        let set = Labels::from_json(&form).unwrap();
        assert_eq!((set.set.as_deref(), set.names.len()), (Some("voc:21"), 1));
        assert_eq!(json!(set), form);
        assert_eq!(Labels::from_json(&json!({"names": ["a"]})).unwrap(), Labels::new(vec!["a".into()]));
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        let message = |json: Value| Labels::from_json(&json).unwrap_err().to_string();
        assert!(message(json!({"file": "labels.txt"})).contains("in the file \"labels.txt\""));
        assert!(message(json!({"names": [], "colours": []})).contains("unknown field `colours`"));
        assert!(message(json!([1])).contains("invalid type: integer `1`, expected a string"));
        assert!(message(json!("labels.txt")).contains("invalid type: string"));
    }

    #[test]
    fn files_are_lines_or_json() {
        let lines = Labels::parse("\u{feff}n01440764 tench\r\n goldfish \n\n".as_bytes()).unwrap();
        assert_eq!(lines.names, ["n01440764 tench", "goldfish"]);
        assert_eq!(Labels::parse(b" [\"a\", \"b\"]\n").unwrap().names, ["a", "b"]);
        assert_eq!(Labels::parse(b"{\"names\": [\"a\"]}").unwrap().names, ["a"]);
        assert!(Labels::parse(b"[1").is_err() && Labels::parse(b"\xff").is_err());
    }

    #[test]
    fn the_number_must_be_the_models() {
        let labels = Labels::new(vec!["a".into(), "b".into()]);
        assert!(labels.check(2).is_ok());
        let error = labels.check(3).unwrap_err();
        assert!(
            error.to_string().contains("there are 2 of them, and the model tells 3 classes apart"),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
}
