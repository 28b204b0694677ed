//! Whether scores are probabilities already.
//!
//! Most classifiers end in a linear layer, whose numbers a softmax turns into probabilities; some exported models end in the
//! softmax. The numbers do not tell which, and a second softmax would make every picture look like nothing in particular.
//! The graph does.

use std::path::Path;

use zoo_graph::Model;
use zoo_graph::proto::NodeProto;

use crate::Result;

/// What the numbers of an output of scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Any numbers; a softmax makes probabilities of them.
    Logits,
    /// Probabilities: the graph has made them.
    Probabilities,
}

/// Operators that change a value's shape or type only.
const TRANSPARENT: [&str; 7] = ["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];

/// How many of them may stand between the softmax and the output. Exporters put one or two.
const FAR: usize = 8;

impl Scale {
    /// What the model in a file says of one of its outputs.
    ///
    /// # Errors
    /// If the model cannot be read.
    pub fn read(model: &Path, output: &str) -> Result<Self> {
        Ok(Self::of(&Model::open(model)?, output))
    }

    /// What the node says that makes an output of a model.
    pub fn of(model: &Model, output: &str) -> Self {
        let nodes = model.proto().graph.as_ref().map_or(&[][..], |graph| &graph.node);
        let mut value = output;
        for _ in 0..FAR {
            let Some(node) = nodes.iter().find(|node| node.output.iter().any(|name| name == value)) else {
                break;
            };
            match node.op_type.as_deref().filter(|_| is_standard(node)) {
                Some("Softmax" | "Sigmoid") => return Self::Probabilities,
                Some(op) if TRANSPARENT.contains(&op) => match node.input.first() {
                    Some(input) => value = input,
                    None => break,
                },
                _ => break,
            }
        }
        Self::Logits
    }
}

fn is_standard(node: &NodeProto) -> bool {
    matches!(node.domain.as_deref(), None | Some("" | "ai.onnx"))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use zoo_graph::proto::{GraphProto, ModelProto, OperatorSetIdProto};

    use super::*;

    /// A chain of operators from `x` to the last one's output.
    fn scale(ops: &[(&str, &str)]) -> Scale {
        let name = |place: usize| if place == 0 { "x".to_owned() } else { format!("v{place}") };
        let node = |(place, (op, domain)): (usize, &(&str, &str))| NodeProto {
            input: vec![name(place)],
            output: vec![name(place + 1)],
            op_type: Some((*op).into()),
            domain: Some((*domain).into()),
            ..Default::default()
        };
        let graph = GraphProto { node: ops.iter().enumerate().map(node).collect(), ..Default::default() };
        let opset = OperatorSetIdProto { domain: None, version: Some(18) };
        let proto = ModelProto {
            ir_version: Some(9),
            opset_import: vec![opset],
            graph: Some(graph),
            ..Default::default()
        };
        let model = Model::from_bytes("test", proto.encode_to_vec()).unwrap();
        Scale::of(&model, &name(ops.len()))
    }

    #[test]
    fn the_last_operator_that_computes_decides() {
        assert_eq!(scale(&[("Gemm", "")]), Scale::Logits);
        assert_eq!(scale(&[("Gemm", ""), ("Softmax", "")]), Scale::Probabilities);
        assert_eq!(scale(&[("Softmax", "ai.onnx"), ("Reshape", ""), ("Cast", "")]), Scale::Probabilities);
        assert_eq!(scale(&[("Softmax", ""), ("Gemm", "")]), Scale::Logits);
        assert_eq!(scale(&[("Softmax", ""), ("LogSoftmax", "")]), Scale::Logits);
        assert_eq!(scale(&[("Softmax", "com.example")]), Scale::Logits);
        assert_eq!(scale(&[]), Scale::Logits);
    }
}
