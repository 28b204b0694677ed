//! Names of tensors, as frameworks and versions have them, into the one dictionary that architectures ask for: PyTorch's.
//!
//! The files here are pure functions of names and shapes; nothing reads a weight. A tensor that lies in another order of axes becomes a
//! view with PyTorch's order.
//!
//! The name of a base model (`bert.`) stays in front, as TensorFlow always and PyTorch in models with heads has it: what asks for tensors
//! knows both. Tied tensors have the one name that the file has.

mod flax;
mod pt;
mod tf;

#[cfg(test)]
mod tests;

use zoo_formats::Container;
use zoo_graph::weights::NamedWeight;
use zoo_tensor::Weight;

use crate::select::Framework;
use crate::stage::StageError;

/// What a tensor is called in PyTorch, and how it has to be read to be PyTorch's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapped {
    path: String,
    /// Another shape of the same elements, which comes first.
    shape: Option<Vec<usize>>,
    /// The order of axes: axis `i` in PyTorch is axis `order[i]` in the file.
    order: Option<Vec<usize>>,
}

impl Mapped {
    /// The tensor as PyTorch has it, where it lies.
    fn view(&self, weight: &Weight) -> Result<Weight, zoo_tensor::Error> {
        let reshaped = self.shape.as_ref().map(|shape| weight.reshaped(shape.clone())).transpose()?;
        let weight = reshaped.as_ref().unwrap_or(weight);
        self.order.as_ref().map_or_else(|| Ok(weight.clone()), |order| weight.permuted(order))
    }
}

/// Models of two models: TensorFlow's variables have a level for the base model of each, whose name their `model_type` does not tell.
const COMPOSITE: [&str; 3] = ["encoder-decoder", "vision-encoder-decoder", "vision-text-dual-encoder"];

/// The tensors of a checkpoint under the paths that architectures ask for. TensorFlow's names depend on the container too.
pub(crate) fn canonical(
    tensors: Vec<(String, Weight)>,
    framework: Framework,
    container: Container,
    model_type: &str,
) -> Result<Vec<NamedWeight>, StageError> {
    if framework == Framework::Tf && COMPOSITE.contains(&model_type) {
        return Err(StageError::NotTranslated {
            framework: framework.name(),
            model_type: model_type.to_owned(),
        });
    }
    let grouped =
        framework == Framework::Flax && flax::is_grouped(tensors.iter().map(|(name, _)| name.as_str()));
    let mapped = tensors.into_iter().map(|(name, weight)| {
        let mapped = match framework {
            Framework::Pt => Mapped { path: name.clone(), shape: None, order: None },
            Framework::Tf if container == Container::Hdf5 => tf::of_hdf5(&name, weight.shape()),
            Framework::Tf => tf::of_safetensors(&name, weight.shape()),
            Framework::Flax => flax::parameter(&name, weight.shape(), grouped),
        };
        let weight = mapped.view(&weight).map_err(zoo_formats::Error::from)?;
        Ok(NamedWeight { path: pt::canonical(&mapped.path), name, weight })
    });
    mapped.collect()
}
