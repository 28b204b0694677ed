//! How the tokens of a text become one vector, as the files of sentence-transformers say it.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result, files};

/// One way to make a vector of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The first token's.
    First,
    /// The largest of each number.
    Largest,
    /// The mean.
    Mean,
    /// The sum, divided by the root of how many there are.
    MeanByRoot,
    /// The mean, in which the n-th token counts n times.
    Weighted,
    /// The last token's.
    Last,
}

/// How two vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Similarity {
    /// The cosine of the angle between them.
    #[default]
    Cosine,
    /// Their product.
    Dot,
    /// The distance between them, negative.
    Euclidean,
    /// The sum of all differences, negative.
    Manhattan,
}

/// What a repository says of sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SentenceSettings {
    /// How tokens become one vector; several are put behind each other. None: nothing is said of it.
    pub poolings: Vec<Pooling>,
    /// Whether vectors are brought to length 1.
    pub normalize: bool,
    /// The most tokens of a sentence.
    pub max_length: Option<usize>,
    /// Whether sentences are put into lower case first.
    pub lower_case: bool,
    /// How sentences are compared.
    pub similarity: Similarity,
    /// A part that only a graph with an output `sentence_embedding` has: a layer with weights of its own.
    pub beyond: Option<String>,
}

/// The settings' names, in the order in which vectors are put behind each other.
const MODES: [(&str, &str, Pooling); 6] = [
    ("pooling_mode_cls_token", "cls", Pooling::First),
    ("pooling_mode_max_tokens", "max", Pooling::Largest),
    ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::MeanByRoot),
    ("pooling_mode_weightedmean_tokens", "weightedmean", Pooling::Weighted),
    ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
];

impl SentenceSettings {
    /// Reads `modules.json`, what it names, `sentence_bert_config.json` and `config_sentence_transformers.json`, as far as they are
    /// there.
    ///
    /// # Errors
    /// [`Error::Settings`] if one of them cannot be read, or leads out of the folder.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut settings = Self::default();
        let path = folder.join("modules.json");
        let modules = match files::read(&path, crate::limits::MAX_SETTINGS_BYTES)? {
            None => Vec::new(),
            Some(bytes) => serde_json::from_slice::<Vec<Value>>(&bytes)
                .map_err(|error| Error::settings(&path, error.to_string()))?,
        };
        for module in &modules {
            let text = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = text("type").rsplit('.').next().unwrap_or_default();
            match kind {
                "Transformer" | "Dropout" => {}
                "Normalize" => settings.normalize = true,
                "Pooling" => {
                    let own = text("path");
                    if Path::new(own)
                        .components()
                        .any(|part| !matches!(part, std::path::Component::Normal(_)))
                    {
                        return Err(Error::settings(&path, format!("it leads to `{own}`")));
                    }
                    let config = folder.join(own).join("config.json");
                    let json = files::settings(&config)?
                        .ok_or_else(|| Error::settings(&config, "there is no such file"))?;
                    settings.poolings =
                        poolings(&json).map_err(|problem| Error::settings(&config, problem))?;
                }
                other => settings.beyond = settings.beyond.or_else(|| Some(other.to_owned())),
            }
        }
        if let Some(json) = files::settings(&folder.join("sentence_bert_config.json"))? {
            settings.max_length =
                json.get("max_seq_length").and_then(Value::as_u64).map(|length| length as usize);
            settings.lower_case = json.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false);
        }
        let path = folder.join("config_sentence_transformers.json");
        if let Some(json) = files::settings(&path)? {
            settings.similarity = match json.get("similarity_fn_name").and_then(Value::as_str) {
                None | Some("cosine") => Similarity::Cosine,
                Some("dot") => Similarity::Dot,
                Some("euclidean") => Similarity::Euclidean,
                Some("manhattan") => Similarity::Manhattan,
                Some(other) => {
                    return Err(Error::settings(&path, format!("no similarity `{other}` is known")));
                }
            };
        }
        Ok(settings)
    }
}

/// The ways that are switched on; the mean if none is.
fn poolings(json: &Value) -> Result<Vec<Pooling>, String> {
    let modes = match json.get("pooling_mode") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if let Some(unknown) = modes.iter().find(|mode| !MODES.iter().any(|(_, name, _)| name == *mode)) {
        return Err(format!("no pooling `{unknown}` is known"));
    }
    let is_on = |key: &str, name: &str| {
        modes.contains(&name) || json.get(key).and_then(Value::as_bool).unwrap_or(false)
    };
    let found: Vec<Pooling> =
        MODES.into_iter().filter(|(key, name, _)| is_on(key, name)).map(|(.., pooling)| pooling).collect();
    Ok(if found.is_empty() { vec![Pooling::Mean] } else { found })
}

impl Pooling {
    /// One vector of those of all tokens.
    pub(super) fn of(self, tokens: &[Vec<f32>]) -> Vec<f64> {
        let width = tokens.first().map_or(0, Vec::len);
        let sum = |weight: &dyn Fn(usize) -> f64| {
            let mut sum = vec![0.0_f64; width];
            for (place, token) in tokens.iter().enumerate() {
                for (sum, value) in sum.iter_mut().zip(token) {
                    *sum += f64::from(*value) * weight(place);
                }
            }
            sum
        };
        let divided = |sum: Vec<f64>, by: f64| sum.into_iter().map(|value| value / by.max(1e-9)).collect();
        let plain = |token: Option<&Vec<f32>>| {
            token.map_or_else(Vec::new, |token| token.iter().map(|&value| f64::from(value)).collect())
        };
        let count = tokens.len() as f64;
        match self {
            Self::First => plain(tokens.first()),
            Self::Last => plain(tokens.last()),
            Self::Mean => divided(sum(&|_| 1.0), count),
            Self::MeanByRoot => divided(sum(&|_| 1.0), count.sqrt()),
            Self::Weighted => divided(sum(&|place| place as f64 + 1.0), count * (count + 1.0) / 2.0),
            Self::Largest => (0..width)
                .map(|at| {
                    let values = tokens.iter().filter_map(|token| token.get(at));
                    f64::from(values.copied().fold(f32::NEG_INFINITY, f32::max))
                })
                .collect(),
        }
    }
}

impl Similarity {
    /// How alike two vectors are; more is closer.
    pub fn of(self, a: &[f32], b: &[f32]) -> f64 {
        let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let dot = || pairs().map(|(a, b)| a * b).sum::<f64>();
        let length = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-12);
        match self {
            Self::Cosine => dot() / (length(a) * length(b)),
            Self::Dot => dot(),
            Self::Euclidean => -pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
            Self::Manhattan => -pairs().map(|(a, b)| (a - b).abs()).sum::<f64>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_pooling() {
        let tokens = [vec![1.0, -2.0], vec![3.0, 4.0], vec![-1.0, 1.0]];
        let near = |pooling: Pooling, expected: [f64; 2]| {
            let found = pooling.of(&tokens);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{pooling:?}: {found:?}");
        };
        near(Pooling::First, [1.0, -2.0]);
        near(Pooling::Last, [-1.0, 1.0]);
        near(Pooling::Largest, [3.0, 4.0]);
        near(Pooling::Mean, [1.0, 1.0]);
        near(Pooling::MeanByRoot, [1.732_050_8, 1.732_050_8]);
        near(Pooling::Weighted, [4.0 / 6.0, 9.0 / 6.0]);
    }

    #[test]
    fn every_similarity() {
        let (a, b) = ([3.0, 4.0], [4.0, 3.0]);
        assert!((Similarity::Cosine.of(&a, &b) - 0.96).abs() < 1e-9);
        assert!((Similarity::Dot.of(&a, &b) - 24.0).abs() < 1e-9);
        assert!((Similarity::Euclidean.of(&a, &b) + 2.0_f64.sqrt()).abs() < 1e-9);
        assert!((Similarity::Manhattan.of(&a, &b) + 2.0).abs() < 1e-9);
    }

    #[test]
    fn settings_have_an_old_and_a_new_form() {
        let old = json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false});
        assert_eq!(poolings(&old).unwrap(), [Pooling::First, Pooling::Mean]);
        assert_eq!(poolings(&json!({"pooling_mode": "lasttoken"})).unwrap(), [Pooling::Last]);
        assert_eq!(
            poolings(&json!({"pooling_mode": ["mean", "max"]})).unwrap(),
            [Pooling::Largest, Pooling::Mean]
        );
        assert_eq!(poolings(&json!({})).unwrap(), [Pooling::Mean]);
        assert!(poolings(&json!({"pooling_mode": "median"})).unwrap_err().contains("median"));
    }

    #[test]
    fn modules_are_followed_inside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::io::Write::write_all(
                &mut std::fs::File::create(dir.path().join(name)).unwrap(),
                text.as_bytes(),
            )
            .unwrap();
        };
        assert_eq!(SentenceSettings::from_folder(dir.path()).unwrap(), SentenceSettings::default());
        put("modules.json", r#"[{"type": "x.Pooling", "path": "../up"}]"#);
        assert!(
            SentenceSettings::from_folder(dir.path()).unwrap_err().to_string().contains("leads to `../up`")
        );
        put(
            "modules.json",
            r#"[{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "p"}, {"type": "x.Dense"}]"#,
        );
        std::fs::create_dir(dir.path().join("p")).unwrap();
        assert!(SentenceSettings::from_folder(dir.path()).unwrap_err().to_string().contains("no such file"));
        put("p/config.json", r#"{"pooling_mode": "max"}"#);
        put("sentence_bert_config.json", r#"{"max_seq_length": 9, "do_lower_case": true}"#);
        put("config_sentence_transformers.json", r#"{"similarity_fn_name": "dot"}"#);
        let settings = SentenceSettings::from_folder(dir.path()).unwrap();
        assert_eq!(
            (settings.poolings.as_slice(), settings.beyond.as_deref()),
            (&[Pooling::Largest][..], Some("Dense"))
        );
        assert_eq!((settings.max_length, settings.lower_case), (Some(9), true));
        assert_eq!(settings.similarity, Similarity::Dot);
    }
}
