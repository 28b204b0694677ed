//! `modules.json` of sentence-transformers: where its transformer is, and what follows on it.
//!
//! Classes are told apart by the last part of their names, since the library moved them between modules more than once.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use zoo_arch::transformers::{Pooling, Sentence, SentenceModule};
use zoo_graph::weights::{NamedWeight, Weights};

use super::checkpoint;
use super::error::StageError;

/// What `modules.json` lists.
pub(super) struct Modules {
    /// The folder of the transformer's own files.
    pub(super) transformer: PathBuf,
    /// Kind and folder of what follows.
    steps: Vec<(String, PathBuf)>,
}

/// Reads `modules.json`; none if there is none.
pub(super) fn modules(repository: &Path) -> Result<Option<Modules>, StageError> {
    let path = repository.join("modules.json");
    if !path.is_file() {
        return Ok(None);
    }
    let bad = |problem: String| StageError::BadFile { path: path.clone(), problem };
    let listed = json(&path)?;
    let Some(listed) = listed.as_array() else { return Err(bad("is no list".to_owned())) };
    let mut steps = Vec::new();
    for module in listed {
        let (Some(kind), Some(folder)) = (module["type"].as_str(), module["path"].as_str()) else {
            return Err(bad("has a module without `type` or `path`".to_owned()));
        };
        let is_plain = Path::new(folder).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain {
            return Err(bad(format!("names the folder {folder:?}, which is not inside the repository")));
        }
        let kind = kind.rsplit('.').next().unwrap_or_default().to_owned();
        let folder = if folder.is_empty() { repository.to_owned() } else { repository.join(folder) };
        steps.push((kind, folder));
    }
    match steps.first() {
        Some((kind, _)) if kind == "Transformer" => {
            let (_, transformer) = steps.remove(0);
            Ok(Some(Modules { transformer, steps }))
        }
        Some((kind, _)) => Err(bad(format!("begins with a module `{kind}`, which zoo does not build"))),
        None => Err(bad("lists nothing".to_owned())),
    }
}

impl Modules {
    /// What follows on the transformer.
    pub(super) fn sentence(&self) -> Result<Sentence, StageError> {
        let mut sentence = Sentence::default();
        for (kind, folder) in &self.steps {
            sentence.modules.push(match kind.as_str() {
                "Pooling" => SentenceModule::Pooling(pooling(&folder.join("config.json"))?),
                "Normalize" => SentenceModule::Normalize,
                "Dropout" => continue,
                "Dense" => {
                    let config = folder.join("config.json");
                    let told = json(&config)?;
                    let activation =
                        told["activation_function"].as_str().unwrap_or("torch.nn.modules.activation.Tanh");
                    let activation = activation.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
                    let activation = (activation != "identity").then_some(activation);
                    SentenceModule::Dense { weights: weights(folder)?, activation }
                }
                "LayerNorm" => SentenceModule::LayerNorm(weights(folder)?),
                other => {
                    let path = folder.clone();
                    let problem = format!("is of a module `{other}`, which zoo does not build");
                    return Err(StageError::BadFile { path, problem });
                }
            });
        }
        Ok(sentence)
    }
}

/// The weights of a module, under names that cannot be those of the transformer.
fn weights(folder: &Path) -> Result<Weights, StageError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let found = checkpoint::read(folder, None, "")?;
    let tensors = found.tensors.into_iter();
    let named = tensors.map(|weight| NamedWeight { name: format!("{name}.{}", weight.name), ..weight });
    Ok(Weights::named(named)?)
}

/// The modes of pooling, in the library's own order.
fn pooling(path: &Path) -> Result<Vec<Pooling>, StageError> {
    const FLAGS: [(&str, Pooling); 6] = [
        ("pooling_mode_cls_token", Pooling::Cls),
        ("pooling_mode_max_tokens", Pooling::Max),
        ("pooling_mode_mean_tokens", Pooling::Mean),
        ("pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrtLength),
        ("pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
        ("pooling_mode_lasttoken", Pooling::Last),
    ];
    let config = json(path)?;
    let bad = |problem: String| StageError::BadFile { path: path.to_owned(), problem };
    let named = |mode: &Value| {
        let mode = mode.as_str().unwrap_or_default();
        Pooling::named(mode).ok_or_else(|| bad(format!("has the pooling `{mode}`, which zoo does not build")))
    };
    let modes: Vec<Pooling> = match &config["pooling_mode"] {
        Value::Null => FLAGS.iter().filter(|(flag, _)| config[flag] == true).map(|(_, mode)| *mode).collect(),
        Value::Array(modes) => modes.iter().map(named).collect::<Result<_, _>>()?,
        mode => vec![named(mode)?],
    };
    if config["include_prompt"] == false {
        return Err(bad("leaves the prompt out of pooling, which zoo does not build".to_owned()));
    }
    Ok(if modes.is_empty() { vec![Pooling::Mean] } else { modes })
}

/// A small JSON file.
pub(super) fn json(path: &Path) -> Result<Value, StageError> {
    let bytes = zoo_core::fs::read_bounded(path, super::MAX_SMALL)?;
    serde_json::from_slice(&bytes).map_err(|error| StageError::BadFile {
        path: path.to_owned(),
        problem: format!("is no JSON: {error}"),
    })
}
