//! Why a model of the transformers library was not built.

use crate::config::ConfigError;

/// The module's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Weights and operators do not go together.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),
    /// The configuration cannot be used, or asks for what is not built.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Error {
    /// An error that says what the configuration asks for and zoo does not build.
    pub(crate) fn unsupported<T>(what: impl Into<String>) -> Result<T> {
        Err(ConfigError::Unsupported { what: what.into() }.into())
    }
}

impl From<zoo_tensor::Error> for Error {
    fn from(error: zoo_tensor::Error) -> Self {
        Self::Graph(error.into())
    }
}
