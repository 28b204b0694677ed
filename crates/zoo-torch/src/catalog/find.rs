//! From the words that people use for weights to the weights: builder names, qualified Python names, members of enumerations,
//! file names, and what `DEFAULT` and the legacy `pretrained=True` mean.

use zoo_core::error::Error;
use zoo_core::handle::nearest;

use super::{Catalog, Entry, HUB, Model};
use crate::hub::Hub;

/// The word for `pretrained=True`, as builders took it until torchvision 0.13 and still do.
const PRETRAINED: &str = "pretrained";
const DEFAULT: &str = "DEFAULT";

/// How many names answer a wrong one.
const NEAREST: usize = 3;

/// What a name says: a builder, or one of its weights too.
struct Named {
    model: usize,
    weights: Option<usize>,
}

impl Catalog {
    /// The weights that a person means. `name` is one of
    ///
    /// - a builder, `resnet50`, `quantized_resnet50`, or in Python's words `torchvision.models.quantization.resnet50`;
    /// - a member of an enumeration, `ResNet50_Weights.IMAGENET1K_V2` or `ResNet50_Weights.DEFAULT`, with or without the
    ///   module before it;
    /// - a file, `resnet50-11ad3fa6.pth`, or its path on the server.
    ///
    /// `revision` chooses among a builder's weights: a member with or without its enumeration, `DEFAULT`, `pretrained`, or the
    /// digits of the file. Without one, a builder means `DEFAULT`. Case does not matter, as it does not for torchvision's builders.
    pub fn find(&self, name: &str, revision: Option<&str>) -> Result<Entry, Error> {
        let named = self.named(name)?;
        let wanted = revision
            .map(|word| self.chosen(named.model, word).ok_or_else(|| self.no_such(named.model, word)));
        let weights = match (named.weights, wanted.transpose()?) {
            (Some(own), Some(wanted)) if own != wanted => {
                return Err(self.no_such(named.model, revision.unwrap_or_default()));
            }
            (Some(own), _) => own,
            (None, Some(wanted)) => wanted,
            (None, None) => self.chosen(named.model, DEFAULT).ok_or_else(|| self.unknown(name))?,
        };
        Ok(self.entry(named.model, weights))
    }

    /// The weights whose file has this name.
    pub fn by_file(&self, name: &str) -> Option<Entry> {
        self.entries().find(|entry| entry.file_name() == name)
    }

    /// The other weights of a builder, and what resembles its file: answers for weights that the server no longer has.
    pub(crate) fn instead_of(&self, entry: &Entry) -> Vec<String> {
        let weights = &entry.model().weights;
        let others = (0..weights.len()).filter(|i| *i != entry.weights);
        let mut instead: Vec<String> = others.map(|i| self.entry(entry.model, i).handle()).collect();
        // With the revision cut off, what is near is another builder or this one.
        let own = format!("{}:{}", Hub::NAME, entry.model_name());
        let builder =
            |near: &String| near.split_once('@').map_or(near.as_str(), |(builder, _)| builder) != own;
        instead.extend(self.nearest(entry.model_name()).into_iter().filter(builder));
        instead.truncate(NEAREST);
        instead
    }

    fn named(&self, name: &str) -> Result<Named, Error> {
        let models = || self.inner.models.iter().enumerate();
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if let Some((model, _)) = models().find(|(_, m)| same(&m.name, name) || same(&m.builder, name)) {
            return Ok(Named { model, weights: None });
        }
        let file = self.entries().find(|e| e.file_name() == name || e.path().as_str() == name);
        if let Some(entry) = file {
            return Ok(Named { model: entry.model, weights: Some(entry.weights) });
        }
        if let Some((before, member)) = name.rsplit_once('.') {
            let (module, enumeration) = before.rsplit_once('.').unwrap_or(("", before));
            let found = models().find(|(_, m)| same(&m.enumeration, enumeration) && is_module_of(module, m));
            if let Some((model, _)) = found {
                // `pretrained` is no member of an enumeration.
                let weights =
                    Some(member).filter(|m| !same(m, PRETRAINED)).and_then(|m| self.chosen(model, m));
                return match weights {
                    Some(weights) => Ok(Named { model, weights: Some(weights) }),
                    None => Err(self.no_such(model, member)),
                };
            }
        }
        Err(self.unknown(name))
    }

    /// Which of a builder's weights a word means.
    fn chosen(&self, model: usize, word: &str) -> Option<usize> {
        let m = self.inner.models.get(model)?;
        let position = |member: &str| m.weights.iter().position(|w| w.member.eq_ignore_ascii_case(member));
        if word.eq_ignore_ascii_case(DEFAULT) {
            return position(&m.default);
        }
        if word.eq_ignore_ascii_case(PRETRAINED) {
            return position(m.pretrained.as_deref()?);
        }
        let by_digits = || (0..m.weights.len()).find(|i| self.entry(model, *i).revision() == word);
        position(word).or_else(by_digits).or_else(|| {
            // Builders take the name with the enumeration in front, too.
            let (enumeration, member) = word.split_once('.')?;
            let is_own = enumeration.eq_ignore_ascii_case(&m.enumeration) && !member.contains('.');
            if is_own && !member.eq_ignore_ascii_case(PRETRAINED) { self.chosen(model, member) } else { None }
        })
    }

    fn no_such(&self, model: usize, word: &str) -> Error {
        let Some(m) = self.inner.models.get(model) else { return self.unknown(word) };
        let wanted = if word.eq_ignore_ascii_case(PRETRAINED) {
            "weights that `pretrained=True` alone would choose".to_owned()
        } else {
            format!("weights `{word}`")
        };
        let available = m.weights.iter().map(|w| format!("{}@{}", m.name, w.member)).collect();
        Error::UnknownRevision { hub: HUB.into(), name: m.name.clone(), wanted, available }
    }

    fn unknown(&self, name: &str) -> Error {
        Error::UnknownModel { hub: HUB.into(), name: name.to_owned(), nearest: self.nearest(name) }
    }

    /// Handles of what resembles a name. Files and enumerations are near where they are meant, and answered as handles.
    fn nearest(&self, name: &str) -> Vec<String> {
        let models = &self.inner.models;
        // Of `ResNet51_Weights.DEFAULT`, the part that has to resemble something.
        let before = name.rsplit_once('.').map(|(before, _)| before.rsplit('.').next().unwrap_or(before));
        let wanted = match before {
            Some(enumeration) if enumeration.to_ascii_lowercase().ends_with("weights") => enumeration,
            _ => name,
        };
        let builders = models.iter().map(|m| m.name.as_str());
        let enumerations = models.iter().map(|m| m.enumeration.as_str());
        let files = models.iter().flat_map(|m| m.weights.iter().map(|w| w.path.file_name()));
        let all = builders.chain(enumerations).chain(files);
        let mut handles: Vec<String> = Vec::new();
        for near in nearest(wanted, all, NEAREST * 4) {
            let handle = match self.by_file(&near) {
                Some(entry) => Some(entry.handle()),
                None => models
                    .iter()
                    .find(|m| m.name == near || m.enumeration == near)
                    .map(|m| format!("{}:{}", Hub::NAME, m.name)),
            };
            handles.extend(handle.filter(|handle| !handles.contains(handle)));
        }
        handles.truncate(NEAREST);
        handles
    }
}

/// Whether `torchvision.models.quantization`, or nothing, may stand before an enumeration.
fn is_module_of(module: &str, model: &Model) -> bool {
    let own = model.builder.rsplit_once('.').map_or("", |(module, _)| module);
    module.is_empty() || module.eq_ignore_ascii_case(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handle that is found, or the error with its hint.
    fn find(name: &str, revision: Option<&str>) -> String {
        Catalog::embedded()
            .find(name, revision)
            .map_or_else(|e| format!("{e} | {}", e.hint().unwrap_or_default()), |e| e.handle())
    }

    #[test]
    fn every_way_of_naming_weights_finds_them() {
        let (v1, v2) = ("torchvision:resnet50@IMAGENET1K_V1", "torchvision:resnet50@IMAGENET1K_V2");
        let cases = [
            ("resnet50", None, v2),
            ("ResNet50", None, v2),
            ("resnet50", Some("DEFAULT"), v2),
            ("resnet50", Some("default"), v2),
            ("resnet50", Some("pretrained"), v1),
            ("resnet50", Some("IMAGENET1K_V1"), v1),
            ("resnet50", Some("imagenet1k_v1"), v1),
            ("resnet50", Some("ResNet50_Weights.IMAGENET1K_V1"), v1),
            ("resnet50", Some("ResNet50_Weights.DEFAULT"), v2),
            ("resnet50", Some("0676ba61"), v1),
            ("torchvision.models.resnet50", None, v2),
            ("torchvision.models.resnet50", Some("pretrained"), v1),
            ("ResNet50_Weights.IMAGENET1K_V1", None, v1),
            ("ResNet50_Weights.DEFAULT", None, v2),
            ("ResNet50_Weights.DEFAULT", Some("IMAGENET1K_V2"), v2),
            ("torchvision.models.ResNet50_Weights.IMAGENET1K_V1", None, v1),
            ("resnet50-0676ba61.pth", None, v1),
            ("models/resnet50-0676ba61.pth", None, v1),
            ("resnet50-0676ba61.pth", Some("IMAGENET1K_V1"), v1),
            (
                "torchvision.models.quantization.resnet50",
                None,
                "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V2",
            ),
            (
                "ResNet50_QuantizedWeights.IMAGENET1K_FBGEMM_V1",
                None,
                "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V1",
            ),
            (
                "quantized_resnet50",
                Some("resnet50_fbgemm_bf931d71"),
                "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V1",
            ),
            (
                "models/quantized/resnet50_fbgemm_bf931d71.pth",
                None,
                "torchvision:quantized_resnet50@IMAGENET1K_FBGEMM_V1",
            ),
            (
                "torchvision.models.segmentation.fcn_resnet50",
                None,
                "torchvision:fcn_resnet50@COCO_WITH_VOC_LABELS_V1",
            ),
            (
                "keypointrcnn_resnet50_fpn",
                Some("pretrained"),
                "torchvision:keypointrcnn_resnet50_fpn@COCO_V1",
            ),
        ];
        for (name, revision, expected) in cases {
            assert_eq!(find(name, revision), expected, "{name} {revision:?}");
        }
    }

    #[test]
    fn every_entry_is_found_by_all_of_its_names() {
        let catalog = Catalog::embedded();
        for entry in catalog.entries() {
            let (handle, model) = (entry.handle(), entry.model_name());
            assert_eq!(find(model, Some(entry.weights())), handle);
            assert_eq!(find(model, Some(entry.revision())), handle);
            assert_eq!(find(entry.file_name(), None), handle);
            assert_eq!(find(entry.path().as_str(), None), handle);
            assert_eq!(find(&format!("{}.{}", entry.enumeration(), entry.weights()), None), handle);
            if entry.is_default() {
                assert_eq!(find(model, None), handle);
                assert_eq!(find(&format!("{}.DEFAULT", entry.enumeration()), None), handle);
            }
            if entry.is_pretrained() {
                assert_eq!(find(model, Some("pretrained")), handle);
            }
        }
    }

    #[test]
    fn wrong_names_are_answered_with_right_ones() {
        for (name, revision, parts) in [
            ("resnet51", None, &["`torchvision:resnet50`", "no model named `resnet51`"][..]),
            ("ResNet51_Weights.DEFAULT", None, &["`torchvision:resnet50`"]),
            // The file that `pretrained=True` fetched before 2021.
            ("resnet50-19c8e357.pth", None, &["`torchvision:resnet50@IMAGENET1K_V"]),
            ("resnet50", Some("IMAGENET1K_V3"), &["weights `IMAGENET1K_V3`", "`resnet50@IMAGENET1K_V2`"]),
            (
                "ResNet50_Weights.IMAGENET1K_V3",
                None,
                &["weights `IMAGENET1K_V3`", "`resnet50@IMAGENET1K_V1`"],
            ),
            ("ResNet50_Weights.pretrained", None, &["not weights that"]),
            ("ResNet50_Weights.DEFAULT", Some("IMAGENET1K_V1"), &["not weights `IMAGENET1K_V1`"]),
            ("resnet50", Some("ResNet18_Weights.IMAGENET1K_V1"), &["not weights `ResNet18_Weights"]),
            ("vit_h_14", Some("pretrained"), &["`pretrained=True`", "`vit_h_14@IMAGENET1K_SWAG_E2E_V1`"]),
            ("quantized_resnet50", Some("pretrained"), &["`pretrained=True`"]),
            ("torchvision.models.video.ResNet50_Weights.DEFAULT", None, &["no model named"]),
            ("qqqqqqqqqq", None, &["`zoo search TEXT`"]),
        ] {
            let said = find(name, revision);
            assert!(parts.iter().all(|part| said.contains(part)), "{name} {revision:?}: {said}");
        }
    }

    #[test]
    fn what_can_be_had_instead_begins_with_the_builders_own() {
        let catalog = Catalog::embedded();
        let instead = catalog.instead_of(&catalog.find("resnet50", None).unwrap());
        assert_eq!(instead[0], "torchvision:resnet50@IMAGENET1K_V1");
        let alone = catalog.instead_of(&catalog.find("resnet18", None).unwrap());
        assert!(!alone.is_empty() && !alone.contains(&"torchvision:resnet18".to_owned()), "{alone:?}");
    }
}
