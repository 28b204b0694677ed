//! Weights of another type than the checkpoint's, and the graph that computes as before.
//!
//! Before: `w: f32 -> Conv`, or, of a narrower checkpoint, `w: f16 -> Cast(f32) -> Conv`. After, written as `bf16`: `w: bf16 -> Cast(f32)
//! -> Conv` in both cases. A cast to what the weight is now is gone.

use zoo_tensor::DType;

use crate::graph::{Graph, Node, Source, Val, Value};
use crate::{Error, Result};

/// The graph with floating-point weights declared as `dtype`. Their bytes still are what they were: who writes them casts them.
///
/// # Errors
/// If `dtype` is not a type that weights are written as, or a weight is of one that is not cast.
pub(super) fn weights_as(graph: &Graph, dtype: DType) -> Result<Graph> {
    if !matches!(dtype, DType::F16 | DType::BF16 | DType::F32) {
        return Err(Error::WeightsAs { dtype });
    }
    let mut graph = graph.clone();
    let uses = graph.uses();
    let weights: Vec<(Val, DType)> = graph
        .values()
        .filter(|(val, _)| uses.get(val.0 as usize).is_some_and(|&uses| uses > 0))
        .filter(|(_, value)| matches!(value.source, Source::Weight(_) | Source::Scaled { .. }))
        .map(|(val, value)| (val, value.dtype))
        .filter(|(_, before)| before.is_float() && *before != dtype)
        .collect();
    let mut casts = Vec::new();
    for (val, before) in weights {
        if !matches!(before, DType::F64 | DType::F32 | DType::F16 | DType::BF16) {
            return Err(Error::WeightType { name: graph.value(val).name.clone(), dtype: before });
        }
        let is_cast = |node: &Node| node.op == "Cast" && node.domain.is_empty() && node.inputs == [Some(val)];
        graph.value_mut(val).dtype = dtype;
        // Casts of the weight itself read the new type as well as the old one.
        let needless: Vec<(Val, Val)> = graph
            .nodes
            .iter()
            .filter(|node| is_cast(node) && node.int("to") == Some(i64::from(dtype.onnx_code())))
            .filter_map(|node| Some((*node.outputs.first()?, val)))
            .filter(|(made, _)| !graph.outputs.contains(made))
            .collect();
        graph
            .nodes
            .retain(|node| !node.outputs.iter().any(|made| needless.iter().any(|(old, _)| old == made)));
        let direct = graph.outputs.contains(&val)
            || graph.nodes.iter().any(|node| !is_cast(node) && node.inputs.contains(&Some(val)));
        if direct {
            let name = graph.unique_name(&format!("{}.{before}", graph.value(val).name));
            let dims = graph.value(val).dims.clone();
            let widened =
                graph.add_value(Value { name: name.clone(), dtype: before, dims, source: Source::Node });
            let others = graph.nodes.iter_mut().filter(|node| !is_cast(node));
            let uses = others.flat_map(|node| node.inputs.iter_mut().flatten()).chain(&mut graph.outputs);
            uses.filter(|used| **used == val).for_each(|used| *used = widened);
            casts.push(Node {
                name: format!("{name}/Cast"),
                op: "Cast".to_owned(),
                domain: String::new(),
                inputs: vec![Some(val)],
                outputs: vec![widened],
                attributes: vec![("to".to_owned(), i64::from(before.onnx_code()).into())],
            });
        }
        for (made, weight) in needless {
            graph.replace_uses(made, weight);
        }
    }
    graph.nodes.splice(0..0, casts);
    Ok(graph)
}
