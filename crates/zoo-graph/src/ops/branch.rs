//! `If`: one of two ways, chosen at run time.
//!
//! The ways are graphs inside the node. They share the values of the graph around them: weights are there once, whichever way uses
//! them, and everything made before can be used inside. What is made inside stays there, apart from what comes out.

use std::collections::HashSet;

use zoo_tensor::{DType, Dim};

use crate::builder::Builder;
use crate::graph::{Attribute, Branch, Val};
use crate::{Error, Result};

impl Builder {
    /// `If` on a `bool` `[1]`: runs `then` where it holds, `otherwise` where it does not. Both give equally many values, of the same
    /// types and shapes one by one; the node gives them on.
    ///
    /// # Errors
    /// If `condition` is none, what the ways give differs, one is inside another `If`, or one of them fails.
    #[track_caller]
    pub fn branch<E: From<Error>>(
        &mut self,
        condition: Val,
        then: impl FnOnce(&mut Self) -> Result<Vec<Val>, E>,
        otherwise: impl FnOnce(&mut Self) -> Result<Vec<Val>, E>,
    ) -> Result<Vec<Val>, E> {
        if self.dtype(condition) != DType::Bool || self.dims(condition) != [Dim::Fixed(1)] {
            return Ok(self.fail("If", format!("{} is no condition", self.describe(condition)))?);
        }
        let ways = [self.inside("then", then)?, self.inside("else", otherwise)?];
        let [first, second] = ways.each_ref().map(|way| way.outputs.clone());
        let kind = |val: &Val| (self.dtype(*val), self.dims(*val).to_vec());
        let made: Vec<_> = first.iter().map(kind).collect();
        if made != second.iter().map(kind).collect::<Vec<_>>() {
            let all =
                |vals: &[Val]| vals.iter().map(|&val| self.describe(val)).collect::<Vec<_>>().join(", ");
            return Ok(self.fail("If", format!("one way gives {}, the other {}", all(&first), all(&second)))?);
        }
        let mut inputs = vec![Some(condition)];
        let mut attributes = Vec::new();
        for (name, mut way) in ["then_branch", "else_branch"].into_iter().zip(ways) {
            way.first = inputs.len();
            inputs.extend(way.captures.iter().copied().map(Some));
            attributes.push((name, Attribute::Graph(Box::new(way))));
        }
        Ok(self.node("If", &inputs, attributes, made)?)
    }

    /// Makes one way: the nodes that `make` adds are its own. What was remembered meanwhile is forgotten, as it cannot be used outside.
    #[track_caller]
    fn inside<E: From<Error>>(
        &mut self,
        name: &str,
        make: impl FnOnce(&mut Self) -> Result<Vec<Val>, E>,
    ) -> Result<Branch, E> {
        let outside = std::mem::take(&mut self.graph.nodes);
        let remembered = self.remembered();
        let made = self.made_inside(make);
        self.remember(remembered);
        let nodes = std::mem::replace(&mut self.graph.nodes, outside);
        let outputs = made?;
        if nodes.iter().any(|node| node.branches().next().is_some()) {
            return Ok(self.fail("If", "an If inside another one is not built".to_owned())?);
        }
        let own: HashSet<Val> = nodes.iter().flat_map(|node| &node.outputs).copied().collect();
        let mut captures: Vec<Val> = Vec::new();
        for &val in nodes.iter().flat_map(|node| node.inputs.iter().flatten()) {
            if !own.contains(&val) && !captures.contains(&val) {
                captures.push(val);
            }
        }
        Ok(Branch { name: name.to_owned(), nodes, outputs, captures, first: 0 })
    }

    /// What comes out has to be made inside: a value from outside gets a node that passes it on.
    #[track_caller]
    fn made_inside<E: From<Error>>(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<Vec<Val>, E>,
    ) -> Result<Vec<Val>, E> {
        let mut outputs = make(self)?;
        for at in 0..outputs.len() {
            let val = outputs[at];
            let own = self.graph.nodes.iter().any(|node| node.outputs.contains(&val));
            if !own || outputs[..at].contains(&val) {
                let made = (self.dtype(val), self.dims(val).to_vec());
                outputs[at] = self.node1("Identity", &[val], vec![], made)?;
            }
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{Tensor, Weight};

    use super::*;
    use crate::pass::{PassOptions, run};
    use crate::testing::{dims, graph, value};
    use crate::weights::Weights;

    fn condition(g: &mut Builder) -> Val {
        g.input("c", DType::Bool, [1_usize]).unwrap()
    }

    fn names(nodes: &[crate::graph::Node]) -> Vec<&str> {
        nodes.iter().map(|node| node.op.as_str()).collect()
    }

    #[test]
    fn what_ways_use_is_needed_by_the_node() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,2");
        let c = condition(&mut g);
        let doubled = g.add(x, x).unwrap();
        let same = g.add(x, x).unwrap();
        let ways = g.branch(c, |_| Ok::<_, Error>(vec![same]), |g| Ok(vec![g.mul(doubled, same)?])).unwrap();
        assert_eq!(dims(&g, ways[0]), "n,2");
        let mut graph = g.finish_with(ways[0]);
        run(&mut graph, &PassOptions::default()).unwrap();
        assert_eq!(names(&graph.nodes), ["Add", "If"], "the two sums are one, and are not dead");
        let model = crate::emit::model(&graph).unwrap();
        let main = model.proto().graph.as_ref().unwrap();
        let node = &main.node[1];
        assert_eq!(node.input, ["c"], "what ways use from outside is not written");
        let sum = &main.node[0].output[0];
        let inside: Vec<_> =
            node.attribute.iter().map(|a| a.g.as_ref().unwrap().node[0].input.clone()).collect();
        assert_eq!(
            inside,
            [vec![sum.clone()], vec![sum.clone(), sum.clone()]],
            "and has the name that it has now"
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let mut g = graph();
        let x = value(&mut g, "x", "2,2");
        // Of other shapes than the other way gives: refused, with both.
        let c = condition(&mut g);
        let error =
            g.branch(c, |_| Ok::<_, Error>(vec![x]), |g| Ok(vec![g.transpose(c, &[0])?])).unwrap_err();
        assert!(error.to_string().contains("one way gives identity_0: f32[2,2], the other"), "{error}");
        let error = g.branch(x, |_| Ok::<_, Error>(vec![]), |_| Ok(vec![])).unwrap_err().to_string();
        assert!(error.contains("is no condition"), "{error}");

        let mut g = graph();
        let x = value(&mut g, "x", "n,3");
        let c = condition(&mut g);
        let nested = |g: &mut Builder| g.branch(c, |_| Ok::<_, Error>(vec![x]), |_| Ok(vec![x]));
        let error = g.branch(c, nested, |_| Ok(vec![x])).unwrap_err().to_string();
        assert!(error.contains("an If inside another one"), "{error}");
    }

    #[test]
    fn halves_are_cast_where_they_are_used() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3");
        let narrow = Weight::from(Tensor::from_slice([3, 3], &[half::f16::ONE; 9]).unwrap());
        let w = Weights::new([("fc.weight".to_owned(), narrow)]).unwrap();
        let c = condition(&mut g);
        let apply = |g: &mut Builder| {
            let weight = g.weight(&w, "fc.weight")?;
            Ok::<_, Error>(vec![g.gemm(x, weight, None)?])
        };
        let ways = g.branch(c, apply, |_| Ok(vec![x])).unwrap();
        let again = apply(&mut g).unwrap();
        let y = g.add(ways[0], again[0]).unwrap();
        let graph = g.finish_with(y);
        assert_eq!(names(&graph.nodes), ["If", "Cast", "Gemm", "Add"], "the cast inside is not seen outside");
        crate::emit::model(&graph).unwrap();
    }
}
