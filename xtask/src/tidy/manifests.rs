//! Rules about manifests: what is the same for all crates stands in the root's.

use toml::{Table, Value};

use super::model::{Crate, Workspace};

/// Fields of `[package]` that the workspace decides.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];

const DEPENDENCIES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Version, edition, licence and lints come from the workspace.
pub(super) fn fields_are_inherited(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in &workspace.crates {
        let package = table(&member.manifest, "package");
        let own =
            INHERITED.iter().filter(|field| !package.is_some_and(|p| p.get(**field).is_some_and(inherits)));
        found.extend(own.map(|field| format!("{} must have `{field}.workspace = true`", manifest(member))));
        if !member.manifest.get("lints").is_some_and(inherits) {
            found.push(format!("{} must have `[lints] workspace = true`", manifest(member)));
        }
    }
    found
}

/// Every crate says what it is for.
pub(super) fn crates_are_described(workspace: &Workspace) -> Vec<String> {
    let unfinished = concat!("TO", "DO");
    let described = |member: &&Crate| {
        let package = table(&member.manifest, "package");
        let description =
            package.and_then(|package| package.get("description")?.as_str()).unwrap_or_default();
        !description.trim().is_empty() && !description.contains(unfinished)
    };
    let silent = workspace.crates.iter().filter(|member| !described(member));
    silent.map(|member| format!("{} has no description", manifest(member))).collect()
}

/// Versions of dependencies stand once, in the root manifest.
pub(super) fn versions_stand_once(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in &workspace.crates {
        let targets = table(&member.manifest, "target").into_iter().flat_map(Table::values);
        let tables = std::iter::once(&member.manifest).chain(targets.filter_map(Value::as_table));
        let lists = tables.flat_map(|t| DEPENDENCIES.iter().filter_map(move |kind| table(t, kind)));
        for (name, _) in lists.flatten().filter(|(_, dependency)| !inherits(dependency)) {
            found.push(format!(
                "{} has a version of its own for {name}: put it into the root's [workspace.dependencies] and say \
                 `{name}.workspace = true`",
                manifest(member)
            ));
        }
    }
    found
}

/// Every package is a member of the workspace, or is built on its own by the root manifest's decision.
pub(super) fn packages_are_members(workspace: &Workspace) -> Vec<String> {
    let root = workspace.text("Cargo.toml").and_then(|text| text.parse::<Table>().ok());
    let excluded = root.as_ref().and_then(|root| table(root, "workspace")?.get("exclude")?.as_array());
    let excluded: Vec<_> = excluded.into_iter().flatten().filter_map(Value::as_str).collect();
    let folders = workspace.files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    let below = |folder: &str, parent: &str| {
        folder.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    folders
        .filter(|folder| !workspace.crates.iter().any(|member| member.folder == *folder))
        .filter(|folder| !excluded.iter().any(|parent| below(folder, parent)))
        .map(|folder| {
            format!("{folder}/Cargo.toml is neither a member of the workspace nor excluded from it")
        })
        .collect()
}

fn manifest(member: &Crate) -> String {
    format!("{}/Cargo.toml", member.folder)
}

fn table<'t>(parent: &'t Table, key: &str) -> Option<&'t Table> {
    parent.get(key)?.as_table()
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample, with a change in the manifest of zoo-core.
    fn with(change: impl FnOnce(&mut Table)) -> Workspace {
        let mut workspace = Workspace::sample();
        workspace.change("zoo-core", |member| change(&mut member.manifest));
        workspace
    }

    fn package(manifest: &mut Table) -> &mut Table {
        manifest.get_mut("package").unwrap().as_table_mut().unwrap()
    }

    #[test]
    fn fields_and_lints_of_its_own() {
        let workspace = with(|manifest| {
            package(manifest).insert("version".into(), "0.2.0".into());
            package(manifest).remove("license");
            manifest.remove("lints");
        });
        assert_eq!(
            fields_are_inherited(&workspace),
            [
                "crates/zoo-core/Cargo.toml must have `version.workspace = true`",
                "crates/zoo-core/Cargo.toml must have `license.workspace = true`",
                "crates/zoo-core/Cargo.toml must have `[lints] workspace = true`",
            ]
        );
    }

    #[test]
    fn no_description_an_empty_one_and_a_promise_of_one() {
        let expected = ["crates/zoo-core/Cargo.toml has no description"];
        assert_eq!(crates_are_described(&with(|m| drop(package(m).remove("description")))), expected);
        for text in ["", "  ", concat!("TO", "DO")] {
            let workspace = with(|m| drop(package(m).insert("description".into(), text.into())));
            assert_eq!(crates_are_described(&workspace), expected, "`{text}`");
        }
    }

    #[test]
    fn a_version_of_its_own_in_any_list_of_dependencies() {
        for (list, line) in [
            ("dependencies", "url = \"2\""),
            ("dev-dependencies", "url = { version = \"2\" }"),
            ("build-dependencies", "url = { path = \"../url\" }"),
            ("target.'cfg(unix)'.dependencies", "url = { workspace = false, version = \"2\" }"),
        ] {
            let workspace = with(|manifest| {
                manifest.remove("dependencies");
                manifest.extend(format!("[{list}]\n{line}\n").parse::<Table>().unwrap());
            });
            let found = versions_stand_once(&workspace);
            assert!(
                found.len() == 1 && found[0].contains("a version of its own for url"),
                "{list}: {found:?}"
            );
        }
    }

    #[test]
    fn features_may_be_added_to_an_inherited_version() {
        let workspace = with(|manifest| {
            let line = "[dependencies]\nurl = { workspace = true, features = [\"serde\"] }\n";
            manifest.extend(line.parse::<Table>().unwrap());
        });
        assert_eq!(versions_stand_once(&workspace), Vec::<String>::new());
    }

    #[test]
    fn a_package_that_nobody_builds() {
        let mut workspace = Workspace::sample();
        workspace.put("benches/speed/Cargo.toml", "");
        workspace.put("fuzzy/Cargo.toml", "");
        workspace.put("fuzz/more/Cargo.toml", "");
        assert_eq!(
            packages_are_members(&workspace),
            [
                "benches/speed/Cargo.toml is neither a member of the workspace nor excluded from it",
                "fuzzy/Cargo.toml is neither a member of the workspace nor excluded from it",
            ]
        );
    }
}
