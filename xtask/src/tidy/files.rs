//! Rules about every text file: it must be as true on the next machine as on the one where it was written.

use super::model::Workspace;

/// Folders that exist on one machine or another, and in no file of ours. Put together here, so that this one is none.
const PLACES: &[&str] =
    &[concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Package registries by host. Clients know where theirs is, or are configured to use another; a file that names one
/// works on fewer machines than one that does not.
const REGISTRIES: &[&str] = &[
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("://crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
];

/// No path of somebody's machine.
pub(super) fn no_machine_is_named(workspace: &Workspace) -> Vec<String> {
    named(workspace, "names a folder of one machine", |line| {
        PLACES.iter().any(|place| line.match_indices(place).any(|(at, _)| starts_a_path(line, at)))
    })
}

/// Whether an absolute path may start here: in `a/work/b`, in a URL and in `$HOME/work/b` none does.
fn starts_a_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).and_then(|s| s.chars().next_back());
    !before.is_some_and(|c| {
        c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '}' | ')' | '>' | '/' | '*' | '%')
    })
}

/// No registry by its host.
pub(super) fn no_registry_is_named(workspace: &Workspace) -> Vec<String> {
    named(workspace, "names a package registry by its host", |line| {
        REGISTRIES.iter().any(|host| line.contains(host))
    })
}

fn named(workspace: &Workspace, what: &str, is_named: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in &workspace.files {
        for (index, _) in file.text.lines().enumerate().filter(|(_, line)| is_named(line)) {
            found.push(format!("{}:{} {what}", file.path, index + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Workspace {
        let mut workspace = Workspace::sample();
        workspace.put("README.md", text);
        workspace
    }

    #[test]
    fn a_path_of_one_machine() {
        for place in PLACES {
            for text in [
                format!("a\n{place}x"),
                format!("a\ncd {place}"),
                format!("a\n\"{place}x\""),
                format!("a\nA={place}"),
            ] {
                assert_eq!(
                    no_machine_is_named(&with(&text)),
                    ["README.md:2 names a folder of one machine"],
                    "{text}"
                );
            }
            for text in [
                format!("target{place}x"),
                format!("https://example.org{place}"),
                format!("~{place}"),
                format!("${{A}}{place}"),
            ] {
                assert_eq!(no_machine_is_named(&with(&text)), Vec::<String>::new(), "{text}");
            }
        }
    }

    #[test]
    fn a_registry_by_its_host() {
        for host in REGISTRIES {
            let text = format!("see https{host}/x or https://{host}/x");
            assert_eq!(
                no_registry_is_named(&with(&text)),
                ["README.md:1 names a package registry by its host"],
                "{host}"
            );
        }
        let names = concat!(
            "from PyPI, crates",
            ".io and npm; registry+https://github.com/rust-lang/crates",
            ".io-index"
        );
        assert_eq!(no_registry_is_named(&with(names)), Vec::<String>::new());
    }
}
