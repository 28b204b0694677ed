//! `If`: one of two graphs.
//!
//! Without functions, which importers of frozen graphs do not know: what a branch uses passes a `Switch`, which lets it through on the
//! side that is taken, and what comes out of both sides meets in a `Merge`, which takes what arrives. Outputs pass a `Switch`, too,
//! because one that depends on constants alone would arrive from both sides.

use std::collections::HashMap;

use zoo_graph::graph::{Attribute, Branch, Node, Source, Val};
use zoo_tensor::DType;

use super::{Lower, Lowered, Lowering, Made, find};
use crate::nodes::{Op, Out};

pub(super) const OPERATORS: &[(&str, Lower)] = &[("If", branch)];

fn branch(l: &mut Lowering<'_>, node: &Node) -> Lowered {
    let condition = l.in_at(node, 0)?;
    let condition = if l.dims_at(node, 0)?.is_empty() { condition } else { l.reshape_to(&condition, &[]) };
    let way = |name: &str| match node.attribute(name) {
        Some(Attribute::Graph(branch)) => Ok(&**branch),
        _ => Err(format!("lacks its {name}")),
    };
    let yes = taken(l, node, way("then_branch")?, &condition, true)?;
    let no = taken(l, node, way("else_branch")?, &condition, false)?;
    if yes.len() != no.len() || yes.len() != node.outputs.len() {
        return Err("has branches of different outputs".to_owned());
    }
    let mut made = Vec::new();
    for (yes, no) in yes.iter().zip(&no) {
        made.push(l.add(Op::typed("Merge", &[no, yes]).int("N", 2), yes.dtype));
    }
    Ok(Made::Plain(made))
}

/// The outputs of a branch, which arrive if the condition is `side`.
fn taken(
    l: &mut Lowering<'_>,
    node: &Node,
    branch: &Branch,
    condition: &Out,
    side: bool,
) -> Result<Vec<Out>, String> {
    let outer = l.scope.clone();
    let mut before: HashMap<Val, [Option<Out>; 2]> = HashMap::new();
    for (inside, outside) in branch.captured(node) {
        let outside = outside.ok_or("lacks what a branch uses")?;
        let moves = matches!(l.graph.value(outside).source, Source::Node | Source::Input);
        let out = l.out(outside)?;
        let out = if moves { passed(l, &out, condition, side) } else { out };
        // What is made of it inside is not to be taken for what is outside.
        before.entry(inside).or_insert([l.plain.get(&inside).cloned(), l.channels_last.remove(&inside)]);
        l.plain.insert(inside, out);
    }
    for inner in &branch.nodes {
        let lower = find(&inner.op).filter(|_| inner.domain.is_empty());
        let lower =
            lower.ok_or_else(|| format!("has a branch with {}, which has no counterpart", inner.op))?;
        l.scope.clone_from(&inner.name);
        let made =
            lower(l, inner).map_err(|problem| format!("has a branch in which {} {problem}", inner.op))?;
        l.keep(inner, made);
    }
    let mut outs = Vec::new();
    for &val in &branch.outputs {
        let out = l.out(val)?;
        outs.push(passed(l, &out, condition, side));
    }
    for (val, [plain, channels_last]) in before {
        for (map, old) in [(&mut l.plain, plain), (&mut l.channels_last, channels_last)] {
            match old {
                Some(old) => map.insert(val, old),
                None => map.remove(&val),
            };
        }
    }
    l.scope = outer;
    Ok(outs)
}

/// A tensor that arrives only if the condition is `side`.
fn passed(l: &mut Lowering<'_>, x: &Out, condition: &Out, side: bool) -> Out {
    debug_assert_eq!(condition.dtype, DType::Bool, "conditions were checked when the graph was made");
    let sides = l.add_several(Op::typed("Switch", &[x, condition]), &[x.dtype, x.dtype]);
    sides.into_iter().nth(usize::from(side)).unwrap_or_else(|| x.clone())
}
