//! Which tensor goes into which port.
//!
//! A name that is a port's decides. Beyond that, position is evidence only where nothing speaks against it:
//!
//! - one tensor and one port are left: they belong together, whatever the tensor is called;
//! - several are left, none of the tensors has a name of its own, and each one's place among all tensors is its port's
//!   place among all ports: by position.
//!
//! Everything else would be a guess. A misspelt `attention_msk` beside a misspelt `token_types` is not fed by position.

use std::collections::BTreeMap;

use zoo_graph::{Port, PortType};
use zoo_tensor::{Dim, Tensor};

use crate::{Error, Named, Result};

/// Gives tensors to ports and returns them in the ports' order, under the ports' names.
///
/// Types must be equal, and shapes fit: a dimension without a fixed size admits any, but one name stands for one size
/// in all ports.
///
/// # Errors
/// [`Error::Unfit`] with every problem there is.
pub fn assign(given: Vec<Named>, ports: &[Port]) -> Result<Vec<Named>> {
    let mut problems = Vec::new();
    // The tensor of each port, and the tensors that are left, with their places.
    let mut slots: Vec<Option<Tensor>> = vec![None; ports.len()];
    let mut left: Vec<(usize, Named)> = Vec::new();
    for (place, (name, tensor)) in given.into_iter().enumerate() {
        match ports.iter().position(|port| port.name == name) {
            None => left.push((place, (name, tensor))),
            Some(port) if slots[port].is_some() => problems.push(format!("\"{name}\" is given twice")),
            Some(port) => slots[port] = Some(tensor),
        }
    }
    let open: Vec<usize> = (0..ports.len()).filter(|&port| slots[port].is_none()).collect();
    if by_position(&left, &open) {
        for (port, (_, (_, tensor))) in open.into_iter().zip(left) {
            slots[port] = Some(tensor);
        }
    } else {
        problems.extend(unassigned(&left, &open, ports));
    }
    problems.extend(misfits(
        ports.iter().zip(&slots).filter_map(|(port, slot)| Some((port, slot.as_ref()?))),
        true,
    ));
    if !problems.is_empty() {
        return Err(Error::Unfit { problems });
    }
    let assigned = ports.iter().zip(slots);
    Ok(assigned.filter_map(|(port, tensor)| Some((port.name.clone(), tensor?))).collect())
}

/// Checks what is about to be run: every port exactly once, by name, in its type and rank and fixed sizes. Sizes that
/// share a name are left to the engine, for exporters are careless with names.
#[cfg(any(feature = "ort", feature = "tract"))]
pub(crate) fn check(inputs: &[Named], ports: &[Port]) -> Result<()> {
    let mut problems = Vec::new();
    for (index, (name, _)) in inputs.iter().enumerate() {
        if !ports.iter().any(|port| port.name == *name) {
            problems.push(format!("\"{name}\" is no input of the model"));
        } else if inputs[..index].iter().any(|(earlier, _)| earlier == name) {
            problems.push(format!("\"{name}\" is given twice"));
        }
    }
    let find = |port: &Port| inputs.iter().find(|(name, _)| *name == port.name).map(|(_, tensor)| tensor);
    problems.extend(ports.iter().filter(|port| find(port).is_none()).map(missing));
    problems.extend(misfits(ports.iter().filter_map(|port| Some((port, find(port)?))), false));
    if problems.is_empty() { Ok(()) } else { Err(Error::Unfit { problems }) }
}

/// Whether what is left may be assigned by position.
fn by_position(left: &[(usize, Named)], open: &[usize]) -> bool {
    left.len() == open.len()
        && (left.len() == 1
            || left.iter().zip(open).all(|((place, (name, _)), port)| place == port && is_unnamed(name)))
}

/// No name at all, or the one numpy makes up: `arr_0`.
fn is_unnamed(name: &str) -> bool {
    name.is_empty()
        || name.strip_prefix("arr_").is_some_and(|number| {
            !number.is_empty() && number.chars().all(|character| character.is_ascii_digit())
        })
}

fn missing(port: &Port) -> String {
    format!("nothing is given for \"{}\" ({})", port.name, port.kind)
}

/// Why these tensors and ports did not find each other.
fn unassigned(left: &[(usize, Named)], open: &[usize], ports: &[Port]) -> Vec<String> {
    let mut problems = Vec::new();
    let (unnamed, named): (Vec<_>, Vec<_>) = left.iter().partition(|(_, (name, _))| is_unnamed(name));
    for (_, (name, _)) in &named {
        problems.push(format!("\"{name}\" is no port of the model"));
    }
    match unnamed.len() {
        0 => {}
        count if open.is_empty() => {
            problems.push(format!("{count} more without a name, and every port is taken"));
        }
        count => problems.push(format!(
            "{count} without a name, and which port {} for is not clear",
            if count == 1 { "it is" } else { "they are" }
        )),
    }
    problems.extend(open.iter().filter_map(|&port| ports.get(port)).map(missing));
    problems
}

/// Where types and shapes disagree; with `names`, also where one name would have two sizes.
fn misfits<'a>(pairs: impl Iterator<Item = (&'a Port, &'a Tensor)>, names: bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut sizes: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (port, tensor) in pairs {
        // What is no tensor, or a tensor of a type the model leaves open, the engine has to judge.
        let PortType::Tensor { dtype, shape } = &port.kind else { continue };
        let name = &port.name;
        if *dtype != tensor.dtype() {
            problems.push(format!("\"{name}\" is {dtype}, {} is given", tensor.dtype()));
        }
        if !shape.admits(tensor.shape()) {
            problems.push(format!("\"{name}\" has the shape {shape}, {:?} is given", tensor.shape()));
            continue;
        }
        for (dim, &size) in shape.dims().unwrap_or_default().iter().zip(tensor.shape()) {
            let Dim::Named(dim) = dim else { continue };
            let (first, port) = *sizes.entry(dim).or_insert((size, name));
            if names && first != size {
                problems.push(format!("\"{dim}\" is {first} in \"{port}\" and {size} in \"{name}\""));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{DType, Shape};

    use super::*;

    fn named(name: &str) -> Dim {
        Dim::Named(name.to_owned())
    }

    /// The inputs of a BERT, and one without any declared rank.
    fn ports() -> Vec<Port> {
        let ids = || Shape::new([named("batch"), named("length")]);
        vec![
            Port::tensor("ids", DType::I64, ids()),
            Port::tensor("mask", DType::I64, ids()),
            Port::tensor("scale", DType::F32, Shape::unknown()),
        ]
    }

    fn ints(name: &str, shape: [usize; 2]) -> Named {
        (name.to_owned(), Tensor::from_slice(shape, &vec![1_i64; shape[0] * shape[1]]).unwrap())
    }

    fn float(name: &str) -> Named {
        (name.to_owned(), Tensor::from_slice([], &[0.5_f32]).unwrap())
    }

    fn names(given: Vec<Named>) -> Vec<String> {
        assign(given, &ports()).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    fn problems(given: Vec<Named>) -> Vec<String> {
        match assign(given, &ports()) {
            Err(Error::Unfit { problems }) => problems,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_decide_and_ports_order() {
        let given = vec![float("scale"), ints("mask", [1, 2]), ints("ids", [1, 2])];
        assert_eq!(names(given), ["ids", "mask", "scale"]);
    }

    #[test]
    fn one_that_is_left_belongs_to_the_port_that_is_left() {
        let (name, tensor) = ints("input_mask", [1, 2]);
        let assigned =
            assign(vec![(name, tensor.clone()), float("scale"), ints("ids", [1, 2])], &ports()).unwrap();
        assert_eq!(assigned[1], ("mask".to_owned(), tensor));
    }

    #[test]
    fn tensors_without_names_go_by_position() {
        let expected = ["ids", "mask", "scale"];
        assert_eq!(names(vec![ints("", [1, 2]), ints("", [1, 2]), float("")]), expected);
        assert_eq!(names(vec![ints("arr_0", [1, 2]), ints("arr_1", [1, 2]), float("arr_2")]), expected);
        assert_eq!(names(vec![ints("", [1, 2]), ints("mask", [1, 2]), float("")]), expected);
    }

    #[test]
    fn a_guess_is_refused() {
        // All names are wrong: position would feed the mask as ids if the file lists them the other way round.
        let wrong = vec![ints("msk", [1, 2]), ints("id", [1, 2]), float("scale")];
        assert_eq!(
            problems(wrong),
            [
                "\"msk\" is no port of the model",
                "\"id\" is no port of the model",
                "nothing is given for \"ids\" (i64 [batch, length])",
                "nothing is given for \"mask\" (i64 [batch, length])",
            ]
        );
        // The named one stands where its port does not, so the places of the others mean nothing.
        let shifted = vec![ints("mask", [1, 2]), ints("", [1, 2]), float("")];
        assert_eq!(problems(shifted)[0], "2 without a name, and which port they are for is not clear");
    }

    #[test]
    fn too_few_and_too_many() {
        assert_eq!(
            problems(vec![ints("ids", [1, 2]), float("")]),
            [
                "1 without a name, and which port it is for is not clear",
                "nothing is given for \"mask\" (i64 [batch, length])",
                "nothing is given for \"scale\" (f32 [...])",
            ]
        );
        let all = || vec![ints("ids", [1, 2]), ints("mask", [1, 2]), float("scale")];
        let mut more = all();
        more.extend([float(""), float("extra"), float("scale")]);
        assert_eq!(
            problems(more),
            [
                "\"scale\" is given twice",
                "\"extra\" is no port of the model",
                "1 more without a name, and every port is taken",
            ]
        );
    }

    #[test]
    fn types_and_shapes_must_fit_and_every_problem_is_reported() {
        let given = vec![ints("ids", [2, 5]), ints("mask", [2, 7]), ints("scale", [1, 1])];
        assert_eq!(
            problems(given),
            ["\"length\" is 5 in \"ids\" and 7 in \"mask\"", "\"scale\" is f32, i64 is given"]
        );
        let flat = ("ids".to_owned(), Tensor::from_slice([2], &[1_i64, 2]).unwrap());
        let error = assign(vec![flat, float("mask")], &ports()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tensors do not fit the model: nothing is given for \"scale\" (f32 [...]); \"ids\" has the shape \
             [batch, length], [2] is given; \"mask\" is i64, f32 is given; \"mask\" has the shape [batch, length], [] \
             is given"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn no_ports_take_nothing() {
        assert_eq!(assign(Vec::new(), &[]).unwrap(), []);
        assert!(assign(vec![float("x")], &[]).is_err());
    }
}
