//! Who is measured, and how each is called: as a whole process, with a home of its own that is empty before every run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::mirror::Pattern;
use crate::programs::Programs;
use crate::{files, setup, workspace};

/// The program of `xtask/bench-clients/hf-hub`.
const HF_HUB_PROGRAM: &str = "bench-hf-hub";

/// What Python runs. Name and folder come as arguments.
const DOWNLOAD: &str = "import sys; from huggingface_hub import hf_hub_download; \
    hf_hub_download(sys.argv[1], sys.argv[2], cache_dir=sys.argv[3])";

/// Variables that would send a client elsewhere, or make it say who we are.
const UNWANTED: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_OFFLINE",
    "ZOO_OFFLINE",
    "ZOO_LOG",
];

/// One download to be made.
pub(super) struct Job<'a> {
    /// What `HF_ENDPOINT` is to be.
    pub(super) endpoint: &'a str,
    pub(super) pattern: &'a Pattern,
    /// Empty; whatever the client writes goes here.
    pub(super) folder: &'a Path,
}

type Commands = Box<dyn Fn(&Job<'_>) -> Vec<Command>>;

/// A client, or the reason why there is none.
pub(super) struct Client {
    pub(super) name: &'static str,
    /// What it consists of, for the report.
    pub(super) versions: Vec<String>,
    /// What one download is, or why it cannot be made here.
    pub(super) commands: Result<Commands, String>,
}

/// zoo itself comes first: everybody else is compared with it.
pub(super) const ZOO: &str = "zoo";
pub(super) const CURL: &str = "curl";
pub(super) const ARIA2C: &str = "aria2c -x8";
pub(super) const HF_HUB: &str = "hf-hub (Rust)";
pub(super) const HUGGINGFACE_HUB: &str = "huggingface_hub (Python)";

/// The clients of an open connection.
pub(super) fn all(programs: &Programs) -> Result<Vec<Client>> {
    let hashed = |job: &Job<'_>| vec![curl(job), sha256sum(job)];
    let flushed = |job: &Job<'_>| vec![curl(job), sha256sum(job), sync(job)];
    let mut clients = vec![
        zoo(programs)?,
        tool(CURL, &["curl"], |job| vec![curl(job)]),
        tool("curl, then sha256sum", &["curl", "sha256sum"], hashed),
        tool("curl, then sha256sum, then sync", &["curl", "sha256sum", "sync"], flushed),
        tool(ARIA2C, &["aria2c"], |job| vec![aria2c(job)]),
    ];
    clients.push(hf_hub());
    clients.push(huggingface_hub()?);
    Ok(clients)
}

/// A command that sees none of the [`UNWANTED`] variables, and no file of the user's.
pub(super) fn clean(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for name in UNWANTED {
        command.env_remove(name);
    }
    command.env("HF_HOME", folder.join("hf-home")).env("ONNX_HOME", folder.join("onnx-home"));
    command
}

fn zoo(programs: &Programs) -> Result<Client> {
    let program = programs.get("fetch")?;
    let commands = move |job: &Job<'_>| {
        let Pattern { url, sha256, size, .. } = job.pattern;
        let mut zoo = clean(&program, job.folder);
        zoo.args([url, sha256, &size.to_string()]).arg(job.folder.join("home"));
        vec![zoo]
    };
    let versions = vec![format!("zoo {}", env!("CARGO_PKG_VERSION"))];
    Ok(Client { name: ZOO, versions, commands: Ok(Box::new(commands)) })
}

/// A tool of the system, made of programs that may or may not be installed.
fn tool(
    name: &'static str,
    programs: &[&str],
    commands: impl Fn(&Job<'_>) -> Vec<Command> + 'static,
) -> Client {
    let mut versions = Vec::new();
    for program in programs {
        match version(program) {
            Some(version) => versions.push(version),
            None => {
                let package = package(program);
                let missing =
                    format!("`{program}` is not installed (Debian and Ubuntu have it in `{package}`)");
                return Client { name, versions: Vec::new(), commands: Err(missing) };
            }
        }
    }
    Client { name, versions, commands: Ok(Box::new(commands)) }
}

/// The package of Debian that has a program.
fn package(program: &str) -> &str {
    match program {
        "aria2c" => "aria2",
        "sha256sum" | "sync" => "coreutils",
        other => other,
    }
}

/// Name and version, which every one of these tools prints first.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?;
    // `curl 8.1.2 (…) libcurl/…`, `aria2 version 1.36.0`, `sha256sum (GNU coreutils) 9.1`
    let number = line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(format!("{program} {number}"))
}

fn downloaded(job: &Job<'_>) -> PathBuf {
    job.folder.join("downloaded")
}

/// As people type it. `--disable` keeps the user's own settings out, and must come first.
fn curl(job: &Job<'_>) -> Command {
    let mut curl = clean("curl", job.folder);
    curl.args(["--disable", "--silent", "--show-error", "--fail", "-L", "-o"]);
    curl.arg(downloaded(job)).arg(&job.pattern.url);
    curl
}

fn sha256sum(job: &Job<'_>) -> Command {
    let mut sha256sum = clean("sha256sum", job.folder);
    sha256sum.arg(downloaded(job));
    sha256sum
}

fn sync(job: &Job<'_>) -> Command {
    let mut sync = clean("sync", job.folder);
    sync.arg(downloaded(job));
    sync
}

/// At its best: its default is to write the whole file with zeros first.
fn aria2c(job: &Job<'_>) -> Command {
    let mut aria2c = clean("aria2c", job.folder);
    aria2c.args(["--no-conf", "--quiet", "-x8", "-s8", "--file-allocation=none", "--out=downloaded"]);
    aria2c.arg("--dir").arg(job.folder).arg(&job.pattern.url);
    aria2c
}

fn hf_hub() -> Client {
    let commands = |program: PathBuf| -> Commands {
        Box::new(move |job| {
            let (owner, name) = job.pattern.repository.split_once('/').unwrap_or_default();
            let mut client = clean(&program, job.folder);
            client.args([job.endpoint, owner, name, &job.pattern.file]).arg(job.folder.join("cache"));
            vec![client]
        })
    };
    let built = build_hf_hub();
    let versions = built.iter().map(|(_, version)| format!("hf-hub {version}")).collect();
    let commands =
        built.map(|(program, _)| commands(program)).map_err(|reason| format!("not built: {reason:#}"));
    Client { name: HF_HUB, versions, commands }
}

/// In a folder of its own in the target folder: it shares no crate's version with the workspace on purpose.
fn build_hf_hub() -> Result<(PathBuf, String)> {
    let target = workspace::metadata()?.target_directory.into_std_path_buf().join("bench-clients");
    let folder = workspace::root().join("xtask").join("bench-clients").join("hf-hub");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    let program = Programs::build(cargo.arg("--target-dir").arg(target))?.get(HF_HUB_PROGRAM)?;
    let lock: toml::Table =
        toml::from_str(&String::from_utf8_lossy(&files::read(&folder.join("Cargo.lock"))?))?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("a Cargo.lock without packages")?;
    let text = |package: &toml::Value, key: &str| package.get(key)?.as_str().map(ToOwned::to_owned);
    let version = packages.iter().find(|p| text(p, "name").as_deref() == Some("hf-hub"));
    Ok((program, version.and_then(|p| text(p, "version")).unwrap_or_default()))
}

fn huggingface_hub() -> Result<Client> {
    let name = HUGGINGFACE_HUB;
    let Some(python) = setup::python_clients()? else {
        let missing = "no Python with it (`cargo xtask setup --python-clients` says why)".to_owned();
        return Ok(Client { name, versions: Vec::new(), commands: Err(missing) });
    };
    let probe = "import huggingface_hub, platform; \
        print('huggingface_hub', huggingface_hub.__version__); print('Python', platform.python_version())";
    let said = Command::new(&python).args(["-c", probe]).output().context("Python could not be started")?;
    let versions = String::from_utf8_lossy(&said.stdout).lines().map(ToOwned::to_owned).collect();
    let commands = move |job: &Job<'_>| {
        let mut client = clean(&python, job.folder);
        client.args(["-c", DOWNLOAD, &job.pattern.repository, &job.pattern.file]);
        client.arg(job.folder.join("cache"));
        client.env("HF_ENDPOINT", job.endpoint);
        // The mirror speaks plain HTTP, as the hub does to clients without Xet; bars cost time that others do not spend.
        client.env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_DISABLE_PROGRESS_BARS", "1");
        client.env("HF_HUB_DISABLE_TELEMETRY", "1");
        vec![client]
    };
    Ok(Client { name, versions, commands: Ok(Box::new(commands)) })
}
