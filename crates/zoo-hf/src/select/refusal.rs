//! Why nothing can be made of a repository, and what would work instead.

use crate::error::list;

/// Why the wanted files of a repository cannot be told, or would be of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Changes to another model, without that model.
    #[error("it is an adapter ({method}) and holds no whole model")]
    Adapter {
        /// `LORA`, say.
        method: String,
        /// The model that it changes.
        base: Option<String>,
    },
    /// A pipeline of several models.
    #[error("it is a pipeline of diffusers, not one model")]
    Diffusers,
    /// Weights for llama.cpp only.
    #[error("its weights are in GGUF files only, which are for llama.cpp")]
    GgufOnly {
        /// Some of them.
        files: Vec<String>,
    },
    /// ONNX files only, where weights are wanted.
    #[error("it has ONNX files and no other weights")]
    OnnxOnly,
    /// Integers and their scales in place of weights.
    #[error("its weights are quantised ({method})")]
    Quantised {
        /// `gptq`, `awq`, `fp8`, ….
        method: String,
    },
    /// A network that only the repository's own Python knows.
    #[error("it brings code of its own for its network ({}), which zoo does not run", named(.model_type.as_deref(), .classes))]
    CustomCode {
        /// As the configuration has it.
        model_type: Option<String>,
        /// The classes that its code defines.
        classes: Vec<String>,
    },
    /// A network that zoo does not build.
    #[error("zoo does not build networks of the type `{model_type}`")]
    UnknownType {
        /// As the configuration has it.
        model_type: String,
    },
    /// Nothing that holds weights under a name that transformers reads.
    #[error("it has no weights under a name that transformers reads{}", beside(.found))]
    NoWeights {
        /// Files that may hold a model of another kind.
        found: Vec<String>,
    },
    /// No ONNX files with that suffix.
    #[error("it has no ONNX files{}", .suffix.as_ref().map(|s| format!(" with the suffix `{s}`")).unwrap_or_default())]
    NoOnnx {
        /// What was asked for.
        suffix: Option<String>,
        /// Suffixes that there are; an empty one is full precision.
        available: Vec<String>,
    },
    /// A small file that decides cannot be read.
    #[error("`{path}` cannot be read: {reason}")]
    Broken {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The index names a shard that the commit does not have.
    #[error("`{index}` names `{shard}`, which the repository does not have")]
    ShardMissing {
        /// The index.
        index: String,
        /// The shard.
        shard: String,
    },
    /// A file that was asked for by name.
    #[error("it has no file `{path}`")]
    NoFile {
        /// The file.
        path: String,
        /// Similar ones.
        nearest: Vec<String>,
    },
    /// All files are wanted, and one has a path that no folder can hold, or that leads out of it.
    #[error(
        "its file `{path}` has a path that leads out of its folder, or that no folder can hold everywhere"
    )]
    UnsafePath {
        /// The path, escaped.
        path: String,
    },
}

fn named(model_type: Option<&str>, classes: &[String]) -> String {
    let parts: Vec<&str> = model_type.into_iter().chain(classes.iter().map(String::as_str)).take(3).collect();
    parts.join(", ")
}

fn beside(files: &[String]) -> String {
    if files.is_empty() { String::new() } else { format!("; it has {}", list(files)) }
}

impl Refusal {
    /// What would work.
    pub fn hint(&self) -> Option<String> {
        const ALL: &str = "--all-files fetches the repository as it is";
        Some(match self {
            Self::Adapter { base: Some(base), .. } => {
                format!("`hf:{base}` is the model that it changes; {ALL}")
            }
            Self::Diffusers => format!("its parts are models in folders of their own; {ALL}"),
            Self::GgufOnly { .. } => {
                format!("look for the repository that they were made from (`base_model` in its card); {ALL}")
            }
            Self::OnnxOnly => "--onnx-files fetches them, ready to run".into(),
            Self::Quantised { .. } => {
                format!("look for the model that it was made from (`base_model` in its card); {ALL}")
            }
            Self::NoOnnx { available, .. } if !available.is_empty() => {
                let name = |suffix: &String| match suffix.as_str() {
                    "" => "--onnx-files".to_owned(),
                    suffix => format!("--onnx-files={suffix}"),
                };
                format!("there is {}", available.iter().map(name).collect::<Vec<_>>().join(", "))
            }
            Self::NoOnnx { .. } => "leave out --onnx-files: zoo makes ONNX from the weights".into(),
            Self::NoFile { nearest, .. } if !nearest.is_empty() => format!("there is {}", list(nearest)),
            Self::NoFile { .. } => return None,
            Self::Broken { .. } | Self::ShardMissing { .. } => {
                format!("the repository is not complete, and its owner would have to repair it; {ALL}")
            }
            Self::UnsafePath { .. } => "without --all-files only safe paths are fetched".into(),
            Self::Adapter { base: None, .. }
            | Self::CustomCode { .. }
            | Self::UnknownType { .. }
            | Self::NoWeights { .. } => ALL.into(),
        })
    }
}
