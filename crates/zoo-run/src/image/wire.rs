//! A recipe as JSON: the names and shapes that are written down, and nothing unknown beside them.

use serde::{Deserialize, Serialize};

use super::recipe::{Channels, Extent, Filter, Layout, Recipe, Step};
use crate::{Error, Result};

/// A recipe as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    kind: Kind,
    steps: Vec<WireStep>,
    layout: Layout,
    channels: Channels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<String>,
}

/// What a recipe is for. Texts and sounds will have recipes of other kinds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Image,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum WireStep {
    Resize {
        size: Size,
        rule: Rule,
        filter: Filter,
        antialias: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_size: Option<u32>,
    },
    CenterCrop {
        size: [u32; 2],
    },
    Rescale {
        factor: f64,
    },
    Normalize {
        mean: Vec<f64>,
        std: Vec<f64>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rule {
    ShorterSide,
    Exact,
}

/// One number, or height and width.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "\"size\" must be a number of pixels, or two: height and width")]
enum Size {
    Side(u32),
    Both([u32; 2]),
}

impl TryFrom<Wire> for Recipe {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self> {
        let Wire { kind: Kind::Image, steps, layout, channels, input } = wire;
        let steps = steps.into_iter().map(Step::try_from).collect::<Result<_>>()?;
        Self::new(steps, layout, channels, input)
    }
}

impl TryFrom<WireStep> for Step {
    type Error = Error;

    fn try_from(step: WireStep) -> Result<Self> {
        Ok(match step {
            WireStep::Resize { size, rule, filter, antialias, max_size } => {
                let to = match (rule, size, max_size) {
                    (Rule::ShorterSide, Size::Side(size), max) => Extent::ShorterSide { size, max },
                    (Rule::Exact, Size::Both([height, width]), None) => Extent::Exact { height, width },
                    (Rule::ShorterSide, Size::Both(_), _) => {
                        return Err(Error::recipe("the rule \"shorter_side\" takes a size of one number"));
                    }
                    (Rule::Exact, Size::Side(_), _) => {
                        return Err(Error::recipe(
                            "the rule \"exact\" takes a size of two numbers, height and width",
                        ));
                    }
                    (Rule::Exact, _, Some(_)) => {
                        return Err(Error::recipe("the rule \"exact\" leaves no room for \"max_size\""));
                    }
                };
                Self::Resize { to, filter, antialias }
            }
            WireStep::CenterCrop { size: [height, width] } => Self::CenterCrop { height, width },
            WireStep::Rescale { factor } => Self::Rescale { factor },
            WireStep::Normalize { mean, std } => Self::Normalize { mean, std },
        })
    }
}

impl From<Recipe> for Wire {
    fn from(recipe: Recipe) -> Self {
        Self {
            kind: Kind::Image,
            steps: recipe.steps().iter().cloned().map(WireStep::from).collect(),
            layout: recipe.layout(),
            channels: recipe.channels(),
            input: recipe.input().map(str::to_owned),
        }
    }
}

impl From<Step> for WireStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Resize { to: Extent::ShorterSide { size, max }, filter, antialias } => Self::Resize {
                size: Size::Side(size),
                rule: Rule::ShorterSide,
                filter,
                antialias,
                max_size: max,
            },
            Step::Resize { to: Extent::Exact { height, width }, filter, antialias } => Self::Resize {
                size: Size::Both([height, width]),
                rule: Rule::Exact,
                filter,
                antialias,
                max_size: None,
            },
            Step::CenterCrop { height, width } => Self::CenterCrop { size: [height, width] },
            Step::Rescale { factor } => Self::Rescale { factor },
            Step::Normalize { mean, std } => Self::Normalize { mean, std },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sample() -> Value {
        json!({
            "kind": "image",
            "steps": [
                {"op": "resize", "size": 256, "rule": "shorter_side", "filter": "bilinear", "antialias": true},
                {"op": "resize", "size": 256, "rule": "shorter_side", "filter": "bicubic", "antialias": true,
                 "max_size": 300},
                {"op": "resize", "size": [112, 171], "rule": "exact", "filter": "bilinear", "antialias": false},
                {"op": "center_crop", "size": [224, 200]},
                {"op": "rescale", "factor": 0.003_921_568_627_450_98},
                {"op": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            ],
            "layout": "NCHW", "channels": "RGB", "input": "input",
        })
    }

    fn message(change: impl FnOnce(&mut Value)) -> String {
        let mut json = sample();
        change(&mut json);
        let error = Recipe::from_json(&json).unwrap_err();
        assert!(Recipe::parse(json.to_string().as_bytes()).is_err());
        error.to_string()
    }

    #[test]
    fn json_says_what_it_means() {
        let recipe = Recipe::from_json(&sample()).unwrap();
        assert_eq!(
            recipe.steps()[0],
            Step::Resize {
                to: Extent::ShorterSide { size: 256, max: None },
                filter: Filter::Bilinear,
                antialias: true
            }
        );
        assert_eq!(
            recipe.steps()[2],
            Step::Resize {
                to: Extent::Exact { height: 112, width: 171 },
                filter: Filter::Bilinear,
                antialias: false
            }
        );
        assert_eq!(recipe.steps()[3], Step::CenterCrop { height: 224, width: 200 });
        assert_eq!((recipe.layout(), recipe.channels()), (Layout::Nchw, Channels::Rgb));
        assert_eq!(recipe.input(), Some("input"));
    }

    #[test]
    fn what_is_read_is_written_again() {
        assert_eq!(json!(Recipe::from_json(&sample()).unwrap()), sample());
        let text = sample().to_string();
        assert_eq!(json!(Recipe::parse(text.as_bytes()).unwrap()), sample());
        assert_eq!(json!(serde_json::from_value::<Recipe>(sample()).unwrap()), sample());
    }

    #[test]
    fn what_is_unknown_or_impossible_is_named() {
        type Case = (fn(&mut Value), &'static str);
        let cases: [Case; 20] = [
            (|v| v["kind"] = json!("sound"), "unknown variant `sound`"),
            (|v| v["flip"] = json!(true), "unknown field `flip`"),
            (|v| v["steps"][0]["fill"] = json!(0), "unknown field `fill`"),
            (|v| v["steps"][0]["op"] = json!("rotate"), "unknown variant `rotate`"),
            (|v| v["steps"][0]["filter"] = json!("hamming"), "unknown variant `hamming`"),
            (|v| v["steps"][0]["rule"] = json!("longer_side"), "unknown variant `longer_side`"),
            (|v| v["steps"][0]["size"] = json!([1, 2, 3]), "\"size\" must be a number of pixels, or two"),
            (|v| v["steps"][0]["size"] = json!([1, 2]), "takes a size of one number"),
            (|v| v["steps"][2]["size"] = json!(7), "takes a size of two numbers"),
            (|v| v["steps"][2]["max_size"] = json!(7), "leaves no room"),
            (|v| v["steps"][1]["max_size"] = json!(256), "step 2: \"max_size\" is 256, and must be more"),
            (|v| v["steps"][0]["size"] = json!(0), "step 1: a side of 0 pixels"),
            (|v| v["steps"][3]["size"] = json!([65_536, 1]), "step 4: a side of 65536 pixels"),
            (|v| v["steps"][2]["filter"] = json!("lanczos"), "step 3: the Lanczos filter is Pillow's"),
            (
                |v| v["steps"][5]["mean"] = json!([0.5]),
                "step 6: 1 means and 3 standard deviations for 3 channels",
            ),
            (|v| v["steps"][5]["std"] = json!([1, 0, 1]), "step 6: a standard deviation is 0"),
            (|v| v["channels"] = json!("L"), "step 6: 3 means and 3 standard deviations for 1 channels"),
            (|v| v["layout"] = json!("CHW"), "unknown variant `CHW`"),
            (
                |v| v["steps"].as_array_mut().unwrap().swap(3, 4),
                "step 5: a picture is resized and cropped before",
            ),
            (|v| v["steps"] = json!(vec![v["steps"][0].clone(); 33]), "beyond the limit of 32 steps"),
        ];
        for (change, part) in cases {
            let message = message(change);
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
