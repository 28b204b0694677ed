//! How a model is to be staged: the options that all ecosystems share. One that an ecosystem cannot honour is refused there by
//! name ([`StageOptions::given`]), never ignored.
//!
//! Options also decide what a staged file is called and what the manifest notes of it, so that the forms of one model lie side
//! by side, and asking again for the same one finds it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::Target;

/// The side of a picture, in pixels, that no network and no memory is made for.
const MAX_SIDE: u32 = 1 << 16;

/// How to stage. [`StageOptions::to`] gives the defaults, which suit nearly everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageOptions {
    /// What to make.
    pub target: Target,
    /// The network that a checkpoint belongs to, by its builder's name; `None` lets the checkpoint tell.
    pub arch: Option<String>,
    /// The version of the standard operator set; `None` is the writer's default.
    pub opset: Option<i64>,
    /// Where the weights are.
    pub weights: WeightPolicy,
    /// The type of all floating-point weights and of what is computed with them; `None` leaves each as it is.
    pub dtype: Option<FloatType>,
    /// Batch norms are folded into the convolutions before them.
    pub fold: bool,
    /// The size of pictures that the graph takes; `None` is the model's own.
    pub image_size: Option<ImageSize>,
    /// Which dictionary of a training checkpoint holds the weights (`model_ema`); `None` takes the usual one.
    pub dictionary: Option<String>,
    /// The class whose head is wanted: `AutoModelForSequenceClassification`, `BertForMaskedLM`; `None` takes the one that the
    /// checkpoint was saved from.
    pub class: Option<String>,
    /// What the model is wanted for: `text-classification`; `None` takes what the checkpoint was trained for.
    pub task: Option<String>,
    /// The framework whose weights are taken where a repository has those of several: `pt`, `tf` or `flax`.
    pub framework: Option<String>,
    /// Decoders do without the keys and values of what they have seen.
    pub no_cache: bool,
    /// Operators of ONNX Runtime alone are used where they are faster.
    pub contrib: bool,
}

/// Where the weights of a staged model are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum WeightPolicy {
    /// In the original, to which the graph refers. Nothing is copied.
    #[default]
    InPlace,
    /// In a file of their own, as few and as aligned as a runtime likes to map them.
    Packed,
}

/// A floating-point type that weights can be converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single-precision number.
    Bf16,
    /// IEEE 754 single precision.
    F32,
}

/// The size of pictures, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageSize {
    /// Exactly this one.
    Fixed {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
    /// Whatever comes: height and width stay free in the graph.
    Any,
}

/// A text that is no value of an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NotAnOption {
    text: String,
    expected: &'static str,
}

impl StageOptions {
    /// A target with its defaults.
    pub fn to(target: Target) -> Self {
        Self {
            target,
            arch: None,
            opset: None,
            weights: WeightPolicy::InPlace,
            dtype: None,
            fold: false,
            image_size: None,
            dictionary: None,
            class: None,
            task: None,
            framework: None,
            no_cache: false,
            contrib: false,
        }
    }

    /// The options that differ from the defaults, by the names that they have on the command line (without dashes).
    pub fn given(&self) -> Vec<&'static str> {
        let all = [
            ("arch", self.arch.is_some()),
            ("opset", self.opset.is_some()),
            ("packed", self.weights == WeightPolicy::Packed),
            ("dtype", self.dtype.is_some()),
            ("fold", self.fold),
            ("image-size", self.image_size.is_some()),
            ("dictionary", self.dictionary.is_some()),
            ("auto", self.class.is_some()),
            ("task", self.task.is_some()),
            ("framework", self.framework.is_some()),
            ("no-cache", self.no_cache),
            ("contrib", self.contrib),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// Where the weights will be: numbers that change cannot stay in the original.
    pub fn policy(&self) -> WeightPolicy {
        if self.fold || self.dtype.is_some() { WeightPolicy::Packed } else { self.weights }
    }

    /// What the manifest notes: equal for options that make the same, empty for the defaults.
    pub fn recorded(&self) -> BTreeMap<String, String> {
        let mut recorded = BTreeMap::new();
        let mut note = |name: &str, value: Option<String>| {
            recorded.extend(value.map(|value| (name.to_owned(), value)));
        };
        note("arch", self.arch.clone());
        note("opset", self.opset.map(|version| version.to_string()));
        // Where it follows from another option, it says nothing.
        note("weights", self.only_packed().then(|| "packed".to_owned()));
        note("dtype", self.dtype.map(|dtype| dtype.to_string()));
        note("fold", self.fold.then(|| "true".to_owned()));
        note("image-size", self.image_size.map(|size| size.to_string()));
        note("dictionary", self.dictionary.clone());
        note("auto", self.class.clone());
        note("task", self.task.clone());
        note("framework", self.framework.clone());
        note("no-cache", self.no_cache.then(|| "true".to_owned()));
        note("contrib", self.contrib.then(|| "true".to_owned()));
        recorded
    }

    /// `<stem>.onnx`, or with options `<stem>-<options>.onnx`: one name for each form. The architecture is not in it, since a
    /// checkpoint fits one only.
    pub fn file_name(&self, stem: &str) -> String {
        let mut parts = Vec::new();
        parts.extend(self.opset.map(|version| format!("opset{version}")));
        parts.extend(self.only_packed().then(|| "packed".to_owned()));
        parts.extend(self.dtype.map(|dtype| dtype.to_string()));
        parts.extend(self.fold.then(|| "fold".to_owned()));
        parts.extend(self.image_size.map(|size| size.to_string()));
        parts.extend(self.dictionary.as_ref().map(|name| format!("dict_{}", in_file_name(name))));
        let words = [&self.class, &self.task, &self.framework];
        parts.extend(words.into_iter().flatten().map(|word| in_file_name(word)));
        parts.extend(self.no_cache.then(|| "no_cache".to_owned()));
        parts.extend(self.contrib.then(|| "contrib".to_owned()));
        let mut name = stem.to_owned();
        for part in parts {
            name.push('-');
            name.push_str(&part);
        }
        name + ".onnx"
    }

    fn only_packed(&self) -> bool {
        self.weights == WeightPolicy::Packed && !self.fold && self.dtype.is_none()
    }
}

/// A dictionary may have any name; what is no letter, digit or `_` is written as its bytes.
fn in_file_name(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

impl FloatType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::F16, Self::Bf16, Self::F32];

    /// The name in options and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FloatType {
    type Err = NotAnOption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a type of weights; there are f16, bf16 and f32";
        let known = Self::ALL.into_iter().find(|dtype| dtype.name() == text);
        known.ok_or_else(|| NotAnOption { text: text.to_owned(), expected })
    }
}

/// `HxW`, or `any`.
impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { height, width } => write!(f, "{height}x{width}"),
            Self::Any => f.write_str("any"),
        }
    }
}

/// `N` (a square), `HxW`, or `any`.
impl FromStr for ImageSize {
    type Err = NotAnOption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
        if text == "any" {
            return Ok(Self::Any);
        }
        let (height, width) = text.split_once('x').unwrap_or((text, text));
        let size = side(height).zip(side(width)).map(|(height, width)| Self::Fixed { height, width });
        let expected = "a size of pictures; write 224, 480x640 (height x width) or any";
        size.ok_or_else(|| NotAnOption { text: text.to_owned(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onnx() -> StageOptions {
        StageOptions::to(Target::Onnx)
    }

    #[test]
    fn defaults_leave_no_trace() {
        assert_eq!(onnx().given(), Vec::<&str>::new());
        assert!(onnx().recorded().is_empty());
        assert_eq!(onnx().file_name("model"), "model.onnx");
        assert_eq!(onnx().policy(), WeightPolicy::InPlace);
    }

    #[test]
    fn every_option_is_named_recorded_and_in_the_files_name() {
        let all = StageOptions {
            arch: Some("resnet50".into()),
            opset: Some(17),
            weights: WeightPolicy::Packed,
            dtype: Some(FloatType::Bf16),
            fold: true,
            image_size: Some(ImageSize::Fixed { height: 480, width: 640 }),
            dictionary: Some("ema/best".into()),
            ..onnx()
        };
        assert_eq!(all.given(), ["arch", "opset", "packed", "dtype", "fold", "image-size", "dictionary"]);
        assert_eq!(all.file_name("model"), "model-opset17-bf16-fold-480x640-dict_ema%2Fbest.onnx");
        let recorded: Vec<(String, String)> = all.recorded().into_iter().collect();
        let expected = [
            ("arch", "resnet50"),
            ("dictionary", "ema/best"),
            ("dtype", "bf16"),
            ("fold", "true"),
            ("image-size", "480x640"),
            ("opset", "17"),
        ];
        assert_eq!(recorded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_makes_the_same_is_recorded_and_called_the_same() {
        let fold = StageOptions { fold: true, ..onnx() };
        let both = StageOptions { weights: WeightPolicy::Packed, ..fold.clone() };
        assert_eq!((fold.recorded(), fold.file_name("m")), (both.recorded(), both.file_name("m")));
        assert_eq!(fold.policy(), WeightPolicy::Packed);
        let packed = StageOptions { weights: WeightPolicy::Packed, ..onnx() };
        assert_eq!(packed.file_name("m"), "m-packed.onnx");
        assert_eq!(packed.recorded()["weights"], "packed");
        let half = StageOptions { dtype: Some(FloatType::F16), ..onnx() };
        assert_eq!(half.policy(), WeightPolicy::Packed);
    }

    #[test]
    fn sizes_are_squares_pairs_or_anything() {
        let fixed = |height, width| Ok(ImageSize::Fixed { height, width });
        assert_eq!("224".parse(), fixed(224, 224));
        assert_eq!("480x640".parse(), fixed(480, 640));
        assert_eq!("any".parse(), Ok(ImageSize::Any));
        assert_eq!("480x640".parse::<ImageSize>().unwrap().to_string(), "480x640");
        for bad in ["", "0", "x", "224x", "x224", "-1", "1x2x3", "Any", "70000", "99999999999"] {
            let error = bad.parse::<ImageSize>().unwrap_err().to_string();
            assert!(error.contains("480x640"), "{bad}: {error}");
        }
    }

    #[test]
    fn types_have_names() {
        for dtype in FloatType::ALL {
            assert_eq!(dtype.name().parse::<FloatType>(), Ok(dtype));
        }
        assert!("f64".parse::<FloatType>().unwrap_err().to_string().contains("bf16"));
    }
}
