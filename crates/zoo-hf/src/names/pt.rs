//! PyTorch's own older names: norms called their parameters `gamma` and `beta`, as BERT's did, and weight norms theirs `weight_g` and
//! `weight_v`.

/// The path that architectures ask for.
pub(super) fn canonical(name: &str) -> String {
    let path = name.strip_prefix("module.").unwrap_or(name);
    let Some((module, last)) = path.rsplit_once('.') else { return path.to_owned() };
    let last = match last {
        "gamma" if module.ends_with("LayerNorm") => "weight",
        "beta" if module.ends_with("LayerNorm") => "bias",
        "weight_g" => "parametrizations.weight.original0",
        "weight_v" => "parametrizations.weight.original1",
        _ => return path.to_owned(),
    };
    format!("{module}.{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_translated_and_new_ones_stay() {
        for (old, new) in [
            ("bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
            ("bert.embeddings.LayerNorm.beta", "bert.embeddings.LayerNorm.bias"),
            ("layer_scale.gamma", "layer_scale.gamma"),
            ("conv.weight_v", "conv.parametrizations.weight.original1"),
            ("module.h.0.ln_1.weight", "h.0.ln_1.weight"),
            ("scale", "scale"),
        ] {
            assert_eq!(canonical(old), new);
        }
    }
}
