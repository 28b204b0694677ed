//! Model-local functions: operator sets they import, their bodies, and that none calls itself.

use std::collections::{HashMap, HashSet};

use super::graphs::{Domains, Names, Owner};
use super::{Checker, Part, Place};
use crate::model::normal_domain;
use crate::proto::{AttributeProto, FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};
use crate::walk;

/// What identifies a function: domain, name, overload.
type Key<'a> = (&'a str, &'a str, &'a str);

/// The functions of a model by what calls them.
pub(super) struct Functions<'a> {
    list: &'a [FunctionProto],
    by_key: HashMap<Key<'a>, usize>,
}

impl<'a> Functions<'a> {
    pub(super) fn of(model: &'a ModelProto) -> Self {
        let by_key =
            model.functions.iter().enumerate().map(|(index, function)| (key(function), index)).collect();
        Self { list: &model.functions, by_key }
    }

    fn called(&self, node: &NodeProto) -> Option<usize> {
        self.by_key.get(&(normal_domain(node.domain()), node.op_type(), node.overload())).copied()
    }

    /// The functions a function calls, in its own nodes and in those of subgraphs.
    fn calls(&self, function: &FunctionProto) -> HashSet<usize> {
        let mut open: Vec<&[NodeProto]> = vec![&function.node];
        let mut calls = HashSet::new();
        while let Some(nodes) = open.pop() {
            for node in nodes {
                calls.extend(self.called(node));
                open.extend(walk::subgraphs(node).map(|graph| graph.node.as_slice()));
            }
        }
        calls
    }

    /// The functions whose calls go round in a circle: those left when every function that calls only settled ones
    /// has been settled.
    fn cyclic(&self) -> Vec<usize> {
        let calls: Vec<HashSet<usize>> = self.list.iter().map(|function| self.calls(function)).collect();
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); calls.len()];
        for (caller, called) in calls.iter().enumerate() {
            for &index in called {
                if let Some(list) = callers.get_mut(index) {
                    list.push(caller);
                }
            }
        }
        let mut left: Vec<usize> = calls.iter().map(HashSet::len).collect();
        let mut settled: Vec<usize> =
            left.iter().enumerate().filter(|(_, count)| **count == 0).map(|(index, _)| index).collect();
        let mut done = HashSet::new();
        while let Some(index) = settled.pop() {
            done.insert(index);
            for &caller in callers.get(index).into_iter().flatten() {
                if let Some(count) = left.get_mut(caller) {
                    *count -= 1;
                    if *count == 0 {
                        settled.push(caller);
                    }
                }
            }
        }
        (0..calls.len()).filter(|index| !done.contains(index)).collect()
    }
}

fn key(function: &FunctionProto) -> Key<'_> {
    (normal_domain(function.domain()), function.name(), function.overload())
}

impl<'a> Checker<'a> {
    /// The domains a list of operator sets imports.
    pub(super) fn opsets(&mut self, place: &Place<'_>, opsets: &'a [OperatorSetIdProto]) -> Domains<'a> {
        let mut versions: HashMap<&str, i64> = HashMap::new();
        for opset in opsets {
            let domain = normal_domain(opset.domain());
            let shown = if domain.is_empty() { "ai.onnx" } else { domain };
            if opset.version() < 1 {
                let version = opset.version();
                self.report.add(place, || format!("operator set {shown} is imported in version {version}"));
            }
            // Some exporters list the default domain under both its names.
            if let Some(other) = versions.insert(domain, opset.version())
                && other != opset.version()
            {
                let version = opset.version();
                self.report.add(place, || {
                    format!("operator set {shown} is imported twice, in versions {other} and {version}")
                });
            }
        }
        versions.into_keys().collect()
    }

    pub(super) fn function_definitions(&mut self, place: &Place<'_>) {
        let functions = &self.model.proto().functions;
        let mut seen = HashSet::new();
        for (index, function) in functions.iter().enumerate() {
            let place = place.at(Part::Function(function.name()));
            if function.name().is_empty() {
                self.report.add(&place, || format!("function {index} has no name"));
            }
            if !seen.insert(key(function)) {
                self.report.add(&place, || "it is defined twice".to_owned());
            }
            self.function_body(&place, function);
        }
        for index in self.functions.cyclic() {
            if let Some(function) = functions.get(index) {
                let place = place.at(Part::Function(function.name()));
                self.report.add(&place, || {
                    "calling it never ends: functions call each other in a circle".to_owned()
                });
            }
        }
    }

    fn function_body(&mut self, place: &Place<'_>, function: &'a FunctionProto) {
        let opsets = self.opsets(place, &function.opset_import);
        let parameters: HashSet<&str> = function
            .attribute
            .iter()
            .map(String::as_str)
            .chain(function.attribute_proto.iter().map(AttributeProto::name))
            .collect();
        let mut names = Names::new();
        for (index, input) in function.input.iter().enumerate() {
            if !names.insert(input.as_str()) {
                let place = place.at(Part::Value("input", index, input));
                self.report.add(&place, || "this name is defined twice".to_owned());
            }
        }
        let mut scopes = vec![names];
        self.nodes(place, &function.node, Some(&opsets), Owner::Function(&parameters), &mut scopes);
        for (index, output) in function.output.iter().enumerate() {
            if !scopes.iter().any(|names| names.contains(output.as_str())) {
                let place = place.at(Part::Value("output", index, output));
                self.report.add(&place, || "nothing produces it".to_owned());
            }
        }
        for attribute in &function.attribute_proto {
            self.attribute(&place.at(Part::Attribute(attribute.name())), attribute, None);
        }
    }
}
