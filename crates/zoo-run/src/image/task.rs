//! What a model of pictures is for, and so what its output is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a model of pictures is for. A manifest says it in `model.task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Task {
    /// Which class a picture is of.
    ImageClassification,
    /// Which class each pixel is of.
    SemanticSegmentation,
    /// Which class a video is of.
    VideoClassification,
}

impl Task {
    /// All there are.
    pub const ALL: [Self; 3] =
        [Self::ImageClassification, Self::SemanticSegmentation, Self::VideoClassification];

    /// The name that is written in manifests and typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageClassification => "image-classification",
            Self::SemanticSegmentation => "semantic-segmentation",
            Self::VideoClassification => "video-classification",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|task| task.name() == text)
            .ok_or_else(|| format!("there is no task `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_the_same_in_manifests_and_commands() {
        for task in Task::ALL {
            assert_eq!(json!(task), json!(task.name()));
            assert_eq!(task.to_string().parse(), Ok(task));
        }
        assert_eq!("object-detection".parse::<Task>(), Err("there is no task `object-detection`".into()));
    }
}
