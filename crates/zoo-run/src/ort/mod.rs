//! ONNX Runtime.
//!
//! Its shared library is no part of the program: it is opened when the first model is loaded, from where
//! [`LibrarySearch`] says, and nowhere else. A process holds one such library until it ends.
//!
//! # Copies
//!
//! An input's bytes are given to ONNX Runtime where they lie, if they are aligned for their type (vectors are; slices of a
//! mapped `.npy` are; those of a `.pb` rarely), and copied once otherwise. Outputs are copied once: their memory is the
//! engine's, and may be that of an input or a weight. Texts are copied both ways. [`OrtRunner::step`] leaves outputs in the
//! engine instead, to be fed again.
//!
//! # What it keeps to itself
//!
//! Telemetry is switched off. Log messages go to `tracing` under the target `onnxruntime`, warnings as debug and errors
//! as warnings, because whatever stops a model is returned as an error beside.

mod kept;
mod library;
mod message;
mod value;

use std::path::{Path, PathBuf};

use ::ort::session::Session;
use ::ort::session::builder::GraphOptimizationLevel;
use zoo_graph::Port;

pub use kept::Kept;
pub use library::{Library, LibrarySearch, library};

use crate::{Error, Named, Result, Runner, data, guard, model};

/// How a model is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrtOptions {
    /// Threads within one operator; ONNX Runtime's own choice (one per core) if not given.
    pub threads: Option<usize>,
    /// Whether weights are rearranged while loading, into private memory. Without it external weights stay mapped:
    /// loading takes no time and no memory, and running takes longer (5 to 20 % at a hundred rows, more at few). Right
    /// for serving; wrong for a single run of a large model.
    pub prepack: bool,
    /// Whether the graph is optimised while loading. Without it, it runs as it is written.
    pub optimize: bool,
}

impl Default for OrtOptions {
    fn default() -> Self {
        Self { threads: None, prepack: true, optimize: true }
    }
}

/// ONNX Runtime with a model loaded.
#[derive(Debug)]
pub struct OrtRunner {
    engine: String,
    model: PathBuf,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    session: Session,
}

impl OrtRunner {
    /// Loads a model.
    ///
    /// # Errors
    /// If the library is not found or cannot be used; if the model cannot be read, has ports that are no tensors, or keeps
    /// weights outside of its folder; [`Error::Load`] with what ONNX Runtime said.
    pub fn load(search: &LibrarySearch, model: &Path, options: &OrtOptions) -> Result<Self> {
        // Before the library: what is wrong with a model does not depend on it.
        let ports = model::open(model)?;
        let loaded = library::load(search)?;
        let problem =
            |problem| Error::Load { engine: loaded.engine.clone(), model: model.to_owned(), problem };
        let session = guard::catch(|| session(&loaded.environment, model, options))
            .map_err(problem)?
            .map_err(|error| problem(message::essential(error.message())))?;
        let runner = Self {
            engine: loaded.engine.clone(),
            model: model.to_owned(),
            inputs: ports.inputs,
            outputs: ports.outputs,
            session,
        };
        // Types that the model leaves open, ONNX Runtime has inferred.
        for outlet in runner.session.outputs() {
            if !outlet.dtype().is_tensor() {
                return Err(value::not_a_tensor(outlet.name(), outlet.dtype()));
            }
        }
        Ok(runner)
    }
}

fn session(
    environment: &::ort::environment::Environment,
    model: &Path,
    options: &OrtOptions,
) -> ::ort::Result<Session> {
    let level = if options.optimize { GraphOptimizationLevel::All } else { GraphOptimizationLevel::Disable };
    let mut builder = Session::builder(environment)?.with_optimization_level(level)?;
    if let Some(threads) = options.threads {
        builder = builder.with_intra_threads(threads)?;
    }
    if !options.prepack {
        builder = builder.with_prepacking(false)?;
    }
    builder.commit_from_file(model)
}

/// A model's outputs, without loading it.
///
/// # Errors
/// As [`OrtRunner::load`], as far as the model's file alone tells.
pub fn outputs(model: &Path) -> Result<Vec<Port>> {
    Ok(model::open(model)?.outputs)
}

impl Runner for OrtRunner {
    fn engine(&self) -> &str {
        &self.engine
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&mut self, inputs: &[Named]) -> Result<Vec<Named>> {
        data::check(inputs, &self.inputs)?;
        let Self { engine, model, session, .. } = self;
        let problem = |problem| Error::Run { engine: engine.clone(), model: model.clone(), problem };
        let exchange = guard::catch(|| {
            let mut values = Vec::with_capacity(inputs.len());
            for (name, tensor) in inputs {
                values.push((
                    name.as_str(),
                    value::give(engine, name, tensor).map_err(|fault| fault.or(problem))?,
                ));
            }
            let outputs = session
                .run(::ort::session::SessionInputs::<'_, '_, 0>::from(values))
                .map_err(|error| problem(message::essential(error.message())))?;
            let take = |(name, value): (&str, ::ort::value::ValueRef<'_>)| {
                let tensor = value::take(engine, name, &value).map_err(|fault| fault.or(problem))?;
                Ok((name.to_owned(), tensor))
            };
            outputs.iter().map(take).collect()
        });
        exchange.unwrap_or_else(|panic| Err(problem(panic)))
    }
}
