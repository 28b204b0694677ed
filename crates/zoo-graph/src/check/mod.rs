//! Everything structurally wrong with a model, listed at once.
//!
//! "Structurally" means: what holds for every model, whatever its operators do. Names are defined once and before
//! use, domains are imported, tensors hold exactly the bytes their shape asks for, attributes hold what their type
//! says, external data is where it should be. What an operator makes of its inputs is the runtime's to check.
//!
//! What real exporters write passes, also where the specification would like it stricter (an initializer that is no
//! input in an old model, a graph without a name).

mod attributes;
mod functions;
mod graphs;
mod tensors;

use std::collections::HashSet;
use std::fmt;

use crate::limits::MAX_PROBLEMS;
use crate::proto::NodeProto;
use crate::{Model, model};

/// The newest file format version known: that of onnx 1.23.
pub const NEWEST_IR_VERSION: i64 = 14;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where: `node "conv1" (Conv)`.
    pub place: String,
    /// What.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    problems: Vec<Problem>,
    omitted: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems, in the order of the file; the first [`MAX_PROBLEMS`] of them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many more there were.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    fn add(&mut self, place: &Place<'_>, message: impl FnOnce() -> String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { place: place.to_string(), message: message() });
        } else {
            self.omitted += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i > 0 { "\n" } else { "" };
            write!(f, "{separator}{problem}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// Checks a model. External files are checked too (present, long enough) if the model was opened from a file.
pub fn check(model: &Model) -> Report {
    let mut checker = Checker::new(model);
    checker.model();
    checker.report
}

/// Where the checker is, as a list on the stack that is only written out for a problem.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Model,
    /// Training graph number so-and-so.
    Training(usize),
    Graph,
    Function(&'a str),
    Node(usize, &'a NodeProto),
    Attribute(&'a str),
    Initializer(&'a str),
    Value(&'static str, usize, &'a str),
}

impl<'a> Place<'a> {
    const MODEL: Place<'static> = Place { parent: None, part: Part::Model };

    fn at(&'a self, part: Part<'a>) -> Place<'a> {
        Place { parent: Some(self), part }
    }
}

impl fmt::Display for Place<'_> {
    /// From the outside in; "model" and "graph" are said only where nothing follows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent
            && !matches!(parent.part, Part::Model | Part::Graph)
        {
            write!(f, "{parent}, ")?;
        } else if let Some(Place { part: Part::Graph, parent: Some(grandparent) }) = self.parent
            && !matches!(grandparent.part, Part::Model)
        {
            write!(f, "{grandparent}, ")?;
        }
        match self.part {
            Part::Model => f.write_str("model"),
            Part::Training(index) => write!(f, "training graph {index}"),
            Part::Graph => f.write_str("graph"),
            Part::Function(name) => write!(f, "function \"{name}\""),
            Part::Node(index, node) => match node.name() {
                "" => write!(f, "node {index} ({})", model::op_name(node)),
                name => write!(f, "node \"{name}\" ({})", model::op_name(node)),
            },
            Part::Attribute(name) => write!(f, "attribute \"{name}\""),
            Part::Initializer(name) => write!(f, "initializer \"{name}\""),
            Part::Value(kind, index, "") => write!(f, "{kind} {index}"),
            Part::Value(kind, _, name) => write!(f, "{kind} \"{name}\""),
        }
    }
}

/// The model under check and what was found so far.
struct Checker<'a> {
    model: &'a Model,
    functions: functions::Functions<'a>,
    external: tensors::ExternalLengths,
    report: Report,
}

impl<'a> Checker<'a> {
    fn new(model: &'a Model) -> Self {
        Self {
            model,
            functions: functions::Functions::of(model.proto()),
            external: tensors::ExternalLengths::default(),
            report: Report::default(),
        }
    }

    fn model(&mut self) {
        let proto = self.model.proto();
        let place = Place::MODEL;
        match proto.ir_version {
            None | Some(0) => self.report.add(&place, || "the IR version is missing".to_owned()),
            Some(version) if version < 0 => {
                self.report.add(&place, || format!("the IR version is {version}"));
            }
            Some(version) if version > NEWEST_IR_VERSION => self.report.add(&place, || {
                format!("the IR version is {version}; the newest one known is {NEWEST_IR_VERSION}")
            }),
            Some(_) => {}
        }
        let opsets = self.opsets(&place, &proto.opset_import);
        // Version 3 introduced operator sets; before it, nodes belonged to whatever the reader had.
        let domains = if opsets.is_empty() && proto.ir_version() < 3 { None } else { Some(&opsets) };
        if domains.is_some_and(HashSet::is_empty) {
            self.report.add(&place, || "no operator set is imported".to_owned());
        }
        self.function_definitions(&place);
        let Some(graph) = &proto.graph else {
            self.report.add(&place, || "there is no graph".to_owned());
            return;
        };
        if graph.node.is_empty() && graph.output.is_empty() {
            self.report.add(&place, || "the graph is empty: no nodes and no outputs".to_owned());
        }
        let mut scopes = Vec::new();
        self.graph(&place.at(Part::Graph), graph, domains, graphs::Owner::Main, &mut scopes);
        // Training graphs may use what the main graph defines.
        for (index, info) in proto.training_info.iter().enumerate() {
            let training = place.at(Part::Training(index));
            for graph in [&info.initialization, &info.algorithm].into_iter().flatten() {
                let mut scopes = vec![graphs::names_defined(proto.graph.as_ref())];
                let owner = graphs::Owner::Subgraph(None);
                self.graph(&training.at(Part::Graph), graph, domains, owner, &mut scopes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
