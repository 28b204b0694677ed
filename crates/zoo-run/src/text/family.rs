//! Which of transformers' tokenizers a repository means, and what that class adds to what is written in its files.
//!
//! A repository names the class in `tokenizer_config.json`; older ones leave it to `model_type` in `config.json`. What the class
//! decides and the files need not say: the special tokens, and a few corrections to `tokenizer.json`.

use serde_json::Value;
use tokenizers::AddedToken;

/// Kinds of tokenizers, as far as they differ in what their files leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// WordPiece with `[CLS]` and `[SEP]`.
    Bert,
    /// WordPiece with RoBERTa's special tokens.
    Mpnet,
    /// Byte-level BPE with `<s>` and `</s>`.
    Roberta,
    /// Byte-level BPE with nothing around it.
    Gpt2,
    /// BPE of words' ends, with `<|startoftext|>`.
    Clip,
    /// SentencePiece with `<s>` in front.
    Llama,
    /// SentencePiece with `<bos>` in front.
    Gemma,
    /// SentencePiece with `</s>` behind.
    T5,
    /// SentencePiece with RoBERTa's special tokens.
    XlmRoberta,
    /// SentencePiece with BERT's special tokens, `<unk>` and `<pad>`.
    Albert,
    /// SentencePiece or BPE with BERT's special tokens.
    Deberta,
    /// Byte-level BPE with `<|endoftext|>` for everything.
    Whisper,
    /// Whatever the files say.
    Other,
}

impl Family {
    /// What the settings of the tokenizer and of the network say.
    pub(super) fn of(tokenizer: &Value, network: Option<&Value>) -> Self {
        let text = |json: Option<&Value>, key: &str| Some(json?.get(key)?.as_str()?.to_owned());
        let class = text(Some(tokenizer), "tokenizer_class").or_else(|| text(network, "tokenizer_class"));
        if let Some(class) = class {
            return Self::of_class(class.strip_suffix("Fast").unwrap_or(&class));
        }
        text(network, "model_type").map_or(Self::Other, |model| Self::of_model(&model))
    }

    fn of_class(class: &str) -> Self {
        match class {
            "BertTokenizer"
            | "ConvBertTokenizer"
            | "DistilBertTokenizer"
            | "ElectraTokenizer"
            | "LayoutLMTokenizer"
            | "LayoutLMv2Tokenizer"
            | "MobileBertTokenizer"
            | "RetriBertTokenizer"
            | "SqueezeBertTokenizer" => Self::Bert,
            "MPNetTokenizer" => Self::Mpnet,
            "BartTokenizer" | "LEDTokenizer" | "LongformerTokenizer" | "RobertaTokenizer" => Self::Roberta,
            "GPT2Tokenizer" => Self::Gpt2,
            "CLIPTokenizer" => Self::Clip,
            "LlamaTokenizer" => Self::Llama,
            "GemmaTokenizer" => Self::Gemma,
            "MT5Tokenizer" | "T5Tokenizer" => Self::T5,
            "CamembertTokenizer" | "XLMRobertaTokenizer" => Self::XlmRoberta,
            "AlbertTokenizer" => Self::Albert,
            "DebertaTokenizer" | "DebertaV2Tokenizer" => Self::Deberta,
            "WhisperTokenizer" => Self::Whisper,
            _ => Self::Other,
        }
    }

    /// The class that a network's kind has where none is named.
    fn of_model(model: &str) -> Self {
        match model {
            "bert" | "convbert" | "distilbert" | "electra" | "layoutlm" | "layoutlmv2" | "mobilebert"
            | "nystromformer" | "squeezebert" | "visual_bert" => Self::Bert,
            "mpnet" => Self::Mpnet,
            "bart" | "data2vec-text" | "ibert" | "led" | "longformer" | "roberta" => Self::Roberta,
            "gpt2" | "gpt_neo" | "gptj" | "opt" => Self::Gpt2,
            "clip" => Self::Clip,
            "llama" | "mistral" | "mixtral" => Self::Llama,
            "gemma" | "gemma2" | "gemma3" | "gemma3_text" => Self::Gemma,
            "longt5" | "mt5" | "t5" | "umt5" => Self::T5,
            "camembert" | "xlm-roberta" | "xlm-roberta-xl" => Self::XlmRoberta,
            "albert" => Self::Albert,
            "deberta" | "deberta-v2" => Self::Deberta,
            "whisper" => Self::Whisper,
            _ => Self::Other,
        }
    }

    /// Whether the class sets its normaliser by `do_lower_case` and the like, whatever `tokenizer.json` says.
    pub(super) fn normalizes_as_bert(self) -> bool {
        matches!(self, Self::Bert | Self::Mpnet)
    }

    /// Whether the class puts a beginning in front, whatever `tokenizer.json` says.
    pub(super) fn begins_with_bos(self) -> bool {
        matches!(self, Self::Llama | Self::Gemma)
    }

    /// The special token of a role that the class has where no file names one.
    pub(super) fn token(self, role: Role) -> Option<AddedToken> {
        use Role::{Bos, Cls, Eos, Mask, Pad, Sep, Unk};
        let plain = |text: &str| Some(AddedToken::from(text, true));
        match (self, role) {
            (Self::Bert | Self::Deberta, Unk) => plain("[UNK]"),
            (Self::Bert | Self::Deberta, Pad) => plain("[PAD]"),
            (Self::Bert | Self::Deberta | Self::Albert, Sep) => plain("[SEP]"),
            (Self::Bert | Self::Deberta | Self::Albert, Cls) => plain("[CLS]"),
            (Self::Bert | Self::Deberta, Mask) => plain("[MASK]"),
            (Self::Albert, Mask) => AddedToken::from("[MASK]", true).lstrip(true).into(),
            (Self::Roberta | Self::Mpnet | Self::XlmRoberta, role) => match role {
                Bos | Cls => plain("<s>"),
                Eos | Sep => plain("</s>"),
                Unk if self == Self::Mpnet => plain("[UNK]"),
                Unk => plain("<unk>"),
                Pad => plain("<pad>"),
                Mask => AddedToken::from("<mask>", true).lstrip(true).into(),
            },
            (Self::Clip, Bos) => plain("<|startoftext|>"),
            (Self::Gpt2 | Self::Whisper, Bos | Eos | Unk) | (Self::Clip, Eos | Unk | Pad) => {
                plain("<|endoftext|>")
            }
            (Self::Llama, Bos) => plain("<s>"),
            (Self::Llama | Self::T5, Eos) => plain("</s>"),
            (Self::Albert | Self::Gemma | Self::Llama | Self::T5, Unk) => plain("<unk>"),
            (Self::Gemma, Bos) => plain("<bos>"),
            (Self::Gemma, Eos) => plain("<eos>"),
            (Self::Albert | Self::Gemma | Self::T5, Pad) => plain("<pad>"),
            _ => None,
        }
    }
}

/// What a special token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Bos,
    Eos,
    Unk,
    Sep,
    Pad,
    Cls,
    Mask,
}

impl Role {
    /// All, in transformers' order, which is the order in which missing ones are numbered.
    pub(super) const ALL: [Self; 7] =
        [Self::Bos, Self::Eos, Self::Unk, Self::Sep, Self::Pad, Self::Cls, Self::Mask];

    /// The setting's name.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Bos => "bos_token",
            Self::Eos => "eos_token",
            Self::Unk => "unk_token",
            Self::Sep => "sep_token",
            Self::Pad => "pad_token",
            Self::Cls => "cls_token",
            Self::Mask => "mask_token",
        }
    }
}

/// A token as settings write it: a text, or an object with its flags.
pub(super) fn token(json: &Value) -> Option<AddedToken> {
    if let Some(text) = json.as_str() {
        return Some(AddedToken::from(text, true));
    }
    let flag = |name: &str, otherwise: bool| json.get(name).and_then(Value::as_bool).unwrap_or(otherwise);
    let special = flag("special", true);
    Some(AddedToken {
        content: json.get("content")?.as_str()?.to_owned(),
        single_word: flag("single_word", false),
        lstrip: flag("lstrip", false),
        rstrip: flag("rstrip", false),
        normalized: flag("normalized", !special),
        special,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_goes_before_the_network() {
        let of = |tokenizer, network| Family::of(&tokenizer, Some(&network));
        let bert = json!({"model_type": "bert"});
        assert_eq!(of(json!({"tokenizer_class": "RobertaTokenizerFast"}), bert.clone()), Family::Roberta);
        assert_eq!(of(json!({"tokenizer_class": "PreTrainedTokenizerFast"}), bert.clone()), Family::Other);
        assert_eq!(of(json!({}), bert), Family::Bert);
        assert_eq!(
            of(json!({"tokenizer_class": null}), json!({"tokenizer_class": "T5Tokenizer"})),
            Family::T5
        );
        assert_eq!(Family::of(&json!({}), None), Family::Other);
    }

    #[test]
    fn tokens_are_texts_or_objects() {
        let mask =
            token(&json!({"__type": "AddedToken", "content": "<mask>", "lstrip": true, "normalized": true}))
                .unwrap();
        assert!(mask.lstrip && mask.normalized && !mask.rstrip);
        assert!(!token(&json!("[SEP]")).unwrap().normalized);
        assert_eq!((token(&json!(7)), token(&json!({"content": 7}))), (None, None));
    }
}
