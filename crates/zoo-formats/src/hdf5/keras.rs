//! The order of layers and weights in files of Keras's `save_weights` (Keras 1 and 2, and 3 when the name ends in `.h5`).
//!
//! A group has an attribute `layer_names`, one group per layer below it, and each of those an attribute `weight_names`
//! with the paths of datasets below the layer's group. Attributes above 64 KB are split and numbered.

use super::dataset::Dataset;
use super::group::Group;
use crate::Result;

/// Where weights go that belong to no layer: in a group that is not among the layers.
const TOP: &str = "top_level_model_weights";

/// One layer's group.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The layer's name; its group is at this path.
    pub name: String,
    /// The names of its weights, in the layer's order: `bert/embeddings/word_embeddings/weight:0`.
    pub weights: Vec<String>,
    group: Group,
}

impl Layer {
    /// The layer's group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// One of [`Layer::weights`].
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    pub fn dataset(&self, weight: &str) -> Result<Dataset> {
        let missing = || {
            let problem =
                format!("the layer \"{}\" lists the weight \"{weight}\", which is not there", self.name);
            self.group.file().damaged(self.group.address(), problem)
        };
        self.group.dataset(weight)?.ok_or_else(missing)
    }
}

/// The layers of a file or of its group `model_weights`, in order; with weights that belong to the model itself last, under
/// the name `top_level_model_weights`. None if the group does not list layers.
///
/// # Errors
/// If a layer that is listed is not there, or something cannot be read.
pub fn layers(group: &Group) -> Result<Option<Vec<Layer>>> {
    let Some(names) = group.texts("layer_names")? else { return Ok(None) };
    let mut layers = Vec::with_capacity(names.len());
    for name in names {
        let missing = || {
            let problem = format!("the layer \"{name}\" is listed and not there");
            group.file().damaged(group.address(), problem)
        };
        let own = group.group(&name)?.ok_or_else(missing)?;
        let weights = own.texts("weight_names")?.unwrap_or_default();
        layers.push(Layer { name, weights, group: own });
    }
    if let Some(own) = group.group(TOP)?
        && let Some(weights) = own.texts("weight_names")?.filter(|weights| !weights.is_empty())
    {
        layers.push(Layer { name: TOP.to_owned(), weights, group: own });
    }
    Ok(Some(layers))
}
