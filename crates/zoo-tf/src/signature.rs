//! Inputs and outputs as callers see them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use zoo_formats::tf::proto::{SignatureDef, TensorEncoding, TensorInfo};
use zoo_tensor::{DType, Shape};

use crate::lower::End;
use crate::nodes::{Out, code, shape_of};

/// The name by which TensorFlow Serving calls a signature that computes.
const PREDICT: &str = "tensorflow/serving/predict";

/// An input or output of what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// Its name in the signature; of a frozen graph, the node's.
    pub name: String,
    /// The tensor's name: `input_ids:0`.
    pub tensor: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its shape.
    pub shape: Shape,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Written {
    /// The files: of a SavedModel relative to its folder, sorted; of a frozen graph the path itself.
    pub files: Vec<PathBuf>,
    /// The bytes that were written of zoo's own: graph, table, and weights that could not stay as they lie.
    pub bytes_written: u64,
    /// The bytes of the checkpoint's files that stand in the SavedModel under other names.
    pub placed_bytes: u64,
    /// Inputs, in the graph's order; of a SavedModel, those of the first signature.
    pub inputs: Vec<Port>,
    /// Outputs, in the graph's order.
    pub outputs: Vec<Port>,
}

pub(crate) fn port(end: &End, out: &Out) -> Port {
    Port {
        name: end.name.clone(),
        tensor: format!("{}:0", out.name),
        dtype: out.dtype,
        shape: Shape::new(end.dims.iter().cloned()),
    }
}

/// A signature; its inputs are the narrow ones where there are such, or the wide ones.
pub(crate) fn signature(inputs: &[End], outputs: &[End], narrow: bool) -> SignatureDef {
    let info = |end: &End, out: &Out| TensorInfo {
        encoding: Some(TensorEncoding::Name(format!("{}:0", out.name))),
        dtype: code(out.dtype),
        tensor_shape: Some(shape_of(&end.dims)),
    };
    let taken = |end: &End| {
        let out = end.narrow.as_ref().filter(|_| narrow).unwrap_or(&end.out);
        (end.name.clone(), info(end, out))
    };
    let inputs: BTreeMap<_, _> = inputs.iter().map(taken).collect();
    let outputs = outputs.iter().map(|end| (end.name.clone(), info(end, &end.out))).collect();
    SignatureDef { inputs, outputs, method_name: PREDICT.to_owned() }
}
