//! Weights that transformers wrote for TensorFlow and Flax, under the names and with the axes of the PyTorch network that they came
//! from: the same names, shapes and bytes (`tests/fixtures/huggingface/make_names.py`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zoo_formats::open;
use zoo_tensor::{DType, Weight};

use super::canonical;
use crate::select::Framework;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/huggingface/names")
}

/// Type, shape and bytes.
type Content = (DType, Vec<usize>, Vec<u8>);

fn content(weight: &Weight) -> Content {
    let tensor = weight.to_tensor().unwrap();
    (tensor.dtype(), tensor.shape().to_vec(), tensor.bytes().unwrap().to_vec())
}

fn read(path: &Path, framework: Framework) -> BTreeMap<String, Content> {
    let checkpoint = open(path).unwrap();
    let tensors = checkpoint.state_dict().unwrap().clone().into_iter().collect();
    let named = canonical(tensors, framework, checkpoint.container(), "").unwrap();
    named.iter().map(|tensor| (tensor.path.clone(), content(&tensor.weight))).collect()
}

/// What the file of another framework has is what PyTorch's has. A base model's own name may stand in front; `apart`, by the end of
/// their names, are tensors that only one of the two keeps.
fn assert_same(network: &str, file: &str, framework: Framework, apart: &[&str]) {
    let folder = fixtures().join(network);
    let mut pytorch = read(&folder.join("model.safetensors"), Framework::Pt);
    let mut found = read(&folder.join(file), framework);
    for tensors in [&mut pytorch, &mut found] {
        tensors.retain(|name, _| !apart.iter().any(|end| name.ends_with(end)));
    }
    let base = found.keys().find(|name| !pytorch.contains_key(*name)).and_then(|name| name.split_once('.'));
    let base = base.map(|(base, _)| format!("{base}."));
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|(name, content)| {
            (base.as_ref().and_then(|base| name.strip_prefix(base)).unwrap_or(&name).to_owned(), content)
        })
        .collect();
    let names = |tensors: &BTreeMap<String, Content>| tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&pytorch), "{network}/{file}");
    for (name, content) in &found {
        assert_eq!(content.1, pytorch[name].1, "{network}/{file}: {name}");
        assert!(content == &pytorch[name], "{network}/{file}: {name}");
    }
}

/// MobileBERT's embeddings once more, which PyTorch keeps once.
const TIED: &str = "cls.predictions.decoder.weight";

/// Counters of batch norms, which only PyTorch has.
const COUNTERS: &str = "num_batches_tracked";

#[test]
fn tensorflows_weights_are_pytorchs() {
    for (network, apart) in [
        ("bert", &[][..]),
        ("bert_base", &[]),
        ("distilbert", &[]),
        ("gpt2", &[]),
        ("vit", &[]),
        ("t5", &[]),
        ("bart", &[]),
        ("resnet", &[COUNTERS]),
        ("convnext", &[]),
        ("wav2vec2", &[]),
        ("wav2vec2_stable", &[]),
        ("convbert", &[]),
        ("mobilebert", &[TIED]),
    ] {
        for file in ["tf_model.h5", "tf.safetensors"] {
            assert_same(network, file, Framework::Tf, apart);
        }
    }
}

#[test]
fn flaxs_weights_are_pytorchs() {
    for (network, apart) in [
        ("bert", &[][..]),
        ("bert_base", &[]),
        ("distilbert", &[]),
        ("gpt2", &[]),
        ("vit", &[]),
        ("t5", &[]),
        ("bart", &[]),
        ("resnet", &[COUNTERS]),
        ("wav2vec2_stable", &[]),
    ] {
        for file in ["flax_model.msgpack", "flax.safetensors"] {
            assert_same(network, file, Framework::Flax, apart);
        }
    }
}

#[test]
fn safetensors_say_whose_names_they_have() {
    for (file, format) in
        [("model.safetensors", "pt"), ("tf.safetensors", "tf"), ("flax.safetensors", "flax")]
    {
        let checkpoint = open(&fixtures().join("bert").join(file)).unwrap();
        assert_eq!(checkpoint.state_dict().unwrap().metadata()["format"], format);
    }
}

#[test]
fn other_axes_are_views() {
    let checkpoint = open(&fixtures().join("resnet/tf_model.h5")).unwrap();
    let tensors: Vec<_> = checkpoint.state_dict().unwrap().clone().into_iter().collect();
    let named = canonical(tensors, Framework::Tf, checkpoint.container(), "resnet").unwrap();
    assert!(named.iter().all(|tensor| tensor.weight.place().is_some()), "nothing is copied");
    let kernel =
        named.iter().find(|tensor| tensor.path == "resnet.embedder.embedder.convolution.weight").unwrap();
    assert_eq!(kernel.weight.shape(), [4, 3, 7, 7]);
    assert_eq!(kernel.weight.place().unwrap().strides, Some(vec![1, 4, 84, 12]));
}

#[test]
fn models_of_two_models_are_refused() {
    let checkpoint = open(&fixtures().join("bert/tf_model.h5")).unwrap();
    let error = canonical(Vec::new(), Framework::Tf, checkpoint.container(), "encoder-decoder").unwrap_err();
    assert_eq!(
        error.to_string(),
        "zoo does not translate the names that `tf` weights of the type `encoder-decoder` have"
    );
}
