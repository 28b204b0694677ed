//! Placed pictures as the inputs of a model.

use zoo_graph::{Port, PortType};

use super::picture::Picture;
use super::recipe::Recipe;
use crate::{Error, Named, Result, data};

impl Recipe {
    /// The model's inputs, made of placed pictures.
    ///
    /// # Errors
    /// [`Error::Recipe`] if the model has no input of the recipe's name, or of another type; [`Error::OtherSize`] if its
    /// shape does not admit what the recipe makes; [`Error::Unfit`] if it wants more than pictures; and as
    /// [`Recipe::tensor`].
    pub fn feed(&self, placed: &[Picture], ports: &[Port]) -> Result<Vec<Named>> {
        let port = match self.input() {
            Some(name) => ports.iter().find(|port| port.name == name),
            None => ports.first().filter(|_| ports.len() == 1),
        };
        let Some(port) = port else {
            let names: Vec<String> = ports.iter().map(|port| format!("\"{}\"", port.name)).collect();
            let wanted = self
                .input()
                .map_or_else(|| "it names no input".to_owned(), |name| format!("it is for \"{name}\""));
            return Err(Error::recipe(format!("{wanted}, and the model has {}", names.join(", "))));
        };
        let PortType::Tensor { dtype, shape } = &port.kind else {
            return Err(Error::recipe(format!("the input \"{}\" is a {}", port.name, port.kind)));
        };
        let tensor = self.tensor(placed, *dtype)?;
        if !shape.admits(tensor.shape()) {
            return Err(Error::OtherSize {
                input: port.name.clone(),
                made: tensor.shape().to_vec(),
                wanted: shape.clone(),
            });
        }
        data::assign(vec![(port.name.clone(), tensor)], ports)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zoo_tensor::{DType, Dim, Shape};

    use super::*;

    fn recipe(input: Option<&str>) -> Recipe {
        let json = json!({"kind": "image", "layout": "NCHW", "channels": "RGB", "steps": [], "input": input});
        Recipe::from_json(&json).unwrap()
    }

    fn port(name: &str, dims: [usize; 4]) -> Port {
        Port::tensor(name, DType::F32, Shape::new(dims.map(Dim::Fixed)))
    }

    fn feed(recipe: &Recipe, ports: &[Port], count: usize) -> Result<Vec<Named>> {
        let picture = Picture::rgb(2, 1, (1..=6).collect()).unwrap();
        recipe.feed(&vec![picture; count], ports)
    }

    #[test]
    fn the_input_is_the_named_one_or_the_only_one() {
        let one = [port("x", [1, 3, 1, 2])];
        assert_eq!(
            feed(&recipe(Some("x")), &one, 1).unwrap()[0].1.to_vec::<f32>().unwrap(),
            [1., 4., 2., 5., 3., 6.]
        );
        assert_eq!(feed(&recipe(None), &one, 1).unwrap()[0].0, "x");
        let message = |recipe: &Recipe, ports: &[Port]| feed(recipe, ports, 1).unwrap_err().to_string();
        assert!(
            message(&recipe(Some("input")), &one).contains("it is for \"input\", and the model has \"x\"")
        );
        let two = [port("x", [1, 3, 1, 2]), port("y", [1, 3, 1, 2])];
        assert!(message(&recipe(None), &two).contains("it names no input, and the model has \"x\", \"y\""));
        assert!(message(&recipe(Some("x")), &two).contains("nothing is given for \"y\""));
    }

    #[test]
    fn another_size_is_told_with_both_shapes_and_what_to_do() {
        let error = feed(&recipe(None), &[port("x", [1, 3, 224, 224])], 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the recipe makes [1, 3, 1, 2], and the input \"x\" of the model takes [1, 3, 224, 224]"
        );
        assert!(error.hint().unwrap().contains("--recipe"));
        let many = feed(&recipe(None), &[port("x", [1, 3, 1, 2])], 2).unwrap_err();
        assert!(many.hint().unwrap().contains("takes 1 picture at a time"), "{many:?}");
        let json = json!({"kind": "image", "layout": "NCTHW", "channels": "RGB", "steps": [], "input": "x"});
        let video = Port::tensor("x", DType::F32, Shape::new([1, 3, 16, 1, 2].map(Dim::Fixed)));
        let few = feed(&Recipe::from_json(&json).unwrap(), &[video], 2).unwrap_err();
        assert!(few.hint().unwrap().contains("takes 16 frames"), "{few:?}");
    }
}
