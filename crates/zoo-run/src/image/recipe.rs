//! Recipes: what is done to a picture before a model sees it.
//!
//! A recipe has two parts, in this order: what changes the picture (resizing, cropping), which happens on 8-bit samples, and
//! what changes the numbers (rescaling, normalising), which happens on floats. A recipe that mixes them is refused, for
//! resized floats are not resized samples.
//!
//! In JSON, as it stands in the manifest's `model.preprocessing` and as people may write it:
//!
//! ```json
//! {"kind": "image",
//!  "steps": [
//!    {"op": "resize", "size": 256, "rule": "shorter_side", "filter": "bilinear", "antialias": true},
//!    {"op": "center_crop", "size": [224, 224]},
//!    {"op": "rescale", "factor": 0.00392156862745098},
//!    {"op": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}],
//!  "layout": "NCHW", "channels": "RGB", "input": "input"}
//! ```

use serde::{Deserialize, Serialize};

use super::wire::Wire;
use crate::limits::{MAX_PICTURE_SIDE, MAX_RECIPE_STEPS};
use crate::{Error, Result};

/// What is done to a picture before a model sees it. It is sound: every step can be done to every picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Recipe {
    steps: Vec<Step>,
    layout: Layout,
    channels: Channels,
    input: Option<String>,
}

/// One step of a recipe.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Change the number of pixels.
    Resize {
        /// To which size.
        to: Extent,
        /// How pixels are mixed.
        filter: Filter,
        /// True: as Pillow resizes a picture, every pixel having its say. False: as PyTorch's `interpolate` resizes a
        /// tensor, which looks at the nearest pixels only.
        antialias: bool,
    },
    /// Cut out the middle; where the picture is smaller, add black around it. Where there is no exact middle, what
    /// torchvision's `center_crop` takes.
    CenterCrop {
        /// Rows that are left.
        height: u32,
        /// Columns that are left.
        width: u32,
    },
    /// Multiply by a factor.
    Rescale {
        /// The factor: 1/255 brings 8-bit samples to 0 to 1.
        factor: f64,
    },
    /// Subtract the mean and divide by the standard deviation.
    Normalize {
        /// Of each channel, in the order of [`Channels`].
        mean: Vec<f64>,
        /// Of each channel.
        std: Vec<f64>,
    },
}

/// The size to resize to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// The shorter side becomes `size`, the longer one is cut off to whole pixels by the same factor.
    ShorterSide {
        /// Pixels along the shorter side.
        size: u32,
        /// If the longer side would become longer than this, it becomes this, and the shorter side follows.
        max: Option<u32>,
    },
    /// Both sides, whatever the picture's proportions are.
    Exact {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
    },
}

/// How pixels are mixed when a picture is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Filter {
    /// Not at all.
    Nearest,
    /// By distance.
    Bilinear,
    /// By a cubic: Pillow's a is -1/2, PyTorch's -3/4.
    Bicubic,
    /// By a windowed sinc of three zeros; Pillow only.
    Lanczos,
}

/// The order of a tensor's dimensions: number of pictures, channels, time, height, width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Layout {
    /// Each picture on its own, each channel on its own.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Each picture on its own, the channels of a pixel side by side.
    #[serde(rename = "NHWC")]
    Nhwc,
    /// All pictures are one video, in order.
    #[serde(rename = "NCTHW")]
    Ncthw,
}

/// What a tensor's channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Channels {
    /// Red, green, blue.
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue, green, red, as models from Caffe and OpenCV want them.
    #[serde(rename = "BGR")]
    Bgr,
    /// One channel of grey, by Pillow's weights.
    #[serde(rename = "L")]
    Grey,
}

impl Channels {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

impl Recipe {
    /// Puts a recipe together. `input` is the name of the model's input; without one, the model must have a single input.
    ///
    /// # Errors
    /// [`Error::Recipe`] with the step that cannot be done.
    pub fn new(steps: Vec<Step>, layout: Layout, channels: Channels, input: Option<String>) -> Result<Self> {
        if steps.len() > MAX_RECIPE_STEPS {
            let what = "the number of steps of a recipe".to_owned();
            return Err(Error::TooMuch { what, limit: MAX_RECIPE_STEPS as u64, unit: "steps" });
        }
        let mut floats = false;
        for (index, step) in steps.iter().enumerate() {
            let refuse = |problem: String| Err(Error::recipe(format!("step {}: {problem}", index + 1)));
            if let Err(problem) = step.check(channels) {
                return refuse(problem);
            }
            match step {
                Step::Rescale { .. } | Step::Normalize { .. } => floats = true,
                Step::Resize { .. } | Step::CenterCrop { .. } if floats => {
                    return refuse("a picture is resized and cropped before its numbers are changed".into());
                }
                _ => {}
            }
        }
        Ok(Self { steps, layout, channels, input })
    }

    /// Reads a recipe from its JSON.
    ///
    /// # Errors
    /// [`Error::Recipe`] with what is wrong.
    pub fn from_json(json: &serde_json::Value) -> Result<Self> {
        let wire = Wire::deserialize(json).map_err(|error| Error::recipe(error.to_string()))?;
        Self::try_from(wire)
    }

    /// Reads a recipe from text that a person wrote.
    ///
    /// # Errors
    /// [`Error::Recipe`] with what is wrong, and where.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let wire: Wire = serde_json::from_slice(text).map_err(|error| Error::recipe(error.to_string()))?;
        Self::try_from(wire)
    }

    /// What is done, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The order of the tensor's dimensions.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The tensor's channels.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// The input that the tensor is for; none: the model's only one.
    pub fn input(&self) -> Option<&str> {
        self.input.as_deref()
    }
}

impl Step {
    /// Whether the step can be done to every picture.
    fn check(&self, channels: Channels) -> Result<(), String> {
        let side = |size: u32| match size as usize {
            0 => Err("a side of 0 pixels".to_owned()),
            1..=MAX_PICTURE_SIDE => Ok(()),
            _ => Err(format!("a side of {size} pixels, where {MAX_PICTURE_SIDE} is the limit")),
        };
        match self {
            Self::Resize { filter: Filter::Lanczos, antialias: false, .. } => {
                Err("the Lanczos filter is Pillow's, and wants \"antialias\": true".into())
            }
            Self::Resize { to: Extent::ShorterSide { size, max }, .. } => {
                side(*size)?;
                match max {
                    Some(max) if max <= size => {
                        Err(format!("\"max_size\" is {max}, and must be more than \"size\", which is {size}"))
                    }
                    Some(max) => side(*max),
                    None => Ok(()),
                }
            }
            Self::Resize { to: Extent::Exact { height, width }, .. } | Self::CenterCrop { height, width } => {
                side(*height).and_then(|()| side(*width))
            }
            Self::Rescale { factor } if !factor.is_finite() => Err(format!("the factor is {factor}")),
            Self::Rescale { .. } => Ok(()),
            Self::Normalize { mean, std } => {
                let count = channels.count();
                if mean.len() != count || std.len() != count {
                    return Err(format!(
                        "{} means and {} standard deviations for {count} channels",
                        mean.len(),
                        std.len()
                    ));
                }
                match mean.iter().chain(std).find(|value| !value.is_finite()) {
                    Some(value) => Err(format!("{value} is no number to normalise by")),
                    None if std.iter().any(|&value| value as f32 == 0.0) => {
                        Err("a standard deviation is 0".into())
                    }
                    None => Ok(()),
                }
            }
        }
    }
}
