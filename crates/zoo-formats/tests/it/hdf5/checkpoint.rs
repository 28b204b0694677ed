//! HDF5 files under the face that all containers have.

use super::fixture;
use zoo_formats::{Container, Error, Sniffed, open, sniff};

#[test]
fn weights_of_layers() {
    let path = fixture("layers.h5");
    assert_eq!(sniff(&path).unwrap(), Sniffed::Container(Container::Hdf5));
    let checkpoint = open(&path).unwrap();
    assert_eq!(checkpoint.container(), Container::Hdf5);
    assert_eq!(checkpoint.origin().to_string(), "\"model_weights\"; beside it: \"optimizer_weights\"");
    let weights = checkpoint.state_dict().unwrap();
    assert_eq!(
        weights.names().collect::<Vec<_>>(),
        [
            "second/x/kernel:0",
            "first/first/kernel:0",
            "first/first/bias:0",
            "in/path/w:0",
            "top_level_model_weights/scale:0"
        ]
    );
    assert_eq!(weights.get("first/first/bias:0").unwrap().shape(), [2, 3]);
    assert!(weights.iter().all(|(_, weight)| weight.in_place().is_some()));
    assert_eq!(weights.metadata()["backend"], "tensorflow");
    assert!(matches!(checkpoint.state_dict_at("optimizer_weights"), Err(Error::NoSuchDictionary { .. })));
}

#[test]
fn all_datasets_of_other_files() {
    let checkpoint = open(&fixture("groups_latest.h5")).unwrap();
    let weights = checkpoint.state_dict().unwrap();
    let names: Vec<_> = weights.names().take(4).collect();
    assert_eq!(
        names,
        ["a/shared", "a/b/c", "large/member_000_of_a_large_group", "large/member_001_of_a_large_group"]
    );
    assert_eq!(weights.len(), 62, "the circle is walked once");

    let checkpoint = open(&fixture("types_earliest.h5")).unwrap();
    let skipped: Vec<_> =
        checkpoint.dictionaries()[0].skipped.iter().map(|it| format!("{}: {}", it.name, it.what)).collect();
    assert_eq!(
        skipped,
        ["compound: a compound of several values", "opaque: 3 bytes without a meaning", "texts: text"]
    );
    let error = checkpoint.state_dict().unwrap_err().to_string();
    assert!(error.contains("\"null\" cannot be read: the dataset \"null\" holds nothing"), "{error}");
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let checkpoint = open(&fixture("refused.h5")).unwrap();
    let Error::Refused { refused, .. } = checkpoint.state_dict().unwrap_err() else { panic!() };
    let named: Vec<_> = refused.named.iter().map(|(name, problem)| format!("{name} {problem}")).collect();
    assert_eq!(
        named,
        [
            "elsewhere cannot be read: the dataset \"elsewhere\" keeps its elements in other files",
            "lzf cannot be read: the dataset \"lzf\" is stored with the filter lzf, which is not read",
            "scaleoffset cannot be read: the dataset \"scaleoffset\" is stored with the filter scaleoffset, which is not read",
        ]
    );
    let skipped: Vec<_> =
        checkpoint.dictionaries()[0].skipped.iter().map(|it| format!("{}: {}", it.name, it.what)).collect();
    assert_eq!(
        skipped,
        [
            "arrays: an array in each element",
            "inner: a compound of several values",
            "lists: a list of any length",
            "odd_float: a float of 80 bits that is none of the usual ones",
            "references: a reference to another object",
        ]
    );
    let error = open(&fixture("virtual.h5")).unwrap().state_dict().unwrap_err().to_string();
    assert!(
        error.contains("a virtual dataset, which takes its elements from other files, is not read"),
        "{error}"
    );
}
