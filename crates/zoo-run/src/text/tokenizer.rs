//! From texts to the numbers that a network of language takes, and back, as transformers' fast tokenizers do it.
//!
//! `tokenizer.json` says nearly everything. What transformers takes from the files beside it goes before: special tokens, further
//! tokens, whether BERT's normaliser lowers the case, what Llama puts in front. Padding and truncation are never those of
//! `tokenizer.json`, but what a task asks for.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Decoder as _, NormalizerWrapper, PaddingDirection, PostProcessor as _, PostProcessorWrapper,
    PreTokenizerWrapper, TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings,
};

use super::encoded::Encoded;
use super::family::{self, Family, Role};
use super::slow;
use crate::limits::{MAX_TEXT_BYTES, MAX_TOKENIZER_BYTES};
use crate::{Error, Result, files, guard};

/// More than this is transformers' way of saying that nothing is known.
const NO_LENGTH: f64 = 1e15;

/// A tokenizer, with the settings that lie beside it.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    place: PathBuf,
    /// Without a post-processor: cutting comes before it, and is not left to the library, which forgets what it cut off.
    inner: tokenizers::Tokenizer,
    around: Option<PostProcessorWrapper>,
    special: Special,
    max_length: Option<usize>,
    pads: Side,
    cuts: Side,
    pad_type: i64,
    cleans_up: bool,
    /// CLIP's class turns the ends of words into spaces itself.
    marks_ends: bool,
}

/// An end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// What a setting says; `otherwise` where there is none.
    fn of(setting: Option<&str>, otherwise: Self) -> Self {
        match setting {
            Some("left") => Self::Left,
            Some(_) => Self::Right,
            None => otherwise,
        }
    }
}

/// The numbers of the special tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Special {
    /// The beginning of a text.
    pub bos: Option<i64>,
    /// The end of a text.
    pub eos: Option<i64>,
    /// What is not in the vocabulary.
    pub unk: Option<i64>,
    /// What stands between two texts.
    pub sep: Option<i64>,
    /// What fills up short texts.
    pub pad: Option<i64>,
    /// What stands for a whole text.
    pub cls: Option<i64>,
    /// What stands for a word to be guessed.
    pub mask: Option<i64>,
}

/// What to do with a text that is too long. Lengths count tokens, special ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Never,
    /// Shorten the longer of the two texts, token by token.
    Longest(usize),
    /// Shorten the first text only.
    First(usize),
    /// Shorten the second text only; what is left over is dropped unless windows are asked for.
    Second(usize),
}

impl Tokenizer {
    /// Makes a tokenizer of a repository's files: `tokenizer.json`, or `vocab.txt`, or `vocab.json` and `merges.txt`, with
    /// `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json` where they are there.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if none can be made of them, with what is lacking; [`Error::Settings`] for files that are no JSON;
    /// [`Error::TooMuch`] for files beyond [`crate::limits`].
    pub fn from_folder(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            let problem = "there is no such folder".to_owned();
            return Err(Error::Tokenizer { place: folder.to_owned(), problem });
        }
        let optional = |name: &str| files::settings(&folder.join(name));
        let mut settings = optional("tokenizer_config.json")?.unwrap_or_else(|| json!({}));
        let network = optional("config.json")?;
        if let (Some(map), Some(settings)) = (optional("special_tokens_map.json")?, settings.as_object_mut())
        {
            for (key, value) in map.as_object().into_iter().flatten() {
                settings.entry(key).or_insert_with(|| value.clone());
            }
        }
        let family = Family::of(&settings, network.as_ref());
        let path = folder.join("tokenizer.json");
        let tokens = SpecialTokens::of(&settings, family);
        let (place, older, mut inner) = match files::read(&path, MAX_TOKENIZER_BYTES)? {
            Some(bytes) => {
                let inner = parse(&path, || tokenizers::Tokenizer::from_bytes(bytes))?;
                (path, false, inner)
            }
            None => {
                let json = slow::build(folder, family, &settings, |role| tokens.content(role))?;
                let place = folder.to_owned();
                let inner = parse(&place, || Ok(serde_json::from_value(json)?))?;
                (place, true, inner)
            }
        };
        let added = added(&settings, optional("added_tokens.json")?.as_ref());
        let padding = inner.get_padding().cloned();
        let prepared = guard::catch(|| {
            inner.with_padding(None);
            inner.with_truncation(None)?;
            inner.set_encode_special_tokens(
                settings.get("split_special_tokens").and_then(Value::as_bool).unwrap_or(false),
            );
            correct(&mut inner, family, &settings, &tokens)?;
            add(&mut inner, added, &tokens)?;
            let around = inner.get_post_processor().cloned();
            inner.with_post_processor(None::<PostProcessorWrapper>);
            Ok(around)
        });
        let around = flatten(&place, prepared)?;
        let text = |key: &str| settings.get(key).and_then(Value::as_str);
        let id = |role: Role| tokens.content(role).and_then(|token| inner.token_to_id(&token)).map(i64::from);
        let special = Special {
            bos: id(Role::Bos),
            eos: id(Role::Eos),
            unk: id(Role::Unk),
            sep: id(Role::Sep),
            pad: id(Role::Pad).or_else(|| inner.token_to_id(&padding.as_ref()?.pad_token).map(i64::from)),
            cls: id(Role::Cls),
            mask: id(Role::Mask),
        };
        let written = match &padding {
            Some(padding) if matches!(padding.direction, PaddingDirection::Left) => Side::Left,
            _ => Side::Right,
        };
        let max_length = settings.get("model_max_length").and_then(Value::as_f64);
        Ok(Self {
            special,
            max_length: max_length
                .filter(|length| (1.0..NO_LENGTH).contains(length))
                .map(|length| length as usize),
            pads: Side::of(text("padding_side"), written),
            cuts: Side::of(text("truncation_side"), Side::Right),
            pad_type: settings.get("pad_token_type_id").and_then(Value::as_i64).unwrap_or(0),
            // BERT's classes for older files clean up unless told otherwise; no others do.
            cleans_up: settings
                .get("clean_up_tokenization_spaces")
                .and_then(Value::as_bool)
                .unwrap_or(older && family.normalizes_as_bert()),
            marks_ends: family == Family::Clip,
            place,
            inner,
            around,
        })
    }

    /// The special tokens.
    pub fn special(&self) -> Special {
        self.special
    }

    /// The most tokens that the network was made for, where it is said.
    pub fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// Whether short texts are filled up in front.
    pub fn pads_left(&self) -> bool {
        self.pads == Side::Left
    }

    pub(super) fn pad_type(&self) -> i64 {
        self.pad_type
    }

    /// The tokens of a text, or of two that belong together, with special tokens around them.
    ///
    /// # Errors
    /// [`Error::Texts`] if it cannot be done, such as for a limit that leaves no room; [`Error::TooMuch`] for a text beyond
    /// [`MAX_TEXT_BYTES`].
    pub fn encode(&self, text: &str, pair: Option<&str>, cut: Cut) -> Result<Encoded> {
        let encoding = self.encoding(text, pair, true, cut, 0)?;
        Ok(Encoded::of(&encoding))
    }

    /// As [`Self::encode`], without special tokens.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_plain(&self, text: &str) -> Result<Encoded> {
        let encoding = self.encoding(text, None, false, Cut::Never, 0)?;
        Ok(Encoded::of(&encoding))
    }

    /// As [`Self::encode`], as often as it takes for all of the text that is cut, each time with the last `overlap` tokens of the
    /// time before.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn windows(&self, text: &str, pair: Option<&str>, cut: Cut, overlap: usize) -> Result<Vec<Encoded>> {
        let encoding = self.encoding(text, pair, true, cut, overlap)?;
        Ok(std::iter::once(&encoding).chain(encoding.get_overflowing()).map(Encoded::of).collect())
    }

    fn encoding(
        &self,
        text: &str,
        pair: Option<&str>,
        special: bool,
        cut: Cut,
        overlap: usize,
    ) -> Result<tokenizers::Encoding> {
        let refuse = |problem: String| Error::Texts { problem };
        if text.len() + pair.map_or(0, str::len) > MAX_TEXT_BYTES {
            return Err(Error::TooMuch {
                what: "a text".to_owned(),
                limit: MAX_TEXT_BYTES as u64,
                unit: "bytes",
            });
        }
        let (strategy, most) = match cut {
            Cut::Never => (TruncationStrategy::LongestFirst, None),
            Cut::Longest(most) => (TruncationStrategy::LongestFirst, Some(most)),
            Cut::First(most) => (TruncationStrategy::OnlyFirst, Some(most)),
            Cut::Second(most) => (TruncationStrategy::OnlySecond, Some(most)),
        };
        let around = self.around.as_ref().map_or(0, |around| around.added_tokens(pair.is_some()))
            * usize::from(special);
        let room = match most {
            Some(most) if most <= around + overlap => {
                return Err(refuse(format!(
                    "of {most} tokens, {around} special ones and {overlap} that overlap leave no room for the text"
                )));
            }
            Some(most) => most - around,
            None => usize::MAX,
        };
        let direction = match self.cuts {
            Side::Left => TruncationDirection::Left,
            Side::Right => TruncationDirection::Right,
        };
        let params = TruncationParams { direction, max_length: room, strategy, stride: overlap };
        let encoded = guard::catch(|| {
            let first = self.inner.encode_char_offsets(text, false)?;
            let mut second = pair.map(|pair| self.inner.encode_char_offsets(pair, false)).transpose()?;
            // Post-processors number what is kept, and forget what is cut off.
            if let Some(second) = &mut second {
                second.set_type_ids(vec![1; second.len()]);
            }
            let (first, second) = truncate_encodings(first, second, &params)?;
            match &self.around {
                Some(around) => around.process(first, second, special),
                None => ByteLevel::default().trim_offsets(false).process(first, second, special),
            }
        });
        match encoded {
            Ok(Ok(encoding)) => Ok(encoding),
            Ok(Err(error)) => Err(refuse(error.to_string())),
            Err(problem) => Err(refuse(problem)),
        }
    }

    /// The text of tokens; numbers that no token has are left out.
    ///
    /// # Errors
    /// [`Error::Texts`] if the decoder cannot do it.
    pub fn decode(&self, ids: &[i64], skip_special: bool) -> Result<String> {
        let text = self.decode_as_is(ids, skip_special)?;
        Ok(if self.cleans_up { clean_up(&text) } else { text })
    }

    /// As [`Self::decode`], before spaces are cleaned up.
    pub(crate) fn decode_as_is(&self, ids: &[i64], skip_special: bool) -> Result<String> {
        let ids: Vec<u32> = ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        let text = decoded(|| self.inner.decode(&ids, skip_special))?;
        Ok(if self.marks_ends { text.replace("</w>", " ").trim().to_owned() } else { text })
    }

    /// Whether texts are cleaned up of spaces before marks.
    #[cfg(feature = "ort")]
    pub(crate) fn cleans_up(&self) -> bool {
        self.cleans_up
    }

    /// The text of tokens that are given by name.
    pub(super) fn join(&self, tokens: Vec<String>) -> Result<String> {
        match self.inner.get_decoder() {
            Some(decoder) => decoded(|| decoder.decode(tokens)),
            None => Ok(tokens.join(" ")),
        }
    }

    /// The name of a token.
    pub fn token(&self, id: i64) -> Option<String> {
        self.inner.id_to_token(u32::try_from(id).ok()?)
    }

    /// The number of a token.
    pub fn id(&self, token: &str) -> Option<i64> {
        self.inner.token_to_id(token).map(i64::from)
    }

    /// How many tokens there are.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The file or folder that it was made of.
    pub fn place(&self) -> &Path {
        &self.place
    }
}

type Outcome<T> = Result<tokenizers::Result<T>, String>;

fn parse(
    place: &Path,
    make: impl FnOnce() -> tokenizers::Result<tokenizers::Tokenizer>,
) -> Result<tokenizers::Tokenizer> {
    flatten(place, guard::catch(make))
}

fn flatten<T>(place: &Path, outcome: Outcome<T>) -> Result<T> {
    let refuse = |problem: String| Error::Tokenizer { place: place.to_owned(), problem };
    match outcome {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(problem) => Err(refuse(problem)),
    }
}

fn decoded(decode: impl FnOnce() -> tokenizers::Result<String>) -> Result<String> {
    match guard::catch(decode) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(Error::Texts { problem: error.to_string() }),
        Err(problem) => Err(Error::Texts { problem }),
    }
}

/// The special tokens that files name, and after them the class's own.
struct SpecialTokens {
    roles: Vec<(Role, AddedToken)>,
    more: Vec<AddedToken>,
}

impl SpecialTokens {
    fn of(settings: &Value, family: Family) -> Self {
        let named = |role: Role| match settings.get(role.key()) {
            Some(Value::Null) => None,
            Some(json) => family::token(json),
            None => family.token(role),
        };
        let more = settings.get("additional_special_tokens").and_then(Value::as_array);
        Self {
            roles: Role::ALL.into_iter().filter_map(|role| Some((role, named(role)?))).collect(),
            more: more.into_iter().flatten().filter_map(family::token).collect(),
        }
    }

    fn content(&self, role: Role) -> Option<String> {
        self.roles.iter().find(|(own, _)| *own == role).map(|(_, token)| token.content.clone())
    }

    fn all(&self) -> impl Iterator<Item = &AddedToken> {
        self.roles.iter().map(|(_, token)| token).chain(&self.more)
    }
}

/// Tokens that the settings add, by number.
fn added(settings: &Value, older: Option<&Value>) -> Vec<AddedToken> {
    let by_number = |json: Option<&Value>| {
        let entries = json.and_then(Value::as_object).into_iter().flatten();
        let mut tokens: Vec<(u64, AddedToken)> =
            entries.filter_map(|(id, token)| Some((id.parse().ok()?, family::token(token)?))).collect();
        tokens.sort_by_key(|(id, _)| *id);
        tokens
    };
    let mut tokens = by_number(settings.get("added_tokens_decoder"));
    if tokens.is_empty() {
        let entries = older.and_then(Value::as_object).into_iter().flatten();
        tokens = entries
            .filter_map(|(text, id)| Some((id.as_u64()?, AddedToken::from(text.as_str(), false))))
            .collect();
        tokens.sort_by_key(|(id, _)| *id);
    }
    tokens.into_iter().map(|(_, token)| token).collect()
}

/// Adds the tokens that settings name, and the special tokens that are none yet.
fn add(
    inner: &mut tokenizers::Tokenizer,
    mut added: Vec<AddedToken>,
    special: &SpecialTokens,
) -> tokenizers::Result<()> {
    let known: Vec<AddedToken> = inner.get_added_tokens_decoder().into_values().collect();
    added.retain(|token| !known.contains(token));
    for token in special.all() {
        let is_it = |other: &AddedToken| other.content == token.content;
        if !known.iter().any(is_it) && !added.iter().any(is_it) {
            added.push(token.clone());
        }
    }
    for token in &mut added {
        token.special = token.special || special.all().any(|other| other.content == token.content);
    }
    inner.add_tokens(added)?;
    Ok(())
}

/// What the class changes in `tokenizer.json`.
fn correct(
    inner: &mut tokenizers::Tokenizer,
    family: Family,
    settings: &Value,
    tokens: &SpecialTokens,
) -> tokenizers::Result<()> {
    let flag = |key: &str| settings.get(key).and_then(Value::as_bool);
    if let (true, Some(NormalizerWrapper::BertNormalizer(own))) =
        (family.normalizes_as_bert(), inner.get_normalizer())
    {
        let chinese = if family == Family::Bert {
            flag("tokenize_chinese_chars").unwrap_or(true)
        } else {
            own.handle_chinese_chars
        };
        let (accents, lower) = (flag("strip_accents"), flag("do_lower_case").unwrap_or(true));
        let normalizer = BertNormalizer::new(own.clean_text, chinese, accents, lower);
        inner.with_normalizer(Some(normalizer))?;
    }
    if let Some(PreTokenizerWrapper::ByteLevel(own)) = inner.get_pre_tokenizer() {
        let own = (*own).add_prefix_space(flag("add_prefix_space").unwrap_or(false));
        inner.with_pre_tokenizer(Some(own));
    }
    // The class makes a template of its own from these two settings.
    if family.begins_with_bos()
        && flag("add_bos_token") != Some(false)
        && flag("add_eos_token") != Some(true)
        && let Some(bos) = tokens.content(Role::Bos)
        && let Some(id) = inner.token_to_id(&bos)
    {
        let template: PostProcessorWrapper =
            serde_json::from_value(slow::begins_with(&json!([bos, id]), true))?;
        inner.with_post_processor(Some(template));
    }
    Ok(())
}

/// Takes out the spaces that stand before marks and English contractions.
pub(crate) fn clean_up(text: &str) -> String {
    const RULES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    RULES.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_before_marks_go() {
        assert_eq!(clean_up("do n't ! it 's , a ' b . we 've ?"), "don't! it's, a'b. we've?");
    }

    #[test]
    fn hostile_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let put = |text: &[u8]| {
            std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text).unwrap();
        };
        let deep = "[".repeat(100_000);
        let last = r#"{"version":"1.0","added_tokens":[{"id":4294967295,"content":"x","single_word":false,"lstrip":false,
            "rstrip":false,"normalized":false,"special":true}],"model":{"type":"BPE","vocab":{},"merges":[]}}"#;
        let merge = r#"{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}"#;
        for bad in ["", "no JSON", "{}", "[]", &deep, merge] {
            put(bad.as_bytes());
            let error = Tokenizer::from_folder(dir.path()).unwrap_err();
            assert!(matches!(error, Error::Tokenizer { .. }), "{error}");
            assert!(error.hint().unwrap().contains("tokenizer.json"));
        }
        put(last.as_bytes());
        // Numbers at the end of what there are must not overflow, whatever becomes of them.
        if let Ok(tokenizer) = Tokenizer::from_folder(dir.path()) {
            let _ = tokenizer.encode("x", None, Cut::Never);
        }
        let error = Tokenizer::from_folder(&dir.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }

    /// A tokenizer of four words, with BERT's special tokens.
    fn small() -> (tempfile::TempDir, Tokenizer) {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            std::io::Write::write_all(
                &mut std::fs::File::create(dir.path().join(name)).unwrap(),
                text.as_bytes(),
            )
            .unwrap();
        };
        put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##d\n");
        put("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer", "model_max_length": 1e30}"#);
        let tokenizer = Tokenizer::from_folder(dir.path()).unwrap();
        (dir, tokenizer)
    }

    #[test]
    fn texts_become_numbers_and_texts_again() {
        let (_dir, tokenizer) = small();
        assert_eq!(tokenizer.max_length(), None);
        let encoded = tokenizer.encode("A bd é", Some("c"), Cut::Never).unwrap();
        assert_eq!(encoded.ids, [2, 5, 6, 8, 1, 3, 7, 3]);
        assert_eq!(encoded.types, [0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(encoded.offsets[1..5], [(0, 1), (2, 3), (3, 4), (5, 6)]);
        assert_eq!(encoded.word(3), Some((2, 4)));
        assert_eq!(encoded.word(0), None);
        assert_eq!(tokenizer.decode(&encoded.ids, true).unwrap(), "a bd c");
        assert_eq!((tokenizer.id("b"), tokenizer.token(8).as_deref()), (Some(6), Some("##d")));
        assert_eq!(tokenizer.decode(&[-1, 99, 5], true).unwrap(), "a");
    }

    #[test]
    fn long_texts_are_cut_where_asked() {
        let (_dir, tokenizer) = small();
        let encoded = tokenizer.encode("a b c", None, Cut::Longest(4)).unwrap();
        assert_eq!((encoded.ids, encoded.cut), (vec![2, 5, 6, 3], true));
        let windows = tokenizer.windows("a", Some("a b c"), Cut::Second(6), 1).unwrap();
        let ids: Vec<_> = windows.iter().map(|window| window.ids.clone()).collect();
        assert_eq!(ids, [[2, 5, 3, 5, 6, 3], [2, 5, 3, 6, 7, 3]]);
        for cut in [Cut::Longest(2), Cut::First(0), Cut::Second(1)] {
            let error = tokenizer.encode("a b c", None, cut).unwrap_err();
            assert!(error.to_string().contains("leave no room"), "{error}");
        }
        let error = tokenizer.encode("a b c", Some("a"), Cut::Second(5)).unwrap_err();
        assert!(matches!(error, Error::Texts { .. }), "{error}");
        assert!(tokenizer.encode(&"a ".repeat(MAX_TEXT_BYTES), None, Cut::Never).is_err());
    }
}
