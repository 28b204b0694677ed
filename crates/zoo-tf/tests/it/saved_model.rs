//! SavedModels: the checkpoint stays what it is, and everything else says where in it the variables are.

use std::cell::RefCell;
use std::path::PathBuf;

use zoo_formats::tf::bundle::Bundle;
use zoo_formats::tf::proto::{Attr, Collection, MetaGraphDef, VariableDef};
use zoo_formats::tf::saved_model::{read as read_model, tagged, variables};
use zoo_graph::weights::Weights;
use zoo_graph::{Builder, Graph};
use zoo_tensor::{DType, Weight};
use zoo_tf::Error;
use zoo_tf::saved_model::{Placing, SavedModelOptions, write};

use crate::support::{Checkpoint, START, histogram, is_sound, named, node, read, words};

fn written(checkpoint: &Checkpoint, graph: &Graph) -> (MetaGraphDef, zoo_tf::Written) {
    let folder = checkpoint.path("saved_model");
    let written = write(graph, &folder, &SavedModelOptions::default()).unwrap();
    let model = read_model(&folder).unwrap();
    assert_eq!(model.saved_model_schema_version, 1);
    (tagged(&model, &["serve"]).unwrap().clone(), written)
}

#[test]
fn the_checkpoint_is_the_shard() {
    let checkpoint = Checkpoint::of(7 * 4 + 3 * 4 + 3 + 3);
    let (_, written) = written(&checkpoint, &words(&checkpoint));
    let files: Vec<_> =
        ["saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"]
            .map(PathBuf::from)
            .into();
    assert_eq!(written.files, files);
    let shard = checkpoint.path("saved_model").join(&files[1]);
    assert_eq!(read(&shard), read(checkpoint.file.path()));
    assert_eq!(written.placed_bytes, checkpoint.file.len());
    let bundle = Bundle::open(&variables(&checkpoint.path("saved_model"))).unwrap();
    let places: Vec<_> = bundle.entries().map(|(name, entry)| (name, entry.offset, entry.size)).collect();
    let expected = [
        ("dense.bias", START + 160, 12),
        ("dense.weight", START + 112, 48),
        ("norm.weight", START + 172, 12),
        ("words.weight", START, 112),
    ];
    assert_eq!(places, expected);
    for (name, ..) in places {
        bundle.check(name).unwrap();
    }
}

#[test]
fn the_signatures_are_those_of_transformers() {
    let checkpoint = Checkpoint::of(46);
    let (meta, written) = written(&checkpoint, &words(&checkpoint));
    let graph = meta.graph_def.as_ref().unwrap();
    is_sound(graph);
    for (name, tensor, dtype) in
        [("serving_default", "input_ids:0", 3), ("int64_serving", "input_ids/PlaceholderWithDefault:0", 9)]
    {
        let signature = &meta.signature_def[name];
        let input = &signature.inputs["input_ids"];
        assert_eq!((input.name(), input.dtype), (Some(tensor), dtype));
        let sizes: Vec<i64> = input.tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).collect();
        assert_eq!(sizes, [-1, -1]);
        assert_eq!(signature.outputs["logits"].name(), Some("logits:0"));
        assert_eq!(signature.method_name, "tensorflow/serving/predict");
    }
    assert_eq!(meta.signature_def.len(), 2);
    assert_eq!(node(graph, "input_ids/PlaceholderWithDefault").input, ["input_ids/Cast"]);
    assert_eq!((written.inputs[0].dtype, written.outputs[0].tensor.as_str()), (DType::I32, "logits:0"));
}

#[test]
fn every_variable_is_restored_and_listed() {
    let checkpoint = Checkpoint::of(46);
    let (meta, _) = written(&checkpoint, &words(&checkpoint));
    let (graph, saver) = (meta.graph_def.as_ref().unwrap(), meta.saver_def.as_ref().unwrap());
    let counts = histogram(graph);
    for op in ["VarHandleOp", "ReadVariableOp", "AssignVariableOp"] {
        assert_eq!(counts[op], 4, "{op}");
    }
    assert_eq!((counts["RestoreV2"], counts["NoOp"], counts["MatMul"], counts["GatherV2"]), (1, 1, 1, 1));
    assert_eq!((saver.filename_tensor_name.as_str(), saver.version), ("save/Const:0", 2));
    // What restores is followed back to the names in the bundle, and those to the variables.
    let assigns: Vec<_> =
        node(graph, &saver.restore_op_name).input.iter().map(|i| node(graph, &i[1..])).collect();
    let Some(Attr::Tensor(keys)) = node(graph, "save/RestoreV2/tensor_names").attribute("value") else {
        panic!()
    };
    for (index, assign) in assigns.iter().enumerate() {
        let from = if index == 0 { "save/RestoreV2".to_owned() } else { format!("save/RestoreV2:{index}") };
        assert_eq!(assign.input[1], from);
        assert_eq!(node(graph, &assign.input[0]).op, "VarHandleOp");
        assert_eq!(keys.string_val[index], assign.input[0], "these names are legal as they are");
    }
    let Some(Collection::Bytes(listed)) = &meta.collection_def["variables"].kind else { panic!() };
    let first: VariableDef = prost::Message::decode(listed.value[0].clone()).unwrap();
    assert!(first.is_resource && first.variable_name == "words.weight:0");
    assert_eq!(node(graph, first.snapshot_name.trim_end_matches(":0")).op, "ReadVariableOp");
}

/// A weight that lies transposed is turned in the graph; one whose every second row is used has to be written.
#[test]
fn what_cannot_stay_gets_a_shard_of_its_own() {
    let checkpoint = Checkpoint::of(46);
    let apart = Weight::strided(DType::F32, [2, 4], &[8, 1], &checkpoint.file, START, false).unwrap();
    let dense = Weight::in_file(DType::F32, [4], &checkpoint.file, START).unwrap();
    let w = Weights::new([("apart".to_owned(), apart.clone()), ("dense".to_owned(), dense)]).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let (a, d) = (g.weight(&w, "apart").unwrap(), g.weight(&w, "dense").unwrap());
    let y = g.add(a, d).unwrap();
    g.output("y", y).unwrap();
    let (_, written) = written(&checkpoint, &g.finish().unwrap());
    assert_eq!(written.placed_bytes, checkpoint.file.len());
    let bundle = Bundle::open(&variables(&checkpoint.path("saved_model"))).unwrap();
    assert_eq!((bundle.shards(), bundle.entry("apart").unwrap().shard), (2, 1));
    assert_eq!(bundle.weight("apart").unwrap().to_tensor().unwrap(), apart.to_tensor().unwrap());
    bundle.check("apart").unwrap();
    bundle.check("dense").unwrap();
}

#[test]
fn without_weights_there_are_no_variables() {
    let checkpoint = Checkpoint::of(0);
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [named("n")]).unwrap();
    let y = g.relu(x).unwrap();
    g.output("y", y).unwrap();
    let (meta, written) = written(&checkpoint, &g.finish().unwrap());
    assert_eq!(written.files, [PathBuf::from("saved_model.pb")]);
    assert!(meta.saver_def.is_none() && meta.collection_def.is_empty());
    assert_eq!(meta.signature_def.keys().collect::<Vec<_>>(), ["serving_default"], "nothing is wide here");
}

#[test]
fn the_same_bytes_twice() {
    let checkpoint = Checkpoint::of(46);
    let graph = words(&checkpoint);
    let [one, two] = ["one", "two"].map(|name| {
        let folder = checkpoint.path(name);
        let written = write(&graph, &folder, &SavedModelOptions::default()).unwrap();
        written.files.iter().map(|file| read(&folder.join(file))).collect::<Vec<_>>()
    });
    assert_eq!(one, two);
}

#[test]
fn the_caller_may_place_files() {
    let checkpoint = Checkpoint::of(46);
    let placed = RefCell::new(Vec::new());
    let place = |from: &std::path::Path, to: &std::path::Path| {
        placed.borrow_mut().push(from.to_owned());
        std::fs::hard_link(from, to)
    };
    let options = SavedModelOptions::default().placing(Placing::By(&place));
    write(&words(&checkpoint), &checkpoint.path("saved_model"), &options).unwrap();
    assert_eq!(placed.into_inner(), [checkpoint.file.path()]);
    let failing = |_: &std::path::Path, _: &std::path::Path| Err(std::io::Error::other("no room"));
    let options = SavedModelOptions::default().placing(Placing::By(&failing));
    let error = write(&words(&checkpoint), &checkpoint.path("other"), &options).unwrap_err();
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    let left: Vec<_> =
        std::fs::read_dir(checkpoint.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left behind: {left:?}");
}

#[test]
fn only_a_saved_model_is_replaced() {
    let checkpoint = Checkpoint::of(46);
    let graph = words(&checkpoint);
    let folder = checkpoint.path("saved_model");
    for _ in 0..2 {
        write(&graph, &folder, &SavedModelOptions::default().durable(true)).unwrap();
    }
    let error = write(&graph, checkpoint.folder.path(), &SavedModelOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Occupied { problem: "is no SavedModel", .. }), "{error}");
    // The weights are in the folder that is to be replaced.
    let inside = folder.join("model.safetensors");
    std::fs::hard_link(checkpoint.file.path(), &inside).unwrap();
    let file = zoo_tensor::SourceFile::new(&inside).unwrap();
    let moved = Checkpoint { folder: tempfile::tempdir().unwrap(), file };
    let error = write(&words(&moved), &folder, &SavedModelOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert!(inside.exists());
}

#[test]
fn a_checkpoint_that_changed_is_noticed() {
    let checkpoint = Checkpoint::of(46);
    let graph = words(&checkpoint);
    std::fs::File::options().write(true).open(checkpoint.file.path()).unwrap().set_len(100).unwrap();
    let error = write(&graph, &checkpoint.path("saved_model"), &SavedModelOptions::default()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("it has 100 bytes now instead of 193"), "{source}");
    assert!(!checkpoint.path("saved_model").exists());
}
