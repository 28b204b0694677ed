//! Single operators, and what is refused.

use zoo_formats::tf::proto::{Attr, GraphDef};
use zoo_formats::tf::saved_model::read_graph;
use zoo_graph::{Builder, Graph};
use zoo_tensor::DType;
use zoo_tf::Error;
use zoo_tf::frozen::{FrozenOptions, write};

use crate::support::{histogram, is_sound, named, node, of_one};

fn translated(graph: &Graph) -> GraphDef {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frozen.pb");
    write(graph, &path, &FrozenOptions::default()).unwrap();
    let graph = read_graph(&path).unwrap();
    is_sound(&graph);
    graph
}

/// The whole numbers of a constant that a node has as an input.
fn ints(graph: &GraphDef, op: &str, input: usize) -> Vec<i64> {
    let user = graph.node.iter().find(|node| node.op == op).unwrap();
    let Some(Attr::Tensor(tensor)) = node(graph, &user.input[input]).attribute("value") else {
        panic!("{user:?}")
    };
    let width = if tensor.dtype == 3 { 4 } else { 8 };
    let number = |bytes: &[u8]| match width {
        4 => i64::from(i32::from_le_bytes(bytes.try_into().unwrap())),
        _ => i64::from_le_bytes(bytes.try_into().unwrap()),
    };
    tensor.tensor_content.chunks_exact(width).map(number).collect()
}

#[test]
fn no_operator_stands_twice() {
    let mut names: Vec<_> = zoo_tf::lower::operators().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn everything_that_is_refused_is_named_at_once() {
    let graph = of_one(|g, x| {
        let made = |g: &Builder| vec![(g.dtype(x), g.dims(x).to_vec())];
        let one = g.contrib("QuickGelu", &[Some(x)], vec![], made(g)).unwrap()[0];
        let two = g.contrib("QuickGelu", &[Some(one)], vec![], made(g)).unwrap()[0];
        let three = g.contrib("BiasGelu", &[Some(x)], vec![], made(g)).unwrap()[0];
        g.add(two, three).unwrap()
    });
    let folder = tempfile::tempdir().unwrap();
    let error = write(&graph, &folder.path().join("x.pb"), &FrozenOptions::default()).unwrap_err();
    let Error::Unsupported { refusals } = &error else { panic!("{error}") };
    let told: Vec<_> = refusals.iter().map(|refusal| (refusal.op.as_str(), refusal.count)).collect();
    assert_eq!(told, [("QuickGelu", 2), ("BiasGelu", 1)]);
    assert!(
        error.to_string().contains("QuickGelu has no counterpart (\"quickgelu_0\" and 1 more)"),
        "{error}"
    );
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn one_free_size_of_a_reshape_is_what_is_left() {
    let graph = translated(&of_one(|g, x| g.reshape(x, [named("batch"), 24.into()]).unwrap()));
    assert_eq!(ints(&graph, "Reshape", 1), [-1, 24]);
    assert_eq!(histogram(&graph).get("Shape"), None);
}

#[test]
fn two_free_sizes_of_a_reshape_are_read() {
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [named("batch"), named("sequence"), 6.into()]).unwrap();
    let y = g.reshape(x, [named("batch"), named("sequence"), 2.into(), 3.into()]).unwrap();
    g.output("y", y).unwrap();
    let graph = translated(&g.finish().unwrap());
    let counts = histogram(&graph);
    assert_eq!((counts["Shape"], counts["ConcatV2"], counts["Reshape"]), (2, 1, 1));
}

#[test]
fn ends_far_away_are_the_end() {
    let graph = translated(&of_one(|g, x| g.slice(x, 1, 1, None).unwrap()));
    let slice = graph.node.iter().find(|node| node.op == "StridedSlice").unwrap();
    assert_eq!((ints(&graph, "StridedSlice", 1), ints(&graph, "StridedSlice", 3)), (vec![0, 1], vec![1, 1]));
    let mask = |name: &str| slice.attribute(name).cloned();
    assert_eq!((mask("begin_mask"), mask("end_mask")), (Some(Attr::I(1)), Some(Attr::I(3))));
}

#[test]
fn a_picked_element_may_count_from_the_end() {
    let graph = translated(&of_one(|g, x| g.pick(x, 1, -1).unwrap()));
    let slice = graph.node.iter().find(|node| node.op == "StridedSlice").unwrap();
    assert_eq!(slice.attribute("shrink_axis_mask"), Some(&Attr::I(2)));
    assert_eq!(ints(&graph, "StridedSlice", 1), [0, -1]);
    let graph = translated(&of_one(|g, x| g.take_along(x, 1, &[-1, 0]).unwrap()));
    assert_eq!(histogram(&graph)["GatherV2"], 1);
    assert!(graph.node.iter().all(|node| node.op != "Shape"), "the axis has a known size");
}

#[test]
fn integers_are_divided_towards_zero() {
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::I64, [named("n")]).unwrap();
    let two = g.int("two", 2);
    let y = g.div(x, two).unwrap();
    g.output("y", y).unwrap();
    assert_eq!(histogram(&translated(&g.finish().unwrap()))["TruncateDiv"], 1);
}

#[test]
fn a_softmax_is_of_the_last_axis() {
    let graph = translated(&of_one(|g, x| g.softmax(x, 1).unwrap()));
    assert_eq!(histogram(&graph)["Transpose"], 2);
    let graph = translated(&of_one(|g, x| g.softmax(x, -1).unwrap()));
    assert_eq!(histogram(&graph).get("Transpose"), None);
}

#[test]
fn an_output_keeps_its_name_before_all_others() {
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [named("n")]).unwrap();
    let w = g.float("a_b", 2.0);
    let y = g.mul(x, w).unwrap();
    g.output("a b", y).unwrap();
    let graph = translated(&g.finish().unwrap());
    assert_eq!(node(&graph, "a_b").op, "Identity");
    assert_eq!(node(&graph, "a_b_1").op, "Const");
}
