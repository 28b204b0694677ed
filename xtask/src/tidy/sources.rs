//! Rules about Rust files.

use super::code::{code_only, lines_with, without_tests};
use super::model::{File, Workspace};

/// A module up to this length is read as quickly as its header would be.
const SHORT: usize = 60;

/// More than this is more than one idea, unless it is long and uniform.
const LONG: usize = 800;

/// Files that may be longer, with the reason. One that is no longer long must go from here.
const LONG_FILES: &[(&str, &str)] = &[];

/// The module that maps files into memory.
const UNSAFE: &str = "crates/zoo-tensor/src/map.rs";

/// Where programs start: they may read the environment, libraries are told.
const EDGE: &[&str] = &["crates/zoo-cli/", "xtask/", "tests/"];

/// Crate roots, and modules longer than a screen, begin with `//!`: what, then why.
pub(super) fn modules_say_what_they_are(workspace: &Workspace) -> Vec<String> {
    let is_root = |file: &File| workspace.crates.iter().any(|member| member.roots.contains(&file.path));
    workspace
        .rust_files()
        .filter(|file| is_root(file) || file.text.lines().count() > SHORT)
        .filter(|file| !has_header(&file.text))
        .map(|file| format!("{} must begin with `//!` and what it is for", file.path))
        .collect()
}

/// Whether nothing but comments and attributes of the whole file comes before the header.
fn has_header(text: &str) -> bool {
    let mut in_attribute = false;
    for line in text.lines() {
        if line.starts_with("//!") {
            return true;
        }
        in_attribute = (in_attribute || line.starts_with("#![")) && !line.trim_end().ends_with(']');
        let passed = in_attribute || line.is_empty() || line.starts_with("//") || line.ends_with(']');
        if !passed {
            return false;
        }
    }
    false
}

/// Whatever is left to do says why it is, in the same line.
pub(super) fn unfinished_work_has_a_reason(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace.rust_files() {
        for note in [concat!("TO", "DO"), concat!("FIX", "ME")] {
            for number in lines_with(&file.text, note) {
                if !line(&file.text, number).split(note).skip(1).all(note_has_reason) {
                    found.push(format!("{}:{number} has a {note} without a reason", file.path));
                }
            }
        }
        let code = code_only(&file.text);
        for call in [concat!("to", "do!("), concat!("unimpl", "emented!(")] {
            for number in lines_with(&code, call) {
                if !line(&file.text, number).split(call).skip(1).all(call_has_reason) {
                    found.push(format!("{}:{number} has a {call}) without a reason", file.path));
                }
            }
        }
    }
    found
}

fn line(text: &str, number: usize) -> &str {
    text.lines().nth(number - 1).unwrap_or_default()
}

/// `: ` and a few words, perhaps after a name in parentheses.
fn note_has_reason(after: &str) -> bool {
    let after = after.strip_prefix('(').and_then(|s| s.split_once(')')).map_or(after, |(_, rest)| rest);
    after.strip_prefix(": ").is_some_and(|reason| reason.split_whitespace().count() >= 3)
}

/// A string that is not empty.
fn call_has_reason(after: &str) -> bool {
    after.strip_prefix('"').is_some_and(|text| !text.starts_with('"'))
}

/// A file holds one idea.
pub(super) fn files_hold_one_idea(workspace: &Workspace) -> Vec<String> {
    too_long(workspace, LONG_FILES)
}

fn too_long(workspace: &Workspace, excused: &[(&str, &str)]) -> Vec<String> {
    let lengths: Vec<_> =
        workspace.rust_files().map(|file| (&file.path, file.text.lines().count())).collect();
    let mut found = Vec::new();
    for (path, length) in lengths.iter().filter(|(_, length)| *length > LONG) {
        if !excused.iter().any(|(excused, _)| excused == path) {
            found.push(format!("{path} has {length} lines, more than {LONG}: split it by topic"));
        }
    }
    for (path, _) in excused {
        if !lengths.iter().any(|(other, length)| *other == path && *length > LONG) {
            found.push(format!("{path} is excused for its length and need not be"));
        }
    }
    found
}

/// Unsafe code is in one module. The compiler's lint can be allowed at any place; this rule cannot.
pub(super) fn unsafe_stays_in_its_module(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace.rust_files().filter(|file| file.path != UNSAFE) {
        for number in lines_with(&code_only(&file.text), "unsafe") {
            found.push(format!("{}:{number} has unsafe code; only {UNSAFE} may", file.path));
        }
    }
    found
}

/// Libraries are told what to do; programs and tests may ask the environment.
pub(super) fn environment_is_read_at_the_edge(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace.rust_files().filter(|file| !may_read_environment(&file.path)) {
        let code = without_tests(&code_only(&file.text));
        let mut numbers: Vec<_> = ["var", "var_os", "vars", "vars_os"]
            .iter()
            .flat_map(|function| lines_with(&code, &format!("env::{function}")))
            .collect();
        numbers.sort_unstable();
        for number in numbers {
            found.push(format!("{}:{number} reads the environment; only {} may", file.path, EDGE.join(", ")));
        }
    }
    found
}

/// Tests, examples, benchmarks and build scripts are programs too, and all of them are told things that way by cargo.
fn may_read_environment(path: &str) -> bool {
    let is_program = |part: &str| ["tests", "tests.rs", "examples", "benches", "build.rs"].contains(&part);
    EDGE.iter().any(|folder| path.starts_with(folder)) || path.split('/').any(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "crates/zoo-core/src/lib.rs";

    /// The sample, with text added to the root of zoo-core.
    fn with(text: &str) -> Workspace {
        let mut workspace = Workspace::sample();
        workspace.edit(CORE, |root| root.push_str(text));
        workspace
    }

    #[test]
    fn roots_and_long_modules_need_a_header() {
        let mut workspace = Workspace::sample();
        workspace.edit(CORE, |text| *text = "pub mod a;\n".into());
        workspace.put("crates/zoo-core/src/short.rs", &"fn f() {}\n".repeat(SHORT));
        workspace.put("crates/zoo-core/src/long.rs", &"fn f() {}\n".repeat(SHORT + 1));
        assert_eq!(
            modules_say_what_they_are(&workspace),
            [
                "crates/zoo-core/src/lib.rs must begin with `//!` and what it is for",
                "crates/zoo-core/src/long.rs must begin with `//!` and what it is for",
            ]
        );
    }

    #[test]
    fn attributes_and_comments_may_come_before_the_header() {
        for text in
            ["//! A.\n", "#![no_main]\n//! A.\n", "// Licence\n\n#![expect(\n    a,\n    b\n)]\n//! A.\n"]
        {
            assert!(has_header(text), "{text}");
        }
        for text in ["", "mod a;\n//! A.\n", "/// A.\nfn f() {}\n", "#[a]\nfn f() {}\n//! A.\n"] {
            assert!(!has_header(text), "{text}");
        }
    }

    #[test]
    fn unfinished_work_without_a_reason() {
        let (note, repair) = (concat!("TO", "DO"), concat!("FIX", "ME"));
        let (call, other) = (concat!("to", "do!("), concat!("unimpl", "emented!("));
        for (text, named) in [
            (format!("// {note}\n"), format!("has a {note} without")),
            (format!("// {note}: later\n"), format!("has a {note} without")),
            (format!("// {repair} see above please\n"), format!("has a {repair} without")),
            (format!("fn f() {{ {call}) }}\n"), format!("has a {call}) without")),
            (format!("fn f() {{ {other}\"\") }}\n"), format!("has a {other}) without")),
        ] {
            let found = unfinished_work_has_a_reason(&with(&text));
            assert!(
                found.len() == 1 && found[0].contains(&named) && found[0].contains(":2 "),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn unfinished_work_with_a_reason_passes() {
        let note = concat!("TO", "DO");
        for text in [
            format!("// {note}: needs the newer kernel everywhere\n"),
            format!("// {note}(ada): needs the newer kernel everywhere\n"),
            format!("fn f() {{ {}\"the newer kernel\") }}\n", concat!("to", "do!(")),
            format!("// MY{note}LIST is a word\n"),
        ] {
            assert_eq!(unfinished_work_has_a_reason(&with(&text)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn long_files_are_split_or_excused_as_long_as_they_need_it() {
        let workspace = with(&"\n".repeat(LONG));
        let expected = ["crates/zoo-core/src/lib.rs has 801 lines, more than 800: split it by topic"];
        assert_eq!(files_hold_one_idea(&workspace), expected);
        assert_eq!(too_long(&workspace, &[(CORE, "one table")]), Vec::<String>::new());
        let stale = ["crates/zoo-core/src/lib.rs is excused for its length and need not be"];
        assert_eq!(too_long(&Workspace::sample(), &[(CORE, "one table")]), stale);
    }

    #[test]
    fn unsafe_code_outside_of_its_module() {
        let text = "fn f() { unsafe { g() } }\n";
        let expected =
            ["crates/zoo-core/src/lib.rs:2 has unsafe code; only crates/zoo-tensor/src/map.rs may"];
        assert_eq!(unsafe_stays_in_its_module(&with(text)), expected);
        let words = "// unsafe\nfn f() { g(\"unsafe\", unsafe_name) }\n#![deny(unsafe_code)]\n";
        assert_eq!(unsafe_stays_in_its_module(&with(words)), Vec::<String>::new());
        let mut workspace = Workspace::sample();
        workspace.put(UNSAFE, text);
        assert_eq!(unsafe_stays_in_its_module(&workspace), Vec::<String>::new());
    }

    #[test]
    fn the_environment_outside_of_the_edge() {
        let text = "fn f() { std::env::var_os(\"A\"); }\n";
        let expected =
            ["crates/zoo-core/src/lib.rs:2 reads the environment; only crates/zoo-cli/, xtask/, tests/ may"];
        assert_eq!(environment_is_read_at_the_edge(&with(text)), expected);
        assert_eq!(environment_is_read_at_the_edge(&with("use std::env::vars;\n")).len(), 1);
        let in_tests = "// env::var\n#[cfg(test)]\nmod tests {\n    fn f() { std::env::var(\"A\"); }\n}\n";
        assert_eq!(environment_is_read_at_the_edge(&with(in_tests)), Vec::<String>::new());
        let mut workspace = Workspace::sample();
        workspace.put("crates/zoo-cli/src/main.rs", text);
        workspace.put("crates/zoo-core/src/archive/tests/mod.rs", text);
        workspace.put("xtask/src/setup.rs", text);
        assert_eq!(environment_is_read_at_the_edge(&workspace), Vec::<String>::new());
    }
}
