//! What several of these tests need: a runtime, a remote file on a mirror, and the digest of a content.

use std::path::Path;
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
