//! What is folded, to which values, and what is left alone.

use zoo_tensor::DType;

use super::*;
use crate::Builder;
use crate::graph::Attribute;
use crate::testing::{graph, value};

/// What a node of these constants folds to; none if it is left.
fn fold(
    op: &str,
    inputs: &[Tensor],
    attributes: &[(&str, Attribute)],
    made: (DType, &[usize]),
) -> Option<Tensor> {
    let mut g = graph();
    let x = g.input("x", made.0, made.1.iter().copied()).unwrap();
    let inputs: Vec<Val> = inputs.iter().map(|tensor| g.constant("c", tensor.clone())).collect();
    let attributes = attributes.to_vec();
    let made = (made.0, made.1.iter().copied().map(Dim::Fixed).collect());
    let y = g.node1(op, &inputs, attributes, made.clone()).unwrap();
    let y = g.node1("Sum", &[x, y], vec![], made).unwrap();
    let mut graph = g.finish_with(y);
    let changes = run(&mut graph).unwrap();
    assert_eq!(graph.nodes.len(), 2 - changes);
    graph.value(graph.nodes.last()?.inputs[1]?).constant().cloned()
}

fn ints(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_slice([values.len()], values).unwrap()
}

fn counting(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    ints(shape, &(0..count as i64).collect::<Vec<_>>())
}

#[test]
fn moving_elements() {
    let list = |values: &[i64]| ints(&[values.len()], values);
    let axis = |axis: i64| vec![("axis", Attribute::Int(axis))];
    let perm = vec![("perm", Attribute::Ints(vec![2, 0, 1]))];
    let x = counting(&[2, 3, 2]);
    let none: Vec<(&str, Attribute)> = vec![];
    for (op, inputs, attributes, shape, expected) in [
        ("Identity", vec![x.clone()], none.clone(), vec![2, 3, 2], (0..12).collect::<Vec<i64>>()),
        ("Reshape", vec![x.clone(), list(&[0, -1])], none.clone(), vec![2, 6], (0..12).collect()),
        ("Flatten", vec![x.clone()], axis(2), vec![6, 2], (0..12).collect()),
        ("Flatten", vec![x.clone()], axis(3), vec![12, 1], (0..12).collect()),
        ("Unsqueeze", vec![x.clone(), list(&[0, -1])], none.clone(), vec![1, 2, 3, 2, 1], (0..12).collect()),
        ("Squeeze", vec![counting(&[1, 3, 1]), list(&[-1])], none.clone(), vec![1, 3], vec![0, 1, 2]),
        ("Squeeze", vec![counting(&[1, 3, 1])], none.clone(), vec![3], vec![0, 1, 2]),
        ("Transpose", vec![x.clone()], perm, vec![2, 2, 3], vec![0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]),
        ("Transpose", vec![counting(&[2, 3])], none.clone(), vec![3, 2], vec![0, 3, 1, 4, 2, 5]),
        ("Concat", vec![counting(&[2, 1]), counting(&[2, 2])], axis(-1), vec![2, 3], vec![0, 0, 1, 1, 2, 3]),
        (
            "Gather",
            vec![x.clone(), ints(&[2], &[-1, 0])],
            axis(1),
            vec![2, 2, 2],
            vec![4, 5, 0, 1, 10, 11, 6, 7],
        ),
        ("Gather", vec![list(&[5, 6]), ints(&[], &[1])], none.clone(), vec![], vec![6]),
        (
            "Slice",
            vec![x.clone(), list(&[-1, 0]), list(&[i64::MAX, 3]), list(&[0, 1]), list(&[1, 2])],
            none.clone(),
            vec![1, 2, 2],
            vec![6, 7, 10, 11],
        ),
        ("Slice", vec![list(&[1, 2, 3]), list(&[1]), list(&[-1])], none.clone(), vec![1], vec![2]),
        ("Expand", vec![counting(&[2, 1]), list(&[1, 2])], none.clone(), vec![2, 2], vec![0, 0, 1, 1]),
    ] {
        let folded = fold(op, &inputs, &attributes, (DType::I64, &shape));
        assert_eq!(folded, Some(ints(&shape, &expected)), "{op} to {shape:?}");
    }
}

#[test]
fn arithmetic_of_whole_numbers() {
    let (a, b) = (ints(&[2, 1], &[7, -7]), ints(&[2], &[2, -3]));
    for (op, expected) in [
        ("Add", [9, 4, -5, -10]),
        ("Sub", [5, 10, -9, -4]),
        ("Mul", [14, -21, -14, 21]),
        ("Div", [3, -2, -3, 2]),
        ("Min", [2, -3, -7, -7]),
        ("Max", [7, 7, 2, -3]),
    ] {
        let folded = fold(op, &[a.clone(), b.clone()], &[], (DType::I64, &[2, 2]));
        assert_eq!(folded, Some(ints(&[2, 2], &expected)), "{op}");
    }
    let one = |value| ints(&[], &[value]);
    assert_eq!(fold("Div", &[one(1), one(0)], &[], (DType::I64, &[])), None);
    assert_eq!(fold("Add", &[one(i64::MAX), one(1)], &[], (DType::I64, &[])), None);
    assert_eq!(fold("Neg", &[one(i64::MIN)], &[], (DType::I64, &[])), None);
    assert_eq!(fold("Neg", &[one(3)], &[], (DType::I64, &[])), Some(one(-3)));
}

#[test]
fn arithmetic_of_numbers() {
    let (a, b) = (floats(&[0.1, 2.0]), floats(&[0.2, 3.0]));
    let two = |op: &str| fold(op, &[a.clone(), b.clone()], &[], (DType::F32, &[2]));
    assert_eq!(two("Add"), Some(floats(&[0.1 + 0.2, 5.0])));
    assert_eq!(two("Div"), Some(floats(&[0.1 / 0.2, 2.0 / 3.0])));
    assert_eq!(two("Pow"), None, "every library has its own last bit");
    assert_eq!(fold("Sqrt", &[floats(&[2.0])], &[], (DType::F32, &[1])), Some(floats(&[2.0_f32.sqrt()])));
    assert_eq!(fold("Min", &[floats(&[0.0]), floats(&[-0.0])], &[], (DType::F32, &[1])), None);
    assert_eq!(fold("Max", &[floats(&[f32::NAN]), floats(&[1.0])], &[], (DType::F32, &[1])), None);
    assert_eq!(fold("Max", &[floats(&[2.0]), floats(&[1.0])], &[], (DType::F32, &[1])), Some(floats(&[2.0])));
}

#[test]
fn casts_that_need_no_choice() {
    let cast = |x: &Tensor, to: DType| {
        let to_code = [("to", Attribute::Int(i64::from(to.onnx_code())))];
        fold("Cast", std::slice::from_ref(x), &to_code, (to, x.shape()))
    };
    assert_eq!(cast(&ints(&[2], &[3, -3]), DType::F32), Some(floats(&[3.0, -3.0])));
    assert_eq!(cast(&floats(&[2.9, -2.9]), DType::I64), Some(ints(&[2], &[2, -2])));
    assert_eq!(
        cast(&floats(&[0.5, 0.0]), DType::Bool),
        Some(Tensor::from_slice([2], &[true, false]).unwrap())
    );
    assert_eq!(cast(&ints(&[1], &[7]), DType::I32), Some(Tensor::from_slice([1], &[7_i32]).unwrap()));
    assert_eq!(cast(&ints(&[1], &[1 << 31]), DType::I32), None);
    assert_eq!(cast(&floats(&[9.3e18]), DType::I64), None);
    assert_eq!(cast(&floats(&[f32::NAN]), DType::I64), None);
    assert_eq!(cast(&Tensor::from_slice([1], &[1e300]).unwrap(), DType::F32), None);
    assert_eq!(cast(&floats(&[1.0]), DType::F16), None);
}

#[test]
fn shapes_of_what_is_known() {
    let mut g = graph();
    let x = value(&mut g, "x", "n,3,224,224");
    let shape = |g: &mut Builder, attributes: Vec<(&str, Attribute)>, len: usize| {
        g.node1("Shape", &[x], attributes, (DType::I64, vec![Dim::Fixed(len)])).unwrap()
    };
    let whole = shape(&mut g, vec![], 4);
    let known = shape(&mut g, vec![("start", 1_i64.into()), ("end", (-1_i64).into())], 2);
    let height = g.pick(known, 0, 1).unwrap();
    let two = g.int("two", 2);
    let twice = g.mul(height, two).unwrap();
    let twice = g.unsqueeze(twice, 0).unwrap();
    let y = g.concat(&[whole, twice], 0).unwrap();
    let mut graph = g.finish_with(y);
    assert_eq!(run(&mut graph).unwrap(), 4);
    assert_eq!(graph.nodes.iter().map(|node| node.op.as_str()).collect::<Vec<_>>(), ["Shape", "Concat"]);
    let twice = graph.value(graph.nodes[1].inputs[1].unwrap()).constant().unwrap();
    assert_eq!(twice, &ints(&[1], &[448]));
}

#[test]
fn what_becomes_large_and_what_comes_out_stay() {
    let one = ints(&[1], &[1]);
    let expand =
        |size: i64| fold("Expand", &[one.clone(), ints(&[1], &[size])], &[], (DType::I64, &[size as usize]));
    assert!(expand(512).is_some());
    assert_eq!(expand(513), None);
    let mut g = graph();
    let a = g.int("a", 1);
    let y = g.add(a, a).unwrap();
    let mut graph = g.finish_with(y);
    assert_eq!(run(&mut graph).unwrap(), 0);
}

#[test]
fn a_contradiction_is_an_error() {
    let mut g = graph();
    let x = value(&mut g, "x", "2");
    let shape = g.ints("shape", &[1, 2]);
    let data = g.floats("data", &[2], &[1.0, 2.0]).unwrap();
    let wrong = g.node1("Reshape", &[data, shape], vec![], (DType::F32, vec![Dim::Fixed(1)])).unwrap();
    let y = g.add(x, wrong).unwrap();
    let mut graph = g.finish_with(y);
    let error = crate::pass::run(&mut graph, &crate::pass::PassOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the pass \"constant_fold\" failed: reshape_0: f32[1] was found to be f32 [1, 2]"
    );
}
