//! Why a repository could not be staged.

use std::path::PathBuf;

use zoo_arch::transformers::{self, Architecture};
use zoo_arch::{Config, ConfigError, Task};
use zoo_core::stage::Target;

use super::choose::Choice;
use crate::select::UnknownFramework;

/// What failed, on what; [`StageError::hint`] says what now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A file could not be read or removed.
    #[error(transparent)]
    Core(#[from] zoo_core::Error),
    /// A weight file cannot be read.
    #[error(transparent)]
    Formats(#[from] zoo_formats::Error),
    /// A graph cannot be written.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),
    /// The configuration cannot be used, or asks for what is not built.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Configuration and weights do not go together.
    #[error(transparent)]
    Architecture(#[from] transformers::Error),
    /// A word that names no task.
    #[error(transparent)]
    Task(#[from] zoo_arch::NoTask),
    /// There is no `config.json`.
    #[error("{} has no config.json, which says what its weights are", folder.display())]
    NoConfig {
        /// The folder of the repository.
        folder: PathBuf,
    },
    /// The type of the model is not built.
    #[error("zoo does not build models of the type `{model_type}`")]
    UnknownModel {
        /// `model_type`, or what stands for it.
        model_type: String,
    },
    /// The model needs code from its repository.
    #[error("the model is code of its repository (`{class}`), which zoo does not run")]
    CustomCode {
        /// What `auto_map` names.
        class: String,
    },
    /// The type of the model is built, the class is not.
    #[error("`{name}` is no class of {model_type} that zoo builds")]
    UnknownClass {
        /// The class asked for, or named by the configuration.
        name: String,
        /// The type of the model.
        model_type: &'static str,
        /// The classes there are.
        classes: Vec<&'static str>,
    },
    /// No class of the model's type is for this task.
    #[error("zoo builds no {model_type} for {task}")]
    NoSuchTask {
        /// The task.
        task: Task,
        /// The type of the model.
        model_type: &'static str,
        /// The tasks there are.
        tasks: Vec<&'static str>,
    },
    /// The head that is wanted is not in the checkpoint.
    #[error("the checkpoint has no head for {task}: `{tensor}` of {class} is missing")]
    HeadMissing {
        /// What was wanted.
        task: Task,
        /// The class with that head.
        class: &'static str,
        /// The tensor that is not there.
        tensor: String,
        /// The classes that the checkpoint was saved from.
        saved: Vec<String>,
    },
    /// There are no weights of the framework that is wanted, or of any.
    #[error("{} has no weights{of}", folder.display())]
    NoWeights {
        /// The folder of the repository.
        folder: PathBuf,
        /// Of which framework, in words, with a space in front; empty for any.
        of: String,
        /// Weight files that are there.
        present: Vec<String>,
    },
    /// A word that names no framework.
    #[error(transparent)]
    Framework(#[from] UnknownFramework),
    /// Weights of a framework whose names are not translated for this type of model.
    #[error("zoo does not translate the names that `{framework}` weights of the type `{model_type}` have")]
    NotTranslated {
        /// The framework.
        framework: &'static str,
        /// The type of the model.
        model_type: String,
    },
    /// A graph cannot be written as TensorFlow's.
    #[error(transparent)]
    TensorFlow(#[from] zoo_tf::Error),
    /// A model in parts is no single graph.
    #[error("{target} is one graph, and this model is {} ({})", parts.len(), parts.join(", "))]
    SeveralGraphs {
        /// What was asked for.
        target: Target,
        /// The graphs.
        parts: Vec<String>,
    },
    /// An option that a target cannot honour.
    #[error("a {target} is not made with the option --{option}")]
    Option {
        /// What was asked for.
        target: Target,
        /// The option, without dashes.
        option: &'static str,
    },
    /// A form that is not made of repositories.
    #[error("models of Hugging Face are not staged as {target}")]
    Target {
        /// What was asked for.
        target: Target,
    },
    /// An index of shards, or another small file of the repository, cannot be used.
    #[error("{} {problem}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl StageError {
    pub(super) fn unknown_model(model_type: Option<&str>, config: &Config) -> Self {
        let mapped = config.get("auto_map").and_then(|map| map.as_object()?.values().next()?.as_str());
        match (model_type, mapped) {
            (_, Some(class)) => Self::CustomCode { class: class.to_owned() },
            (Some(name), None) => Self::UnknownModel { model_type: name.to_owned() },
            (None, None) => {
                let named = config.architectures().first().map_or("unknown", |name| name).to_owned();
                Self::UnknownModel { model_type: named }
            }
        }
    }

    pub(super) fn unknown_class(name: &str, architecture: &'static Architecture) -> Self {
        let classes = architecture.classes.iter().map(|class| class.name).collect();
        Self::UnknownClass { name: name.to_owned(), model_type: architecture.model_type, classes }
    }

    pub(super) fn no_such_task(task: Task, architecture: &'static Architecture) -> Self {
        let mut tasks: Vec<&str> = architecture.classes.iter().map(|class| class.task.name()).collect();
        tasks.dedup();
        Self::NoSuchTask { task, model_type: architecture.model_type, tasks }
    }

    /// What can be done.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Core(error) => error.hint(),
            Self::Formats(error) => error.hint(),
            Self::Graph(error) | Self::Architecture(transformers::Error::Graph(error)) => error.hint(),
            Self::UnknownModel { .. } | Self::CustomCode { .. } => {
                let known: Vec<&str> = transformers::architectures().map(|a| a.model_type).collect();
                Some(format!(
                    "zoo builds {}; with Python, `optimum-cli export onnx --model <repository> <folder>` makes ONNX of more",
                    known.join(", ")
                ))
            }
            Self::Config(ConfigError::Unsupported { .. })
            | Self::Architecture(transformers::Error::Config(ConfigError::Unsupported { .. })) => Some(
                "with Python, `optimum-cli export onnx --model <repository> <folder>` may make ONNX of it"
                    .to_owned(),
            ),
            Self::SeveralGraphs { .. } => Some(
                "stage it as onnx, or ask for its encoder alone (--auto AutoModel), if it has one".to_owned(),
            ),
            Self::Option { option, .. } => Some(format!("leave --{option} out, or stage as onnx")),
            Self::Target { .. } => Some("there are onnx, saved-model, frozen-graph and original".to_owned()),
            Self::UnknownClass { classes, .. } => Some(format!("there are {}", classes.join(", "))),
            Self::NoSuchTask { tasks, .. } => Some(format!("there are {}", tasks.join(", "))),
            Self::HeadMissing { saved, .. } if !saved.is_empty() => Some(format!(
                "it was saved from {}; a head has to be trained, zoo makes up no numbers",
                saved.join(", ")
            )),
            Self::NoWeights { present, .. } if !present.is_empty() => {
                Some(format!("there are {}", present.join(", ")))
            }
            _ => None,
        }
    }
}

/// An error of building, told apart: a head may be missing.
pub(super) fn not_built(error: transformers::Error, choice: &Choice, config: &Config) -> StageError {
    let saved: Vec<String> = config.architectures().into_iter().map(str::to_owned).collect();
    match error {
        transformers::Error::Graph(zoo_graph::Error::MissingWeight { path, .. })
            // A pooler belongs to the model, and is trained with heads only.
            if (choice.architecture.is_head(&path) || path.contains("pooler"))
                && !saved.iter().any(|name| name == choice.class.name) =>
        {
            StageError::HeadMissing { task: choice.class.task, class: choice.class.name, tensor: path, saved }
        }
        error => error.into(),
    }
}
