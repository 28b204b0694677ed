//! TensorFlow's variables: paths of layers with slashes, convolutions with the output channels last.
//!
//! The rules are those of `transformers/modeling_tf_pytorch_utils.py` (4.57), the last release that had TensorFlow models. A
//! variable is called `tf_bert_for_masked_lm/bert/encoder/layer_._0/output/dense/kernel:0`: the model's own name first, lists as
//! `_._`, and in front of `___` whatever its PyTorch counterpart does not have. HDF5 files have the group of its layer in front
//! of that; safetensors files leave out the model's name, except beside names with `model.` in them.
//!
//! Beyond that file's rules, which look at the PyTorch model, these look at names and ranks alone: statistics of batch norms get
//! their PyTorch names (transformers loads only parameters), biases of GPT-2's `Conv1D` lose their first axis, what weight norm
//! keeps of a convolution's length (the only `weight_g` there is: wav2vec2 and its kin) moves to the last axis, and the bias of a
//! separable convolution becomes a column.

use super::Mapped;

/// The only separable convolution that PyTorch's models have: ConvBERT's own, whose bias is a column.
const SEPARABLE: &str = "key_conv_attn_layer";

/// What a variable of an HDF5 file is called in PyTorch: [`variable`] without the group of its layer.
pub(super) fn of_hdf5(path: &str, shape: &[usize]) -> Mapped {
    variable(path.split_once('/').map_or(path, |(_, variable)| variable), shape)
}

/// What a variable of a safetensors file is called in PyTorch.
pub(super) fn of_safetensors(key: &str, shape: &[usize]) -> Mapped {
    if key.contains("model.") || !key.contains('/') {
        return variable(key, shape);
    }
    // Any name in the place of the model's.
    variable(&format!("model/{key}"), shape)
}

/// What a variable is called in PyTorch, and how its axes have to be read.
pub(super) fn variable(name: &str, shape: &[usize]) -> Mapped {
    let name = name.replace(":0", "");
    let name = without_marks(&name).replace("_._", "/");
    let mut parts: Vec<&str> = name.split('/').collect();
    // A name can begin or end with a slash, which is an empty part that counts.
    let (first, last) = (0, parts.len() - 1);
    let mut place = 0;
    parts.retain(|part| {
        let keep = !part.is_empty() || place == first || place == last;
        place += 1;
        keep
    });
    if parts.len() > 1 {
        parts.remove(0);
    }
    let transposed = parts.iter().any(|part| matches!(*part, "emb_projs" | "out_projs"));
    let (last, module) = parts.split_last().map_or(("", &[][..]), |(last, module)| (*last, module));
    let (last, order, reshaped) = match (last, shape) {
        ("kernel", [_, _, _, _]) => ("weight", Some(vec![3, 2, 0, 1]), None),
        ("kernel", _) => ("weight", Some(reversed(shape)), None),
        // Of separable convolutions: [length, channels, 1] and [1, in, out].
        ("depthwise_kernel", [_, _, 1]) => ("depthwise.weight", Some(vec![1, 2, 0]), None),
        ("depthwise_kernel", _) => ("depthwise.weight", Some(reversed(shape)), None),
        ("pointwise_kernel", _) => ("pointwise.weight", Some(reversed(shape)), None),
        ("weight_g", [_, 1, 1]) => ("weight_g", Some(vec![2, 1, 0]), None),
        ("bias", &[1, width]) => ("bias", None, Some(vec![width])),
        ("bias", &[width]) if module.last() == Some(&SEPARABLE) => ("bias", None, Some(vec![width, 1])),
        (last, _) => (renamed(last), transposed.then(|| reversed(shape)), None),
    };
    let path = module.iter().copied().chain(std::iter::once(last)).collect::<Vec<_>>().join(".");
    Mapped { path, shape: reshaped, order }
}

fn reversed(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).rev().collect()
}

fn renamed(last: &str) -> &str {
    match last {
        "embeddings" | "gamma" => "weight",
        "beta" => "bias",
        "moving_mean" => "running_mean",
        "moving_variance" => "running_var",
        other => other,
    }
}

/// Of each part between two slashes, what stands behind its last `___`. A slash belongs to one part only, so of two
/// neighbours with marks the second keeps its own, as in the original.
fn without_marks(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').collect();
    let mut out = Vec::with_capacity(parts.len());
    let mut before_had_one = true; // Nothing comes before the first part, so it keeps its mark.
    for (place, part) in parts.iter().enumerate() {
        let marked = part.rsplit_once("___").filter(|_| !before_had_one && place + 1 < parts.len());
        out.push(marked.map_or(*part, |(_, behind)| behind));
        before_had_one = marked.is_some();
    }
    out.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_their_rules() {
        for (name, shape, path) in [
            (
                "tf_bert_model/bert/embeddings/word_embeddings/weight:0",
                &[9, 4][..],
                "bert.embeddings.word_embeddings.weight",
            ),
            (
                "m/bert/embeddings/position_embeddings/embeddings:0",
                &[9, 4],
                "bert.embeddings.position_embeddings.weight",
            ),
            (
                "m/bert/encoder/layer_._11/output/LayerNorm/gamma:0",
                &[4],
                "bert.encoder.layer.11.output.LayerNorm.weight",
            ),
            (
                "m/bert/encoder/layer_._11/output/LayerNorm/beta:0",
                &[4],
                "bert.encoder.layer.11.output.LayerNorm.bias",
            ),
            ("m/mlm___cls/predictions/bias:0", &[9], "cls.predictions.bias"),
            ("m/nsp___cls/seq_relationship/kernel:0", &[4, 2], "cls.seq_relationship.weight"),
            ("m/a___b/c___d/weight:0", &[1], "b.c___d.weight"),
            ("m/a___b___c/weight:0", &[1], "c.weight"),
            ("m//x//y/weight:0", &[1], "x.y.weight"),
            ("final_logits_bias:0", &[1, 9], "final_logits_bias"),
            ("model.shared/model.shared/embeddings:0", &[9, 4], "model.shared.weight"),
            ("m/resnet/norm/moving_mean:0", &[4], "resnet.norm.running_mean"),
            ("m/resnet/norm/moving_variance:0", &[4], "resnet.norm.running_var"),
        ] {
            assert_eq!(variable(name, shape).path, path, "{name}");
        }
        assert_eq!(of_hdf5("bert/m/bert/pooler/dense/bias:0", &[4]).path, "bert.pooler.dense.bias");
        assert_eq!(of_hdf5("final_logits_bias/final_logits_bias:0", &[1, 4]).path, "final_logits_bias");
        assert_eq!(of_safetensors("mlm___cls/predictions/bias:0", &[4]).path, "cls.predictions.bias");
        assert_eq!(of_safetensors("final_logits_bias:0", &[4]).path, "final_logits_bias");
        assert_eq!(of_safetensors("m/model.decoder/x/bias:0", &[4]).path, "model.decoder.x.bias");
    }

    #[test]
    fn axes_by_names_and_ranks() {
        let order = |name: &str, shape: &[usize]| variable(name, shape).order;
        assert_eq!(order("m/x/kernel:0", &[2, 3]), Some(vec![1, 0]));
        assert_eq!(order("m/x/kernel:0", &[5, 2, 3]), Some(vec![2, 1, 0]));
        assert_eq!(order("m/x/kernel:0", &[5, 5, 2, 3]), Some(vec![3, 2, 0, 1]));
        assert_eq!(order("m/x/depthwise_kernel:0", &[5, 2, 1]), Some(vec![1, 2, 0]));
        assert_eq!(order("m/x/pointwise_kernel:0", &[1, 2, 3]), Some(vec![2, 1, 0]));
        assert_eq!(order("m/x/emb_projs_._0:0", &[2, 3]), Some(vec![1, 0]));
        assert_eq!(order("m/x/embeddings:0", &[2, 3]), None);
        assert_eq!(
            order("m/h_._0/attn/c_attn/weight:0", &[2, 6]),
            None,
            "GPT-2's Conv1D is the same in PyTorch"
        );
        let bias = variable("m/h_._0/attn/c_attn/bias:0", &[1, 6]);
        assert_eq!(
            (bias.path.as_str(), bias.shape, bias.order),
            ("h.0.attn.c_attn.bias", Some(vec![6]), None)
        );
    }
}
