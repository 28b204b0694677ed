//! `config.json` of the transformers library: what a network is beyond what its tensors show.
//!
//! A file states what differs from the defaults of its class, in some versions everything; the defaults therefore are the
//! family's to say, value by value, where it reads them. Older and other names of the same value are tried in order
//! (`n_embd`, `hidden_size`). Nothing is allocated by a number read here: numbers are bounded, and what they promise is then
//! looked for in the checkpoint.

use serde_json::{Map, Value};

/// The largest size, count or index that a configuration may state.
const MAX_SIZE: u64 = 1 << 31;

/// The longest configuration that is parsed, in bytes: those with a label for each of 21,000 classes have about one million.
pub const MAX_BYTES: usize = 16 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is no JSON object.
    #[error("the configuration is no JSON object: {problem}")]
    NotJson {
        /// What the parser said.
        problem: String,
    },
    /// A value is not what it has to be.
    #[error("the configuration says `{name}`: {found}, where {expected} is needed")]
    Value {
        /// The path of the value.
        name: String,
        /// What stands there.
        found: String,
        /// What would be understood.
        expected: String,
    },
    /// A value is not there and has no default.
    #[error("the configuration does not say `{name}`")]
    Missing {
        /// The path of the value.
        name: String,
    },
    /// What the configuration asks for is not built.
    #[error("the configuration asks for {what}, which zoo does not build")]
    Unsupported {
        /// What, in the configuration's words.
        what: String,
    },
}

type Result<T> = std::result::Result<T, ConfigError>;

/// A configuration, or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    object: Map<String, Value>,
    path: String,
}

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// If it is longer than [`MAX_BYTES`] or no JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            let problem = format!("it has {} bytes, more than {MAX_BYTES}", bytes.len());
            return Err(ConfigError::NotJson { problem });
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self { object, path: String::new() }),
            Ok(_) => Err(ConfigError::NotJson { problem: "it is another value".to_owned() }),
            Err(error) => Err(ConfigError::NotJson { problem: error.to_string() }),
        }
    }

    /// A configuration of these values, for tests and for formats that keep theirs elsewhere.
    pub fn from_object(object: Map<String, Value>) -> Self {
        Self { object, path: String::new() }
    }

    /// The part under this name; without values if there is none, so that its defaults hold.
    #[must_use]
    pub fn at(&self, name: &str) -> Self {
        let object = match self.object.get(name) {
            Some(Value::Object(object)) => object.clone(),
            _ => Map::new(),
        };
        Self { object, path: self.full(name) }
    }

    /// Whether the value is there, and not null.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the value is there and null: something is off that its absence would leave at the default.
    pub fn is_null(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(Value::is_null)
    }

    /// The value as JSON has it; none if it is absent or null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// The names of all values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.object.keys().map(String::as_str)
    }

    /// The type of the model: `bert`.
    pub fn model_type(&self) -> Option<&str> {
        self.get("model_type")?.as_str()
    }

    /// The classes that the checkpoint was saved from; usually one.
    pub fn architectures(&self) -> Vec<&str> {
        let all = self.get("architectures").and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A size or count under one of these names, the first that is there; `default` if none is.
    ///
    /// # Errors
    /// If it is no whole number from 0 to 2³¹.
    pub fn size(&self, names: &[&str], default: usize) -> Result<usize> {
        Ok(self.size_if(names)?.unwrap_or(default))
    }

    /// The same without a default.
    ///
    /// # Errors
    /// If it is no whole number from 0 to 2³¹.
    pub fn size_if(&self, names: &[&str]) -> Result<Option<usize>> {
        let Some((name, value)) = self.first(names) else { return Ok(None) };
        // Whole numbers are written with a fraction now and then.
        let whole = value
            .as_u64()
            .or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && *f >= 0.0).map(|f| f as u64));
        match whole.filter(|&size| size <= MAX_SIZE) {
            Some(size) => Ok(Some(size as usize)),
            None => self.refuse(name, value, "a whole number from 0 to 2^31"),
        }
    }

    /// A whole number that may be negative: a token, a window that is off.
    ///
    /// # Errors
    /// If it is none, or beyond ±2³¹.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        let Some(value) = self.get(name) else { return Ok(default) };
        match value.as_i64().filter(|int| int.unsigned_abs() <= MAX_SIZE) {
            Some(int) => Ok(int),
            None => self.refuse(name, value, "a whole number"),
        }
    }

    /// The first of several tokens, or the only one: `eos_token_id` may be a list.
    ///
    /// # Errors
    /// If it is neither a whole number nor a list of them.
    pub fn token(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64().or_else(|| value.get(0)?.as_i64()) {
                Some(token) if token.unsigned_abs() <= MAX_SIZE => Ok(Some(token)),
                _ => self.refuse(name, value, "a token's number"),
            },
        }
    }

    /// A number.
    ///
    /// # Errors
    /// If it is no finite number.
    pub fn number(&self, names: &[&str], default: f64) -> Result<f64> {
        let Some((name, value)) = self.first(names) else { return Ok(default) };
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(number),
            None => self.refuse(name, value, "a number"),
        }
    }

    /// The small number that a norm adds.
    ///
    /// # Errors
    /// If it is no finite number, or negative.
    pub fn epsilon(&self, name: &str, default: f64) -> Result<f32> {
        let epsilon = self.number(&[name], default)?;
        match self.get(name) {
            Some(value) if epsilon < 0.0 => self.refuse(name, value, "a number that is not negative"),
            _ => Ok(epsilon as f32),
        }
    }

    /// Yes or no.
    ///
    /// # Errors
    /// If it is neither.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.as_bool() {
                Some(flag) => Ok(flag),
                None => self.refuse(name, value, "true or false"),
            },
        }
    }

    /// A word under one of these names.
    ///
    /// # Errors
    /// If it is no text.
    pub fn word<'a>(&'a self, names: &[&str], default: &'a str) -> Result<&'a str> {
        let Some((name, value)) = self.first(names) else { return Ok(default) };
        match value.as_str() {
            Some(word) => Ok(word),
            None => self.refuse(name, value, "a word"),
        }
    }

    /// A list of sizes.
    ///
    /// # Errors
    /// If it is no list of whole numbers from 0 to 2³¹.
    pub fn sizes(&self, name: &str, default: &[usize]) -> Result<Vec<usize>> {
        let Some(value) = self.get(name) else { return Ok(default.to_vec()) };
        let one = |value: &Value| value.as_u64().filter(|&size| size <= MAX_SIZE).map(|size| size as usize);
        match value.as_array().and_then(|all| all.iter().map(one).collect()) {
            Some(sizes) => Ok(sizes),
            None => self.refuse(name, value, "a list of whole numbers"),
        }
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// If it is no list of finite numbers.
    pub fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let one = |value: &Value| value.as_f64().filter(|number| number.is_finite());
        match value.as_array().and_then(|all| all.iter().map(one).collect()) {
            Some(numbers) => Ok(Some(numbers)),
            None => self.refuse(name, value, "a list of numbers"),
        }
    }

    /// A list of words.
    ///
    /// # Errors
    /// If it is no list of texts.
    pub fn words(&self, name: &str) -> Result<Option<Vec<&str>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_array().and_then(|all| all.iter().map(Value::as_str).collect()) {
            Some(words) => Ok(Some(words)),
            None => self.refuse(name, value, "a list of words"),
        }
    }

    /// Height and width: one number for both, or a list of two.
    ///
    /// # Errors
    /// If it is neither.
    pub fn pair(&self, name: &str, default: usize) -> Result<(usize, usize)> {
        match self.get(name) {
            Some(Value::Array(_)) => match self.sizes(name, &[])?.as_slice() {
                &[height, width] => Ok((height, width)),
                _ => self.refuse(name, &self.object[name], "a size or two"),
            },
            _ => self.size(&[name], default).map(|side| (side, side)),
        }
    }

    /// How many labels there are: those that `id2label` lists, else `num_labels`, else 2.
    ///
    /// # Errors
    /// If it is no whole number.
    pub fn labels(&self) -> Result<usize> {
        match self.get("id2label").and_then(Value::as_object) {
            Some(labels) => Ok(labels.len()),
            None => self.size(&["num_labels", "_num_labels"], 2),
        }
    }

    /// An error that says what is asked for and not built, with the value.
    pub fn unsupported<T>(&self, name: &str) -> Result<T> {
        let value = self.get(name).map_or_else(|| "its default".to_owned(), shown);
        Err(ConfigError::Unsupported { what: format!("`{}` = {value}", self.full(name)) })
    }

    /// An error that says that a value is missing.
    pub fn missing<T>(&self, name: &str) -> Result<T> {
        Err(ConfigError::Missing { name: self.full(name) })
    }

    fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &Value)> {
        names.iter().find_map(|&name| Some((name, self.get(name)?)))
    }

    fn refuse<T>(&self, name: &str, value: &Value, expected: &str) -> Result<T> {
        let expected = expected.to_owned();
        Err(ConfigError::Value { name: self.full(name), found: shown(value), expected })
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// A value for a message; long ones are cut.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { text.chars().take(39).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: &Value) -> Config {
        Config::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn values_defaults_and_synonyms() {
        let c = config(&json!({
            "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 768, "eps": 1e-5, "window": null,
            "text_config": {"vocab": 3}, "size": [3, 5], "eos_token_id": [7, 8], "id2label": {"0": "a", "1": "b", "2": "c"}
        }));
        assert_eq!((c.model_type(), c.architectures()), (Some("gpt2"), vec!["GPT2LMHeadModel"]));
        assert_eq!(c.size(&["hidden_size", "n_embd"], 5), Ok(768));
        assert_eq!((c.size(&["n_layer"], 12), c.size_if(&["window"])), (Ok(12), Ok(None)));
        assert_eq!(c.epsilon("eps", 1e-12), Ok(1e-5));
        assert_eq!(c.at("text_config").size(&["vocab"], 0), Ok(3));
        assert_eq!(c.at("vision_config").size(&["vocab"], 4), Ok(4));
        assert_eq!((c.pair("size", 1), c.pair("other", 224)), (Ok((3, 5)), Ok((224, 224))));
        assert_eq!((c.token("eos_token_id"), c.labels()), (Ok(Some(7)), Ok(3)));
    }

    #[test]
    fn values_of_another_kind_are_refused_by_name() {
        let c = config(&json!({"a": -1, "b": 1e300, "c": "x", "d": {"e": 9_000_000_000_u64}, "f": 2.0}));
        for name in ["a", "b", "c", "d"] {
            let error = c.size(&[name], 1).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")) && error.contains("2^31"), "{error}");
        }
        assert_eq!(c.size(&["f"], 1), Ok(2));
        let error = c.at("d").size(&["e"], 1).unwrap_err().to_string();
        assert!(error.contains("`d.e`: 9000000000"), "{error}");
        assert!(c.flag("a", true).is_err() && c.word(&["a"], "").is_err() && c.sizes("c", &[]).is_err());
        assert!(Config::parse(b"[]").is_err() && Config::parse(b"{").is_err());
        let deep = "[".repeat(100_000);
        assert!(Config::parse(format!("{{\"a\":{deep}").as_bytes()).is_err(), "the parser bounds nesting");
    }
}
