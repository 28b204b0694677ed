//! Flax's parameters: keys of nested maps, convolutions with the output channels last, norms with a `scale`.
//!
//! The rules are those of `transformers/modeling_flax_pytorch_utils.py` (4.57), the last release that had Flax models. The outer
//! keys are `params` and `batch_stats` where a network has batch norms, otherwise the parameters themselves.

use super::Mapped;

/// What a parameter is called in PyTorch. `grouped`: the file has `params` and `batch_stats` around its names.
pub(super) fn parameter(name: &str, shape: &[usize], grouped: bool) -> Mapped {
    let name = if grouped { name.split_once('.').map_or(name, |(_, inner)| inner) } else { name };
    let (module, last) = name.rsplit_once('.').map_or(("", name), |(module, last)| (module, last));
    let (last, order) = match (last, shape.len()) {
        ("kernel", 4) => ("weight", Some(vec![3, 2, 0, 1])),
        ("kernel", rank) => ("weight", Some((0..rank).rev().collect())),
        ("scale" | "embedding", _) => ("weight", None),
        ("mean", _) => ("running_mean", None),
        ("var", _) => ("running_var", None),
        (other, _) => (other, None),
    };
    let path = if module.is_empty() { last.to_owned() } else { format!("{module}.{last}") };
    Mapped { path, shape: None, order }
}

/// Whether all names have `params` or `batch_stats` in front.
pub(super) fn is_grouped<'n>(names: impl IntoIterator<Item = &'n str>) -> bool {
    let mut names = names.into_iter().peekable();
    names.peek().is_some()
        && names.all(|name| name.starts_with("params.") || name.starts_with("batch_stats."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_axes() {
        for (name, shape, path, order) in [
            (
                "bert.encoder.layer.0.output.dense.kernel",
                &[2, 3][..],
                "bert.encoder.layer.0.output.dense.weight",
                Some(vec![1, 0]),
            ),
            ("bert.embeddings.LayerNorm.scale", &[3], "bert.embeddings.LayerNorm.weight", None),
            ("shared.embedding", &[9, 3], "shared.weight", None),
            ("conv.kernel", &[3, 3, 2, 4], "conv.weight", Some(vec![3, 2, 0, 1])),
            ("conv.kernel", &[3, 2, 4], "conv.weight", Some(vec![2, 1, 0])),
            ("cls_token", &[1, 1, 4], "cls_token", None),
        ] {
            let mapped = parameter(name, shape, false);
            assert_eq!((mapped.path.as_str(), mapped.order, mapped.shape), (path, order, None), "{name}");
        }
        assert_eq!(parameter("batch_stats.norm.mean", &[4], true).path, "norm.running_mean");
        assert_eq!(parameter("batch_stats.norm.var", &[4], true).path, "norm.running_var");
        assert_eq!(parameter("params.norm.bias", &[4], true).path, "norm.bias");
    }

    #[test]
    fn groups_of_parameters() {
        assert!(is_grouped(["params.a.kernel", "batch_stats.b.mean"]));
        assert!(!is_grouped(["params.a.kernel", "b.mean"]) && !is_grouped([]));
    }
}
