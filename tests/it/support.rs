//! What several of these tests need: a runtime, a remote file on a mirror, and the digest of a content.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use url::Url;
use zoo_core::Zoo;
use zoo_core::digest::Digest;
use zoo_core::path::EntryPath;
use zoo_core::remote::RemoteFile;
use zoo_core::store::{Begin, ModelKey, StoredModel};
use zoo_mirror::{Content, HfRepoBuilder, Mirror, MirrorBuilder};

/// The repository that [`serving`] serves.
pub(crate) const REPO: &str = "zoo-tests/one";

/// Runs a future to its end.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// A mirror with one repository of large files.
pub(crate) fn serving(files: &[(&str, Content)]) -> MirrorBuilder {
    let fill = |repo: HfRepoBuilder| {
        files.iter().fold(repo, |repo, (path, content)| repo.lfs_file(*path, content.clone()))
    };
    Mirror::builder().hf_repo(REPO, fill)
}

/// A file of [`REPO`], with the digest and the size that a hub's catalogue would have published.
pub(crate) fn remote(mirror: &Mirror, path: &str, content: &Content) -> RemoteFile {
    let mut file = RemoteFile::new(EntryPath::new(path).expect("a path"), resolve(mirror, path));
    file.size = Some(content.len());
    file.digests.push(sha256(content));
    file
}

pub(crate) fn resolve(mirror: &Mirror, path: &str) -> Url {
    format!("{}/{REPO}/resolve/main/{path}", mirror.hf_endpoint()).parse().expect("a URL")
}

pub(crate) fn sha256(content: &Content) -> Digest {
    content.digests().expect("readable content").sha256()
}

pub(crate) fn key(name: &str) -> ModelKey {
    ModelKey::new("onnx", name, "r1").expect("a key")
}

/// Pulls files into a store as a hub crate does.
pub(crate) async fn pull(zoo: &Zoo, name: &str, files: &[RemoteFile]) -> zoo_core::Result<StoredModel> {
    match zoo.begin(&key(name)).await? {
        Begin::Stored(model) => Ok(*model),
        Begin::Fresh(mut pull) => {
            pull.fetch(files).await?;
            pull.commit(format!("onnx:{name}"), |_| {}).await
        }
    }
}

/// Fails unless the store at `home` keeps its promise: every model is whole, and every file under `original/`, finished
/// model or not, has one of the contents that were published under its name.
pub(crate) fn assert_store_keeps_its_promise(home: &Path, published: &[(&str, &Digest)]) {
    let store = zoo_core::store::Store::new(home);
    for model in store.models().expect("a readable store") {
        let report = store.verify(&model).expect("a readable model");
        assert!(report.is_good(), "{report:?}");
    }
    let mut open = vec![home.join("models")];
    while let Some(folder) = open.pop() {
        for entry in zoo_core::fs::list_dir(&folder).expect("a readable folder") {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if folder.ends_with("original") {
                let name = entry.file_name().to_string_lossy().into_owned();
                let found = zoo_core::store::hash_file(&path, &[]).expect("a readable file").sha256();
                let known = published.iter().any(|(n, digest)| *n == name && **digest == found);
                assert!(known, "{} has {found}, which nobody published", path.display());
            }
        }
    }
}

/// A client that is not zoo's, to look at what a server says. reqwest is built without a TLS provider of its own.
pub(crate) fn plain_client() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// The content behind a URL, redirects followed.
pub(crate) async fn download(url: Url) -> bytes::Bytes {
    let client = plain_client().no_proxy().build().expect("a client");
    client.get(url).send().await.expect("an answer").bytes().await.expect("a body")
}

/// Waits until `done` holds; fails after ten seconds.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited ten seconds for {what}");
}

/// The `zoo` command as this workspace builds it.
const ZOO: &str = env!("CARGO_BIN_EXE_zoo-under-test");

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().expect("a command that starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What it printed, if it succeeded; otherwise the test fails with all that it said.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The sentence and the hint with which it refused; fails if it ended in any other way, or in a panic.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let start = self.stderr.find("error: ").unwrap_or_else(|| panic!("no error in {}", self.stderr));
        let said = self.stderr[start + "error: ".len()..].trim_end();
        match said.split_once("\nhint: ") {
            Some((sentence, hint)) => format!("{sentence} *hint: {hint}*"),
            None => said.to_owned(),
        }
    }

    /// Whether file systems can be mounted in a name space of a command's own. Where they cannot, the tests that need one
    /// fail, unless somebody says that this is known.
    pub(crate) fn mounting_works() -> bool {
        #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
        if std::env::var_os("ZOO_TESTS_WITHOUT_MOUNT").is_some() {
            return false;
        }
        let mut probe = Command::new("unshare");
        probe.args(["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]);
        let works = probe.output().is_ok_and(|output| output.status.success());
        assert!(
            works,
            "no file system can be mounted for a test; set ZOO_TESTS_WITHOUT_MOUNT=1 to leave these cases out"
        );
        true
    }
}

/// `zoo` with a store at `home`, asking `mirror`, with nothing else of this process's environment.
pub(crate) fn zoo(home: &Path, mirror: Option<&Mirror>) -> Command {
    clean(Command::new(ZOO), home, mirror)
}

fn clean(mut command: Command, home: &Path, mirror: Option<&Mirror>) -> Command {
    command.env_clear().env("ZOO_HOME", home).env("HOME", home).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    #[expect(clippy::disallowed_methods, reason = "where `cargo xtask` says that ONNX Runtime is")]
    if let Some(library) = std::env::var_os("ORT_DYLIB_PATH") {
        command.env("ORT_DYLIB_PATH", library);
    }
    match mirror {
        Some(mirror) => {
            command.env("HF_ENDPOINT", mirror.hf_endpoint()).env("ZOO_ONNX_ENDPOINT", mirror.raw_endpoint());
            command.env("ZOO_TORCH_ENDPOINT", mirror.torch_endpoint());
        }
        // Nothing listens there: whoever asks is found out.
        None => {
            for endpoint in ["HF_ENDPOINT", "ZOO_ONNX_ENDPOINT", "ZOO_TORCH_ENDPOINT"] {
                command.env(endpoint, "http://127.0.0.1:9");
            }
        }
    }
    command
}

/// Runs `zoo` with these arguments.
pub(crate) fn zoo_command(home: &Path, mirror: Option<&Mirror>, arguments: &[&str]) -> Finished {
    let mut command = zoo(home, mirror);
    command.args(arguments);
    Finished::of(command)
}

/// Runs `zoo` with these arguments and its home on a file system of its own, mounted by `mount HOME`.
pub(crate) fn zoo_command_on(mount: &str, home: &Path, mirror: &Mirror, arguments: &[&str]) -> Finished {
    let script = format!("{mount} \"$ZOO_HOME\" && exec \"$0\" \"$@\"");
    let mut command = clean(Command::new("unshare"), home, Some(mirror));
    command.args(["-rm", "sh", "-c", &script, ZOO]).args(arguments);
    Finished::of(command)
}

/// ONNX Runtime, where `cargo xtask` says that it is.
pub(crate) fn library() -> zoo_run::ort::LibrarySearch {
    let mut search = zoo_run::ort::LibrarySearch::default();
    #[expect(clippy::disallowed_methods, reason = "where `cargo xtask` says that ONNX Runtime is")]
    let given = std::env::var_os("ORT_DYLIB_PATH");
    search.explicit = given.map(Into::into);
    search
}
