//! The mirror as a process of its own, which `cargo xtask mirror` and `cargo xtask bench` start.
//!
//! It is an example of xtask so that xtask itself builds without zoo's libraries: `setup` is there in seconds, and `tidy`
//! runs while a library does not compile. And a benchmark's server must not share a process with whoever measures.
//!
//! The first line that it prints says, as JSON, where everything is ([`Places`]). Then it obeys what comes on its standard
//! input, a command a line, each answered by a line; at the end of that input it ends, and so never outlives its owner.
//!
//! ```text
//! pace N      N bytes per second and connection, 0 for no limit; answers `ok`
//! requests    how many requests there were since this was last asked
//! ```

#![expect(clippy::print_stdout, reason = "its owner reads the answers there")]

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde::Serialize;
use zoo_mirror::{Content, Mirror, MirrorBuilder, Role};
use zoo_tests::networks;
use zoo_tests::torchvision::TorchZoo;

/// Networks of torchvision, one of each kind that zoo stages.
const NETWORKS: [&str; 4] = ["resnet18", "mobilenet_v2", "fcn_resnet50", "r3d_18"];

/// The repository with the files of `--pattern`.
const REPO: &str = "zoo-bench/patterns";

#[derive(Parser)]
struct Args {
    /// The first of the ports, which follow each other.
    #[arg(long)]
    port: Option<u16>,
    /// Take any free ports if those are in use.
    #[arg(long)]
    or_free: bool,
    /// Also serve a model of 48 MiB, `onnx:zoo-large-17`.
    #[arg(long)]
    large: bool,
    /// Also serve narrow networks of torchvision, and write them and their catalogue to this folder.
    #[arg(long, value_name = "DIR")]
    torch: Option<PathBuf>,
    /// Also serve a folder as a repository of Hugging Face.
    #[arg(long, value_name = "ORG/NAME=DIR")]
    repository: Vec<String>,
    /// Also serve a file of so many mebibytes that means nothing.
    #[arg(long, value_name = "MIB")]
    pattern: Vec<u64>,
}

/// Where everything is.
#[derive(Serialize)]
struct Places {
    hugging_face: String,
    raw: String,
    proxy: String,
    admin: String,
    torch: String,
    /// The catalogue of what is served as torchvision's.
    torch_catalog: Option<PathBuf>,
    /// The certificate of the proxy's authority.
    authority: String,
    patterns: Vec<Pattern>,
}

/// A file of [`REPO`].
#[derive(Serialize)]
struct Pattern {
    repository: &'static str,
    file: String,
    url: String,
    size: u64,
    sha256: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let torch = args.torch.as_deref().map(narrow).transpose()?;
    let mirror = start(&args, torch.as_ref())?;
    let catalog = torch.as_ref().map(|torch| torch.catalog().to_owned());
    println!("{}", serde_json::to_string(&places(&mirror, &args.pattern, catalog)?)?);
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read the next command")?;
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["pace", bytes] => {
                mirror.pace(Some(bytes.parse().with_context(|| format!("`{bytes}` is no pace"))?));
                println!("ok");
            }
            ["requests"] => {
                println!("{}", mirror.log().len());
                mirror.clear_log();
            }
            _ => bail!("`{line}` is no command"),
        }
    }
    Ok(())
}

fn start(args: &Args, torch: Option<&TorchZoo>) -> Result<Mirror> {
    let Some(port) = args.port else { return Ok(filled(args, torch)?.start()?) };
    match filled(args, torch)?.first_port(port).start() {
        Err(_) if args.or_free => Ok(filled(args, torch)?.start()?),
        other => Ok(other?),
    }
}

fn filled(args: &Args, torch: Option<&TorchZoo>) -> Result<MirrorBuilder> {
    let mut builder = zoo_tests::mirror();
    if args.large {
        builder = builder.onnx_entry(zoo_tests::large_model());
    }
    if let Some(torch) = torch {
        builder = torch.serve(builder)?;
    }
    for repository in &args.repository {
        let (id, folder) = repository
            .split_once('=')
            .with_context(|| format!("`{repository}` is no repository; write org/name=folder"))?;
        builder = builder.hf_repo_from_folder(id, Path::new(folder));
    }
    for mib in &args.pattern {
        builder = builder.hf_repo(REPO, |repo| repo.lfs_file(file_name(*mib), content(*mib)));
    }
    Ok(builder)
}

/// Checkpoints of [`NETWORKS`] with few channels, and their catalogue, in `folder`.
fn narrow(folder: &Path) -> Result<TorchZoo> {
    let mut checkpoints = Vec::new();
    for builder in NETWORKS {
        let path = folder.join(format!("{builder}.pth"));
        networks::load(builder)?.write_pth(&path)?;
        checkpoints.push((builder, path));
    }
    TorchZoo::new(folder, &checkpoints)
}

fn content(mib: u64) -> Content {
    Content::Pattern(mib << 20)
}

fn file_name(mib: u64) -> String {
    format!("{mib}-mib.bin")
}

fn places(mirror: &Mirror, patterns: &[u64], torch_catalog: Option<PathBuf>) -> Result<Places> {
    let pattern = |mib: &u64| {
        let (content, file) = (content(*mib), file_name(*mib));
        let digests = content.digests().context("cannot hash a pattern")?;
        Ok(Pattern {
            repository: REPO,
            url: format!("{}/{REPO}/resolve/main/{file}", mirror.hf_endpoint()),
            size: content.len(),
            sha256: digests.sha256().hex(),
            file,
        })
    };
    Ok(Places {
        hugging_face: mirror.hf_endpoint(),
        raw: mirror.raw_endpoint(),
        proxy: mirror.proxy_url(),
        admin: mirror.endpoint(Role::Admin),
        torch: mirror.torch_endpoint(),
        torch_catalog,
        authority: mirror.authority_pem().to_owned(),
        patterns: patterns.iter().map(pattern).collect::<Result<_>>()?,
    })
}
