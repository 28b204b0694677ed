//! Rules about which crate depends on which.

use std::collections::BTreeSet;

use super::model::{ARCHITECTURE, Crate, Workspace};
use super::table::Table;

/// The crates that know a hub. Whoever wants one gets none of the others.
const ECOSYSTEMS: &[&str] = &["zoo-onnx", "zoo-tfhub", "zoo-torch", "zoo-hf", "zoo-keras"];

/// The members at the edge: they print, read the environment, and end programs.
const EDGE: &[&str] = &["zoo-cli", "xtask", "zoo-tests"];

/// Crates for that edge: a library that needs one does something that is its caller's affair.
const EDGE_ONLY: &[&str] = &[
    "anyhow",
    "clap",
    "clap_complete",
    "comfy-table",
    "console",
    "etcetera",
    "indicatif",
    "tracing-subscriber",
];

/// The table has a row for every member, and no row for what does not exist.
pub(super) fn table_is_the_workspace(workspace: &Workspace) -> Vec<String> {
    let Some(document) = workspace.text(ARCHITECTURE) else {
        return vec![format!("{ARCHITECTURE} is missing: its table says which crate may depend on which")];
    };
    let table = Table::read(document);
    let mut found: Vec<_> =
        table.problems.iter().map(|problem| format!("{ARCHITECTURE} {problem}")).collect();
    if table.rows.is_empty() {
        return found;
    }
    for member in workspace.crates.iter().filter(|member| table.row(member).is_none()) {
        found.push(format!("{} is missing from the table in {ARCHITECTURE}", member.name));
    }
    for name in table.rows.iter().flat_map(|row| &row.names).filter(|name| !exists(workspace, name)) {
        found.push(format!("the table in {ARCHITECTURE} has a row for `{name}`, which does not exist"));
    }
    found
}

fn exists(workspace: &Workspace, name: &str) -> bool {
    if name.ends_with('/') {
        return workspace.files.iter().any(|file| file.path.starts_with(name));
    }
    workspace.member(name).is_some()
}

/// A crate depends on those siblings only that the table allows. Tests may use `zoo-mirror` everywhere.
pub(super) fn arrows_are_allowed(workspace: &Workspace) -> Vec<String> {
    // Without the table the rule above speaks, once.
    let Some(document) = workspace.text(ARCHITECTURE) else { return Vec::new() };
    let table = Table::read(document);
    let mut found = BTreeSet::new();
    for member in &workspace.crates {
        for (used, sibling) in member.siblings(workspace, true) {
            let for_tests = used.dev && sibling.name == "zoo-mirror";
            if !for_tests && table.allows(member, sibling) == Some(false) {
                let tests = if used.dev { " in its tests" } else { "" };
                found.insert(format!(
                    "{} depends on {}{tests}, which {ARCHITECTURE} does not allow",
                    member.name, sibling.name
                ));
            }
        }
    }
    found.into_iter().collect()
}

/// An ecosystem crate pulls in no other, however far down.
pub(super) fn ecosystems_are_apart(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in workspace.crates.iter().filter(|member| is_ecosystem(&member.name)) {
        for path in paths_from(workspace, member) {
            if path.last().is_some_and(|name| is_ecosystem(name)) {
                found.push(format!("{} pulls in another ecosystem: {}", member.name, path.join(" -> ")));
            }
        }
    }
    found
}

fn is_ecosystem(name: &str) -> bool {
    ECOSYSTEMS.contains(&name)
}

/// One path to every sibling that gets built with a crate.
fn paths_from<'w>(workspace: &'w Workspace, member: &'w Crate) -> Vec<Vec<&'w str>> {
    let mut seen = BTreeSet::from([member.name.as_str()]);
    let mut ahead = vec![(member, vec![member.name.as_str()])];
    let mut paths = Vec::new();
    while let Some((at, path)) = ahead.pop() {
        for (_, sibling) in at.siblings(workspace, false) {
            if seen.insert(&sibling.name) {
                let longer = [path.as_slice(), &[sibling.name.as_str()]].concat();
                paths.push(longer.clone());
                ahead.push((sibling, longer));
            }
        }
    }
    paths
}

/// Nothing from a registry has the name of a member. So nothing from there depends on one, and the two rules above, which
/// look at members alone, miss nothing.
pub(super) fn own_crates_are_from_here(workspace: &Workspace) -> Vec<String> {
    let Some(text) = workspace.text("Cargo.lock") else {
        return vec!["Cargo.lock is missing: it is kept with the sources, since zoo is a program".into()];
    };
    let Ok(lock) = text.parse::<toml::Table>() else {
        return vec!["Cargo.lock is no TOML".into()];
    };
    let packages = lock.get("package").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let foreign = packages.iter().filter(|package| package.get("source").is_some());
    let names = foreign.filter_map(|package| package.get("name")?.as_str());
    names
        .filter(|name| workspace.member(name).is_some())
        .map(|name| format!("Cargo.lock takes {name} from a registry; it is a member of the workspace"))
        .collect()
}

/// Libraries use no crate that prints, parses a command line, reads the environment or erases error types.
pub(super) fn edge_crates_stay_at_the_edge(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in workspace.crates.iter().filter(|member| !EDGE.contains(&member.name.as_str())) {
        for used in member.uses.iter().filter(|used| !used.dev && EDGE_ONLY.contains(&used.name.as_str())) {
            found.push(format!(
                "{} depends on {}, which is for {} only",
                member.name,
                used.name,
                EDGE.join(", ")
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_document_is_one_violation() {
        let mut workspace = Workspace::sample();
        workspace.files.retain(|file| file.path != ARCHITECTURE);
        assert_eq!(
            table_is_the_workspace(&workspace),
            ["docs/architecture.md is missing: its table says which crate may depend on which"]
        );
        assert_eq!(arrows_are_allowed(&workspace), Vec::<String>::new());
    }

    #[test]
    fn a_member_without_a_row_and_a_row_without_a_member() {
        let mut workspace = Workspace::sample();
        workspace.edit(ARCHITECTURE, |text| *text = text.replace("`zoo-hf`", "`zoo-torch`, `benches/`"));
        assert_eq!(
            table_is_the_workspace(&workspace),
            [
                "zoo-hf is missing from the table in docs/architecture.md",
                "the table in docs/architecture.md has a row for `zoo-torch`, which does not exist",
                "the table in docs/architecture.md has a row for `benches/`, which does not exist",
            ]
        );
    }

    #[test]
    fn a_cell_that_is_not_understood_is_reported() {
        let mut workspace = Workspace::sample();
        workspace.edit(ARCHITECTURE, |text| *text = text.replace("| core, tensor |", "| core and tensor |"));
        let found = table_is_the_workspace(&workspace);
        assert!(found[0].contains("says that zoo-onnx may depend on `core and tensor`"), "{found:?}");
    }

    #[test]
    fn an_arrow_that_the_table_does_not_allow() {
        let mut workspace = Workspace::sample();
        workspace.depend("zoo-core", "zoo-tensor", false);
        workspace.depend("zoo-hf", "zoo-tensor", true);
        workspace.depend("zoo-cli", "zoo-mirror", false);
        assert_eq!(
            arrows_are_allowed(&workspace),
            [
                "zoo-cli depends on zoo-mirror, which docs/architecture.md does not allow",
                "zoo-core depends on zoo-tensor, which docs/architecture.md does not allow",
                "zoo-hf depends on zoo-tensor in its tests, which docs/architecture.md does not allow",
            ]
        );
    }

    #[test]
    fn tests_may_use_the_mirror_and_allowed_arrows_pass() {
        let mut workspace = Workspace::sample();
        workspace.depend("zoo-core", "zoo-mirror", true);
        workspace.depend("zoo-onnx", "zoo-tensor", false);
        workspace.depend("zoo-cli", "zoo-core", false);
        assert_eq!(arrows_are_allowed(&workspace), Vec::<String>::new());
    }

    #[test]
    fn an_ecosystem_behind_another_crate_is_found_with_its_path() {
        let mut workspace = Workspace::sample();
        workspace.depend("zoo-hf", "zoo-tensor", false);
        workspace.depend("zoo-tensor", "zoo-onnx", false);
        assert_eq!(
            ecosystems_are_apart(&workspace),
            ["zoo-hf pulls in another ecosystem: zoo-hf -> zoo-tensor -> zoo-onnx"]
        );
    }

    #[test]
    fn tests_may_compare_ecosystems_and_circles_end() {
        let mut workspace = Workspace::sample();
        workspace.depend("zoo-hf", "zoo-onnx", true);
        workspace.depend("zoo-core", "zoo-hf", false);
        let found = ecosystems_are_apart(&workspace);
        assert_eq!(found, ["zoo-onnx pulls in another ecosystem: zoo-onnx -> zoo-core -> zoo-hf"]);
    }

    #[test]
    fn a_member_from_a_registry_is_found() {
        let mut workspace = Workspace::sample();
        workspace.edit("Cargo.lock", |text| {
            text.push_str("[[package]]\nname = \"zoo-hf\"\nversion = \"0.0.1\"\nsource = \"registry+x\"\n");
        });
        assert_eq!(
            own_crates_are_from_here(&workspace),
            ["Cargo.lock takes zoo-hf from a registry; it is a member of the workspace"]
        );
    }

    #[test]
    fn a_library_that_takes_over_its_callers_affairs() {
        let mut workspace = Workspace::sample();
        workspace.depend("zoo-core", "anyhow", false);
        workspace.depend("zoo-onnx", "anyhow", true);
        workspace.depend("zoo-tests", "anyhow", false);
        assert_eq!(
            edge_crates_stay_at_the_edge(&workspace),
            ["zoo-core depends on anyhow, which is for zoo-cli, xtask, zoo-tests only"]
        );
    }
}
