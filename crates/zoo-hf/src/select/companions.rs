//! The small files that go with a model: configuration, tokenizer, preprocessing, card and licence.

use std::collections::BTreeSet;

use zoo_core::path::EntryPath;

use crate::listing::Files;

/// Names that are taken as they are, beside the weights.
const NAMES: [&str; 42] = [
    "config.json",
    "generation_config.json",
    // Tokenizers: the fast one alone suffices where there is one, the others are what it was made from.
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "vocab.bpe",
    "bpe.codes",
    "dict.txt",
    "normalizer.json",
    "alphabet.json",
    "spiece.model",
    "spm.model",
    "spm_char.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "source.spm",
    "target.spm",
    "target_vocab.json",
    "vocab-src.json",
    "vocab-tgt.json",
    "tekken.json",
    "entity_vocab.json",
    "emoji.json",
    "byte_fallback.json",
    "chat_template.json",
    "chat_template.jinja",
    // Pictures and sounds.
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    // sentence-transformers, timm, OpenCLIP.
    "modules.json",
    "config_sentence_transformers.json",
    "open_clip_config.json",
    "label_descriptions.json",
    // What people read.
    "README.md",
    "USE_POLICY.md",
    "model_card.md",
    "MODEL_CARD.md",
];

/// Beginnings of names of licences, in any case.
const LEGAL: [&str; 4] = ["license", "licence", "notice", "copying"];

/// The companions of a model whose configuration is in `root`.
pub(super) fn of(files: &Files, root: &str) -> BTreeSet<EntryPath> {
    files.paths().filter(|path| is_companion(path.as_str(), root)).cloned().collect()
}

fn is_companion(path: &str, root: &str) -> bool {
    let in_root = path.strip_prefix(root).filter(|rest| !rest.is_empty());
    if let Some(rest) = in_root.and_then(|rest| rest.strip_prefix("additional_chat_templates/")) {
        return has_ending(rest, ".jinja") && !rest.contains('/');
    }
    // What is above the root (the card, the list of modules) goes with it, too.
    let Some(name) = in_root.or(Some(path)).filter(|name| !name.contains('/')) else { return false };
    let lower = name.to_ascii_lowercase();
    NAMES.contains(&name)
        || LEGAL.iter().any(|start| lower.starts_with(start))
        || has_ending(name, ".tiktoken")
        || (name.starts_with("sentence_") && name.ends_with("_config.json"))
        // Tokenizers of several versions of the library: `tokenizer.4.0.json`.
        || (name.starts_with("tokenizer.") && has_ending(name, ".json"))
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.len() > ending.len() && name.ends_with(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_taken_by_name_and_by_place() {
        for (path, root, taken) in [
            ("config.json", "", true),
            ("LICENSE", "", true),
            ("License.txt", "", true),
            ("tokenizer.4.0.json", "", true),
            ("qwen.tiktoken", "", true),
            ("sentence_bert_config.json", "", true),
            ("additional_chat_templates/rag.jinja", "", true),
            ("additional_chat_templates/x/rag.jinja", "", false),
            ("onnx/config.json", "", false),
            ("training_args.bin", "", false),
            ("optimizer.pt", "", false),
            ("eval_results.json", "", false),
            ("rust_model.ot", "", false),
            ("0_Transformer/vocab.txt", "0_Transformer/", true),
            ("1_Pooling/vocab.txt", "0_Transformer/", false),
            ("README.md", "0_Transformer/", true),
            ("0_Transformer/", "0_Transformer/", false),
        ] {
            assert_eq!(is_companion(path, root), taken, "{path} in {root}");
        }
    }
}
