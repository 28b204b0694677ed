//! How a picture becomes the input of a model: torchvision's presets as the catalogue has them, and the same as a list of steps,
//! which is what manifests hold and engines carry out.
//!
//! The steps are those of `torchvision.transforms._presets`, in their order and with their meaning: a resize of the shorter
//! side, a crop in the middle, numbers from 0..255 to 0..1, mean and standard deviation per channel.

use serde::{Deserialize, Serialize};

/// From a byte to a number between 0 and 1.
const TO_UNIT: f64 = 1.0 / 255.0;

/// The name of the input in staged graphs.
pub(crate) const INPUT: &str = "input";

/// How to make a model's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it is made of.
    pub kind: Kind,
    /// What is done, in this order. A picture begins as bytes, one per channel and pixel.
    pub steps: Vec<Step>,
    /// The order of the input's dimensions.
    pub layout: Layout,
    /// The order of the channels.
    pub channels: Channels,
    /// The input's name in the graph.
    pub input: String,
}

/// What an input is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A picture, or several as frames or as a batch.
    Image,
}

/// The order of dimensions: batch, channels, frames, rows, columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Pictures.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Clips.
    #[serde(rename = "NCTHW")]
    Ncthw,
}

/// The order of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channels {
    /// Red, green, blue.
    #[serde(rename = "RGB")]
    Rgb,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Step {
    /// Changes the number of pixels.
    Resize {
        /// To which size, `rule` and `size` in the text.
        #[serde(flatten)]
        to: ResizeTo,
        /// How pixels are weighed.
        filter: Filter,
        /// Whether the filter widens when a picture gets smaller, as Pillow's always does.
        antialias: bool,
    },
    /// Keeps the middle; what is too small is filled up with zeros.
    CenterCrop {
        /// Rows and columns.
        size: [u32; 2],
    },
    /// Multiplies every number.
    Rescale {
        /// By this.
        factor: f64,
    },
    /// Subtracts and divides, per channel.
    Normalize {
        /// What is subtracted.
        mean: [f64; 3],
        /// What is divided by.
        std: [f64; 3],
    },
}

/// The size to which a picture is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", content = "size", rename_all = "snake_case")]
pub enum ResizeTo {
    /// The shorter side gets this many pixels, the longer one in proportion, rounded down.
    ShorterSide(u32),
    /// Rows and columns, whatever the proportions were.
    Exact([u32; 2]),
}

/// How pixels are weighed when a picture is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions.
    Bicubic,
}

/// A preset of torchvision with its parameters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "preset", deny_unknown_fields)]
pub enum Transform {
    /// One picture for a label.
    ImageClassification {
        /// Pixels of the shorter side.
        resize: [u32; 1],
        /// Pixels of both sides of the part in the middle.
        crop: [u32; 1],
        /// The filter.
        interpolation: Filter,
        /// Whether it is antialiased.
        antialias: bool,
        /// Per channel.
        mean: [f64; 3],
        /// Per channel.
        std: [f64; 3],
    },
    /// One picture for a label per pixel.
    SemanticSegmentation {
        /// Pixels of the shorter side; none keeps the size.
        resize: Option<[u32; 1]>,
        /// The filter.
        interpolation: Filter,
        /// Whether it is antialiased.
        antialias: bool,
        /// Per channel.
        mean: [f64; 3],
        /// Per channel.
        std: [f64; 3],
    },
    /// A clip.
    VideoClassification {
        /// Pixels of the shorter side, or rows and columns.
        resize: Sides,
        /// Rows and columns of the part in the middle.
        crop: [u32; 2],
        /// The filter.
        interpolation: Filter,
        /// Whether it is antialiased.
        antialias: bool,
        /// Per channel.
        mean: [f64; 3],
        /// Per channel.
        std: [f64; 3],
    },
    /// One picture of any size; the model itself resizes and normalizes.
    ObjectDetection {},
    /// Two pictures of one size.
    OpticalFlow {
        /// Per channel.
        mean: [f64; 3],
        /// Per channel.
        std: [f64; 3],
    },
}

/// One number for the shorter side, or two for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Sides {
    /// The shorter side.
    One([u32; 1]),
    /// Rows and columns.
    Two([u32; 2]),
}

impl From<Sides> for ResizeTo {
    fn from(sides: Sides) -> Self {
        match sides {
            Sides::One([side]) => Self::ShorterSide(side),
            Sides::Two(size) => Self::Exact(size),
        }
    }
}

impl Transform {
    /// The steps. Optical flow has none: its input is two pictures.
    pub fn recipe(&self) -> Option<Recipe> {
        let rescale = Step::Rescale { factor: TO_UNIT };
        let normalize = |mean: &[f64; 3], std: &[f64; 3]| Step::Normalize { mean: *mean, std: *std };
        let (steps, layout) = match self {
            Self::ImageClassification {
                resize: [side],
                crop: [crop],
                interpolation,
                antialias,
                mean,
                std,
            } => {
                let to = ResizeTo::ShorterSide(*side);
                let resize = Step::Resize { to, filter: *interpolation, antialias: *antialias };
                let crop = Step::CenterCrop { size: [*crop, *crop] };
                (vec![resize, crop, rescale, normalize(mean, std)], Layout::Nchw)
            }
            Self::SemanticSegmentation { resize, interpolation, antialias, mean, std } => {
                let resize = resize.map(|[side]| Step::Resize {
                    to: ResizeTo::ShorterSide(side),
                    filter: *interpolation,
                    antialias: *antialias,
                });
                (resize.into_iter().chain([rescale, normalize(mean, std)]).collect(), Layout::Nchw)
            }
            Self::VideoClassification { resize, crop, interpolation, antialias, mean, std } => {
                let to = (*resize).into();
                let resize = Step::Resize { to, filter: *interpolation, antialias: *antialias };
                let crop = Step::CenterCrop { size: *crop };
                (vec![resize, crop, rescale, normalize(mean, std)], Layout::Ncthw)
            }
            Self::ObjectDetection {} => (vec![rescale], Layout::Nchw),
            Self::OpticalFlow { .. } => return None,
        };
        let input = INPUT.to_owned();
        Some(Recipe { kind: Kind::Image, steps, layout, channels: Channels::Rgb, input })
    }

    /// Rows and columns of the prepared picture, where the preset fixes them.
    pub fn size(&self) -> Option<[u32; 2]> {
        match self {
            Self::ImageClassification { crop: [side], .. } => Some([*side, *side]),
            Self::VideoClassification { crop, .. } => Some(*crop),
            _ => None,
        }
    }

    /// Numbers that no picture can be prepared by are refused.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (sides, colours): (Vec<u32>, _) = match self {
            Self::ImageClassification { resize, crop, mean, std, .. } => {
                ([*resize, *crop].concat(), Some((mean, std)))
            }
            Self::SemanticSegmentation { resize, mean, std, .. } => {
                (resize.iter().flatten().copied().collect(), Some((mean, std)))
            }
            Self::VideoClassification { resize, crop, mean, std, .. } => {
                let resize = match resize {
                    Sides::One(side) => side.to_vec(),
                    Sides::Two(size) => size.to_vec(),
                };
                ([resize, crop.to_vec()].concat(), Some((mean, std)))
            }
            Self::ObjectDetection {} => (Vec::new(), None),
            Self::OpticalFlow { mean, std } => (Vec::new(), Some((mean, std))),
        };
        if let Some(side) = sides.iter().find(|side| !(1..=1 << 14).contains(*side)) {
            return Err(format!("no picture has a side of {side} pixels"));
        }
        let Some((mean, std)) = colours else { return Ok(()) };
        if !mean.iter().all(|m| m.is_finite()) || !std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(format!("mean {mean:?} and std {std:?} cannot normalize"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::{Catalog, Task};

    fn recipe(name: &str, revision: Option<&str>) -> serde_json::Value {
        let entry = Catalog::embedded().find(name, revision).unwrap();
        serde_json::to_value(entry.transform().recipe()).unwrap()
    }

    #[test]
    fn a_picture_for_a_label() {
        let expected = json!({
            "kind": "image",
            "steps": [
                {"op": "resize", "rule": "shorter_side", "size": 232, "filter": "bilinear", "antialias": true},
                {"op": "center_crop", "size": [224, 224]},
                {"op": "rescale", "factor": 1.0 / 255.0},
                {"op": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            ],
            "layout": "NCHW",
            "channels": "RGB",
            "input": "input",
        });
        assert_eq!(recipe("resnet50", None), expected);
        let swag = recipe("vit_b_16", Some("IMAGENET1K_SWAG_E2E_V1"));
        assert_eq!(
            swag["steps"][0],
            json!({"op": "resize", "rule": "shorter_side", "size": 384, "filter": "bicubic", "antialias": true})
        );
    }

    #[test]
    fn clips_are_resized_to_both_sides_or_to_the_shorter_one_and_never_antialiased() {
        let expected = json!({
            "kind": "image",
            "steps": [
                {"op": "resize", "rule": "exact", "size": [128, 171], "filter": "bilinear", "antialias": false},
                {"op": "center_crop", "size": [112, 112]},
                {"op": "rescale", "factor": 1.0 / 255.0},
                {
                    "op": "normalize",
                    "mean": [0.43216, 0.394_666, 0.37645],
                    "std": [0.22803, 0.22145, 0.216_989],
                },
            ],
            "layout": "NCTHW",
            "channels": "RGB",
            "input": "input",
        });
        assert_eq!(recipe("r3d_18", None), expected);
        assert_eq!(
            recipe("mvit_v1_b", None)["steps"][0],
            json!({"op": "resize", "rule": "shorter_side", "size": 256, "filter": "bilinear", "antialias": false})
        );
    }

    #[test]
    fn segmentation_is_not_cropped_and_detection_only_rescaled() {
        let steps = |name| recipe(name, None)["steps"].as_array().unwrap().clone();
        let ops = |name| steps(name).iter().map(|s| s["op"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(ops("fcn_resnet50"), ["resize", "rescale", "normalize"]);
        assert_eq!(ops("fasterrcnn_resnet50_fpn"), ["rescale"]);
        assert_eq!(recipe("raft_large", None), serde_json::Value::Null);
    }

    #[test]
    fn every_entry_has_a_recipe_that_reads_back_and_fits_its_task() {
        for entry in Catalog::embedded().entries() {
            let (handle, transform) = (entry.handle(), entry.transform());
            let Some(recipe) = transform.recipe() else {
                assert_eq!(entry.task(), Task::OpticalFlow, "{handle}");
                continue;
            };
            let text = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe, "{handle}");
            let layout = if entry.task() == Task::Video { Layout::Ncthw } else { Layout::Nchw };
            assert_eq!(recipe.layout, layout, "{handle}");
            let crop = recipe.steps.iter().find_map(|step| match step {
                Step::CenterCrop { size } => Some(*size),
                _ => None,
            });
            assert_eq!(crop, transform.size(), "{handle}");
            // Whatever the preset makes, the network takes.
            if let Some([height, width]) = crop {
                let [least_height, least_width] = entry.min_size();
                assert!(height >= least_height && width >= least_width, "{handle}");
            }
            assert!(recipe.steps.contains(&Step::Rescale { factor: TO_UNIT }), "{handle}");
            let classes = matches!(entry.task(), Task::Classification | Task::Video);
            assert_eq!(recipe.steps.len(), if classes { 4 } else { recipe.steps.len() }, "{handle}");
        }
    }
}
