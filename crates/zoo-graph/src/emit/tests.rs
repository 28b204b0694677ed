//! What the writer puts where, and what it refuses.

#![expect(clippy::disallowed_methods, reason = "test files in a temporary folder")]

use std::path::Path;

use zoo_tensor::{Dim, SourceFile, Tensor, Weight};

use super::*;
use crate::Builder;
use crate::graph::{Source, Val};
use crate::ops::Window;
use crate::tensor::to_tensor;
use crate::weights::Weights;

/// A checkpoint of `f32`: an unaligned header, then tensors one behind the other, whose elements count on.
struct Checkpoint {
    tensors: Vec<(String, Weight)>,
}

const HEADER: usize = 13;

fn floats(from: usize, count: usize) -> Vec<f32> {
    (from..from + count).map(|i| i as f32 * 0.25 - 100.0).collect()
}

fn checkpoint(path: &Path, shapes: &[(&str, &[usize])]) -> Checkpoint {
    let count: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    let mut bytes = vec![0xEE; HEADER];
    bytes.extend(floats(0, count).iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
    let file = SourceFile::new(path).unwrap();
    let mut from = 0;
    let tensors = shapes.iter().map(|(name, shape)| {
        let offset = (HEADER + 4 * from) as u64;
        from += shape.iter().product::<usize>();
        ((*name).to_owned(), Weight::in_file(DType::F32, *shape, &file, offset).unwrap())
    });
    Checkpoint { tensors: tensors.collect() }
}

/// `y = conv(x) + derived`, over the checkpoint's `conv.weight` `[out, 3, 3, 3]` and `conv.bias`.
fn network(checkpoint: &Checkpoint) -> Graph {
    let weights = Weights::new(checkpoint.tensors.clone()).unwrap();
    let w = weights.at("conv");
    let mut g = Builder::new("main_graph", 18).unwrap();
    let dims = [Dim::Named("batch".into()), Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(8)];
    let x = g.input("input", DType::F32, dims).unwrap();
    let (weight, bias) = (g.weight(&w, "weight").unwrap(), g.weight(&w, "bias").unwrap());
    let y = g.conv(x, weight, Some(bias), Window::same(3)).unwrap();
    let offsets = Tensor::from_slice([1, 1, 1, 8], &[0.5_f32, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]).unwrap();
    let offsets = g.derived("offsets", offsets.into());
    let y = g.add(y, offsets).unwrap();
    g.output("output", y).unwrap();
    weights.finish().unwrap();
    g.finish().unwrap()
}

fn conv(out: usize) -> Vec<(&'static str, Vec<usize>)> {
    vec![("conv.weight", vec![out, 3, 3, 3]), ("conv.bias", vec![out])]
}

fn conv_checkpoint(path: &Path, out: usize) -> Checkpoint {
    let shapes = conv(out);
    let shapes: Vec<(&str, &[usize])> =
        shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
    checkpoint(path, &shapes)
}

/// The model as a reader sees it, checked with its files.
fn open(path: &Path) -> Model {
    let model = Model::open(path).unwrap();
    assert_eq!(check(&model).to_string(), "");
    model
}

fn initializer(model: &Model, name: &str) -> (crate::proto::TensorProto, Tensor) {
    let graph = model.proto().graph.as_ref().unwrap();
    let proto = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
    (proto.clone(), to_tensor(proto, model.dir()).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn weights_stay_in_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("original")).unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("original/net.pth"), 16);
    let path = dir.path().join("model.onnx");
    let written = write(&network(&checkpoint), &path, &EmitOptions::in_place()).unwrap();

    let model = open(&path);
    let (proto, tensor) = initializer(&model, "conv.weight");
    let entries: Vec<_> = proto.external_data.iter().map(|e| (e.key(), e.value())).collect();
    assert_eq!(entries, [("location", "original/net.pth"), ("offset", "13"), ("length", "1728")]);
    assert_eq!(tensor, Tensor::from_slice([16, 3, 3, 3], &floats(0, 432)).unwrap());
    assert_eq!(initializer(&model, "conv.bias").1, Tensor::from_slice([16], &floats(432, 16)).unwrap());
    let (offsets, _) = initializer(&model, "offsets");
    assert_eq!(
        offsets.raw_data.map(|raw| raw.len()),
        Some(32),
        "what was computed is small, and in the model"
    );

    assert_eq!(written.files, [PathBuf::from("original/net.pth")]);
    assert_eq!((written.data, written.in_place_bytes), (None, 1792));
    assert_eq!(written.bytes_written, std::fs::metadata(&path).unwrap().len());
    assert!(written.bytes_written < 1024 && written.hard_linked.is_empty());
    assert_eq!(names(dir.path()), ["model.onnx", "original"]);
}

#[test]
fn the_message_says_who_made_it_and_what_every_value_is() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("net.pth"), 2);
    insta::assert_snapshot!(text(&network(&checkpoint)).unwrap(), @r#"
    <
       ir_version: 8,
       opset_import: ["" : 18],
       producer_name: "zoo"
    >
    main_graph (float[batch,3,8,8] input) => (float[batch,2,8,8] output)
       <float[2,3,3,3] "conv.weight" = ["location": "weights"],
        float[2] "conv.bias" = ["location": "weights"],
        float[1,1,1,8] offsets = ["location": "weights"],
        float[?,2,8,8] conv>
    {
       ["conv/Conv"] conv = Conv <dilations: ints = [1, 1], group: int = 1, kernel_shape: ints = [3, 3], pads: ints = [1, 1, 1, 1], strides: ints = [1, 1]> (input, "conv.weight", "conv.bias")
       [add_0] output = Add (conv, offsets)
    }
    "#);
}

#[test]
fn the_file_format_is_that_of_the_operator_set() {
    for (opset, ir) in [(17, 8), (18, 8), (19, 9), (20, 9), (21, 10), (22, 10), (23, 11), (24, 12)] {
        let mut g = Builder::new("g", opset).unwrap();
        let x = g.input("x", DType::F32, [1_usize]).unwrap();
        let y = g.relu(x).unwrap();
        g.output("y", y).unwrap();
        let model = model(&g.finish().unwrap()).unwrap();
        assert_eq!((model.ir_version(), model.opsets()[0].version), (ir, opset));
    }
}

#[test]
fn packed_weights_are_aligned_and_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    // 12001 x 27 x 4 bytes are more than what is embedded.
    let checkpoint = conv_checkpoint(&elsewhere.path().join("net.pth"), 12_001);
    let path = dir.path().join("model.onnx");
    let graph = network(&checkpoint);
    let written = write(&graph, &path, &EmitOptions::packed()).unwrap();

    let model = open(&path);
    let places: Vec<_> = ["conv.weight", "conv.bias", "offsets"]
        .map(|name| initializer(&model, name).0)
        .iter()
        .map(|proto| crate::external::place(proto).unwrap())
        .map(|place| (place.location, place.offset, place.length))
        .collect();
    let at = |offset, length| ("model.onnx.data".to_owned(), offset, length);
    assert_eq!(places, [at(0, 1_296_108), at(1_296_128, 48_004), at(1_344_192, 32)]);
    assert_eq!(initializer(&model, "conv.weight").1.to_f32_vec().unwrap(), floats(0, 324_027));
    assert_eq!(initializer(&model, "conv.bias").1.to_f32_vec().unwrap(), floats(324_027, 12_001));
    assert_eq!(written.files, [PathBuf::from("model.onnx.data")]);
    assert_eq!((written.data, written.in_place_bytes), (Some(PathBuf::from("model.onnx.data")), 0));
    assert_eq!(names(dir.path()), ["model.onnx", "model.onnx.data"]);

    let both = |folder: &Path| {
        ["model.onnx", "model.onnx.data"].map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    let first = both(dir.path());
    write(&graph, &path, &EmitOptions::packed()).unwrap();
    assert!(first == both(dir.path()), "the same graph gives the same bytes");
}

#[test]
fn large_packed_weights_begin_at_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let shapes: [(&str, &[usize]); 5] =
        [("a", &[1 << 18]), ("b", &[3]), ("c", &[1 << 14]), ("d", &[(1 << 14) - 1]), ("e", &[1])];
    let weights = Weights::new(checkpoint(&elsewhere.path().join("net"), &shapes).tensors).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [1_usize]).unwrap();
    for (name, _) in shapes {
        let w = g.weight(&weights, name).unwrap();
        let y = g.mul(x, w).unwrap();
        g.output(&format!("x{name}"), y).unwrap();
    }
    write(&g.finish().unwrap(), &dir.path().join("m.onnx"), &EmitOptions::packed()).unwrap();
    let model = open(&dir.path().join("m.onnx"));
    let offsets =
        shapes.map(|(name, _)| crate::external::place(&initializer(&model, name).0).unwrap().offset);
    // 64 KiB are enough for a page of its own, four bytes less are not.
    assert_eq!(
        offsets,
        [0, 1 << 20, (1 << 20) + 4096, (1 << 20) + 4096 + (1 << 16), (1 << 20) + 4096 + (2 << 16)]
    );
    let mut from = 0;
    for (name, shape) in shapes {
        assert_eq!(initializer(&model, name).1.to_f32_vec().unwrap(), floats(from, shape[0]));
        from += shape[0];
    }
}

#[test]
fn few_packed_weights_are_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&elsewhere.path().join("net.pth"), 16);
    let path = dir.path().join("model.onnx");
    let written = write(&network(&checkpoint), &path, &EmitOptions::packed()).unwrap();
    assert_eq!((written.files.len(), written.data, names(dir.path()).len()), (0, None, 1));
    assert_eq!(initializer(&open(&path), "conv.weight").1.to_f32_vec().unwrap(), floats(0, 432));
}

/// `y = x + w`.
fn sum(weight: Weight) -> Graph {
    let dtype = weight.dtype();
    let shape = weight.shape().to_vec();
    let weights = Weights::new([("w".to_owned(), weight)]).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", dtype, shape).unwrap();
    let w = g.weight(&weights, "w").unwrap();
    let y = g.add(x, w).unwrap();
    g.output("y", y).unwrap();
    g.finish().unwrap()
}

#[test]
fn what_cannot_be_pointed_at_is_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("w");
    std::fs::write(&source, (0..=255_u8).collect::<Vec<u8>>()).unwrap();
    let file = SourceFile::new(&source).unwrap();
    let path = dir.path().join("model.onnx");
    for (weight, expected) in [
        (Weight::strided(DType::F32, [3, 2], &[1, 4], &file, 0, false).unwrap(), "strided"),
        (Weight::strided(DType::F32, [6], &[1], &file, 0, true).unwrap(), "big-endian"),
    ] {
        let tensor = weight.to_tensor().unwrap();
        let written = write(&sum(weight), &path, &EmitOptions::in_place()).unwrap();
        let (proto, found) = initializer(&open(&path), "w");
        assert!(proto.external_data.is_empty() && written.files.is_empty(), "{expected}");
        assert_eq!(found, tensor, "{expected}");
    }
    // More than may be embedded: a tensor with gaps of 2 MiB.
    let floats: Vec<u8> = (0..1 << 19).flat_map(|i: u32| (i as f32).to_le_bytes()).collect();
    std::fs::write(&source, floats).unwrap();
    let file = SourceFile::new(&source).unwrap();
    let weight = Weight::strided(DType::F32, [512, 1023], &[1024, 1], &file, 0, false).unwrap();
    let written = write(&sum(weight.clone()), &path, &EmitOptions::in_place()).unwrap();
    assert_eq!((written.data, written.in_place_bytes), (Some(PathBuf::from("model.onnx.data")), 0));
    assert_eq!(initializer(&open(&path), "w").1, weight.to_tensor().unwrap());
}

#[test]
fn what_lies_the_other_way_round_is_turned_in_the_graph() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("w");
    std::fs::write(&source, [0; 4096]).unwrap();
    let file = SourceFile::new(&source).unwrap();
    let kernel = Weight::strided(DType::F32, [2, 3, 5], &[1, 2, 6], &file, 0, false).unwrap();
    let (dense, order) = kernel.unpermuted().unwrap();
    assert_eq!((dense.shape(), order.as_slice()), (&[5, 3, 2][..], &[2, 1, 0][..]));
    let graph = sum(kernel);
    assert_eq!(graph.nodes[0].ints("perm"), Some(&[2, 1, 0][..]));
    let written = write(&graph, &dir.path().join("model.onnx"), &EmitOptions::in_place()).unwrap();
    assert_eq!((written.in_place_bytes, written.data), (120, None));

    // A product takes the matrix as it lies.
    let matrix = Weight::strided(DType::F32, [2, 3], &[1, 2], &file, 0, false).unwrap();
    let weights = Weights::new([("w".to_owned(), matrix)]).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [7_usize, 3]).unwrap();
    let w = g.weight(&weights, "w").unwrap();
    let y = g.gemm(x, w, None).unwrap();
    g.output("y", y).unwrap();
    let graph = g.finish().unwrap();
    let gemm = graph.nodes.last().unwrap();
    assert_eq!((gemm.op.as_str(), gemm.int("transB")), ("Gemm", None));
    assert_eq!(graph.value(gemm.inputs[1].unwrap()).sizes(), Some(vec![3, 2]));
}

#[test]
fn whole_numbers_that_may_be_shapes_are_in_the_model() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("w"), [1; 2048]).unwrap();
    let file = SourceFile::new(&dir.path().join("w")).unwrap();
    let path = dir.path().join("model.onnx");
    for (count, inside) in [(128, true), (129, false)] {
        let weight = Weight::in_file(DType::I64, [count], &file, 0).unwrap();
        write(&sum(weight), &path, &EmitOptions::in_place()).unwrap();
        assert_eq!(initializer(&open(&path), "w").0.external_data.is_empty(), inside);
    }
    let nothing = Weight::in_file(DType::F32, [0], &file, 0).unwrap();
    write(&sum(nothing), &path, &EmitOptions::in_place()).unwrap();
    assert!(initializer(&open(&path), "w").0.external_data.is_empty());
}

#[test]
fn two_shapes_of_one_place_are_packed_once() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(&elsewhere.path().join("net"), &[("w", &[1024, 512])]);
    let weights = Weights::new(checkpoint.tensors).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [1_usize]).unwrap();
    let (a, b) = (g.weight(&weights, "w").unwrap(), g.weight_as(&weights, "w", &[512, 1024]).unwrap());
    for (name, w) in [("a", a), ("b", b)] {
        let y = g.mul(x, w).unwrap();
        g.output(name, y).unwrap();
    }
    let written =
        write(&g.finish().unwrap(), &dir.path().join("model.onnx"), &EmitOptions::packed()).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("model.onnx.data")).unwrap().len(), 2 << 20);
    assert!(written.bytes_written < (2 << 20) + 1024);
    open(&dir.path().join("model.onnx"));
}

#[test]
fn a_checkpoint_elsewhere_cannot_stay_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("net.pth"), 16);
    let folder = dir.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    let error = write(&network(&checkpoint), &folder.join("m.onnx"), &EmitOptions::in_place()).unwrap_err();
    assert!(matches!(&error, Error::OutsideFolder { tensor, .. } if tensor == "conv.weight"), "{error}");
    assert!(error.to_string().contains("net.pth") && error.hint().unwrap().contains("pack"), "{error}");
    assert!(names(&folder).is_empty());
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_where_the_file_is() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    conv_checkpoint(&dir.path().join("out.pth"), 16);
    conv_checkpoint(&folder.join("in.pth"), 16);
    symlink(dir.path().join("out.pth"), folder.join("leads-out.pth")).unwrap();
    symlink(folder.join("in.pth"), dir.path().join("leads-in.pth")).unwrap();
    std::fs::hard_link(folder.join("in.pth"), folder.join("again.pth")).unwrap();
    let through = |path: PathBuf| {
        let checkpoint = conv_checkpoint(&path, 16);
        write(&network(&checkpoint), &folder.join("m.onnx"), &EmitOptions::in_place())
    };
    assert!(matches!(through(folder.join("leads-out.pth")), Err(Error::OutsideFolder { .. })));
    let written = through(dir.path().join("leads-in.pth")).unwrap();
    assert_eq!(written.files, [PathBuf::from("in.pth")]);
    assert_eq!(written.hard_linked, written.files);
}

#[test]
fn names_that_cannot_stand_in_a_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a\\b.pth", "c:d.pth"] {
        let checkpoint = conv_checkpoint(&dir.path().join(name), 16);
        let error =
            write(&network(&checkpoint), &dir.path().join("m.onnx"), &EmitOptions::in_place()).unwrap_err();
        assert!(matches!(error, Error::BadLocation { .. }), "{error}");
    }
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("net.pth");
    let checkpoint = conv_checkpoint(&source, 12_000);
    let graph = network(&checkpoint);
    let path = dir.path().join("model.onnx");
    std::fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(100_000).unwrap();
    for options in [EmitOptions::packed(), EmitOptions::in_place()] {
        let error = write(&graph, &path, &options).unwrap_err();
        assert!(matches!(error, Error::Tensor(zoo_tensor::Error::BeyondFile { .. })), "{error}");
        assert_eq!(names(dir.path()), ["net.pth"]);
    }
    // A folder has the model's name: it is not replaced, and no data file appears beside it.
    let checkpoint = conv_checkpoint(&source, 12_000);
    std::fs::create_dir(&path).unwrap();
    write(&network(&checkpoint), &path, &EmitOptions::packed()).unwrap_err();
    assert_eq!(names(dir.path()), ["model.onnx", "net.pth"]);
    let missing = write(&graph, &dir.path().join("absent/model.onnx"), &EmitOptions::packed()).unwrap_err();
    assert!(missing.to_string().contains("absent"), "{missing}");
}

#[test]
fn weights_are_not_read_from_what_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("model.onnx.data");
    let checkpoint = conv_checkpoint(&source, 12_000);
    let graph = network(&checkpoint);
    let before = std::fs::read(&source).unwrap();
    let error = write(&graph, &dir.path().join("model.onnx"), &EmitOptions::packed()).unwrap_err();
    assert!(error.to_string().starts_with("cannot replace"), "{error}");
    assert!(before == std::fs::read(&source).unwrap());
    write(&graph, &dir.path().join("model.onnx"), &EmitOptions::in_place()).unwrap();
    open(&dir.path().join("model.onnx"));
}

#[test]
fn a_mistake_of_the_graph_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("net.pth"), 16);
    let mut graph = network(&checkpoint);
    let twice = Val(1);
    graph.value_mut(twice).name = "output".to_owned();
    let error = write(&graph, &dir.path().join("m.onnx"), &EmitOptions::in_place()).unwrap_err();
    assert!(
        matches!(error, Error::Unsound { .. }) && error.hint().unwrap().contains("mistake in zoo"),
        "{error}"
    );
    assert_eq!(names(dir.path()), ["net.pth"]);
    assert!(matches!(graph.value(twice).source, Source::Weight(_)));
}

#[test]
fn text_is_no_weight() {
    let dir = tempfile::tempdir().unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let strings = Tensor::from_strings([1], vec!["a".into()]).unwrap();
    let x = g.derived("labels", strings.into());
    g.output("y", x).unwrap();
    let error =
        write(&g.finish().unwrap(), &dir.path().join("m.onnx"), &EmitOptions::in_place()).unwrap_err();
    assert!(matches!(error, Error::WeightType { .. }), "{error}");
}

/// What becomes of `f32` weights that are written as `dtype`: the operators, and the elements of `conv.weight`.
#[cfg(feature = "compute")]
fn typed(out: usize, options: &EmitOptions) -> Result<(Vec<String>, Tensor, Written)> {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("net.pth"), out);
    let path = dir.path().join("model.onnx");
    let written = write(&network(&checkpoint), &path, options)?;
    let model = open(&path);
    let graph = model.proto().graph.as_ref().unwrap();
    let ops =
        graph.node.iter().map(|node| format!("{}({})", node.op_type(), node.input.join(", "))).collect();
    let (_, tensor) = initializer(&model, "conv.weight");
    let copy = Tensor::from_bytes(tensor.dtype(), tensor.shape(), tensor.bytes().unwrap().to_vec().into());
    Ok((ops, copy.unwrap(), written))
}

#[cfg(feature = "compute")]
#[test]
fn typed_weights_are_cast_back() {
    // 20001 x 27 elements of two bytes: more than what is embedded, and more than one piece.
    for (out, files) in [(16, 0), (20_001, 1)] {
        for options in [EmitOptions::in_place(), EmitOptions::packed()] {
            let (ops, weight, written) = typed(out, &options.clone().typed(DType::BF16)).unwrap();
            assert_eq!(
                ops,
                [
                    "Cast(conv.weight)",
                    "Cast(conv.bias)",
                    "Cast(offsets)",
                    "Conv(input, conv.weight.f32, conv.bias.f32)",
                    "Add(conv, offsets.f32)",
                ]
            );
            let expected: Vec<half::bf16> =
                floats(0, out * 27).into_iter().map(half::bf16::from_f32).collect();
            assert!(weight.to_vec::<half::bf16>().unwrap() == expected);
            assert_eq!((written.files.len(), written.in_place_bytes), (files, 0));
        }
    }
}

#[cfg(feature = "compute")]
#[test]
fn a_number_too_large_for_the_type_is_an_error() {
    // In the second piece of what is cast piece by piece.
    let dir = tempfile::tempdir().unwrap();
    let mut values = vec![0.5_f32; 600_000];
    (values[7], values[550_000], values[550_001]) = (65_519.0, 65_520.0, -1e30);
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(dir.path().join("w"), bytes).unwrap();
    let file = SourceFile::new(&dir.path().join("w")).unwrap();
    let graph = sum(Weight::in_file(DType::F32, [600_000], &file, 0).unwrap());
    let path = dir.path().join("model.onnx");
    let error = write(&graph, &path, &EmitOptions::packed().typed(DType::F16)).unwrap_err();
    assert_eq!(error.to_string(), "element 550000 of tensor \"w\" is 65520, which is beyond the largest f16");
    assert!(error.hint().unwrap().contains("bf16"));
    assert_eq!(names(dir.path()), ["w"]);
    assert!(write(&graph, &path, &EmitOptions::packed().typed(DType::BF16)).is_ok());
}

#[cfg(not(feature = "compute"))]
#[test]
fn casting_needs_the_feature() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("net.pth"), 16);
    let options = EmitOptions::in_place().typed(DType::F16);
    let error = write(&network(&checkpoint), &dir.path().join("m.onnx"), &options).unwrap_err();
    assert!(matches!(error, Error::NeedsFeature { feature: "compute", .. }), "{error}");
    assert_eq!(names(dir.path()), ["net.pth"]);
}

#[test]
fn weights_that_are_of_the_type_already_stay_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = conv_checkpoint(&dir.path().join("net.pth"), 16);
    let path = dir.path().join("m.onnx");
    let written = write(&network(&checkpoint), &path, &EmitOptions::in_place().typed(DType::F32)).unwrap();
    assert_eq!(written.in_place_bytes, 1792);
    for dtype in [DType::F64, DType::I64, DType::F8E5M2] {
        let error = write(&network(&checkpoint), &path, &EmitOptions::in_place().typed(dtype)).unwrap_err();
        assert!(matches!(error, Error::WeightsAs { .. }), "{error}");
    }
}

/// A half-precision checkpoint: the graph casts its weights already.
fn half_graph(folder: &Path) -> Graph {
    std::fs::write(folder.join("net"), [0x3C; 1000]).unwrap();
    let file = SourceFile::new(&folder.join("net")).unwrap();
    let weight = Weight::in_file(DType::F16, [10, 10], &file, 0).unwrap();
    let weights = Weights::new([("w".to_owned(), weight)]).unwrap();
    let mut g = Builder::new("g", 18).unwrap();
    let x = g.input("x", DType::F32, [10_usize, 10]).unwrap();
    let w = g.weight(&weights, "w").unwrap();
    let y = g.add(x, w).unwrap();
    g.output("y", y).unwrap();
    g.finish().unwrap()
}

#[test]
fn a_narrow_checkpoint_is_not_cast_twice() {
    let dir = tempfile::tempdir().unwrap();
    let graph = half_graph(dir.path());
    let same = cast::weights_as(&graph, DType::F16).unwrap();
    assert_eq!(same, graph);
    let other = cast::weights_as(&graph, DType::BF16).unwrap();
    assert_eq!(other.nodes, graph.nodes, "the cast that there is reads the other type");
    assert_eq!(other.value(Val(1)).dtype, DType::BF16);
    let wide = cast::weights_as(&graph, DType::F32).unwrap();
    assert_eq!(wide.op_histogram().into_keys().collect::<Vec<_>>(), ["Add"]);
    assert_eq!(wide.nodes[0].inputs, [Some(Val(0)), Some(Val(1))]);
}

#[test]
fn an_output_that_is_a_cast_weight_keeps_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut graph = half_graph(dir.path());
    let cast_weight = graph.nodes[0].outputs[0];
    graph.outputs.push(cast_weight);
    let names = |graph: &Graph| -> Vec<String> {
        graph.outputs.iter().map(|&val| graph.value(val).name.clone()).collect()
    };
    let before = names(&graph);
    let wide = cast::weights_as(&graph, DType::F32).unwrap();
    assert_eq!(names(&wide), before);
    model(&wide).unwrap();
}

#[test]
fn scaled_rows_are_multiplied_by_their_own_factor() {
    // Three rows of 400,000: a piece ends within the second and the third.
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(&dir.path().join("net"), &[("w", &[3, 400_000])]);
    let weight = checkpoint.tensors[0].1.clone();
    let mut graph = sum(weight.clone());
    let factors = [1.5, -2.0, 0.25];
    graph.value_mut(Val(1)).source = Source::Scaled { weight, factors: factors.to_vec().into() };
    let path = dir.path().join("model.onnx");
    let written = write(&graph, &path, &EmitOptions::in_place()).unwrap();
    assert_eq!((written.data, written.in_place_bytes), (Some(PathBuf::from("model.onnx.data")), 0));
    let values = floats(0, 1_200_000).into_iter().zip(0..);
    let expected: Vec<f32> =
        values.map(|(value, at): (f32, usize)| (f64::from(value) * factors[at / 400_000]) as f32).collect();
    assert!(initializer(&open(&path), "w").1.to_f32_vec().unwrap() == expected);
    let infinite: [f64; 3] = [1e300, 1.0, 1.0];
    let Source::Scaled { factors, .. } = &mut graph.value_mut(Val(1)).source else { panic!() };
    *factors = infinite.to_vec().into();
    let error = write(&graph, &path, &EmitOptions::in_place()).unwrap_err();
    assert!(error.to_string().starts_with("element 0 of tensor \"w\" is -1"), "{error}");
}
