//! What models are for, in the words of the Hugging Face hub and of optimum.

use std::fmt;
use std::str::FromStr;

/// What a model is for. It decides what goes in, what comes out, and what both are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Vectors for tokens, patches or frames: `last_hidden_state`.
    FeatureExtraction,
    /// The word behind a mask: `logits` `[batch, sequence, vocabulary]`.
    FillMask,
    /// A label for a text or a pair of texts: `logits` `[batch, labels]`.
    TextClassification,
    /// A label for each token: `logits` `[batch, sequence, labels]`.
    TokenClassification,
    /// Where an answer begins and ends: `start_logits` and `end_logits` `[batch, sequence]`.
    QuestionAnswering,
    /// Which of several texts fits: `logits` `[batch, choices]`.
    MultipleChoice,
    /// Whether one text follows on another: `logits` `[batch, 2]`.
    NextSentencePrediction,
    /// All heads that pretraining had.
    PreTraining,
    /// The next token: `logits` `[batch, sequence, vocabulary]`.
    TextGeneration,
    /// A text from a text, by an encoder and a decoder.
    Text2TextGeneration,
    /// One label for an image: `logits` `[batch, classes]`.
    ImageClassification,
    /// One label for each pixel: `logits` (torchvision: `out`) `[batch, classes, height, width]`.
    SemanticSegmentation,
    /// Masks of things and of what is around them: `logits`, `pred_boxes`, `pred_masks`.
    ImageSegmentation,
    /// Boxes with labels: `logits` and `pred_boxes`.
    ObjectDetection,
    /// What is behind masked patches.
    MaskedImageModeling,
    /// How well images and texts fit: `logits_per_image`, `logits_per_text`, `text_embeds`, `image_embeds`.
    ZeroShotImageClassification,
    /// One label for a clip: `logits` `[batch, classes]`.
    VideoClassification,
    /// A text from speech: by frames (`logits`), or by an encoder and a decoder.
    AutomaticSpeechRecognition,
    /// One label for a recording: `logits` `[batch, labels]`.
    AudioClassification,
    /// A label for each frame: `logits` `[batch, frames, labels]`.
    AudioFrameClassification,
    /// A voice as a vector: `logits` and `embeddings`.
    AudioXVector,
}

impl Task {
    /// Every task.
    pub const ALL: &[Self] = &[
        Self::FeatureExtraction,
        Self::FillMask,
        Self::TextClassification,
        Self::TokenClassification,
        Self::QuestionAnswering,
        Self::MultipleChoice,
        Self::NextSentencePrediction,
        Self::PreTraining,
        Self::TextGeneration,
        Self::Text2TextGeneration,
        Self::ImageClassification,
        Self::SemanticSegmentation,
        Self::ImageSegmentation,
        Self::ObjectDetection,
        Self::MaskedImageModeling,
        Self::ZeroShotImageClassification,
        Self::VideoClassification,
        Self::AutomaticSpeechRecognition,
        Self::AudioClassification,
        Self::AudioFrameClassification,
        Self::AudioXVector,
    ];

    /// The word in options and manifests: optimum's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FeatureExtraction => "feature-extraction",
            Self::FillMask => "fill-mask",
            Self::TextClassification => "text-classification",
            Self::TokenClassification => "token-classification",
            Self::QuestionAnswering => "question-answering",
            Self::MultipleChoice => "multiple-choice",
            Self::NextSentencePrediction => "next-sentence-prediction",
            Self::PreTraining => "pretraining",
            Self::TextGeneration => "text-generation",
            Self::Text2TextGeneration => "text2text-generation",
            Self::ImageClassification => "image-classification",
            Self::SemanticSegmentation => "semantic-segmentation",
            Self::ImageSegmentation => "image-segmentation",
            Self::ObjectDetection => "object-detection",
            Self::MaskedImageModeling => "masked-im",
            Self::ZeroShotImageClassification => "zero-shot-image-classification",
            Self::VideoClassification => "video-classification",
            Self::AutomaticSpeechRecognition => "automatic-speech-recognition",
            Self::AudioClassification => "audio-classification",
            Self::AudioFrameClassification => "audio-frame-classification",
            Self::AudioXVector => "audio-xvector",
        }
    }

    /// The task that an `AutoModel…` class (of PyTorch, `TF…` or `Flax…`) is for.
    pub fn of_auto_class(class: &str) -> Option<Self> {
        let class = class.strip_prefix("TF").or_else(|| class.strip_prefix("Flax")).unwrap_or(class);
        Some(match class.strip_prefix("AutoModel")? {
            "" => Self::FeatureExtraction,
            "ForMaskedLM" => Self::FillMask,
            "ForSequenceClassification" => Self::TextClassification,
            "ForTokenClassification" => Self::TokenClassification,
            "ForQuestionAnswering" => Self::QuestionAnswering,
            "ForMultipleChoice" => Self::MultipleChoice,
            "ForNextSentencePrediction" => Self::NextSentencePrediction,
            "ForPreTraining" => Self::PreTraining,
            "ForCausalLM" | "WithLMHead" => Self::TextGeneration,
            "ForSeq2SeqLM" => Self::Text2TextGeneration,
            "ForImageClassification" => Self::ImageClassification,
            "ForSemanticSegmentation" => Self::SemanticSegmentation,
            "ForImageSegmentation" => Self::ImageSegmentation,
            "ForObjectDetection" => Self::ObjectDetection,
            "ForMaskedImageModeling" => Self::MaskedImageModeling,
            "ForZeroShotImageClassification" => Self::ZeroShotImageClassification,
            "ForVideoClassification" => Self::VideoClassification,
            "ForCTC" | "ForSpeechSeq2Seq" => Self::AutomaticSpeechRecognition,
            "ForAudioClassification" => Self::AudioClassification,
            "ForAudioFrameClassification" => Self::AudioFrameClassification,
            "ForAudioXVector" => Self::AudioXVector,
            _ => return None,
        })
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a task; there are {all}", all = all_names())]
pub struct NoTask(String);

fn all_names() -> String {
    Task::ALL.iter().map(|task| task.name()).collect::<Vec<_>>().join(", ")
}

/// The names, with the hub's and optimum's other words for them. `-with-past` is dropped: whether a decoder has a cache is an option
/// of its own.
impl FromStr for Task {
    type Err = NoTask;

    fn from_str(text: &str) -> Result<Self, NoTask> {
        let name = match text.strip_suffix("-with-past").unwrap_or(text) {
            "default" | "sentence-similarity" | "image-feature-extraction" | "mask-generation" => {
                "feature-extraction"
            }
            "masked-lm" => "fill-mask",
            "causal-lm" | "conversational" => "text-generation",
            "seq2seq-lm" | "summarization" | "translation" => "text2text-generation",
            "sequence-classification" | "zero-shot-classification" | "text-ranking" => "text-classification",
            "speech2seq-lm" | "audio-ctc" => "automatic-speech-recognition",
            name => name,
        };
        Self::ALL.iter().copied().find(|task| task.name() == name).ok_or_else(|| NoTask(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_synonyms() {
        for &task in Task::ALL {
            assert_eq!(task.name().parse(), Ok(task));
        }
        assert_eq!("text-generation-with-past".parse(), Ok(Task::TextGeneration));
        assert_eq!("sentence-similarity".parse(), Ok(Task::FeatureExtraction));
        let error = "text-classificatoin".parse::<Task>().unwrap_err().to_string();
        assert!(error.contains("text-classification, token-classification"), "{error}");
    }

    #[test]
    fn auto_classes_of_three_frameworks() {
        assert_eq!(Task::of_auto_class("AutoModel"), Some(Task::FeatureExtraction));
        assert_eq!(Task::of_auto_class("TFAutoModelForMaskedLM"), Some(Task::FillMask));
        assert_eq!(Task::of_auto_class("FlaxAutoModelForSeq2SeqLM"), Some(Task::Text2TextGeneration));
        assert_eq!(Task::of_auto_class("BertModel"), None);
        assert_eq!(Task::of_auto_class("AutoModelForTimeSeriesPrediction"), None);
    }
}
