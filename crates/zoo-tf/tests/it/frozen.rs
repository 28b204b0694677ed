//! Frozen graphs: one file with everything in it.

use zoo_formats::tf::proto::{Attr, TensorProto};
use zoo_formats::tf::saved_model::read_graph;
use zoo_graph::Builder;
use zoo_graph::weights::Weights;
use zoo_tensor::{DType, SourceFile, Weight};
use zoo_tf::Error;
use zoo_tf::frozen::{FrozenOptions, write};

use crate::support::{Checkpoint, histogram, image, is_sound, named, node, read, words};

fn value(graph: &zoo_formats::tf::proto::GraphDef, name: &str) -> (Vec<i64>, Vec<f32>) {
    let Some(Attr::Tensor(tensor)) = node(graph, name).attribute("value") else { panic!("{name}") };
    let TensorProto { tensor_shape, tensor_content, .. } = &**tensor;
    let floats = tensor_content.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    (tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).collect(), floats.collect())
}

#[test]
fn weights_are_constants() {
    let checkpoint = Checkpoint::of(46);
    let path = checkpoint.path("frozen.pb");
    let written = write(&words(&checkpoint), &path, &FrozenOptions::default()).unwrap();
    assert_eq!((written.bytes_written, written.files), (read(&path).len() as u64, vec![path.clone()]));
    let graph = read_graph(&path).unwrap();
    is_sound(&graph);
    let (shape, floats) = value(&graph, "dense.weight");
    let expected: Vec<f32> = (28_u8..40).map(|i| f32::from(i) / 8.0).collect();
    assert_eq!((shape, floats), (vec![3, 4], expected));
    let product = graph.node.iter().find(|node| node.op == "MatMul").unwrap();
    assert_eq!(product.input[1], "dense.weight");
    assert_eq!(product.attribute("transpose_b"), Some(&Attr::B(true)));
    assert!(histogram(&graph).keys().all(|op| !op.contains("Var")), "nothing is restored");
    assert_eq!(graph.versions.as_ref().unwrap().min_consumer, 12);
    assert_eq!(node(&graph, "input_ids").attribute("dtype"), Some(&Attr::Type(3)));
}

#[test]
fn inputs_can_be_wide() {
    let checkpoint = Checkpoint::of(46);
    let path = checkpoint.path("frozen.pb");
    let written = write(&words(&checkpoint), &path, &FrozenOptions::default().wide_integers(true)).unwrap();
    assert_eq!(written.inputs[0].dtype, DType::I64);
    assert_eq!(node(&read_graph(&path).unwrap(), "input_ids").attribute("dtype"), Some(&Attr::Type(9)));
}

#[test]
fn kernels_are_in_tensorflows_order() {
    let checkpoint = Checkpoint::of(4 * 3 * 9 + 4 + 5 * 4 * 4);
    let path = checkpoint.path("frozen.pb");
    write(&image(&checkpoint), &path, &FrozenOptions::default()).unwrap();
    let graph = read_graph(&path).unwrap();
    is_sound(&graph);
    // Element [h, w, in, out] is PyTorch's [out, in, h, w].
    let (shape, floats) = value(&graph, "first.weight/permuted");
    assert_eq!(shape, [3, 3, 3, 4]);
    let at = |h: usize, w: usize, i: usize, o: usize| floats[((h * 3 + w) * 3 + i) * 4 + o];
    let expected = (((3 * 3 + 1) * 3 + 2) * 3 + 1) as f32 / 8.0;
    assert_eq!(at(2, 1, 1, 3).to_bits(), expected.to_bits());
    // The picture is turned once, in front; what follows stays so, and the average needs no order.
    assert_eq!(histogram(&graph)["Transpose"], 1);
}

#[test]
fn more_than_protobuf_allows_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    // Nothing of it takes room on the disk.
    std::fs::File::create(&path).unwrap().set_len(3 << 30).unwrap();
    let file = SourceFile::new(&path).unwrap();
    let weight = Weight::in_file(DType::F32, [3 << 18, 1 << 10], &file, 0).unwrap();
    let w = Weights::new([("w".to_owned(), weight)]).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let ids = g.input("ids", DType::I64, [named("n")]).unwrap();
    let table = g.weight(&w, "w").unwrap();
    let y = g.embedding(table, ids).unwrap();
    g.output("y", y).unwrap();
    let target = folder.path().join("frozen.pb");
    let error = write(&g.finish().unwrap(), &target, &FrozenOptions::default()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { size, .. } if size > 3 << 30), "{error}");
    assert!(error.hint().unwrap().contains("SavedModel") && !target.exists());
}

#[test]
fn the_same_bytes_twice() {
    let checkpoint = Checkpoint::of(46);
    let graph = words(&checkpoint);
    let [one, two] = ["one.pb", "two.pb"].map(|name| {
        let path = checkpoint.path(name);
        write(&graph, &path, &FrozenOptions::default()).unwrap();
        read(&path)
    });
    assert_eq!(one, two);
}
