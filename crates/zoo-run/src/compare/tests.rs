//! Every rule of the comparison, from both sides of its bound.

use half::{bf16, f16};
use zoo_tensor::{DType, Element, Tensor};

use super::*;

fn tensor<T: Element>(values: &[T]) -> Tensor {
    Tensor::from_slice([values.len()], values).unwrap()
}

fn check<T: Element>(expected: &[T], found: &[T]) -> Comparison {
    compare("y", &tensor(expected), &tensor(found), &Tolerance::default())
}

#[test]
fn the_spread_is_the_measure() {
    // Standard deviation 1: a thousandth of it is the bound.
    let expected = [9.0_f64, 11.0, 9.0, 11.0];
    let good = check(&expected, &[9.0009, 11.0, 9.0, 11.0]);
    assert!(good.equal, "{good}");
    let bad = check(&expected, &[9.0, 11.0, 9.0011, 11.0]);
    assert!(!bad.equal && bad.problem.is_none());
    assert_eq!((bad.at.as_slice(), bad.expected, bad.found), (&[2][..], 9.0, 9.0011));
    assert!((bad.scale - 1.0).abs() < 1e-12, "{}", bad.scale);
    assert!((bad.relative - 0.0011).abs() < 1e-9, "{}", bad.relative);
    assert!(
        compare("y", &tensor(&expected), &tensor(&[9.0, 11.0, 9.0011, 11.0]), &Tolerance { relative: 0.01 })
            .equal
    );
}

#[test]
fn a_wrong_graph_with_small_outputs_fails() {
    // Probabilities over a thousand classes; what is found is the same ones in another order.
    let expected: Vec<f32> = (0..1000).map(|class| (class as f32 * 0.7).sin().mul_add(5e-4, 1e-3)).collect();
    let found: Vec<f32> = expected.iter().rev().copied().collect();
    let comparison = check(&expected, &found);
    assert!(comparison.largest < 1.1e-3, "an absolute bound of 1e-3 would pass about this");
    assert!(!comparison.equal && comparison.relative > 1.0);
    // And all of it zero, as of a graph that computes nothing.
    assert!(!check(&expected, &vec![0.0; 1000]).equal);
}

#[test]
fn a_constant_output_is_measured_by_its_size() {
    assert!(check(&[0.001_f32; 8], &[0.001_000_009; 8]).equal);
    assert!(!check(&[0.001_f32; 8], &[0.001_000_02; 8]).equal);
    assert!((check(&[-5.0_f32; 2], &[-5.0; 2]).scale - 0.05).abs() < 1e-12);
}

#[test]
fn all_zero_has_an_absolute_bound() {
    let near = check(&[0.0_f32; 3], &[0.0, 1e-6, -1e-6]);
    assert!(near.equal && near.scale == 0.0 && near.relative == f64::INFINITY, "{near:?}");
    assert!(!check(&[0.0_f32; 3], &[0.0, 2e-6, 0.0]).equal);
    assert!(check(&[0.0_f32], &[-0.0]).equal);
}

#[test]
fn halves_may_be_off_by_a_few_units() {
    // Near 100 a unit of f16 is 0.06, and the spread here is 1 (a hundredth of 100): a thousandth of it is no f16.
    let halves = |values: &[f32]| values.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>();
    let expected = halves(&[100.0, 100.1, 99.9]);
    assert!(check(&expected, &halves(&[100.1, 100.1, 99.9])).equal);
    assert!(!check(&expected, &halves(&[101.0, 100.1, 99.9])).equal);
    let brains = |values: &[f32]| values.iter().map(|&value| bf16::from_f32(value)).collect::<Vec<_>>();
    assert!(check(&brains(&[1.0, 2.0]), &brains(&[1.0, 2.015_625])).equal);
    assert!(!check(&brains(&[1.0, 2.0]), &brains(&[1.0, 2.1])).equal);
    // The same differences in f32 are wrong.
    assert!(!check(&[100.0_f32, 100.1, 99.9], &[100.1, 100.1, 99.9]).equal);
}

#[test]
fn nan_and_infinities_stay_in_their_places() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let same = check(&[1.0, nan, inf, -inf, 2.0], &[1.0, nan, inf, -inf, 2.0]);
    assert!(same.equal && same.largest == 0.0 && (same.scale - 0.5).abs() < 1e-12, "{same:?}");
    for (expected, found) in [
        ([1.0, nan], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, nan]),
        ([1.0, inf], [1.0, -inf]),
        ([1.0, inf], [1.0, f32::MAX]),
    ] {
        let comparison = check(&expected, &found);
        assert!(!comparison.equal && comparison.largest == f64::INFINITY, "{comparison:?}");
        assert_eq!(comparison.at, [1]);
        assert!(comparison.problem.is_some());
    }
    let anything = Tolerance { relative: f64::INFINITY };
    assert!(
        !compare("y", &tensor(&[1.0, nan]), &tensor(&[1.0, 2.0]), &anything).equal,
        "no tolerance is for NaN"
    );
    let all = check(&[nan; 2], &[nan; 2]);
    assert!(all.equal, "{all:?}");
    assert!(!check(&[nan; 2], &[nan, 0.0]).equal);
}

#[test]
fn extremes_do_not_overflow_the_measure() {
    let (large, small) = (f64::MAX, f64::MIN_POSITIVE);
    assert!(!check(&[large, -large], &[-large, large]).equal);
    assert!(check(&[large, -large], &[large, -large]).equal);
    assert!(!check(&[small, -small], &[-small, small]).equal);
    assert!(check(&[large, 1.0], &[large * (1.0 - 1e-6), 1.0]).equal);
}

#[test]
fn complex_numbers_are_floats_in_pairs() {
    let complex = |parts: &[f32]| {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        Tensor::from_bytes(DType::C64, [parts.len() / 2], bytes.into()).unwrap()
    };
    let bad =
        compare("y", &complex(&[1.0, 2.0, 3.0, 4.0]), &complex(&[1.0, 2.0, 3.0, 4.5]), &Tolerance::default());
    assert!(!bad.equal && bad.at == [1] && bad.elements == 2, "{bad:?}");
}

#[test]
fn integers_and_booleans_are_exact() {
    assert!(check(&[1_i64, -7], &[1, -7]).equal);
    let bad = check(&[1_000_000_i32, 5, 7], &[1_000_001, 5, 17]);
    assert!(!bad.equal && bad.scale == 0.0);
    assert_eq!(
        bad.to_string(),
        "y: 2 integers differ that must be equal; largest difference 1.0e1 at [2]: expected 7, found 17"
    );
    // As floats these are the same number.
    let large = check(&[i64::MAX, u64::MAX as i64], &[i64::MAX - 1, -1]);
    assert!(!large.equal && large.at == [0] && large.largest > 0.5);
    assert!(!check(&[u64::MAX], &[u64::MAX - 1]).equal);
    assert!(!check(&[true, false], &[true, true]).equal);
}

#[test]
fn texts_are_exact() {
    let texts = |texts: &[&str]| {
        Tensor::from_strings([1, texts.len()], texts.iter().map(|&text| text.into()).collect()).unwrap()
    };
    let compare =
        |found: &[&str]| compare("label", &texts(&["cat", "dog"]), &texts(found), &Tolerance::default());
    assert!(compare(&["cat", "dog"]).equal);
    let bad = compare(&["cat", "dot"]);
    assert!(!bad.equal && bad.at == [0, 1] && bad.relative == f64::INFINITY);
    assert_eq!(
        bad.to_string(),
        "label: 1 texts differ that must be equal, first at [0, 1]: expected \"dog\", found \"dot\""
    );
}

#[test]
fn types_that_are_only_carried_are_compared_by_their_bytes() {
    let packed = |bytes: &'static [u8]| {
        Tensor::from_bytes(DType::U4, [2, 3], bytes::Bytes::from_static(bytes)).unwrap()
    };
    let bad = compare("y", &packed(&[1, 2, 3]), &packed(&[1, 2, 4]), &Tolerance::default());
    assert!(!bad.equal && bad.at == [1, 1], "{bad:?}");
    assert!(compare("y", &packed(&[1, 2, 3]), &packed(&[1, 2, 3]), &Tolerance::default()).equal);
}

#[test]
fn type_and_shape_must_be_the_same() {
    let other = compare("y", &tensor(&[1.0_f32]), &tensor(&[1.0_f64]), &Tolerance::default());
    assert_eq!(other.to_string(), "y: f32 was expected, f64 found");
    assert!(!other.equal && other.elements == 0 && other.relative == f64::INFINITY);
    let other = compare("y", &tensor(&[1.0_f32]), &tensor(&[1.0_f32, 1.0]), &Tolerance::default());
    assert_eq!(other.to_string(), "y: the shape [1] was expected, [2] found");
    let flat = Tensor::from_slice([1, 1], &[1.0_f32]).unwrap();
    assert!(!compare("y", &flat, &tensor(&[1.0_f32]), &Tolerance::default()).equal);
}

#[test]
fn nothing_equals_nothing() {
    let empty = || Tensor::from_slice::<f32>([0, 3], &[]).unwrap();
    let comparison = compare("y", &empty(), &empty(), &Tolerance::default());
    assert!(comparison.equal && comparison.elements == 0);
    assert_eq!(comparison.to_string(), "y: no difference in 0 elements");
    let strings = || Tensor::from_strings([0], Vec::new()).unwrap();
    assert!(compare("y", &strings(), &strings(), &Tolerance::default()).equal);
}

#[test]
fn one_line_says_it_all() {
    let expected = Tensor::from_slice([1, 4], &[0.0_f32, 3.0, 6.0, 0.25]).unwrap();
    let found = Tensor::from_slice([1, 4], &[0.0_f32, 3.0, 6.0, 0.250_000_3]).unwrap();
    assert_eq!(
        compare("output", &expected, &found, &Tolerance::default()).to_string(),
        "output: largest difference 3.0e-7 (1.2e-7 of the spread) at [0, 3]: expected 0.25, found 0.2500003"
    );
    assert_eq!(check(&[1.0_f32, 2.0], &[1.0, 2.0]).to_string(), "y: no difference in 2 elements");
    assert_eq!(
        check(&[1.0_f32, f32::NAN], &[1.0, 0.5]).to_string(),
        "y: 1 of 2 elements are NaN or infinite on one side only; first at [1]: expected NaN, found 0.5"
    );
}

#[test]
fn outputs_find_each_other_by_name_then_by_position() {
    let named = |name: &str, value: f32| (name.to_owned(), tensor(&[value]));
    let summary = |expected: &[Named], found: &[Named]| {
        let all = compare_all(expected, found, &Tolerance::default());
        all.into_iter().map(|c| (c.name, c.equal, c.problem)).collect::<Vec<_>>()
    };
    let ok = |name: &str| (name.to_owned(), true, None);
    let found = [named("a", 1.0), named("b", 2.0)];
    assert_eq!(summary(&[named("b", 2.0), named("a", 1.0)], &found), [ok("b"), ok("a")]);
    assert_eq!(summary(&[named("", 1.0), named("x", 2.0)], &found), [ok("a"), ok("b")]);
    assert_eq!(summary(&[named("a", 1.0), named("", 2.0)], &found), [ok("a"), ok("b")]);
    assert_eq!(summary(&[named("a", 1.0)], &found), [ok("a")]);
    let missing = |name: &str| (name.to_owned(), false, Some("it is missing".to_owned()));
    assert_eq!(
        summary(&[named("a", 1.0), named("b", 2.0), named("c", 3.0)], &found),
        [ok("a"), ok("b"), missing("c")]
    );
    // The place of "x" is taken by a name: nothing is left for it.
    assert_eq!(summary(&[named("x", 1.0), named("a", 1.0)], &[named("a", 1.0)]), [missing("x"), ok("a")]);
    let swapped = compare_all(&[named("", 2.0), named("", 1.0)], &found, &Tolerance::default());
    assert!(swapped.iter().all(|comparison| !comparison.equal));
}
