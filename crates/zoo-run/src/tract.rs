//! tract: an engine written in Rust, for machines without ONNX Runtime's library.
//!
//! It knows fewer operators and types than ONNX Runtime (no `bf16`, no text to compute with), copies the weights, and
//! wants every size to be known before it plans a graph: a plan is made at the first run, and again when the inputs
//! come in other shapes. A model without free sizes is planned while loading, so that what tract cannot do shows then.
//!
//! Inputs and outputs are copied.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use tract_onnx::prelude::{
    Datum, DatumType, Framework as _, InferenceFact, InferenceModel, InferenceModelExt as _, IntoRunnable,
    IntoTValue as _, TValue, TVec, Tensor as TractTensor, TractError, TractResult, TypedRunnableModel,
};
use zoo_graph::{Port, PortType};
use zoo_tensor::{DType, Dim, Element, Tensor};

use crate::{Error, Named, Result, Runner, data, guard, model};

/// The version that the root manifest asks for and the lock file holds; the library does not tell its own.
const ENGINE: &str = "tract 0.23.9";

/// tract with a model loaded.
#[derive(Debug)]
pub struct TractRunner {
    model: PathBuf,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The graph as it was read.
    graph: InferenceModel,
    /// The graph planned for inputs of these types and shapes.
    plan: Option<(Vec<Given>, Arc<TypedRunnableModel>)>,
}

/// Type and shape of an input.
type Given = (DType, Vec<usize>);

impl TractRunner {
    /// Loads a model.
    ///
    /// # Errors
    /// If the model cannot be read, has ports that are no tensors, or keeps weights outside of its folder;
    /// [`Error::Load`] with what tract said.
    pub fn load(model: &Path) -> Result<Self> {
        let ports = model::open(model)?;
        let problem = |problem| Error::Load { engine: ENGINE.to_owned(), model: model.to_owned(), problem };
        let graph = guard::catch(|| tract_onnx::onnx().model_for_path(model))
            .map_err(problem)?
            .map_err(|error| problem(sentence(&error)))?;
        let (ours, theirs) = (ports.inputs.len(), graph.inputs.len());
        if ours != theirs {
            return Err(problem(format!("it wants {theirs} inputs, the model has {ours}")));
        }
        let mut runner =
            Self { model: model.to_owned(), inputs: ports.inputs, outputs: ports.outputs, graph, plan: None };
        if let Some(fixed) = runner.inputs.iter().map(fixed).collect::<Option<Vec<_>>>() {
            runner.plan(fixed).map_err(problem)?;
        }
        Ok(runner)
    }

    /// Plans the graph for inputs of these types and shapes, unless that was just done.
    fn plan(&mut self, shapes: Vec<Given>) -> Result<Arc<TypedRunnableModel>, String> {
        if let Some((_, plan)) = self.plan.as_ref().filter(|(planned, _)| *planned == shapes) {
            return Ok(Arc::clone(plan));
        }
        let plan = || {
            let mut graph = self.graph.clone();
            for (index, (dtype, shape)) in shapes.iter().enumerate() {
                let datum = datum(*dtype).ok_or_else(|| format!("it has no {dtype}"))?;
                graph
                    .set_input_fact(index, InferenceFact::dt_shape(datum, shape))
                    .map_err(|error| sentence(&error))?;
            }
            graph.into_optimized().and_then(IntoRunnable::into_runnable).map_err(|error| sentence(&error))
        };
        let plan = guard::catch(plan)??;
        self.plan = Some((shapes, Arc::clone(&plan)));
        Ok(plan)
    }
}

impl Runner for TractRunner {
    fn engine(&self) -> &str {
        ENGINE
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&mut self, inputs: &[Named]) -> Result<Vec<Named>> {
        data::check(inputs, &self.inputs)?;
        let model = self.model.clone();
        let problem = |problem| Error::Run { engine: ENGINE.to_owned(), model: model.clone(), problem };
        // In the model's order, which is the order of tract's own inputs.
        let find = |port: &Port| inputs.iter().find(|(name, _)| *name == port.name);
        let ordered: Vec<&Named> = self.inputs.iter().filter_map(find).collect();
        let shapes = ordered.iter().map(|(_, tensor)| (tensor.dtype(), tensor.shape().to_vec())).collect();
        let plan = self.plan(shapes).map_err(problem)?;
        let mut values = TVec::new();
        for (name, tensor) in ordered {
            let value = give(tensor).ok_or_else(|| unsupported(name, tensor.dtype().to_string()))?;
            values.push(value.map_err(|error| problem(sentence(&error)))?.into_tvalue());
        }
        let found =
            guard::catch(|| plan.run(values)).map_err(problem)?.map_err(|error| problem(sentence(&error)))?;
        if found.len() != self.outputs.len() {
            return Err(problem(format!(
                "it gave {} outputs instead of {}",
                found.len(),
                self.outputs.len()
            )));
        }
        let take = |(port, value): (&Port, &TValue)| {
            let taken = guard::catch(|| take(port, value)).map_err(problem)?;
            let tensor = taken
                .ok_or_else(|| unsupported(&port.name, format!("{:?}", value.datum_type())))?
                .map_err(|error| problem(sentence(&error)))??;
            Ok((port.name.clone(), tensor))
        };
        self.outputs.iter().zip(&found).map(take).collect()
    }
}

/// Type and shape of a port, if no size is free.
fn fixed(port: &Port) -> Option<Given> {
    match &port.kind {
        PortType::Tensor { dtype, shape } => {
            Some((*dtype, shape.dims()?.iter().map(Dim::fixed).collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// tract's name of a type; none for types it does not have, and for text, which it cannot compute with.
fn datum(dtype: DType) -> Option<DatumType> {
    Some(match dtype {
        DType::F32 => DatumType::F32,
        DType::F64 => DatumType::F64,
        DType::F16 => DatumType::F16,
        DType::Bool => DatumType::Bool,
        DType::I8 => DatumType::I8,
        DType::I16 => DatumType::I16,
        DType::I32 => DatumType::I32,
        DType::I64 => DatumType::I64,
        DType::U8 => DatumType::U8,
        DType::U16 => DatumType::U16,
        DType::U32 => DatumType::U32,
        DType::U64 => DatumType::U64,
        _ => return None,
    })
}

/// A tensor as tract's own; none for types it does not have.
fn give(tensor: &Tensor) -> Option<TractResult<TractTensor>> {
    fn copy<T: Element + Datum>(tensor: &Tensor) -> TractResult<TractTensor> {
        TractTensor::from_shape(tensor.shape(), &tensor.to_vec::<T>()?)
    }
    Some(match datum(tensor.dtype())? {
        DatumType::F32 => copy::<f32>(tensor),
        DatumType::F64 => copy::<f64>(tensor),
        DatumType::F16 => copy::<f16>(tensor),
        DatumType::Bool => copy::<bool>(tensor),
        DatumType::I8 => copy::<i8>(tensor),
        DatumType::I16 => copy::<i16>(tensor),
        DatumType::I32 => copy::<i32>(tensor),
        DatumType::I64 => copy::<i64>(tensor),
        DatumType::U8 => copy::<u8>(tensor),
        DatumType::U16 => copy::<u16>(tensor),
        DatumType::U32 => copy::<u32>(tensor),
        DatumType::U64 => copy::<u64>(tensor),
        _ => return None,
    })
}

/// A value of tract's as a tensor; none for types that no tensor has.
fn take(port: &Port, value: &TValue) -> Option<TractResult<Result<Tensor>>> {
    fn copy<T: Element + Datum>(value: &TractTensor) -> TractResult<Result<Tensor>> {
        let elements = value.try_as_plain_ram()?;
        Ok(Tensor::from_slice(value.shape(), elements.as_slice::<T>()?).map_err(Error::from))
    }
    Some(match value.datum_type() {
        DatumType::F32 => copy::<f32>(value),
        DatumType::F64 => copy::<f64>(value),
        DatumType::F16 => copy::<f16>(value),
        DatumType::Bool => copy::<bool>(value),
        DatumType::I8 => copy::<i8>(value),
        DatumType::I16 => copy::<i16>(value),
        DatumType::I32 => copy::<i32>(value),
        DatumType::I64 => copy::<i64>(value),
        DatumType::U8 => copy::<u8>(value),
        DatumType::U16 => copy::<u16>(value),
        DatumType::U32 => copy::<u32>(value),
        DatumType::U64 => copy::<u64>(value),
        // Sizes have a type of their own in tract; in ONNX they are i64.
        DatumType::TDim if port.dtype() == Some(DType::I64) => {
            value.cast_to::<i64>().and_then(|value| copy::<i64>(&value))
        }
        _ => return None,
    })
}

fn unsupported(name: &str, dtype: String) -> Error {
    Error::Unsupported { engine: ENGINE.to_owned(), name: name.to_owned(), dtype }
}

/// What tract said and why, on one line.
fn sentence(error: &TractError) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
