//! Fetches one file whose SHA-256 and length somebody published, and keeps it: `fetch URL SHA256 SIZE HOME`.
//!
//! This is all that a hub crate does with zoo-core: it says what the hub publishes ([`RemoteFile`]), begins a pull, and
//! commits it. What is printed at the end is the path of a file that was hashed while it arrived, compared with its digest,
//! and flushed to disk before it got its name. Interrupt it and run it again: it goes on where it was.
//!
//! `cargo xtask bench` times this program against other clients.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example's output")]

use std::process::ExitCode;
use std::sync::Arc;

use zoo_core::digest::Digest;
use zoo_core::path::EntryPath;
use zoo_core::progress::{Event, Progress};
use zoo_core::remote::RemoteFile;
use zoo_core::store::{Begin, ModelKey, StoredModel};
use zoo_core::{Zoo, ZooConfig};

/// Tells what is worth a line. Whoever draws bars looks at `Event::Bytes` too.
struct Lines;

impl Progress for Lines {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Start { path, have, .. } if *have > 0 => {
                eprintln!("{path}: going on after {have} bytes");
            }
            Event::Retry { reason, after, .. } => eprintln!("trying again in {after:?}: {reason}"),
            Event::Connections { count, .. } => eprintln!("{count} connections"),
            _ => {}
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, sha256, size, home] = arguments.as_slice() else {
        eprintln!("usage: fetch URL SHA256 SIZE HOME");
        return ExitCode::from(2);
    };
    match fetch(url, sha256, size, home) {
        Ok(model) => {
            for file in &model.manifest.files {
                println!("{}", file.path.under(&model.folder).display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            // An error from zoo-core knows what to do now; it says so apart from what happened.
            if let Some(hint) = error.downcast_ref::<zoo_core::Error>().and_then(zoo_core::Error::hint) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn fetch(url: &str, sha256: &str, size: &str, home: &str) -> Result<StoredModel, Box<dyn std::error::Error>> {
    let url: url::Url = url.parse()?;
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
    let mut file = RemoteFile::new(EntryPath::new(&name)?, url);
    file.size = Some(size.parse()?);
    file.digests.push(Digest::sha256_hex(sha256)?);

    // One thread receives; zoo-core writes and hashes on another.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let zoo = Zoo::open(ZooConfig::new(home).listening(Arc::new(Lines)));
    Ok(runtime.block_on(pull(&zoo, &name, file))?)
}

async fn pull(zoo: &Zoo, name: &str, file: RemoteFile) -> zoo_core::Result<StoredModel> {
    // The revision is what the content is of, so that a later version of the file is another model.
    let revision = file.digests.first().map(Digest::hex).unwrap_or_default();
    match zoo.begin(&ModelKey::new("onnx", name, &revision)?).await? {
        Begin::Stored(model) => Ok(*model),
        Begin::Fresh(mut pull) => {
            pull.fetch(&[file]).await?;
            pull.commit(format!("onnx:{name}"), |_| {}).await
        }
    }
}
