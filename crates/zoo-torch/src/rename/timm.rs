//! timm's names of the networks that `zoo-arch` has.
//!
//! ResNet and DenseNet are named as in torchvision. Where timm has networks that differ in what no tensor shows (padding that depends
//! on the image in everything that begins with `tf_`, other activations), a checkpoint cannot be recognised and the network has to
//! be named.

use super::{As, Names, Scheme, block, torchvision::CURRENT, two_numbers};

/// timm's name of a network, and that of `zoo-arch`. Only networks that compute the same, epsilons included.
pub(super) const NETWORKS: &[(&str, &str)] = &[
    ("deit_base_patch16_224", "vit_b_16"),
    ("deit_small_patch16_224", "vit_small_patch16_224"),
    ("deit_tiny_patch16_224", "vit_tiny_patch16_224"),
    ("mobilenetv2_100", "mobilenet_v2"),
    ("regnetx_004", "regnet_x_400mf"),
    ("regnetx_008", "regnet_x_800mf"),
    ("regnetx_016", "regnet_x_1_6gf"),
    ("regnetx_032", "regnet_x_3_2gf"),
    ("regnetx_080", "regnet_x_8gf"),
    ("regnetx_160", "regnet_x_16gf"),
    ("regnetx_320", "regnet_x_32gf"),
    ("regnety_004", "regnet_y_400mf"),
    ("regnety_008", "regnet_y_800mf"),
    ("regnety_016", "regnet_y_1_6gf"),
    ("regnety_032", "regnet_y_3_2gf"),
    ("regnety_080", "regnet_y_8gf"),
    ("regnety_160", "regnet_y_16gf"),
    ("regnety_320", "regnet_y_32gf"),
    ("vit_base_patch16_224", "vit_b_16"),
    ("vit_base_patch32_224", "vit_b_32"),
    ("vit_large_patch16_224", "vit_l_16"),
    ("vit_large_patch32_224", "vit_l_32"),
];

/// timm's name (with or without the tag behind a dot) to that of `zoo-arch`.
pub(super) fn network(name: &str) -> Option<&'static str> {
    let find = |name: &str| NETWORKS.iter().find(|(own, _)| *own == name).map(|(_, network)| *network);
    find(name).or_else(|| find(name.split_once('.')?.0))
}

/// Networks that torchvision has, too, under another name and with another epsilon.
pub(super) const OWN: &[&str] = &["mobilenetv3_large_100", "mobilenetv3_small_100"];

/// Why the networks of timm's EfficientNet file have to be named.
const SAME_PADDING: Option<&str> = Some("timm's `tf_` networks have the same tensors, and pad differently");

pub(super) const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "timm (ViT)",
        telltales: &[r"^patch_embed\.proj\.weight$", r"^blocks\.0\.attn\.qkv\.weight$", r"^cls_token$"],
        count: |name, _| {
            name.strip_prefix("blocks.").map(|rest| format!("encoder.layers.encoder_layer_{rest}"))
        },
        rules: &[
            (r"^cls_token$", "class_token", As::Same),
            (r"^pos_embed$", "encoder.pos_embedding", As::Same),
            (r"^patch_embed\.proj\.(.+)$", "conv_proj.$1", As::Same),
            (r"^(encoder\.layers.+)\.norm([12])\.(.+)$", "$1.ln_$2.$3", As::Same),
            (r"^(encoder\.layers.+)\.attn\.qkv\.(weight|bias)$", "$1.self_attention.in_proj_$2", As::Same),
            (r"^(encoder\.layers.+)\.attn\.proj\.(.+)$", "$1.self_attention.out_proj.$2", As::Same),
            (r"^(encoder\.layers.+)\.mlp\.fc1\.(.+)$", "$1.mlp.0.$2", As::Same),
            (r"^(encoder\.layers.+)\.mlp\.fc2\.(.+)$", "$1.mlp.3.$2", As::Same),
            (r"^norm\.(.+)$", "encoder.ln.$1", As::Same),
            (r"^head\.(.+)$", "heads.head.$1", As::Same),
        ],
        ..CURRENT
    },
    Scheme {
        name: "timm (ConvNeXt)",
        telltales: &[r"^stem\.0\.weight$", r"^stages\.0\.blocks\.0\.conv_dw\.weight$"],
        count: convnext,
        rules: &[
            (r"^stem\.([01])\.(.+)$", "features.0.$1.$2", As::Same),
            (r"^(features\.\d+\.\d+)\.gamma$", "$1.layer_scale", As::Column),
            (r"^(features\.\d+\.\d+)\.conv_dw\.(.+)$", "$1.block.0.$2", As::Same),
            (r"^(features\.\d+\.\d+)\.norm\.(.+)$", "$1.block.2.$2", As::Same),
            (r"^(features\.\d+\.\d+)\.mlp\.fc1\.(.+)$", "$1.block.3.$2", As::Same),
            (r"^(features\.\d+\.\d+)\.mlp\.fc2\.(.+)$", "$1.block.5.$2", As::Same),
            (r"^head\.norm\.(.+)$", "classifier.0.$1", As::Same),
            (r"^head\.fc\.(.+)$", "classifier.2.$1", As::Same),
        ],
        ..CURRENT
    },
    Scheme {
        name: "timm (RegNet)",
        telltales: &[r"^stem\.conv\.weight$", r"^s1\.b1\.conv1\.conv\.weight$"],
        count: regnet,
        rules: &[
            (r"^stem\.conv\.(.+)$", "stem.0.$1", As::Same),
            (r"^stem\.bn\.(.+)$", "stem.1.$1", As::Same),
            (r"^(trunk.+)\.conv1\.conv\.(.+)$", "$1.f.a.0.$2", As::Same),
            (r"^(trunk.+)\.conv1\.bn\.(.+)$", "$1.f.a.1.$2", As::Same),
            (r"^(trunk.+)\.conv2\.conv\.(.+)$", "$1.f.b.0.$2", As::Same),
            (r"^(trunk.+)\.conv2\.bn\.(.+)$", "$1.f.b.1.$2", As::Same),
            (r"^(trunk.+)\.se\.(fc[12])\.(.+)$", "$1.f.se.$2.$3", As::Same),
            (r"^(trunk.+)\.conv3\.conv\.(.+)$", "$1.f.c.0.$2", As::Same),
            (r"^(trunk.+)\.conv3\.bn\.(.+)$", "$1.f.c.1.$2", As::Same),
            (r"^(trunk.+)\.downsample\.conv\.(.+)$", "$1.proj.0.$2", As::Same),
            (r"^(trunk.+)\.downsample\.bn\.(.+)$", "$1.proj.1.$2", As::Same),
            (r"^head\.fc\.(.+)$", "fc.$1", As::Same),
        ],
        shared: Some("timm has RegNets with the same tensors and other activations"),
        ..CURRENT
    },
    // The head's width is brought out after pooling: a convolution with a bias and no norm.
    Scheme {
        name: "timm (MobileNet v3)",
        telltales: &[r"^conv_stem\.weight$", r"^blocks\.0\.0\.conv_dw\.weight$", r"^conv_head\.bias$"],
        count: mobilenet_v3,
        rules: &[
            (r"^conv_stem\.(.+)$", "features.0.0.$1", As::Same),
            (r"^bn1\.(.+)$", "features.0.1.$1", As::Same),
            (r"^(features.+)\.se\.conv_reduce\.(.+)$", "$1.fc1.$2", As::Same),
            (r"^(features.+)\.se\.conv_expand\.(.+)$", "$1.fc2.$2", As::Same),
            (r"^conv_head\.weight$", "classifier.0.weight", As::Matrix),
            (r"^conv_head\.bias$", "classifier.0.bias", As::Same),
            (r"^classifier\.(.+)$", "classifier.3.$1", As::Same),
        ],
        shared: SAME_PADDING,
        // torchvision's own have a larger epsilon.
        only: OWN,
    },
    Scheme {
        name: "timm (EfficientNet)",
        telltales: &[r"^conv_stem\.weight$", r"^blocks\.0\.0\.se\.conv_reduce\.weight$", r"^bn2\.weight$"],
        count: |name, _| {
            let (stage, unit, rest) = block(name)?;
            Some(format!("features.{}.{unit}.block.{rest}", stage + 1))
        },
        rules: &[
            (r"^conv_stem\.(.+)$", "features.0.0.$1", As::Same),
            (r"^bn1\.(.+)$", "features.0.1.$1", As::Same),
            // The first stage does not expand: depthwise, excitation, projection.
            (r"^(features\.1\.\d+\.block)\.conv_dw\.(.+)$", "$1.0.0.$2", As::Same),
            (r"^(features\.1\.\d+\.block)\.bn1\.(.+)$", "$1.0.1.$2", As::Same),
            (r"^(features\.1\.\d+\.block)\.se\.conv_reduce\.(.+)$", "$1.1.fc1.$2", As::Same),
            (r"^(features\.1\.\d+\.block)\.se\.conv_expand\.(.+)$", "$1.1.fc2.$2", As::Same),
            (r"^(features\.1\.\d+\.block)\.conv_pw\.(.+)$", "$1.2.0.$2", As::Same),
            (r"^(features\.1\.\d+\.block)\.bn2\.(.+)$", "$1.2.1.$2", As::Same),
            (r"^(features.+\.block)\.conv_pw\.(.+)$", "$1.0.0.$2", As::Same),
            (r"^(features.+\.block)\.bn1\.(.+)$", "$1.0.1.$2", As::Same),
            (r"^(features.+\.block)\.conv_dw\.(.+)$", "$1.1.0.$2", As::Same),
            (r"^(features.+\.block)\.bn2\.(.+)$", "$1.1.1.$2", As::Same),
            (r"^(features.+\.block)\.se\.conv_reduce\.(.+)$", "$1.2.fc1.$2", As::Same),
            (r"^(features.+\.block)\.se\.conv_expand\.(.+)$", "$1.2.fc2.$2", As::Same),
            (r"^(features.+\.block)\.conv_pwl\.(.+)$", "$1.3.0.$2", As::Same),
            (r"^(features.+\.block)\.bn3\.(.+)$", "$1.3.1.$2", As::Same),
            (r"^conv_head\.(.+)$", "features.8.0.$1", As::Same),
            (r"^bn2\.(.+)$", "features.8.1.$1", As::Same),
            (r"^classifier\.(.+)$", "classifier.1.$1", As::Same),
        ],
        shared: SAME_PADDING,
        // From b5 on torchvision has a larger epsilon than timm.
        only: &[
            "efficientnet_b0",
            "efficientnet_b1",
            "efficientnet_b2",
            "efficientnet_b3",
            "efficientnet_b4",
        ],
    },
    Scheme {
        name: "timm (MobileNet v2)",
        telltales: &[r"^conv_stem\.weight$", r"^blocks\.0\.0\.conv_dw\.weight$", r"^bn2\.weight$"],
        count: mobilenet_v2,
        rules: &[
            (r"^conv_stem\.(.+)$", "features.0.0.$1", As::Same),
            (r"^bn1\.(.+)$", "features.0.1.$1", As::Same),
            (r"^features\.1\.conv_dw\.(.+)$", "features.1.conv.0.0.$1", As::Same),
            (r"^features\.1\.bn1\.(.+)$", "features.1.conv.0.1.$1", As::Same),
            (r"^features\.1\.conv_pw\.(.+)$", "features.1.conv.1.$1", As::Same),
            (r"^features\.1\.bn2\.(.+)$", "features.1.conv.2.$1", As::Same),
            (r"^(features\.\d+)\.conv_pw\.(.+)$", "$1.conv.0.0.$2", As::Same),
            (r"^(features\.\d+)\.bn1\.(.+)$", "$1.conv.0.1.$2", As::Same),
            (r"^(features\.\d+)\.conv_dw\.(.+)$", "$1.conv.1.0.$2", As::Same),
            (r"^(features\.\d+)\.bn2\.(.+)$", "$1.conv.1.1.$2", As::Same),
            (r"^(features\.\d+)\.conv_pwl\.(.+)$", "$1.conv.2.$2", As::Same),
            (r"^(features\.\d+)\.bn3\.(.+)$", "$1.conv.3.$2", As::Same),
            (r"^classifier\.(.+)$", "classifier.1.$1", As::Same),
        ],
        shared: SAME_PADDING,
        only: &["mobilenet_v2"],
    },
    // The first dense layers are convolutions here, which slide over a map that is larger than 7x7.
    Scheme {
        name: "timm (VGG)",
        telltales: &[r"^features\.0\.weight$", r"^pre_logits\.fc1\.weight$"],
        rules: &[
            (r"^pre_logits\.fc1\.weight$", "classifier.0.weight", As::Same),
            (r"^pre_logits\.fc1\.bias$", "classifier.0.bias", As::Same),
            (r"^pre_logits\.fc2\.weight$", "classifier.3.weight", As::Same),
            (r"^pre_logits\.fc2\.bias$", "classifier.3.bias", As::Same),
            (r"^head\.fc\.(.+)$", "classifier.6.$1", As::Same),
        ],
        ..CURRENT
    },
];

/// torchvision numbers stages and the halvings between them in one sequence.
fn convnext(name: &str, _: &Names<'_>) -> Option<String> {
    let (stage, rest) = name.strip_prefix("stages.")?.split_once('.')?;
    let stage: usize = stage.parse().ok()?;
    match rest.strip_prefix("downsample.") {
        Some(rest) => Some(format!("features.{}.{rest}", 2 * stage)),
        None => Some(format!("features.{}.{}", 2 * stage + 1, rest.strip_prefix("blocks.")?)),
    }
}

/// `s2.b1.rest`: timm counts blocks from 1, torchvision from 0, and says the stage twice.
fn regnet(name: &str, _: &Names<'_>) -> Option<String> {
    let (stage, unit, rest) = two_numbers(name.strip_prefix('s')?, ".b")?;
    Some(format!("trunk_output.block{stage}.block{stage}-{}.{rest}", unit.checked_sub(1)?))
}

/// torchvision counts blocks through all stages, behind the stem; the head follows the last one.
fn mobilenet_v2(name: &str, names: &Names<'_>) -> Option<String> {
    let head = names.blocks.len() + 1;
    if let Some(rest) = name.strip_prefix("conv_head.") {
        return Some(format!("features.{head}.0.{rest}"));
    }
    if let Some(rest) = name.strip_prefix("bn2.") {
        return Some(format!("features.{head}.1.{rest}"));
    }
    let (stage, unit, rest) = block(name)?;
    Some(format!("features.{}.{rest}", names.number(stage, unit)? + 1))
}

/// As [`mobilenet_v2`], and the parts of a block are numbered as far as it has them: excitation is in some blocks only. The last
/// block is a convolution and a norm.
fn mobilenet_v3(name: &str, names: &Names<'_>) -> Option<String> {
    let (stage, unit, rest) = block(name)?;
    let number = names.number(stage, unit)? + 1;
    let has = |part: &str| names.all.contains(format!("blocks.{stage}.{unit}.{part}.weight").as_str());
    let (expands, excites) = (has("conv_pwl"), usize::from(has("se.conv_reduce")));
    let depthwise = usize::from(expands);
    let (part, rest) = rest.split_once('.')?;
    let place = match part {
        "conv" => return Some(format!("features.{number}.0.{rest}")),
        "bn1" if has("conv") => return Some(format!("features.{number}.1.{rest}")),
        "conv_dw" => format!("{depthwise}.0"),
        "conv_pw" if expands => "0.0".to_owned(),
        "bn1" => "0.1".to_owned(),
        "bn2" if expands => "1.1".to_owned(),
        // The excitation's own layers are renamed by the rules.
        "se" => format!("{}.se", depthwise + 1),
        "conv_pw" | "conv_pwl" => format!("{}.0", depthwise + 1 + excites),
        "bn2" | "bn3" => format!("{}.1", depthwise + 1 + excites),
        _ => return None,
    };
    Some(format!("features.{number}.block.{place}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{paths, renamed};
    use super::*;

    #[test]
    fn names_have_tags() {
        assert_eq!(network("vit_base_patch16_224.augreg_in1k"), Some("vit_b_16"));
        assert_eq!(network("tf_efficientnet_b0"), None);
    }

    #[test]
    fn vits() {
        let (scheme, names) = paths(&[
            "cls_token",
            "pos_embed",
            "patch_embed.proj.bias",
            "blocks.0.attn.qkv.weight",
            "patch_embed.proj.weight",
            "blocks.11.attn.proj.bias",
            "blocks.1.mlp.fc2.weight",
            "blocks.1.norm2.bias",
            "norm.weight",
            "head.bias",
        ]);
        assert_eq!(scheme, "timm (ViT)");
        let layer = "encoder.layers.encoder_layer_";
        assert_eq!(
            names,
            [
                "class_token".to_owned(),
                "encoder.pos_embedding".to_owned(),
                "conv_proj.bias".to_owned(),
                format!("{layer}0.self_attention.in_proj_weight"),
                "conv_proj.weight".to_owned(),
                format!("{layer}11.self_attention.out_proj.bias"),
                format!("{layer}1.mlp.3.weight"),
                format!("{layer}1.ln_2.bias"),
                "encoder.ln.weight".to_owned(),
                "heads.head.bias".to_owned(),
            ]
        );
    }

    #[test]
    fn convnexts_have_their_scale_as_a_column() {
        let (scheme, tensors) = renamed(&[
            ("stem.0.weight", &[4, 3, 4, 4]),
            ("stages.0.blocks.0.conv_dw.weight", &[4, 1, 7, 7]),
            ("stages.3.blocks.2.gamma", &[32]),
            ("stages.2.downsample.1.bias", &[16]),
            ("head.norm.weight", &[32]),
        ]);
        assert_eq!(scheme, "timm (ConvNeXt)");
        let expected: [(&str, &[usize]); 5] = [
            ("features.0.0.weight", &[4, 3, 4, 4]),
            ("features.1.0.block.0.weight", &[4, 1, 7, 7]),
            ("features.7.2.layer_scale", &[32, 1, 1]),
            ("features.4.1.bias", &[16]),
            ("classifier.0.weight", &[32]),
        ];
        for ((path, shape), (own, size)) in tensors.iter().zip(expected) {
            assert_eq!((path.as_str(), shape.as_slice()), (own, size));
        }
    }

    #[test]
    fn mobile_networks_count_through_their_stages() {
        let common = ["conv_stem.weight", "blocks.0.0.conv_dw.weight", "blocks.1.0.conv_pwl.weight"];
        let mut names = common.to_vec();
        names.extend(["blocks.1.1.bn3.bias", "bn2.weight", "conv_head.weight"]);
        let (scheme, paths_v2) = paths(&names);
        assert_eq!(scheme, "timm (MobileNet v2)");
        assert_eq!(
            paths_v2,
            [
                "features.0.0.weight",
                "features.1.conv.0.0.weight",
                "features.2.conv.2.weight",
                "features.3.conv.3.bias",
                "features.4.1.weight",
                "features.4.0.weight",
            ]
        );

        let mut names = common.to_vec();
        names.extend([
            "blocks.0.0.bn2.weight",
            "blocks.1.0.conv_pw.weight",
            "blocks.1.0.se.conv_reduce.weight",
            "blocks.1.0.bn3.bias",
            "blocks.2.0.conv.weight",
            "blocks.2.0.bn1.bias",
            "conv_head.bias",
        ]);
        let (scheme, paths_v3) = paths(&names);
        assert_eq!(scheme, "timm (MobileNet v3)");
        assert_eq!(
            paths_v3,
            [
                "features.0.0.weight",
                "features.1.block.0.0.weight",
                "features.2.block.3.0.weight",
                "features.1.block.1.1.weight",
                "features.2.block.0.0.weight",
                "features.2.block.2.fc1.weight",
                "features.2.block.3.1.bias",
                "features.3.0.weight",
                "features.3.1.bias",
                "classifier.0.bias",
            ]
        );
    }

    #[test]
    fn regnets_count_from_zero() {
        let (scheme, names) = paths(&[
            "stem.conv.weight",
            "s1.b1.conv1.conv.weight",
            "s3.b4.se.fc2.bias",
            "s2.b1.downsample.bn.bias",
        ]);
        assert_eq!(scheme, "timm (RegNet)");
        assert_eq!(
            names,
            [
                "stem.0.weight",
                "trunk_output.block1.block1-0.f.a.0.weight",
                "trunk_output.block3.block3-3.f.se.fc2.bias",
                "trunk_output.block2.block2-0.proj.1.bias",
            ]
        );
    }
}
