//! Computes small graphs in double precision, in the plainest way: what the tests of passes compare with.

use std::collections::HashMap;

use crate::graph::{Graph, Node, Source, Val, Value};

/// A tensor, whatever its type in the graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
}

impl Array {
    fn at(&self, index: &[usize]) -> f64 {
        // Aligned at the end, with axes of size 1 repeated: ONNX's broadcasting.
        let skipped = index.len() - self.shape.len();
        let place = self.shape.iter().zip(&index[skipped..]);
        self.data[place.fold(0, |at, (&size, &i)| at * size + if size == 1 { 0 } else { i })]
    }

    fn of(shape: &[usize], element: impl Fn(&[usize]) -> f64) -> Self {
        let mut data = Vec::new();
        for flat in 0..shape.iter().product() {
            let (mut rest, mut index) = (flat, vec![0; shape.len()]);
            for axis in (0..shape.len()).rev() {
                index[axis] = rest % shape[axis];
                rest /= shape[axis];
            }
            data.push(element(&index));
        }
        Self { shape: shape.to_vec(), data }
    }
}

/// The outputs, for these inputs. Panics on what it does not know, and where a value is not of the shape that the graph says.
pub(super) fn evaluate(graph: &Graph, inputs: &[Array]) -> Vec<Array> {
    let mut values: HashMap<Val, Array> = graph.inputs.iter().copied().zip(inputs.iter().cloned()).collect();
    for (val, value) in graph.values() {
        if let Some(array) = known(value) {
            values.insert(val, array);
        }
    }
    for node in &graph.nodes {
        let operands: Vec<&Array> = node.inputs.iter().flatten().map(|val| &values[val]).collect();
        let made = compute(node, &operands);
        for (&val, array) in node.outputs.iter().zip(made) {
            let value = graph.value(val);
            let fits = value.dims.len() == array.shape.len()
                && value.dims.iter().zip(&array.shape).all(|(dim, &size)| dim.admits(size));
            assert!(fits, "{} is {:?}", value.describe(), array.shape);
            values.insert(val, array);
        }
    }
    graph.outputs.iter().map(|val| values[val].clone()).collect()
}

fn known(value: &Value) -> Option<Array> {
    let tensor = match &value.source {
        Source::Constant(tensor) => tensor.clone(),
        Source::Weight(weight) | Source::Scaled { weight, .. } => weight.to_tensor().unwrap(),
        Source::Input | Source::Node => return None,
    };
    let mut data = tensor.to_f64_vec().unwrap();
    if let Source::Scaled { factors, .. } = &value.source {
        let row = data.len() / factors.len();
        data.iter_mut().enumerate().for_each(|(at, element)| *element *= factors[at / row]);
    }
    Some(Array { shape: tensor.shape().to_vec(), data })
}

fn compute(node: &Node, x: &[&Array]) -> Vec<Array> {
    let each = |op: &dyn Fn(f64) -> f64| {
        vec![Array { shape: x[0].shape.clone(), data: x[0].data.iter().map(|&v| op(v)).collect() }]
    };
    let pair = |op: &dyn Fn(f64, f64) -> f64| {
        let rank = x[0].shape.len().max(x[1].shape.len());
        let size =
            |a: &Array, axis: usize| (axis + a.shape.len()).checked_sub(rank).map_or(1, |own| a.shape[own]);
        let shape: Vec<usize> = (0..rank).map(|axis| size(x[0], axis).max(size(x[1], axis))).collect();
        vec![Array::of(&shape, |index| op(x[0].at(index), x[1].at(index)))]
    };
    let reshaped = |shape: Vec<usize>| vec![Array { shape, data: x[0].data.clone() }];
    match node.op.as_str() {
        "Identity" | "Cast" | "Dropout" => each(&|v| v),
        "Relu" => each(&|v| v.max(0.0)),
        "Neg" => each(&|v| -v),
        "Exp" => each(&f64::exp),
        "Sigmoid" => each(&|v| 1.0 / (1.0 + (-v).exp())),
        "Clip" => each(&|v| v.clamp(x[1].data[0], x[2].data[0])),
        "Add" => pair(&|a, b| a + b),
        "Sub" => pair(&|a, b| a - b),
        "Mul" => pair(&|a, b| a * b),
        "Max" => pair(&f64::max),
        "Transpose" => {
            let perm: Vec<usize> = node.ints("perm").unwrap().iter().map(|&axis| axis as usize).collect();
            let shape: Vec<usize> = perm.iter().map(|&axis| x[0].shape[axis]).collect();
            vec![Array::of(&shape, |index| {
                let mut from = vec![0; index.len()];
                perm.iter().zip(index).for_each(|(&axis, &i)| from[axis] = i);
                x[0].at(&from)
            })]
        }
        "Reshape" => {
            let count: usize = x[0].shape.iter().product();
            let mut shape: Vec<usize> = Vec::new();
            for (axis, &size) in x[1].data.iter().enumerate() {
                shape.push(match size as i64 {
                    0 => x[0].shape[axis],
                    -1 => usize::MAX,
                    size => size as usize,
                });
            }
            let rest: usize = shape.iter().filter(|&&size| size != usize::MAX).product();
            shape.iter_mut().filter(|size| **size == usize::MAX).for_each(|size| *size = count / rest);
            assert_eq!(shape.iter().product::<usize>(), count);
            reshaped(shape)
        }
        "Flatten" => reshaped(vec![x[0].shape[0], x[0].shape[1..].iter().product()]),
        "Squeeze" => {
            let mut shape = x[0].shape.clone();
            let axis = x[1].data[0] as i64;
            shape.remove(if axis < 0 { (axis + shape.len() as i64) as usize } else { axis as usize });
            reshaped(shape)
        }
        "Unsqueeze" => {
            let mut shape = x[0].shape.clone();
            let axis = x[1].data[0] as i64;
            shape.insert(if axis < 0 { (axis + shape.len() as i64 + 1) as usize } else { axis as usize }, 1);
            reshaped(shape)
        }
        "Shape" => {
            let (from, to) = (node.int("start").unwrap() as usize, node.int("end").unwrap() as usize);
            let sizes: Vec<f64> = x[0].shape[from..to].iter().map(|&size| size as f64).collect();
            vec![Array { shape: vec![sizes.len()], data: sizes }]
        }
        "Concat" if x.iter().all(|part| part.shape.len() == 1) => {
            let data: Vec<f64> = x.iter().flat_map(|part| part.data.clone()).collect();
            vec![Array { shape: vec![data.len()], data }]
        }
        "ReduceMean" => {
            let axis = x[1].data[0] as usize;
            let mut shape = x[0].shape.clone();
            let size = std::mem::replace(&mut shape[axis], 1);
            vec![Array::of(&shape, |index| {
                let mut index = index.to_vec();
                let mut element = |i| {
                    index[axis] = i;
                    x[0].at(&index)
                };
                (0..size).map(&mut element).sum::<f64>() / size as f64
            })]
        }
        "Conv" => {
            // A kernel of one, one group: a matrix product over the channels.
            let (input, weight) = (x[0], x[1]);
            let mut shape = input.shape.clone();
            shape[1] = weight.shape[0];
            vec![Array::of(&shape, |index| {
                let mut from = index.to_vec();
                let mut product = |channel| {
                    from[1] = channel;
                    let mut at = vec![index[1], channel];
                    at.resize(weight.shape.len(), 0);
                    input.at(&from) * weight.at(&at)
                };
                let bias = x.get(2).map_or(0.0, |bias| bias.data[index[1]]);
                (0..weight.shape[1]).map(&mut product).sum::<f64>() + bias
            })]
        }
        "BatchNormalization" => {
            let epsilon = f64::from(node.float("epsilon").unwrap());
            vec![Array::of(&x[0].shape, |index| {
                let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|at| x[at].data[index[1]]);
                (x[0].at(index) - mean) / (variance + epsilon).sqrt() * scale + bias
            })]
        }
        other => panic!("the tests do not know {other}"),
    }
}
