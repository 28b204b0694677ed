//! Spellings of torchvision itself that published files still have.

use super::{As, Scheme};

/// What torchvision writes today: nothing to rename.
pub(super) const CURRENT: Scheme =
    Scheme { name: "torchvision", telltales: &[], count: |_, _| None, rules: &[], shared: None, only: &[] };

pub(super) const SCHEMES: &[Scheme] = &[
    // Every published DenseNet was saved before attribute names with dots were given up.
    Scheme {
        name: "torchvision, before 0.2 (DenseNet)",
        telltales: &[r"^features\.denseblock1\.denselayer1\.norm\.1\.weight$"],
        rules: &[(
            r"^(features\.denseblock\d+\.denselayer\d+\.(?:norm|relu|conv))\.([12])\.(.+)$",
            "$1$2.$3",
            As::Same,
        )],
        ..CURRENT
    },
    // Every published ViT was saved when its MLP had named layers.
    Scheme {
        name: "torchvision, before 0.13 (ViT)",
        telltales: &[r"^encoder\.layers\.encoder_layer_0\.mlp\.linear_1\.weight$"],
        rules: &[
            (r"^(encoder\.layers\.encoder_layer_\d+\.mlp)\.linear_1\.(.+)$", "$1.0.$2", As::Same),
            (r"^(encoder\.layers\.encoder_layer_\d+\.mlp)\.linear_2\.(.+)$", "$1.3.$2", As::Same),
        ],
        ..CURRENT
    },
    CURRENT,
];

#[cfg(test)]
mod tests {
    use super::super::tests::paths;

    #[test]
    fn old_densenets() {
        let (scheme, names) = paths(&[
            "features.norm0.weight",
            "features.denseblock1.denselayer1.norm.1.weight",
            "features.denseblock4.denselayer16.conv.2.weight",
            "features.transition1.norm.weight",
        ]);
        assert_eq!(scheme, "torchvision, before 0.2 (DenseNet)");
        assert_eq!(
            names,
            [
                "features.norm0.weight",
                "features.denseblock1.denselayer1.norm1.weight",
                "features.denseblock4.denselayer16.conv2.weight",
                "features.transition1.norm.weight",
            ]
        );
    }

    #[test]
    fn old_vits() {
        let (_, names) = paths(&[
            "encoder.layers.encoder_layer_0.mlp.linear_1.weight",
            "encoder.layers.encoder_layer_11.mlp.linear_2.bias",
        ]);
        assert_eq!(
            names,
            ["encoder.layers.encoder_layer_0.mlp.0.weight", "encoder.layers.encoder_layer_11.mlp.3.bias"]
        );
    }
}
