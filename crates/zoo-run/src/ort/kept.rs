//! Values that stay in the engine from one run to the next.
//!
//! What a network remembers of a text it writes on (the keys and values of its attention) is large, comes out of every run, and goes
//! into the next one unchanged. It is handed over as ONNX Runtime's own value: nothing is copied.

use half::{bf16, f16};
use ort::value::{DynValue, TensorElementType};
use zoo_tensor::Tensor;

use super::{OrtRunner, message, value};
use crate::{Error, Named, Result, guard};

/// An output of one run that has not left the engine.
#[derive(Debug)]
pub struct Kept(DynValue);

impl Kept {
    /// The value's sizes; none if it is no tensor.
    pub fn shape(&self) -> Option<Vec<usize>> {
        self.0.dtype().tensor_shape()?.iter().map(|&size| usize::try_from(size).ok()).collect()
    }

    /// `count` elements from place `start` on, as 32-bit floats, without copying the others; none if there are fewer, or they are no
    /// floats.
    pub fn floats(&self, start: usize, count: usize) -> Option<Vec<f32>> {
        let range = start..start.checked_add(count)?;
        match self.0.dtype().tensor_type()? {
            TensorElementType::Float32 => {
                Some(self.0.try_extract_tensor::<f32>().ok()?.1.get(range)?.to_vec())
            }
            TensorElementType::Float16 => {
                let (_, values) = self.0.try_extract_tensor::<f16>().ok()?;
                Some(values.get(range)?.iter().map(|value| value.to_f32()).collect())
            }
            TensorElementType::Bfloat16 => {
                let (_, values) = self.0.try_extract_tensor::<bf16>().ok()?;
                Some(values.get(range)?.iter().map(|value| value.to_f32()).collect())
            }
            _ => None,
        }
    }
}

impl OrtRunner {
    /// Runs the model once, with tensors and with values that earlier runs left in the engine; all outputs stay in it.
    ///
    /// # Errors
    /// [`Error::Unfit`] with every input that is missing, unknown or given twice; [`Error::Run`] with what ONNX Runtime said.
    pub fn step(
        &mut self,
        inputs: &[(&str, &Tensor)],
        kept: &[(&str, &Kept)],
    ) -> Result<Vec<(String, Kept)>> {
        self.check_names(inputs.iter().map(|(name, _)| *name).chain(kept.iter().map(|(name, _)| *name)))?;
        let Self { engine, model, session, .. } = self;
        let problem = |problem| Error::Run { engine: engine.clone(), model: model.clone(), problem };
        let exchange = guard::catch(|| {
            let mut values = Vec::with_capacity(inputs.len() + kept.len());
            for (name, tensor) in inputs {
                values.push((*name, value::give(engine, name, tensor).map_err(|fault| fault.or(problem))?));
            }
            values.extend(kept.iter().map(|(name, kept)| (*name, (&kept.0).into())));
            let outputs = session
                .run(ort::session::SessionInputs::<'_, '_, 0>::from(values))
                .map_err(|error| problem(message::essential(error.message())))?;
            Ok(outputs.into_iter().map(|(name, value)| (name.to_owned(), Kept(value))).collect())
        });
        exchange.unwrap_or_else(|panic| Err(problem(panic)))
    }

    /// A kept value as a tensor of our own: a copy.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for types that are not exchanged.
    pub fn fetch(&self, name: &str, kept: &Kept) -> Result<Named> {
        let problem =
            |problem| Error::Run { engine: self.engine.clone(), model: self.model.clone(), problem };
        let tensor = value::take(&self.engine, name, &kept.0).map_err(|fault| fault.or(problem))?;
        Ok((name.to_owned(), tensor))
    }

    fn check_names<'n>(&self, given: impl Iterator<Item = &'n str>) -> Result<()> {
        let given: Vec<&str> = given.collect();
        let mut problems = Vec::new();
        for (place, name) in given.iter().enumerate() {
            if given.iter().take(place).any(|earlier| earlier == name) {
                problems.push(format!("\"{name}\" is given twice"));
            } else if !self.inputs.iter().any(|port| port.name == *name) {
                problems.push(format!("\"{name}\" is no input of the model"));
            }
        }
        let missing = self.inputs.iter().filter(|port| !given.contains(&port.name.as_str()));
        problems
            .extend(missing.map(|port| format!("nothing is given for \"{}\" ({})", port.name, port.kind)));
        if problems.is_empty() { Ok(()) } else { Err(Error::Unfit { problems }) }
    }
}
