//! Models of texts and sounds: what they are for, and which files belong to one.
//!
//! Their graphs say little: what the numbers mean lies in the repository's own files, which the store keeps in `original/` beside
//! the staged graphs, and which exporters put into the graphs' own folder.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zoo_core::manifest::{Manifest, ModelFacts};
use zoo_run::ModelConfig;

use crate::cmd::App;
use crate::cmd::engine::Subject;
use crate::exit::{Exit, Failure, Result};
use crate::hubs;

/// What a model of texts or sounds is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextTask {
    TextClassification,
    TokenClassification,
    QuestionAnswering,
    FillMask,
    FeatureExtraction,
    SentenceSimilarity,
    ZeroShot,
    ZeroShotImage,
    TextGeneration,
    Text2Text,
    Speech,
    AudioClassification,
}

impl TextTask {
    pub(crate) const ALL: [Self; 12] = [
        Self::TextClassification,
        Self::TokenClassification,
        Self::QuestionAnswering,
        Self::FillMask,
        Self::FeatureExtraction,
        Self::SentenceSimilarity,
        Self::ZeroShot,
        Self::ZeroShotImage,
        Self::TextGeneration,
        Self::Text2Text,
        Self::Speech,
        Self::AudioClassification,
    ];

    /// The name, which is Hugging Face's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TextClassification => "text-classification",
            Self::TokenClassification => "token-classification",
            Self::QuestionAnswering => "question-answering",
            Self::FillMask => "fill-mask",
            Self::FeatureExtraction => "feature-extraction",
            Self::SentenceSimilarity => "sentence-similarity",
            Self::ZeroShot => "zero-shot-classification",
            Self::ZeroShotImage => "zero-shot-image-classification",
            Self::TextGeneration => "text-generation",
            Self::Text2Text => "text2text-generation",
            Self::Speech => "automatic-speech-recognition",
            Self::AudioClassification => "audio-classification",
        }
    }

    /// What a name, or another word for it, means.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let text = text.strip_suffix("-with-past").unwrap_or(text);
        let other = match text {
            "sequence-classification" | "sentiment-analysis" | "text-ranking" => Self::TextClassification,
            "ner" => Self::TokenClassification,
            "masked-lm" => Self::FillMask,
            "default" => Self::FeatureExtraction,
            "causal-lm" => Self::TextGeneration,
            "seq2seq-lm" | "summarization" | "translation" => Self::Text2Text,
            "audio-ctc" | "speech2seq-lm" => Self::Speech,
            _ => return Self::ALL.into_iter().find(|task| task.name() == text),
        };
        Some(other)
    }

    /// What the class says that a checkpoint was saved from.
    fn of_class(class: &str) -> Option<Self> {
        const ENDS: [(&str, TextTask); 9] = [
            ("ForSequenceClassification", TextTask::TextClassification),
            ("ForTokenClassification", TextTask::TokenClassification),
            ("ForQuestionAnswering", TextTask::QuestionAnswering),
            ("ForMaskedLM", TextTask::FillMask),
            ("ForCausalLM", TextTask::TextGeneration),
            ("LMHeadModel", TextTask::TextGeneration),
            ("ForConditionalGeneration", TextTask::Text2Text),
            ("MTModel", TextTask::Text2Text),
            ("ForCTC", TextTask::Speech),
        ];
        ENDS.into_iter().find(|(end, _)| class.ends_with(end)).map(|(_, task)| task)
    }

    /// Whether sounds go in.
    pub(super) fn hears(self) -> bool {
        matches!(self, Self::Speech | Self::AudioClassification)
    }
}

/// A model's graphs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Graphs {
    One(PathBuf),
    /// What reads, and what writes: its first step, and all others.
    Two {
        encoder: PathBuf,
        decoder: PathBuf,
        with_past: Option<PathBuf>,
    },
}

/// A model of texts or sounds.
#[derive(Debug, Clone)]
pub(super) struct Language {
    pub(super) name: String,
    pub(super) graphs: Graphs,
    /// Where the repository's own files are.
    pub(super) files: PathBuf,
    pub(super) config: ModelConfig,
    pub(super) facts: ModelFacts,
}

impl Language {
    /// Finds a model's graphs and files: a stored one by its name, pulling it if need be, or a folder or file.
    pub(super) async fn find(text: &str, app: &App) -> Result<Self> {
        let (name, folder, graph, facts) = match hubs::as_path(text)? {
            Some(path) => {
                let (folder, graph) = if path.is_dir() {
                    (path, None)
                } else {
                    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                    (folder.unwrap_or(Path::new(".")).to_owned(), Some(path))
                };
                let facts = Manifest::read(&folder)?.map(|manifest| manifest.model).unwrap_or_default();
                (text.to_owned(), folder, graph, facts)
            }
            None => {
                let subject = Subject::find(text, false, app).await?;
                (subject.name, subject.folder, Some(subject.path), subject.facts)
            }
        };
        let beside = graph.as_deref().and_then(Path::parent).unwrap_or(&folder).to_owned();
        let graphs = match (two_in(&beside), graph) {
            (Some(two), _) => two,
            (None, Some(graph)) => Graphs::One(graph),
            (None, None) => Graphs::One(only_in(&folder)?),
        };
        let files = files_of(&folder, &beside).ok_or_else(|| {
            let message = format!("`{name}` has no config.json: what its numbers mean is not said");
            Failure::new(Exit::Refused, message)
                .hint("texts and sounds need the repository's own files, beside the graph or in `original/`")
        })?;
        let config = ModelConfig::from_folder(&files)?;
        Ok(Self { name, graphs, files, config, facts })
    }

    /// What it is for, as far as options, the manifest or the files say; `None`: only the graph may tell.
    pub(super) fn task(&self, wanted: Option<TextTask>) -> Option<TextTask> {
        let said = self.facts.other.get("task").and_then(Value::as_str).and_then(TextTask::named);
        let class = || {
            let class = self.config.get("architectures")?.get(0)?.as_str()?;
            TextTask::of_class(class)
        };
        let task = wanted.or(said).or_else(class)?;
        Some(match task {
            TextTask::TextGeneration if matches!(self.graphs, Graphs::Two { .. }) => TextTask::Text2Text,
            TextTask::Text2Text if self.config.model_type() == "whisper" => TextTask::Speech,
            task => task,
        })
    }
}

/// An encoder and a decoder.
fn two_in(folder: &Path) -> Option<Graphs> {
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let encoder = there("encoder_model.onnx")?;
    let with_past = there("decoder_with_past_model.onnx");
    match there("decoder_model.onnx") {
        Some(decoder) => Some(Graphs::Two { encoder, decoder, with_past }),
        None => Some(Graphs::Two { encoder, decoder: there("decoder_model_merged.onnx")?, with_past: None }),
    }
}

/// The graph in a folder: the one with the usual name, or the only one.
fn only_in(folder: &Path) -> Result<PathBuf> {
    let usual = folder.join("model.onnx");
    if usual.is_file() {
        return Ok(usual);
    }
    let entries = zoo_core::fs::list_dir(folder)?;
    let mut graphs: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| is_graph(path)).collect();
    graphs.sort();
    match graphs.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(Exit::NotFound, format!("there is no ONNX graph in `{}`", folder.display()))),
        several => {
            let names: Vec<_> = several.iter().map(|path| format!("`{}`", path.display())).collect();
            let message = format!("`{}` holds several graphs: {}", folder.display(), names.join(", "));
            Err(Failure::usage(message).hint("name one of them"))
        }
    }
}

fn is_graph(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) && path.is_file()
}

/// Where the repository's files are: in the store's folder for them, with the graph, or above a folder of graphs.
fn files_of(folder: &Path, beside: &Path) -> Option<PathBuf> {
    let mut places = vec![folder.join("original"), beside.to_owned(), folder.to_owned()];
    places.extend(beside.parent().map(Path::to_owned));
    places.into_iter().find(|place| place.join("config.json").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_a_name_and_some_have_several() {
        for task in TextTask::ALL {
            assert_eq!(TextTask::named(task.name()), Some(task));
        }
        assert_eq!(TextTask::named("text-generation-with-past"), Some(TextTask::TextGeneration));
        assert_eq!(TextTask::named("summarization"), Some(TextTask::Text2Text));
        assert_eq!(TextTask::named("image-classification"), None);
        assert_eq!(TextTask::of_class("GPT2LMHeadModel"), Some(TextTask::TextGeneration));
        assert_eq!(TextTask::of_class("BertModel"), None);
    }

    #[test]
    fn graphs_and_files_are_found_where_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            zoo_core::fs::write_atomic(&path, b"{}", false).unwrap();
            path
        };
        let folder = dir.path();
        assert_eq!(only_in(folder).unwrap_err().exit, Exit::NotFound);
        let one = put("a.onnx");
        assert_eq!(only_in(folder).unwrap(), one);
        put("b.onnx");
        assert!(only_in(folder).unwrap_err().error.to_string().contains("several graphs"));
        let usual = put("model.onnx");
        assert_eq!(only_in(folder).unwrap(), usual);
        assert_eq!(two_in(folder), None);
        let encoder = put("onnx/encoder_model.onnx");
        let merged = put("onnx/decoder_model_merged.onnx");
        let onnx = folder.join("onnx");
        let two = Graphs::Two { encoder: encoder.clone(), decoder: merged, with_past: None };
        assert_eq!(two_in(&onnx), Some(two));
        let decoder = put("onnx/decoder_model.onnx");
        let with_past = Some(put("onnx/decoder_with_past_model.onnx"));
        assert_eq!(two_in(&onnx), Some(Graphs::Two { encoder, decoder, with_past }));
        assert_eq!(files_of(folder, &onnx), None);
        put("config.json");
        assert_eq!(files_of(&onnx, &onnx), Some(folder.to_owned()));
        put("original/config.json");
        assert_eq!(files_of(folder, folder), Some(folder.join("original")));
    }
}
