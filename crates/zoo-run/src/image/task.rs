//! What a model of pictures is for, and so what its output is.

use std::fmt;
use std::str::FromStr;

/// What a model of pictures is for. A manifest says it in `model.task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// The name, which is also Hugging Face's.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageClassification => "image-classification",
            Self::SemanticSegmentation => "semantic-segmentation",
            Self::VideoClassification => "video-classification",
        }
    }

    /// torchvision's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::ImageClassification => "classification",
            Self::SemanticSegmentation => "segmentation",
            Self::VideoClassification => "video",
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

    /// Reads a name, or torchvision's word for it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_it = |task: &Self| text == task.name() || text == task.word();
        Self::ALL.into_iter().find(is_it).ok_or_else(|| {
            let names = Self::ALL.map(|task| format!("`{task}`")).join(", ");
            format!("there is no task `{text}`; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_torchvisions_words_are_understood() {
        for (text, task) in [
            ("image-classification", Task::ImageClassification),
            ("classification", Task::ImageClassification),
            ("semantic-segmentation", Task::SemanticSegmentation),
            ("segmentation", Task::SemanticSegmentation),
            ("video-classification", Task::VideoClassification),
            ("video", Task::VideoClassification),
        ] {
            assert_eq!(text.parse(), Ok(task));
        }
        assert_eq!(
            "object-detection".parse::<Task>().unwrap_err(),
            "there is no task `object-detection`; there are `image-classification`, `semantic-segmentation`, \
             `video-classification`"
        );
    }
}
