//! How a picture becomes an input, from `preprocessor_config.json`: transformers' image processors, as the list of steps that
//! manifests hold and engines carry out.
//!
//! Only processors whose steps are exactly such a list are told; of others (padding to multiples, tiles, several outputs) nothing is
//! said. Defaults are those of the processors' classes in transformers 4.57, where a file leaves something out.

use serde_json::{Value, json};

/// The input's name in every model of transformers that takes pictures.
const INPUT: &str = "pixel_values";

/// From a byte to a number between 0 and 1.
const TO_UNIT: f64 = 1.0 / 255.0;

/// ConvNeXt's processor resizes to the size itself from here on, and crops below.
const CONVNEXT_WHOLE: u64 = 384;

/// The part that is left of the resized picture, unless the file says another.
const CONVNEXT_CROP: f64 = 224.0 / 256.0;

/// The largest side that anybody resizes to.
const MAX_SIDE: u64 = 1 << 16;

/// What a processor's class does.
struct Class {
    /// What its name begins with, before `ImageProcessor` or `FeatureExtractor`.
    name: &'static str,
    /// How a size of one number is meant.
    resize: Resize,
    /// Pillow's number of its filter.
    resample: u64,
    /// Whether it crops, where the file does not say.
    crop: bool,
}

enum Resize {
    /// Both sides.
    Exact,
    /// The shorter side.
    Shorter,
    /// By `crop_pct`.
    ConvNext,
    /// The shorter side, 256/224 times the size.
    Levit,
}

const CLASSES: [Class; 13] = [
    Class { name: "ViT", resize: Resize::Exact, resample: 2, crop: false },
    Class { name: "DeiT", resize: Resize::Exact, resample: 3, crop: true },
    Class { name: "Beit", resize: Resize::Exact, resample: 3, crop: true },
    Class { name: "CLIP", resize: Resize::Shorter, resample: 3, crop: true },
    Class { name: "Bit", resize: Resize::Shorter, resample: 3, crop: true },
    Class { name: "ConvNext", resize: Resize::ConvNext, resample: 2, crop: false },
    Class { name: "Segformer", resize: Resize::Exact, resample: 2, crop: false },
    Class { name: "Siglip", resize: Resize::Exact, resample: 3, crop: false },
    Class { name: "Pvt", resize: Resize::Exact, resample: 2, crop: false },
    Class { name: "MobileNetV1", resize: Resize::Shorter, resample: 2, crop: true },
    Class { name: "MobileNetV2", resize: Resize::Shorter, resample: 2, crop: true },
    Class { name: "MobileViT", resize: Resize::Shorter, resample: 2, crop: true },
    Class { name: "Levit", resize: Resize::Levit, resample: 3, crop: true },
];

/// The class that a model's file means where it does not name one (transformers' `image_processing_auto`).
const BY_MODEL: [(&str, &str); 24] = [
    ("beit", "Beit"),
    ("bit", "Bit"),
    ("clip", "CLIP"),
    ("convnext", "ConvNext"),
    ("convnextv2", "ConvNext"),
    ("cvt", "ConvNext"),
    ("data2vec-vision", "Beit"),
    ("deit", "DeiT"),
    ("dinat", "ViT"),
    ("dinov2", "Bit"),
    ("focalnet", "Bit"),
    ("levit", "Levit"),
    ("mobilenet_v1", "MobileNetV1"),
    ("mobilenet_v2", "MobileNetV2"),
    ("mobilevit", "MobileViT"),
    ("pvt", "Pvt"),
    ("regnet", "ConvNext"),
    ("resnet", "ConvNext"),
    ("segformer", "Segformer"),
    ("siglip", "Siglip"),
    ("swin", "ViT"),
    ("swinv2", "ViT"),
    ("van", "ConvNext"),
    ("vit", "ViT"),
];

/// The recipe, if the file is of a processor that is one.
pub(crate) fn recipe(file: &Value, config: &Value) -> Option<Value> {
    // Since version 5 it is nested in a file of all processors.
    let file = file.get("image_processor").unwrap_or(file);
    let class = class(file, config)?;
    let is = |name: &str, default: bool| file.get(name).map_or(Some(default), Value::as_bool);
    if is("do_pad", false)? || file.get("rescale_offset").is_some_and(|v| *v == true) {
        return None;
    }
    let mut steps = Vec::new();
    if is("do_resize", true)? {
        resize(file, class, &mut steps)?;
    }
    if is("do_center_crop", class.crop)? && !matches!(class.resize, Resize::ConvNext) {
        let size = match file.get("crop_size")? {
            Value::Object(size) => [side(size.get("height")?)?, side(size.get("width")?)?],
            size => [side(size)?; 2],
        };
        // transformers rounds down where there is no exact middle in its older processors, and as torchvision does in those
        // that replace them; the latter is what the step means.
        steps.push(json!({ "op": "center_crop", "size": size }));
    }
    if is("do_rescale", true)? {
        let factor = file.get("rescale_factor").map_or(Some(TO_UNIT), Value::as_f64)?;
        steps.push(json!({ "op": "rescale", "factor": factor }));
    }
    if is("do_normalize", class.name != "MobileViT")? {
        let three = |name: &str| -> Option<[f64; 3]> {
            let values = file.get(name)?.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<_>>>()?;
            values.try_into().ok()
        };
        let (mean, std) = (three("image_mean")?, three("image_std")?);
        if std.contains(&0.0) {
            return None;
        }
        steps.push(json!({ "op": "normalize", "mean": mean, "std": std }));
    }
    let flipped = is("do_flip_channel_order", class.name == "MobileViT")?;
    let channels = if flipped { "BGR" } else { "RGB" };
    Some(json!({ "kind": "image", "steps": steps, "layout": "NCHW", "channels": channels, "input": INPUT }))
}

fn class(file: &Value, config: &Value) -> Option<&'static Class> {
    let named = ["image_processor_type", "feature_extractor_type"]
        .into_iter()
        .find_map(|key| file.get(key)?.as_str());
    let name = match named {
        Some(name) => ["ImageProcessorFast", "ImageProcessor", "FeatureExtractor"]
            .into_iter()
            .find_map(|ending| name.strip_suffix(ending))?,
        None => {
            let model_type = config.get("model_type")?.as_str()?;
            BY_MODEL.iter().find(|(model, _)| *model == model_type)?.1
        }
    };
    CLASSES.iter().find(|class| class.name == name)
}

fn resize(file: &Value, class: &Class, steps: &mut Vec<Value>) -> Option<()> {
    let filter = match file.get("resample").map_or(Some(class.resample), Value::as_u64)? {
        0 => "nearest",
        1 => "lanczos",
        2 => "bilinear",
        3 => "bicubic",
        _ => return None,
    };
    let step = |size: Value, rule: &str| json!({ "op": "resize", "size": size, "rule": rule, "filter": filter, "antialias": true });
    let size = file.get("size")?;
    let shortest = size.get("shortest_edge").and_then(side);
    let both = size.get("height").and_then(side).zip(size.get("width").and_then(side));
    let number = side(size);
    match class.resize {
        Resize::Exact => {
            let (height, width) = both.or(number.map(|n| (n, n)))?;
            steps.push(step(json!([height, width]), "exact"));
        }
        Resize::Shorter => match (shortest.or(number), both) {
            (Some(side), _) => steps.push(step(json!(side), "shorter_side")),
            (None, Some((height, width))) => steps.push(step(json!([height, width]), "exact")),
            (None, None) => return None,
        },
        Resize::Levit => {
            let wider = (256.0 / 224.0 * shortest.or(number)? as f64) as u64;
            steps.push(step(json!(wider), "shorter_side"));
        }
        Resize::ConvNext => {
            let size = shortest.or(number)?;
            if size >= CONVNEXT_WHOLE {
                steps.push(step(json!([size, size]), "exact"));
            } else {
                let part = file
                    .get("crop_pct")
                    .filter(|p| !p.is_null())
                    .map_or(Some(CONVNEXT_CROP), Value::as_f64)?;
                let wider = size as f64 / part;
                if !(part > 0.0 && wider <= MAX_SIDE as f64) {
                    return None;
                }
                steps.push(step(json!(wider as u64), "shorter_side"));
                steps.push(json!({ "op": "center_crop", "size": [size, size] }));
            }
        }
    }
    Some(())
}

fn side(value: &Value) -> Option<u64> {
    value.as_u64().filter(|side| (1..=MAX_SIDE).contains(side))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(file: &Value, model_type: &str) -> Option<Vec<Value>> {
        let recipe = recipe(file, &json!({ "model_type": model_type }))?;
        assert_eq!((&recipe["layout"], &recipe["input"]), (&json!("NCHW"), &json!("pixel_values")));
        Some(recipe["steps"].as_array().unwrap().clone())
    }

    fn ops(steps: &[Value]) -> Vec<(&str, Value)> {
        let size = |step: &Value| step.get("size").cloned().unwrap_or_default();
        steps.iter().map(|step| (step["op"].as_str().unwrap(), size(step))).collect()
    }

    #[test]
    fn an_old_file_means_the_class_of_its_model() {
        let half = json!([0.5, 0.5, 0.5]);
        let file = json!({"do_normalize": true, "do_resize": true, "image_mean": half, "image_std": half, "size": 224});
        let vit = steps(&file, "vit").unwrap();
        assert_eq!(
            ops(&vit),
            [("resize", json!([224, 224])), ("rescale", Value::Null), ("normalize", Value::Null)]
        );
        assert_eq!((&vit[0]["filter"], &vit[0]["rule"]), (&json!("bilinear"), &json!("exact")));
        assert_eq!(vit[1]["factor"], TO_UNIT);
        assert_eq!(steps(&file, "bert"), None);
        assert_eq!(steps(&file, "clip"), None, "it crops, and the file does not say to which size");
    }

    #[test]
    fn resizing_is_by_both_sides_by_the_shorter_one_or_by_a_part() {
        let mean = json!([0.4, 0.5, 0.6]);
        let clip = json!({"crop_size": {"height": 224, "width": 200}, "do_center_crop": true, "resample": 3,
            "image_mean": mean, "image_std": mean, "size": {"shortest_edge": 256}, "image_processor_type": "CLIPImageProcessor"});
        let found = steps(&clip, "x").unwrap();
        assert_eq!(ops(&found)[..2], [("resize", json!(256)), ("center_crop", json!([224, 200]))]);
        assert_eq!(found[0]["rule"], "shorter_side");
        let resnet = json!({"crop_pct": 0.875, "do_resize": true, "resample": 3, "image_mean": mean, "image_std": mean,
            "size": 224, "feature_extractor_type": "ConvNextFeatureExtractor"});
        let found = steps(&resnet, "resnet").unwrap();
        assert_eq!(ops(&found)[..2], [("resize", json!(256)), ("center_crop", json!([224, 224]))]);
        let mut large = resnet.clone();
        large["size"] = json!({"shortest_edge": 384});
        assert_eq!(ops(&steps(&large, "x").unwrap())[0], ("resize", json!([384, 384])));
        let mobile = json!({"size": 288, "crop_size": 256, "do_flip_channel_order": true, "image_processor_type": "MobileViTImageProcessor"});
        let whole = recipe(&json!({ "image_processor": mobile }), &json!({})).unwrap();
        assert_eq!((&whole["channels"], whole["steps"].as_array().unwrap().len()), (&json!("BGR"), 3));
    }

    #[test]
    fn what_is_no_such_list_is_not_told() {
        let good = json!({"image_processor_type": "ViTImageProcessorFast", "size": {"height": 2, "width": 3},
            "image_mean": [0, 0, 0], "image_std": [1, 1, 1]});
        assert!(steps(&good, "x").is_some());
        for (name, value) in [
            ("image_processor_type", json!("DPTImageProcessor")),
            ("image_processor_type", json!("LlavaNextImageProcessor")),
            ("size", json!({"shortest_edge": 224})),
            ("size", json!({"longest_edge": 224})),
            ("size", json!(0)),
            ("size", json!(1_000_000)),
            ("image_mean", json!([0.5])),
            ("image_std", json!([1, 0, 1])),
            ("resample", json!(5)),
            ("do_pad", json!(true)),
            ("do_resize", json!("yes")),
        ] {
            let mut file = good.clone();
            file[name] = value;
            assert_eq!(steps(&file, "x"), None, "{name}: {}", file[name]);
        }
        let mut tiny = json!({"image_processor_type": "ConvNextImageProcessor", "size": 224, "crop_pct": 0.0,
            "image_mean": [0, 0, 0], "image_std": [1, 1, 1]});
        assert_eq!(steps(&tiny, "x"), None);
        tiny["crop_pct"] = json!(1e-9);
        assert_eq!(steps(&tiny, "x"), None);
    }
}
