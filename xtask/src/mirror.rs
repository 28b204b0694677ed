//! `cargo xtask mirror`: the hubs in small, on this machine, so that anybody can try the zoo command with no network.
//!
//! What is served are the fixtures of the tests, and a model of 48 MiB that takes long enough to see bars move. The command
//! prints what to type; everything else is in [`server`].
#![expect(clippy::print_stdout, reason = "this is the edge: it tells the user what to type")]

mod server;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

pub(crate) use self::server::{Pattern, Places, Server};
use crate::programs::Programs;
use crate::{files, workspace};

/// The first of the mirror's ports: below the range that systems hand out, and not known for any service.
const FIRST_PORT: u16 = 8760;

/// The target of the server among xtask's examples.
pub(crate) const PROGRAM: &str = "mirror";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first of seven ports that follow each other. Without it 8760, or free ones if those are in use.
    #[arg(long)]
    port: Option<u16>,
    /// Serve the fixtures only, without the model of 48 MiB, which takes seconds to make.
    #[arg(long)]
    small: bool,
    /// Also serve a folder as a repository of Hugging Face.
    #[arg(long, value_name = "ORG/NAME=DIR")]
    repository: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut cargo = workspace::cargo();
    let program =
        Programs::build(cargo.args(["build", "--package", "xtask", "--example", PROGRAM]))?.get(PROGRAM)?;
    let mut command = Command::new(program);
    match args.port {
        Some(port) => command.args(["--port", &port.to_string()]),
        None => command.args(["--port", &FIRST_PORT.to_string(), "--or-free"]),
    };
    if !args.small {
        command.arg("--large");
    }
    for repository in &args.repository {
        command.args(["--repository", repository]);
    }
    // In the target folder, so that it belongs to the user and `cargo clean` removes it.
    let folder = workspace::metadata()?.target_directory.into_std_path_buf().join("mirror");
    files::create_dir_all(&folder)?;
    let server = Server::start(command.arg("--torch").arg(&folder))?;
    let authority = folder.join("authority.pem");
    let pem = server.places().authority.as_bytes();
    files::write_atomic(&authority, pem, pem.len() as u64)?;
    println!("{}", guide(server.places(), &authority, !args.small));
    server.wait()
}

/// What to type.
fn guide(places: &Places, authority: &Path, large: bool) -> String {
    let Places { hugging_face, raw, proxy, admin, torch, torch_catalog, .. } = places;
    let catalog = torch_catalog.as_ref().map(|path| quoted(&path.display().to_string())).unwrap_or_default();
    let authority = quoted(&authority.display().to_string());
    let (pull, target, bytes) = if large {
        (
            "\nzoo pull onnx:zoo-large-17          # 48 MiB, beside the model: bars, ranges",
            "onnxmodelzoo/zoo-large-17/zoo-large-17.onnx.data",
            20_000_000,
        )
    } else {
        ("", "onnxmodelzoo/mnist-12/mnist-12.onnx", 10_000)
    };
    let networks = "mobilenet_v2, fcn_resnet50 and r3d_18";
    format!(
        "\
The mirror is up, until Ctrl-C. In another shell, in this folder:

export HF_ENDPOINT={hugging_face}
export ZOO_ONNX_ENDPOINT={raw}
export ZOO_TORCH_ENDPOINT={torch}
export ZOO_TORCHVISION_CATALOG={catalog}
export ZOO_HOME=\"$(mktemp -d)\"      # a store to throw away
alias zoo='cargo run --quiet --package zoo-cli --'

zoo pull onnx:mnist-12
zoo check onnx:mnist-12             # runs it, and compares with the published outputs{pull}
zoo pull onnx:mnist-12 --offline    # everything is in the store
zoo pull torchvision:resnet18       # with few channels, as {networks} are; its numbers mean nothing

What can go wrong is on demand, at {admin}:

curl -X PUT {admin}/pace/2000000    # 2 MB/s per connection from now on; 0 lifts it
curl {admin}/faults --data '{{\"path\": \"{target}\", \"times\": 1, \"fault\": {{\"kind\": \"cut-after\", \"bytes\": {bytes}}}}}'
                                    # breaks the next connection that serves it; the pull goes on where it was
curl {admin}/log                    # every request so far

Tools that cannot be told an address (Python's onnx.hub, say) get here by a proxy that speaks for the real hosts:

export HTTPS_PROXY={proxy} SSL_CERT_FILE={authority}
"
    )
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let place = |port: u16| format!("http://127.0.0.1:{port}");
        Places {
            hugging_face: place(1),
            raw: place(3),
            proxy: place(5),
            admin: place(6),
            torch: place(7),
            torch_catalog: Some("c.json".into()),
            authority: String::new(),
            patterns: Vec::new(),
        }
    }

    #[test]
    fn every_line_that_can_be_typed_names_the_right_origin() {
        let guide = guide(&places(), Path::new("it's here/a.pem"), true);
        for line in [
            "export HF_ENDPOINT=http://127.0.0.1:1",
            "export ZOO_ONNX_ENDPOINT=http://127.0.0.1:3",
            "export ZOO_TORCH_ENDPOINT=http://127.0.0.1:7",
            "export ZOO_TORCHVISION_CATALOG='c.json'",
            "export HTTPS_PROXY=http://127.0.0.1:5 SSL_CERT_FILE='it'\\''s here/a.pem'",
        ] {
            assert!(guide.lines().any(|l| l == line), "{line}\n{guide}");
        }
        assert!(guide.contains("curl -X PUT http://127.0.0.1:6/pace/"), "{guide}");
    }

    #[test]
    fn the_fault_to_type_is_json_and_strikes_what_is_served() {
        for (large, path) in [(true, "zoo-large-17.onnx.data"), (false, "mnist-12.onnx")] {
            let guide = guide(&places(), Path::new("a.pem"), large);
            let text = guide.split("--data '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
            let rule: zoo_mirror::FaultRule = serde_json::from_str(text).unwrap();
            // With the organisation in front: the file's pointer on GitHub has the same name, and would be struck first.
            assert!(rule.path.starts_with("onnxmodelzoo/") && rule.path.ends_with(path), "{rule:?}");
            assert_eq!(rule.times, Some(1));
            assert_eq!(guide.contains("zoo pull onnx:zoo-large-17"), large);
        }
    }
}
