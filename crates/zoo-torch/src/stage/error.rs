//! Why a checkpoint could not be staged.

/// What failed, on what; [`StageError::hint`] says what now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The file is no checkpoint that can be read.
    #[error(transparent)]
    Formats(#[from] zoo_formats::Error),
    /// The network and the weights do not go together, or the graph cannot be written.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),
    /// The network that was named does not take the tensors.
    #[error("the checkpoint is not of {network}: {problem}")]
    DoesNotFit {
        /// The network.
        network: &'static str,
        /// The one that does take them, if there is exactly one.
        fits: Option<&'static str>,
        /// What does not fit.
        problem: zoo_graph::Error,
    },
    /// A name that stands for no network.
    #[error("there is no network `{name}`")]
    UnknownArch {
        /// The name as given.
        name: String,
        /// Names like it, best first.
        nearest: Vec<String>,
    },
    /// The network is there, and the source of the checkpoint means another by it.
    #[error("a checkpoint with names as in {names} does not compute what `{network}` does")]
    OtherSource {
        /// The network.
        network: &'static str,
        /// The scheme of the checkpoint's names.
        names: &'static str,
        /// Networks that do go with such names.
        only: &'static [&'static str],
    },
    /// The names and shapes do not tell what the network computes.
    #[error("a checkpoint with names as in {names} does not say which network it is: {reason}")]
    Unnamed {
        /// The scheme of the checkpoint's names.
        names: &'static str,
        /// What else has them.
        reason: &'static str,
    },
    /// Several networks fit, and compute different things.
    #[error("the tensors fit several networks that compute different things: {}", fitting.join(", "))]
    Ambiguous {
        /// The networks.
        fitting: Vec<&'static str>,
    },
    /// Networks fit, but in widths that they were never published in, and what they compute depends on more.
    #[error("the tensors fit {}, but not in the widths that those have: their heads cannot be counted", fitting.join(", "))]
    Uncertain {
        /// The networks.
        fitting: Vec<&'static str>,
    },
    /// No network takes every tensor.
    #[error("no network that zoo knows takes these weights; {nearest} comes nearest")]
    NoNetwork {
        /// The network that took the most tensors.
        nearest: &'static str,
        /// What does not fit it.
        source: zoo_graph::Error,
    },
    /// No network takes any tensor.
    #[error("no network that zoo knows takes any of these {tensors} tensors ({}, ...)", some.join(", "))]
    NothingFits {
        /// How many there are.
        tensors: usize,
        /// A few of their names.
        some: Vec<String>,
    },
    /// Integers that stand for other numbers.
    #[error("{} tensors are quantised, such as \"{}\": zoo does not stage quantised networks", names.len(), names.first().map_or("", String::as_str))]
    Quantized {
        /// Their names.
        names: Vec<String>,
    },
    /// A network that is known by name only.
    #[error("zoo cannot build `{model}` yet: {lacks}")]
    NotBuilt {
        /// The model.
        model: String,
        /// What is missing.
        lacks: &'static str,
    },
}

impl StageError {
    /// What to do now, where there is something to do.
    pub fn hint(&self) -> Option<String> {
        let name_one = |names: &[&str]| format!("name the network with `--arch`: {}", names.join(", "));
        match self {
            Self::Formats(error) => error.hint(),
            Self::Graph(error) => error.hint(),
            Self::DoesNotFit { fits: Some(fits), .. } => Some(format!("it fits {fits}: `--arch {fits}`")),
            Self::DoesNotFit { problem, .. } => problem.hint(),
            Self::UnknownArch { nearest, .. } if nearest.is_empty() => {
                Some("`zoo list torchvision` names networks".to_owned())
            }
            Self::UnknownArch { nearest, .. } => Some(format!("did you mean {}?", nearest.join(", "))),
            Self::OtherSource { only, .. } => Some(name_one(only)),
            Self::Unnamed { .. } => Some("name the network with `--arch`".to_owned()),
            Self::Ambiguous { fitting } | Self::Uncertain { fitting } => Some(name_one(fitting)),
            Self::NoNetwork { nearest, source } => Some(format!(
                "for {nearest}, {source}; if it is one, `--arch {nearest}` says what does not fit"
            )),
            Self::NothingFits { .. } => {
                Some("export the model to ONNX with the code that defines it, and stage that".to_owned())
            }
            Self::Quantized { .. } | Self::NotBuilt { .. } => {
                Some("the original is in the store: `--to original`".to_owned())
            }
        }
    }
}
