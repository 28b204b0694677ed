//! Tokenizers from the files of repositories that are older than `tokenizer.json`.
//!
//! Only those are made whose every rule is known: BERT's WordPiece from `vocab.txt`, and byte-level BPE from `vocab.json` and
//! `merges.txt` as GPT-2, RoBERTa and CLIP have it. The result is what `tokenizer.json` would hold.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::family::{Family, Role};
use crate::limits::MAX_TOKENIZER_BYTES;
use crate::{Error, Result, files};

/// Files that hold SentencePiece models.
const SENTENCE_PIECE: [&str; 5] =
    ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "source.spm", "sentencepiece.model"];

/// What `tokenizer.json` would hold; `name` gives the token of a role.
pub(super) fn build(
    folder: &Path,
    family: Family,
    settings: &Value,
    name: impl Fn(Role) -> Option<String>,
) -> Result<Value> {
    let refuse = |problem: String| Error::Tokenizer { place: folder.to_owned(), problem };
    let special = |vocabulary: &Map<String, Value>, role: Role| {
        let token = name(role).ok_or_else(|| refuse(format!("no {} is known", role.key())))?;
        let id = vocabulary.get(&token).cloned();
        let id = id.ok_or_else(|| refuse(format!("the vocabulary has no {} `{token}`", role.key())))?;
        Ok::<_, Error>(json!([token, id]))
    };
    let flag = |key: &str, otherwise: bool| settings.get(key).and_then(Value::as_bool).unwrap_or(otherwise);
    match family {
        Family::Bert | Family::Mpnet => {
            let path = folder.join("vocab.txt");
            let Some(text) = files::read(&path, MAX_TOKENIZER_BYTES)? else {
                return Err(refuse("neither tokenizer.json nor vocab.txt is there".to_owned()));
            };
            if !flag("do_basic_tokenize", true) {
                return Err(refuse(
                    "do_basic_tokenize is false, and what that means without tokenizer.json is not known"
                        .to_owned(),
                ));
            }
            let vocabulary = lines(&text).map_err(refuse)?;
            let (cls, sep) = (special(&vocabulary, Role::Cls)?, special(&vocabulary, Role::Sep)?);
            let unk = special(&vocabulary, Role::Unk)?[0].clone();
            let around = if family == Family::Bert {
                json!({"type": "BertProcessing", "sep": sep, "cls": cls})
            } else {
                json!({"type": "RobertaProcessing", "sep": sep, "cls": cls, "trim_offsets": false, "add_prefix_space": false})
            };
            let normalizer = json!({
                "type": "BertNormalizer",
                "clean_text": true,
                "handle_chinese_chars": flag("tokenize_chinese_chars", true),
                "strip_accents": settings.get("strip_accents").and_then(Value::as_bool),
                "lowercase": flag("do_lower_case", true),
            });
            let model = json!({
                "type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            });
            let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
            let parts =
                Parts { normalizer, pre_tokenizer: json!({"type": "BertPreTokenizer"}), around, decoder };
            Ok(parts.with(model, vocabulary))
        }
        Family::Gpt2 | Family::Roberta | Family::Clip => {
            let missing = |file: &str| refuse(format!("neither tokenizer.json nor {file} is there"));
            let vocabulary = files::read(&folder.join("vocab.json"), MAX_TOKENIZER_BYTES)?
                .ok_or_else(|| missing("vocab.json"))?;
            let merges = files::read(&folder.join("merges.txt"), MAX_TOKENIZER_BYTES)?
                .ok_or_else(|| missing("merges.txt"))?;
            let vocabulary: Map<String, Value> = serde_json::from_slice(&vocabulary)
                .map_err(|error| refuse(format!("vocab.json cannot be read: {error}")))?;
            let mut model = json!({
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                "fuse_unk": false, "byte_fallback": false, "merges": self::merges(&merges).map_err(refuse)?,
            });
            let space = flag("add_prefix_space", false);
            let bytes = |space: bool| json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true});
            let decoder = bytes(true);
            let parts = match family {
                Family::Gpt2 => {
                    let around = if flag("add_bos_token", false) {
                        begins_with(&special(&vocabulary, Role::Bos)?, false)
                    } else {
                        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true})
                    };
                    Parts { normalizer: Value::Null, pre_tokenizer: bytes(space), around, decoder }
                }
                Family::Roberta => {
                    let (cls, sep) = (special(&vocabulary, Role::Cls)?, special(&vocabulary, Role::Sep)?);
                    let around = json!({
                        "type": "RobertaProcessing", "sep": sep, "cls": cls, "trim_offsets": true, "add_prefix_space": space,
                    });
                    Parts { normalizer: Value::Null, pre_tokenizer: bytes(space), around, decoder }
                }
                _ => {
                    model["end_of_word_suffix"] = json!("</w>");
                    model["unk_token"] = special(&vocabulary, Role::Unk)?[0].clone();
                    let (bos, eos) = (special(&vocabulary, Role::Bos)?, special(&vocabulary, Role::Eos)?);
                    clip(&bos, &eos, &bytes(false), decoder)
                }
            };
            Ok(parts.with(model, vocabulary))
        }
        _ => Err(refuse(lacking(folder))),
    }
}

/// Everything of a tokenizer but its model.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    around: Value,
    decoder: Value,
}

impl Parts {
    fn with(self, mut model: Value, vocabulary: Map<String, Value>) -> Value {
        model["vocab"] = Value::Object(vocabulary);
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": self.normalizer, "pre_tokenizer": self.pre_tokenizer, "post_processor": self.around,
            "decoder": self.decoder, "model": model,
        })
    }
}

/// CLIP's way: words in lower case, without the spaces between them, each with a mark at its end.
fn clip(bos: &Value, eos: &Value, bytes: &Value, decoder: Value) -> Parts {
    const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    Parts {
        normalizer: json!({"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"},
        ]}),
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true}, bytes,
        ]}),
        around: json!({
            "type": "RobertaProcessing", "sep": eos, "cls": bos, "trim_offsets": false, "add_prefix_space": false,
        }),
        decoder,
    }
}

/// A template that puts a token in front: of the first text, or of each.
pub(super) fn begins_with(token: &Value, each: bool) -> Value {
    let (text, id) = (&token[0], &token[1]);
    let special = |sequence: u8| json!({"SpecialToken": {"id": text, "type_id": sequence}});
    let text_of = |name: &str, sequence: u8| json!({"Sequence": {"id": name, "type_id": sequence}});
    let name = text.as_str().unwrap_or_default();
    let second = each.then(|| special(1));
    let pair: Vec<Value> =
        [special(0), text_of("A", 0)].into_iter().chain(second).chain([text_of("B", 1)]).collect();
    json!({
        "type": "TemplateProcessing",
        "single": [special(0), text_of("A", 0)],
        "pair": pair,
        "special_tokens": {name: {"id": text, "ids": [id], "tokens": [text]}},
    })
}

/// A token per line; its number is the line's.
fn lines(text: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "vocab.txt is not text in UTF-8".to_owned())?;
    let lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
    Ok(lines.enumerate().map(|(id, line)| (line.trim_end_matches('\r').to_owned(), json!(id))).collect())
}

/// Pairs of pieces, one per line, the first to be merged first.
fn merges(text: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "merges.txt is not text in UTF-8".to_owned())?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let pair = |line: &str| match line.split_once(' ') {
        Some((left, right)) if !right.contains(' ') => Ok(json!([left, right])),
        _ => Err(format!("merges.txt has the line `{}`", line.escape_debug())),
    };
    lines.map(pair).collect()
}

/// What is lacking where nothing can be made.
fn lacking(folder: &Path) -> String {
    match SENTENCE_PIECE.into_iter().find(|name| folder.join(name).is_file()) {
        Some(name) => {
            format!("there is no tokenizer.json, and {name} is a SentencePiece model, which is not read")
        }
        None => "there is no tokenizer.json, and which of the older kinds it would be is not said".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str, text: &str) {
        std::io::Write::write_all(&mut std::fs::File::create(folder.join(name)).unwrap(), text.as_bytes())
            .unwrap();
    }

    fn message(folder: &Path, family: Family) -> String {
        let name = |role: Role| family.token(role).map(|token| token.content);
        build(folder, family, &json!({}), name).unwrap_err().to_string()
    }

    #[test]
    fn what_is_lacking_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        assert!(message(folder, Family::Bert).contains("neither tokenizer.json nor vocab.txt"));
        assert!(message(folder, Family::Gpt2).contains("nor vocab.json"));
        assert!(message(folder, Family::T5).contains("is not said"));
        put(folder, "spiece.model", "");
        assert!(message(folder, Family::T5).contains("spiece.model is a SentencePiece model"));
        put(folder, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n");
        assert!(message(folder, Family::Bert).contains("has no sep_token `[SEP]`"));
        put(folder, "vocab.json", "{\"a\": 0");
        put(folder, "merges.txt", "a b\n");
        assert!(message(folder, Family::Roberta).contains("vocab.json cannot be read"));
        put(folder, "vocab.json", "{\"a\": 0}");
        put(folder, "merges.txt", "#version: 0.2\na b c\n");
        assert!(message(folder, Family::Gpt2).contains("the line `a b c`"));
    }

    #[test]
    fn lines_are_numbered_and_the_last_of_equal_ones_counts() {
        let vocabulary = lines("a\r\nb\n\na\n".as_bytes()).unwrap();
        assert_eq!(Value::Object(vocabulary), json!({"a": 3, "b": 1, "": 2}));
        assert!(lines(b"\xff").is_err());
    }
}
