//! All passes together: on graphs by chance, that outputs stay what they were; on written ones, what is left.

use proptest::prelude::*;
use zoo_tensor::{DType, Dim, Tensor};

use super::evaluate::{Array, evaluate};
use super::*;
use crate::Builder;
use crate::graph::Val;
use crate::ops::{BatchNorm, Window};
use crate::testing::{graph, value};

/// One step of making a graph by chance; the numbers choose operands and axes among those that there are.
#[derive(Debug, Clone, Copy)]
enum Step {
    Unary(usize, usize),
    Binary(usize, usize, usize),
    Transpose(usize, usize),
    Join(usize, usize),
    Split(usize, usize),
    Flatten(usize),
    Unsqueeze(usize, usize),
    Squeeze(usize),
    Constant(usize, usize, usize),
    Weight(usize, usize),
    Norm(usize),
    Mean(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0_usize..64;
    prop_oneof![
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Unary(a, b)),
        (n.clone(), n.clone(), n.clone()).prop_map(|(a, b, c)| Step::Binary(a, b, c)),
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Transpose(a, b)),
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Transpose(a, b)),
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Join(a, b)),
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Split(a, b)),
        n.clone().prop_map(Step::Flatten),
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Unsqueeze(a, b)),
        n.clone().prop_map(Step::Squeeze),
        (n.clone(), n.clone(), n.clone()).prop_map(|(a, b, c)| Step::Constant(a, b, c)),
        (n.clone(), n.clone()).prop_map(|(a, b)| Step::Weight(a, b)),
        n.clone().prop_map(Step::Norm),
        (n.clone(), n).prop_map(|(a, b)| Step::Mean(a, b)),
    ]
}

/// Adds a step, if it is possible there. New values are used with preference, so that graphs are deep.
fn add(g: &mut Builder, values: &[Val], step: Step) -> Option<Val> {
    let pick = |n: usize| values[values.len() - 1 - (n * n / 64) % values.len()];
    let order = |n: usize, rank: usize| {
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.rotate_left(n % rank.max(1));
        if n % 2 == 1 && rank > 1 {
            axes.swap(0, rank - 1);
        }
        axes
    };
    let same = |g: &mut Builder, op: &str, x: Val| {
        let made = (g.dtype(x), g.dims(x).to_vec());
        g.node1(op, &[x], vec![], made).ok()
    };
    match step {
        Step::Unary(n, op) => {
            let x = pick(n);
            match op % 7 {
                0 => g.relu(x).ok(),
                1 => g.neg(x).ok(),
                2 => g.clip(x, -1.0, 2.0).ok(),
                3 => same(g, "Identity", x),
                4 => same(g, "Dropout", x),
                5 => {
                    let x = g.cast(x, DType::F64).ok()?;
                    g.cast(x, DType::F32).ok()
                }
                _ => g.silu(x).ok(),
            }
        }
        Step::Binary(a, b, op) => {
            let (a, b) = (pick(a), pick(b));
            match op % 3 {
                0 => g.add(a, b).ok(),
                1 => g.sub(a, b).ok(),
                _ => g.maximum(a, b).ok(),
            }
        }
        Step::Transpose(n, by) => {
            let x = pick(n);
            g.transpose(x, &order(by, g.dims(x).len())).ok()
        }
        Step::Join(n, at) => {
            let x = pick(n);
            let from = at % g.dims(x).len().max(1);
            g.join_axes(x, from, from + 2).ok()
        }
        Step::Split(n, at) => {
            let x = pick(n);
            g.split_axis(x, at % g.dims(x).len().max(1), &[2]).ok()
        }
        Step::Flatten(n) => g.flatten(pick(n)).ok(),
        Step::Unsqueeze(n, at) => {
            let x = pick(n);
            let rank = g.dims(x).len();
            if rank < 5 { g.unsqueeze(x, (at % (rank + 1)) as i64).ok() } else { None }
        }
        Step::Squeeze(n) => {
            let x = pick(n);
            let axis = g.dims(x).iter().position(|dim| *dim == Dim::Fixed(1))?;
            g.squeeze(x, axis as i64).ok()
        }
        Step::Constant(n, axes, value) => {
            // Along the last axes of the operand, some of them 1; sometimes computed from two constants.
            let x = pick(n);
            let size =
                |(at, dim): (usize, &Dim)| if axes >> at & 1 == 0 { dim.fixed().unwrap_or(1) } else { 1 };
            let shape: Vec<usize> = g.dims(x).iter().enumerate().map(size).collect();
            let shape = &shape[axes % (shape.len() + 1)..];
            let count: usize = shape.iter().product();
            let data: Vec<f32> = (0..count).map(|at| ((at * 7 + value) % 11) as f32 - 5.0).collect();
            let mut constant = g.floats("c", shape, &data).ok()?;
            if value % 3 == 0 {
                constant = g.add(constant, constant).ok()?;
            }
            if value % 2 == 0 { g.mul(x, constant).ok() } else { g.add(constant, x).ok() }
        }
        Step::Weight(n, value) => {
            let x = pick(n);
            let last = g.dims(x).last()?.fixed()?;
            let data: Vec<f32> = (0..last).map(|at| ((at * 5 + value) % 7) as f32 - 3.0).collect();
            let weight = g.derived("w", Tensor::from_slice([last], &data).ok()?.into());
            g.mul(x, weight).ok()
        }
        Step::Norm(n) => {
            let x = pick(n);
            let channels = g.dims(x).get(1)?.fixed().filter(|_| g.dims(x).len() > 2)?;
            let vector = |g: &mut Builder, name: &str, from: usize| {
                let data: Vec<f32> = (0..channels).map(|at| ((at + from) % 5) as f32 * 0.5 + 0.5).collect();
                Some(g.derived(name, Tensor::from_slice([channels], &data).ok()?.into()))
            };
            let mut shape = vec![1; g.dims(x).len()];
            (shape[0], shape[1]) = (channels, channels);
            let data: Vec<f32> = (0..channels * channels).map(|at| (at % 3) as f32 - 1.0).collect();
            let weight = g.derived("conv.weight", Tensor::from_slice(shape, &data).ok()?.into());
            let x = g.conv(x, weight, None, Window::of(1)).ok()?;
            let norm = BatchNorm {
                scale: vector(g, "scale", 1)?,
                bias: vector(g, "shift", 2)?,
                mean: vector(g, "mean", n)?,
                variance: vector(g, "variance", 4)?,
                epsilon: 1e-5,
            };
            g.batch_norm(x, norm).ok()
        }
        Step::Mean(n, axis) => {
            let x = pick(n);
            g.reduce_mean(x, &[(axis % g.dims(x).len().max(1)) as i64], true).ok()
        }
    }
}

fn inputs(seed: usize) -> Vec<Array> {
    let shape = vec![3, 4, 2, 6];
    let count: usize = shape.iter().product();
    // Eighths: sums and products of a few of them are exact.
    let data = (0..count).map(|at| ((at * 37 + seed * 11) % 41) as f64 / 8.0 - 2.5).collect();
    vec![Array { shape, data }]
}

/// A step per number; outputs are the last values, and some that are also used further on.
fn by_chance(steps: &[Step], taken: &[usize]) -> Graph {
    let mut g = graph();
    let mut values = vec![value(&mut g, "x", "n,4,2,6")];
    for &step in steps {
        values.extend(add(&mut g, &values, step));
    }
    let last = values[values.len() - 1];
    g.output("last", last).unwrap();
    for (at, taken) in taken.iter().enumerate() {
        g.output(&format!("out{at}"), values[taken % values.len()]).unwrap();
    }
    g.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn outputs_stay_what_they_were(
        steps in proptest::collection::vec(step(), 1..24),
        taken in proptest::collection::vec(0_usize..24, 0..3),
        fold: bool,
    ) {
        let before = by_chance(&steps, &taken);
        let mut after = before.clone();
        let report = run(&mut after, &PassOptions::default().fold_batch_norms(fold)).unwrap();
        prop_assert!(report.rounds < MAX_ROUNDS, "{:?}", report);
        prop_assert!(after.nodes.len() <= before.nodes.len());
        crate::emit::model(&after).unwrap();
        let face = |graph: &Graph| -> Vec<String> {
            graph.inputs.iter().chain(&graph.outputs).map(|&val| graph.value(val).describe()).collect()
        };
        prop_assert_eq!(face(&after), face(&before));
        let (expected, found) = (evaluate(&before, &inputs(taken.len())), evaluate(&after, &inputs(taken.len())));
        for (expected, found) in expected.iter().zip(&found) {
            prop_assert_eq!(&expected.shape, &found.shape);
            let largest = expected.data.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
            for (a, b) in expected.data.iter().zip(&found.data) {
                // A folded bias is rounded to single precision; all else only changes its place.
                prop_assert!((a - b).abs() <= largest * if fold { 1e-5 } else { 1e-12 }, "{} and {}", a, b);
            }
        }
        let again = after.clone();
        prop_assert_eq!(run(&mut after, &PassOptions::default().fold_batch_norms(fold)).unwrap().changes, vec![]);
        prop_assert_eq!(after, again);
    }
}

#[test]
fn a_block_of_channels_last_comes_out_clean() {
    // ConvNeXt's block without its norm: channels last in the middle, and a scale behind.
    let mut g = graph();
    let x = value(&mut g, "x", "n,8,14,14");
    let y = g.transpose(x, &[0, 2, 3, 1]).unwrap();
    let y = g.gelu(y).unwrap();
    let y = g.transpose(y, &[0, 3, 1, 2]).unwrap();
    let scale = g.derived("layer_scale", Tensor::from_slice([8, 1, 1], &[0.1_f32; 8]).unwrap().into());
    let y = g.mul(y, scale).unwrap();
    let y = g.add(y, x).unwrap();
    let mut graph = g.finish_with(y);
    let report = run(&mut graph, &PassOptions::default()).unwrap();
    assert_eq!(
        graph.nodes.iter().map(|n| n.op.as_str()).collect::<Vec<_>>(),
        ["Div", "Erf", "Add", "Mul", "Mul", "Mul", "Add"]
    );
    let changes = [("transpose", 1), ("dead_node", 2), ("identity", 1)];
    assert_eq!((report.rounds, report.changes.as_slice()), (3, &changes[..]));
}

#[test]
fn a_name_of_the_pass_is_in_its_error() {
    let error = Error::Pass { pass: "reshape", problem: "x: f32[2] is wrong".into() };
    assert_eq!(error.to_string(), "the pass \"reshape\" failed: x: f32[2] is wrong");
    assert!(error.hint().unwrap().contains("report it"));
}
