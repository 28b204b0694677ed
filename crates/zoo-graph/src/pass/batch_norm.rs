//! Multiplies batch norms into the convolutions before them.
//!
//! Before: `a = Conv(x, w, b); y = BatchNormalization(a, γ, β, μ, σ²)`. After: `y = Conv(x, w', b')`, where, for each output channel,
//!
//! ```text
//! s = γ / √(σ² + ε)        w' = w s        b' = (b - μ) s + β
//! ```
//!
//! in double precision, rounded once. `w'` keeps the name of `w` and is not computed before it is written; `b'` is called
//! `<module>.bias`. Not folded, because it is not the same or has no weight of its own: a convolution whose result is used elsewhere
//! too, a weight that several nodes use, a norm in training, a factor that is not finite.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use zoo_tensor::{DType, Dim, Tensor, Weight};

use super::rewrite::{input, is, output};
use crate::graph::{Graph, Node, Source, Val, Value};

/// What ONNX takes where a norm does not say its ε.
const DEFAULT_EPSILON: f32 = 1e-5;

/// The node that makes each value, by its index.
type Producers = HashMap<Val, usize>;

/// Returns how many norms were folded.
pub(super) fn run(graph: &mut Graph) -> Result<usize, String> {
    let (uses, producers) = (graph.uses(), graph.producers());
    let used_once = |val: Val| uses.get(val.0 as usize) == Some(&1);
    let mut gone = HashSet::new();
    for at in 0..graph.nodes.len() {
        let norm = &graph.nodes[at];
        if !is(norm, "BatchNormalization") || norm.int("training_mode").unwrap_or(0) != 0 {
            continue;
        }
        let (Some(between), Some(made)) = (input(norm, 0), output(norm)) else { continue };
        let Some(&conv_at) = producers.get(&between).filter(|_| used_once(between)) else { continue };
        let conv = &graph.nodes[conv_at];
        let (Some(weight), true) = (input(conv, 1), is(conv, "Conv")) else { continue };
        // Its own weight and bias, also behind the cast of narrower ones, if nothing else uses them.
        let own = |val: Val| {
            let own = uncast(graph, &producers, val);
            let is_weight = matches!(graph.value(own).source, Source::Weight(_));
            (is_weight && used_once(val) && used_once(own)).then_some(own)
        };
        let Some(own_weight) = own(weight).filter(|_| graph.value(weight).dtype == DType::F32) else {
            continue;
        };
        let own_bias = input(conv, 2).and_then(own);
        let Some(folded) = Folded::of(graph, &producers, conv, norm)? else { continue };
        let bias = folded.apply(graph, own_weight, own_bias)?;
        let conv = &mut graph.nodes[conv_at];
        conv.inputs.truncate(1);
        conv.inputs.extend([Some(own_weight), Some(bias)]);
        conv.outputs = vec![made];
        gone.insert(at);
    }
    let mut at = 0..;
    graph.nodes.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
    Ok(gone.len())
}

/// What a cast reads, or the value itself.
fn uncast(graph: &Graph, producers: &Producers, val: Val) -> Val {
    let cast = producers.get(&val).and_then(|&at| graph.nodes.get(at)).filter(|node| is(node, "Cast"));
    cast.and_then(|node| input(node, 0)).unwrap_or(val)
}

/// What a convolution and its norm do to each channel: multiply, then add.
struct Folded {
    factors: Vec<f64>,
    bias: Vec<f32>,
}

impl Folded {
    /// None if one of the vectors is not known, or something would not be finite.
    fn of(graph: &Graph, producers: &Producers, conv: &Node, norm: &Node) -> Result<Option<Self>, String> {
        let vector = |val: Val| -> Result<Option<Vec<f64>>, String> {
            let value = graph.value(uncast(graph, producers, val));
            let tensor = match &value.source {
                Source::Weight(weight) => weight.to_tensor(),
                Source::Constant(tensor) => Ok(tensor.clone()),
                _ => return Ok(None),
            };
            let numbers = tensor.and_then(|tensor| tensor.to_f64_vec());
            numbers.map(Some).map_err(|error| format!("{}: {error}", value.describe()))
        };
        let mut vectors = Vec::new();
        for val in [1, 2, 3, 4].map(|at| input(norm, at)) {
            let Some(val) = val else { return Ok(None) };
            let Some(numbers) = vector(val)? else { return Ok(None) };
            vectors.push(numbers);
        }
        let [scale, shift, mean, variance] = vectors.as_slice() else { return Ok(None) };
        let before = match input(conv, 2) {
            None => Some(vec![0.0; scale.len()]),
            Some(bias) => vector(bias)?,
        };
        let Some(before) = before else { return Ok(None) };
        if [shift, mean, variance, &before].iter().any(|vector| vector.len() != scale.len()) {
            return Err(format!("the vectors of the norm \"{}\" differ in length", norm.name));
        }
        let epsilon = f64::from(norm.float("epsilon").unwrap_or(DEFAULT_EPSILON));
        let factors: Vec<f64> =
            scale.iter().zip(variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
        let sums = before.iter().zip(mean).zip(&factors).zip(shift);
        let bias: Vec<f32> =
            sums.map(|(((before, mean), factor), shift)| ((before - mean) * factor + shift) as f32).collect();
        let finite =
            factors.iter().all(|factor| factor.is_finite()) && bias.iter().all(|bias| bias.is_finite());
        Ok(finite.then_some(Self { factors, bias }))
    }

    /// Multiplies the weight, and returns the bias: the convolution's own, if it has one, or a new one.
    fn apply(self, graph: &mut Graph, weight: Val, own_bias: Option<Val>) -> Result<Val, String> {
        let value = graph.value_mut(weight);
        let Source::Weight(before) = &value.source else {
            return Err(format!("{} is no weight", value.name));
        };
        if before.shape().first() != Some(&self.factors.len()) {
            return Err(format!("{} does not have {} outputs", value.describe(), self.factors.len()));
        }
        value.source = Source::Scaled { weight: before.clone(), factors: Arc::from(self.factors) };
        value.dtype = DType::F32;
        let module = value.name.strip_suffix(".weight").unwrap_or(&value.name);
        let name = format!("{module}.bias");
        let bias = Tensor::from_slice([self.bias.len()], &self.bias).map_err(|error| error.to_string())?;
        let dims = vec![Dim::Fixed(bias.len())];
        let (dtype, source) = (DType::F32, Source::Weight(Weight::from(bias)));
        match own_bias {
            Some(val) => {
                let name = graph.value(val).name.clone();
                *graph.value_mut(val) = Value { name, dtype, dims, source };
                Ok(val)
            }
            None => {
                let name = graph.unique_name(&name);
                Ok(graph.add_value(Value { name, dtype, dims, source }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use crate::ops::{BatchNorm, Window};
    use crate::testing::{graph, value};
    use crate::weights::Weights;

    fn vector(values: &[f32]) -> Weight {
        Tensor::from_slice([values.len()], values).unwrap().into()
    }

    /// `bn(conv(x))` with two channels: the second one's factor is 3/√(4 + 0) once ε is nothing beside 4.
    fn checkpoint(bias: bool, dtype: DType) -> Weights {
        let weight = match dtype {
            DType::F16 => {
                let halves: Vec<half::f16> = (1..5_u8).map(|i| half::f16::from_f32(f32::from(i))).collect();
                Tensor::from_slice([2, 2, 1, 1], &halves).unwrap()
            }
            _ => Tensor::from_slice([2, 2, 1, 1], &[1.0_f32, 2.0, 3.0, 4.0]).unwrap(),
        };
        let mut tensors = vec![
            ("conv.weight", weight.into()),
            ("bn.weight", vector(&[0.5, 3.0])),
            ("bn.bias", vector(&[10.0, 20.0])),
            ("bn.running_mean", vector(&[1.0, 2.0])),
            ("bn.running_var", vector(&[1.0, 4.0])),
        ];
        if bias {
            tensors.push(("conv.bias", vector(&[5.0, 6.0])));
        }
        Weights::new(tensors.into_iter().map(|(name, weight)| (name.to_owned(), weight))).unwrap()
    }

    fn conv_norm(g: &mut Builder, w: &Weights) -> (Val, Val) {
        let x = value(g, "x", "n,2,4,4");
        let weight = g.weight(w, "conv.weight").unwrap();
        let bias = g.weight_if(w, "conv.bias").unwrap();
        let between = g.conv(x, weight, bias, Window::of(1)).unwrap();
        let [scale, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| g.weight(&w.at("bn"), name).unwrap());
        let norm = BatchNorm { scale, bias, mean, variance, epsilon: 0.0 };
        (between, g.batch_norm(between, norm).unwrap())
    }

    fn pass(graph: &mut Graph) -> usize {
        let changes = run(graph).unwrap();
        super::super::dead_node::run(graph);
        crate::emit::model(graph).unwrap();
        changes
    }

    #[test]
    fn norms_go_into_weight_and_bias() {
        for (bias, expected) in [(false, [9.5, 17.0]), (true, [12.0, 26.0])] {
            let mut g = graph();
            let (_, y) = conv_norm(&mut g, &checkpoint(bias, DType::F32));
            let y = g.relu(y).unwrap();
            let mut graph = g.finish_with(y);
            assert_eq!(pass(&mut graph), 1);
            assert_eq!(graph.op_histogram().into_keys().collect::<Vec<_>>(), ["Conv", "Relu"]);
            let [_, weight, bias] = graph.nodes[0].inputs[..] else { panic!("{:?}", graph.nodes[0]) };
            let (weight, bias) = (graph.value(weight.unwrap()), graph.value(bias.unwrap()));
            assert_eq!((weight.name.as_str(), bias.name.as_str()), ("conv.weight", "conv.bias"));
            let Source::Scaled { factors, .. } = &weight.source else { panic!("{weight:?}") };
            assert_eq!(factors[..], [0.5, 1.5]);
            let Source::Weight(bias) = &bias.source else { panic!("{bias:?}") };
            assert_eq!(bias.to_tensor().unwrap().to_f32_vec().unwrap(), expected);
        }
    }

    #[test]
    fn scaled_weights_are_computed_when_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        for dtype in [DType::F32, DType::F16] {
            let mut g = graph();
            let (_, y) = conv_norm(&mut g, &checkpoint(true, dtype));
            let mut graph = g.finish_with(y);
            assert_eq!(pass(&mut graph), 1);
            assert_eq!(graph.nodes.len(), 1, "the cast of a half went with the half");
            let path = dir.path().join("m.onnx");
            crate::emit::write(&graph, &path, &crate::emit::EmitOptions::in_place()).unwrap();
            let model = crate::Model::open(&path).unwrap();
            let weight = &model.proto().graph.as_ref().unwrap().initializer[0];
            let tensor = crate::tensor::to_tensor(weight, None).unwrap();
            assert_eq!((weight.name(), tensor.dtype()), ("conv.weight", DType::F32));
            assert_eq!(tensor.to_f32_vec().unwrap(), [0.5, 1.0, 4.5, 6.0]);
        }
    }

    #[test]
    fn what_is_used_twice_or_is_not_finite_stays() {
        let mut g = graph();
        let (between, y) = conv_norm(&mut g, &checkpoint(false, DType::F32));
        let other = g.relu(between).unwrap();
        g.output("other", other).unwrap();
        assert_eq!(pass(&mut g.finish_with(y)), 0);

        let mut g = graph();
        let w = checkpoint(false, DType::F32);
        let (_, y) = conv_norm(&mut g, &w);
        let weight = g.weight(&w, "conv.weight").unwrap();
        let y = g.conv(y, weight, None, Window::of(1)).unwrap();
        assert_eq!(pass(&mut g.finish_with(y)), 0, "the other convolution has the same weight");

        let mut g = graph();
        let (_, y) = conv_norm(&mut g, &checkpoint(false, DType::F32));
        let mut graph = g.finish_with(y);
        let variance = graph.values().find(|(_, value)| value.name == "bn.running_var").unwrap().0;
        graph.value_mut(variance).source = Source::Weight(vector(&[0.0, 1.0]));
        assert_eq!(pass(&mut graph), 0);
        graph.nodes[1].attributes.push(("training_mode".into(), 1_i64.into()));
        graph.value_mut(variance).source = Source::Weight(vector(&[1.0, 1.0]));
        assert_eq!(pass(&mut graph), 0);
    }
}
