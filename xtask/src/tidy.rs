//! `cargo xtask tidy`: the architecture as a check, and all of its violations at once.
//!
//! The rules look at a [`model::Workspace`]: manifests, the table in `docs/architecture.md`, and the files that git knows.
//! It is plain data, so that each rule has tests which break it. A new rule is one function and one line in [`RULES`].
//!
//! The check also runs as a test of this package, so there is nothing extra to remember.
#![expect(clippy::print_stdout, reason = "this is the edge: it tells the user what was found")]

mod code;
mod crates;
mod files;
mod manifests;
mod model;
mod sources;
mod table;

use anyhow::{Result, bail};

use self::model::Workspace;
use crate::workspace;

type Rule = fn(&Workspace) -> Vec<String>;

/// Every rule by name. A rule returns its violations, each a sentence that says where and what.
const RULES: &[(&str, Rule)] = &[
    ("table", crates::table_is_the_workspace),
    ("arrows", crates::arrows_are_allowed),
    ("isolation", crates::ecosystems_are_apart),
    ("own-crates", crates::own_crates_are_from_here),
    ("edge", crates::edge_crates_stay_at_the_edge),
    ("inherited", manifests::fields_are_inherited),
    ("description", manifests::crates_are_described),
    ("pinned", manifests::versions_stand_once),
    ("members", manifests::packages_are_members),
    ("header", sources::modules_say_what_they_are),
    ("unfinished", sources::unfinished_work_has_a_reason),
    ("length", sources::files_hold_one_idea),
    ("unsafe", sources::unsafe_stays_in_its_module),
    ("environment", sources::environment_is_read_at_the_edge),
    ("machines", files::no_machine_is_named),
    ("registries", files::no_registry_is_named),
];

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<()> {
    let workspace = Workspace::load(&workspace::root())?;
    let violations = violations(&workspace);
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("tidy: {} violations", violations.len());
    }
    println!(
        "tidy: {} rules hold in {} crates and {} files",
        RULES.len(),
        workspace.crates.len(),
        workspace.files.len()
    );
    Ok(())
}

/// All violations, each with its rule's name in front.
fn violations(workspace: &Workspace) -> Vec<String> {
    let mut all = Vec::new();
    for (name, rule) in RULES {
        all.extend(rule(workspace).into_iter().map(|violation| format!("{name}: {violation}")));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let violations = violations(&Workspace::load(&workspace::root()).unwrap());
        assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
    }

    #[test]
    fn the_sample_that_rules_are_tested_with_breaks_none() {
        assert_eq!(violations(&Workspace::sample()), Vec::<String>::new());
    }

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let names: BTreeSet<_> = RULES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn a_violation_says_which_rule_it_breaks() {
        let mut workspace = Workspace::sample();
        workspace.edit("crates/zoo-core/src/lib.rs", |text| text.push_str("fn f() { unsafe { g() } }\n"));
        assert_eq!(
            violations(&workspace),
            ["unsafe: crates/zoo-core/src/lib.rs:2 has unsafe code; only crates/zoo-tensor/src/map.rs may"]
        );
    }
}
