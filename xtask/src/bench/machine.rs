//! What kind of machine this is, in words that name no machine: a figure without them means nothing.

use std::path::Path;

use crate::files;

/// Facts for the report, each a line. `what` lies in the folder.
pub(super) fn facts(folder: &Path, what: &str) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = |path: &str| {
        files::read_if_there(Path::new(path))
            .ok()
            .flatten()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let of = |path: &str, find: fn(&str) -> Option<String>| {
        text(path).and_then(|text| find(&text)).unwrap_or_else(|| "unknown".to_owned())
    };
    let kernel =
        text("/proc/sys/kernel/osrelease").map_or_else(String::new, |v| format!(", kernel {}", v.trim()));
    vec![
        format!("processor: {} cores of {}", cores, of("/proc/cpuinfo", processor)),
        format!("memory: {}", of("/proc/meminfo", memory)),
        format!(
            "system: {}{kernel}",
            text("/etc/os-release")
                .and_then(|t| system(&t))
                .unwrap_or_else(|| std::env::consts::OS.to_owned())
        ),
        format!(
            "file system of the {what}: {}",
            text("/proc/self/mounts")
                .and_then(|t| file_system(&t, folder))
                .unwrap_or_else(|| "unknown".to_owned())
        ),
    ]
}

/// How many processes wanted to run, on average of the last minute: more than there are cores disturb what is measured.
pub(super) fn load() -> Option<f64> {
    let bytes = files::read_if_there(Path::new("/proc/loadavg")).ok().flatten()?;
    load_of(&String::from_utf8_lossy(&bytes))
}

fn load_of(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok()
}

/// The value after a name and a separator, in the first line that has them.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    });
    value.filter(|value| !value.is_empty())
}

fn processor(cpuinfo: &str) -> Option<String> {
    field(cpuinfo, "model name", ':')
}

fn memory(meminfo: &str) -> Option<String> {
    let kib: f64 = field(meminfo, "MemTotal", ':')?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(format!("{:.0} GiB", kib / f64::from(1 << 20)))
}

fn system(release: &str) -> Option<String> {
    field(release, "PRETTY_NAME", '=')
}

/// The type of the file system with the longest mount point that is above the folder.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    // The last of several at one place hides the others.
    above.max_by_key(|(length, _)| *length).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_what_linux_tells() {
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n").unwrap(),
            "Some CPU @ 2 GHz"
        );
        assert_eq!(memory("MemTotal:       24619012 kB\nMemFree: 1 kB\n").unwrap(), "23 GiB");
        assert_eq!(system("ID=debian\nPRETTY_NAME=\"Debian 12\"\n").unwrap(), "Debian 12");
        assert_eq!(system("PRETTY_NAME=\"\"\n"), None);
        assert_eq!(load_of("18.59 17.26 13.66 4/512 999\n"), Some(18.59));
    }

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount() {
        let mounts = "a / ext4 rw 0 0\nb /var tmpfs rw 0 0\nc /var/lib xfs rw 0 0\nd /variable nfs rw 0 0\n";
        let kind = |path: &str| file_system(mounts, Path::new(path)).unwrap();
        assert_eq!(kind("/var/lib/x"), "xfs");
        assert_eq!(kind("/var/x"), "tmpfs");
        assert_eq!(kind("/x"), "ext4");
    }
}
